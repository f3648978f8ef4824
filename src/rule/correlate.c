// SPDX-License-Identifier: Apache-2.0
// Correlations over time. A group is one correlation and the values of its group-by fields; it holds the events that may
// still count, or for temporal_ordered the newest beginning of each prefix of the sequence.
#include "base/cleanup.h"
#include "rule/set.h"

#include <errno.h>
#include <xxhash.h>

#define GROUPS_MAX 65536
#define BYTES_MAX ((size_t)8 << 20) // of all groups' events
#define KEY_MAX 4096                // bytes of the group-by values; longer ones are hashed
#define CHAIN_MAX 16                // correlations over correlations

struct kept {
    uint64_t time, event;
    uint64_t value; // value_count: hash of the value; temporal: number of the rule
};

struct group {
    struct str key; // behind the group, for the map
    uint64_t newest, fired;
    bool has_fired;
    size_t n, cap;
    struct kept *
        kept; // oldest first; temporal_ordered: n_rules rows of n_rules, row i the events of a prefix
    uint32_t *lengths; // temporal_ordered: 1 where a row is filled
};

struct user { // a correlation that wants a rule
    unsigned correlation, place;
};

struct rule_correlator {
    const struct rule_set *set;
    uint32_t *user_from; // n + 1 offsets into users, per rule
    struct user *users;
    struct map groups;
    size_t bytes;
    uint64_t refused, swept; // time of the last sweep
};

int rule_correlator_new(const struct rule_set *set, struct rule_correlator **ret)
{
    struct rule_correlator *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->set = set;
    c->groups.quota = GROUPS_MAX;
    c->user_from = calloc(set->n + 2, sizeof *c->user_from);
    size_t total = 0;
    for (size_t i = 0; c->user_from && i < set->n; i++) {
        const struct rule_correlation *r = set->entries[i].correlation;
        for (size_t j = 0; r && j < r->n_rules; j++, total++)
            c->user_from[r->rules[j] + 1]++;
    }
    c->users = calloc(total + 1, sizeof *c->users);
    if (!c->user_from || !c->users) {
        rule_correlator_free(c);
        return -ENOMEM;
    }
    for (size_t i = 0; i < set->n; i++)
        c->user_from[i + 1] += c->user_from[i];
    for (size_t i = set->n; i-- > 0;) { // the ends shift down to the starts as they are filled
        const struct rule_correlation *r = set->entries[i].correlation;
        for (size_t j = 0; r && j < r->n_rules; j++)
            c->users[--c->user_from[r->rules[j] + 1]] = (struct user){(unsigned)i, (unsigned)j};
    }
    memmove(c->user_from, c->user_from + 1, set->n * sizeof *c->user_from);
    c->user_from[set->n] = (uint32_t)total;
    *ret = c;
    return 0;
}

static void group_free(struct rule_correlator *c, struct group *g)
{
    c->bytes -= g->cap * sizeof *g->kept;
    free(g->kept);
    free(g->lengths);
    free(g);
}

struct rule_correlator *rule_correlator_free(struct rule_correlator *c)
{
    if (!c)
        return NULL;
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&c->groups, &i));)
        group_free(c, e->value);
    map_done(&c->groups);
    free(c->user_from);
    free(c->users);
    free(c);
    return NULL;
}

uint64_t rule_correlator_refused(const struct rule_correlator *c)
{
    return c->refused;
}

// Values are told apart from their concatenation by their lengths.
static bool key_add(struct buf *key, const struct rule_record *record, unsigned field)
{
    struct rule_value v = record->get(record->context, field);
    size_t n = v.type == RULE_LIST ? v.n : 1;
    if (v.type == RULE_ABSENT)
        return false;
    for (size_t i = 0; i < n; i++) {
        struct str text = v.type == RULE_LIST ? v.list[i] : v.text;
        char digits[24];
        if (v.type == RULE_NUMBER && !text.p)
            text = (struct str){
                digits, (size_t)snprintf(digits, sizeof digits, "%lld", (long long)v.number)};
        XXH128_hash_t hash = XXH3_128bits(text.p, text.n);
        buf_add(key, &text.n, sizeof text.n);
        if (text.n > KEY_MAX)
            buf_add(key, &hash, sizeof hash);
        else
            buf_add_str(key, text);
    }
    return true;
}

static void sweep(struct rule_correlator *c, uint64_t now)
{
    // A walk over a table that changes would miss entries: the keys to go are listed first.
    struct group **old = malloc((c->groups.n + 1) * sizeof(struct group *));
    size_t n = 0;
    struct map_entry *e;
    for (size_t i = 0; old && (e = map_next(&c->groups, &i));) {
        struct group *g = e->value;
        uint32_t correlation;
        memcpy(&correlation, g->key.p, sizeof correlation);
        uint64_t span = c->set->entries[correlation].correlation->timespan_ns;
        if (now > g->newest && now - g->newest > span)
            old[n++] = g;
    }
    for (size_t i = 0; i < n; i++) {
        map_remove(&c->groups, old[i]->key);
        group_free(c, old[i]);
    }
    free(old);
    c->swept = now;
}

static struct group *group_of(struct rule_correlator *c, struct str key, uint64_t now)
{
    struct group *g = map_get(&c->groups, key);
    if (g)
        return g;
    bool full = c->groups.n >= GROUPS_MAX || c->bytes >= BYTES_MAX / 8 * 7;
    if (full && now - c->swept >= 1000000000u) // at most once a second
        sweep(c, now);
    g = calloc(1, sizeof *g + key.n);
    if (!g)
        return NULL;
    memcpy(g + 1, key.p, key.n);
    g->key = str_bytes(g + 1, key.n);
    if (map_put(&c->groups, g->key, g) < 0) {
        free(g);
        return NULL;
    }
    return g;
}

static bool reserve(struct rule_correlator *c, struct group *g, size_t n)
{
    if (n <= g->cap)
        return true;
    size_t cap = g->cap ? g->cap * 2 : 4;
    cap = cap < n ? n : cap;
    if (c->bytes + (cap - g->cap) * sizeof *g->kept > BYTES_MAX)
        return false;
    struct kept *kept = realloc(g->kept, cap * sizeof *kept);
    if (!kept)
        return false;
    memset(kept + g->cap, 0, (cap - g->cap) * sizeof *kept);
    c->bytes += (cap - g->cap) * sizeof *kept;
    g->kept = kept;
    g->cap = cap;
    return true;
}

static void expire(struct group *g, uint64_t now, uint64_t span)
{
    size_t gone = 0;
    while (gone < g->n && now - g->kept[gone].time > span)
        gone++;
    g->n -= gone;
    if (gone && g->n)
        memmove(g->kept, g->kept + gone, g->n * sizeof *g->kept);
}

// event_count, value_count, temporal: the events that count, each value once (its newest event), at most `most` of them.
static bool keep(struct rule_correlator *c, struct group *g, struct kept event, bool distinct,
                 size_t most)
{
    size_t drop = g->n; // which one goes
    for (size_t i = 0; distinct && i < g->n && drop == g->n; i++)
        if (g->kept[i].value == event.value)
            drop = i;
    if (drop == g->n && g->n >= most)
        drop = 0;
    if (drop < g->n) {
        memmove(g->kept + drop, g->kept + drop + 1, (g->n - drop - 1) * sizeof *g->kept);
        g->n--;
    }
    if (!reserve(c, g, g->n + 1))
        return false;
    g->kept[g->n++] = event;
    return true;
}

// Row i holds the events of the newest-begun sequence of the first i + 1 rules. An event of rule i prolongs row i - 1.
static bool keep_ordered(struct rule_correlator *c, struct group *g, struct kept event, size_t n,
                         uint64_t span)
{
    size_t i = event.value;
    if (!g->lengths)
        g->lengths = calloc(n, sizeof *g->lengths);
    if (!g->lengths || !reserve(c, g, n * n))
        return false;
    if (i > 0) {
        const struct kept *before = g->kept + (i - 1) * n;
        if (!g->lengths[i - 1] || event.time - before[0].time > span ||
            before[i - 1].event == event.event) // one event is not its own successor
            return true;
        memcpy(g->kept + i * n, before, i * sizeof *before);
    }
    g->kept[i * n + i] = event;
    g->lengths[i] = 1;
    return true;
}

static bool complete(const struct rule_correlation *r, const struct group *g)
{
    if (r->type == RULE_TEMPORAL_ORDERED)
        return g->lengths && g->lengths[r->n_rules - 1];
    return g->n >= r->least && g->n <= r->most && g->n != r->but;
}

static int fire(const struct rule_correlator *c, unsigned correlation, struct group *g,
                struct arena *arena, struct rule_fired *ret)
{
    const struct rule_correlation *r = c->set->entries[correlation].correlation;
    bool ordered = r->type == RULE_TEMPORAL_ORDERED;
    size_t n = ordered ? r->n_rules : g->n;
    const struct kept *from = g->kept + (ordered ? (n - 1) * n : 0);
    uint64_t *ids = arena_array(arena, uint64_t, n);
    if (!ids)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        ids[i] = from[i].event;
    *ret = (struct rule_fired){&c->set->entries[correlation].rule, ids, n};
    return 0;
}

struct feed {
    struct rule_correlator *c;
    const struct rule_record *record;
    uint64_t time, event;
    struct arena *arena;
    struct rule_fired *fired;
    size_t n, cap;
};

static int fired_add(struct feed *f, struct rule_fired fired)
{
    if (f->n == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 4;
        struct rule_fired *bigger = arena_array(f->arena, struct rule_fired, cap);
        if (!bigger)
            return -ENOMEM;
        if (f->n)
            memcpy(bigger, f->fired, f->n * sizeof *bigger);
        f->fired = bigger;
        f->cap = cap;
    }
    f->fired[f->n++] = fired;
    return 0;
}

static bool key_of(struct feed *f, unsigned correlation, size_t place, struct buf *key)
{
    const struct rule_correlation *r = f->c->set->entries[correlation].correlation;
    uint32_t number = correlation;
    buf_add(key, &number, sizeof number);
    for (size_t i = 0; i < r->n_group_by; i++)
        if (!key_add(key, f->record, r->group_by[place * r->n_group_by + i]))
            return false;
    return true;
}

static bool value_of(struct feed *f, const struct rule_correlation *r, uint64_t *ret)
{
    _cleanup_buf_ struct buf values = {0};
    for (size_t i = 0; i < r->n_values; i++)
        if (!key_add(&values, f->record, r->values[i]))
            return false;
    *ret = XXH3_64bits(values.p, values.n);
    return !values.failed;
}

// 1 fired, 0 not.
static int count(struct feed *f, unsigned correlation, size_t place, struct rule_fired *ret)
{
    const struct rule_correlation *r = f->c->set->entries[correlation].correlation;
    _cleanup_buf_ struct buf key = {0};
    struct kept event = {f->time, f->event, place};
    if (!key_of(f, correlation, place, &key) ||
        (r->type == RULE_VALUE_COUNT && !value_of(f, r, &event.value)))
        return 0;
    struct group *g = key.failed ? NULL : group_of(f->c, buf_str(&key), f->time);
    if (!g) {
        f->c->refused++;
        return 0;
    }
    event.time = event.time > g->newest ? event.time : g->newest; // time does not run backwards
    g->newest = event.time;
    bool ordered = r->type == RULE_TEMPORAL_ORDERED;
    if (!ordered)
        expire(g, event.time, r->timespan_ns);
    size_t most = r->but == r->least ? r->least + 1 : r->least;
    bool kept = ordered ? keep_ordered(f->c, g, event, r->n_rules, r->timespan_ns)
                        : keep(f->c, g, event, r->type != RULE_EVENT_COUNT, most);
    if (!kept) {
        f->c->refused++;
        return 0;
    }
    if (!complete(r, g))
        return 0;
    bool quiet = g->has_fired && event.time - g->fired < r->timespan_ns;
    int result = quiet ? 0 : fire(f->c, correlation, g, f->arena, ret);
    if (ordered)
        memset(g->lengths, 0, r->n_rules * sizeof *g->lengths);
    if (quiet || result < 0)
        return result;
    g->n = 0;
    g->has_fired = true;
    g->fired = event.time;
    return 1;
}

static int feed_rule(struct feed *f, unsigned rule, unsigned depth)
{
    struct rule_correlator *c = f->c;
    for (uint32_t i = c->user_from[rule]; i < c->user_from[rule + 1]; i++) {
        struct rule_fired fired;
        int r = count(f, c->users[i].correlation, c->users[i].place, &fired);
        if (r == 0)
            continue;
        if (r == 1 && !fired.rule->support)
            r = fired_add(f, fired);
        // Correlations over this one see it as an event of now.
        if (r >= 0 && depth < CHAIN_MAX)
            r = feed_rule(f, c->users[i].correlation, depth + 1);
        if (r < 0)
            return r;
    }
    return 0;
}

int rule_correlate(struct rule_correlator *c, const struct rule_match *match,
                   const struct rule_record *record, uint64_t time_ns, uint64_t event_id,
                   struct arena *arena, const struct rule_fired **ret, size_t *ret_n)
{
    struct feed f = {c, record, time_ns, event_id, arena, NULL, 0, 0};
    int r = feed_rule(&f, match->rule->index, 0);
    if (r < 0)
        return r;
    *ret = f.fired;
    *ret_n = f.n;
    return 0;
}
