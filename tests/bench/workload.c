// SPDX-License-Identifier: Apache-2.0
// The workloads of `make bench`, one a run: bench-workload NAME FOLDER. Each does a fixed amount of one thing and nothing
// else; tests/bench/run measures what it costs. FOLDER is a scratch folder; `nothing` (beside this program) is what spawn
// runs. To add one: a function and a line in `workloads`, and its goal in tests/bench/run.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int failed(const char *what)
{
    fprintf(stderr, "bench-workload: %s: %s\n", what, strerror(errno));
    return 1;
}

static int spawn(const char *program)
{
    char *const argv[] = {"nothing", "with", "three", "arguments", NULL};
    for (int i = 0; i < 600; i++) {
        pid_t pid;
        int status;
        errno = posix_spawn(&pid, program, NULL, NULL, argv, environ);
        if (errno)
            return failed(program);
        if (waitpid(pid, &status, 0) < 0 || status != 0)
            return failed("wait");
    }
    return 0;
}

static int fork_storm(const char *program)
{
    (void)program;
    for (int i = 0; i < 4000; i++) {
        pid_t pid = fork();
        if (pid < 0)
            return failed("fork");
        if (pid == 0)
            _exit(0);
        if (waitpid(pid, NULL, 0) < 0)
            return failed("wait");
    }
    return 0;
}

static int connect_storm(const char *program)
{
    (void)program;
    // Several listeners, so that closed connections never use the ports of one up.
    for (int l = 0; l < 4; l++) {
        struct sockaddr_in address = {.sin_family = AF_INET};
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
            listen(listener, 16) < 0 ||
            getsockname(listener, (struct sockaddr *)&address, &size) < 0)
            return failed("listen");
        for (int i = 0; i < 3000; i++) {
            int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            if (client < 0 || connect(client, (struct sockaddr *)&address, sizeof address) < 0)
                return failed("connect");
            int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
            if (server < 0)
                return failed("accept");
            close(client);
            close(server);
        }
        close(listener);
    }
    return 0;
}

static int open_storm(const char *program)
{
    (void)program;
    char buffer[64];
    int fd = open("read-me", O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "sixty-four bytes or fewer", 25) != 25)
        return failed("read-me");
    close(fd);
    for (int i = 0; i < 120000; i++) {
        fd = open("read-me", O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, buffer, sizeof buffer) != 25)
            return failed("read-me");
        close(fd);
    }
    return 0;
}

static int file_storm(const char *program)
{
    (void)program;
    for (int i = 0; i < 12000; i++) {
        int fd = open("new", O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, "text\n", 5) != 5)
            return failed("new");
        close(fd);
        if (rename("new", "renamed") < 0 || unlink("renamed") < 0)
            return failed("rename");
    }
    return 0;
}

static int getppid_storm(const char *program)
{
    (void)program;
    for (int i = 0; i < 2000000; i++)
        if (syscall(SYS_getppid) < 0)
            return failed("getppid");
    return 0;
}

static const struct {
    const char *name;
    int (*run)(const char *program);
} workloads[] = {
    {"spawn", spawn},     {"fork", fork_storm}, {"conn", connect_storm},
    {"open", open_storm}, {"file", file_storm}, {"getppid", getppid_storm},
};

int main(int argc, char **argv)
{
    char program[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - sizeof "bench-nothing");
    char *slash = n > 0 ? memrchr(program, '/', (size_t)n) : NULL;
    if (argc != 3 || !slash) {
        fputs("usage: bench-workload NAME FOLDER\n", stderr);
        return 2;
    }
    memcpy(slash + 1, "bench-nothing", sizeof "bench-nothing");
    if (chdir(argv[2]) < 0)
        return failed(argv[2]);
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        if (strcmp(argv[1], workloads[i].name) == 0)
            return workloads[i].run(program);
    fprintf(stderr, "bench-workload: no workload %s\n", argv[1]);
    return 2;
}
