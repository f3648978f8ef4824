// SPDX-License-Identifier: Apache-2.0
// The guardian ends a gate that nobody answers for any more: everything stopped, or its cgroup frozen. SIGKILL reaches
// frozen and stopped processes; when the last holder is gone the kernel allows what waits. It holds no descriptor of
// the group itself, and lives in another cgroup.
#include "sensor/gate_table.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LOOK_MS = 500 };
#define STALE_NS 3000000000ULL

struct held {
    pid_t pid;
    int pidfd; // -1: none
};

// A descriptor while the process is known to live, so that a number used again is never hit.
static void follow(const struct gate_table *table, struct held held[GATE_HOLDERS])
{
    for (int i = 0; i < GATE_HOLDERS; i++) {
        pid_t pid = atomic_load(&table->holder[i]);
        if (pid == held[i].pid)
            continue;
        if (held[i].pidfd >= 0)
            close(held[i].pidfd);
        held[i] = (struct held){.pid = pid, .pidfd = -1};
        if (pid > 0)
            held[i].pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    }
}

static bool stale(const struct gate_table *table)
{
    uint64_t engine = atomic_load(&table->engine_beat), warden = atomic_load(&table->warden_beat);
    uint64_t newest = engine > warden ? engine : warden, now = gate_now();
    return atomic_load(&table->armed) && now > newest + STALE_NS;
}

static void release(struct gate_table *table, struct held held[GATE_HOLDERS])
{
    for (int i = 0; i < GATE_HOLDERS; i++)
        if (held[i].pidfd >= 0)
            syscall(SYS_pidfd_send_signal, held[i].pidfd, SIGKILL, NULL, 0);
    gate_count(table, GATE_RELEASED);
}

int gate_guardian_run(struct gate_table *table, int channel_fd)
{
    struct held held[GATE_HOLDERS];
    struct pollfd channel = {.fd = channel_fd, .events = POLLIN};
    bool was_stale = false;
    char byte;

    for (int i = 0; i < GATE_HOLDERS; i++)
        held[i] = (struct held){.pidfd = -1};
    for (;;) {
        follow(table, held);
        // Twice in a row: after a pause of the whole machine the holders beat before the second look.
        bool is_stale = stale(table);
        if (is_stale && was_stale)
            release(table, held);
        was_stale = is_stale;
        int r = poll(&channel, 1, LOOK_MS);
        if (r > 0 &&
            ((channel.revents & (POLLHUP | POLLERR | POLLNVAL)) || read(channel_fd, &byte, 1) == 0))
            break;
    }
    for (int i = 0; i < GATE_HOLDERS; i++)
        if (held[i].pidfd >= 0)
            close(held[i].pidfd);
    return 0;
}
