// SPDX-License-Identifier: Apache-2.0
// What may be done to a process after a verdict. A closed set of typed orders; nothing here parses text.
// To add a response: src/respond/act_<name>.c.
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct respond_target {
    uint32_t pid;
    uint64_t start_ns;
}; // CLOCK_BOOTTIME; 10 ms steps are compared
// SIGKILL by pidfd after the start time was compared. 0, -ESRCH already gone, -ESTALE another process has the pid,
// -EPERM pid 1, a kernel thread or a role of the agent (`protected_pids`).
int respond_kill(struct respond_target target, const uint32_t *protected_pids,
                 unsigned n_protected);
// The same without the signal.
int respond_may_kill(struct respond_target target, const uint32_t *protected_pids,
                     unsigned n_protected);
