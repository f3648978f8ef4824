// SPDX-License-Identifier: Apache-2.0
#include "attempt/campaign.h"

#include "attempt/attempt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct unit { // an attempt of a client
    struct campaign_member of;
    uint64_t begin, end;
    size_t label, members; // of a label's lowest unit: how many have it
};

struct shared { // a run of sightings of one means that join
    size_t from, to;
    uint32_t others;
};

struct campaigns {
    struct campaign *all;
    size_t n;
};

struct campaigns *campaigns_free(struct campaigns *c)
{
    if (!c)
        return NULL;
    for (size_t i = 0; i < c->n; i++) {
        free(c->all[i].members);
        free(c->all[i].reasons);
    }
    free(c->all);
    free(c);
    return NULL;
}

size_t campaigns_count(const struct campaigns *c)
{
    return c->n;
}

const struct campaign *campaigns_get(const struct campaigns *c, size_t i)
{
    return &c->all[i];
}

#define DIFFER(x, y)                                                                               \
    if ((x) != (y))                                                                                \
    return (x) < (y) ? -1 : 1

static int by_value(const void *p, const void *q)
{
    const struct campaign_sighting *x = p, *y = q;
    DIFFER(x->kind, y->kind);
    int r = memcmp(x->value, y->value, sizeof x->value);
    if (r)
        return r;
    DIFFER(x->begin, y->begin);
    DIFFER(x->client, y->client);
    DIFFER(x->attempt, y->attempt);
    return 0;
}

static int by_member(const void *p, const void *q)
{
    const struct campaign_member *x = p, *y = q;
    DIFFER(x->client, y->client);
    DIFFER(x->attempt, y->attempt);
    return 0;
}

// Two clients' 10.0.0.5 are two hosts.
static bool is_private(const uint8_t value[32])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const uint8_t *ip = value + 12;
    if (memcmp(value, mapped, 12) != 0)
        return (value[0] & 0xfe) == 0xfc || (value[0] == 0xfe && (value[1] & 0xc0) == 0x80);
    return ip[0] == 10 || ip[0] == 127 || (ip[0] == 172 && (ip[1] & 0xf0) == 16) ||
           (ip[0] == 192 && ip[1] == 168) || (ip[0] == 169 && ip[1] == 254) ||
           (ip[0] == 100 && (ip[1] & 0xc0) == 64);
}

static bool may_join(const struct campaign_sighting *s)
{
    return s->kind == ATTEMPT_CONTENT || (s->kind == ATTEMPT_ADDRESS && !is_private(s->value));
}

static bool same_means(const struct campaign_sighting *x, const struct campaign_sighting *y)
{
    return x->kind == y->kind && memcmp(x->value, y->value, sizeof x->value) == 0;
}

static size_t find(struct unit *units, size_t i)
{
    while (units[i].label != i)
        i = units[i].label = units[units[i].label].label;
    return i;
}

static size_t unit_of(const struct unit *units, size_t n, const struct campaign_sighting *s)
{
    const struct campaign_member key = {s->client, s->attempt};
    const struct unit *u = bsearch(&key, units, n, sizeof *units, by_member);
    return (size_t)(u - units);
}

static struct unit *collect_units(const struct campaign_sighting *all, size_t n, size_t *ret_n)
{
    struct unit *units = calloc(n + 1, sizeof *units);
    size_t kept = 0;
    for (size_t i = 0; units && i < n; i++)
        units[i] = (struct unit){{all[i].client, all[i].attempt}, all[i].begin, all[i].end, 0, 0};
    if (!units)
        return NULL;
    qsort(units, n, sizeof *units, by_member);
    for (size_t i = 0; i < n; i++)
        if (!kept || by_member(&units[kept - 1], &units[i]) != 0)
            units[kept++] = units[i];
    for (size_t i = 0; i < kept; i++)
        units[i].label = i;
    *ret_n = kept;
    return units;
}

// How many clients in all[from..to), and what uses it as well, each client's once.
static size_t clients_in(const struct campaign_sighting *all, size_t from, size_t to,
                         uint32_t *ret_others)
{
    size_t clients = 0;
    *ret_others = 0;
    for (size_t i = from; i < to; i++) {
        bool known = false;
        for (size_t k = from; k < i && !known; k++)
            known = all[k].client == all[i].client;
        clients += !known;
        *ret_others += known ? 0 : all[i].others;
    }
    return clients;
}

// The end of the run that begins at `from`: the same means, of an address without a pause that lets it change hands.
static size_t run_end(const struct campaign_sighting *all, size_t n, size_t from)
{
    uint64_t end = all[from].end;
    size_t to = from + 1;
    for (; to < n && same_means(&all[from], &all[to]); to++) {
        if (all[from].kind == ATTEMPT_ADDRESS && all[to].begin > end &&
            all[to].begin - end > CAMPAIGN_ADDRESS_NS)
            break;
        end = all[to].end > end ? all[to].end : end;
    }
    return to;
}

static size_t join_shared(const struct campaign_sighting *all, size_t n, struct unit *units,
                          size_t n_units, struct shared *ret)
{
    size_t shared = 0;
    for (size_t from = 0, to; from < n; from = to) {
        uint32_t others;
        to = run_end(all, n, from);
        if (!may_join(&all[from]) || clients_in(all, from, to, &others) < 2 ||
            others >= CAMPAIGN_OTHERS)
            continue;
        size_t first = find(units, unit_of(units, n_units, &all[from]));
        for (size_t i = from + 1; i < to; i++) {
            size_t other = find(units, unit_of(units, n_units, &all[i]));
            if (other < first) {
                units[first].label = other;
                first = other;
            } else {
                units[other].label = first;
            }
        }
        ret[shared++] = (struct shared){from, to, others};
    }
    return shared;
}

static void add_member(struct campaign *c, const struct unit *u)
{
    if (!c->n_members || c->members[c->n_members - 1].client != u->of.client)
        c->n_clients++;
    if (!c->n_members || u->begin < c->begin || (u->begin == c->begin && u->of.attempt < c->id)) {
        c->id = u->of.attempt;
        c->begin = u->begin;
    }
    c->end = u->end > c->end ? u->end : c->end;
    c->members[c->n_members++] = u->of;
}

static void add_reason(struct campaign *c, const struct campaign_sighting *all,
                       const struct shared *s)
{
    struct campaign_reason *r = &c->reasons[c->n_reasons++];
    uint32_t others;
    *r = (struct campaign_reason){.kind = all[s->from].kind,
                                  .text = all[s->from].text,
                                  .clients = clients_in(all, s->from, s->to, &others),
                                  .attempts = s->to - s->from,
                                  .first = all[s->from].begin,
                                  .others = s->others};
    for (size_t i = s->from; i < s->to; i++)
        r->last = all[i].end > r->last ? all[i].end : r->last;
}

static int make(struct campaigns *c, const struct campaign_sighting *all, struct unit *units,
                size_t n_units, const struct shared *shared, size_t n_shared)
{
    for (size_t i = 0; i < n_units; i++)
        units[find(units, i)].members++;
    for (size_t i = 0; i < n_units; i++) {
        struct campaign one = {0};
        size_t members = units[i].members;
        if (members < 2)
            continue;
        struct campaign *more = reallocarray(c->all, c->n + 1, sizeof *more);
        one.members = calloc(members, sizeof *one.members);
        one.reasons = calloc(n_shared, sizeof *one.reasons);
        c->all = more ? more : c->all;
        if (!more || !one.members || !one.reasons) {
            free(one.members);
            free(one.reasons);
            return -ENOMEM;
        }
        for (size_t k = 0; k < n_units; k++)
            if (find(units, k) == i)
                add_member(&one, &units[k]);
        for (size_t k = 0; k < n_shared; k++)
            if (find(units, unit_of(units, n_units, &all[shared[k].from])) == i)
                add_reason(&one, all, &shared[k]);
        c->all[c->n++] = one;
    }
    return 0;
}

int campaigns_join(struct campaign_sighting *all, size_t n, struct campaigns **ret)
{
    if (n > CAMPAIGN_SIGHTINGS_MAX)
        return -E2BIG;
    struct campaigns *c = calloc(1, sizeof *c);
    struct shared *shared = calloc(n + 1, sizeof *shared);
    size_t n_units = 0;
    struct unit *units = collect_units(all, n, &n_units);
    int r = c && shared && units ? 0 : -ENOMEM;
    if (r == 0) {
        qsort(all, n, sizeof *all, by_value);
        size_t n_shared = join_shared(all, n, units, n_units, shared);
        r = make(c, all, units, n_units, shared, n_shared);
    }
    free(shared);
    free(units);
    if (r < 0) {
        campaigns_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

const struct campaign *campaigns_of(const struct campaigns *c, size_t client, uint64_t attempt)
{
    const struct campaign_member key = {client, attempt};
    for (size_t i = 0; i < c->n; i++)
        if (bsearch(&key, c->all[i].members, c->all[i].n_members, sizeof key, by_member))
            return &c->all[i];
    return NULL;
}

// ---- what a client may be told

static size_t step_of(size_t n)
{
    static const size_t steps[] = {1000, 500, 200, 100, 50, 20, 10, CAMPAIGN_LEAST};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (n >= steps[i])
            return steps[i];
    return 0;
}

// The i-th member begins another client than the one before.
static bool begins_client(const struct campaign *c, size_t i, size_t not )
{
    return c->members[i].client !=
           not &&(i == 0 || c->members[i - 1].client != c->members[i].client);
}

static size_t clients_of_sector(const struct campaign *c, size_t client, const char *const *sectors,
                                const char *sector)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n_members; i++)
        n += begins_client(c, i, client) && !strcmp(sectors[c->members[i].client], sector);
    return n;
}

static int by_text(const void *p, const void *q)
{
    return strcmp(*(const char *const *)p, *(const char *const *)q);
}

void campaign_elsewhere(const struct campaign *c, size_t client, const char *const *sectors,
                        struct buf *out)
{
    size_t others = 0, n = 0, told = 0;
    for (size_t i = 0; i < c->n_members; i++)
        others += begins_client(c, i, client);
    if (others < CAMPAIGN_LEAST)
        return;
    const char **names = calloc(others, sizeof *names);
    if (!names)
        return;
    for (size_t i = 0; i < c->n_members; i++)
        if (begins_client(c, i, client))
            names[n++] = sectors[c->members[i].client];
    qsort(names, n, sizeof *names, by_text);
    buf_addf(out, "Also seen at at least %zu other clients", step_of(others));
    for (size_t i = 0; i < n; i++) {
        bool known = i && !strcmp(names[i - 1], names[i]);
        if (known || !*names[i] || clients_of_sector(c, client, sectors, names[i]) < CAMPAIGN_LEAST)
            continue;
        buf_addf(out, "%s%s", told++ ? ", " : ", among them of: ", names[i]);
    }
    buf_add_char(out, '.');
    free(names);
}
