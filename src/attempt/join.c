// SPDX-License-Identifier: Apache-2.0
// Which nodes are one attempt, which attempts one campaign, and why: each join is kept with its reason.
#include "attempt/private.h"

#include <errno.h>
#include <stdlib.h>

#define LINK_NS (3600ull * 1000000000u)   // from a connection to what it starts: a session lasts
#define LINK_WEB_NS (60ull * 1000000000u) // where the accepting process is not an ancestor

static size_t find(size_t *label, size_t i)
{
    while (label[i] != i)
        i = label[i] = label[label[i]];
    return i;
}

// The lower number stays: nodes are in order of time.
static bool unite(size_t *label, size_t a, size_t b)
{
    a = find(label, a);
    b = find(label, b);
    if (a == b)
        return false;
    label[a < b ? b : a] = a < b ? a : b;
    return true;
}

static struct attempt_reason *reason(struct attempts *a, enum attempt_reason_kind kind, size_t x,
                                     size_t y)
{
    if (!room(a, &a->reasons, a->n_reasons, &a->cap_reasons, sizeof *a->reasons,
              DETECTIONS_MAX * 4))
        return NULL;
    struct attempt_reason *r = &a->reasons[a->n_reasons++];
    *r = (struct attempt_reason){.kind = kind, .a = x, .b = y};
    return r;
}

static uint64_t apart(uint64_t x, uint64_t y)
{
    return x < y ? y - x : x - y;
}

static void by_lineage(struct attempts *a)
{
    for (size_t i = 0; i < a->n_nodes; i++) {
        const struct attempt_node *n = &a->nodes[i];
        if (n->n_detections > 1)
            reason(a, n->lineage ? ATTEMPT_BY_LINEAGE : ATTEMPT_BY_EVENT, i, i);
        if (n->next != SIZE_MAX)
            unite(a->campaign, i, n->next);
    }
}

static const struct attempt_means *use_of(const struct attempts *a, const struct means *m,
                                          size_t node)
{
    const struct attempt_node *n = &a->nodes[node];
    for (size_t i = 0; i < n->n_means; i++)
        if (n->means[i].kind == m->of->kind && !memcmp(n->means[i].value, m->of->value, 32))
            return &n->means[i];
    return NULL;
}

static bool same_host(const struct attempts *a, size_t x, size_t y)
{
    return memcmp(a->nodes[x].host, a->nodes[y].host, 16) == 0;
}

// Its users come in order of their first use; each is joined to the last before it on the same host.
static void by_means(struct attempts *a, const struct means *m)
{
    if (m->n_others == OTHERS || (m->of->kind == ATTEMPT_DROPPED && !m->dropped))
        return;
    for (size_t i = 1; i < m->n_nodes; i++) {
        size_t now = m->nodes[i], before = i;
        unite(a->campaign, m->nodes[0], now);
        while (before > 0 && !same_host(a, m->nodes[before - 1], now))
            before--;
        if (before == 0)
            continue;
        before = m->nodes[before - 1];
        const struct attempt_means *x = use_of(a, m, before), *y = use_of(a, m, now);
        if (!x || !y || (y->first > x->last && y->first - x->last > a->quiet))
            continue;
        unite(a->label, before, now);
        struct attempt_reason *r = reason(a, ATTEMPT_BY_MEANS, before, now);
        if (!r)
            return;
        r->means = m->of->kind;
        r->apart = y->first > x->last ? y->first - x->last : 0;
        memcpy(r->text, m->of->text, sizeof r->text);
    }
}

static bool leads_to(const struct in *in, const struct attempt_node *n)
{
    if (memcmp(in->host, n->host, 16) != 0 || n->begin < in->time)
        return false;
    uint64_t later = n->begin - in->time;
    if (in->web && n->role && !strcmp(n->role, "web") && later <= LINK_WEB_NS)
        return true;
    for (size_t i = 0; later <= LINK_NS && i < n->n_chain; i++)
        if (n->chain[i] == in->acceptor)
            return true;
    return false;
}

static int by_node(const void *p, const void *q)
{
    const struct in *x = p, *y = q;
    if (x->from.node != y->from.node)
        return x->from.node < y->from.node ? -1 : 1;
    int r = memcmp(x->host, y->host, 16);
    if (r)
        return r;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    if (x->acceptor != y->acceptor)
        return x->acceptor < y->acceptor ? -1 : 1;
    return memcmp(x->from.tuple, y->from.tuple, sizeof x->from.tuple);
}

static void by_connection(struct attempts *a)
{
    if (a->n_ins)
        qsort(a->ins, a->n_ins, sizeof *a->ins, by_node);
    for (size_t i = 0; i < a->n_ins; i++) {
        const struct in *in = &a->ins[i];
        for (size_t j = 0; j < a->n_nodes; j++) {
            if (!leads_to(in, &a->nodes[j]))
                continue;
            unite(a->campaign, in->from.node, j);
            if (!unite(a->label, in->from.node, j))
                continue;
            struct attempt_reason *r = reason(a, ATTEMPT_BY_CONNECTION, in->from.node, j);
            uint16_t port;
            memcpy(&port, in->from.tuple + 34, 2);
            if (r) {
                r->apart = apart(a->nodes[j].begin, in->time);
                snprintf(r->text, sizeof r->text, "port %u", port);
            }
        }
    }
}

// ---- by hand, in the order in which it was done

static size_t node_named(const struct attempts *a, uint64_t name)
{
    size_t i = (size_t)(uintptr_t)map_get(&a->names, MAP_KEY(name));
    return i ? a->detections[i - 1].node : SIZE_MAX;
}

// The set keeps its own number where its lowest node stays in it.
static void relabel(size_t *label, size_t n, size_t from, size_t to)
{
    for (size_t i = 0; i < n; i++)
        if (label[i] == from)
            label[i] = to;
}

static void merge(struct attempts *a, struct attempt_change *c)
{
    size_t x = node_named(a, c->names[0]), y = node_named(a, c->names[1]);
    if (x == SIZE_MAX || y == SIZE_MAX || a->label[x] == a->label[y])
        return;
    relabel(a->label, a->n_nodes, a->label[y], a->label[x]);
    relabel(a->campaign, a->n_nodes, a->campaign[y], a->campaign[x]);
    struct attempt_reason *r = reason(a, ATTEMPT_BY_HAND, x, y);
    if (r)
        snprintf(r->text, sizeof r->text, "%.24s: %.68s", c->who, c->why);
    c->applied = true;
}

static void split(struct attempts *a, struct attempt_change *c)
{
    size_t from = node_named(a, c->names[0]), first = SIZE_MAX, out = 0, all = 0;
    bool *moves = calloc(a->n_nodes, sizeof *moves);
    for (size_t i = 1; moves && from != SIZE_MAX && i < c->n_names; i++) {
        size_t n = node_named(a, c->names[i]);
        if (n == SIZE_MAX || a->label[n] != a->label[from])
            continue;
        moves[n] = true;
        first = first == SIZE_MAX || n < first ? n : first;
    }
    for (size_t i = 0; moves && from != SIZE_MAX && i < a->n_nodes; i++) {
        all += a->label[i] == a->label[from];
        out += moves[i];
    }
    if (out && out < all) {
        for (size_t i = 0; i < a->n_nodes; i++)
            if (moves[i]) // no node's number may name two sets: new ones lie behind all
                a->label[i] = a->campaign[i] = a->n_nodes + (size_t)(c - a->changes);
        c->applied = true;
    }
    free(moves);
}

// ---- attempts

static int by_begin(const void *p, const void *q)
{
    const struct attempt *x = p, *y = q;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->detections[0] < y->detections[0] ? -1 : x->detections[0] > y->detections[0];
}

static int make(struct attempts *a)
{
    size_t most = a->n_nodes + a->n_changes + 1;
    size_t *index = calloc(most, sizeof *index), *campaign = calloc(most, sizeof *campaign);
    a->all = calloc(a->n_nodes + 1, sizeof *a->all);
    int r = index && campaign && a->all ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < a->n_nodes; i++) {
        size_t *at = &index[a->label[i]];
        if (!*at)
            *at = ++a->n_all;
        a->nodes[i].attempt = *at - 1;
        struct attempt *one = &a->all[*at - 1];
        one->n_nodes++;
        one->n_detections += a->nodes[i].n_detections;
    }
    for (size_t i = 0; r == 0 && i < a->n_all; i++) {
        struct attempt *one = &a->all[i];
        one->nodes = calloc(one->n_nodes, sizeof *one->nodes);
        one->detections = calloc(one->n_detections, sizeof *one->detections);
        if (!one->nodes || !one->detections)
            r = -ENOMEM;
        one->n_nodes = one->n_detections = 0;
    }
    for (size_t i = 0; r == 0 && i < a->n_nodes; i++) {
        struct attempt *one = &a->all[a->nodes[i].attempt];
        one->nodes[one->n_nodes++] = i;
    }
    for (size_t i = 0; r == 0 && i < a->n_detections; i++) { // in order of time
        const struct attempt_detection *d = &a->detections[i];
        struct attempt *one = &a->all[a->nodes[d->node].attempt];
        if (!one->n_detections) {
            one->id = d->name;
            one->begin = d->time;
        }
        one->end = d->time;
        one->detections[one->n_detections++] = i;
        size_t *first = &campaign[a->campaign[d->node]];
        if (!*first)
            *first = i + 1;
        if (!one->campaign)
            one->campaign = a->detections[*first - 1].name;
    }
    free(index);
    free(campaign);
    return r;
}

static int give_reasons(struct attempts *a)
{
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < a->n_reasons; i++) {
            const struct attempt_reason *r = &a->reasons[i];
            struct attempt *one = &a->all[a->nodes[r->a].attempt];
            if (a->nodes[r->b].attempt != a->nodes[r->a].attempt)
                continue; // split by hand since
            if (pass)
                one->reasons[one->n_reasons] = *r;
            one->n_reasons++;
        }
        for (size_t i = 0; pass == 0 && i < a->n_all; i++) {
            struct attempt *one = &a->all[i];
            one->reasons = calloc(one->n_reasons + 1, sizeof *one->reasons);
            if (!one->reasons)
                return -ENOMEM;
            one->n_reasons = 0;
        }
    }
    return 0;
}

int join(struct attempts *a)
{
    a->label = calloc(a->n_nodes + 1, sizeof *a->label);
    a->campaign = calloc(a->n_nodes + 1, sizeof *a->campaign);
    if (!a->label || !a->campaign)
        return -ENOMEM;
    for (size_t i = 0; i < a->n_nodes; i++)
        a->label[i] = a->campaign[i] = i;
    by_lineage(a);
    for (size_t i = 0; i < a->n_means; i++)
        by_means(a, &a->means[i]);
    by_connection(a);
    for (size_t i = 0; i < a->n_nodes; i++) {
        a->label[i] = find(a->label, i);
        a->campaign[i] = find(a->campaign, i);
    }
    for (size_t i = 0; i < a->n_changes; i++)
        if (a->changes[i].split)
            split(a, &a->changes[i]);
        else
            merge(a, &a->changes[i]);
    int r = make(a);
    if (r == 0)
        r = give_reasons(a);
    if (r == 0 && a->n_all)
        qsort(a->all, a->n_all, sizeof *a->all, by_begin);
    for (size_t i = 0; r == 0 && i < a->n_all; i++)
        for (size_t k = 0; k < a->all[i].n_nodes; k++)
            a->nodes[a->all[i].nodes[k]].attempt = i;
    return r;
}
