// SPDX-License-Identifier: Apache-2.0
// The first pass: detections and verdicts, each once; then units and nodes in an order of their own.
#include "attempt/private.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#define ARENA_LIMIT ((size_t)256 << 20)
#define BATCHES_MAX ((size_t)1 << 24)
#define COMMAND_CUT 240

int attempts_new(uint64_t quiet_ns, struct attempts **ret)
{
    struct attempts *a = calloc(1, sizeof *a);
    if (!a)
        return -ENOMEM;
    a->quiet = quiet_ns ? quiet_ns : ATTEMPT_QUIET_NS;
    a->arena.limit = ARENA_LIMIT;
    a->processes.quota = PROCESSES_MAX;
    *ret = a;
    return 0;
}

static void nodes_free(struct attempts *a)
{
    for (size_t i = 0; i < a->n_nodes; i++) {
        for (size_t k = 0; k < ATTEMPT_EVIDENCE_KINDS; k++)
            free(a->nodes[i].evidence[k].all);
        free(a->nodes[i].means);
        free(a->nodes[i].processes);
    }
    free(a->nodes);
}

struct attempts *attempts_free(struct attempts *a)
{
    if (!a)
        return NULL;
    nodes_free(a);
    for (size_t i = 0; i < a->n_all; i++) {
        free(a->all[i].detections);
        free(a->all[i].nodes);
        free(a->all[i].reasons);
    }
    for (size_t i = 0; i < a->n_means; i++)
        free(a->means[i].nodes);
    void *owned[] = {a->batches.slots, a->detections, a->verdicts, a->blinds,  a->means,
                     a->outs,          a->ins,        a->changes,  a->reasons, a->label,
                     a->campaign,      a->all,        a->hosts};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
    map_done(&a->texts);
    map_done(&a->units);
    map_done(&a->processes);
    map_done(&a->names);
    map_done(&a->means_by_value);
    arena_done(&a->arena);
    free(a);
    return NULL;
}

bool room(struct attempts *a, void *p, size_t n, size_t *cap, size_t size, size_t most)
{
    void **array = p;
    if (n >= most) {
        a->refused++;
        return false;
    }
    if (n < *cap)
        return true;
    size_t bigger = *cap ? *cap * 2 : 64;
    void *more = reallocarray(*array, bigger, size);
    if (!more) {
        a->refused++;
        return false;
    }
    *array = more;
    *cap = bigger;
    return true;
}

const char *interned(struct attempts *a, struct str s)
{
    const char *known = map_get(&a->texts, s);
    if (known)
        return known;
    char *copy = arena_cstr(&a->arena, s);
    if (!copy || map_put(&a->texts, str_bytes(copy, s.n), copy) < 0) {
        a->refused++;
        return "";
    }
    return copy;
}

// ---- batches, each once

static int seen_grow(struct seen *s)
{
    struct seen bigger = {.cap = s->cap ? s->cap * 2 : 1024};
    bigger.slots = calloc(bigger.cap, sizeof *bigger.slots);
    if (!bigger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < s->cap; i++) {
        size_t at = s->slots[i] & (bigger.cap - 1);
        while (s->slots[i] && bigger.slots[at])
            at = (at + 1) & (bigger.cap - 1);
        if (s->slots[i])
            bigger.slots[at] = s->slots[i];
    }
    bigger.n = s->n;
    free(s->slots);
    *s = bigger;
    return 0;
}

// 1 new, 0 seen before.
static int seen_add(struct attempts *a, uint64_t hash)
{
    struct seen *s = &a->batches;
    hash += hash == 0;
    if ((s->n + 1) * 2 > s->cap && seen_grow(s) < 0)
        return -ENOMEM;
    size_t at = hash & (s->cap - 1);
    while (s->slots[at] && s->slots[at] != hash)
        at = (at + 1) & (s->cap - 1);
    if (s->slots[at])
        return 0;
    if (s->n == BATCHES_MAX) {
        a->refused++;
        return 0;
    }
    s->slots[at] = hash;
    s->n++;
    return 1;
}

struct origin origin_of(const Tiercel__Batch *b)
{
    struct origin o = {0};
    if (b->has_host && b->host.len == 16)
        memcpy(o.host, b->host.data, 16);
    if (b->has_boot && b->boot.len == 16)
        memcpy(o.boot, b->boot.data, 16);
    return o;
}

static uint64_t batch_hash(const Tiercel__Batch *b, const struct origin *o)
{
    uint64_t numbers[] = {b->sequence, b->from,         b->to,        b->n_events,
                          b->n_losses, b->n_detections, b->n_verdicts};
    return XXH3_64bits_withSeed(numbers, sizeof numbers, XXH3_64bits(o, sizeof *o));
}

// ---- who

void unit_key(const struct origin *o, int kind, uint64_t x, uint64_t y, uint8_t ret[UNIT_KEY])
{
    ret[0] = (uint8_t)kind;
    memcpy(ret + 1, o->host, 16);
    memcpy(ret + 17, o->boot, 16);
    memcpy(ret + 33, &x, 8);
    memcpy(ret + 41, &y, 8);
    memset(ret + 49, 0, 8);
}

// A start may have been read from /proc, which knows it to 10 ms.
#define TICK_NS 10000000u

uint64_t process_hash(const struct origin *o, const Tiercel__ProcessId *id)
{
    uint8_t key[UNIT_KEY];
    unit_key(o, KEY_PROCESS, id->pid, id->start / TICK_NS, key);
    return XXH3_64bits(key, sizeof key);
}

const Tiercel__Process *acting(const Tiercel__Detection *d)
{
    const Tiercel__Process *p = d->n_events ? d->events[d->n_events - 1]->process : NULL;
    if (p && (p->lineage || !d->n_tree))
        return p;
    return d->n_tree ? d->tree[d->n_tree - 1] : NULL;
}

static void key_of(const struct origin *o, const Tiercel__Process *p, uint64_t event,
                   uint64_t otherwise, uint8_t ret[UNIT_KEY])
{
    const Tiercel__Lineage *l = p ? p->lineage : NULL;
    if (l && l->root && l->depth > 0)
        unit_key(o, UNIT_LINEAGE, l->root->pid, l->root->start / TICK_NS, ret);
    else if (event)
        unit_key(o, UNIT_EVENT, event, 0, ret);
    else
        unit_key(o, UNIT_DETECTION, otherwise, 0, ret);
}

struct attempt_node *node_of(struct attempts *a, const struct origin *o, const Tiercel__Event *e)
{
    uint8_t key[UNIT_KEY];
    if (!e->process)
        return NULL;
    key_of(o, e->process, e->id, 0, key);
    return node_at(a, key, e->time);
}

struct attempt_node *node_at(struct attempts *a, const uint8_t key[UNIT_KEY], uint64_t time)
{
    const struct keyed *k = map_get(&a->units, str_bytes(key, UNIT_KEY));
    if (!k)
        return NULL;
    struct attempt_node *n = &a->nodes[k->node];
    while (n->next != SIZE_MAX && a->nodes[n->next].begin <= time)
        n = &a->nodes[n->next];
    return n;
}

// ---- detections

uint64_t attempt_name(const uint8_t host[16], const Tiercel__Detection *d)
{
    struct str rule = str_from(d->rule_id);
    uint64_t numbers[] = {d->time, d->id, XXH3_64bits(rule.p, rule.n)};
    uint64_t name = XXH3_64bits_withSeed(numbers, sizeof numbers, XXH3_64bits(host, 16));
    return name + (name == 0);
}

void command_of(const Tiercel__Process *p, char *ret, size_t size)
{
    size_t at = 0, n = p ? p->n_argv : 0;
    while (n > 1 && p->argv[n - 1].len == 0)
        n--; // a process that wrote itself a title leaves empty arguments
    ret[0] = 0;
    for (size_t i = 0; i < n && at + 1 < size; i++)
        at += (size_t)snprintf(ret + at, size - at, "%s%.*s", i ? " " : "", (int)p->argv[i].len,
                               (const char *)p->argv[i].data);
    if (n == 0 && p && p->image && p->image->has_path)
        snprintf(ret, size, "%.*s", (int)p->image->path.len, (const char *)p->image->path.data);
    else if (n == 0 && p && p->has_name)
        snprintf(ret, size, "%.*s", (int)p->name.len, (const char *)p->name.data);
}

static void take_detection(struct attempts *a, const Tiercel__Detection *d, const struct origin *o)
{
    char command[COMMAND_CUT];
    if (!room(a, &a->detections, a->n_detections, &a->cap_detections, sizeof *a->detections,
              DETECTIONS_MAX))
        return;
    struct str rule = str_from(d->rule_id);
    const Tiercel__Event *last = d->n_events ? d->events[d->n_events - 1] : NULL;
    struct attempt_detection *one = &a->detections[a->n_detections];
    *one = (struct attempt_detection){.name = attempt_name(o->host, d),
                                      .time = d->time,
                                      .id = d->id,
                                      .rule = XXH3_64bits(rule.p, rule.n),
                                      .title = interned(a, str_from(d->rule_title)),
                                      .level = interned(a, str_from(d->level)),
                                      .tactics = tactics_of(d)};
    memcpy(one->host, o->host, 16);
    key_of(o, acting(d), last ? last->id : 0, d->id, one->unit);
    command_of(last && last->process && last->process->n_argv ? last->process : acting(d), command,
               sizeof command);
    one->command = arena_cstr(&a->arena, str_from(command));
    if (!one->command) {
        a->refused++;
        return;
    }
    a->n_detections++;
}

static void take_verdict(struct attempts *a, const Tiercel__Verdict *v, const struct origin *o)
{
    if (!room(a, &a->verdicts, a->n_verdicts, &a->cap_verdicts, sizeof *a->verdicts,
              DETECTIONS_MAX * 2))
        return;
    bool before = v->before_first_instruction || v->action == TIERCEL__ACTION__ACTION_DENY;
    struct verdict_fact *f = &a->verdicts[a->n_verdicts++];
    *f = (struct verdict_fact){.detection = v->detection,
                               .time = v->time,
                               .id = v->id,
                               .stopped = v->action != TIERCEL__ACTION__ACTION_ALLOW,
                               .before = before,
                               .mechanism = (uint8_t)v->mechanism};
    memcpy(f->host, o->host, 16);
}

#define DIFFER(x, y)                                                                               \
    if ((x) != (y))                                                                                \
    return (x) < (y) ? -1 : 1

static int by_time(const void *p, const void *q)
{
    const struct attempt_detection *x = p, *y = q;
    DIFFER(x->time, y->time);
    int r = memcmp(x->host, y->host, 16);
    if (r)
        return r;
    DIFFER(x->id, y->id);
    DIFFER(x->rule, y->rule);
    r = memcmp(x->unit, y->unit, UNIT_KEY);
    return r ? r : strcmp(x->command, y->command);
}

static int by_detection(const void *p, const void *q)
{
    const struct verdict_fact *x = p, *y = q;
    int r = memcmp(x->host, y->host, 16);
    if (r)
        return r;
    DIFFER(x->detection, y->detection);
    DIFFER(x->time, y->time);
    DIFFER(x->id, y->id);
    DIFFER(x->stopped, y->stopped);
    DIFFER(x->before, y->before);
    DIFFER(x->mechanism, y->mechanism);
    return 0;
}

static void sort_all(struct attempts *a)
{
    if (a->n_detections)
        qsort(a->detections, a->n_detections, sizeof *a->detections, by_time);
    size_t kept = 0;
    for (size_t i = 0; i < a->n_detections; i++)
        if (!kept || a->detections[kept - 1].name != a->detections[i].name)
            a->detections[kept++] = a->detections[i];
    a->n_detections = kept;
    if (a->n_verdicts)
        qsort(a->verdicts, a->n_verdicts, sizeof *a->verdicts, by_detection);
}

// The last verdict of a detection holds.
static void judge(struct attempts *a, struct attempt_detection *d)
{
    size_t low = 0, high = a->n_verdicts;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct verdict_fact *v = &a->verdicts[middle];
        int r = memcmp(v->host, d->host, 16);
        if (r < 0 || (r == 0 && v->detection <= d->id))
            low = middle + 1;
        else
            high = middle;
    }
    const struct verdict_fact *v = low ? &a->verdicts[low - 1] : NULL;
    if (!v || v->detection != d->id || memcmp(v->host, d->host, 16) != 0)
        return;
    d->stopped = v->stopped;
    d->before = v->before;
    d->stopped_at = v->stopped ? v->time : 0;
    d->mechanism = v->mechanism;
}

static int place(struct attempts *a, size_t i)
{
    struct attempt_detection *d = &a->detections[i];
    struct keyed *k = map_get(&a->units, str_bytes(d->unit, UNIT_KEY));
    struct attempt_node *last = k ? &a->nodes[k->node] : NULL;
    while (last && last->next != SIZE_MAX)
        last = &a->nodes[last->next];
    if (!last || d->time - last->end > a->quiet) {
        size_t before = last ? (size_t)(last - a->nodes) : SIZE_MAX, new = a->n_nodes;
        if (!room(a, &a->nodes, new, &a->cap_nodes, sizeof *a->nodes, DETECTIONS_MAX))
            return -ENOMEM;
        a->nodes[new] = (struct attempt_node){.begin = d->time,
                                              .end = d->time,
                                              .next = SIZE_MAX,
                                              .seen_from = d->time,
                                              .seen_to = d->time,
                                              .first = i,
                                              .lineage = d->unit[0] == UNIT_LINEAGE,
                                              .role = "",
                                              .service = ""};
        memcpy(a->nodes[new].host, d->host, 16);
        memcpy(a->nodes[new].boot, d->unit + 17, 16);
        uint64_t pid;
        memcpy(&pid, d->unit + 33, 8);
        a->nodes[new].pid = a->nodes[new].lineage ? (uint32_t)pid : 0;
        a->n_nodes++;
        if (before != SIZE_MAX)
            a->nodes[before].next = new;
        if (!k) {
            k = arena_new(&a->arena, struct keyed);
            if (!k)
                return -ENOMEM;
            memcpy(k->key, d->unit, UNIT_KEY);
            k->node = new;
            if (map_put(&a->units, str_bytes(k->key, UNIT_KEY), k) < 0)
                return -ENOMEM;
        }
        last = &a->nodes[new];
    }
    last->end = last->seen_to = d->time;
    last->n_detections++;
    d->node = (size_t)(last - a->nodes);
    return 0;
}

static int by_bytes(const void *p, const void *q)
{
    return memcmp(p, q, 16);
}

static int collect_hosts(struct attempts *a)
{
    a->hosts = calloc(a->n_nodes + 1, sizeof *a->hosts);
    if (!a->hosts)
        return -ENOMEM;
    for (size_t i = 0; i < a->n_nodes; i++)
        memcpy(a->hosts[i], a->nodes[i].host, 16);
    qsort(a->hosts, a->n_nodes, sizeof *a->hosts, by_bytes);
    for (size_t i = 0; i < a->n_nodes; i++)
        if (!a->n_hosts || memcmp(a->hosts[a->n_hosts - 1], a->hosts[i], 16) != 0)
            memmove(a->hosts[a->n_hosts++], a->hosts[i], 16);
    return 0;
}

static int end_detections(struct attempts *a)
{
    sort_all(a);
    a->names.quota = DETECTIONS_MAX;
    for (size_t i = 0; i < a->n_detections; i++) {
        judge(a, &a->detections[i]);
        if (place(a, i) < 0)
            return -ENOMEM;
    }
    // Only now do the detections stand still.
    for (size_t i = 0; i < a->n_detections; i++)
        if (map_put(&a->names, MAP_KEY(a->detections[i].name), (void *)(uintptr_t)(i + 1)) < 0)
            return -ENOMEM;
    return collect_hosts(a);
}

// ---- passes

bool attempts_skip(void *context, const struct segment_info *info)
{
    const uint64_t others =
        1ull << TIERCEL__EVENT__KIND_EXEC | 1ull << TIERCEL__EVENT__KIND_CONNECT |
        1ull << TIERCEL__EVENT__KIND_FILE | 1ull << TIERCEL__EVENT__KIND_SOCKET |
        1ull << TIERCEL__EVENT__KIND_FLOW | 1ull << TIERCEL__EVENT__KIND_HASH;
    const struct attempts *a = context;
    if (a->pass == PASS_DETECTIONS)
        return info->n_detections == 0 && info->n_verdicts == 0;
    if (a->n_nodes == 0)
        return true;
    bool involved = bsearch(info->host, a->hosts, a->n_hosts, 16, by_bytes);
    if (a->pass == PASS_LINEAGES) // what it says of coverage is not in the header
        return !involved;
    return (info->kinds & others) == 0 || (!involved && !a->n_means && !a->n_outs);
}

int attempts_take(struct attempts *a, const Tiercel__Batch *batch)
{
    struct origin o = origin_of(batch);
    int r = seen_add(a, batch_hash(batch, &o));
    if (r <= 0)
        return r;
    if (a->pass == PASS_LINEAGES)
        return watch_batch(a, batch, &o);
    if (a->pass == PASS_OTHERS)
        return others_batch(a, batch, &o);
    for (size_t i = 0; i < batch->n_detections; i++)
        take_detection(a, batch->detections[i], &o);
    for (size_t i = 0; i < batch->n_verdicts; i++)
        take_verdict(a, batch->verdicts[i], &o);
    return 0;
}

int attempts_next(struct attempts *a)
{
    int r = 0;
    free(a->batches.slots);
    a->batches = (struct seen){0};
    if (a->pass == PASS_DETECTIONS)
        r = end_detections(a);
    else if (a->pass == PASS_LINEAGES)
        r = means_collect(a);
    else if (a->pass == PASS_OTHERS)
        r = join(a) < 0 ? -ENOMEM : outcomes(a);
    if (r < 0)
        return r;
    a->pass++;
    return a->pass < PASS_DONE;
}
