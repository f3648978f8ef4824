// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Security events from tracepoints, which every kernel has: signals, modules; and where functions cannot be traced, what
// a process became, noticed when it next forks, runs something or ends ("late").
#include "identity.bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct kernel_siginfo {
    int si_code;
};
#pragma clang attribute pop

#define SIGKILL_NUMBER 9
#define SIGTERM_NUMBER 15
#define SIGSTOP_NUMBER 19
#define SIGNAL_IGNORED 1
#define CODE_USER 0
#define CODE_QUEUE (-1)
#define CODE_THREAD (-6)

// By a system call of the current task: not by the kernel or a timer, where the current task is anybody.
static __always_inline bool is_sent_by_call(struct kernel_siginfo *info, u64 address)
{
    int code;

    if (address <= 1) // 0: kill() by the current task; 1: by the kernel
        return !address;
    code = BPF_CORE_READ(info, si_code);
    return code == CODE_USER || code == CODE_QUEUE || code == CODE_THREAD;
}

SEC("tp_btf/signal_generate")
int BPF_PROG(on_signal, int number, struct kernel_siginfo *info, struct task_struct *target,
             int group, int result)
{
    bool ends = number == SIGKILL_NUMBER || number == SIGTERM_NUMBER || number == SIGSTOP_NUMBER;
    u32 pid = target->tgid, self = bpf_get_current_pid_tgid() >> 32, uid;
    struct cred *cred, *own;
    struct task_struct *task;
    bool to_agent;

    if (pid == self || !is_sent_by_call(info, argument(ctx, 1)))
        return 0;
    task = bpf_get_current_task_btf();
    to_agent = is_agent(target);
    if (!to_agent) {
        if (!ends || result == SIGNAL_IGNORED)
            return 0;
        cred = (void *)BPF_CORE_READ((struct task_struct___security *)target, real_cred);
        own = (void *)BPF_CORE_READ(task, cred);
        uid = BPF_CORE_READ(cred, uid.val);
        if (uid == BPF_CORE_READ(own, uid.val) || uid == BPF_CORE_READ(own, euid.val))
            return 0;
    }
    if (!is_agent(task))
        send_signal(target, number, 0);
    return 0;
}

// ---- what a process became, where the functions that change it cannot be traced

struct seen {
    u64 start;
    struct identity identity;
};
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 16384);
    __type(key, u32);
    __type(value, struct seen);
} seen SEC(".maps");

// Compares with what was last seen of this process and keeps what it is now.
static __always_inline void look(struct task_struct *task, bool tell)
{
    u32 pid = task->tgid;
    struct seen now = {.start = task->group_leader->start_boottime};
    struct seen *was = bpf_map_lookup_elem(&seen, &pid);

    identity_of_task(&now.identity, task);
    if (tell && was && was->start == now.start) {
        send_credentials(task, &was->identity, &now.identity, SECURITY_LATE);
        send_namespaces(task, &was->identity, &now.identity, SECURITY_LATE);
    }
    if (was && was->start == now.start)
        was->identity = now.identity;
    else
        bpf_map_update_elem(&seen, &pid, &now, BPF_ANY);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(late_fork, struct task_struct *parent, struct task_struct *child)
{
    u32 pid = child->tgid;
    struct seen new = {.start = child->start_boottime};

    if (child->tgid != child->pid)
        return 0;
    look(parent, true);
    identity_of_task(&new.identity, child);
    bpf_map_update_elem(&seen, &pid, &new, BPF_ANY);
    return 0;
}

SEC("tp_btf/sched_prepare_exec")
int BPF_PROG(late_prepare_exec, struct task_struct *task)
{
    look(task, true);
    return 0;
}

// What a set-uid program gives is in the exec's own event.
SEC("tp_btf/sched_process_exec")
int BPF_PROG(late_exec, struct task_struct *task)
{
    look(task, false);
    return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(late_exit, struct task_struct *task)
{
    u32 pid = task->tgid;

    if (task->pid != task->tgid) // its credentials and namespaces are its own
        return 0;
    look(task, true);
    bpf_map_delete_elem(&seen, &pid);
    return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
