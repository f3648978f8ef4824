// SPDX-License-Identifier: Apache-2.0
// Reads argv and environment of a thread that is held in execve, from its memory as it is now. May sleep as long as the
// caller's memory wants (userfaultfd, a mapped FUSE file): only pool threads call it, under a watch.
// Memory is mapped once, up to the kernel's own limit, and only what is touched becomes resident.
#pragma once
#include "sensor/gate_syscall.h"

enum {
    GATE_ARGV_BYTES = 6 << 20
}; // strings and pointers of argv and envp together: 3/4 of _STK_LIM
struct gate_memory;
struct gate_strings {
    const struct str *argv, *environment; // environment: listed names
    size_t argc, n_environment;
    uint64_t full, tail, all_environment; // bpf/argv_hash.h
    uint32_t tail_bytes;
};
int gate_memory_new(struct gate_memory **ret);
struct gate_memory *gate_memory_free(struct gate_memory *m);
// 0; -EFAULT: the caller's memory cannot be read there; -E2BIG: more than the kernel takes; -ESRCH: gone; -EPERM...
// *ret borrows until the next call.
int gate_argv_read(struct gate_memory *m, pid_t tid, const struct gate_call *call,
                   const uint8_t hash_key[16], struct gate_strings *ret);
