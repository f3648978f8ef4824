// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What is known of a socket, kept in its own storage and gone with it: shared by connect.bpf.c, flow.bpf.c and
// dns.bpf.c (the loader makes it one map).
#pragma once
#include "maps.bpf.h"
#include "socket_kernel.h"

#include <bpf/bpf_endian.h>

#define IPPROTO_TCP 6
#define IPPROTO_UDP 17

struct socket_state {
    u64 began;
    u32 flags; // SOCKET_*
    u16 local_port, remote_port;
    struct record_share shares[FLOW_SHARES]; // the first: who opened or accepted it
    u64 others_sent, others_received;
    u64 packets_sent, packets_received, last; // UDP
    u8 local[16], remote[16];
    char name[16];
};

// Cloned from a listener to what it accepts.
struct {
    __uint(type, BPF_MAP_TYPE_SK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
    __type(key, int);
    __type(value, struct socket_state);
} sockets SEC(".maps");

static __always_inline struct task_struct *current_task(void)
{
    return (struct task_struct *)bpf_get_current_task_btf();
}

static __always_inline u64 leader_start(struct task_struct *task)
{
    return task->group_leader->start_boottime;
}

static __always_inline void head_of_current(struct record *r, u32 kind, u32 bytes)
{
    struct task_struct *task = current_task();

    r->bytes = bytes;
    r->kind = kind;
    r->parts = 0;
    r->time = bpf_ktime_get_boot_ns();
    r->pid = task->tgid;
    r->tid = task->pid;
    r->start = leader_start(task);
}

static __always_inline void send_bulk(void *record, u32 bytes, u32 class)
{
    if (bpf_ringbuf_output(&bulk, record, bytes, wakeup(&bulk, RING_BULK_BYTES, bytes, false)))
        COUNT(lost[class]);
    else
        COUNT(sent[class]);
}

// One more address that a datagram socket talks to.
static __always_inline void remote_is(struct socket_state *s, const u8 ip[16], u16 port, u32 inet6)
{
    const u32 *now = (const u32 *)ip, *was = (const u32 *)s->remote;

    if (!(s->flags & SOCKET_REMOTE)) {
        __builtin_memcpy(s->remote, ip, 16);
        s->remote_port = port;
        s->flags |= SOCKET_REMOTE | inet6;
    } else if (s->remote_port != port || was[0] != now[0] || was[1] != now[1] || was[2] != now[2] ||
               was[3] != now[3]) {
        s->flags |= SOCKET_SEVERAL;
    }
}
