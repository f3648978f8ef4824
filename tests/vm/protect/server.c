// SPDX-License-Identifier: Apache-2.0
// A stand-in web server that reads files by itself, as PHP's readfile() does: nginx HOW PATH [PATH]. A worker does it, or
// the main process (HOW main). The exit status is the errno, 0 when there was something to read.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int read_it(const char *path)
{
    char text[64];
    int fd = open(path, O_RDONLY);
    return fd < 0 ? errno : read(fd, text, sizeof text) > 0 ? 0 : 99;
}

static int worker(const char *how, char **path)
{
    char name[64];
    if (strcmp(how, "read") == 0)
        return read_it(path[0]);
    if (strcmp(how, "link") == 0)
        return link(path[0], path[1]) < 0 ? errno : read_it(path[1]);
    if (strcmp(how, "rename") == 0)
        return rename(path[0], path[1]) < 0 ? errno : read_it(path[1]);
    if (strcmp(how, "symlink") == 0)
        return symlink(path[0], path[1]) < 0 ? errno : read_it(path[1]);
    if (strcmp(how, "chroot") == 0)
        return chroot(path[0]) < 0 || chdir("/") < 0 ? errno : read_it(path[1]);
    if (strcmp(how, "reopen") == 0) {
        int fd = open(path[0], O_PATH);
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        return fd < 0 ? errno : read_it(name);
    }
    if (strcmp(how, "run") == 0) {
        execv(path[0], path);
        return errno;
    }
    return 98;
}

int main(int argc, char **argv)
{
    int status;
    if (argc < 3)
        return 97;
    if (strcmp(argv[1], "main") == 0)
        return read_it(argv[2]);
    pid_t pid = fork();
    if (pid == 0)
        _exit(worker(argv[1], argv + 2));
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 96;
}
