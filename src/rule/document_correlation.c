// SPDX-License-Identifier: Apache-2.0
// The `correlation` map of a document.
#include "rule/set.h"

#include <errno.h>

static int list_of(struct rule_parse *p, const struct rule_yaml *map, const char *key, size_t max,
                   const struct rule_yaml *const **ret, size_t *ret_n)
{
    const struct rule_yaml *node = rule_yaml_get(map, key);
    size_t n = !node || rule_yaml_is_null(node) ? 0 : node->kind == RULE_YAML_LIST ? node->n : 1;
    const struct rule_yaml **items = arena_array(p->scratch, const struct rule_yaml *, n);
    if (!items)
        return rule_fail_memory(p);
    if (n > max)
        return rule_fail(p, node, -E2BIG, "'%s' has more than %zu entries", key, max);
    for (size_t i = 0; i < n; i++) {
        items[i] = node->kind == RULE_YAML_LIST ? node->items[i] : node;
        if (items[i]->kind != RULE_YAML_SCALAR || items[i]->text.n == 0)
            return rule_fail(p, items[i], -EINVAL, "'%s' must be a list of names", key);
    }
    *ret = items;
    *ret_n = n;
    return 0;
}

static int parse_type(struct rule_parse *p, const struct rule_yaml *node,
                      struct rule_correlation *c)
{
    static const char *const words[] = {
        "event_count",      "value_count",       "temporal",
        "temporal_ordered", "value_sum",         "value_avg",
        "value_percentile", "temporal_extended", "temporal_ordered_extended"};
    const struct rule_yaml *type = rule_yaml_get(node, "type");
    if (!type)
        return rule_fail(p, node, -EINVAL, "'type' is missing under 'correlation'");
    for (unsigned i = 0; i < 9; i++) {
        if (!str_eq(type->text, str_from(words[i])))
            continue;
        c->type = (enum rule_correlation_type)i;
        return i < 4 ? 0
                     : rule_fail(p, type, -ENOTSUP, "correlations of type '%s' are not supported",
                                 words[i]);
    }
    rule_fail(p, type, -EINVAL, "unknown type '" STR_FMT "' of correlation", STR_ARG(type->text));
    const char *nearest = rule_nearest(type->text, words, 4);
    if (nearest)
        error_way_out(p->e, "did you mean '%s'?", nearest);
    return -EINVAL;
}

static int parse_rules(struct rule_parse *p, const struct rule_yaml *node,
                       struct rule_correlation *c)
{
    const struct rule_yaml *const *items;
    int r = list_of(p, node, "rules", RULE_CORRELATED_MAX, &items, &c->n_rules);
    if (r < 0)
        return r;
    if (c->n_rules == 0)
        return rule_fail(p, node, -EINVAL, "'rules' is missing under 'correlation'");
    c->names = arena_array(p->arena, struct str, c->n_rules);
    c->lines = arena_array(p->arena, unsigned, c->n_rules);
    c->rules = arena_array(p->arena, unsigned, c->n_rules);
    if (!c->names || !c->lines || !c->rules)
        return rule_fail_memory(p);
    for (size_t i = 0; i < c->n_rules; i++) {
        for (size_t j = 0; j < i; j++)
            if (str_eq(c->names[j], items[i]->text))
                return rule_fail(p, items[i], -EINVAL, "the rule is named twice");
        c->lines[i] = items[i]->line;
        c->names[i] = arena_str(p->arena, items[i]->text);
        if (!c->names[i].p)
            return rule_fail_memory(p);
    }
    return 0;
}

static int parse_timespan(struct rule_parse *p, const struct rule_yaml *node,
                          struct rule_correlation *c)
{
    const struct rule_yaml *span = rule_yaml_get(node, "timespan");
    if (!span)
        return rule_fail(p, node, -EINVAL, "'timespan' is missing under 'correlation'");
    uint64_t number, unit = 0;
    struct str text = span->text;
    if (span->kind == RULE_YAML_SCALAR && text.n > 1) {
        char c_unit = text.p[text.n - 1];
        unit = c_unit == 's' ? 1 : c_unit == 'm' ? 60 : c_unit == 'h' ? 3600 : 0;
        unit = c_unit == 'd' ? 86400 : unit;
    }
    if (!unit || str_to_u64((struct str){text.p, text.n - 1}, &number) < 0 || number == 0) {
        rule_fail(p, span, -EINVAL, "'timespan' is a number and one of s, m, h, d");
        error_way_out(p->e, "for example 90s or 5m");
        return -EINVAL;
    }
    if (number > 366 * (uint64_t)86400 / unit)
        return rule_fail(p, span, -E2BIG, "a timespan of more than 366 days");
    c->timespan_ns = number * unit * 1000000000u;
    return 0;
}

static int bound(struct rule_parse *p, const struct rule_yaml *condition, size_t i,
                 struct rule_correlation *c)
{
    struct str key = condition->items[2 * i]->text;
    const struct rule_yaml *value = condition->items[2 * i + 1];
    int64_t signed_number;
    if (rule_yaml_number(value, &signed_number) < 0 || signed_number < 0)
        return rule_fail(p, value, -EINVAL, "a count is a whole number, 0 or more");
    uint64_t number = (uint64_t)signed_number, least = 0, most = UINT64_MAX;
    if (str_eq(key, STR("gt")))
        least = number + 1;
    else if (str_eq(key, STR("gte")))
        least = number;
    else if (str_eq(key, STR("lt")))
        most = number ? number - 1 : 0;
    else if (str_eq(key, STR("lte")))
        most = number;
    else if (str_eq(key, STR("eq")))
        least = most = number;
    else if (str_eq(key, STR("neq")))
        c->but = number;
    else
        return rule_fail(p, condition->items[2 * i], -EINVAL,
                         "unknown key '" STR_FMT "' in the condition of a correlation",
                         STR_ARG(key));
    c->least = least > c->least ? least : c->least;
    c->most = most < c->most ? most : c->most;
    return 0;
}

static int parse_condition(struct rule_parse *p, const struct rule_yaml *node,
                           struct rule_correlation *c)
{
    const struct rule_yaml *condition = rule_yaml_get(node, "condition");
    bool temporal = c->type == RULE_TEMPORAL || c->type == RULE_TEMPORAL_ORDERED;
    c->most = c->but = UINT64_MAX;
    if (!condition && temporal) {
        c->least = c->n_rules;
        return 0;
    }
    if (!condition)
        return rule_fail(p, node, -EINVAL, "'condition' is missing under 'correlation'");
    if (condition->kind != RULE_YAML_MAP)
        return rule_fail(p, condition, -ENOTSUP,
                         "the condition of a correlation must be a map such as {gte: 10}");
    for (size_t i = 0; i < condition->n; i++) {
        int r = str_eq(condition->items[2 * i]->text, STR("field")) ? 0 : bound(p, condition, i, c);
        if (r < 0)
            return r;
    }
    if (c->least == 0) {
        rule_fail(p, condition, -ENOTSUP,
                  "a condition without a least count (gt, gte or eq above 0) is true of nothing "
                  "happening, which no event tells");
        error_way_out(p->e, "add a lower bound");
        return -ENOTSUP;
    }
    if (c->least > c->most || (c->least == c->most && c->but == c->least) ||
        (temporal && c->least > c->n_rules))
        return rule_fail(p, condition, -EINVAL, "no count can be within these bounds");
    if (c->type == RULE_TEMPORAL_ORDERED && c->least != c->n_rules)
        return rule_fail(p, condition, -ENOTSUP,
                         "temporal_ordered needs all of its rules: leave the condition out");
    if (c->least > RULE_COUNT_MAX)
        return rule_fail(p, condition, -E2BIG, "a count of more than 10,000");
    return 0;
}

static int resolve(struct rule_parse *p, const struct rule_yaml *aliases,
                   const struct rule_yaml *field, const struct rule_correlation *c, size_t rule,
                   unsigned *ret)
{
    struct str name = field->text;
    const struct rule_yaml *at = field;
    for (size_t i = 0; aliases && i < aliases->n; i++) {
        if (!str_eq(aliases->items[2 * i]->text, name))
            continue;
        const struct rule_yaml *of = aliases->items[2 * i + 1];
        at = NULL;
        for (size_t j = 0; of->kind == RULE_YAML_MAP && j < of->n; j++)
            if (str_eq(of->items[2 * j]->text, c->names[rule]))
                at = of->items[2 * j + 1];
        if (!at || at->kind != RULE_YAML_SCALAR)
            return rule_fail(p, of, -EINVAL,
                             "alias '" STR_FMT "' names no field for rule '" STR_FMT "'",
                             STR_ARG(name), STR_ARG(c->names[rule]));
        break;
    }
    return rule_field(p, at->text, at, at->column, ret);
}

static int parse_group_by(struct rule_parse *p, const struct rule_yaml *node,
                          struct rule_correlation *c)
{
    const struct rule_yaml *const *fields, *aliases = rule_yaml_get(node, "aliases");
    if (aliases && aliases->kind != RULE_YAML_MAP)
        return rule_fail(p, aliases, -EINVAL, "'aliases' must be a map");
    int r = list_of(p, node, "group-by", RULE_GROUP_BY_MAX, &fields, &c->n_group_by);
    if (r < 0)
        return r;
    c->group_by = arena_array(p->arena, unsigned, c->n_rules * c->n_group_by);
    if (!c->group_by)
        return rule_fail_memory(p);
    for (size_t i = 0; i < c->n_rules; i++)
        for (size_t j = 0; j < c->n_group_by; j++)
            if ((r = resolve(p, aliases, fields[j], c, i, &c->group_by[i * c->n_group_by + j])) < 0)
                return r;
    return 0;
}

static int parse_values(struct rule_parse *p, const struct rule_yaml *node,
                        struct rule_correlation *c)
{
    const struct rule_yaml *const *fields, *condition = rule_yaml_get(node, "condition");
    int r = list_of(p, condition, "field", RULE_GROUP_BY_MAX, &fields, &c->n_values);
    if (r < 0)
        return r;
    if (c->type != RULE_VALUE_COUNT)
        return c->n_values == 0 ? 0
                                : rule_fail(p, condition, -EINVAL, "'field' is for value_count");
    if (c->n_values == 0)
        return rule_fail(p, condition, -EINVAL, "value_count needs 'field' in its condition");
    c->values = arena_array(p->arena, unsigned, c->n_values);
    if (!c->values)
        return rule_fail_memory(p);
    for (size_t i = 0; i < c->n_values; i++)
        if ((r = rule_field(p, fields[i]->text, fields[i], fields[i]->column, &c->values[i])) < 0)
            return r;
    return 0;
}

static int parse_generate(struct rule_parse *p, const struct rule_yaml *node,
                          struct rule_correlation *c)
{
    const struct rule_yaml *generate = rule_yaml_get(node, "generate");
    if (generate && !rule_yaml_is_bool(generate, &c->generate))
        return rule_fail(p, generate, -EINVAL, "'generate' must be true or false");
    return 0;
}

int rule_correlation_parse(struct rule_parse *p, const struct rule_yaml *document,
                           struct rule_correlation **ret)
{
    const struct rule_yaml *node = rule_yaml_get(document, "correlation");
    struct rule_correlation *c = arena_new(p->arena, struct rule_correlation);
    if (!c)
        return rule_fail_memory(p);
    if (node->kind != RULE_YAML_MAP)
        return rule_fail(p, node, -EINVAL, "'correlation' must be a map");
    int r = parse_type(p, node, c);
    if (r == 0)
        r = parse_rules(p, node, c);
    if (r == 0)
        r = parse_timespan(p, node, c);
    if (r == 0)
        r = parse_condition(p, node, c);
    if (r == 0)
        r = parse_group_by(p, node, c);
    if (r == 0)
        r = parse_values(p, node, c);
    if (r == 0)
        r = parse_generate(p, document, c);
    if (r == 0)
        r = parse_generate(p, node, c); // found in both places in published rules
    *ret = c;
    return r;
}
