// SPDX-License-Identifier: Apache-2.0
// The parent: starts the roles, joins front and core, starts anew what ended. Reads nothing from any but that they are
// ready. The hub takes events without the joining of attempts, never without the others.
#include "base/cleanup.h"
#include "hub/state.h"
#include "os/process.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

enum { FRONT, CORE, JOINED, ATTEMPTS = JOINED, SIGNER, EGRESS, ROLES };
static const char *const names[ROLES] = {"front", "core", "attempts", "signer", "egress"};
#define WAIT_MAX 50    // failures that a wait before the next start is counted from
#define FAILURES_MAX 5 // starts in a row that did not get as far as being ready

struct child {
    pid_t pid; // 0: not running
    int channel;
    bool ready;
    unsigned failures;
    uint64_t start_at_ns; // not before
};

struct parent {
    const struct hub_setup *setup;
    struct child children[ROLES];
    int signals;
    bool said;
};

static int start(struct parent *p, unsigned role)
{
    struct child *c = &p->children[role];
    int pair[2], r = link_pair(pair);
    if (r < 0)
        return r;
    c->pid = fork();
    if (c->pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        // A channel that is number 3 already would keep its close-on-exec.
        if (pair[1] == HUB_CHANNEL ? fcntl(HUB_CHANNEL, F_SETFD, 0) < 0
                                   : dup2(pair[1], HUB_CHANNEL) < 0)
            _exit(1);
        char *argv[] = {(char *)"tiercel-hub", (char *)"-x", (char *)(uintptr_t)names[role], NULL};
        char *environment[] = {(char *)"TZ=UTC0", NULL};
        execve("/proc/self/exe", argv, environment);
        _exit(1);
    }
    close(pair[1]);
    if (c->pid < 0) {
        close(pair[0]);
        c->pid = 0;
        return -errno;
    }
    c->channel = pair[0];
    c->ready = false;
    return link_send(c->channel, HUB_SETUP, p->setup, sizeof *p->setup, NULL, 0, 1);
}

// Both get one end of a new pair; what was said over an older one is lost, and asked for again by the agents.
static int join(struct parent *p)
{
    int pair[2] = {-1, -1}, r = link_pair(pair);
    for (unsigned i = 0; r == 0 && i < JOINED; i++)
        r = link_send(p->children[i].channel, HUB_PEER, NULL, 0, &pair[i], 1, 1);
    if (pair[0] >= 0) {
        close(pair[0]);
        close(pair[1]);
    }
    return r;
}

static void join_signer(struct parent *p)
{
    static const unsigned who[2] = {CORE, SIGNER};
    int pair[2];
    if (!p->children[CORE].pid || !p->children[SIGNER].pid || link_pair(pair) < 0)
        return;
    for (unsigned i = 0; i < 2; i++)
        (void)link_send(p->children[who[i]].channel, HUB_SIGNER, NULL, 0, &pair[i], 1, 1);
    close(pair[0]);
    close(pair[1]);
}

// Core and the role that carries outputs; what was on its way is sent again.
static void join_egress(struct parent *p)
{
    int pair[2];
    if (!p->children[CORE].pid || !p->children[EGRESS].pid || link_pair(pair) < 0)
        return;
    (void)link_send(p->children[CORE].channel, HUB_EGRESS, NULL, 0, &pair[0], 1, 1);
    (void)link_send(p->children[EGRESS].channel, HUB_PEER, NULL, 0, &pair[1], 1, 1);
    close(pair[0]);
    close(pair[1]);
}

static int start_missing(struct parent *p)
{
    uint64_t now = os_monotonic_ns();
    bool started = false, signer = false, egress = false;
    for (unsigned i = 0; i < ROLES; i++) {
        struct child *c = &p->children[i];
        if (c->pid)
            continue;
        if (now < c->start_at_ns)
            continue;
        int r = start(p, i);
        if (r < 0 && r != -EPIPE)
            return r;
        started = started || i < JOINED;
        signer = signer || i == CORE || i == SIGNER;
        egress = egress || i == CORE || i == EGRESS;
    }
    if (started && p->children[FRONT].pid && p->children[CORE].pid)
        (void)join(p); // one that has ended meanwhile is noticed by its signal
    if (signer)
        join_signer(p);
    if (egress)
        join_egress(p);
    return 0;
}

static int reap(struct parent *p)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (unsigned i = 0; i < ROLES; i++) {
            struct child *c = &p->children[i];
            if (c->pid != pid)
                continue;
            close(c->channel);
            c->pid = 0;
            c->failures = c->ready ? 0 : c->failures < WAIT_MAX ? c->failures + 1 : WAIT_MAX;
            c->start_at_ns = os_monotonic_ns() + (uint64_t)c->failures * 200000000;
            fprintf(stderr, "tiercel-hub: %s ended (%s %d)\n", names[i],
                    WIFSIGNALED(status) ? "signal" : "status",
                    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
            if (i == ATTEMPTS)
                continue;
            if (c->failures == FAILURES_MAX || (!p->said && c->failures)) {
                fprintf(stderr, "tiercel-hub: %s cannot start\n", names[i]);
                return -EIO;
            }
        }
    return 0;
}

static void hear(struct parent *p, struct child *c)
{
    static struct link_message m;
    if (link_receive(c->channel, &m, 0) != 1)
        return;
    link_message_done(&m);
    if (m.type == HUB_READY)
        c->ready = true;
    if (!p->said && p->children[FRONT].ready && p->children[CORE].ready &&
        p->children[SIGNER].ready) {
        p->said = true;
        printf("tiercel-hub: agents at %s:%u, people at %s:%u\n", p->setup->agents.address,
               p->setup->agents.port, p->setup->people.address, p->setup->people.port);
        fflush(stdout);
    }
}

static bool all_run(const struct parent *p)
{
    for (unsigned i = 0; i < ROLES; i++)
        if (!p->children[i].pid)
            return false;
    return true;
}

static int run(struct parent *p)
{
    for (;;) {
        int r = start_missing(p);
        if (r < 0)
            return r;
        struct pollfd fds[ROLES + 1] = {{.fd = p->signals, .events = POLLIN}};
        for (unsigned i = 0; i < ROLES; i++)
            fds[i + 1] = (struct pollfd){.fd = p->children[i].pid ? p->children[i].channel : -1,
                                         .events = POLLIN};
        if (poll(fds, ROLES + 1, all_run(p) ? -1 : 50) < 0 && errno != EINTR)
            return -errno;
        struct signalfd_siginfo info;
        bool child = false;
        if (fds[0].revents && read(p->signals, &info, sizeof info) == (ssize_t)sizeof info) {
            if (info.ssi_signo != SIGCHLD)
                return 0;
            child = true;
        }
        for (unsigned i = 0; i < ROLES; i++) {
            if (fds[i + 1].revents & POLLIN)
                hear(p, &p->children[i]);
            child = child || fds[i + 1].revents & (POLLHUP | POLLERR);
        }
        if (child && (r = reap(p)) < 0)
            return r;
    }
}

int hub_serve(const struct hub_setup *setup)
{
    static struct parent p;
    sigset_t set;
    struct rlimit files = {8192 + 512, 8192 + 512}, old;
    p.setup = setup;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    p.signals = signalfd(-1, &set, SFD_CLOEXEC);
    if (p.signals < 0)
        return -errno;
    if (setrlimit(RLIMIT_NOFILE, &files) < 0 && getrlimit(RLIMIT_NOFILE, &old) == 0) {
        files.rlim_cur = files.rlim_max = old.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    int r = run(&p);
    for (unsigned i = 0; i < ROLES; i++)
        if (p.children[i].pid)
            close(p.children[i].channel); // the sign to end
    for (unsigned i = 0; i < ROLES; i++)
        if (p.children[i].pid)
            waitpid(p.children[i].pid, NULL, 0);
    close(p.signals);
    return r;
}
