// SPDX-License-Identifier: Apache-2.0
#include "base/env.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t real_now(const struct env *env)
{
    (void)env;
    return clock_ns(CLOCK_REALTIME);
}

static uint64_t real_monotonic(const struct env *env)
{
    (void)env;
    return clock_ns(CLOCK_BOOTTIME);
}

static int real_random(const struct env *env, void *ret, uint32_t n)
{
    (void)env;
    return getrandom(ret, n, 0) == (ssize_t)n ? 0 : -errno;
}

struct env env_real(int proc_fd)
{
    return (struct env){real_now, real_monotonic, real_random, proc_fd, 0};
}
