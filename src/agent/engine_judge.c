// SPDX-License-Identifier: Apache-2.0
// A question of the gate becomes the event it would be, is judged by the same rules as any event, and is answered.
#include "agent/engine_private.h"
#include "agent/thrift.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define RECORDED_ARGV ((size_t)32 << 10)
#define SERVICE_ARGV_MAX ((size_t)256 << 10)

static uint64_t monotonic_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static ProtobufCBinaryData binary(struct str s)
{
    return (ProtobufCBinaryData){s.n, (uint8_t *)s.p};
}

static bool binaries(struct arena *arena, const struct str *from, size_t n,
                     ProtobufCBinaryData **ret, size_t *ret_n)
{
    if (n == 0)
        return true;
    ProtobufCBinaryData *list = arena_array(arena, ProtobufCBinaryData, n);
    if (!list)
        return false;
    for (size_t i = 0; i < n; i++)
        list[i] = binary(from[i]);
    *ret = list;
    *ret_n = n;
    return true;
}

static Tiercel__DescriptorKind kind_of(const char *link, ssize_t n)
{
    if (n < 0)
        return TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_CLOSED;
    struct str s = {link, (size_t)n};
    if (str_starts(s, STR("socket:")))
        return TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_SOCKET;
    if (str_starts(s, STR("pipe:")))
        return TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_PIPE;
    if (str_eq(s, STR("/dev/null")))
        return TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_NULL;
    if (str_starts(s, STR("/dev/pts/")) || str_starts(s, STR("/dev/tty")) ||
        str_eq(s, STR("/dev/console")))
        return TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_TERMINAL;
    if (str_starts(s, STR("/")))
        return TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_FILE;
    return TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_OTHER;
}

static void ask_owner(struct engine *e, pid_t tid, Tiercel__Process *p, struct arena *arena)
{
    char name[16];
    struct stat st;
    snprintf(name, sizeof name, "%d", tid);
    p->credentials = arena_new(arena, Tiercel__Credentials);
    if (!p->credentials || fstatat(e->env.proc_fd, name, &st, 0) < 0) {
        p->credentials = NULL;
        return;
    }
    tiercel__credentials__init(p->credentials);
    p->credentials->has_uid = p->credentials->has_euid = p->credentials->has_egid = 1;
    p->credentials->euid = p->credentials->uid = st.st_uid;
    p->credentials->egid = st.st_gid;
}

static void ask_directory(struct engine *e, pid_t tid, Tiercel__Process *p, struct arena *arena)
{
    char name[32], link[4096];
    snprintf(name, sizeof name, "%d/cwd", tid);
    ssize_t n = readlinkat(e->env.proc_fd, name, link, sizeof link);
    struct str cwd = n > 0 ? arena_str(arena, str_bytes(link, (size_t)n)) : STR_NONE;
    p->has_directory = cwd.p != NULL;
    p->directory = binary(cwd);
}

// Each of these links costs the kernel an inode, so 1 and 2 are looked at only where 0 is a socket: that is where what
// they are matters.
static void ask_descriptors(struct engine *e, pid_t tid, Tiercel__Process *p, struct arena *arena)
{
    char name[32], link[64];
    p->descriptors = arena_array(arena, Tiercel__DescriptorKind, 3);
    for (int i = 0; p->descriptors && i < 3; i++) {
        snprintf(name, sizeof name, "%d/fd/%d", tid, i);
        p->descriptors[i] = kind_of(link, readlinkat(e->env.proc_fd, name, link, sizeof link));
        p->n_descriptors = (size_t)i + 1;
        if (p->descriptors[0] != TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_SOCKET)
            break;
    }
}

// What the caller will hand to the new program: looked at where a rule comes to need it, and for what is recorded. The
// thread stands still, so this cannot change under us except by another thread of the same process.
struct surroundings {
    struct engine *engine;
    pid_t tid;
    Tiercel__Process *process;
    struct arena *arena;
    bool looked;
};

static void look_around(void *context)
{
    struct surroundings *s = context;
    if (s->looked)
        return;
    s->looked = true;
    ask_directory(s->engine, s->tid, s->process, s->arena);
    ask_descriptors(s->engine, s->tid, s->process, s->arena);
}

static Tiercel__File *file_of(struct engine *e, const struct gate_question *q, struct arena *arena)
{
    Tiercel__File *f = arena_new(arena, Tiercel__File);
    if (!f)
        return NULL;
    tiercel__file__init(f);
    f->has_path = f->has_device = f->has_inode = f->has_size = f->has_mode = f->has_owner =
        f->has_changed = 1;
    f->path = binary(q->path);
    f->device = q->device;
    f->inode = q->inode;
    f->size = q->size;
    f->mode = q->mode;
    f->owner = q->owner;
    f->changed = q->ctime_ns;
    facts_fill(e, f, arena);
    return f;
}

static Tiercel__Event *event_of(struct engine *e, const struct gate_question *q,
                                struct arena *arena)
{
    Tiercel__Event *event = arena_new(arena, Tiercel__Event);
    Tiercel__Process *p = arena_new(arena, Tiercel__Process);
    Tiercel__ProcessId *id = arena_new(arena, Tiercel__ProcessId);
    Tiercel__Exec *exec = arena_new(arena, Tiercel__Exec);
    Tiercel__File *image = file_of(e, q, arena);
    if (!event || !p || !id || !exec || !image)
        return NULL;
    tiercel__event__init(event);
    tiercel__process__init(p);
    tiercel__process_id__init(id);
    tiercel__exec__init(exec);
    id->pid = (uint32_t)q->pid;
    id->start = q->start;
    p->id = id;
    p->image = image;
    if (!binaries(arena, q->argv, q->argc, &p->argv, &p->n_argv) ||
        !binaries(arena, q->environment, q->n_environment, &p->environment, &p->n_environment))
        return NULL;
    ask_owner(e, q->tid, p, arena);
    event->has_time = 1;
    event->time = e->env.now_ns(&e->env);
    exec->has_judged = exec->has_file_age = 1;
    exec->judged = 1;
    exec->file_age = event->time > q->ctime_ns ? event->time - q->ctime_ns : 0;
    event->kind_case = TIERCEL__EVENT__KIND_EXEC;
    event->exec = exec;
    event->process = p;
    return event;
}

// A `#!` file is judged in the form in which it will run: interpreter, its argument, script, the rest of argv.
static void as_script(Tiercel__Process *p, const struct gate_question *q, struct arena *arena)
{
    if (!q->script.n)
        return;
    size_t rest = p->n_argv ? p->n_argv - 1 : 0, n = 0;
    ProtobufCBinaryData *argv = arena_array(arena, ProtobufCBinaryData, rest + 3);
    if (!argv)
        return;
    struct str line = q->script, interpreter;
    str_split(&line, ' ', &interpreter);
    argv[n++] = binary(interpreter);
    if (str_trim(line).n)
        argv[n++] = binary(str_trim(line));
    argv[n++] = p->image->path;
    for (size_t i = 0; i < rest; i++)
        argv[n++] = p->argv[i + 1];
    p->has_script = 1;
    p->script = p->image->path;
    p->argv = argv;
    p->n_argv = n;
}

// A program that must start for a person to get in and mend things is never denied by what its arguments say.
bool engine_is_way_in(const Tiercel__Event *event)
{
    const Tiercel__Process *p = event->process;
    const char *role = p->lineage ? p->lineage->role : NULL;
    if (!role || p->lineage->depth > 2)
        return false;
    return strcmp(role, "console") == 0 || strcmp(role, "ssh") == 0 || strcmp(role, "agent") == 0;
}

// A whole lineage is ended only below a service that strangers talk to; elsewhere it may be a person's session.
bool engine_may_kill_lineage(const Tiercel__Event *event)
{
    const Tiercel__Lineage *l = event->process ? event->process->lineage : NULL;
    return l && l->role && (strcmp(l->role, "web") == 0 || strcmp(l->role, "database") == 0);
}

// A deny that comes after the deadline is a kill of what runs already (engine_late).
static void record_verdict(struct engine *e, uint64_t detection, const struct rule *rule,
                           const Tiercel__Event *event, const struct gate_question *q)
{
    Tiercel__Verdict v = TIERCEL__VERDICT__INIT;
    bool prevent = !rule || rule->action == RULE_PREVENT;
    v.has_detection = v.has_action = v.has_wanted = v.has_mode = v.has_mechanism = 1;
    v.has_before_first_instruction = v.has_latency = 1;
    v.detection = detection;
    v.wanted = prevent ? TIERCEL__ACTION__ACTION_DENY : TIERCEL__ACTION__ACTION_ALLOW;
    v.mode = TIERCEL__MODE__MODE_PREVENT;
    v.latency = monotonic_now() - q->asked_ns;
    bool late = v.latency > e->role->setup.deadline_ms * 1000000ull;
    v.action = late ? TIERCEL__ACTION__ACTION_KILL : TIERCEL__ACTION__ACTION_DENY;
    v.mechanism = late ? TIERCEL__MECHANISM__MECHANISM_PIDFD : TIERCEL__MECHANISM__MECHANISM_GATE;
    v.before_first_instruction = !late;
    if (late)
        v.note = (char *)"judged after the deadline: it had started and was killed";
    v.target = event->process->id;
    batch_verdict(e, &v);
    e->stats->verdicts++;
}

static Tiercel__Event *record_denied(struct engine *e, Tiercel__Event *event)
{
    event->exec->has_denied = 1;
    event->exec->denied = 1;
    // Judged in full; recorded as long as what the kernel's records hold.
    thrift_cut_argv(event->process, RECORDED_ARGV);
    Tiercel__Event *kept = batch_copy(e, event);
    if (kept)
        batch_event(e, kept);
    else
        e->open->dropped++;
    e->stats->prevented++;
    return kept;
}

static void record_denial(struct engine *e, Tiercel__Event *event,
                          const struct detect_result *result, const struct gate_question *q)
{
    Tiercel__Event *kept = record_denied(e, event);
    note_result(e, result);
    for (size_t i = 0; kept && i < result->n; i++) {
        if (result->repeated && i == result->decisive)
            continue; // the same again: its event says denied, its number is in the next loss record
        uint64_t id = batch_detection(e, result->detections[i], kept);
        e->stats->detections += id != 0;
        record_verdict(e, id, result->rules[i], kept, q);
    }
}

// Judging megabytes can be made to take longer than the deadline, and then the program would have started. No service
// gives a program so much: xargs stays at 128 KiB.
static bool too_long(const Tiercel__Event *event)
{
    const Tiercel__Lineage *l = event->process->lineage;
    return engine_may_kill_lineage(event) && l->depth > 0 &&
           thrift_argv_bytes(event->process) > SERVICE_ARGV_MAX;
}

static const struct orders_refusal long_refusal = {
    "tiercel-long-arguments", "More arguments than a service gives to a program",
    "attack.defense-evasion"};

// What no rule of the content says.
static void deny_own(struct engine *e, Tiercel__Event *event, const struct gate_question *q,
                     const struct orders_refusal *why)
{
    Tiercel__Detection made = TIERCEL__DETECTION__INIT;
    char *tags[] = {(char *)why->tag};
    made.level = (char *)"high";
    made.rule_id = (char *)why->id;
    made.rule_title = (char *)why->title;
    made.tags = tags;
    made.n_tags = 1;
    Tiercel__Event *kept = record_denied(e, event);
    uint64_t id = kept ? batch_detection(e, &made, kept) : 0;
    e->stats->detections += id != 0;
    if (kept)
        record_verdict(e, id, NULL, kept, q);
}

// One candidate under the rules; true when it may run.
static bool judge_event(struct engine *e, Tiercel__Event *event, struct arena *arena,
                        const struct gate_question *q)
{
    struct detect_result result = {0};
    struct surroundings around = {e, q->tid, event->process, arena, false};
    tree_preview_unlooked(e->tree, event, arena);
    const struct orders_refusal *ordered = orders_forbid(e, event);
    if (ordered) {
        look_around(&around);
        deny_own(e, event, q, ordered);
        return false;
    }
    if (too_long(event)) {
        look_around(&around);
        deny_own(e, event, q, &long_refusal);
        return false;
    }
    if (detect_question(e->detect, e->worker, event, look_around, &around, arena, &result) < 0) {
        e->stats->arena_refused++;
        return true; // fail open, counted
    }
    if (!result.prevent || engine_is_way_in(event))
        return true;
    look_around(&around);
    // Counted once more, as final: what is denied never comes back as an exec event.
    detect_event(e->detect, e->worker, event, true, arena, &result);
    record_denial(e, event, &result, q);
    note_prevented(e, &result, event);
    return false;
}

static bool lost_none(const struct engine *e)
{
    if (!e->counters)
        return false;
    struct counters now = probe_counters_sum(e->counters);
    return !now.lost[COUNT_EXEC] && !now.lost[COUNT_FORK] && !now.lost[COUNT_EXIT];
}

// Who asks, when the tree is sure of it: every record so far has been seen, so the process that it has living under this
// number is the one that asks. A thread that is no leader, and everything once a record was lost, is read from /proc.
bool engine_caller(void *context, pid_t tid, pid_t *ret_pid, uint64_t *ret_start)
{
    struct engine *e = context;
    Tiercel__ProcessId id;
    e->questions++;
    pthread_mutex_lock(&e->lock);
    e->questions--;
    bool known = e->structural && observe_structural(e) && lost_none(e) &&
                 tree_find(e->tree, (uint32_t)tid, &id);
    pthread_mutex_unlock(&e->lock);
    if (known) {
        *ret_pid = tid;
        *ret_start = id.start;
    }
    return known;
}

bool engine_judge(void *context, unsigned worker, const struct gate_question *q)
{
    struct engine *e = context;
    struct arena *arena = &e->judge_arena[worker];
    arena_reset(arena);
    // A loader that a program names for itself is not run directly, and the program was judged by its own question. One
    // that others than root can write is judged like any file.
    if (q->part == GATE_ELF_LOADER && q->owner == 0 && !(q->mode & 022))
        return true;
    Tiercel__Event *event = event_of(e, q, arena);
    if (!event) {
        e->stats->arena_refused++;
        return true;
    }
    if (q->part == GATE_FILE)
        as_script(event->process, q, arena);
    e->questions++;
    pthread_mutex_lock(&e->lock);
    e->questions--;
    observe_structural(e); // so that the tree knows who asks
    bool allow = judge_event(e, event, arena, q);
    if (allow && q->loader_run && q->target.n) {
        event = event_of(e, q, arena);
        if (event) {
            event->process->image->path = binary(q->target);
            allow = judge_event(e, event, arena, q);
        }
    }
    bool urgent = e->open->urgent;
    pthread_mutex_unlock(&e->lock);
    if (urgent)
        engine_wake(e);
    return allow;
}

// An answer came too late, or a caller could not be read: the task must end. Counted by the gate as after the fact.
void engine_late(void *context, const struct gate_question *q, const char *why)
{
    struct engine *e = context;
    Tiercel__ProcessId id = TIERCEL__PROCESS_ID__INIT;
    id.pid = (uint32_t)q->pid;
    id.start = q->start;
    pthread_mutex_lock(&e->lock);
    act_kill(e, &id, false, 0, RESPOND_LATE, NULL);
    char text[160];
    snprintf(text, sizeof text, "pid %u is killed: %s", id.pid, why);
    batch_agent_state(e, "late", text);
    pthread_mutex_unlock(&e->lock);
    engine_wake(e);
}
