// SPDX-License-Identifier: Apache-2.0
// For tests that run the real daemon: starts it in folders of its own, guarding only a private mount namespace, waits for
// a state, runs programs in that namespace, ends it. Nothing here measures time, but every wait has an end.
#pragma once
#include "base/cleanup.h"
#include "base/test.h"
#include "link/control.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define AGENT_WORD "tiercel-test-forbidden" // a command line with it is refused by this rule
#define AGENT_RULE                                                                                 \
    "title: Word of the test\nid: 7f1d8a52-0c51-4a0e-9d0a-5a3c0f2f7a11\nstatus: test\n"            \
    "logsource:\n    product: linux\n    category: process_creation\n"                             \
    "detection:\n    word:\n        CommandLine|contains: " AGENT_WORD "\n    condition: word\n"   \
    "level: high\ntiercel:\n    action: prevent\n"

struct agent {
    pid_t pid, namespace_pid; // the latter: in a mount namespace of its own
    int to_namespace, from_namespace;
    char folder[64]; // rules, state, run and log are below
};
struct agent_command {
    char path[128], argument[64];
};

static inline void agent_path(const struct agent *a, const char *name, char ret[160])
{
    snprintf(ret, 160, "%s/%s", a->folder, name);
}

static inline void agent_daemon(char ret[512])
{
    ssize_t n = readlink("/proc/self/exe", ret, 400);
    assert_true(n > 0);
    ret[n] = 0;
    strcpy(strrchr(ret, '/'), "/../src/tierceld");
}

// Errno of execve by a pipe that a successful one closes; an end after ten seconds.
static inline int agent_try(const struct agent_command *c)
{
    int channel[2], error = 0, status;
    if (pipe2(channel, O_CLOEXEC) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0) {
        char *argv[] = {(char *)c->path, (char *)c->argument, NULL};
        execve(c->path, argv, (char *[]){NULL});
        error = errno;
        _exit(write(channel[1], &error, sizeof(error)) == sizeof(error) ? 127 : 126);
    }
    close(channel[1]);
    struct pollfd p = {.fd = channel[0], .events = POLLIN};
    int r = poll(&p, 1, 10000);
    ssize_t n = r == 1 ? read(channel[0], &error, sizeof(error)) : 0;
    close(channel[0]);
    if (r != 1)
        kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return r != 1               ? -ETIME
           : n == sizeof(error) ? -error
           : WIFEXITED(status)  ? WEXITSTATUS(status)
                                : 200;
}

static inline void agent_namespace_serve(int from, int to)
{
    struct agent_command c;
    int result = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        _exit(1);
    while (write(to, &result, sizeof(result)) == sizeof(result) &&
           read(from, &c, sizeof(c)) == sizeof(c))
        result = agent_try(&c);
    _exit(0);
}

static inline void agent_namespace(struct agent *a)
{
    int down[2], up[2], result;
    assert_int_equal(pipe2(down, O_CLOEXEC), 0);
    assert_int_equal(pipe2(up, O_CLOEXEC), 0);
    a->namespace_pid = fork();
    if (a->namespace_pid == 0) {
        close(down[1]);
        close(up[0]);
        agent_namespace_serve(down[0], up[1]);
    }
    close(down[0]);
    close(up[1]);
    a->to_namespace = down[1];
    a->from_namespace = up[0];
    assert_int_equal(read(up[0], &result, sizeof(result)), sizeof(result));
}

// Runs a program in the namespace: its exit status, or negative errno of execve; -ETIME when it stood still for 10 s.
static inline int agent_exec(const struct agent *a, const char *path, const char *argument)
{
    struct agent_command c = {0};
    int result;
    snprintf(c.path, sizeof(c.path), "%s", path);
    snprintf(c.argument, sizeof(c.argument), "%s", argument);
    assert_int_equal(write(a->to_namespace, &c, sizeof(c)), sizeof(c));
    assert_int_equal(read(a->from_namespace, &result, sizeof(result)), sizeof(result));
    return result;
}

static inline pid_t agent_spawn(char *const argv[], const char *log, uid_t uid)
{
    char daemon[512];
    agent_daemon(daemon);
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int program = open(daemon, O_PATH | O_CLOEXEC); // its folder may be closed to that user
        if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0 || (uid && setuid(uid) < 0))
            _exit(98);
        fexecve(program, argv, environ);
        _exit(99);
    }
    return pid;
}

static inline void agent_start(struct agent *a, const char *mode)
{
    char rules[160], state[160], run[160], log[160], rule[200], scope[40];
    strcpy(a->folder, "/tmp/tiercel-agent-XXXXXX");
    assert_non_null(mkdtemp(a->folder));
    agent_path(a, "rules", rules);
    agent_path(a, "state", state);
    agent_path(a, "run", run);
    agent_path(a, "log", log);
    assert_int_equal(mkdir(rules, 0755), 0);
    snprintf(rule, sizeof(rule), "%s/word.yml", rules);
    _cleanup_fclose_ FILE *f = fopen(rule, "we");
    assert_non_null(f);
    assert_true(fputs(AGENT_RULE, f) >= 0);
    fflush(f);
    agent_namespace(a);
    snprintf(scope, sizeof(scope), "namespace:%d", a->namespace_pid);
    char *argv[] = {"tierceld", "--mode",    (char *)mode, "--rules", rules, "--state",
                    state,      "--run-dir", run,          "--scope", scope, NULL};
    a->pid = agent_spawn(argv, log, 0);
    assert_true(a->pid > 0);
}

static inline void agent_fail(const struct agent *a, const char *what)
{
    char path[160], text[4096] = "";
    agent_path(a, "log", path);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = 0;
    kill(a->pid, SIGTERM);
    fail_msg("%s; the daemon said:\n%s", what, text);
}

static inline int agent_call(const struct agent *a, enum control_verb verb, uint32_t mode,
                             struct control_status *ret)
{
    static struct control_reply reply;
    struct control_request request = {.verb = verb, .mode = mode};
    struct error e = {0};
    char path[160];
    agent_path(a, "run/control.sock", path);
    int r = control_call(path, &request, &reply, &e);
    if (r == 0 && reply.has_status && ret)
        *ret = reply.status;
    return r;
}

// Asks again and again until `is` says yes; a minute at most.
static inline void agent_wait(const struct agent *a, const char *what,
                              bool (*is)(const struct control_status *, const void *),
                              const void *context, struct control_status *ret)
{
    for (int i = 0; i < 1200; i++) {
        if (agent_call(a, CONTROL_STATUS, 0, ret) == 0 && is(ret, context))
            return;
        if (waitpid(a->pid, NULL, WNOHANG) != 0)
            agent_fail(a, "the daemon ended");
        poll(NULL, 0, 50);
    }
    agent_fail(a, what);
}

static inline void agent_remove(const char *folder)
{
    pid_t pid = fork();
    if (pid == 0)
        execl("/bin/rm", "rm", "-rf", folder, (char *)NULL);
    waitpid(pid, NULL, 0);
}

// Exit status of the daemon after the signal (0: none is sent); 200 when a signal ended it.
static inline int agent_end(struct agent *a, int signal)
{
    int status;
    if (signal)
        kill(a->pid, signal);
    for (int i = 0; i < 600 && waitpid(a->pid, &status, WNOHANG) == 0; i++) {
        if (i == 599)
            agent_fail(a, "the daemon does not end");
        poll(NULL, 0, 50);
    }
    close(a->to_namespace);
    close(a->from_namespace);
    waitpid(a->namespace_pid, NULL, 0);
    agent_remove(a->folder);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}
