// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the security programs have in common: who acts, what is folded, how a record is sent. Three objects: one of
// tracepoints (every kernel), one of traced functions (where fentry works), one that refuses (where LSM works).
// The structures here have a ___security suffix, which CO-RE ignores, for the fields that only these programs use.
#pragma once
#include "maps.bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct user_namespace___security {
    int level;
};
struct cred___security {
    kuid_t suid;
    kernel_cap_t cap_permitted;
    struct user_namespace___security *user_ns;
};
struct task_struct___security {
    const struct cred *real_cred;
    unsigned int in_execve : 1;
};
#pragma clang attribute pop

#define FOLD_NANOSECONDS 1000000000ull
#define FOLD_DISTINCT                                                                              \
    32u // records of one kind and process a second that differ; over it they are folded too
#define CAP_SETUID_BIT (1ull << 7)

// Set by the loader: its own process, and the agent's first process (0: none), whose children are the agent's.
const volatile __u32 loader_pid, agent_pid;

struct fold_key {
    u32 pid, kind;
    u64 content;
};
struct fold {
    u64 since, distinct, repeated;
};
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 4096);
    __type(key, struct fold_key);
    __type(value, struct fold);
} folds SEC(".maps");

static __always_inline bool agent_has(u32 pid)
{
    u32 zero = 0;
    struct exec_config *c = bpf_map_lookup_elem(&config, &zero);

    if (pid == loader_pid || (agent_pid && pid == agent_pid))
        return true;
    for (u32 i = 0; c && i < CONFIG_OWN; i++)
        if (c->own[i] == pid)
            return pid != 0;
    return false;
}

static __always_inline bool is_agent(struct task_struct *task)
{
    u32 pid = BPF_CORE_READ(task, tgid);

    if (agent_has(pid) || flags_of(pid) & FLAG_AGENT)
        return true;
    return agent_pid && BPF_CORE_READ(task, real_parent, tgid) == (int)agent_pid;
}

static __always_inline void security_begin(struct record_security *s, u16 kind, u32 bytes,
                                           struct task_struct *task)
{
    s->r.bytes = bytes;
    s->r.kind = kind;
    s->r.parts = 0;
    s->r.time = bpf_ktime_get_boot_ns();
    s->r.pid = BPF_CORE_READ(task, tgid);
    s->r.tid = BPF_CORE_READ(task, pid);
    s->r.start = BPF_CORE_READ(task, group_leader, start_boottime);
    s->lineage_flags = flags_of(s->r.pid);
    bpf_probe_read_kernel(s->name, sizeof s->name, task->comm);
}

static __always_inline bool fold_one(struct record_security *s, u32 kind, u64 content, u32 distinct)
{
    struct fold_key key = {.pid = s->r.pid, .kind = kind, .content = content};
    struct fold *f = bpf_map_lookup_elem(&folds, &key), first = {.since = s->r.time};

    if (!f) {
        first.distinct = 1;
        bpf_map_update_elem(&folds, &key, &first, BPF_ANY);
        return false;
    }
    if (s->r.time - f->since < FOLD_NANOSECONDS) {
        if (__sync_fetch_and_add(&f->distinct, 1) < distinct)
            return false;
        __sync_fetch_and_add(&f->repeated, 1);
        COUNT(security_folded);
        return true;
    }
    f->since = s->r.time;
    f->distinct = 1;
    s->repeated += __sync_fetch_and_and(&f->repeated, 0);
    return false;
}

// Whether the same was told of this process within a second; counted then, and the next record says how often. Records
// that differ are folded as well where one process makes more than FOLD_DISTINCT of a kind in a second.
static __always_inline bool fold(struct record_security *s, u64 content)
{
    u32 kind =
        s->r.kind | (s->flags & SECURITY_DENIED) << 8 | (s->flags & SECURITY_UNEXPLAINED) << 8;

    return fold_one(s, kind, content, 1) || fold_one(s, kind | 1u << 31, 0, FOLD_DISTINCT);
}

// An argument as a number: newer verifiers take a pointer of these programs to be one that is not NULL, and leave out
// the branch that asks.
static __always_inline u64 argument(const unsigned long long *context, u32 which)
{
    u64 value = 0;

    bpf_probe_read_kernel(&value, sizeof value, context + which);
    return value;
}

static __always_inline u64 mix(u64 hash, u64 value)
{
    return (hash ^ value) * 0x9e3779b97f4a7c15ull;
}

static __always_inline void security_send(struct record_security *s, u32 bytes)
{
    bool at_once = s->flags & (SECURITY_DENIED | SECURITY_UNEXPLAINED);
    bool denied = s->flags & SECURITY_DENIED;

    if (bpf_ringbuf_output(&structural, s, bytes,
                           wakeup(&structural, RING_STRUCTURAL_BYTES, bytes, at_once))) {
        if (denied)
            COUNT(lost[COUNT_DENIED]);
        else
            COUNT(lost[COUNT_SECURITY]);
    } else if (denied) {
        COUNT(sent[COUNT_DENIED]);
    } else {
        COUNT(sent[COUNT_SECURITY]);
    }
}

static __always_inline void target_describe(struct record_target *t, struct task_struct *task)
{
    t->pid = BPF_CORE_READ(task, tgid);
    t->start = BPF_CORE_READ(task, group_leader, start_boottime);
    t->uid = BPF_CORE_READ((struct task_struct___security *)task, real_cred, uid.val);
    bpf_probe_read_kernel(t->name, sizeof t->name, task->comm);
}

static __always_inline u32 own_uid(void)
{
    return (u32)bpf_get_current_uid_gid();
}

static __always_inline void send_access(struct task_struct *target, u32 way, u32 access_flags)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct record_access a = {.s.flags = access_flags, .way = way};

    security_begin(&a.s, RECORD_ACCESS, sizeof a, task);
    target_describe(&a.target, target);
    if (a.target.pid == a.s.r.pid || is_agent(task))
        return;
    if (a.target.uid != own_uid())
        a.s.flags |= SECURITY_OTHER_USER;
    if (!fold(&a.s, mix(mix(way + 1, a.target.pid), a.target.start)))
        security_send(&a.s, sizeof a);
}

static __always_inline void send_signal(struct task_struct *target, u32 number, u32 signal_flags)
{
    struct record_signal g = {.s.flags = signal_flags, .number = number};

    security_begin(&g.s, RECORD_SIGNAL, sizeof g, bpf_get_current_task_btf());
    target_describe(&g.target, target);
    if (g.target.uid != own_uid())
        g.s.flags |= SECURITY_OTHER_USER;
    if (!fold(&g.s, mix(mix(number, g.target.pid), g.target.start)))
        security_send(&g.s, sizeof g);
}
