// SPDX-License-Identifier: Apache-2.0
#include "os/calls.h"
#include "os/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/fanotify.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

// What glibc and any loop over descriptors need, and what gives nothing away.
static const int always[] = {
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(pread64),
    SCMP_SYS(preadv),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(close),
    SCMP_SYS(close_range),
    SCMP_SYS(lseek),
    SCMP_SYS(dup),
    SCMP_SYS(fstat),
    SCMP_SYS(fcntl),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(select),
    SCMP_SYS(pselect6),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(eventfd2),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(timerfd_gettime),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getrandom),
    SCMP_SYS(futex),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(membarrier),
    SCMP_SYS(rseq),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(get_robust_list),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getppid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(getcpu),
    SCMP_SYS(sysinfo),
    SCMP_SYS(uname),
    SCMP_SYS(getrusage),
    SCMP_SYS(signalfd4),
    SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    -1,
};

#define ARGUMENT(n, mask, value) SCMP_CMP64((n), SCMP_CMP_MASKED_EQ, (mask), (value))
#define ALLOW_IF(call, ...) seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(call), 1, __VA_ARGS__)

static int allow_list(scmp_filter_ctx filter, const int *calls)
{
    int r = 0;
    for (size_t i = 0; r == 0 && calls && calls[i] != -1; i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    return r;
}

static int allow_memory(scmp_filter_ctx filter, bool executable)
{
    if (executable) {
        int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 0);
        return r < 0 ? r : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 0);
    }
    int r = ALLOW_IF(mmap, ARGUMENT(2, PROT_EXEC, 0));
    return r < 0 ? r : ALLOW_IF(mprotect, ARGUMENT(2, PROT_EXEC, 0));
}

#define WRITES (O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY) | O_APPEND)
static int allow_reading(scmp_filter_ctx filter, bool how)
{
    static const int looks[] = {SCMP_SYS(newfstatat), SCMP_SYS(stat),       SCMP_SYS(lstat),
                                SCMP_SYS(statx),      SCMP_SYS(statfs),     SCMP_SYS(fstatfs),
                                SCMP_SYS(readlink),   SCMP_SYS(readlinkat), SCMP_SYS(getdents64),
                                SCMP_SYS(access),     SCMP_SYS(faccessat),  SCMP_SYS(faccessat2),
                                SCMP_SYS(getcwd),     SCMP_SYS(fadvise64),  -1};
    int r = allow_list(filter, looks);
    if (r == 0)
        r = ALLOW_IF(openat, ARGUMENT(2, WRITES, O_RDONLY));
    if (r == 0)
        r = ALLOW_IF(open, ARGUMENT(1, WRITES, O_RDONLY));
    // The arguments of openat2 are behind a pointer: nothing that a filter could look at.
    uint32_t answer = how ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(ENOSYS);
    return r < 0 ? r : seccomp_rule_add(filter, answer, SCMP_SYS(openat2), 0);
}

static int allow_threads(scmp_filter_ctx filter)
{
    int r = ALLOW_IF(clone, ARGUMENT(0, CLONE_THREAD, CLONE_THREAD));
    return r < 0 ? r : seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static int allow_maps(scmp_filter_ctx filter)
{
    static const int commands[] = {BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM,
                                   BPF_MAP_GET_NEXT_KEY, BPF_OBJ_GET_INFO_BY_FD};
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(commands) / sizeof(*commands); i++)
        r = ALLOW_IF(bpf, SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)commands[i]));
    return r;
}

static int allow_links(scmp_filter_ctx filter)
{
    static const int commands[] = {BPF_LINK_CREATE, BPF_OBJ_PIN, BPF_OBJ_GET};
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(commands) / sizeof(*commands); i++)
        r = ALLOW_IF(bpf, SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)commands[i]));
    return r;
}

static int allow_files(scmp_filter_ctx filter)
{
    static const int calls[] = {SCMP_SYS(openat),
                                SCMP_SYS(open),
                                SCMP_SYS(unlinkat),
                                SCMP_SYS(renameat),
                                SCMP_SYS(renameat2),
                                SCMP_SYS(linkat),
                                SCMP_SYS(mkdir),
                                SCMP_SYS(mkdirat),
                                SCMP_SYS(fchown),
                                SCMP_SYS(fchmod),
                                SCMP_SYS(utimensat),
                                SCMP_SYS(fsetxattr),
                                SCMP_SYS(fgetxattr),
                                SCMP_SYS(flistxattr),
                                SCMP_SYS(fsync),
                                SCMP_SYS(fdatasync),
                                SCMP_SYS(fallocate),
                                SCMP_SYS(pwrite64),
                                -1};
    return allow_list(filter, calls);
}

static int allow_connect(scmp_filter_ctx filter)
{
    static const int families[] = {AF_INET, AF_INET6, AF_NETLINK};
    static const int calls[] = {SCMP_SYS(connect),     SCMP_SYS(getsockopt),
                                SCMP_SYS(setsockopt),  SCMP_SYS(getsockname),
                                SCMP_SYS(getpeername), SCMP_SYS(sendto),
                                SCMP_SYS(recvfrom),    SCMP_SYS(sendmmsg),
                                SCMP_SYS(shutdown),    -1};
    int r = allow_list(filter, calls);
    for (size_t i = 0; r == 0 && i < sizeof(families) / sizeof(*families); i++)
        r = ALLOW_IF(socket, SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)families[i]));
    if (r == 0) // netlink, to learn this host's own addresses
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(bind), 1,
                             SCMP_A2_32(SCMP_CMP_EQ, (uint32_t)sizeof(struct sockaddr_nl)));
    if (r == 0) // with itself, to wake its own loop
        r = ALLOW_IF(socketpair, SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX));
    if (r == 0)
        r = ALLOW_IF(ioctl, SCMP_A1_32(SCMP_CMP_EQ, FIONREAD));
    return r < 0 ? r : ALLOW_IF(ioctl, SCMP_A1_32(SCMP_CMP_EQ, FIONBIO));
}

static int build(scmp_filter_ctx filter, unsigned allow, const int *calls)
{
    // So that abort() works, and nothing can be sent to others by these.
    int r = ALLOW_IF(tgkill, SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)getpid()));
    if (r == 0)
        r = ALLOW_IF(prctl, SCMP_A0_32(SCMP_CMP_EQ, PR_SET_NAME));
    if (r == 0) // the names of anonymous memory; glibc and sanitizers ask
        r = ALLOW_IF(prctl, SCMP_A0_32(SCMP_CMP_EQ, PR_SET_VMA));
    if (r == 0) // its own limits, within the hard ones
        r = ALLOW_IF(prlimit64, SCMP_A0_32(SCMP_CMP_EQ, 0));
    if (r == 0)
        r = allow_list(filter, always);
    if (r == 0)
        r = allow_memory(filter, allow & OS_EXECUTABLE_MEMORY);
    if (r == 0 && allow & OS_OPEN_READ)
        r = allow_reading(filter, allow & OS_OPEN_HOW);
    if (r == 0 && allow & OS_THREADS)
        r = allow_threads(filter);
    if (r == 0 && allow & OS_BPF_MAPS)
        r = allow_maps(filter);
    if (r == 0 && allow & OS_BPF_LINKS)
        r = allow_links(filter);
    if (r == 0 && allow & OS_FILES)
        r = allow_files(filter);
    if (r == 0 && allow & OS_CONNECT)
        r = allow_connect(filter);
    if (r == 0 && allow & OS_MARK_INODE)
        r = ALLOW_IF(fanotify_mark,
                     ARGUMENT(1, ~(uint64_t)(FAN_MARK_ADD | FAN_MARK_REMOVE) & UINT32_MAX, 0));
    if (r == 0 && allow & OS_OPEN_HANDLE)
        r = ALLOW_IF(open_by_handle_at, ARGUMENT(2, WRITES, O_RDONLY));
    return r < 0 ? r : allow_list(filter, calls);
}

int os_calls_limit(unsigned allow, const int *calls, struct error *e)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter)
        return error_set(e, -ENOMEM, "no memory for the system call filter");
    // Refusals are seen in the kernel's log. Another machine word size (32-bit calls) is not ours: end at once.
    int r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (r == 0) // a balanced tree: fewer comparisons a call than a list
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (r == 0)
        r = build(filter, allow, calls);
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    if (r < 0) {
        error_set(e, r, "the system call filter cannot be set: %s", strerror(-r));
        error_way_out(e, "the kernel needs CONFIG_SECCOMP_FILTER");
    }
    return r;
}
