// SPDX-License-Identifier: Apache-2.0
#include "os/process.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define KERNEL_THREAD 0x00200000u // PF_KTHREAD

// The name in parentheses may hold anything, also ") R 1": the last closing one ends it.
int os_process_parse(char *text, struct os_process *ret)
{
    char *end = strrchr(text, ')');
    if (!end || end[1] != ' ')
        return -EBADMSG;
    char state;
    int parent;
    unsigned flags;
    unsigned long long ticks;
    int n = sscanf(end + 2,
                   "%c %d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                   &state, &parent, &flags, &ticks);
    if (n != 4 || ticks > UINT64_MAX / OS_START_STEP_NS)
        return -EBADMSG;
    *ret = (struct os_process){.state = state,
                               .parent = parent,
                               .kernel_thread = flags & KERNEL_THREAD,
                               .start_ns = ticks * OS_START_STEP_NS}; // USER_HZ is 100
    return 0;
}

int os_process_read(pid_t pid, struct os_process *ret)
{
    char path[32], text[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    if (n < 0)
        return -errno;
    text[n] = 0;
    return os_process_parse(text, ret);
}

static uint64_t now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t os_monotonic_ns(void)
{
    return now(CLOCK_MONOTONIC);
}

uint64_t os_wall_ns(void)
{
    return now(CLOCK_REALTIME);
}
