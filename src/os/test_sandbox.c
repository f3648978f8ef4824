// SPDX-License-Identifier: Apache-2.0
// Each test enters a sandbox in a child, which says by its exit status what came of it.
#include "base/test.h"
#include "os/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define USER 47890

static struct os_sandbox sandbox(unsigned allow)
{
    return (struct os_sandbox){.name = "sandbox-test", .uid = USER, .allow = allow};
}

static int run(int (*child)(const struct os_sandbox *), struct os_sandbox s)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct error e = {0};
        if (os_sandbox_enter(&s, NULL, &e) < 0) {
            fprintf(stderr, "%s\n", e.what);
            _exit(99);
        }
        _exit(child(&s));
    }
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static uint64_t status_number(const char *text, const char *name, int base)
{
    const char *at = strstr(text, name);
    return at ? strtoull(at + strlen(name), NULL, base) : UINT64_MAX;
}

static int look_at_self(const struct os_sandbox *s)
{
    char text[4096] = {0};
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
        return 1;
    if (getuid() != s->uid || geteuid() != s->uid || getgid() != s->uid ||
        !strstr(text, "Groups:\t \n"))
        return 2;
    if (status_number(text, "CapEff:\t", 16) != s->capabilities ||
        status_number(text, "CapPrm:\t", 16) != s->capabilities)
        return 3;
    if (status_number(text, "CapBnd:\t", 16) || status_number(text, "CapInh:\t", 16) ||
        status_number(text, "CapAmb:\t", 16))
        return 4;
    if (status_number(text, "NoNewPrivs:\t", 10) != 1 || status_number(text, "Seccomp:\t", 10) != 2)
        return 5;
    struct rlimit core;
    getrlimit(RLIMIT_CORE, &core);
    return core.rlim_max ? 6 : 0;
}

static void test_user_capabilities_and_filter_are_in_force(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct os_sandbox s = sandbox(OS_OPEN_READ);
    assert_int_equal(run(look_at_self, s), 0);
    s.capabilities = 1ull << CAP_KILL | 1ull << CAP_SYS_PTRACE;
    assert_int_equal(run(look_at_self, s), 0);
}

#define REFUSED(call) (errno = 0, (call) < 0 && errno == EPERM)

static int try_forbidden(const struct os_sandbox *s)
{
    (void)s;
    char *none[] = {NULL};
    pid_t parent = getppid();
    if (!REFUSED(execve("/bin/true", none, none)))
        return 1;
    if (!REFUSED(syscall(SYS_ptrace, 16 /* attach */, parent, 0, 0)))
        return 2;
    if (!REFUSED(syscall(SYS_process_vm_readv, parent, NULL, 0, NULL, 0, 0)) ||
        !REFUSED(syscall(SYS_process_vm_writev, parent, NULL, 0, NULL, 0, 0)))
        return 3;
    if (!REFUSED(syscall(SYS_pidfd_getfd, 0, 0, 0)) || !REFUSED(syscall(SYS_pidfd_open, parent, 0)))
        return 4;
    if (!REFUSED(socket(AF_INET, SOCK_STREAM, 0)) || !REFUSED(socket(AF_UNIX, SOCK_STREAM, 0)))
        return 5;
    if (!REFUSED(syscall(SYS_fork)) || !REFUSED(kill(parent, 0)) ||
        !REFUSED(syscall(SYS_tgkill, parent, parent, 0)))
        return 6;
    if (!REFUSED(syscall(SYS_bpf, 0, NULL, 0)) || !REFUSED(syscall(SYS_io_uring_setup, 1, NULL)))
        return 7;
    if (!REFUSED(mount("a", "/", NULL, 0, NULL)) || !REFUSED(setuid(0)))
        return 8;
    if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        return 9;
    return prctl(PR_SET_DUMPABLE, 1) < 0 ? 0 : 10;
}

static void test_what_gives_power_is_refused(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(run(try_forbidden, sandbox(0)), 0);
    assert_int_equal(run(try_forbidden, sandbox(OS_OPEN_READ | OS_THREADS)), 0);
}

static int try_open(const struct os_sandbox *s)
{
    bool read = s->allow & OS_OPEN_READ;
    if ((open("/proc/self/stat", O_RDONLY) >= 0) != read)
        return 1;
    static const int flags[] = {
        O_WRONLY,          O_RDWR, O_RDONLY | O_CREAT, O_RDONLY | O_TRUNC, O_WRONLY | O_APPEND,
        O_TMPFILE | O_RDWR};
    for (unsigned i = 0; i < sizeof(flags) / sizeof(*flags); i++)
        if (!REFUSED(open("/tmp", flags[i], 0600)) ||
            !REFUSED((int)syscall(SYS_open, "/tmp", flags[i], 0600)))
            return 2 + (int)i;
    if (!REFUSED((int)syscall(SYS_creat, "/tmp/x", 0600)) || !REFUSED(unlink("/tmp/x")) ||
        !REFUSED(rename("/tmp/x", "/tmp/y")))
        return 20;
    errno = 0;
    if (syscall(SYS_openat2, AT_FDCWD, "/proc/self/stat", NULL, 0) >= 0 ||
        errno != (read ? ENOSYS : EPERM))
        return 21;
    return 0;
}

static void test_files_open_for_reading_only(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(run(try_open, sandbox(0)), 0);
    assert_int_equal(run(try_open, sandbox(OS_OPEN_READ)), 0);
}

static void *thread(void *context)
{
    *(int *)context = socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM ? 7 : 8;
    return NULL;
}

static int try_threads(const struct os_sandbox *s)
{
    (void)s;
    pthread_t t;
    int value = 0;
    if (pthread_create(&t, NULL, thread, &value) != 0)
        return 1;
    pthread_join(t, NULL);
    return value == 7 && REFUSED(fork()) ? 0 : 2;
}

static void test_threads_are_held_by_the_same_filter(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(run(try_threads, sandbox(OS_THREADS)), 0);
    assert_int_equal(run(try_threads, sandbox(0)), 1);
}

static int try_memory(const struct os_sandbox *s)
{
    (void)s;
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 200; i++) // over the usual limit of locked memory: must not fail afterwards
        if (mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
            MAP_FAILED)
            return 1;
    return mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0 ? 0 : 2;
}

static void test_locked_memory_does_not_stop_later_allocations(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct os_sandbox s = sandbox(OS_EXECUTABLE_MEMORY);
    s.lock_memory = true;
    assert_int_equal(run(try_memory, s), 0);
}

static int try_abort(const struct os_sandbox *s)
{
    (void)s;
    abort();
}

static void test_abort_ends_the_process(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(run(try_abort, sandbox(0)), 100 + SIGABRT);
}

static void test_without_root_the_reason_is_told(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        struct error e = {0};
        struct os_sandbox s = sandbox(0);
        if (geteuid() == 0 && setuid(65534) < 0)
            _exit(1);
        _exit(os_sandbox_enter(&s, NULL, &e) == -EPERM && strstr(e.way_out, "root") ? 0 : 2);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_user_capabilities_and_filter_are_in_force),
        cmocka_unit_test(test_what_gives_power_is_refused),
        cmocka_unit_test(test_files_open_for_reading_only),
        cmocka_unit_test(test_threads_are_held_by_the_same_filter),
        cmocka_unit_test(test_locked_memory_does_not_stop_later_allocations),
        cmocka_unit_test(test_abort_ends_the_process),
        cmocka_unit_test(test_without_root_the_reason_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
