// SPDX-License-Identifier: Apache-2.0
#include "sensor/gate_private.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NONCE 16
#define PATIENCE_MS 3000u

static char *const probe_name = "gate-self-test";
static char *const probe_text = "a b\n\xff";

// The child: only what is safe after fork in a program with threads.
static void wait_and_exec(const char *path, int channel)
{
    char nonce[NONCE + 1] = {0};
    char *argv[] = {probe_name, probe_text, nonce, NULL};
    char *environment[] = {NULL};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (read(channel, nonce, NONCE) != NONCE)
        _exit(0);
    execve(path, argv, environment);
    int error = errno;
    _exit(write(channel, &error, sizeof error) == sizeof error ? 0 : 1);
}

int gate_probe_start(const char *path, struct gate_probe *ret, struct error *e)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set(e, -errno, "socketpair: %s", strerror(errno));
    pid_t pid = fork();
    if (pid < 0) {
        int r = error_set(e, -errno, "fork: %s", strerror(errno));
        close(pair[0]);
        close(pair[1]);
        return r;
    }
    if (pid == 0) {
        close(pair[0]);
        wait_and_exec(path, pair[1]);
    }
    close(pair[1]);
    *ret = (struct gate_probe){.pid = pid, .channel = pair[0]};
    return 0;
}

void gate_probe_done(struct gate_probe *probe)
{
    if (probe->pid <= 0)
        return;
    close(probe->channel);
    kill(probe->pid, SIGKILL);
    waitpid(probe->pid, NULL, 0);
    *probe = (struct gate_probe){.channel = -1};
}

// What the child's execve said: its errno; 0 when it ran (the channel closed); negative errno.
static int child_says(struct gate_probe *probe)
{
    int error;
    struct pollfd p = {.fd = probe->channel, .events = POLLIN};
    if (poll(&p, 1, (int)PATIENCE_MS) <= 0)
        return -ETIMEDOUT;
    return read(probe->channel, &error, sizeof error) == sizeof error ? error : 0;
}

int gate_self_test(struct gate *g, struct gate_probe *probe, struct error *e)
{
    char nonce[NONCE + 1] = {0};
    uint8_t bytes[NONCE / 2];

    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return error_set(e, -EIO, "self-test: no random bytes");
    for (unsigned i = 0; i < sizeof bytes; i++)
        snprintf(nonce + i * 2, 3, "%02x", bytes[i]);
    g->probe_argv[0] = str_from(probe_name);
    g->probe_argv[1] = str_from(probe_text);
    g->probe_argv[2] = str_from(nonce);
    atomic_store(&g->probe_result, 0);
    // Only the probe is asked about now, and a busy machine must not fail the test.
    uint32_t deadline = atomic_exchange(&g->table->deadline_ms, PATIENCE_MS);
    atomic_store(&g->probe_tid, probe->pid);
    int said = -EPIPE;
    if (write(probe->channel, nonce, NONCE) == NONCE)
        said = child_says(probe);
    atomic_store(&g->probe_tid, 0);
    atomic_store(&g->table->deadline_ms, deadline);
    int result = atomic_load(&g->probe_result);
    if (result == -EPERM)
        error_way_out(
            e,
            "the engine needs CAP_SYS_PTRACE, no Landlock, and kernel.yama.ptrace_scope below 3");
    if (result < 0)
        return error_set(e, result, "self-test: argv of a child cannot be read: %s",
                         strerror(-result));
    if (result == 0)
        return error_set(e, -ETIMEDOUT, "self-test: the kernel did not ask about a child's exec");
    if (said != EPERM)
        return error_set(e, -EPROTO, "self-test: a denied exec gave %s instead of EPERM",
                         said > 0    ? strerror(said)
                         : said == 0 ? "a running program"
                                     : strerror(-said));
    return 0;
}
