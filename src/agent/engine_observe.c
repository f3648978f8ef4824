// SPDX-License-Identifier: Apache-2.0
// Kernel records become events, are completed, judged and journalled; what the gate could not decide is decided here.
#include "agent/engine_private.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

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

static const char *killed_because(uint32_t flags)
{
    return flags & EXEC_HASH_DIFFERS  ? "argv is not what was judged"
           : flags & EXEC_HASH_UNREAD ? "argv could not be read back"
           : flags & EXEC_ENVIRONMENT_DIFFERS
               ? "a listed variable of the environment is not what was judged"
               : "the gate is not asked about this file, and it is a service's";
}

// What the kernel did by itself, before the engine knew of it.
static enum stopped {
    NOT_STOPPED,
    KILLED_AT_EXEC,
    REFUSED_BY_CGROUP,
    REFUSED_BY_LSM
} stopped_by(const struct decoded *d)
{
    if (d->kind == RECORD_EXEC && d->flags & EXEC_KILLED)
        return KILLED_AT_EXEC;
    if (!d->denied)
        return NOT_STOPPED;
    return d->kind == RECORD_CONNECT ? REFUSED_BY_CGROUP : REFUSED_BY_LSM;
}

static void record_verdict(struct engine *e, const struct decoded *d, const struct rule *rule,
                           const struct str *exception, uint64_t detection, bool kill, bool lineage)
{
    Tiercel__Verdict v = verdict_for(e, d->event, rule, detection);
    enum stopped stopped = stopped_by(d);
    if (exception && exception->n && rule->action == RULE_PREVENT) {
        v.has_exception = 1;
        v.exception = (ProtobufCBinaryData){exception->n, (uint8_t *)exception->p};
    }
    if (stopped == KILLED_AT_EXEC) {
        v.action = TIERCEL__ACTION__ACTION_KILL;
        v.mechanism = TIERCEL__MECHANISM__MECHANISM_EXEC_SIGNAL;
        v.before_first_instruction = 1;
        v.note = (char *)killed_because(d->flags);
        e->stats->prevented++;
    } else if (stopped) {
        v.wanted = v.action = TIERCEL__ACTION__ACTION_DENY;
        v.mechanism = stopped == REFUSED_BY_CGROUP ? TIERCEL__MECHANISM__MECHANISM_CGROUP
                                                   : TIERCEL__MECHANISM__MECHANISM_LSM;
        v.before_first_instruction = d->kind == RECORD_EXEC;
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
    static const struct {
        const char *id, *title, *tag;
    } of[] = {
        [RECORD_EXEC] = {"tiercel-exec-check", "Program that the gate did not judge as it ran",
                         "attack.defense-evasion"},
        [RECORD_CONNECT] = {"tiercel-denied-address", "Connection to a denied address",
                            "attack.command-and-control"},
        [RECORD_FILE] = {"tiercel-protected-data", "Protected data refused", "attack.collection"}};
    bool known = d->kind < sizeof of / sizeof *of && of[d->kind].id;
    Tiercel__Detection made = TIERCEL__DETECTION__INIT;
    char *tags[] = {(char *)(known ? of[d->kind].tag : "attack.privilege-escalation")};
    made.level = (char *)"high";
    made.rule_id = (char *)(known ? of[d->kind].id : "tiercel-denied-action");
    made.rule_title = (char *)(known ? of[d->kind].title : "Action that a service may not take");
    if (d->kind == RECORD_FILE && d->flags & FILE_RUN) {
        made.rule_id = (char *)"tiercel-denied-program";
        made.rule_title =
            (char *)(d->flags & FILE_CONTAINED ? "Program that a contained lineage may not start"
                                               : "Program that is blocked");
        tags[0] = (char *)"attack.execution";
    }
    made.tags = tags;
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

void note_prevented(struct engine *e, const struct detect_result *result,
                    const Tiercel__Event *event)
{
    const struct rule *rule = result->prevent ? result->rules[result->decisive] : NULL;
    if (!rule || !detect_prevented(e->detect, rule, event))
        return;
    char text[188];
    snprintf(
        text, sizeof text,
        "the rule '%.*s' prevented more than 30 times within a minute: it only detects for the "
        "next minute",
        (int)(rule->title.n < 80 ? rule->title.n : 80), rule->title.p);
    memcpy(e->stats->problem, text, sizeof text);
    batch_agent_state(e, "brake", text);
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
    if (d->kind != RECORD_EXEC && is_ours(d->event))
        return; // the sensor tries its denials when it starts; the agent is not judged by what it opens or ends
    struct arena *arena = &e->open->arena;
    struct detect_result result = {0};
    if (detect_event(e->detect, e->worker, d->event, true, arena, &result) < 0) {
        e->open->dropped++;
        return;
    }
    note_result(e, &result);
    bool stopped = stopped_by(d) != NOT_STOPPED;
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
    if (kill)
        note_prevented(e, &result, d->event);
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
        f->has_size = f->has_mode = f->has_owner = f->has_changed = 0;
    }
}

// What an operator ordered: for what is known only now, or was not asked about at the gate.
static void obey(struct engine *e, const struct decoded *d)
{
    const Tiercel__Event *event = d->event;
    if (d->kind == RECORD_FORK && event->fork && event->fork->child)
        orders_flag(e, event->fork->child, d->lineage_flags);
    if (d->kind == RECORD_EXEC && event->process)
        orders_flag(e, event->process->id, d->lineage_flags);
    if (event->kind_case == TIERCEL__EVENT__KIND_DNS)
        orders_dns(e, event->dns);
    const struct orders_refusal *why =
        d->kind == RECORD_EXEC && !(d->flags & EXEC_KILLED) ? orders_forbid(e, event)
        : event->kind_case == TIERCEL__EVENT__KIND_HASH && !is_ours(event)
            ? orders_forbid_hash(e, event)
            : NULL;
    if (!why || !event->process || !in_scope(e, event))
        return;
    Tiercel__Detection made = TIERCEL__DETECTION__INIT;
    char *tags[] = {(char *)why->tag};
    made.level = (char *)"high";
    made.rule_id = (char *)why->id;
    made.rule_title = (char *)why->title;
    made.tags = tags;
    made.n_tags = 1;
    uint64_t id = batch_detection(e, &made, event);
    e->stats->detections += id != 0;
    act_kill(e, event->process->id, false, id, RESPOND_OPERATOR, &e->open->arena);
    record_verdict(e, d, NULL, NULL, id, true, false);
}

// One happening into tree, journal and rules.
static void take_event(struct engine *e, const struct decoded *d)
{
    Tiercel__Process *brief = known_complete(e, d);
    // What is below a web server stays so. The kernel still knows where the tree, begun anew by a restart, cannot: its
    // parents have gone.
    if (d->lineage_flags & FLAG_SERVICE)
        tree_remind(e->tree, d->event, &e->open->arena);
    if (d->kind == RECORD_EXEC)
        facts_of_exec(e, d->event, d->flags & EXEC_JUDGED);
    if (!brief) {
        if (tree_apply(e->tree, d->event, &e->open->arena) < 0)
            e->open->dropped++;
        facts_of_container(e, d->event->process);
    }
    if (e->names)
        names_take(e->names, d->event, &e->open->arena);
    batch_event(e, d->event);
    e->stats->events++;
    if (d->kind == RECORD_EXEC && d->event->process) {
        uint32_t flags = tree_flags(e->tree, d->event->process->id);
        if (flags != (d->lineage_flags & ~(uint32_t)FLAG_CONTAINED))
            act_flags(e, d->event->process->id, flags);
        if (d->flags & EXEC_UNGUARDED && !(d->flags & (EXEC_MEMORY_ONLY | EXEC_KILLED)))
            act_look_at_mounts(e, d->event->process);
    }
    if (d->kind != RECORD_FORK && d->kind != RECORD_EXIT)
        judge_observed(e, d);
    obey(e, d);
    if (brief) {
        d->event->process = brief;
        d->event->parent = NULL;
    } else if (d->kind != RECORD_EXEC) {
        known_remember(e, d);
        keep_short(d->event);
    }
}

static int take_record(void *context, const void *record, size_t bytes)
{
    struct engine *e = context;
    struct decoded d;
    if (decode(record, bytes, &e->clock, &e->open->arena, &d) < 0)
        e->open->dropped++;
    else if (!d.idle)
        take_event(e, &d);
    return 0;
}

void observe_made(struct engine *e, Tiercel__Event *event)
{
    take_event(e, &(struct decoded){.event = event});
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
    batch_loss(e, "table", now.sockets_full - was->sockets_full, from, to,
               "no memory for what is known of a socket: its bytes are told of nobody");
    batch_loss(e, "flow bytes sent", now.untold_sent - was->untold_sent, from, to,
               "of flows that could not be told");
    batch_loss(e, "flow bytes received", now.untold_received - was->untold_received, from, to,
               "of flows that could not be told");
    batch_loss(e, "repeated", now.security_folded - was->security_folded, from, to,
               "security events, the same again within a second; the next one says how often");
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

// Resident bytes by /proc/self/statm; 0 where it cannot be read.
static uint64_t resident(struct engine *e)
{
    char text[128];
    unsigned long size, pages;
    _cleanup_close_ int fd = openat(e->env.proc_fd, "self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    return sscanf(text, "%lu %lu", &size, &pages) == 2 ? pages * (uint64_t)sysconf(_SC_PAGESIZE)
                                                       : 0;
}

void observe_budget(struct engine *e)
{
    struct rusage used;
    uint64_t now = e->env.monotonic_ns(&e->env);
    if (getrusage(RUSAGE_SELF, &used) < 0)
        return;
    uint64_t cpu = (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000000u +
                   (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1000u;
    uint64_t passed = e->budget_at_ns ? now - e->budget_at_ns : 0;
    bool changed = budget_look(&e->budget, cpu - e->budget_cpu_ns, passed, resident(e));
    e->budget_cpu_ns = cpu;
    e->budget_at_ns = now;
    if (!changed)
        return;
    char text[128];
    snprintf(text, sizeof text,
             e->budget.share > 1
                 ? "over its budget: bulk telemetry is cut to 1/%u of the usual limits"
                 : "within its budget again: all telemetry",
             e->budget.share);
    pthread_mutex_lock(&e->lock);
    batch_agent_state(e, "budget", text);
    act_budget(e);
    pthread_mutex_unlock(&e->lock);
}
