// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Shows whether fentry programs run: on the function that the kernel has for testing it.
#include "tiercel_kernel.h"

__u32 trial_seen;

SEC("fentry/bpf_fentry_test1")
int BPF_PROG(try_fentry, int a)
{
    trial_seen++;
    return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
