// SPDX-License-Identifier: Apache-2.0
// What /proc says about one process. Nothing here asks a name service or starts a program.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct os_process {
    char state; // R S D Z T t ...
    pid_t parent;
    bool kernel_thread;
    uint64_t start_ns; // CLOCK_BOOTTIME, in steps of 10 ms as /proc gives it
};
#define OS_START_STEP_NS 10000000ull // two start times within the same step are the same

// 0, -ESRCH no such process (or it is a zombie's last moment), other negative errno.
int os_process_read(pid_t pid, struct os_process *ret);
// The text of /proc/PID/stat, for the tests and the fuzzer. -EBADMSG when it is not one.
int os_process_parse(char *text, struct os_process *ret);

uint64_t os_monotonic_ns(void);
uint64_t os_wall_ns(void);
