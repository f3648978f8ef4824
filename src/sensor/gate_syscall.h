// SPDX-License-Identifier: Apache-2.0
// /proc/TID/syscall (proc(5)) of a thread that is held in execve: the numbers of the registers, of which argv and envp
// matter. x86-64 with its 32-bit and x32 callers.
#pragma once
#include "base/str.h"

struct gate_call {
    uint64_t argv, envp; // addresses in the caller's memory
    unsigned pointer;    // bytes of a pointer there: 8 or 4
};
enum {
    GATE_CALL_RUNNING = 1, // the thread has not gone to sleep yet: read again
    GATE_CALL_OTHER = 2,   // not inside execve or execveat: a helper of the kernel
};
// 0, one of the above, or -EINVAL.
int gate_syscall_parse(struct str line, struct gate_call *ret);
