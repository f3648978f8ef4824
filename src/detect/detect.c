// SPDX-License-Identifier: Apache-2.0
#include "detect/private.h"

#include <errno.h>
#include <stdlib.h>

#define VALUE_LIMIT ((size_t)4096) // of a matched value that is kept; the event has it whole

static bool field_known(void *context, struct str category, struct str service, struct str field,
                        const char **ret_nearest)
{
    (void)context;
    (void)service; // no events of services: their fields are known only where the category has them
    char name[64];
    if (category.n >= sizeof name)
        return false;
    memcpy(name, category.p ? category.p : "", category.n);
    name[category.n] = 0;
    const char *known = category.n ? name : NULL;
    if (field_find(known, field))
        return true;
    if (ret_nearest)
        *ret_nearest = field_nearest(known, field);
    return false;
}

static bool field_late(void *context, struct str field)
{
    (void)context;
    const struct field *f = field_find(NULL, field);
    return f && record_is_late(f);
}

int detect_new(struct detect **ret)
{
    static const struct rule_options options = {field_known, NULL, field_late};
    struct detect *d = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    int r = rule_set_new(&options, &d->set);
    if (r < 0) {
        free(d);
        return r;
    }
    *ret = d;
    return 0;
}

struct detect *detect_free(struct detect *d)
{
    if (d) {
        rule_correlator_free(d->correlator);
        record_fields_done(d->fields);
        rule_set_free(d->set);
        arena_done(&d->exception_arena);
        flood_done(&d->flood);
        free(d);
    }
    return NULL;
}

int detect_ready(struct detect *d, struct error *e)
{
    if (d->ready)
        return error_set(e, -EALREADY, "the rules are compiled already");
    int r = rule_set_compile(d->set, e);
    if (r < 0)
        return r;
    r = record_fields_init(d->fields, d->set);
    if (r == 0)
        r = rule_correlator_new(d->set, &d->correlator);
    if (r < 0)
        return error_set(e, r, "rules cannot be prepared: %s", strerror(-r));
    d->ready = true;
    return 0;
}

const struct rule_set *detect_rules(const struct detect *d)
{
    return d->set;
}

uint64_t detect_suppressed(const struct detect *d)
{
    return d->suppressed;
}

int detect_worker_new(const struct detect *d, struct detect_worker **ret)
{
    struct detect_worker *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    int r = rule_scratch_new(d->set, &w->scratch);
    if (r < 0) {
        free(w);
        return r;
    }
    *ret = w;
    return 0;
}

struct detect_worker *detect_worker_free(struct detect_worker *w)
{
    if (w) {
        rule_scratch_free(w->scratch);
        free(w);
    }
    return NULL;
}

// What one detect_event() carries around.
struct judging {
    struct detect *d;
    const Tiercel__Event *event;
    struct arena *arena;
    struct detect_result result;
    size_t cap;
    bool final;
};

static ProtobufCBinaryData value_copy(struct arena *arena, struct str s)
{
    struct str copy = arena_str(arena, (struct str){s.p, s.n < VALUE_LIMIT ? s.n : VALUE_LIMIT});
    return (ProtobufCBinaryData){copy.n, (uint8_t *)copy.p};
}

static Tiercel__MatchedField *matched_field(const struct rule_hit *hit, struct arena *arena)
{
    Tiercel__MatchedField *m = arena_alloc(arena, sizeof *m);
    if (!m)
        return NULL;
    tiercel__matched_field__init(m);
    m->field = arena_cstr(arena, hit->field);
    m->has_value = true;
    m->value = value_copy(arena, hit->value);
    m->pattern = arena_cstr(arena, hit->pattern);
    m->has_line = hit->line > 0;
    m->line = hit->line;
    return m;
}

static Tiercel__Detection *detection_of(const struct rule *rule, struct arena *arena)
{
    Tiercel__Detection *t = arena_alloc(arena, sizeof *t);
    if (!t)
        return NULL;
    tiercel__detection__init(t);
    t->rule_id = arena_cstr(arena, rule->id);
    t->rule_title = arena_cstr(arena, rule->title);
    t->rule_file = arena_cstr(arena, rule->file);
    t->level = arena_cstr(arena, rule->level_name);
    t->tags = arena_array(arena, char *, rule->n_tags ? rule->n_tags : 1);
    for (size_t i = 0; t->tags && i < rule->n_tags; i++)
        t->tags[t->n_tags++] = arena_cstr(arena, rule->tags[i]);
    return t;
}

static void fill_hits(Tiercel__Detection *t, const struct rule_match *m, struct arena *arena)
{
    t->matched = arena_array(arena, Tiercel__MatchedField *, m->n_hits ? m->n_hits : 1);
    for (size_t i = 0; t->matched && i < m->n_hits; i++)
        if ((t->matched[t->n_matched] = matched_field(&m->hits[i], arena)))
            t->n_matched++;
    t->identifiers = arena_array(arena, char *, m->n_identifiers ? m->n_identifiers : 1);
    for (size_t i = 0; t->identifiers && i < m->n_identifiers; i++)
        t->identifiers[t->n_identifiers++] = arena_cstr(arena, m->identifiers[i]);
}

// The events that a correlation counted, by id; the one that completed it in full.
static void fill_counted(Tiercel__Detection *t, const struct rule_fired *fired, struct judging *j)
{
    t->events = arena_array(j->arena, Tiercel__Event *, fired->n + 1);
    for (size_t i = 0; t->events && i < fired->n; i++) {
        if (fired->event_ids[i] == 0 || fired->event_ids[i] == j->event->id)
            continue;
        Tiercel__Event *e = arena_alloc(j->arena, sizeof *e);
        if (!e)
            return;
        tiercel__event__init(e);
        e->has_id = true;
        e->id = fired->event_ids[i];
        t->events[t->n_events++] = e;
    }
    if (t->events)
        t->events[t->n_events++] = (Tiercel__Event *)j->event; // only read: the message borrows it
}

static const struct exception *exception_for(const struct detect *d, struct str rule_id,
                                             const Tiercel__Event *event)
{
    uint64_t now = event->time ? event->time : d->now;
    for (size_t i = 0; i < d->n_exceptions; i++)
        if (exception_lifts(&d->exceptions[i], rule_id, event, now))
            return &d->exceptions[i];
    return NULL;
}

bool detect_lifts(const struct detect *d, struct str rule_id, const Tiercel__Event *event,
                  struct str *ret_id)
{
    const struct exception *x = exception_for(d, rule_id, event);
    if (x)
        *ret_id = x->id;
    return x;
}

// Does this rule decide? Of several the gravest, then the first.
static bool decides(struct judging *j, const struct rule *rule)
{
    struct detect_result *r = &j->result;
    if (rule->action != RULE_PREVENT)
        return false;
    const struct exception *x = exception_for(j->d, rule->id, j->event);
    if (x) {
        r->exception = x->id;
        return false;
    }
    if (flood_braked(&j->d->flood, rule->index, j->event, j->d->now))
        return false;
    bool first = !r->prevent;
    r->prevent = true;
    r->kill_lineage |= rule->kill_lineage;
    return first || rule->level > r->rules[r->decisive]->level;
}

static int add(struct judging *j, const struct rule *rule, Tiercel__Detection *t)
{
    struct detect_result *r = &j->result;
    if (r->n == j->cap)
        return -ENOMEM;
    bool decisive = decides(j, rule);
    // Only what is recorded counts: a question at the gate comes back as an event.
    bool allowed = !j->final || flood_allows(&j->d->flood, rule->index, j->event, j->d->now);
    if (!allowed) {
        r->suppressed++;
        j->d->suppressed++;
        if (!decisive)
            return 0;
    }
    if (!t)
        return -ENOMEM;
    if (decisive) {
        r->decisive = r->n;
        r->repeated = !allowed;
    }
    r->detections[r->n] = t;
    r->rules[r->n++] = rule;
    return 0;
}

static int correlate(struct judging *j, const struct rule_match *m,
                     const struct rule_record *record)
{
    const struct rule_fired *fired;
    size_t n = 0;
    int r = rule_correlate(j->d->correlator, m, record, j->event->time ? j->event->time : j->d->now,
                           j->event->id, j->arena, &fired, &n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (fired[i].rule->support)
            continue;
        Tiercel__Detection *t = detection_of(fired[i].rule, j->arena);
        if (t) {
            fill_hits(t, m, j->arena);
            fill_counted(t, &fired[i], j);
        }
        r = add(j, fired[i].rule, t);
    }
    return r;
}

static int judge(struct judging *j, const struct rule_match *matches, size_t n,
                 const struct rule_record *record)
{
    // One match may complete any correlation there is, so the bound is the number of rules; most events have none.
    j->cap = n + rule_set_count(j->d->set);
    j->result.detections = arena_array(j->arena, Tiercel__Detection *, j->cap);
    j->result.rules = arena_array(j->arena, const struct rule *, j->cap);
    if (!j->result.detections || !j->result.rules)
        return -ENOMEM;
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (!matches[i].rule->support) {
            Tiercel__Detection *t = detection_of(matches[i].rule, j->arena);
            if (t)
                fill_hits(t, &matches[i], j->arena);
            r = add(j, matches[i].rule, t);
        }
        if (r == 0 && j->final)
            r = correlate(j, &matches[i], record);
    }
    return r;
}

static int detect(struct detect *d, struct detect_worker *w, const Tiercel__Event *event,
                  bool final, void (*look)(void *context), void *context, struct arena *arena,
                  struct detect_result *ret)
{
    struct judging j = {.d = d, .event = event, .arena = arena, .final = final};
    const struct record_fields *source = record_fields_of(d->fields, event);
    if (event->time > d->now)
        d->now = event->time;
    if (!source) {
        *ret = j.result;
        return 0;
    }
    uint64_t failed = arena->failed;
    struct record record;
    record_init(&record, source, event, arena);
    record.look = look;
    record.look_context = context;
    const struct rule_match *matches;
    size_t n = 0;
    int r = rule_match(d->set, w->scratch, source->route, &record.asked, arena, &matches, &n,
                       &j.result.limits);
    if (r == 0 && n)
        r = judge(&j, matches, n, &record.asked);
    if (r < 0)
        return r;
    // A field that did not fit was taken for absent: nothing is known then.
    if (arena->failed != failed)
        return -ENOMEM;
    *ret = j.result;
    return 0;
}

int detect_question(struct detect *d, struct detect_worker *w, const Tiercel__Event *event,
                    void (*look)(void *context), void *context, struct arena *arena,
                    struct detect_result *ret)
{
    return detect(d, w, event, false, look, context, arena, ret);
}

int detect_event(struct detect *d, struct detect_worker *w, const Tiercel__Event *event, bool final,
                 struct arena *arena, struct detect_result *ret)
{
    return detect(d, w, event, final, NULL, NULL, arena, ret);
}

bool detect_prevented(struct detect *d, const struct rule *rule, const Tiercel__Event *event)
{
    return flood_prevented(&d->flood, rule->index, event, d->now);
}
