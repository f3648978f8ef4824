// SPDX-License-Identifier: Apache-2.0
// Opens of protected data: who may not, by the list (sensor/protect.h), and what is recorded of it. Asked by the gate
// before the file is open, or told afterwards: by the kernel's own refusal (LSM), or by a notification in detect mode.
#include "agent/engine_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static const char RULE[] = "tiercel-protected-data";

// What came of one open.
struct opened {
    enum { ONLY_SEEN, REFUSED, LIFTED } outcome;
    Tiercel__Mechanism mechanism;
    uint64_t latency;
    bool late;
    struct str exception;
};

static uint64_t monotonic_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct str text_of(ProtobufCBinaryData b)
{
    return str_bytes(b.data, b.len);
}

int protect_start(struct engine *e)
{
    int fd = e->role->given[GIVE_PROTECT];
    return fd < 0 ? -EBADF : protect_map(fd, &e->protect);
}

// ---- the event

static Tiercel__Event *event_of(struct engine *e, const struct gate_question *q,
                                struct arena *arena)
{
    Tiercel__Event *event = arena_new(arena, Tiercel__Event);
    Tiercel__Process *p = arena_new(arena, Tiercel__Process);
    Tiercel__ProcessId *id = arena_new(arena, Tiercel__ProcessId);
    Tiercel__FileChange *change = arena_new(arena, Tiercel__FileChange);
    Tiercel__File *f = arena_new(arena, Tiercel__File);
    if (!event || !p || !id || !change || !f)
        return NULL;
    tiercel__event__init(event);
    tiercel__process__init(p);
    tiercel__process_id__init(id);
    tiercel__file_change__init(change);
    tiercel__file__init(f);
    id->pid = (uint32_t)q->pid;
    id->start = q->start;
    p->id = id;
    f->has_path = f->has_device = f->has_inode = f->has_size = f->has_mode = f->has_owner =
        f->has_changed = 1;
    f->path = (ProtobufCBinaryData){q->path.n, (uint8_t *)q->path.p};
    f->device = q->device;
    f->inode = q->inode;
    f->size = q->size;
    f->mode = q->mode;
    f->owner = q->owner;
    f->changed = q->ctime_ns;
    change->has_action = change->has_protected_ = 1;
    change->action = TIERCEL__FILE_CHANGE__ACTION__READ;
    change->protected_ = 1;
    change->file = f;
    change->watch = (char *)"protected";
    event->has_time = 1;
    event->time = e->env.now_ns(&e->env);
    event->kind_case = TIERCEL__EVENT__KIND_FILE;
    event->file = change;
    event->process = p;
    return event;
}

// ---- who

static bool in_scope(struct engine *e, pid_t tid)
{
    char name[32];
    struct stat st;
    snprintf(name, sizeof name, "%d/ns/mnt", (int)tid);
    return !e->scope || (fstatat(e->env.proc_fd, name, &st, 0) == 0 && st.st_ino == e->scope);
}

static bool denied_by_list(struct engine *e, const Tiercel__Event *event)
{
    const Tiercel__Process *p = event->process;
    struct protect_caller caller = {
        .flags = tree_flags(e->tree, p->id),
        .role = p->lineage ? p->lineage->role : NULL,
        .program = p->image && p->image->has_path ? text_of(p->image->path) : STR_NONE,
        .main_process = tree_is_main(e->tree, p->id)};
    return protect_denies(e->protect, text_of(event->file->file->path), &caller) &&
           !engine_is_way_in(event);
}

// ---- what is recorded

static void add_verdict(struct engine *e, uint64_t detection, const Tiercel__Event *event,
                        const struct opened *o)
{
    Tiercel__Verdict v = TIERCEL__VERDICT__INIT;
    bool refused = o->outcome == REFUSED && !o->late;
    v.has_detection = v.has_action = v.has_wanted = v.has_mode = v.has_mechanism = 1;
    v.detection = detection;
    v.wanted = TIERCEL__ACTION__ACTION_DENY;
    v.action = refused ? TIERCEL__ACTION__ACTION_DENY : TIERCEL__ACTION__ACTION_ALLOW;
    v.mode = e->prevent ? TIERCEL__MODE__MODE_PREVENT : TIERCEL__MODE__MODE_DETECT;
    v.mechanism = refused ? o->mechanism : TIERCEL__MECHANISM__MECHANISM_NONE;
    v.has_latency = o->latency != 0;
    v.latency = o->latency;
    if (o->late)
        v.note = (char *)"judged after the deadline: the file was opened";
    v.has_exception = o->exception.n != 0;
    v.exception = (ProtobufCBinaryData){o->exception.n, (uint8_t *)o->exception.p};
    v.target = event->process->id;
    batch_verdict(e, &v);
    e->stats->verdicts++;
}

static void add_own_detection(struct engine *e, const Tiercel__Event *event, const struct opened *o)
{
    struct str path = text_of(event->file->file->path);
    bool secret = protect_kind(path) != PROTECT_DECLARED;
    char *tags[] = {(char *)(secret ? "attack.credential-access" : "attack.collection"),
                    (char *)(protect_kind(path) == PROTECT_PASSWORDS ? "attack.t1003.008"
                             : secret                                ? "attack.t1552.004"
                                                                     : "attack.t1005")};
    Tiercel__MatchedField matched = TIERCEL__MATCHED_FIELD__INIT, *fields[] = {&matched};
    Tiercel__Detection made = TIERCEL__DETECTION__INIT;
    made.level = (char *)"high";
    made.rule_id = (char *)RULE;
    made.rule_title = (char *)"Protected data opened by a service that may not";
    made.tags = tags;
    made.n_tags = sizeof tags / sizeof *tags;
    matched.field = (char *)"TargetFilename";
    matched.has_value = 1;
    matched.value = event->file->file->path;
    matched.pattern = (char *)"protected";
    made.matched = fields;
    made.n_matched = 1;
    if (!flood_allows(&e->protect_flood, 0, event, event->time)) {
        e->repeated++;
        return;
    }
    uint64_t id = batch_detection(e, &made, event);
    e->stats->detections += id != 0;
    add_verdict(e, id, event, o);
}

// The rules see it as well: for what they say more of it, and for sequences.
static void add_rules_detections(struct engine *e, const Tiercel__Event *event,
                                 const struct opened *o)
{
    struct detect_result result = {0};
    if (detect_event(e->detect, e->worker, event, true, &e->open->arena, &result) < 0) {
        e->open->dropped++;
        return;
    }
    note_result(e, &result);
    for (size_t i = 0; i < result.n; i++) {
        if (result.repeated && i == result.decisive)
            continue;
        uint64_t id = batch_detection(e, result.detections[i], event);
        e->stats->detections += id != 0;
        add_verdict(e, id, event, o);
    }
}

static void record(struct engine *e, Tiercel__Event *event, const struct opened *o)
{
    bool refused = o->outcome == REFUSED && !o->late;
    event->file->has_denied = 1;
    event->file->denied = refused;
    Tiercel__Event *kept = batch_copy(e, event);
    if (!kept) {
        e->open->dropped++;
        return;
    }
    batch_event(e, kept);
    e->stats->events++;
    e->stats->prevented += refused;
    e->stats->protected_denied += refused;
    e->stats->protected_seen += !refused;
    add_own_detection(e, kept, o);
    add_rules_detections(e, kept, o);
}

// ---- the gate asks

static bool is_our_own(const struct engine *e, pid_t pid)
{
    for (uint32_t i = 0; i < e->role->pids.n && i < ORDER_PIDS_MAX; i++)
        if (e->role->pids.pids[i] == (uint32_t)pid)
            return true;
    return false;
}

static bool judge(struct engine *e, const struct gate_question *q, struct arena *arena)
{
    Tiercel__Event *event = event_of(e, q, arena);
    if (!event || tree_apply(e->tree, event, arena) < 0) {
        e->stats->arena_refused++;
        return true; // fail open, counted
    }
    if (!denied_by_list(e, event) || !in_scope(e, q->tid))
        return true;
    struct opened o = {.outcome = e->prevent ? REFUSED : ONLY_SEEN,
                       .mechanism = TIERCEL__MECHANISM__MECHANISM_OPEN_GATE};
    if (detect_lifts(e->detect, str_from(RULE), event, &o.exception))
        o.outcome = LIFTED;
    o.latency = monotonic_now() - q->asked_ns;
    o.late = o.latency > e->role->setup.deadline_ms * 1000000ull;
    record(e, event, &o);
    return o.outcome != REFUSED;
}

bool engine_open(void *context, unsigned worker, const struct gate_question *q)
{
    struct engine *e = context;
    struct arena *arena = &e->judge_arena[worker];
    if (!e->protect || is_our_own(e, q->pid))
        return true;
    arena_reset(arena);
    e->questions++;
    pthread_mutex_lock(&e->lock);
    e->questions--;
    observe_structural(e); // so that the tree knows who asks
    bool allow = judge(e, q, arena);
    bool urgent = e->open->urgent;
    pthread_mutex_unlock(&e->lock);
    if (urgent)
        engine_wake(e);
    return allow;
}
