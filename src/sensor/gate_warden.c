// SPDX-License-Identifier: Apache-2.0
// The warden: holds the group so that nobody stays held when the engine does not answer. It judges, parses and opens
// nothing, allocates nothing, and touches the group only for what the engine leaves: overdue questions, questions that
// stay unread, and everything while there is no engine.
#include "sensor/gate_table.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/fanotify.h>
#include <sys/resource.h>
#include <unistd.h>

#define MS 1000000ULL
enum { BUSY_LOOK = 10, IDLE_LOOK = 50 }; // milliseconds between looks
#define PAUSE (250 * MS) // no look for this long: the machine stood still, the engine too
#define FULL_SWEEP_EVERY (1000 * MS)
enum { ABOVE_TOP = 64 }; // numbers that the engine may have come to since its last noted question
#define ENGINE_STALE (500 * MS) // heartbeat; it beats every 10 or 100 ms
#define BUSY_FOR (1000 * MS)
#define SWEEP_EVERY (50 * MS)
enum { READ_AT_ONCE = 64 }; // before looking at the rest again

struct warden {
    int group;
    struct gate_table *table;
    uint64_t reads, unread_since; // the engine's reads, and since when something waits beside them
    uint64_t active, swept, swept_all, looked;
};

// Events read here get numbers from GATE_FD_SPLIT on, because everything below is taken. With copies of a descriptor
// that it has: the warden's sandbox opens nothing.
static int fill_descriptors(int any)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    rlim_t need = GATE_FD_SPLIT + GATE_WARDEN_READS + 16;
    if (limit.rlim_max < need)
        limit.rlim_max = need; // needs CAP_SYS_RESOURCE; without it the next call says so
    limit.rlim_cur = need;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    for (;;) {
        int next = fcntl(any, F_DUPFD_CLOEXEC, 0);
        if (next < 0)
            return -errno;
        if (next >= GATE_FD_SPLIT) {
            close(next);
            break;
        }
    }
    return 0;
}

// Reads one question and allows it; false when there is none.
static bool allow_one(struct warden *w)
{
    struct fanotify_event_metadata event;
    ssize_t n = read(w->group, &event, sizeof event);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        gate_count(w->table, GATE_READ_FAILED);
    if (n != sizeof event || event.fd < 0)
        return false;
    int r = gate_answer(w->group, event.fd, true);
    if (r < 0 && r != -ENOENT) {
        gate_count(w->table, GATE_ANSWER_FAILED);
        gate_answer(w->group, event.fd, true);
    }
    close(event.fd);
    gate_count(w->table, GATE_UNREAD_ALLOWED);
    return true;
}

static bool waiting(const struct warden *w)
{
    struct pollfd p = {.fd = w->group, .events = POLLIN};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLIN);
}

static bool engine_there(const struct warden *w, uint64_t now)
{
    uint64_t beat = atomic_load(&w->table->engine_beat);
    return beat && now < beat + ENGINE_STALE;
}

// Two fifths of the deadline, as argv has.
static uint64_t unread_patience(const struct warden *w)
{
    return atomic_load(&w->table->deadline_ms) * 400000ULL;
}

// The engine is there: only what it has left for too long.
static void help(struct warden *w, uint64_t now)
{
    uint64_t reads = atomic_load(&w->table->reads);
    bool moved = reads != w->reads;
    w->reads = reads;
    if (moved)
        w->active = now;
    if (moved || !waiting(w)) {
        w->unread_since = 0;
        return;
    }
    if (!w->unread_since)
        w->unread_since = now;
    if (now - w->unread_since < unread_patience(w))
        return;
    for (int i = 0; i < READ_AT_ONCE && atomic_load(&w->table->reads) == reads && allow_one(w); i++)
        w->active = now;
}

// No engine, or it stands still: free what it had read, and read for it.
static void replace(struct warden *w, uint64_t now)
{
    int top = (int)atomic_load(&w->table->top) + ABOVE_TOP;
    if (now - w->swept_all >= FULL_SWEEP_EVERY) {
        w->swept_all = w->swept = now;
        gate_sweep(w->table, w->group, 0, GATE_FD_SPLIT);
    } else if (now - w->swept >= SWEEP_EVERY) {
        w->swept = now;
        gate_sweep(w->table, w->group, 0, top < GATE_FD_SPLIT ? top : GATE_FD_SPLIT);
    }
    for (int i = 0; i < READ_AT_ONCE && allow_one(w); i++)
        w->active = now;
}

static bool closed(const struct pollfd *channel)
{
    char byte;
    if (!channel->revents)
        return false;
    return (channel->revents & (POLLHUP | POLLERR | POLLNVAL)) || read(channel->fd, &byte, 1) == 0;
}

int gate_warden_run(int group, struct gate_table *table, int channel_fd)
{
    struct warden w = {.group = group, .table = table, .active = gate_now(), .looked = gate_now()};
    struct pollfd wait[2] = {{.fd = channel_fd, .events = POLLIN}, {.fd = group, .events = POLLIN}};
    int r = fill_descriptors(channel_fd);
    if (r < 0)
        return r;
    // What a warden before this one read and did not answer.
    gate_sweep(table, group, GATE_FD_SPLIT, GATE_FD_SPLIT + GATE_WARDEN_READS);
    for (;;) {
        uint64_t now = gate_now();
        atomic_store(&table->warden_beat, now);
        uint64_t gap = now - w.looked;
        w.looked = now;
        bool engine = engine_there(&w, now) || (gap > PAUSE && atomic_load(&table->engine_beat));
        if (engine)
            help(&w, now);
        else
            replace(&w, now);
        if (gate_answer_overdue(table, group, 0))
            w.active = now;
        // A healthy engine's questions do not wake the warden; without an engine they do.
        bool idle = now - w.active > BUSY_FOR;
        if (poll(wait, engine ? 1 : 2, idle ? IDLE_LOOK : BUSY_LOOK) > 0 && closed(&wait[0]))
            break;
    }
    atomic_store(&table->warden_beat, 0);
    return 0;
}
