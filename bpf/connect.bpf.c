// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Connections: cgroup programs on the root of the cgroup-2 hierarchy. They see every process's connect(2), and sends
// of unconnected sockets, of which only refused ones are reported.
#include "maps.bpf.h"

#include <bpf/bpf_endian.h>

#define DENY 0
#define ALLOW 1

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 65536);
    __type(key, struct net_prefix4);
    __type(value, struct net_policy);
} net4 SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 65536);
    __type(key, struct net_prefix6);
    __type(value, struct net_policy);
} net6 SEC(".maps");

// CONNECT_DENIED and the like, or 0; the rule that said so.
static __always_inline u32 judge(const struct net_policy *policy, u32 tgid, u32 *rule)
{
    u32 lineage = flags_of(tgid);

    if (policy && policy->action == NET_DENY && !(lineage & FLAG_AGENT)) {
        *rule = policy->rule;
        return CONNECT_DENIED;
    }
    if (lineage & FLAG_CONTAINED && !(lineage & FLAG_AGENT) &&
        !(policy && policy->action == NET_ALLOW))
        return CONNECT_DENIED | CONNECT_CONTAINED;
    return 0;
}

static __always_inline u32 judge4(u32 ip, u32 tgid, u32 *rule)
{
    struct net_prefix4 key = {.bits = 32};

    __builtin_memcpy(key.ip, &ip, 4);
    return judge(bpf_map_lookup_elem(&net4, &key), tgid, rule);
}

static __always_inline u32 judge6(const u32 ip[4], u32 tgid, u32 *rule)
{
    struct net_prefix6 key = {.bits = 128};

    if (!ip[0] && !ip[1] && ip[2] == bpf_htonl(0xffff))
        return judge4(ip[3], tgid, rule);
    __builtin_memcpy(key.ip, ip, 16);
    return judge(bpf_map_lookup_elem(&net6, &key), tgid, rule);
}

static __always_inline void report(struct bpf_sock_addr *ctx, const u32 ip[4], u32 connect_flags,
                                   u32 rule)
{
    struct task_struct *task;
    struct bpf_sock *sk = ctx->sk;
    struct record_connect r = {};
    u64 now = bpf_ktime_get_boot_ns();

    if (!(connect_flags & CONNECT_DENIED) &&
        !bulk_allowed_at(now, bpf_get_current_pid_tgid() >> 32, bpf_get_current_cgroup_id(),
                         COUNT_CONNECT))
        return;
    task = (struct task_struct *)bpf_get_current_task_btf();
    r.r.bytes = sizeof r;
    r.r.kind = RECORD_CONNECT;
    r.r.time = now;
    r.r.pid = task->tgid;
    r.r.tid = task->pid;
    r.r.start = task->group_leader->start_boottime;
    r.flags = connect_flags;
    r.rule = rule;
    r.protocol = ctx->protocol;
    r.destination_port = bpf_ntohs(ctx->user_port);
    r.cookie = bpf_get_socket_cookie(ctx);
    __builtin_memcpy(r.destination, ip, 16);
    if (sk) { // bound before, else the kernel chooses later
        r.source_port = sk->src_port;
        if (connect_flags & CONNECT_INET6) {
            u32 source[4] = {sk->src_ip6[0], sk->src_ip6[1], sk->src_ip6[2], sk->src_ip6[3]};
            __builtin_memcpy(r.source, source, 16);
        } else {
            u32 source = sk->src_ip4;
            __builtin_memcpy(r.source, &source, 4);
        }
    }
    bpf_get_current_comm(r.name, sizeof r.name);
    if (connect_flags & CONNECT_DENIED) {
        COUNT(denied);
        if (bpf_ringbuf_output(&structural, &r, sizeof r,
                               wakeup(&structural, RING_STRUCTURAL_BYTES, sizeof r, false)))
            COUNT(lost[COUNT_DENIED]);
        else
            COUNT(sent[COUNT_DENIED]);
        return;
    }
    if (bpf_ringbuf_output(&bulk, &r, sizeof r, wakeup(&bulk, RING_BULK_BYTES, sizeof r, false)))
        COUNT(lost[COUNT_CONNECT]);
    else
        COUNT(sent[COUNT_CONNECT]);
}

static __always_inline int on_address4(struct bpf_sock_addr *ctx, u32 kind)
{
    u32 ip[4] = {ctx->user_ip4}, rule = 0;
    u32 verdict = judge4(ip[0], bpf_get_current_pid_tgid() >> 32, &rule);

    if (verdict || !kind)
        report(ctx, ip, verdict | kind, rule);
    return verdict ? DENY : ALLOW;
}

static __always_inline int on_address6(struct bpf_sock_addr *ctx, u32 kind)
{
    u32 ip[4] = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]}, rule = 0;
    u32 verdict = judge6(ip, bpf_get_current_pid_tgid() >> 32, &rule);

    if (verdict || !kind)
        report(ctx, ip, verdict | kind | CONNECT_INET6, rule);
    return verdict ? DENY : ALLOW;
}

SEC("cgroup/connect4")
int on_connect4(struct bpf_sock_addr *ctx)
{
    return on_address4(ctx, 0);
}

SEC("cgroup/connect6")
int on_connect6(struct bpf_sock_addr *ctx)
{
    return on_address6(ctx, 0);
}

SEC("cgroup/sendmsg4")
int on_send4(struct bpf_sock_addr *ctx)
{
    return on_address4(ctx, CONNECT_SEND);
}

SEC("cgroup/sendmsg6")
int on_send6(struct bpf_sock_addr *ctx)
{
    return on_address6(ctx, CONNECT_SEND);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
