// SPDX-License-Identifier: Apache-2.0
// The engine's side of the gate. Threads are leader and followers: the leader reads one question and answers it itself,
// so nothing is handed over while a program waits. It gives the lead to a follower only when more waits or when the
// watch finds it slow, because to wake a thread costs more than most answers. More threads than judging workers: one
// that is stuck in reading argv needs no replacement that would have to be made then.
// gate_read.c reads and describes a question, gate_judge.c answers it, gate_watch.c watches the threads.
#pragma once
#include "sensor/gate_argv.h"
#include "sensor/gate_image.h"
#include "sensor/gate_table.h"
#include <pthread.h>

enum {
    GATE_WORKERS_MAX = 16,
    GATE_SPARES = 12,
    GATE_STUCK_LIMIT = 4,
    GATE_CHAINS = 256,
    GATE_PATH = 4096
};

// What a thread is doing; in a word with the time since when: since << 3 | doing.
enum gate_doing {
    GATE_WAITING,
    GATE_READING,
    GATE_LOOKING,
    GATE_ARGV,
    GATE_JUDGING,
    GATE_ABANDONED
};

struct gate_thread {
    struct gate *gate;
    pthread_t id;
    bool started;
    _Atomic int tid;
    _Atomic uint64_t doing;
    _Atomic bool leads; // only it reads the group
    bool late_told;     // of this stuck question; under gate->watch
    struct gate_memory *memory;
    struct gate_question q;
    struct gate_strings strings;
    struct gate_image image;
    struct gate_call call;
    uint64_t word; // of this question in the table, as opened
    char head[GATE_IMAGE_HEAD];
    char interpreter[GATE_PATH];
    char path[GATE_PATH];
};

// What the next question of the same execve should be about.
struct gate_chain {
    pid_t tid, pid;
    uint64_t start, until;
    struct gate_call call;
    enum gate_part part;
    char interpreter[GATE_PATH];
};

struct gate {
    int group, proc, self_fd, stop; // /proc, /proc/self/fd, an eventfd
    struct gate_table *table;
    struct gate_ops ops;
    uint8_t hash_key[16];
    uint64_t argv_patience; // nanoseconds
    unsigned workers, n_threads;
    _Atomic bool stopping;
    _Atomic uint32_t lead; // 1: nobody leads (futex)
    pthread_mutex_t watch; // the watch's passes, and the return of a thread it has abandoned
    pthread_mutex_t slots; // judging workers: bits of `busy`
    pthread_cond_t slot_free;
    uint32_t busy;
    pthread_mutex_t chains_lock;
    struct gate_chain chains[GATE_CHAINS];
    pthread_t watcher;
    bool watching;
    _Atomic uint32_t idle; // the watch sleeps long; a reader wakes it (futex)
    // self-test
    _Atomic int probe_tid;
    _Atomic int probe_result; // 0: not asked yet, 1: as expected, negative errno
    struct str probe_argv[3];
    struct gate_thread threads[GATE_WORKERS_MAX + GATE_SPARES];
};

static inline void gate_doing(struct gate_thread *t, enum gate_doing what)
{
    atomic_store(&t->doing, gate_now() << 3 | what);
}

// gate_read.c
bool gate_read_one(struct gate_thread *t);   // waits; true: t->q has a question, in the table
void gate_lead_share(struct gate_thread *t); // lets a follower lead if more waits
void gate_lead_give(
    struct gate_thread *t); // whoever calls: if this thread leads, a follower does from now on
void gate_describe(struct gate_thread *t); // who asks and about what; no memory of the caller
int gate_read_call(struct gate_thread *t); // t->call; 0, GATE_CALL_OTHER, or negative errno
// gate_chain.c
void gate_chain_take(struct gate_thread *t); // sets part (and pid, start where they are known)
void gate_chain_put(struct gate_thread *t);  // what is to come after an allow
void gate_chain_drop(struct gate_thread *t); // denied: nothing is to come
// gate_judge.c
void gate_judge_one(struct gate_thread *t);
bool gate_still_held(const struct gate_thread *t); // nobody has answered yet
void gate_finish(struct gate_thread *t);           // frees the question and its descriptor
// gate_watch.c
void *gate_watch_run(void *gate);
void gate_watch_wake(struct gate *g);
