// SPDX-License-Identifier: Apache-2.0
// Every way into another process, and looks into /proc, which are none.
#include "seen.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static pid_t target;
static char here[16];

static void attach(const char *unused)
{
    (void)unused;
    if (ptrace(PTRACE_ATTACH, target, NULL, NULL) == 0)
        _exit(0);
}

static void read_memory(const char *unused)
{
    struct iovec local = {here, sizeof here}, remote = local;
    (void)unused;
    if (process_vm_readv(target, &local, 1, &remote, 1, 0) == sizeof here)
        _exit(0);
}

static void write_memory(const char *unused)
{
    struct iovec local = {here, sizeof here}, remote = local;
    (void)unused;
    if (process_vm_writev(target, &local, 1, &remote, 1, 0) == sizeof here)
        _exit(0);
}

static void open_memory(const char *for_writing)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", target);
    if (open(path, (*for_writing ? O_RDWR : O_RDONLY) | O_CLOEXEC) >= 0)
        _exit(0);
}

static void take_descriptor(const char *unused)
{
    int fd = (int)syscall(SYS_pidfd_open, target, 0);
    (void)unused;
    if (fd >= 0 && syscall(SYS_pidfd_getfd, fd, 0, 0) >= 0)
        _exit(0);
}

static void only_look(const char *unused)
{
    static const char *const names[] = {"environ", "maps", "status", "stat", "cmdline", "auxv"};
    char path[64], buffer[256];
    (void)unused;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "/proc/%d/%s", target, names[i]);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, buffer, sizeof buffer) < 0)
            return;
        close(fd);
    }
    _exit(0);
}

static void says(void (*act)(const char *), const char *argument, const char *way)
{
    account("access", "ProcessId", account_number((unsigned long)seen_child(act, argument)), "Way",
            way, "TargetProcessId", account_number((unsigned long)target), "OtherUser", "true",
            "TargetImage", "*", "access.target.credentials.uid", "*", "Denied", "", NULL);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    if (seen_how(argv[1], "access", SEEN_NOT) != SEEN_EXACTLY)
        account_skip("functions of the kernel cannot be traced here: access is not seen");
    int ready[2];
    char c;
    if (pipe(ready) < 0 || (target = fork()) < 0)
        account_failed("fork");
    if (target == 0) {
        if (syscall(SYS_setresuid, 65532, 65532, 65532) || write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    if (read(ready[0], &c, 1) != 1)
        account_failed("target");
    says(read_memory, "", "read_memory");
    says(write_memory, "", "write_memory");
    says(open_memory, "", "read_memory");
    says(open_memory, "w", "write_memory");
    says(take_descriptor, "", "descriptor");
    says(attach, "", "attach");
    account_absent("access", "ProcessId", account_number((unsigned long)seen_child(only_look, "")),
                   NULL);
    kill(target, SIGKILL);
    return 0;
}
