// SPDX-License-Identifier: Apache-2.0
#include "sensor/gate_listing.h"
#include "sensor/gate_private.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

bool gate_still_held(const struct gate_thread *t)
{
    return atomic_load(&t->gate->table->question[t->q.fd]) == t->word &&
           (atomic_load(&t->doing) & 7) != GATE_ABANDONED;
}

static void too_late(struct gate_thread *t)
{
    struct gate *g = t->gate;
    gate_count(g->table, GATE_LATE_DENIED);
    if (g->ops.late && !t->q.open)
        g->ops.late(g->ops.context, &t->q, "denied after the deadline");
}

static void answer(struct gate_thread *t, bool allow)
{
    struct gate *g = t->gate;
    _Atomic uint64_t *question = &g->table->question[t->q.fd];
    uint64_t word = t->word, asked = word & ~3ULL;
    bool ours = atomic_compare_exchange_strong(question, &word, asked | GATE_CLAIMED);

    if (!ours && allow)
        return; // the deadline passed, the warden has allowed it
    // A deny is tried even so: the warden may have claimed the question and not answered yet.
    int r = gate_answer(g->group, t->q.fd, allow);
    if (r == 0) {
        gate_count(g->table, allow ? GATE_ALLOWED : GATE_DENIED);
    } else if (r == -ENOENT) { // overdue, or killed, or freed while this engine stood still
        if (ours)
            gate_count(g->table, GATE_VANISHED);
        if (!allow)
            too_late(t);
    } else {
        // A refused answer leaves the exec held: whatever the reason, let it go.
        gate_count(g->table, GATE_ANSWER_FAILED);
        if (gate_answer(g->group, t->q.fd, true) < 0)
            atomic_store(&g->table->restart_wanted, 1); // the warden frees it then
        if (!allow)
            too_late(t);
    }
    if (ours)
        atomic_store(question, asked | GATE_ANSWERED);
}

void gate_finish(struct gate_thread *t)
{
    _Atomic uint64_t *question = &t->gate->table->question[t->q.fd];
    struct timespec pause = {.tv_nsec = 100000};

    // The number may not come back to us while the warden is about to answer for it. A warden that died there is not
    // waited for longer than 5 ms, and its answer is written for it.
    for (int i = 0; i < 50 && (atomic_load(question) & 3) == GATE_CLAIMED; i++) {
        if (i == 0)
            gate_answer(t->gate->group, t->q.fd, true);
        nanosleep(&pause, NULL);
    }
    atomic_store(question, GATE_FREE);
    close(t->q.fd);
    gate_doing(t, GATE_WAITING);
}

// ld.so PAYLOAD, sh FILE: the file that is really run, where the kernel's cache knows it (no file system is waited for).
static void find_target(struct gate_thread *t)
{
    char path[GATE_PATH];
    struct stat st;

    if (t->q.part != GATE_FILE)
        return;
    t->q.loader_run = gate_image_target(t->q.path, t->q.argv, t->q.argc, &t->q.target);
    if (!t->q.target.n || t->q.target.n >= sizeof path)
        return;
    memcpy(path, t->q.target.p, t->q.target.n);
    path[t->q.target.n] = 0;
    int fd = gate_open_of_thread(t->gate->proc, t->q.tid, path);
    if (fd >= 0 && fstat(fd, &st) == 0) {
        t->q.target_device = st.st_dev;
        t->q.target_inode = st.st_ino;
    }
    if (fd >= 0)
        close(fd);
}

static unsigned slot_take(struct gate *g)
{
    unsigned slot;
    pthread_mutex_lock(&g->slots);
    while ((slot = (unsigned)__builtin_ctz(~g->busy)) >= g->workers)
        pthread_cond_wait(&g->slot_free, &g->slots);
    g->busy |= 1u << slot;
    pthread_mutex_unlock(&g->slots);
    return slot;
}

static void slot_give(struct gate *g, unsigned slot)
{
    pthread_mutex_lock(&g->slots);
    g->busy &= ~(1u << slot);
    pthread_cond_signal(&g->slot_free);
    pthread_mutex_unlock(&g->slots);
}

static bool is_probe(struct gate_thread *t)
{
    struct gate *g = t->gate;
    int expected = t->q.tid;
    if (!atomic_compare_exchange_strong(&g->probe_tid, &expected, 0))
        return false;
    bool same = t->q.argc == 3;
    for (size_t i = 0; same && i < 3; i++)
        same = str_eq(t->q.argv[i], g->probe_argv[i]);
    answer(t, false);
    atomic_store(&g->probe_result, same ? 1 : -EBADMSG);
    return true;
}

// The self-test must say why.
static void probe_failed(struct gate_thread *t, int r)
{
    int probe = t->q.tid;
    if (atomic_compare_exchange_strong(&t->gate->probe_tid, &probe, 0))
        atomic_store(&t->gate->probe_result, r);
}

// argv is here and was read while the caller was held.
static void judge(struct gate_thread *t)
{
    struct gate *g = t->gate;
    t->q.argv = t->strings.argv;
    t->q.argc = t->strings.argc;
    t->q.environment = t->strings.environment;
    t->q.n_environment = t->strings.n_environment;
    t->q.compat = t->call.pointer == 4;
    if (atomic_load(&g->probe_tid) && is_probe(t))
        return;
    find_target(t);
    unsigned slot = slot_take(g);
    // Before it is judged: where that takes longer than the deadline the next question comes meanwhile.
    gate_chain_put(t);
    bool allow = g->ops.judge(g->ops.context, slot, &t->q);
    slot_give(g, slot);
    if (!allow) {
        gate_chain_drop(t);
    } else if (g->ops.judged && t->q.part != GATE_ELF_LOADER) {
        // Before the answer: the exec itself may come at once.
        if (g->ops.judged(g->ops.context, &t->q, t->strings.full, t->strings.tail,
                          t->strings.tail_bytes, t->strings.all_environment) < 0)
            gate_count(g->table, GATE_UNREMEMBERED);
    }
    answer(t, allow);
}

static void unreadable(struct gate_thread *t, int r)
{
    struct gate *g = t->gate;
    t->q.unread = true;
    if (r == -EFAULT || r == -E2BIG) {
        // Nobody but the caller makes these; the kernel would have refused the exec for either.
        gate_count(g->table, GATE_FAULTED);
        answer(t, false);
        if (g->ops.late)
            g->ops.late(g->ops.context, &t->q,
                        r == -EFAULT ? "argv could not be read"
                                     : "argv is longer than the kernel takes");
        return;
    }
    gate_count(g->table, r == GATE_CALL_OTHER ? GATE_HELPER : GATE_NO_ARGV);
    probe_failed(t, r < 0 ? r : -ENOSYS);
    answer(t, true);
}

// False: the watch has taken this question over while its argv was read.
static bool back_from_argv(struct gate_thread *t, uint64_t since)
{
    uint64_t expected = since;
    return atomic_compare_exchange_strong(&t->doing, &expected, gate_now() << 3 | GATE_JUDGING);
}

// This process opens protected data itself (rules that somebody has put there). Whoever does may hold what its judge
// needs, so another thread answers at once and asks nobody: no holder of the gate ever waits for itself.
static bool opens_itself(const struct gate_thread *t)
{
    char name[48];
    struct stat st;
    snprintf(name, sizeof name, "self/task/%d", (int)t->q.tid);
    return fstatat(t->gate->proc, name, &st, 0) == 0;
}

static void judge_open(struct gate_thread *t)
{
    struct gate *g = t->gate;
    bool allow = true;
    if (opens_itself(t)) {
        gate_count(g->table, GATE_OPENS_OWN);
    } else if (g->ops.open) {
        gate_describe(t);
        gate_lead_share(t);
        unsigned slot = slot_take(g);
        allow = g->ops.open(g->ops.context, slot, &t->q);
        slot_give(g, slot);
        if (!allow)
            gate_count(g->table, GATE_OPENS_DENIED);
    }
    answer(t, allow);
    gate_finish(t);
}

void gate_judge_one(struct gate_thread *t)
{
    struct gate *g = t->gate;

    if (t->q.open)
        return judge_open(t);
    gate_describe(t);
    int r = gate_read_call(t);
    if (r == 0) {
        uint64_t since = gate_now() << 3 | GATE_ARGV;
        atomic_store(&t->doing, since);
        r = gate_argv_read(t->memory, t->q.tid, &t->call, g->hash_key, &t->strings);
        if (!back_from_argv(t, since)) {
            probe_failed(t, -ETIMEDOUT);
            pthread_mutex_lock(&g->watch);
            gate_finish(t);
            pthread_mutex_unlock(&g->watch);
            return;
        }
        if (!gate_still_held(t))
            r = -ETIMEDOUT; // what was read may be of the program that runs already
    }
    gate_lead_share(t);
    if (r == 0)
        judge(t);
    else
        unreadable(t, r);
    gate_finish(t);
}
