// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Processes: their start, what they run, their end. The exec itself is in exec.bpf.h.
#include "exec.bpf.h"

static __always_inline void describe(struct record *r, u16 kind, u32 bytes,
                                     struct task_struct *task)
{
    r->bytes = bytes;
    r->kind = kind;
    r->parts = 0;
    r->time = bpf_ktime_get_boot_ns();
    r->pid = task->tgid;
    r->tid = task->pid;
    r->start = task->group_leader->start_boottime;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
    u32 pid = child->pid, parent_pid = parent->tgid, inherited;
    struct record_fork *f;

    if (child->tgid != child->pid)
        return 0;
    inherited = flags_of(parent_pid);
    if (inherited) {
        if (bpf_map_update_elem(&flags, &pid, &inherited, BPF_ANY))
            COUNT(flags_full);
    } else if (flags_of(pid)) { // set for a process of this number after it had gone
        bpf_map_delete_elem(&flags, &pid);
    }

    f = bpf_ringbuf_reserve(&structural, sizeof *f, 0);
    if (!f) {
        COUNT(lost[COUNT_FORK]);
        return 0;
    }
    describe(&f->r, RECORD_FORK, sizeof *f, parent);
    f->child_pid = pid;
    f->child_start = child->start_boottime;
    f->lineage_flags = inherited;
    bpf_ringbuf_submit(f, wakeup(&structural, RING_STRUCTURAL_BYTES, sizeof *f, false));
    COUNT(sent[COUNT_FORK]);
    return 0;
}

struct exited {
    u64 start;
    u32 pid, reserved;
};

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1024);
    __type(key, struct exited);
    __type(value, u8);
} exited SEC(".maps");

// Since 6.16 the tracepoint says whether this is the last thread (the loader looks).
const volatile __u8 exit_tells_last;

// Without that, two threads that exit at the same time may both find that nobody lives. A leader that still has its
// memory comes to the tracepoint later, with its exit code set: it is left to report; else the first to put the group
// into the map does.
static __always_inline bool is_last(struct task_struct *task)
{
    struct task_struct *leader = task->group_leader;
    struct exited key = {.start = leader->start_boottime, .pid = task->tgid};
    u8 one = 1;

    if (task->signal->live.counter)
        return false;
    if (task->signal->nr_threads <= 1) // one that reported before has been here and is gone
        return !bpf_map_lookup_elem(&exited, &key);
    if (task->pid != task->tgid && leader->mm)
        return false;
    // An int: before 6.4 the upper half of the register is not the sign.
    return (int)bpf_map_update_elem(&exited, &key, &one, BPF_NOEXIST) != -17 /* EEXIST */;
}

SEC("tp_btf/sched_process_exit")
int on_exit(u64 *arguments)
{
    struct task_struct *task = (struct task_struct *)arguments[0];
    struct signal_struct *group = task->signal;
    u32 pid = task->tgid, tid = task->pid;
    struct record_exit *x;

    if (bpf_map_lookup_elem(&judged, &tid))
        bpf_map_delete_elem(&judged, &tid);
    if (exit_tells_last ? !(u8)arguments[1] : !is_last(task))
        return 0;
    if (flags_of(pid))
        bpf_map_delete_elem(&flags, &pid);

    x = bpf_ringbuf_reserve(&structural, sizeof *x, 0);
    if (!x) {
        COUNT(lost[COUNT_EXIT]);
        return 0;
    }
    describe(&x->r, RECORD_EXIT, sizeof *x, task);
    x->status =
        group->flags & SIGNAL_GROUP_EXIT ? group->group_exit_code : task->group_leader->exit_code;
    x->reserved = 0;
    bpf_ringbuf_submit(x, wakeup(&structural, RING_STRUCTURAL_BYTES, sizeof *x, false));
    COUNT(sent[COUNT_EXIT]);
    return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
    struct scratch *s = scratch_get();
    struct record_exec *x;
    u32 bytes;
    bool at_once;

    if (!s)
        return 0;
    x = (struct record_exec *)s->record;
    describe(&x->r, RECORD_EXEC, 0, task);
    s->at = sizeof *x;
    s->parts = 0;
    exec_describe(s, x, task, old_pid, bprm);
    exec_parts(s, x, task, bprm);
    at_once = exec_check(s, x, task, old_pid, bprm);

    bytes = s->at;
    x->r.bytes = bytes;
    x->r.parts = s->parts;
    if (bytes > RECORD_BYTES ||
        bpf_ringbuf_output(&structural, s->record, bytes,
                           wakeup(&structural, RING_STRUCTURAL_BYTES, bytes, at_once))) {
        COUNT(lost[COUNT_EXEC]);
        return 0;
    }
    COUNT(sent[COUNT_EXEC]);
    return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
