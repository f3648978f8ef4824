// SPDX-License-Identifier: Apache-2.0
#include "detect/flood.h"

#include <stdlib.h>

struct key {
    uint64_t start;
    uint32_t pid, rule;
};

struct pair {
    struct key key;
    uint64_t since;
    unsigned n;
};

void flood_done(struct flood *f)
{
    struct map_entry *e;
    size_t position = 0;
    while ((e = map_next(&f->pairs, &position)))
        free(e->value);
    map_done(&f->pairs);
    free(f->brakes);
}

static bool over(const struct pair *p, uint64_t now)
{
    return now >= p->since + FLOOD_WINDOW_NS || now < p->since;
}

// Builds the table again without what is over: removal while walking would skip entries.
static void sweep(struct flood *f, uint64_t now)
{
    struct map kept = {0};
    struct map_entry *e;
    size_t position = 0;
    while ((e = map_next(&f->pairs, &position))) {
        struct pair *p = e->value;
        if (over(p, now) || map_put(&kept, MAP_KEY(p->key), p) < 0)
            free(p);
    }
    map_done(&f->pairs);
    f->pairs = kept;
}

static struct key key_of(unsigned rule, const Tiercel__Event *event)
{
    const Tiercel__Process *p = event->process;
    const Tiercel__ProcessId *id = p && p->lineage ? p->lineage->root : NULL;
    if (!id && p)
        id = p->id; // no lineage: the process stands for itself
    return (struct key){id ? id->start : 0, id ? id->pid : 0, rule};
}

bool flood_allows(struct flood *f, unsigned rule, const Tiercel__Event *event, uint64_t now_ns)
{
    struct key key = key_of(rule, event);
    struct pair *p = map_get(&f->pairs, MAP_KEY(key));
    if (!p) {
        if (f->pairs.n >= FLOOD_PAIRS)
            sweep(f, now_ns);
        if (f->pairs.n >= FLOOD_PAIRS || !(p = malloc(sizeof *p)))
            return true;
        *p = (struct pair){key, now_ns, 0};
        if (map_put(&f->pairs, MAP_KEY(p->key), p) < 0) {
            free(p);
            return true;
        }
    }
    if (over(p, now_ns)) {
        p->since = now_ns;
        p->n = 0;
    }
    return ++p->n <= FLOOD_PER_WINDOW;
}

static bool strangers_talk_to(const Tiercel__Event *event)
{
    const Tiercel__Lineage *l = event->process ? event->process->lineage : NULL;
    return l && l->role && (strcmp(l->role, "web") == 0 || strcmp(l->role, "database") == 0);
}

bool flood_prevented(struct flood *f, unsigned rule, const Tiercel__Event *event, uint64_t now_ns)
{
    if (strangers_talk_to(event))
        return false;
    if (rule >= f->n_brakes) {
        struct brake *brakes = reallocarray(f->brakes, rule + 1, sizeof *brakes);
        if (!brakes)
            return false;
        memset(brakes + f->n_brakes, 0, (rule + 1 - f->n_brakes) * sizeof *brakes);
        f->brakes = brakes;
        f->n_brakes = rule + 1;
    }
    struct brake *b = &f->brakes[rule];
    if (now_ns >= b->since + FLOOD_WINDOW_NS || now_ns < b->since) {
        b->since = now_ns;
        b->n = 0;
    }
    if (++b->n <= BRAKE_PER_WINDOW || now_ns < b->until)
        return false;
    b->until = now_ns + FLOOD_WINDOW_NS;
    b->n = 0;
    return true;
}

bool flood_braked(const struct flood *f, unsigned rule, const Tiercel__Event *event,
                  uint64_t now_ns)
{
    return rule < f->n_brakes && now_ns < f->brakes[rule].until && !strangers_talk_to(event);
}
