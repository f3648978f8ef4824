// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Shows whether an LSM program's denial takes effect: refuses one harmless call to the one thread that tries.
#include "tiercel_kernel.h"

const volatile __u32 trial_tid;

SEC("lsm/task_setnice")
int BPF_PROG(try_setnice, struct task_struct *task, int nice, int ret)
{
    if (ret)
        return ret;
    return (u32)bpf_get_current_pid_tgid() == trial_tid ? -1 /* EPERM */ : 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
