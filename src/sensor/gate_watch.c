// SPDX-License-Identifier: Apache-2.0
// The engine's own watch over its threads: heartbeat, threads that are stuck in a caller's memory, and a warden that
// stands still. While programs start it looks every 10 ms, else every 100 ms.
#include "sensor/gate_private.h"
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000ULL
#define BUSY_LOOK (10 * MS)
#define IDLE_LOOK (100 * MS)
#define BUSY_FOR (1000 * MS)
#define SLOW (1 * MS)
#define KILL_AFTER                                                                                 \
    (250 * MS) // stuck this long after its deny: only the caller's death frees the thread
#define OWN_GRACE (100 * MS) // the warden answers overdue questions first
#define STUCK_ELSEWHERE (2000 * MS)
#define WARDEN_STALE (1000 * MS)

static void nap(struct gate *g, uint64_t ns)
{
    struct timespec t = {.tv_sec = (time_t)(ns / 1000000000ULL),
                         .tv_nsec = (long)(ns % 1000000000ULL)};
    syscall(SYS_futex, &g->idle, FUTEX_WAIT_PRIVATE, 1, &t, NULL, 0);
}

void gate_watch_wake(struct gate *g)
{
    uint32_t idle = 1;
    if (atomic_load_explicit(&g->idle, memory_order_relaxed) &&
        atomic_compare_exchange_strong(&g->idle, &idle, 0))
        syscall(SYS_futex, &g->idle, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

// Held up by the caller's memory (userfaultfd, FUSE, swap), not just short of a CPU: then it is no fault of the caller.
static bool sleeps_in_the_kernel(const struct gate_thread *t)
{
    char name[48], text[256];
    snprintf(name, sizeof name, "self/task/%d/stat", atomic_load(&t->tid));
    int fd = openat(t->gate->proc, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return true; // cannot tell
    text[n] = 0;
    const char *state = strrchr(text, ')');
    return !state || state[1] != ' ' || state[2] != 'R';
}

// Its caller's memory does not come: deny while the caller still waits.
static void abandon(struct gate_thread *t, uint64_t doing)
{
    struct gate *g = t->gate;
    if (!atomic_compare_exchange_strong(&t->doing, &doing, gate_now() << 3 | GATE_ABANDONED))
        return; // it came back
    t->late_told = false;
    gate_count(g->table, GATE_STUCK);
    uint64_t word = t->word, asked = word & ~3ULL;
    if (!atomic_compare_exchange_strong(&g->table->question[t->q.fd], &word, asked | GATE_CLAIMED))
        return;
    if (gate_answer(g->group, t->q.fd, false) == 0)
        gate_count(g->table, GATE_DENIED);
    atomic_store(&g->table->question[t->q.fd], asked | GATE_ANSWERED);
}

// True: this thread is lost for now.
static bool look_at(struct gate_thread *t, uint64_t now)
{
    struct gate *g = t->gate;
    uint64_t doing = atomic_load(&t->doing), since = doing >> 3,
             age = now > since ? now - since : 0;

    unsigned what = doing & 7;
    // A leader that takes long with a question: another one reads on. Long before the warden would read for us.
    if (what >= GATE_LOOKING && age > SLOW)
        gate_lead_give(t);
    switch (what) {
    case GATE_ARGV:
        if (age <= g->argv_patience || !sleeps_in_the_kernel(t))
            return false;
        abandon(t, doing);
        return true;
    case GATE_ABANDONED:
        if (age > KILL_AFTER && !t->late_told) {
            t->late_told = true;
            t->q.unread = true;
            if (g->ops.late)
                g->ops.late(g->ops.context, &t->q, "its memory keeps the reader waiting");
        }
        return true;
    case GATE_READING:
    case GATE_LOOKING:
        return age > STUCK_ELSEWHERE;
    default:
        return false;
    }
}

static void look(struct gate *g)
{
    unsigned stuck = 0;
    uint64_t now = gate_now(), warden = atomic_load(&g->table->warden_beat);

    atomic_store(&g->table->engine_beat, now);
    pthread_mutex_lock(&g->watch);
    for (unsigned i = 0; i < g->n_threads; i++)
        stuck += look_at(&g->threads[i], now);
    pthread_mutex_unlock(&g->watch);
    if (stuck >= GATE_STUCK_LIMIT)
        atomic_store(&g->table->restart_wanted, 1);
    gate_answer_overdue(g->table, g->group, OWN_GRACE);
    // A warden that stopped between reading and answering: its numbers are the first above the split.
    if (warden && now > warden + WARDEN_STALE)
        gate_sweep(g->table, g->group, GATE_FD_SPLIT, GATE_FD_SPLIT + GATE_WARDEN_READS);
}

void *gate_watch_run(void *context)
{
    struct gate *g = context;
    uint64_t reads = 0, active = gate_now();

    while (!atomic_load(&g->stopping)) {
        look(g);
        uint64_t seen = atomic_load(&g->table->counter[GATE_QUESTIONS]), now = gate_now();
        if (seen != reads)
            active = now;
        reads = seen;
        bool idle = now - active > BUSY_FOR;
        atomic_store(&g->idle, idle);
        if (idle) {
            nap(g, IDLE_LOOK);
        } else {
            struct timespec t = {.tv_nsec = BUSY_LOOK};
            nanosleep(&t, NULL);
        }
    }
    return NULL;
}
