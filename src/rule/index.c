// SPDX-License-Identifier: Apache-2.0
#include "rule/index.h"

#include "base/cleanup.h"
#include "rule/matcher.h"

#include <errno.h>

// What is known of the strings without which an expression cannot be true (or, negated, cannot be false).
struct need {
    bool known;
    size_t n;
    uint32_t weight; // of the least telling one
};

static bool better(struct need a, struct need b)
{
    if (!a.known || !b.known)
        return a.known;
    return a.weight != b.weight ? a.weight > b.weight : a.n < b.n;
}

static bool is_all(const struct rule_expr *e, bool negated)
{
    return negated ? e->op == RULE_OP_OR : e->op == RULE_OP_AND;
}

static struct need need_of(const struct rule_set *set, const struct rule_expr *e, bool negated)
{
    struct need none = {0};
    if (e->op == RULE_OP_LEAF) {
        const struct rule_leaf *leaf = e->leaf;
        const struct rule_matcher *m = set->matchers[leaf->field];
        bool reported =
            leaf->kind == RULE_LEAF_TEXT && !negated && m->how[leaf->slot] != RULE_BY_REGEX;
        bool late = set->options.field_late &&
                    set->options.field_late(set->options.context, set->fields[leaf->field]);
        if (!reported)
            return none;
        uint32_t weight =
            m->how[leaf->slot] == RULE_BY_LITERAL ? m->weight[leaf->slot] : leaf->weight;
        return (struct need){true, 1, late ? 0 : weight};
    }
    if (e->op == RULE_OP_NOT)
        return need_of(set, e->child[0], !negated);
    if (e->op == RULE_OP_NAME)
        return need_of(set, e->child[0], negated);
    struct need result = is_all(e, negated) ? none : (struct need){true, 0, UINT32_MAX};
    for (size_t i = 0; i < e->n; i++) {
        struct need child = need_of(set, e->child[i], negated);
        if (is_all(e, negated)) {
            result = better(child, result) ? child : result;
        } else {
            result.known = result.known && child.known;
            result.n += child.n;
            result.weight = child.weight < result.weight ? child.weight : result.weight;
        }
    }
    return result;
}

struct watch {
    uint32_t field, slot, rule;
};

struct watches {
    struct watch *p;
    size_t n, cap;
};

static int watch_add(struct watches *w, const struct rule_leaf *leaf, uint32_t rule)
{
    if (w->n == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 256;
        struct watch *p = realloc(w->p, cap * sizeof *p);
        if (!p)
            return -ENOMEM;
        w->p = p;
        w->cap = cap;
    }
    w->p[w->n++] = (struct watch){leaf->field, leaf->slot, rule};
    return 0;
}

// The leaves of the best set. Called only where need_of() knows one.
static int collect(const struct rule_set *set, const struct rule_expr *e, bool negated,
                   uint32_t rule, struct watches *w)
{
    if (e->op == RULE_OP_LEAF)
        return watch_add(w, e->leaf, rule);
    if (e->op == RULE_OP_NOT)
        return collect(set, e->child[0], !negated, rule, w);
    if (e->op == RULE_OP_NAME)
        return collect(set, e->child[0], negated, rule, w);
    if (!is_all(e, negated)) {
        for (size_t i = 0; i < e->n; i++) {
            int r = collect(set, e->child[i], negated, rule, w);
            if (r < 0)
                return r;
        }
        return 0;
    }
    const struct rule_expr *best = NULL;
    struct need most = {0};
    for (size_t i = 0; i < e->n; i++) {
        struct need child = need_of(set, e->child[i], negated);
        if (better(child, most)) {
            most = child;
            best = e->child[i];
        }
    }
    return best ? collect(set, best, negated, rule, w) : 0;
}

static int watch_order(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct watch));
}

// Big-endian would sort the same bytes by value; the order only has to bring equal ones together.
static int share_out(struct rule_set *set, struct watches *w)
{
    if (w->n)
        qsort(w->p, w->n, sizeof *w->p, watch_order);
    size_t kept = 0;
    for (size_t i = 0; i < w->n; i++)
        if (i == 0 || watch_order(&w->p[i], &w->p[kept - 1]) != 0)
            w->p[kept++] = w->p[i];
    w->n = kept;
    for (size_t i = 0; i < kept; i++)
        set->matchers[w->p[i].field]->watch_from[w->p[i].slot]++;
    for (size_t f = 0; f < set->n_fields;
         f++) { // counts to ends, then filled from behind to starts
        struct rule_matcher *m = set->matchers[f];
        if (!m)
            continue;
        for (size_t i = 1; i <= m->n; i++)
            m->watch_from[i] += m->watch_from[i - 1];
        m->watch = calloc(m->watch_from[m->n] + 1, sizeof *m->watch);
        if (!m->watch)
            return -ENOMEM;
        set->index->watched[f] = m->watch_from[m->n] > 0;
    }
    for (size_t i = kept; i-- > 0;) {
        struct rule_matcher *m = set->matchers[w->p[i].field];
        m->watch[--m->watch_from[w->p[i].slot]] = w->p[i].rule;
    }
    return 0;
}

int rule_index_new(struct rule_set *set, struct error *e)
{
    struct rule_index *index = calloc(1, sizeof *index);
    if (!index)
        return error_set(e, -ENOMEM, "out of memory");
    set->index = index;
    index->words = set->n / 64 + 1;
    index->always = calloc(index->words, sizeof *index->always);
    index->watched = calloc(set->n_fields, sizeof *index->watched);
    struct watches w = {0};
    int r = index->always && index->watched ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < set->n; i++) {
        const struct rule_expr *root = set->entries[i].root;
        if (!root)
            continue;
        if (need_of(set, root, false).known)
            r = collect(set, root, false, (uint32_t)i, &w);
        else
            index->always[i / 64] |= (uint64_t)1 << i % 64;
    }
    if (r == 0)
        r = share_out(set, &w);
    free(w.p);
    return r < 0 ? error_set(e, r, "out of memory") : 0;
}

void rule_index_free(struct rule_index *index)
{
    if (!index)
        return;
    free(index->always);
    free(index->watched);
    free(index);
}

static bool concerns(const struct rule *rule, const struct rule_route *route)
{
    if (rule->correlation || (rule->product.n && !str_eq_nocase(rule->product, route->product)))
        return false;
    if (rule->category.n)
        return str_eq_nocase(rule->category, route->category);
    return rule->service.n == 0 || str_eq_nocase(rule->service, route->service);
}

static bool decides(const struct rule_matcher *m, const uint64_t *rules)
{
    for (size_t i = 0; m && i < m->watch_from[m->n]; i++)
        if (rules[m->watch[i] / 64] >> m->watch[i] % 64 & 1)
            return true;
    return false;
}

int rule_route_init(const struct rule_set *set, struct rule_route *route)
{
    size_t words = set->index->words;
    route->rules = calloc(words, sizeof *route->rules);
    route->always = calloc(words, sizeof *route->always);
    route->eager = calloc(set->n_fields, sizeof *route->eager);
    if (!route->rules || !route->always || !route->eager) {
        rule_route_done(route);
        return -ENOMEM;
    }
    for (size_t i = 0; i < set->n; i++)
        if (concerns(&set->entries[i].rule, route)) {
            route->rules[i / 64] |= (uint64_t)1 << i % 64;
            route->any = true;
        }
    for (size_t i = 0; i < words; i++)
        route->always[i] = set->index->always[i] & route->rules[i];
    for (unsigned f = 0; f < set->n_fields; f++)
        if (decides(set->matchers[f], route->rules))
            route->eager[route->n_eager++] = f;
    return 0;
}

void rule_route_done(struct rule_route *route)
{
    free((char *)route->product.p);
    free((char *)route->category.p);
    free((char *)route->service.p);
    free(route->rules);
    free(route->always);
    free(route->eager);
    *route = (struct rule_route){0};
}
