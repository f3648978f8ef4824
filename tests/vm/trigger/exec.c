// SPDX-License-Identifier: Apache-2.0
// Program starts of every form. What is started is a copy of this program in the scratch folder, which ends at once.
#include "account.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static char program[512];

static void copy_to(int to)
{
    char buffer[65536];
    ssize_t n;
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    while ((n = read(from, buffer, sizeof buffer)) > 0)
        if (write(to, buffer, (size_t)n) != n)
            account_failed("copy");
    close(from);
    if (n < 0 || fchmod(to, 0755) < 0)
        account_failed("copy");
}

static void copy_as(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    if (fd < 0)
        account_failed(path);
    copy_to(fd);
    close(fd);
}

// What every exec here has in common; the line is still open.
static void begin(pid_t pid, const char *image, char *const *argv)
{
    account_begin("exec");
    account_field("ProcessId");
    account_value(account_number((uint64_t)pid), strlen(account_number((uint64_t)pid)));
    if (image) {
        account_field("Image");
        account_value(image, strlen(image));
    }
    account_list("Argv", argv);
    account_field("ParentProcessId");
    account_value(account_pid(), strlen(account_pid()));
}

static void field(const char *name, const char *value)
{
    account_field(name);
    account_value(value, strlen(value));
}

static pid_t begin_child(void)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        account_failed("fork");
    return pid;
}

static void wait_for(pid_t pid)
{
    int status;
    if (waitpid(pid, &status, 0) < 0 || status != 0) {
        fprintf(stderr, "what was started ended with status %#x\n", status);
        exit(1);
    }
}

static pid_t run(char *const *argv, char *const *environment)
{
    pid_t pid = begin_child();
    if (pid == 0) {
        execve(program, argv, environment);
        _exit(126);
    }
    wait_for(pid);
    return pid;
}

static void arguments(void)
{
    char *none[] = {NULL};
    char *odd[] = {"a name with blanks", "end", "two words", "",        "a\nline", "caf\xc3\xa9",
                   "\xff\xfe not UTF-8", "50%", "*",         "\x1b[2J", NULL};
    begin(run(odd, none), program, odd);
    account_end();
    static char large[20000];
    memset(large, 'x', sizeof large - 1);
    char *longer[] = {"long", "end", large, NULL};
    begin(run(longer, none), program, longer);
    account_end();
}

static void environment(void)
{
    char *argv[] = {"environment", "end", NULL};
    char *given[] = {"HOME=/nowhere", "LD_PRELOAD=/nowhere/a library.so",
                     "LD_LIBRARY_PATH=/nowhere", NULL};
    char *seen[] = {given[1], given[2], NULL};
    begin(run(argv, given), program, argv);
    account_list("Environment", seen);
    account_end();
}

static void script(const char *scratch)
{
    char path[600], *argv[] = {path, "an argument", NULL};
    snprintf(path, sizeof path, "%s/a script", scratch);
    FILE *file = fopen(path, "we");
    if (!file || fprintf(file, "#!%s end\n", program) < 0 || fclose(file) || chmod(path, 0755))
        account_failed(path);
    char *seen[] = {program, "end", path, "an argument", NULL};
    pid_t pid = begin_child();
    if (pid == 0) {
        execv(path, argv);
        _exit(126);
    }
    wait_for(pid);
    begin(pid, program, seen);
    field("Script", path);
    account_end();
}

static void without_a_path(const char *scratch)
{
    char path[600], *argv[] = {"nameless", "end", NULL}, *none[] = {NULL};
    int memory = (int)syscall(SYS_memfd_create, "hidden", MFD_CLOEXEC);
    if (memory < 0)
        account_failed("memfd_create");
    copy_to(memory);
    pid_t pid = begin_child();
    if (pid == 0) {
        syscall(SYS_execveat, memory, "", argv, none, AT_EMPTY_PATH);
        _exit(126);
    }
    wait_for(pid);
    begin(pid, "memfd:hidden", argv);
    field("process.image.memory_only", "true");
    account_end();

    snprintf(path, sizeof path, "%s/deleted", scratch);
    copy_as(path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || unlink(path) < 0)
        account_failed(path);
    pid = begin_child();
    if (pid == 0) {
        syscall(SYS_execveat, fd, "", argv, none, AT_EMPTY_PATH);
        _exit(126);
    }
    wait_for(pid);
    begin(pid, path, argv);
    field("process.image.deleted", "true");
    field("process.image.memory_only", "");
    account_end();
}

static void who_and_where(const char *scratch)
{
    char *argv[] = {"nobody", "end", NULL}, *none[] = {NULL};
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        account_failed("socketpair");
    pid_t pid = begin_child();
    if (pid == 0) {
        if (chdir(scratch) || setgroups(0, NULL) || setresgid(65533, 65533, 65533) ||
            setresuid(65532, 65532, 65532) || dup2(pair[0], 0) || dup2(pair[0], 1) != 1)
            _exit(125);
        execve("./program", argv, none);
        _exit(126);
    }
    wait_for(pid);
    close(pair[0]);
    close(pair[1]);
    begin(pid, program, argv);
    field("CurrentDirectory", scratch);
    field("process.credentials.uid", "65532");
    field("process.credentials.euid", "65532");
    field("process.credentials.gid", "65533");
    field("process.credentials.egid", "65533");
    field("process.credentials.capabilities", "0");
    account_end();
}

static char *thread_argv[] = {"thread", "end", NULL};

static void *exec_here(void *tid)
{
    char *none[] = {NULL};
    pid_t own = (pid_t)syscall(SYS_gettid);
    if (write(*(int *)tid, &own, sizeof own) == sizeof own)
        execve(program, thread_argv, none);
    _exit(126);
}

static void from_a_thread(void)
{
    int ends[2];
    pid_t tid = 0;
    if (pipe(ends) < 0)
        account_failed("pipe");
    pid_t pid = begin_child();
    if (pid == 0) {
        pthread_t thread;
        pthread_create(&thread, NULL, exec_here, &ends[1]);
        pthread_join(thread, NULL);
        _exit(125);
    }
    wait_for(pid);
    if (read(ends[0], &tid, sizeof tid) != sizeof tid)
        account_failed("read");
    begin(pid, program, thread_argv);
    field("exec.replaced_thread.pid", account_number((uint64_t)tid));
    account_end();
}

static void failed_ones(const char *scratch)
{
    char path[600], *argv[] = {"never ran", "end", NULL}, *none[] = {NULL};
    snprintf(path, sizeof path, "%s/no such program", scratch);
    pid_t pid = begin_child();
    if (pid == 0)
        _exit(execve(path, argv, none) == -1 && errno == ENOENT ? 0 : 126);
    wait_for(pid);
    account_absent("exec", "ProcessId", account_number((uint64_t)pid), NULL);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "end") == 0)
        return 0;
    if (argc != 2)
        return 2;
    snprintf(program, sizeof program, "%s/program", argv[1]);
    copy_as(program);
    arguments();
    environment();
    script(argv[1]);
    without_a_path(argv[1]);
    who_and_where(argv[1]);
    from_a_thread();
    failed_ones(argv[1]);
    return 0;
}
