// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What a service's lineage may not do while the agent prevents: reach into another user's processes or the agent's, end
// the agent, load modules or programs for the kernel. Refused by LSM programs, each refusal one record.
// An error of our own refuses nothing, and what another module refused stays refused.
#include "security.bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct pt_regs {
    unsigned long orig_ax;
};
#pragma clang attribute pop

#define REFUSED (-1) // EPERM
#define MODE_ATTACH 2
#define MODE_FSCREDS 8
#define READING_MODULE 2
#define LOADING_MODULE 2
#define LOAD_PROGRAM 5

// The current task is below a service, and the agent prevents where it is. lineage_flags of 0: no.
static __always_inline bool may_refuse(void)
{
    struct task_struct *task = bpf_get_current_task_btf();
    u32 zero = 0, lineage = flags_of(bpf_get_current_pid_tgid() >> 32);
    struct exec_config *c;

    if (!(lineage & FLAG_SERVICE) || lineage & FLAG_AGENT)
        return false;
    c = bpf_map_lookup_elem(&config, &zero);
    if (!c || !c->armed || !c->prevent)
        return false;
    return !c->mount_namespace ||
           c->mount_namespace == BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
}

static __always_inline bool is_foreign(struct task_struct *target)
{
    return is_agent(target) ||
           BPF_CORE_READ((struct task_struct___security *)target, real_cred, uid.val) != own_uid();
}

SEC("lsm/ptrace_access_check")
int BPF_PROG(deny_access, struct task_struct *target, unsigned int mode, int ret)
{
    u32 way = ACCESS_ATTACH;
    u64 number;

    if (ret || !(mode & MODE_ATTACH) || !may_refuse() || !is_foreign(target))
        return ret;
    number = BPF_CORE_READ((struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()), orig_ax);
    if (mode & MODE_FSCREDS || number == 310 || number == 347) // /proc/PID/mem; process_vm_readv
        way = ACCESS_READ;
    else if (number == 311 || number == 348)
        way = ACCESS_WRITE;
    else if (number == 438)
        way = ACCESS_DESCRIPTOR;
    send_access(target, way, SECURITY_DENIED);
    COUNT(denied);
    return REFUSED;
}

SEC("lsm/task_kill")
int BPF_PROG(deny_signal, struct task_struct *target, void *info, int number,
             const struct cred *cred, int ret)
{
    // 1: the kernel's own; with credentials: of a device, whoever the current task is
    if (ret || argument(ctx, 1) == 1 || argument(ctx, 3) || !may_refuse() || !is_agent(target))
        return ret;
    send_signal(target, number, SECURITY_DENIED);
    COUNT(denied);
    return REFUSED;
}

static __always_inline int deny_module(void)
{
    struct record_module m = {.s.flags = SECURITY_DENIED};

    security_begin(&m.s, RECORD_MODULE, sizeof m, bpf_get_current_task_btf());
    if (!fold(&m.s, 0))
        security_send(&m.s, sizeof m);
    COUNT(denied);
    return REFUSED;
}

SEC("lsm/kernel_read_file")
int BPF_PROG(deny_module_file, struct file *file, int id, bool contents, int ret)
{
    return ret || id != READING_MODULE || !may_refuse() ? ret : deny_module();
}

SEC("lsm/kernel_load_data")
int BPF_PROG(deny_module_data, int id, bool contents, int ret)
{
    return ret || id != LOADING_MODULE || !may_refuse() ? ret : deny_module();
}

// Its last argument is another since 6.15: what others answered is not asked for. Theirs is heeded all the same: the
// first refusal ends it.
SEC("lsm/bpf")
int BPF_PROG(deny_bpf, int command, void *attributes)
{
    struct record_bpf p = {.s.flags = SECURITY_DENIED};

    if (command != LOAD_PROGRAM || !may_refuse())
        return 0;
    security_begin(&p.s, RECORD_BPF, sizeof p, bpf_get_current_task_btf());
    bpf_probe_read_kernel(&p.type, sizeof p.type, attributes);
    bpf_probe_read_kernel(p.program, sizeof p.program, (char *)attributes + 48); // .prog_name
    p.program[sizeof p.program - 1] = 0;
    if (!fold(&p.s, p.type))
        security_send(&p.s, sizeof p);
    COUNT(denied);
    return REFUSED;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
