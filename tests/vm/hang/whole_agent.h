// SPDX-License-Identifier: Apache-2.0
// The whole agent over the whole machine for tests: starts it, asks it for its state, starts programs by the hundred and
// strikes its roles meanwhile, looks for what is stuck.
#pragma once
#include "link/control.h"
#include "tests/kernel/fuse_sleeper.h"
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

#define PAYLOAD "/srv/app/payload"
#define CGROUP "/sys/fs/cgroup/agent"
#define NOTIFY "/run/test-notify"
// Emulation takes longer than a machine: what is allowed is three times the bound, what was measured is printed.
enum {
    SLOW = 3,
    YOUNG = 5500, // a role that dies younger has failed to start; three of these end prevention
    DEADLINE = 500,
    BOUND = (DEADLINE + 1000) * SLOW,
    GUARDIAN_BOUND = (4500 + DEADLINE) * SLOW,
    ARMED_AGAIN = 2000 * SLOW,
    STORM = 120,
    AT_ONCE = 6,
    RAN = 7,
    WATCHDOG_MS = 3000,
    ROLES = 6,
};

static struct control_reply reply;
static pid_t agent, engine;
static uint64_t engine_since; // seen armed for the first time
static struct {
    _Atomic uint64_t beat;
    _Atomic bool on;
    _Atomic int n, fired;
    pid_t pids[ROLES];
} watchdog;

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void rest(int ms)
{
    poll(NULL, 0, ms);
}

// ---- the agent

static bool look(void)
{
    struct control_request request = {.version = CONTROL_VERSION, .verb = CONTROL_STATUS};
    struct error e = {0};
    return control_call(CONTROL_SOCKET, &request, &reply, &e) == 0 && reply.has_status;
}

static pid_t role(const char *name)
{
    for (uint32_t i = 0; i < reply.status.n_roles; i++)
        if (strcmp(reply.status.roles[i].name, name) == 0)
            return reply.status.roles[i].pid;
    fail_msg("there is no role %s", name);
    return 0;
}

static bool whole(const pid_t *gone, int n)
{
    if (!look() || !reply.status.armed || reply.status.mode != CONTROL_PREVENT)
        return false;
    for (uint32_t i = 0; i < reply.status.n_roles; i++) {
        const struct control_role *r = &reply.status.roles[i];
        if (r->state != CONTROL_ROLE_RUNNING)
            return false;
        for (int k = 0; k < n; k++)
            if (r->pid == gone[k])
                return false;
    }
    return true;
}

static void say_state(void)
{
    char line[400];
    FILE *log = fopen("/tmp/hang.log", "re");
    printf("# armed %u mode %u: %s\n", reply.status.armed, reply.status.mode, reply.status.why);
    for (uint32_t i = 0; i < reply.status.n_roles; i++)
        printf("# %s: state %u pid %d restarts %u\n", reply.status.roles[i].name,
               reply.status.roles[i].state, reply.status.roles[i].pid,
               reply.status.roles[i].restarts);
    while (log && fgets(line, sizeof line, log))
        printf("# log: %s", line);
    if (log)
        fclose(log);
}

// Milliseconds from `since` until all roles run, none of them one of `gone`, and the gate is armed.
static unsigned armed_again(uint64_t since, const pid_t *gone, int n)
{
    for (uint64_t end = now_ms() + 120000; now_ms() < end; rest(20))
        if (whole(gone, n)) {
            if (role("engine") != engine)
                engine_since = now_ms();
            engine = role("engine");
            return (unsigned)(now_ms() - since);
        }
    say_state();
    fail_msg("not armed again within two minutes");
    return 0;
}

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        fail_msg("%s: %s", path, strerror(errno));
    close(fd);
}

static void begin_agent(void)
{
    uint64_t since = now_ms();
    atomic_store(&watchdog.beat, since);
    agent = fork();
    if (agent == 0) {
        int log = open("/tmp/hang.log", O_WRONLY | O_CREAT | O_APPEND, 0644);
        dup2(log, 1);
        dup2(log, 2);
        put(CGROUP "/cgroup.procs", "0");
        setenv("NOTIFY_SOCKET", NOTIFY, 1);
        execl("/usr/sbin/tierceld", "tierceld", "--mode", "prevent", (char *)NULL);
        _exit(99);
    }
    printf("# armed %u ms after its start\n", armed_again(since, NULL, 0));
}

// What systemd's WatchdogSec does: ends all of the service when it has been silent.
static void *watch(void *unused)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = NOTIFY};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char text[256];
    (void)unused;
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
        return NULL;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 100) > 0 && recv(fd, text, sizeof text, 0) > 0)
            atomic_store(&watchdog.beat, now_ms());
        if (!watchdog.on || now_ms() < watchdog.beat + WATCHDOG_MS)
            continue;
        for (int i = 0; i < watchdog.n; i++)
            kill(watchdog.pids[i], SIGKILL);
        watchdog.fired++;
        watchdog.on = false;
    }
}

// ---- program starts

static pid_t begin(const char *word)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char *argv[] = {"payload", "-", (char *)word, NULL}, *none[] = {NULL};
        execve(PAYLOAD, argv, none);
        _exit(errno == EPERM ? 1 : 2);
    }
    return pid;
}

// -1000: it did not end within `limit_ms`.
static int finish(pid_t pid, unsigned limit_ms)
{
    int status;
    for (uint64_t end = now_ms() + limit_ms; waitpid(pid, &status, WNOHANG) == 0; rest(1))
        if (now_ms() > end) {
            kill(pid, SIGKILL);
            return -1000;
        }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void assert_refuses(void)
{
    int code = finish(begin("/var/ cd \"/x\";whoami;echo [S];pwd;echo [E]"), 10000);
    if (code != 1)
        say_state();
    assert_int_equal(code, 1);
}

struct blow { // what is done in the middle of a storm
    const char *roles[ROLES];
    int signal;
    const char *freeze;
    pid_t hit[ROLES];
    int n;
    uint64_t at;
};

static void strike(struct blow *b)
{
    b->at = now_ms();
    for (int i = 0; i < b->n; i++)
        kill(b->hit[i], b->signal);
    if (b->freeze)
        put(b->freeze, "1");
}

// Slowest of `n` starts in milliseconds; a start that is not over within three bounds fails the test.
static unsigned storm(unsigned n, struct blow *blow)
{
    pid_t pid[AT_ONCE] = {0};
    uint64_t since[AT_ONCE] = {0}, slowest = 0;
    unsigned done = 0, begun = 0, wrong = 0;
    for (unsigned k = 0; blow && k < ROLES && blow->roles[k]; k++)
        blow->hit[blow->n++] = role(blow->roles[k]);
    while (done < n) {
        for (unsigned k = 0; k < AT_ONCE; k++) {
            int status;
            if (pid[k] && waitpid(pid[k], &status, WNOHANG) == pid[k]) {
                uint64_t took = now_ms() - since[k];
                slowest = took > slowest ? took : slowest;
                wrong += !WIFEXITED(status) || WEXITSTATUS(status) != RAN;
                pid[k] = 0;
                done++;
            } else if (pid[k] && now_ms() - since[k] > 60000) {
                say_state();
                fail_msg("a program start did not end within a minute");
            }
            if (!pid[k] && begun < n) {
                if (begun++ == n / 3 && blow)
                    strike(blow);
                since[k] = now_ms();
                pid[k] = begin("/var/x");
            }
        }
        struct timespec pause = {.tv_nsec = 500000};
        nanosleep(&pause, NULL);
    }
    assert_int_equal(wrong, 0);
    return (unsigned)slowest;
}

// User processes that sleep uninterruptibly, at two looks.
static unsigned asleep(pid_t list[64])
{
    unsigned n = 0;
    char path[64], text[512];
    for (pid_t pid = 2; pid < 32768 && n < 64; pid++) {
        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        ssize_t got = read(fd, text, sizeof text - 1);
        close(fd);
        text[got > 0 ? got : 0] = 0;
        char *state = strrchr(text, ')');
        if (state && state[2] == 'D' && atoi(state + 4) != 2)
            list[n++] = pid;
    }
    return n;
}

static void assert_nothing_stuck(void)
{
    pid_t first[64], second[64];
    unsigned n = asleep(first), both = 0;
    if (n == 0)
        return;
    rest(1000);
    unsigned m = asleep(second);
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < m; k++)
            both += first[i] == second[k];
    assert_int_equal(both, 0);
}

static void after(const char *what, struct blow *b, unsigned slowest, unsigned bound)
{
    pid_t before = engine;
    bool sensor = b->roles[0] && strcmp(b->roles[0], "sensor") == 0;
    if (sensor)
        assert_refuses(); // judging does not need it
    unsigned again = armed_again(b->at, b->hit, b->n);
    printf("# %s: slowest start %u ms, armed again after %u ms\n", what, slowest, again);
    assert_refuses();
    assert_nothing_stuck();
    assert_in_range(slowest, 0, bound);
    // In emulation an engine compiles its rules for seconds, and the kernel detaches the programs of a sensor that died one
    // by one for ten (a third of a second where neither is emulated).
    if (engine == before && !sensor)
        assert_in_range(again, 0, ARMED_AGAIN);
}
