// SPDX-License-Identifier: Apache-2.0
// From parsed rules to matchers, index and routes.
#include "rule/index.h"
#include "rule/matcher.h"

#include <errno.h>
#include <malloc.h>

#define ROUTES_MAX 256

static int gather(struct rule_strings *strings, const struct rule_expr *e)
{
    if (e->op == RULE_OP_LEAF) {
        struct rule_leaf *leaf = e->leaf;
        bool open = leaf->kind == RULE_LEAF_TEXT && leaf->slot == RULE_NO_SLOT;
        return open ? rule_strings_add(&strings[leaf->field], leaf) : 0;
    }
    for (size_t i = 0; i < e->n; i++) {
        int r = gather(strings, e->child[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int build_matchers(struct rule_set *set, struct rule_strings *strings, struct error *e)
{
    for (size_t i = 0; i < set->n; i++)
        if (set->entries[i].root && gather(strings, set->entries[i].root) < 0)
            return error_set(e, -ENOMEM, "out of memory");
    for (size_t f = 0; f < set->n_fields; f++) {
        if (strings[f].n == 0)
            continue;
        int r = rule_matcher_new(&strings[f], &set->matchers[f], e);
        if (r < 0)
            return r;
        rule_strings_done(&strings[f]); // as early as possible: this is the peak of memory
    }
    return 0;
}

static int find_rule(const struct rule_set *set, struct str name, size_t *ret)
{
    uintptr_t i = (uintptr_t)map_get(&set->by_id, name);
    if (!i)
        i = (uintptr_t)map_get(&set->by_name, name);
    if (!i)
        return -ENOENT;
    *ret = i - 1;
    return 0;
}

static int bind_correlation(struct rule_set *set, struct rule_entry *entry, struct error *e)
{
    struct rule_correlation *c = entry->correlation;
    for (size_t i = 0; i < c->n_rules; i++) {
        size_t index = 0;
        if (find_rule(set, c->names[i], &index) < 0) {
            error_set(e, -EINVAL, "rule '" STR_FMT "' is not in the set", STR_ARG(c->names[i]));
            error_place(e, entry->rule.file.p, c->lines[i], 0);
            error_way_out(e, "name it by the 'id' or 'name' of a rule that is loaded");
            return -EINVAL;
        }
        c->rules[i] = (unsigned)index;
        struct rule *rule = &set->entries[index].rule;
        rule->support = true;
    }
    return 0;
}

// A rule stays a detection of its own where one correlation says so.
static void keep_generated(struct rule_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct rule_correlation *c = set->entries[i].correlation;
        for (size_t j = 0; c && c->generate && j < c->n_rules; j++)
            set->entries[c->rules[j]].rule.support = false;
    }
}

// Correlations may join correlations, but not in a circle. `seen`: 0 new, 1 on the way, 2 done.
static bool circular(const struct rule_set *set, size_t i, uint8_t *seen, unsigned depth)
{
    const struct rule_correlation *c = set->entries[i].correlation;
    if (!c || seen[i] == 2)
        return false;
    if (seen[i] == 1 || depth > 16)
        return true;
    seen[i] = 1;
    for (size_t j = 0; j < c->n_rules; j++)
        if (circular(set, c->rules[j], seen, depth + 1))
            return true;
    seen[i] = 2;
    return false;
}

static int bind_correlations(struct rule_set *set, struct error *e)
{
    for (size_t i = 0; i < set->n; i++) {
        int r = set->entries[i].correlation ? bind_correlation(set, &set->entries[i], e) : 0;
        if (r < 0)
            return r;
    }
    keep_generated(set);
    uint8_t *seen = calloc(set->n + 1, 1);
    if (!seen)
        return error_set(e, -ENOMEM, "out of memory");
    int r = 0;
    for (size_t i = 0; r == 0 && i < set->n; i++) {
        if (!circular(set, i, seen, 0))
            continue;
        r = error_set(e, -EINVAL, "the correlation counts itself, or goes over 16 others");
        error_place(e, set->entries[i].rule.file.p, set->entries[i].line, 0);
    }
    free(seen);
    return r;
}

int rule_set_compile(struct rule_set *set, struct error *e)
{
    if (set->matchers)
        return set->compiled ? 0 : error_set(e, -EINVAL, "the set could not be compiled before");
    int r = bind_correlations(set, e);
    if (r < 0)
        return r;
    struct rule_strings *strings = calloc(set->n_fields, sizeof *strings);
    set->matchers = calloc(set->n_fields, sizeof(struct rule_matcher *));
    if (!strings || !set->matchers)
        r = error_set(e, -ENOMEM, "out of memory");
    else
        r = build_matchers(set, strings, e);
    for (size_t f = 0; strings && f < set->n_fields; f++)
        rule_strings_done(&strings[f]);
    free(strings);
    if (r == 0)
        r = rule_index_new(set, e);
    set->compiled = r == 0;
    malloc_trim(
        0); // vectorscan's compiler leaves some 5 MB of freed heap behind, half of what the set costs
    return r;
}

static struct str copy(struct str s, bool *failed)
{
    if (s.n == 0)
        return STR_NONE;
    char *p = strndup(s.p, s.n);
    *failed = *failed || !p;
    return (struct str){p, p ? s.n : 0};
}

int rule_set_route(struct rule_set *set, struct str product, struct str category,
                   struct str service)
{
    if (!set->compiled)
        return -EINVAL;
    for (size_t i = 0; i < set->n_routes; i++) {
        const struct rule_route *r = &set->routes[i];
        if (str_eq(r->product, product) && str_eq(r->category, category) &&
            str_eq(r->service, service))
            return (int)i;
    }
    if (set->n_routes >= ROUTES_MAX)
        return -ENOSPC;
    struct rule_route *routes = realloc(set->routes, (set->n_routes + 1) * sizeof *routes);
    if (!routes)
        return -ENOMEM;
    set->routes = routes;
    bool failed = false;
    struct rule_route route = {.product = copy(product, &failed),
                               .category = copy(category, &failed),
                               .service = copy(service, &failed)};
    if (failed || rule_route_init(set, &route) < 0) {
        rule_route_done(&route);
        return -ENOMEM;
    }
    set->routes[set->n_routes] = route;
    return (int)set->n_routes++;
}
