// SPDX-License-Identifier: Apache-2.0
// What the engine has seen and done, collected under its lock and written to the journal without it.
#include "agent/engine_private.h"

#include "event/copy.h"

#include <errno.h>
#include <stdio.h>

static uint64_t next_id(struct engine *e)
{
    // Batch number and place in it: unique on the host as long as its journal goes on, and short to type.
    return e->id_batch << 14 | (++e->id_place & 0x3fff);
}

void batch_loss(struct engine *e, const char *class, uint64_t count, uint64_t from, uint64_t to,
                const char *reason)
{
    struct engine_batch *b = e->open;
    if (!count)
        return;
    if (b->n_losses == sizeof b->losses / sizeof *b->losses) {
        b->dropped += count;
        return;
    }
    Tiercel__Loss *loss = arena_new(&b->arena, Tiercel__Loss);
    if (!loss) {
        b->dropped += count;
        return;
    }
    tiercel__loss__init(loss);
    loss->class_ = arena_cstr(&b->arena, str_from(class));
    loss->reason = arena_cstr(&b->arena, str_from(reason));
    loss->has_count = loss->has_from = loss->has_to = 1;
    loss->count = count;
    loss->from = from;
    loss->to = to;
    b->losses[b->n_losses++] = loss;
}

void batch_event(struct engine *e, Tiercel__Event *event)
{
    struct engine_batch *b = e->open;
    if (b->n_events == sizeof b->events / sizeof *b->events) {
        b->dropped++;
        return;
    }
    event->has_id = 1;
    event->id = next_id(e);
    if (!event->has_time) {
        event->has_time = 1;
        event->time = e->env.now_ns(&e->env);
    }
    b->events[b->n_events++] = event;
}

void batch_agent_state(struct engine *e, const char *state, const char *reason)
{
    struct engine_batch *b = e->open;
    Tiercel__Event *event = arena_new(&b->arena, Tiercel__Event);
    Tiercel__AgentState *agent = arena_new(&b->arena, Tiercel__AgentState);
    if (!event || !agent) {
        b->dropped++;
        return;
    }
    tiercel__event__init(event);
    tiercel__agent_state__init(agent);
    agent->state = arena_cstr(&b->arena, str_from(state));
    agent->reason = arena_cstr(&b->arena, str_from(reason));
    event->kind_case = TIERCEL__EVENT__KIND_AGENT;
    event->agent = agent;
    batch_event(e, event);
    b->urgent = true;
}

// The event and its detections are copied into the batch, because a worker's arena dies before the batch is written.
Tiercel__Event *batch_copy(struct engine *e, const Tiercel__Event *event)
{
    return (Tiercel__Event *)event_copy(&event->base, &e->open->arena);
}

uint64_t batch_detection(struct engine *e, const Tiercel__Detection *made,
                         const Tiercel__Event *event)
{
    struct engine_batch *b = e->open;
    if (b->n_detections == sizeof b->detections / sizeof *b->detections) {
        b->dropped++;
        return 0;
    }
    Tiercel__Detection *d = (Tiercel__Detection *)event_copy(&made->base, &b->arena);
    Tiercel__Event **events = arena_array(&b->arena, Tiercel__Event *, 1);
    if (!d || !events) {
        b->dropped++;
        return 0;
    }
    d->has_id = d->has_time = 1;
    d->id = next_id(e);
    d->time = event->has_time ? event->time : e->env.now_ns(&e->env);
    if (d->n_events == 0) {
        events[0] = batch_copy(e, event);
        d->events = events;
        d->n_events = events[0] ? 1 : 0;
    }
    if (event->process)
        d->n_tree = tree_chain(e->tree, event->process->id, &b->arena, &d->tree);
    // What was refused never ran, so the tree does not know it: it stands where its caller stood.
    if (event->kind_case == TIERCEL__EVENT__KIND_EXEC && event->exec->denied && d->n_tree &&
        d->n_events)
        d->tree[d->n_tree - 1] = d->events[0]->process;
    b->detections[b->n_detections++] = d;
    b->urgent = true;
    return d->id;
}

void batch_verdict(struct engine *e, const Tiercel__Verdict *verdict)
{
    struct engine_batch *b = e->open;
    if (b->n_verdicts == sizeof b->verdicts / sizeof *b->verdicts) {
        b->dropped++;
        return;
    }
    Tiercel__Verdict *v = (Tiercel__Verdict *)event_copy(&verdict->base, &b->arena);
    if (!v) {
        b->dropped++;
        return;
    }
    v->has_id = v->has_time = 1;
    v->id = next_id(e);
    v->time = e->env.now_ns(&e->env);
    b->verdicts[b->n_verdicts++] = v;
}

bool batch_full(const struct engine *e)
{
    const struct engine_batch *b = e->open;
    return b->n_events >= BATCH_EVENTS || b->arena.used >= BATCH_BYTES || b->n_detections > 128;
}

void batch_clear(struct engine_batch *b)
{
    arena_reset(&b->arena);
    b->arena.failed = 0;
    b->n_events = b->n_detections = b->n_verdicts = b->n_losses = 0;
    b->dropped = 0;
    b->urgent = false;
}

struct engine_batch *batch_take(struct engine *e)
{
    pthread_mutex_lock(&e->lock);
    struct engine_batch *b = e->open;
    uint64_t now = e->env.now_ns(&e->env), dropped = b->dropped;
    b->dropped = 0;
    batch_loss(e, "table", dropped, b->from_ns, now, "the open batch was full");
    bool empty = !b->n_events && !b->n_detections && !b->n_verdicts && !b->n_losses;
    if (!empty) {
        e->stats->arena_refused += b->arena.failed;
        e->open = b == &e->batches[0] ? &e->batches[1] : &e->batches[0];
        e->open->from_ns = now;
        e->id_batch++;
        e->id_place = 0;
    }
    pthread_mutex_unlock(&e->lock);
    return empty ? NULL : b;
}

void batch_describe(struct engine *e, struct engine_batch *b, Tiercel__Batch *ret)
{
    tiercel__batch__init(ret);
    ret->has_host = ret->has_boot = ret->has_rules_version = ret->has_from = ret->has_to = 1;
    ret->host = (ProtobufCBinaryData){sizeof e->host, e->host};
    ret->boot = (ProtobufCBinaryData){sizeof e->boot, e->boot};
    ret->rules_version = (ProtobufCBinaryData){sizeof e->rules_version, e->rules_version};
    ret->agent_version = (char *)TIERCEL_VERSION;
    ret->events = b->events;
    ret->n_events = b->n_events;
    ret->detections = b->detections;
    ret->n_detections = b->n_detections;
    ret->verdicts = b->verdicts;
    ret->n_verdicts = b->n_verdicts;
    ret->losses = b->losses;
    ret->n_losses = b->n_losses;
    ret->from = b->from_ns;
    ret->to = e->env.now_ns(&e->env);
    for (size_t i = 0; i < b->n_events; i++)
        if (b->events[i]->time < ret->from)
            ret->from = b->events[i]->time;
}
