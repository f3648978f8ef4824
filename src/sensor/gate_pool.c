// SPDX-License-Identifier: Apache-2.0
// Start and stop of the engine's side. All memory and all threads are made here, none while a program waits.
#include "sensor/gate_private.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define STACK_BYTES (256u << 10)

static void *thread_run(void *context)
{
    struct gate_thread *t = context;
    atomic_store(&t->tid, gettid());
    while (gate_read_one(t))
        gate_judge_one(t);
    return NULL;
}

static int limit_descriptors(struct error *e)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return error_set(e, -errno, "getrlimit: %s", strerror(errno));
    limit.rlim_cur = limit.rlim_max < GATE_FD_SPLIT ? limit.rlim_max : GATE_FD_SPLIT;
    if (limit.rlim_cur < 512)
        return error_set(e, -EMFILE, "RLIMIT_NOFILE is %lu, the gate needs 512",
                         (unsigned long)limit.rlim_cur);
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return error_set(e, -errno, "setrlimit: %s", strerror(errno));
    return 0;
}

static int start_thread(pthread_t *id, void *(*run)(void *), void *context)
{
    pthread_attr_t attr;
    int r = pthread_attr_init(&attr);
    if (r)
        return -r;
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    r = pthread_create(id, &attr, run, context);
    pthread_attr_destroy(&attr);
    return -r;
}

static int open_all(struct gate *g, struct error *e)
{
    g->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    g->self_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    g->stop = eventfd(0, EFD_CLOEXEC);
    if (g->proc < 0 || g->self_fd < 0 || g->stop < 0)
        return error_set(e, -errno, "cannot open /proc: %s", strerror(errno));
    for (unsigned i = 0; i < g->n_threads; i++) {
        g->threads[i].gate = g;
        int r = gate_memory_new(&g->threads[i].memory);
        if (r < 0)
            return error_set(e, r, "no memory for argv: %s", strerror(-r));
    }
    return 0;
}

static int start_all(struct gate *g, struct error *e)
{
    // The heartbeat before the first read: the warden must not take this engine for a dead one.
    atomic_store(&g->table->engine_beat, gate_now());
    int r = start_thread(&g->watcher, gate_watch_run, g);
    g->watching = r == 0;
    for (unsigned i = 0; i < g->n_threads && r == 0; i++) {
        r = start_thread(&g->threads[i].id, thread_run, &g->threads[i]);
        g->threads[i].started = r == 0;
    }
    return r < 0 ? error_set(e, r, "cannot start a thread: %s", strerror(-r)) : 0;
}

int gate_start(int group, struct gate_table *table, const struct gate_ops *ops, unsigned workers,
               uint32_t deadline_ms, const uint8_t hash_key[16], struct gate **ret, struct error *e)
{
    if (!ops->judge || workers < 1 || workers > GATE_WORKERS_MAX || deadline_ms < 5 ||
        deadline_ms > 10000)
        return error_set(e, -EINVAL, "gate: 1 to %d workers, deadline 5 to 10000 ms",
                         GATE_WORKERS_MAX);
    int r = limit_descriptors(e);
    if (r < 0)
        return r;
    struct gate *g = calloc(1, sizeof *g);
    if (!g)
        return error_set(e, -ENOMEM, "no memory for the gate");
    *g = (struct gate){.group = group,
                       .table = table,
                       .ops = *ops,
                       .workers = workers,
                       .n_threads = workers + GATE_SPARES,
                       .proc = -1,
                       .self_fd = -1,
                       .stop = -1,
                       .argv_patience = deadline_ms * 400000ULL}; // two fifths of the deadline
    memcpy(g->hash_key, hash_key, 16);
    atomic_store(&g->lead, 1);
    pthread_mutex_init(&g->watch, NULL);
    pthread_mutex_init(&g->slots, NULL);
    pthread_mutex_init(&g->chains_lock, NULL);
    pthread_cond_init(&g->slot_free, NULL);
    atomic_store(&table->deadline_ms, deadline_ms);
    atomic_store(&table->restart_wanted, 0);
    r = open_all(g, e);
    if (r == 0)
        r = start_all(g, e);
    if (r < 0) {
        gate_stop(g);
        return r;
    }
    *ret = g;
    return 0;
}

// False: stuck in a caller's memory; it still uses the gate.
static bool joined(pthread_t id)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 1;
    return pthread_timedjoin_np(id, NULL, &until) == 0;
}

struct gate *gate_stop(struct gate *g)
{
    bool all = true;
    if (!g)
        return NULL;
    atomic_store(&g->stopping, true);
    if (g->stop >= 0 && eventfd_write(g->stop, 1) < 0)
        all = false;
    for (unsigned i = 0; i < g->n_threads; i++)
        if (g->threads[i].started)
            all &= joined(g->threads[i].id);
    gate_watch_wake(g);
    if (g->watching)
        all &= joined(g->watcher);
    atomic_store(&g->table->engine_beat, 0); // the warden takes over
    if (!all)
        return NULL; // its memory must outlive the thread that is stuck
    for (unsigned i = 0; i < g->n_threads; i++)
        gate_memory_free(g->threads[i].memory);
    int fds[] = {g->proc, g->self_fd, g->stop};
    for (size_t i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(g);
    return NULL;
}
