// SPDX-License-Identifier: Apache-2.0
// The engine role in parts: engine.c (start, messages, loop), engine_batch.c (what is collected), engine_journal.c (its
// writer thread), engine_observe.c (kernel records), engine_judge.c (questions of the gate), engine_protect.c (opens of
// protected data), engine_act.c (orders), engine_facts.c (hashes, container names).
// One lock guards tree, detect and the open batch. It is never held over a write, a poll or an fsync, so a question of
// the gate waits at most for one slice of records (OBSERVE_SLICE). The journal has a thread of its own, so a slow disk
// delays neither verdicts nor the sign of life.
#pragma once
#include "agent/budget.h"
#include "agent/facts.h"
#include "agent/role.h"
#include "agent/thrift.h"
#include "base/arena.h"
#include "base/env.h"
#include "detect/detect.h"
#include "detect/flood.h"
#include "enrich/names.h"
#include "enrich/tree.h"
#include "event/segment.h"
#include "sensor/decode.h"
#include "sensor/gate.h"
#include "sensor/probe.h"
#include "sensor/protect.h"
#include "sensor/ring.h"

#include <pthread.h>

#define OBSERVE_SLICE 128             // records taken before the lock is let go
#define BATCH_EVENTS 1024             // the writer is woken at this many events
#define BATCH_ROOM 8192               // more than this is lost, and counted
#define BATCH_BYTES ((size_t)2 << 20) // the writer is woken at this much arena
#define BATCH_LIMIT ((size_t)8 << 20) // more than this is lost, and counted
#define ENGINE_KNOWN 256              // processes of the open batch that are completed already
#define ENGINE_WORKERS 4              // of the gate's pool

struct engine_batch { // collected under the lock, written without it
    struct arena arena;
    Tiercel__Event *events[BATCH_ROOM];
    Tiercel__Detection *detections[512];
    Tiercel__Verdict *verdicts[512];
    Tiercel__Loss *losses[32];
    size_t n_events, n_detections, n_verdicts, n_losses;
    uint64_t dropped; // did not fit: a loss of the same batch
    uint64_t from_ns;
    bool urgent; // has a detection: write at once
};

struct engine_journal {
    pthread_t thread;
    pthread_mutex_t lock; // of the members below
    pthread_cond_t wake;
    bool urgent, stop, synced;
    struct segment_writer writer;
    uint64_t number;    // of the segment being written
    uint64_t expected;  // its size when it is given for the first time
    bool asked;         // the next segment was asked for
    uint64_t ask_after; // CLOCK_MONOTONIC: not before, for there was no room
    uint64_t unwritten; // records lost since the last good write
    uint64_t unwritten_from;
    uint64_t works;       // mechanisms, as the parent told last
    bool tell_coverage;   // with the next batch: they changed, or the segment is new
    struct thrift thrift; // the thread's own
};

struct engine_known {
    uint32_t pid;
    uint64_t start, batch;
    Tiercel__Process *full, *parent; // in that batch's arena
    Tiercel__Process *brief;         // what the journal has with each event after the first
};

// What responses ask of the engine; respond owns them, and tells them again to a new engine.
#define ORDERS_CONTAINED 64
#define ORDERS_HASHES 256
#define ORDERS_DOMAINS 128
#define ORDERS_RESOLVED 1024
struct contained {
    uint32_t pid; // of the lineage's first process
    uint64_t start;
};
struct resolved { // an address of a blocked name
    struct response_address address;
    uint64_t until_ns; // CLOCK_BOOTTIME
    char domain[256];
};
struct engine_orders {
    struct contained contained[ORDERS_CONTAINED];
    uint8_t hashes[ORDERS_HASHES][32];
    char domains[ORDERS_DOMAINS][256];
    struct resolved resolved[ORDERS_RESOLVED];
    unsigned n_contained, n_hashes, n_domains, n_resolved;
    uint64_t resolved_full;
};
struct orders_refusal { // the detection it makes
    const char *id, *title, *tag;
};

struct engine {
    struct role_context *role;
    struct control_engine *stats;
    struct env env;
    pthread_mutex_t lock; // inherits priority: a question's thread lends it to whoever holds it
    _Atomic unsigned questions; // waiting for the lock: the observer lets them go first
    struct tree *tree;
    struct names *names; // of addresses
    struct detect *detect;
    struct detect_worker *worker; // one: whoever judges holds the lock, and finds what others found
    struct arena judge_arena[ENGINE_WORKERS];
    struct ring *structural, *bulk;
    int rings_fd;        // epoll of both, edge-triggered: readable only when the kernel wakes us
    struct facts *facts; // NULL: could not be started, and said
    struct probe_counters *counters;
    struct counters seen; // at the last look
    struct decode_clock clock;
    struct gate_table *table;
    struct gate *gate;
    struct gate_probe self_test;            // started before the sandbox closed
    const struct protect_settings *protect; // NULL: not given
    struct flood protect_flood;
    bool prevent;
    uint32_t scope; // mount namespace that is guarded; 0: the whole host
    bool stopping;
    bool flags_behind; // the sensor has not taken all flags: tell them again
    int wake_fd;       // eventfd: the main thread should look
    struct engine_batch batches[2], *open;
    uint64_t id_batch, id_place; // of the next event or detection
    struct engine_known known[ENGINE_KNOWN];
    struct engine_journal journal;
    struct files *files; // engine_files.c; NULL before its start
    uint64_t repeated;   // detections over the flood limit since the counters were looked at
    struct budget budget;
    uint64_t budget_cpu_ns, budget_at_ns; // at the last look
    uint64_t looked_ns;                   // when counters were looked at
    uint64_t order;                       // of the last order to respond
    struct engine_orders orders;
    uint8_t host[16], boot[16], rules_version[32];
};

void engine_wake(struct engine *e);

// ---- engine_batch.c; with the lock held
void batch_event(struct engine *e, Tiercel__Event *event); // in the open batch's arena
Tiercel__Event *batch_copy(struct engine *e, const Tiercel__Event *event);
uint64_t batch_detection(struct engine *e, const Tiercel__Detection *made,
                         const Tiercel__Event *event); // its id; 0 lost
void batch_verdict(struct engine *e, const Tiercel__Verdict *verdict);
void batch_loss(struct engine *e, const char *class, uint64_t count, uint64_t from, uint64_t to,
                const char *reason);
void batch_agent_state(struct engine *e, const char *state, const char *reason);
bool batch_full(const struct engine *e);
// Takes the lock itself: swaps the open batch out; NULL when it is empty. batch_clear() gives it back.
struct engine_batch *batch_take(struct engine *e);
void batch_clear(struct engine_batch *b);
void batch_describe(struct engine *e, struct engine_batch *b, Tiercel__Batch *ret);

// ---- engine_journal.c
int journal_start(struct engine *e); // recovers, asks for the segment, starts the thread
void journal_give(struct engine *e, uint64_t number, int fd);
void journal_no_segment(struct engine *e);
void journal_wake(struct engine *e);
void journal_coverage(struct engine *e, uint64_t works);
void journal_stop(struct engine *e); // writes what is left, syncs

// ---- engine_known.c; with the lock held
bool known_bulk(uint32_t kind);
// Completes the event where its process was completed in this batch already; returns what the journal needs of the
// process then, NULL where it is to be completed by the tree.
Tiercel__Process *known_complete(struct engine *e, const struct decoded *d);
void known_remember(struct engine *e,
                    const struct decoded *d); // after judging, before the event is shortened

// ---- engine_observe.c
// With the lock held: what is waiting. True: the tree knows all that happened before this call.
bool observe_structural(struct engine *e);
// With the lock held: an event made in user space, in the open batch's arena, its process named by id.
void observe_made(struct engine *e, Tiercel__Event *event);
void observe(struct engine *e); // both rings, in slices, taking the lock
void note_result(struct engine *e, const struct detect_result *result);
// The decisive rule's wish was done: counted, and said when it is braked.
void note_prevented(struct engine *e, const struct detect_result *result,
                    const Tiercel__Event *event);
void observe_counters(struct engine *e); // losses since the last look
void observe_budget(struct engine *e);   // own use of the machine since the last look

// ---- engine_facts.c; facts_look() takes the lock, the others want it held
bool facts_fill(struct engine *e, Tiercel__File *image,
                struct arena *arena); // its hash, where known
void facts_of_exec(struct engine *e, Tiercel__Event *event,
                   bool judged); // the same, or asks for it
void facts_of_container(struct engine *e, Tiercel__Process *process);
void facts_look(struct engine *e); // what became known since

// ---- engine_judge.c
bool engine_judge(void *context, unsigned worker, const struct gate_question *q);
bool engine_caller(void *context, pid_t tid, pid_t *ret_pid, uint64_t *ret_start);
void engine_late(void *context, const struct gate_question *q, const char *why);
bool engine_is_way_in(const Tiercel__Event *event);
bool engine_may_kill_lineage(const Tiercel__Event *event);

// ---- engine_protect.c
int protect_start(struct engine *e);
bool engine_open(void *context, unsigned worker, const struct gate_question *q);

// ---- engine_probe.c
int engine_open_probes(struct engine *e);
int engine_judged(void *context, const struct gate_question *q, uint64_t full, uint64_t tail,
                  uint32_t tail_bytes, uint64_t environment);
void engine_flag_all(struct engine *e);

// ---- engine_files.c: a thread of its own
int files_start(struct engine *e);
void files_given(struct engine *e); // the sensor's descriptors came, or came anew
void files_stop(struct engine *e);

// ---- engine_respond.c; with the lock held, but for orders_message(), which takes it
void orders_message(struct engine *e, const struct link_message *m);
// NULL: nothing that was ordered forbids this program start.
const struct orders_refusal *orders_forbid(const struct engine *e, const Tiercel__Event *event);
// The same where a hash became known after the start.
const struct orders_refusal *orders_forbid_hash(const struct engine *e,
                                                const Tiercel__Event *event);
// A process of a contained lineage that was started while its members were being marked.
void orders_flag(struct engine *e, const Tiercel__ProcessId *id, uint32_t inherited);
void orders_dns(struct engine *e, const Tiercel__Dns *dns);
void orders_look(struct engine *e); // every second: addresses that are over
void orders_new_sensor(struct engine *e);

// ---- engine_act.c; with the lock held
void act_kill(struct engine *e, const Tiercel__ProcessId *id, bool lineage, uint64_t detection,
              enum respond_reason reason, struct arena *arena);
void act_flags(struct engine *e, const Tiercel__ProcessId *id, uint32_t flags);
void act_budget(struct engine *e); // tells the sensor the share
void act_look_at_mounts(struct engine *e, const Tiercel__Process *process);
void act_done(struct engine *e, const struct respond_done *done);
