// SPDX-License-Identifier: Apache-2.0
// Kernel records become events, are completed, judged and journalled; what the gate could not decide is decided here.
#include "agent/engine_private.h"

#include <stdio.h>
#include <string.h>

static Tiercel__Verdict verdict_for(const struct engine *e, const Tiercel__Event *event,
                                    const struct rule *rule, uint64_t detection)
{
    Tiercel__Verdict v = TIERCEL__VERDICT__INIT;
    v.has_detection = v.has_action = v.has_wanted = v.has_mode = v.has_mechanism = 1;
    v.has_before_first_instruction = 1;
    v.detection = detection;
    v.mode = e->prevent ? TIERCEL__MODE__MODE_PREVENT : TIERCEL__MODE__MODE_DETECT;
    v.wanted = rule && rule->action == RULE_PREVENT ? TIERCEL__ACTION__ACTION_DENY
                                                    : TIERCEL__ACTION__ACTION_ALLOW;
    v.action = TIERCEL__ACTION__ACTION_ALLOW;
    v.mechanism = TIERCEL__MECHANISM__MECHANISM_NONE;
    v.target = event->process ? event->process->id : NULL;
    return v;
}

static void record_verdict(struct engine *e, const struct decoded *d, const struct rule *rule,
                           const struct str *exception, uint64_t detection, bool kill, bool lineage)
{
    Tiercel__Verdict v = verdict_for(e, d->event, rule, detection);
    if (exception && exception->n && rule->action == RULE_PREVENT) {
        v.has_exception = 1;
        v.exception = (ProtobufCBinaryData){exception->n, (uint8_t *)exception->p};
    }
    if (d->kind == RECORD_EXEC && d->flags & EXEC_KILLED) {
        v.action = TIERCEL__ACTION__ACTION_KILL;
        v.mechanism = TIERCEL__MECHANISM__MECHANISM_EXEC_SIGNAL;
        v.before_first_instruction = 1;
        v.note = (char *)(d->flags & EXEC_HASH_DIFFERS  ? "argv is not what was judged"
                          : d->flags & EXEC_HASH_UNREAD ? "argv could not be read back"
                          : d->flags & EXEC_ENVIRONMENT_DIFFERS
                              ? "a listed variable of the environment is not what was judged"
                              : "the gate is not asked about this file, and it is a service's");
        e->stats->prevented++;
    } else if (d->kind == RECORD_CONNECT && d->flags & CONNECT_DENIED) {
        v.wanted = v.action = TIERCEL__ACTION__ACTION_DENY;
        v.mechanism = TIERCEL__MECHANISM__MECHANISM_CGROUP;
        v.before_first_instruction = 0;
        e->stats->prevented++;
    } else if (kill) {
        v.action = lineage ? TIERCEL__ACTION__ACTION_KILL_LINEAGE : TIERCEL__ACTION__ACTION_KILL;
        v.mechanism = TIERCEL__MECHANISM__MECHANISM_PIDFD;
        v.note = (char *)"ordered after the fact: the gate was not asked, or was answered too late";
    }
    batch_verdict(e, &v);
    e->stats->verdicts++;
}

// What the kernel did by itself needs no rule to be shown.
static uint64_t own_detection(struct engine *e, const struct decoded *d)
{
    Tiercel__Detection made = TIERCEL__DETECTION__INIT;
    char *tags[1];
    made.level = (char *)"high";
    made.tags = tags;
    if (d->kind == RECORD_CONNECT) {
        made.rule_id = (char *)"tiercel-denied-address";
        made.rule_title = (char *)"Connection to a denied address";
        tags[0] = (char *)"attack.command-and-control";
    } else {
        made.rule_id = (char *)"tiercel-exec-check";
        made.rule_title = (char *)"Program that the gate did not judge as it ran";
        tags[0] = (char *)"attack.defense-evasion";
    }
    made.n_tags = 1;
    uint64_t id = batch_detection(e, &made, d->event);
    e->stats->detections += id != 0;
    return id;
}

void note_result(struct engine *e, const struct detect_result *result)
{
    e->repeated += result->suppressed + result->repeated;
    e->stats->rule_limits += result->limits;
}

// With a scope nothing is ever done to a process outside it; it is only shown.
static bool in_scope(const struct engine *e, const Tiercel__Event *event)
{
    const Tiercel__Process *p = event->process;
    return !e->scope || (p && p->namespaces && p->namespaces->mount == e->scope);
}

// The gate judged every argument; the record holds the first 32 KiB, where an end of text stands that is none. What it
// matches is shown, but nobody is killed for it.
static bool judged_in_full(const struct decoded *d)
{
    return d->kind == RECORD_EXEC && d->flags & EXEC_JUDGED && d->event->process &&
           d->event->process->argv_cut;
}

static bool is_ours(const Tiercel__Event *event)
{
    const Tiercel__Lineage *l = event->process ? event->process->lineage : NULL;
    return l && l->role && strcmp(l->role, "agent") == 0;
}

static void judge_observed(struct engine *e, const struct decoded *d)
{
    if (d->kind == RECORD_CONNECT && is_ours(d->event))
        return; // the sensor tries a denial when it starts; the agent connects to nothing else
    struct arena *arena = &e->open->arena;
    struct detect_result result = {0};
    if (detect_event(e->detect, e->worker, d->event, true, arena, &result) < 0) {
        e->open->dropped++;
        return;
    }
    note_result(e, &result);
    bool stopped = (d->kind == RECORD_EXEC && d->flags & EXEC_KILLED) ||
                   (d->kind == RECORD_CONNECT && d->flags & CONNECT_DENIED);
    bool kill = result.prevent && e->prevent && !stopped && d->kind == RECORD_EXEC &&
                in_scope(e, d->event) && !engine_is_way_in(d->event) && !judged_in_full(d);
    bool lineage = kill && result.kill_lineage && engine_may_kill_lineage(d->event);
    for (size_t i = 0; i < result.n; i++) {
        bool again = result.repeated && i == result.decisive;
        uint64_t id = again ? 0 : batch_detection(e, result.detections[i], d->event);
        e->stats->detections += id != 0;
        if (kill && i == result.decisive)
            act_kill(e, d->event->process->id, lineage, id,
                     d->flags & EXEC_HASH_DIFFERS ? RESPOND_HASH_DIFFERS : RESPOND_RULE, arena);
        if (!again)
            record_verdict(e, d, result.rules[i], &result.exception, id, kill, lineage);
    }
    if (stopped && result.n == 0 && !is_ours(d->event)) // the sensor tries a denial when it starts
        record_verdict(e, d, NULL, NULL, own_detection(e, d), false, false);
}

// The journal has a program's whole record once, with its exec. Later events of the process name it and say what it is
// and where it belongs; detections keep the whole record of the moment. A third of the engine's time went into packing
// the same arguments and namespaces with every connection.
static void keep_short(Tiercel__Event *event)
{
    Tiercel__Process *p = event->process;
    event->parent = NULL;
    if (!p)
        return;
    p->n_argv = p->n_environment = p->n_descriptors = 0;
    p->has_argv_cut = p->has_directory = p->has_script = p->has_cgroup = p->has_cgroup_path = 0;
    p->credentials = NULL;
    p->namespaces = NULL;
    if (p->image) {
        Tiercel__File *f = p->image;
        f->has_size = f->has_mode = f->has_owner = f->has_changed = f->has_sha256 = 0;
    }
}

static int take_record(void *context, const void *record, size_t bytes)
{
    struct engine *e = context;
    struct decoded d;
    int r = decode(record, bytes, &e->clock, &e->open->arena, &d);
    if (r < 0) {
        e->open->dropped++;
        return 0;
    }
    uint32_t inherited = d.lineage_flags;
    // What is below a web server stays so. The kernel still knows where the tree, begun anew by a restart, cannot: its
    // parents have gone.
    if (inherited & FLAG_SERVICE)
        tree_remind(e->tree, d.event, &e->open->arena);
    if (tree_apply(e->tree, d.event, &e->open->arena) < 0)
        e->open->dropped++;
    batch_event(e, d.event);
    e->stats->events++;
    if (d.kind == RECORD_EXEC && d.event->process) {
        uint32_t flags = tree_flags(e->tree, d.event->process->id);
        if (flags != inherited)
            act_flags(e, d.event->process->id, flags);
        if (d.flags & EXEC_UNGUARDED && !(d.flags & (EXEC_MEMORY_ONLY | EXEC_KILLED)))
            act_look_at_mounts(e, d.event->process);
    }
    if (d.kind == RECORD_EXEC || d.kind == RECORD_CONNECT)
        judge_observed(e, &d);
    if (d.kind != RECORD_EXEC)
        keep_short(d.event);
    return 0;
}

bool observe_structural(struct engine *e)
{
    // Bounded: a storm must not keep a question waiting for records that come after it.
    for (int i = 0;
         i < 32 && ring_drain(e->structural, OBSERVE_SLICE, take_record, e) == OBSERVE_SLICE; i++)
        ;
    return ring_waiting(e->structural) == 0;
}

static bool slice(struct engine *e, struct ring *ring)
{
    pthread_mutex_lock(&e->lock);
    int n = ring_drain(ring, OBSERVE_SLICE, take_record, e);
    bool full = batch_full(e) || e->open->urgent;
    pthread_mutex_unlock(&e->lock);
    role_beat(e->role); // a full ring takes many slices
    if (full)
        journal_wake(e);
    return n == OBSERVE_SLICE && !e->questions;
}

void observe(struct engine *e)
{
    for (int i = 0; i < 256 && slice(e, e->structural); i++)
        ;
    for (int i = 0; i < 64 && slice(e, e->bulk); i++)
        ;
}

void observe_counters(struct engine *e)
{
    if (!e->counters)
        return;
    struct counters now = probe_counters_sum(e->counters), *was = &e->seen;
    static const char *const bulk_names[COUNT_CLASSES] = {[COUNT_CONNECT] = "connect",
                                                          [COUNT_FILE] = "file",
                                                          [COUNT_SOCKET] = "socket",
                                                          [COUNT_FLOW] = "flow",
                                                          [COUNT_DNS] = "dns"};
    uint64_t structural = 0, bulk = 0;
    for (int i = 0; i < COUNT_STRUCTURAL_CLASSES; i++)
        structural += now.lost[i] - was->lost[i];
    pthread_mutex_lock(&e->lock);
    uint64_t to = e->env.now_ns(&e->env), from = e->looked_ns;
    batch_loss(e, "structural", structural, from, to, "the kernel's ring was full");
    for (int i = COUNT_STRUCTURAL_CLASSES; i < COUNT_CLASSES; i++) {
        uint64_t full = now.lost[i] - was->lost[i], over = now.throttled[i] - was->throttled[i];
        batch_loss(e, bulk_names[i], full, from, to, "the kernel's ring was full");
        batch_loss(e, bulk_names[i], over, from, to, "one process or control group sent too many");
        bulk += full + over;
    }
    batch_loss(e, "table", now.flags_full - was->flags_full, from, to,
               "no room for the flags of new processes");
    batch_loss(e, "repeated", e->repeated, from, to,
               "detections of one rule in one lineage, over 20 a minute; their events are kept");
    e->repeated = 0;
    e->stats->lost_structural += structural;
    e->stats->lost_bulk += bulk;
    e->stats->processes = tree_stats(e->tree).processes;
    e->looked_ns = to;
    pthread_mutex_unlock(&e->lock);
    e->seen = now;
}
