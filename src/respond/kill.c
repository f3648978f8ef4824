// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "os/process.h"
#include "respond/respond.h"
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>

// The pidfd comes first: whatever /proc says about the pid afterwards is either about the process that the pidfd names or
// about a later one with another start time.
static int reach(struct respond_target target, const uint32_t *protected_pids, unsigned n_protected,
                 int *ret_fd)
{
    if (target.pid <= 1 || target.pid > INT32_MAX || target.pid == (uint32_t)getpid())
        return -EPERM;
    for (unsigned i = 0; i < n_protected; i++)
        if (protected_pids[i] == target.pid)
            return -EPERM;
    _cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, (pid_t)target.pid, 0);
    if (fd < 0) // EINVAL: a thread that leads no process
        return errno == EINVAL ? -ESRCH : -errno;
    struct os_process process;
    int r = os_process_read((pid_t)target.pid, &process);
    if (r < 0)
        return r;
    if (process.start_ns / OS_START_STEP_NS != target.start_ns / OS_START_STEP_NS)
        return -ESTALE;
    if (process.kernel_thread)
        return -EPERM;
    if (process.state == 'Z' || process.state == 'X')
        return -ESRCH;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int respond_kill(struct respond_target target, const uint32_t *protected_pids, unsigned n_protected)
{
    _cleanup_close_ int fd = -1;
    int r = reach(target, protected_pids, n_protected, &fd);
    if (r < 0)
        return r;
    return syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) < 0 ? -errno : 0;
}

int respond_may_kill(struct respond_target target, const uint32_t *protected_pids,
                     unsigned n_protected)
{
    _cleanup_close_ int fd = -1;
    return reach(target, protected_pids, n_protected, &fd);
}
