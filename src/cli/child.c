// SPDX-License-Identifier: Apache-2.0
#include "cli/child.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#define STEP_MS 50

static void become(int log, pid_t parent, const char *program, char *const *argv)
{
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) // it died before the line above
        _exit(127);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
        _exit(127);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    execv(program, argv);
    dprintf(2, "%s: %s\n", program, strerror(errno));
    _exit(127);
}

int child_spawn(struct child_process *c, const char *program, char *const *argv, struct error *e)
{
    int pipes[2];
    *c = (struct child_process){.log = -1};
    if (pipe2(pipes, O_CLOEXEC) < 0)
        return error_set(e, -errno, "no pipe: %s", strerror(errno));
    pid_t own = getpid(), pid = fork();
    if (pid == 0)
        become(pipes[1], own, program, argv);
    int code = pid < 0 ? -errno : 0;
    close(pipes[1]);
    if (code < 0) {
        close(pipes[0]);
        return error_set(e, code, "cannot start %s: %s", program, strerror(-code));
    }
    fcntl(pipes[0], F_SETFL, O_NONBLOCK);
    c->pid = pid;
    c->log = pipes[0];
    return 0;
}

bool child_lives(struct child_process *c)
{
    if (c->pid && waitpid(c->pid, &c->status, WNOHANG) == c->pid)
        c->pid = 0;
    return c->pid != 0;
}

bool child_stop(struct child_process *c, unsigned timeout_ms)
{
    if (!child_lives(c))
        return true;
    kill(c->pid, SIGTERM);
    for (unsigned waited = 0; waited < timeout_ms; waited += STEP_MS) {
        if (!child_lives(c))
            return true;
        nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000}, NULL);
    }
    pid_t session = c->pid;
    kill(-session, SIGKILL);
    waitpid(session, &c->status, 0);
    c->pid = 0;
    return false;
}

bool child_line(struct child_process *c, struct buf *ret)
{
    for (;;) {
        char *end = memchr(c->line, '\n', c->n);
        size_t n = end ? (size_t)(end - c->line) : c->n;
        if (end || c->n == sizeof c->line) {
            size_t taken = end ? n + 1 : n;
            buf_add(ret, c->line, n);
            memmove(c->line, c->line + taken, c->n - taken);
            c->n -= taken;
            return true;
        }
        ssize_t got = c->log >= 0 ? read(c->log, c->line + c->n, sizeof c->line - c->n) : -1;
        if (got <= 0)
            return false;
        c->n += (size_t)got;
    }
}

void child_done(struct child_process *c)
{
    if (c->log >= 0)
        close(c->log);
    *c = (struct child_process){.log = -1};
}
