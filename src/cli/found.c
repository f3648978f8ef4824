// SPDX-License-Identifier: Apache-2.0
#include "cli/found.h"

#include <errno.h>
#include <stdlib.h>

static struct str rest_of(struct str s)
{
    return str_bytes(s.p + 1, s.n - 1);
}

int found_init(struct found *f, size_t limit)
{
    *f = (struct found){.limit = limit && limit < FOUND_QUOTA ? limit : FOUND_QUOTA};
    return 0;
}

void found_done(struct found *f)
{
    for (size_t i = 0; i < f->n; i++)
        free(found_get(f, i).p);
    free(f->items);
    *f = (struct found){0};
}

struct found_item found_get(const struct found *f, size_t i)
{
    return f->items[(f->first + i) % f->limit];
}

int found_add(struct found *f, const ProtobufCMessage *message)
{
    if (!f->items)
        f->items = calloc(f->limit, sizeof *f->items);
    size_t n = protobuf_c_message_get_packed_size(message);
    uint8_t *p = malloc(n ? n : 1);
    if (!f->items || !p) {
        free(p);
        return -ENOMEM;
    }
    protobuf_c_message_pack(message, p);
    if (f->n == f->limit) {
        free(f->items[f->first].p);
        f->items[f->first] = (struct found_item){p, n};
        f->first = (f->first + 1) % f->limit;
        return 0;
    }
    f->items[(f->first + f->n++) % f->limit] = (struct found_item){p, n};
    return 0;
}

struct look_context {
    enum look look;
    const struct filter *filter;
};

// By the clear header: nothing in it is wanted. The newest segment is read whole, for the last id.
static bool skip_batch(void *context, const struct segment_info *info)
{
    const struct look_context *c = context;
    if (c->look == LOOK_DETECTIONS && info->n_detections == 0)
        return true;
    if (c->look == LOOK_EVENTS && info->n_events == 0 && info->n_losses == 0)
        return true;
    return (c->filter->since_ns && info->to_ns < c->filter->since_ns) ||
           (c->filter->until_ns && info->from_ns > c->filter->until_ns);
}

void found_loss(Tiercel__Loss *loss, Tiercel__Event *ret)
{
    tiercel__event__init(ret);
    ret->kind_case = TIERCEL__EVENT__KIND_LOSS;
    ret->loss = loss;
    ret->has_time = true;
    ret->time = loss->to;
}

static int take_batch(const Tiercel__Batch *b, const struct look_context *c, struct found *f,
                      struct arena *arena, uint64_t *last_id)
{
    int r = 0;
    for (size_t i = 0; c->look == LOOK_EVENTS && r == 0 && i < b->n_losses; i++) {
        Tiercel__Event event;
        found_loss(b->losses[i], &event);
        arena_reset(arena);
        if (filter_event(c->filter, &event, arena))
            r = found_add(f, &event.base);
    }
    for (size_t i = 0; c->look == LOOK_EVENTS && r == 0 && i < b->n_events; i++) {
        arena_reset(arena);
        if (b->events[i]->id > *last_id)
            *last_id = b->events[i]->id;
        if (filter_event(c->filter, b->events[i], arena))
            r = found_add(f, &b->events[i]->base);
    }
    for (size_t i = 0; c->look == LOOK_DETECTIONS && r == 0 && i < b->n_detections; i++) {
        arena_reset(arena);
        if (b->detections[i]->id > *last_id)
            *last_id = b->detections[i]->id;
        if (filter_detection(c->filter, b->detections[i], arena))
            r = found_add(f, &b->detections[i]->base);
    }
    return r;
}

// One segment's matches into `f`.
static int look_segment(struct journal *j, size_t index, struct look_context *c, struct found *f,
                        void (*damage)(void *context, const struct error *e), void *context,
                        uint64_t *last_id, struct error *e)
{
    _cleanup_arena_ struct arena arena = {0};
    int r = journal_seek(j, index, false, e);
    while (r >= 0) {
        const Tiercel__Batch *batch = NULL;
        r = journal_next(j, skip_batch, c, &batch, e);
        if (r == -EBADMSG) {
            if (damage)
                damage(context, e);
            return 0;
        }
        if (r <= 0)
            return r;
        r = take_batch(batch, c, f, &arena, last_id);
        if (r < 0)
            return error_set(e, r, "out of memory");
    }
    return r;
}

// Puts what an older segment gave in front of what the newer ones gave; takes it over.
static int prepend(struct found *f, struct found *older)
{
    struct found both;
    found_init(&both, f->limit);
    both.items = calloc(both.limit, sizeof *both.items);
    if (!both.items)
        return -ENOMEM;
    for (size_t i = 0; i < older->n; i++)
        both.items[both.n++] = found_get(older, i);
    for (size_t i = 0; i < f->n; i++)
        both.items[both.n++] = found_get(f, i);
    free(f->items);
    free(older->items);
    *f = both;
    *older = (struct found){0};
    return 0;
}

int found_look(struct journal *j, enum look look, const struct filter *filter, struct found *f,
               void (*damage)(void *context, const struct error *e), void *context,
               uint64_t *ret_last_id, struct error *e)
{
    struct look_context c = {look, filter};
    uint64_t last_id = 0;
    for (size_t index = journal_segments(j); index > 0 && f->n < f->limit; index--) {
        _cleanup_found_ struct found older = {0};
        found_init(&older, f->limit - f->n);
        int r = look_segment(j, index - 1, &c, &older, damage, context, &last_id, e);
        if (r < 0)
            return r;
        if (older.n && prepend(f, &older) < 0)
            return error_set(e, -ENOMEM, "out of memory");
    }
    *ret_last_id = last_id;
    return 0;
}

int found_parse_id(const char *text, uint64_t *ret, struct error *e)
{
    struct str s = str_from(text);
    if (s.n && s.p[0] == '#')
        s = rest_of(s);
    if (str_to_u64(s, ret) < 0) {
        error_set(e, -EINVAL, "'%s' is no detection's number", text);
        error_way_out(e, "`tiercel detections` shows them after #");
        return -EINVAL;
    }
    return 0;
}

static bool skip_without_detections(void *context, const struct segment_info *info)
{
    (void)context;
    return info->n_detections == 0;
}

// A copy that outlives its batch, or NULL.
static Tiercel__Detection *copy_of(const Tiercel__Detection *d)
{
    size_t n = tiercel__detection__get_packed_size(d);
    uint8_t *packed = malloc(n ? n : 1);
    if (!packed)
        return NULL;
    tiercel__detection__pack(d, packed);
    Tiercel__Detection *copy = tiercel__detection__unpack(NULL, n, packed);
    free(packed);
    return copy;
}

// 1 found, 0 not in this segment.
static int detection_in_segment(struct journal *j, uint64_t id, Tiercel__Detection **ret,
                                struct error *e)
{
    for (;;) {
        const Tiercel__Batch *batch = NULL;
        int r = journal_next(j, skip_without_detections, NULL, &batch, e);
        if (r == -EBADMSG) // what stands after the damage is in the next segment
            return 0;
        if (r <= 0)
            return r;
        for (size_t i = 0; i < batch->n_detections; i++)
            if (batch->detections[i]->id == id) {
                *ret = copy_of(batch->detections[i]);
                return *ret ? 1 : error_set(e, -ENOMEM, "out of memory");
            }
    }
}

int found_detection(struct journal *j, uint64_t id, Tiercel__Detection **ret, struct error *e)
{
    for (size_t index = journal_segments(j); index > 0; index--) {
        int r = journal_seek(j, index - 1, false, e);
        if (r == 0)
            r = detection_in_segment(j, id, ret, e);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    error_set(e, -ESRCH, "there is no detection #%llu in the journal", (unsigned long long)id);
    error_way_out(e, "`tiercel detections` lists the last ones; old segments are deleted to keep "
                     "the journal's bound");
    return -ESRCH;
}

int verdicts_put(struct verdicts *v, const Tiercel__Verdict *verdict)
{
    size_t n = protobuf_c_message_get_packed_size(&verdict->base);
    uint8_t *packed = malloc(n ? n : 1);
    if (!packed)
        return -ENOMEM;
    protobuf_c_message_pack(&verdict->base, packed);
    Tiercel__Verdict *copy = tiercel__verdict__unpack(NULL, n, packed);
    free(packed);
    if (!copy)
        return -ENOMEM;
    Tiercel__Verdict *old = map_remove(&v->by_detection, MAP_KEY(copy->detection));
    if (old)
        tiercel__verdict__free_unpacked(old, NULL);
    int r = map_put(&v->by_detection, MAP_KEY(copy->detection), copy);
    if (r < 0)
        tiercel__verdict__free_unpacked(copy, NULL);
    return r;
}

static bool skip_without_verdicts(void *context, const struct segment_info *info)
{
    return info->n_verdicts == 0 || info->to_ns < *(const uint64_t *)context;
}

int verdicts_load(struct journal *j, uint64_t since_ns, struct verdicts *ret, struct error *e)
{
    int r = journal_seek(j, 0, true, e);
    while (r >= 0) {
        const Tiercel__Batch *batch = NULL;
        r = journal_next(j, skip_without_verdicts, &since_ns, &batch, e);
        if (r == -EBADMSG) { // told by whoever reads the detections
            r = 0;
            continue;
        }
        if (r <= 0)
            return r;
        for (size_t i = 0; i < batch->n_verdicts; i++) {
            r = verdicts_put(ret, batch->verdicts[i]);
            if (r == -ENOSPC)
                return error_set(e, r, "more than a million verdicts; narrow it with --since");
            if (r < 0)
                return error_set(e, r, "out of memory");
        }
    }
    return r;
}

const Tiercel__Verdict *verdicts_get(const struct verdicts *v, uint64_t detection)
{
    return map_get(&v->by_detection, MAP_KEY(detection));
}

void verdicts_done(struct verdicts *v)
{
    struct map_entry *entry;
    for (size_t i = 0; (entry = map_next(&v->by_detection, &i));)
        tiercel__verdict__free_unpacked(entry->value, NULL);
    map_done(&v->by_detection);
}
