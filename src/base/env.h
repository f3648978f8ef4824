// SPDX-License-Identifier: Apache-2.0
// Everything a library floor would otherwise ask the world for. Replay and tests give their own.
#pragma once
#include <stdint.h>

struct env {
    uint64_t (*now_ns)(const struct env *env);       // wall clock, nanoseconds since 1970 UTC
    uint64_t (*monotonic_ns)(const struct env *env); // CLOCK_BOOTTIME, as the kernel's records use
    int (*random)(const struct env *env, void *ret, uint32_t n); // 0 or negative errno
    int proc_fd; // directory of the proc file system, or -1 where none may be asked (replay)
    void *context;
};

// The real machine. proc_fd is opened by the caller.
struct env env_real(int proc_fd);
