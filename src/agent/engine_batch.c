// SPDX-License-Identifier: Apache-2.0
// What the engine has seen and done, collected under its lock and written to the journal without it.
#include "agent/engine_private.h"

#include "event/copy.h"

#include <errno.h>
#include <stdio.h>

static uint64_t next_id(struct engine *e)
{
    // Batch number and place in it: unique on the host as long as the journal goes on, and short to type.
    return e->id_batch << 12 | (++e->id_place & 0xfff);
}

void batch_loss(struct engine *e, const char *class, uint64_t count, uint64_t from, uint64_t to,
                const char *reason)
{
    struct engine_batch *b = e->open;
    if (!count || b->n_losses == sizeof b->losses / sizeof *b->losses) {
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

uint64_t batch_detection(struct engine *e, const Tiercel__Detection *made, const Tiercel__Event *event)
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

static bool is_empty(const struct engine_batch *b)
{
    return !b->n_events && !b->n_detections && !b->n_verdicts && !b->n_losses && !b->dropped;
}

static void clear(struct engine_batch *b)
{
    arena_reset(&b->arena);
    b->n_events = b->n_detections = b->n_verdicts = b->n_losses = 0;
    b->dropped = 0;
    b->urgent = false;
}

static void describe(struct engine *e, struct engine_batch *b, Tiercel__Batch *batch)
{
    tiercel__batch__init(batch);
    batch->has_host = batch->has_boot = batch->has_rules_version = 1;
    batch->host = (ProtobufCBinaryData){sizeof e->host, e->host};
    batch->boot = (ProtobufCBinaryData){sizeof e->boot, e->boot};
    batch->rules_version = (ProtobufCBinaryData){sizeof e->rules_version, e->rules_version};
    batch->agent_version = (char *)TIERCEL_VERSION;
    batch->events = b->events;
    batch->n_events = b->n_events;
    batch->detections = b->detections;
    batch->n_detections = b->n_detections;
    batch->verdicts = b->verdicts;
    batch->n_verdicts = b->n_verdicts;
    batch->losses = b->losses;
    batch->n_losses = b->n_losses;
    uint64_t from = e->batch_from, to = e->env.now_ns(&e->env);
    for (size_t i = 0; i < b->n_events; i++)
        if (b->events[i]->time < from)
            from = b->events[i]->time;
    batch->has_from = batch->has_to = 1;
    batch->from = from;
    batch->to = to;
    e->batch_from = to;
}

// Called by the main thread only, without the lock. What could not be written is counted and becomes a loss of the
// next batch: the journal never has a silent hole.
int batch_write(struct engine *e)
{
    pthread_mutex_lock(&e->lock);
    struct engine_batch *b = e->open;
    if (is_empty(b)) {
        pthread_mutex_unlock(&e->lock);
        return 0;
    }
    if (b->dropped) {
        uint64_t dropped = b->dropped;
        b->dropped = 0;
        if (b->n_losses < sizeof b->losses / sizeof *b->losses)
            batch_loss(e, "table", dropped, e->batch_from, e->env.now_ns(&e->env),
                       "the open batch was full");
    }
    e->open = b == &e->batches[0] ? &e->batches[1] : &e->batches[0];
    e->id_batch++;
    e->id_place = 0;
    pthread_mutex_unlock(&e->lock);

    Tiercel__Batch batch;
    describe(e, b, &batch);
    uint64_t before = e->journal.size;
    int r = e->journal.fd < 0 ? -EBADF : segment_append(&e->journal, &batch);
    uint64_t records = b->n_events + b->n_detections + b->n_verdicts;
    if (r < 0) {
        e->stats->journal_lost += records;
        e->stats->journal_error = -r;
        e->unwritten += records;
        if (!e->unwritten_from)
            e->unwritten_from = batch.from;
    } else {
        e->stats->journal_error = 0;
        e->stats->journal_bytes += e->journal.size - before;
        e->stats->journal_batches++;
        if (e->unwritten) {
            pthread_mutex_lock(&e->lock);
            batch_loss(e, "journal", e->unwritten, e->unwritten_from, batch.from,
                       "the journal could not be written");
            pthread_mutex_unlock(&e->lock);
            e->unwritten = e->unwritten_from = 0;
        }
    }
    clear(b);
    return r;
}
