// SPDX-License-Identifier: Apache-2.0
// The journal's thread: writes each batch as one record of the segment, makes it durable once a second, and asks for
// the next segment in time. What could not be written is counted and becomes a loss in the next batch that can be: the
// journal never has a silent hole.
#include "agent/engine_private.h"

#include "base/cleanup.h"
#include "sensor/coverage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define WRITE_EVERY_NS 200000000u
#define SYNC_EVERY_NS 1000000000u
#define ASK_AGAIN_S 5

// `told`: losses that the batch itself was to tell of; with it they are untold again.
static void account(struct engine *e, int r, uint64_t records, uint64_t told, uint64_t from,
                    uint64_t bytes)
{
    struct engine_journal *j = &e->journal;
    pthread_mutex_lock(&e->lock);
    if (r < 0) {
        e->stats->journal_failures++;
        e->stats->lost_other += records;
        snprintf(e->stats->problem, sizeof e->stats->problem,
                 "the journal cannot be written: %s; %llu records lost so far",
                 r == -EBADF ? "no segment was given yet" : strerror(-r),
                 (unsigned long long)(j->unwritten + records));
        if (!j->unwritten)
            j->unwritten_from = from;
        j->unwritten += records + told;
    } else {
        e->stats->journal_batches++;
        e->stats->journal_bytes += bytes;
        if (j->unwritten) {
            batch_loss(e, "journal", j->unwritten, j->unwritten_from, from,
                       "the journal could not be written");
            e->stats->problem[0] = 0;
        }
        j->unwritten = 0;
    }
    pthread_mutex_unlock(&e->lock);
}

// Into the batch's own arena. False: no memory, so it is still to be told.
static bool describe_coverage(const struct engine_journal *j, struct engine_batch *b,
                              Tiercel__Batch *batch)
{
    size_t n = coverage_kinds();
    Tiercel__Coverage **rows = arena_array(&b->arena, Tiercel__Coverage *, n);
    for (size_t i = 0; rows && i < n; i++) {
        struct coverage c = coverage_of(i, j->works);
        Tiercel__Coverage *row = rows[i] = arena_new(&b->arena, Tiercel__Coverage);
        if (!row)
            return false;
        tiercel__coverage__init(row);
        row->kind = arena_cstr(&b->arena, str_from(c.kind));
        row->seen = arena_cstr(&b->arena, str_from(c.seen));
        row->denied = arena_cstr(&b->arena, str_from(c.denied));
        row->limit = arena_cstr(&b->arena, str_from(c.limit));
    }
    if (!rows)
        return false;
    batch->coverage = rows;
    batch->n_coverage = n;
    return true;
}

static void write_batch(struct engine *e)
{
    struct engine_journal *j = &e->journal;
    pthread_mutex_lock(&j->lock);
    bool nowhere = j->writer.fd < 0 && !j->stop;
    pthread_mutex_unlock(&j->lock);
    if (nowhere) { // the segment is on its way: what is collected waits for it as long as it has room
        pthread_mutex_lock(&e->lock);
        bool full = batch_full(e);
        pthread_mutex_unlock(&e->lock);
        if (!full)
            return;
    }
    struct engine_batch *b = batch_take(e);
    if (!b)
        return;
    Tiercel__Batch batch;
    batch_describe(e, b, &batch);
    uint64_t cut = thrift_batch(&j->thrift, &batch, e->env.monotonic_ns(&e->env));
    pthread_mutex_lock(&j->lock);
    uint64_t before = j->writer.size;
    bool covered = j->tell_coverage && j->works && describe_coverage(j, b, &batch);
    int r = j->writer.fd < 0 ? -EBADF : segment_append(&j->writer, &batch);
    if (r == 0 && covered)
        j->tell_coverage = false;
    uint64_t written = r < 0 ? 0 : j->writer.size - before;
    j->synced = false;
    pthread_mutex_unlock(&j->lock);
    uint64_t told = 0;
    for (size_t i = 0; i < b->n_losses; i++)
        told += b->losses[i]->count;
    account(e, r, b->n_events + b->n_detections + b->n_verdicts, told, batch.from, written);
    if (cut) {
        pthread_mutex_lock(&e->lock);
        batch_loss(e, "argv", cut, batch.from, batch.to,
                   "so many long command lines that only the first KiB of these is kept");
        pthread_mutex_unlock(&e->lock);
    }
    batch_clear(b);
}

static void ask_for_segment(struct engine *e, uint64_t now)
{
    struct engine_journal *j = &e->journal;
    pthread_mutex_lock(&j->lock);
    bool none = j->writer.fd < 0;
    bool ask = !j->asked && now >= j->ask_after &&
               (none || j->writer.broken || j->writer.size >= e->role->setup.segment_bytes);
    j->asked |= ask;
    struct told_segment next = {.number = none ? j->number : j->number + 1};
    pthread_mutex_unlock(&j->lock);
    if (ask)
        role_tell(e->role, TOLD_NEXT_SEGMENT, &next, sizeof next, -1);
}

void journal_no_segment(struct engine *e)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    pthread_mutex_lock(&e->journal.lock);
    e->journal.asked = false;
    e->journal.ask_after =
        ((uint64_t)now.tv_sec + ASK_AGAIN_S) * 1000000000u + (uint64_t)now.tv_nsec;
    pthread_mutex_unlock(&e->journal.lock);
}

static void sync_segment(struct engine *e)
{
    struct engine_journal *j = &e->journal;
    pthread_mutex_lock(&j->lock);
    if (j->writer.fd >= 0 && !j->synced)
        segment_sync(&j->writer);
    j->synced = true;
    pthread_mutex_unlock(&j->lock);
}

static void *run(void *context)
{
    struct engine *e = context;
    // Compressing is not urgent: it shall not run at the gate's priority, which this thread inherited.
    pthread_setschedparam(pthread_self(), SCHED_OTHER, &(struct sched_param){0});
    struct engine_journal *j = &e->journal;
    uint64_t synced_at = 0;
    for (bool stop = false; !stop;) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        uint64_t now = (uint64_t)until.tv_sec * 1000000000u + (uint64_t)until.tv_nsec;
        until.tv_nsec += WRITE_EVERY_NS;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        pthread_mutex_lock(&j->lock);
        while (!j->urgent && !j->stop)
            if (pthread_cond_timedwait(&j->wake, &j->lock, &until) == ETIMEDOUT)
                break;
        j->urgent = false;
        stop = j->stop;
        pthread_mutex_unlock(&j->lock);
        write_batch(e);
        ask_for_segment(e, now);
        if (stop || now - synced_at >= SYNC_EVERY_NS) {
            sync_segment(e);
            synced_at = now;
        }
    }
    return NULL;
}

void journal_wake(struct engine *e)
{
    pthread_mutex_lock(&e->journal.lock);
    e->journal.urgent = true;
    pthread_cond_signal(&e->journal.wake);
    pthread_mutex_unlock(&e->journal.lock);
}

void journal_coverage(struct engine *e, uint64_t works)
{
    pthread_mutex_lock(&e->journal.lock);
    e->journal.tell_coverage |= works != e->journal.works;
    e->journal.works = works;
    pthread_mutex_unlock(&e->journal.lock);
}

void journal_give(struct engine *e, uint64_t number, int fd)
{
    struct engine_journal *j = &e->journal;
    pthread_mutex_lock(&j->lock);
    uint8_t last[32];
    memcpy(last, j->writer.last, sizeof last);
    uint64_t sequence = j->writer.sequence;
    if (j->writer.fd >= 0)
        segment_sync(&j->writer);
    segment_writer_done(&j->writer);
    bool failed = segment_writer_init(&j->writer, fd, last, sequence) < 0;
    // A torn tail that could not be cut: what is appended behind it could not be read.
    bool torn = !failed && number == j->number && j->writer.size > j->expected;
    if (failed) {
        close(fd);
        j->writer.fd = -1;
    }
    j->writer.broken |= torn;
    j->tell_coverage = true;
    j->number = number;
    j->asked = false;
    pthread_mutex_unlock(&j->lock);
}

// Ids go on after the highest batch number that was ever written.
static int recover(struct engine *e, int folder)
{
    struct engine_journal *j = &e->journal;
    struct error error = {0};
    struct journal_end end = {0};
    int r = journal_end(folder, &end, &error); // 1: damage, left as it is
    if (r < 0) {
        role_problem(e->role, "the journal cannot be continued: %s %s", error.what, error.way_out);
        return r;
    }
    memcpy(j->writer.last, end.last, sizeof j->writer.last);
    j->writer.sequence = end.sequence;
    e->id_batch = end.sequence + 1;
    j->number = end.number;
    j->expected = end.size;
    if (end.torn) {
        role_tell(e->role, TOLD_CUT_SEGMENT,
                  &(struct told_segment){.number = end.number, .size = end.size},
                  sizeof(struct told_segment), -1);
        char text[160];
        snprintf(text, sizeof text, "the last batch of segment %llu was torn: %llu bytes cut off",
                 (unsigned long long)end.number, (unsigned long long)end.torn);
        role_problem(e->role, "%s", text);
        uint64_t now = e->env.now_ns(&e->env);
        batch_loss(e, "journal", 1, end.to_ns, now, text);
    }
    if (r == 1)
        role_problem(e->role, "%s; a new segment is begun", error.what);
    if (end.size >= e->role->setup.segment_bytes) {
        j->number++;
        j->expected = 0;
    }
    return 0;
}

int journal_start(struct engine *e)
{
    struct engine_journal *j = &e->journal;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&j->wake, &clock);
    pthread_condattr_destroy(&clock);
    pthread_mutex_init(&j->lock, NULL);
    j->writer.fd = -1;
    j->asked = true;
    char path[ROLE_PATH + 16];
    snprintf(path, sizeof path, "%s/journal", e->role->setup.state);
    _cleanup_close_ int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        role_problem(e->role, "the journal's folder %s cannot be opened: %s", path,
                     strerror(errno));
    int r = folder < 0 ? -errno : recover(e, folder);
    if (r >= 0)
        role_tell(e->role, TOLD_NEXT_SEGMENT, &(struct told_segment){.number = j->number},
                  sizeof(struct told_segment), -1);
    return -pthread_create(&j->thread, NULL, run, e);
}

void journal_stop(struct engine *e)
{
    pthread_mutex_lock(&e->journal.lock);
    e->journal.stop = true;
    pthread_cond_signal(&e->journal.wake);
    pthread_mutex_unlock(&e->journal.lock);
    pthread_join(e->journal.thread, NULL);
    segment_writer_done(&e->journal.writer);
}
