// SPDX-License-Identifier: Apache-2.0
#include "os/sandbox.h"
#include "os/calls.h"
#include <cap-ng.h>
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static void set_priority(const struct os_sandbox *sandbox, char *weaker, size_t size)
{
    if (sandbox->real_time) {
        struct sched_param p = {.sched_priority = 1};
        if (sched_setscheduler(0, SCHED_FIFO, &p) == 0)
            return;
        snprintf(weaker, size, "no real-time priority (%s); ", strerror(errno));
    }
    if (sandbox->nice && setpriority(PRIO_PROCESS, 0, sandbox->nice) < 0)
        snprintf(weaker + strlen(weaker), size - strlen(weaker), "no raised priority (%s); ",
                 strerror(errno));
}

// With MCL_FUTURE every later mapping counts against RLIMIT_MEMLOCK, and fails over it once CAP_IPC_LOCK is gone. So
// the future is locked only where the limit can be lifted.
static void lock_memory(char *weaker, size_t size)
{
    struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    int flags = MCL_CURRENT | MCL_ONFAULT;
    if (setrlimit(RLIMIT_MEMLOCK, &none) == 0)
        flags |= MCL_FUTURE;
    if (mlockall(flags) < 0)
        snprintf(weaker + strlen(weaker), size - strlen(weaker), "memory not locked (%s); ",
                 strerror(errno));
}

// Fields of libcap-ng's state are 32-bit words of one process-wide set: clear, add, apply.
static int keep_capabilities(uint64_t capabilities, uint64_t effective)
{
    capng_clear(CAPNG_SELECT_CAPS);
    for (unsigned i = 0; i <= CAP_LAST_CAP; i++) {
        if (!(capabilities & 1ull << i))
            continue;
        capng_type_t kinds = CAPNG_PERMITTED | (effective & 1ull << i ? CAPNG_EFFECTIVE : 0);
        if (capng_update(CAPNG_ADD, kinds, i) < 0)
            return -EINVAL;
    }
    return 0;
}

int os_capabilities_limit(uint64_t permitted, uint64_t effective, struct error *e)
{
    capng_get_caps_process();
    for (unsigned i = 0; i <= CAP_LAST_CAP; i++)
        if (!(permitted & 1ull << i))
            capng_update(CAPNG_DROP, CAPNG_BOUNDING_SET, i);
    if (keep_capabilities(permitted, effective) < 0 || capng_apply(CAPNG_SELECT_BOTH) < 0)
        return error_set(e, -EPERM, "capabilities cannot be limited");
    return 0;
}

static int become(const struct os_sandbox *sandbox, struct error *e)
{
    // Dropping the bounding set and changing the user are made with full permissions: the parent gives its children
    // its permitted set, root's exec makes it effective.
    // Where the parent is not root, neither (the hub may be so): there is nothing to give up.
    if (geteuid() != 0 && geteuid() == sandbox->uid && !sandbox->capabilities)
        return 0;
    capng_get_caps_process();
    if (keep_capabilities(sandbox->capabilities, sandbox->capabilities) < 0)
        return error_set(e, -EINVAL, "unknown capability for role %s", sandbox->name);
    int r = capng_change_id((int)sandbox->uid, (int)sandbox->uid,
                            CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING | CAPNG_CLEAR_AMBIENT);
    if (r < 0) {
        error_set(e, -EPERM, "role %s cannot become user %u (step %d of libcap-ng)", sandbox->name,
                  sandbox->uid, r);
        error_way_out(e, "the agent needs root with CAP_SETUID, CAP_SETGID and CAP_SETPCAP");
        return -EPERM;
    }
    return 0;
}

int os_sandbox_enter(const struct os_sandbox *sandbox, char ret_weaker[160], struct error *e)
{
    char weaker[160] = "";
    struct rlimit none = {0, 0};
    prctl(PR_SET_NAME, sandbox->name);
    set_priority(sandbox, weaker, sizeof(weaker));
    if (sandbox->lock_memory)
        lock_memory(weaker, sizeof(weaker));
    if (setrlimit(RLIMIT_CORE, &none) < 0)
        return error_set(e, -errno, "core files cannot be switched off: %s", strerror(errno));
    int r = become(sandbox, e);
    if (r < 0)
        return r;
    // After the change of user, which resets both.
    if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_set(e, -errno, "role %s: prctl: %s", sandbox->name, strerror(errno));
    r = os_calls_limit(sandbox->allow, sandbox->calls, e);
    if (r < 0)
        return r;
    if (ret_weaker)
        memcpy(ret_weaker, weaker, sizeof(weaker));
    return 0;
}
