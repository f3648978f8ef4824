// SPDX-License-Identifier: Apache-2.0
// Every role's sandbox is entered in a child, and what the role must never do is tried there.
#include "agent/role_table.h"
#include "base/test.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t other;   // a root process that waits
static bool connects; // this role may

#define REFUSED(call) (errno = 0, (call) < 0 && errno == EPERM)
#define HERE(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return __LINE__;                                                                       \
    } while (0)

// What no role may do after its start.
static int try_all(void)
{
    char *none[] = {NULL};
    char byte = 0;
    struct iovec v = {&byte, 1};
    HERE(REFUSED(execve("/bin/true", none, none)));
    HERE(REFUSED((int)syscall(SYS_execveat, AT_FDCWD, "/bin/true", none, none, 0)));
    HERE(REFUSED(fork()));
    HERE(REFUSED((int)syscall(SYS_clone, SIGCHLD | CLONE_VM, 0, 0, 0, 0)));
    HERE(REFUSED((int)ptrace(PTRACE_ATTACH, other, 0, 0)));
    HERE(REFUSED((int)process_vm_writev(other, &v, 1, &v, 1, 0)));
    HERE(REFUSED((int)syscall(SYS_pidfd_getfd, 0, 0, 0)));
    HERE(REFUSED(socket(AF_UNIX, SOCK_STREAM, 0)) && REFUSED(socket(AF_PACKET, SOCK_RAW, 0)));
    HERE(connects ||
         (REFUSED(socket(AF_INET, SOCK_STREAM, 0)) && REFUSED(socket(AF_NETLINK, SOCK_RAW, 0))));
    HERE(REFUSED(listen(0, 1)) && REFUSED(accept4(0, NULL, NULL, 0)));
    HERE(REFUSED(unlink("/tmp/tiercel-role")) && REFUSED(chmod("/tmp", 0700)) &&
         REFUSED(chown("/tmp", 0, 0)) && REFUSED(symlink("/tmp", "/tmp/tiercel-role")));
    HERE(REFUSED(mount("none", "/mnt", "tmpfs", 0, NULL)) && REFUSED(unshare(CLONE_NEWNS)));
    HERE(REFUSED(setuid(0)) && REFUSED((int)syscall(SYS_capset, NULL, NULL)));
    HERE(REFUSED((int)syscall(SYS_init_module, NULL, 0, "")) &&
         REFUSED((int)syscall(SYS_finit_module, 0, "", 0)));
    HERE(REFUSED((int)syscall(SYS_kexec_load, 0, 0, NULL, 0)) &&
         REFUSED((int)syscall(SYS_reboot, 0, 0, 0, NULL)));
    HERE(REFUSED((int)syscall(SYS_io_uring_setup, 1, NULL)) &&
         REFUSED((int)syscall(SYS_userfaultfd, 0)));
    HERE(REFUSED((int)syscall(SYS_perf_event_open, NULL, 0, 0, -1, 0)));
    union bpf_attr attr = {0};
    HERE(REFUSED((int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr))));
    HERE(REFUSED((int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr))));
    HERE(REFUSED((int)syscall(SYS_bpf, BPF_LINK_UPDATE, &attr, sizeof(attr))));
    return 0;
}

// What only the role that moves files may do.
static int try_files(void)
{
    HERE(REFUSED(open("/tmp/tiercel-role", O_WRONLY | O_CREAT, 0600)));
    HERE(REFUSED(open("/dev/null", O_RDWR)) && REFUSED(mkdir("/tmp/tiercel-role", 0700)));
    HERE(REFUSED(fchown(0, 0, 0)) && REFUSED(fchmod(0, 0700)));
    HERE(REFUSED(renameat(AT_FDCWD, "/tmp/tiercel-role", AT_FDCWD, "/tmp/tiercel-role2")));
    HERE(REFUSED(linkat(AT_FDCWD, "/etc/passwd", AT_FDCWD, "/tmp/tiercel-role", 0)));
    return 0;
}

// What only the role that attaches programs may do.
static int try_links(void)
{
    union bpf_attr attr = {0};
    HERE(REFUSED((int)syscall(SYS_bpf, BPF_OBJ_GET, &attr, sizeof(attr))));
    HERE(REFUSED((int)syscall(SYS_bpf, BPF_OBJ_PIN, &attr, sizeof(attr))));
    HERE(REFUSED((int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr))));
    return 0;
}

static int try_sensor(void)
{
    char byte;
    struct iovec v = {&byte, 1};
    HERE(REFUSED((int)process_vm_readv(other, &v, 1, &v, 1, 0)));
    HERE(REFUSED(kill(other, 0)));
    int fd = (int)syscall(SYS_pidfd_open, other, 0);
    HERE(fd >= 0);
    HERE(REFUSED((int)syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0))); // another user's
    HERE(open("/etc/shadow", O_RDONLY) >= 0);
    int group = fanotify_init(FAN_CLASS_CONTENT, O_RDONLY); // its work
    HERE(group >= 0);
    errno = 0; // its user owns nothing but the pins
    HERE(unlinkat(AT_FDCWD, "/etc/passwd", 0) < 0 && errno == EACCES);
    return try_files();
}

static int try_engine(void)
{
    char byte;
    struct iovec mine = {&byte, 1}, theirs = {&other, 1};        // the same address in a fork
    HERE(process_vm_readv(other, &mine, 1, &theirs, 1, 0) == 1); // its work
    HERE(open("/etc/shadow", O_RDONLY) >= 0);
    HERE(REFUSED(kill(other, 0)) && REFUSED((int)syscall(SYS_tgkill, other, other, 0)));
    HERE(REFUSED((int)syscall(SYS_pidfd_send_signal, 0, 0, NULL, 0)));
    HERE(REFUSED(fanotify_init(FAN_CLASS_CONTENT, O_RDONLY)));
    HERE(REFUSED(fanotify_mark(0, FAN_MARK_FLUSH, 0, AT_FDCWD, "/")));
    HERE(REFUSED(
        fanotify_mark(0, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN_EXEC_PERM, AT_FDCWD, "/")));
    HERE(REFUSED(fanotify_mark(0, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK, FAN_OPEN_EXEC_PERM,
                               AT_FDCWD, "/bin/true")));
    errno = 0;
    HERE(fanotify_mark(0, FAN_MARK_ADD, FAN_OPEN_EXEC_PERM, AT_FDCWD, "/bin/true") < 0 &&
         errno != EPERM);
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/mem", other);
    HERE(REFUSED(open(path, O_RDWR)) && REFUSED(open(path, O_WRONLY)));
    int line = try_files();
    return line ? line : try_links();
}

static int try_nothing(void)
{
    char byte;
    struct iovec v = {&byte, 1};
    HERE(REFUSED((int)process_vm_readv(other, &v, 1, &v, 1, 0)));
    HERE(REFUSED(fanotify_init(FAN_CLASS_CONTENT, O_RDONLY)));
    HERE(REFUSED(fanotify_mark(0, FAN_MARK_ADD, FAN_OPEN_EXEC_PERM, AT_FDCWD, "/bin/true")));
    union bpf_attr attr = {0};
    HERE(REFUSED((int)syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr))));
    return try_links();
}

static int try_warden(void)
{
    HERE(REFUSED(open("/dev/null", O_RDONLY)) && REFUSED(open("/proc/self/stat", O_RDONLY)));
    HERE(REFUSED(kill(other, 0)) && REFUSED((int)syscall(SYS_pidfd_open, other, 0)));
    HERE(REFUSED((int)syscall(SYS_pidfd_send_signal, 0, 0, NULL, 0)));
    int line = try_files();
    return line ? line : try_nothing();
}

static int try_respond(void)
{
    int file = open("/tmp", O_TMPFILE | O_RDWR, 0600); // its work
    HERE(file >= 0 && fchown(file, 1234, 1234) == 0 && fchmod(file, 04755) == 0);
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/mem",
             other); // another's memory: ptrace, which it may not
    errno = 0;
    HERE(open(path, O_RDWR) < 0 && errno == EACCES);
    int fd = (int)syscall(SYS_pidfd_open, other, 0);
    HERE(fd >= 0 && syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == 0); // its work
    HERE(REFUSED(kill(other, 0)));
    return try_nothing();
}

static int try_guardian(void)
{
    errno = 0;
    HERE(open("/etc/shadow", O_RDONLY) < 0 && errno == EACCES);
    HERE(kill(other, 0) == 0); // its work
    int line = try_files();
    return line ? line : try_nothing();
}

static int try_uplink(void)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    HERE(fd >= 0); // its work
    HERE(REFUSED(bind(fd, (struct sockaddr *)&here, sizeof(here))) && REFUSED(listen(fd, 1)));
    errno = 0;
    HERE(open("/etc/shadow", O_RDONLY) < 0 && errno == EACCES);
    HERE(REFUSED(kill(other, 0)) && REFUSED((int)syscall(SYS_pidfd_open, other, 0)));
    int line = try_files();
    return line ? line : try_nothing();
}

static int (*const tries[ROLE_COUNT])(void) = {
    [ROLE_SENSOR] = try_sensor,   [ROLE_ENGINE] = try_engine,     [ROLE_WARDEN] = try_warden,
    [ROLE_RESPOND] = try_respond, [ROLE_GUARDIAN] = try_guardian, [ROLE_UPLINK] = try_uplink,
};

static void test_forbidden_calls_are_refused_in_every_role(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    other = fork();
    if (other == 0)
        for (;;)
            pause();
    for (enum role role = ROLE_PARENT + 1; role < ROLE_COUNT; role++) {
        int result[2] = {-1, -1}, channel[2], status;
        assert_int_equal(pipe(channel), 0);
        pid_t pid = fork();
        if (pid == 0) {
            struct error e = {0};
            if (os_sandbox_enter(&role_spec(role)->sandbox, NULL, &e) < 0)
                _exit(1);
            connects = role == ROLE_UPLINK;
            int line[2] = {try_all(), tries[role]()};
            _exit(write(channel[1], line, sizeof(line)) == sizeof(line) ? 0 : 2);
        }
        close(channel[1]);
        assert_int_equal(read(channel[0], result, sizeof(result)), sizeof(result));
        close(channel[0]);
        waitpid(pid, &status, 0);
        if (result[0] || result[1])
            fail_msg("role %d: line %d, line %d", role, result[0], result[1]);
        assert_int_equal(status, 0);
    }
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
}

static void test_users_differ_and_only_the_sensor_has_admin(void **state)
{
    (void)state;
    uint64_t admin = 1ull << CAP_SYS_ADMIN;
    for (enum role a = ROLE_PARENT + 1; a < ROLE_COUNT; a++) {
        const struct os_sandbox *s = &role_spec(a)->sandbox;
        assert_true(s->uid > ROLE_UID_BASE && s->uid < 65534);
        assert_int_equal((s->capabilities & admin) != 0, a == ROLE_SENSOR);
        assert_true((s->capabilities & ~role_parent_permitted()) == 0);
        assert_true(strlen(s->name) <= 15);
        for (enum role b = a + 1; b < ROLE_COUNT; b++)
            assert_true(s->uid != role_spec(b)->sandbox.uid);
    }
    assert_int_equal(role_spec(ROLE_WARDEN)->sandbox.capabilities, 0);
    assert_int_equal(role_spec(ROLE_UPLINK)->sandbox.capabilities, 0);
    assert_int_equal(role_spec(ROLE_RESPOND)->sandbox.capabilities,
                     1ull << CAP_KILL | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_CHOWN |
                         1ull << CAP_FOWNER | 1ull << CAP_FSETID | 1ull << CAP_SETFCAP);
    assert_int_equal(role_spec(ROLE_GUARDIAN)->sandbox.capabilities, 1ull << CAP_KILL);
    assert_int_equal(role_spec(ROLE_ENGINE)->sandbox.capabilities,
                     1ull << CAP_SYS_PTRACE | 1ull << CAP_DAC_READ_SEARCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forbidden_calls_are_refused_in_every_role),
        cmocka_unit_test(test_users_differ_and_only_the_sensor_has_admin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
