// SPDX-License-Identifier: Apache-2.0
// One YAML document: a rule, or a correlation over rules.
#include "rule/set.h"

#include <errno.h>

static const char *const level_names[] = {"informational", "low", "medium", "high", "critical"};

int rule_document_text(struct rule_parse *p, const struct rule_yaml *map, const char *key,
                       size_t max, bool needed, struct str *ret)
{
    const struct rule_yaml *node = rule_yaml_get(map, key);
    if (!node && needed)
        return rule_fail(p, map, -EINVAL, "'%s' is missing", key);
    if (!node || (rule_yaml_is_null(node) && !needed)) {
        *ret = STR_NONE;
        return 0;
    }
    if (node->kind != RULE_YAML_SCALAR || (needed && node->text.n == 0))
        return rule_fail(p, node, -EINVAL, "'%s' must be a text", key);
    if (node->text.n > max)
        return rule_fail(p, node, -E2BIG, "'%s' is longer than %zu bytes", key, max);
    *ret = arena_str(p->arena, node->text);
    return ret->p ? 0 : rule_fail_memory(p);
}

static int texts(struct rule_parse *p, const struct rule_yaml *map, const char *key,
                 const struct str **ret, size_t *ret_n)
{
    const struct rule_yaml *node = rule_yaml_get(map, key);
    if (!node || rule_yaml_is_null(node))
        return 0;
    bool list = node->kind == RULE_YAML_LIST;
    size_t n = list ? node->n : 1;
    struct str *result = arena_array(p->arena, struct str, n);
    if (!result)
        return rule_fail_memory(p);
    for (size_t i = 0; i < n; i++) {
        const struct rule_yaml *item = list ? node->items[i] : node;
        if (item->kind != RULE_YAML_SCALAR)
            return rule_fail(p, item, -EINVAL, "'%s' must be a list of texts", key);
        result[i] = arena_str(p->arena, item->text);
        if (!result[i].p)
            return rule_fail_memory(p);
    }
    *ret = result;
    *ret_n = n;
    return 0;
}

// One of a few words; *ret is its number, or untouched where the key is absent.
static int word(struct rule_parse *p, const struct rule_yaml *map, const char *key,
                const char *const *words, size_t n, unsigned *ret)
{
    const struct rule_yaml *node = rule_yaml_get(map, key);
    if (!node || rule_yaml_is_null(node))
        return 0;
    for (unsigned i = 0; node->kind == RULE_YAML_SCALAR && i < n; i++) {
        if (str_eq(node->text, str_from(words[i]))) {
            *ret = i;
            return 0;
        }
    }
    rule_fail(p, node, -EINVAL, "unknown %s '" STR_FMT "'", key, STR_ARG(node->text));
    const char *nearest = rule_nearest(node->text, words, n);
    if (nearest)
        error_way_out(p->e, "did you mean '%s'?", nearest);
    return -EINVAL;
}

static int known_keys(struct rule_parse *p, const struct rule_yaml *map, const char *const *words,
                      size_t n, const char *where)
{
    for (size_t i = 0; i < map->n; i++) {
        const struct rule_yaml *key = map->items[2 * i];
        size_t j = 0;
        while (j < n && !str_eq(key->text, str_from(words[j])))
            j++;
        if (j < n)
            continue;
        rule_fail(p, key, -EINVAL, "unknown key '" STR_FMT "' under '%s'", STR_ARG(key->text),
                  where);
        const char *nearest = rule_nearest(key->text, words, n);
        if (nearest)
            error_way_out(p->e, "did you mean '%s'?", nearest);
        return -EINVAL;
    }
    return 0;
}

static int parse_own(struct rule_parse *p, const struct rule_yaml *document, struct rule *rule)
{
    static const char *const keys[] = {"action", "kill"};
    static const char *const actions[] = {"detect", "prevent"};
    static const char *const kills[] = {"process", "lineage"};
    const struct rule_yaml *own = rule_yaml_get(document, "tiercel");
    if (!own)
        return 0;
    if (own->kind != RULE_YAML_MAP)
        return rule_fail(p, own, -EINVAL, "'tiercel' must be a map");
    unsigned action = 0, kill = 0;
    int r = known_keys(p, own, keys, 2, "tiercel");
    if (r == 0)
        r = word(p, own, "action", actions, 2, &action);
    if (r == 0)
        r = word(p, own, "kill", kills, 2, &kill);
    if (r < 0)
        return r;
    rule->action = action ? RULE_PREVENT : RULE_DETECT;
    rule->kill_lineage = kill == 1;
    return 0;
}

static int parse_source(struct rule_parse *p, const struct rule_yaml *document, struct rule *rule)
{
    const struct rule_yaml *source = rule_yaml_get(document, "logsource");
    if (!source)
        return rule_fail(p, document, -EINVAL, "'logsource' is missing");
    if (source->kind != RULE_YAML_MAP)
        return rule_fail(p, source, -EINVAL, "'logsource' must be a map");
    int r = rule_document_text(p, source, "product", 256, false, &rule->product);
    if (r == 0)
        r = rule_document_text(p, source, "category", 256, false, &rule->category);
    if (r == 0)
        r = rule_document_text(p, source, "service", 256, false, &rule->service);
    p->category = rule->category;
    p->service = rule->service;
    return r;
}

static int parse_selections(struct rule_parse *p, const struct rule_yaml *detection,
                            struct rule_names *names)
{
    names->keys = arena_array(p->scratch, const struct rule_yaml *, detection->n);
    names->exprs = arena_array(p->scratch, struct rule_expr *, detection->n);
    if (!names->keys || !names->exprs)
        return rule_fail_memory(p);
    for (size_t i = 0; i < detection->n; i++) {
        const struct rule_yaml *key = detection->items[2 * i];
        if (str_eq(key->text, STR("condition")))
            continue;
        if (str_eq(key->text, STR("timeframe"))) {
            rule_fail(p, key, -ENOTSUP, "'timeframe' is obsolete");
            error_way_out(p->e, "write a correlation rule with 'timespan'");
            return -ENOTSUP;
        }
        struct rule_expr *expr = rule_expr_new(p, RULE_OP_NAME, 1);
        if (!expr)
            return rule_fail_memory(p);
        expr->name = arena_str(p->arena, key->text);
        if (!expr->name.p)
            return rule_fail_memory(p);
        int r = rule_detection_parse(p, detection->items[2 * i + 1], &expr->child[0]);
        if (r < 0)
            return r;
        names->keys[names->n] = key;
        names->exprs[names->n++] = expr;
    }
    return 0;
}

static int parse_detection(struct rule_parse *p, const struct rule_yaml *document,
                           struct rule_entry *entry)
{
    const struct rule_yaml *detection = rule_yaml_get(document, "detection");
    struct rule_names names = {0};
    if (!detection)
        return rule_fail(p, document, -EINVAL, "'detection' is missing");
    if (detection->kind != RULE_YAML_MAP)
        return rule_fail(p, detection, -EINVAL, "'detection' must be a map");
    const struct rule_yaml *condition = rule_yaml_get(detection, "condition");
    if (!condition)
        return rule_fail(p, detection, -EINVAL, "'condition' is missing under 'detection'");
    int r = parse_selections(p, detection, &names);
    return r < 0 ? r : rule_condition_parse(p, condition, &names, &entry->root);
}

static int parse_common(struct rule_parse *p, const struct rule_yaml *document, struct rule *rule)
{
    unsigned level = RULE_MEDIUM;
    int r = rule_document_text(p, document, "title", 256, true, &rule->title);
    if (r == 0)
        r = rule_document_text(p, document, "id", 256, false, &rule->id);
    if (r == 0)
        r = rule_document_text(p, document, "name", 256, false, &rule->name);
    if (r == 0)
        r = rule_document_text(p, document, "description", 65535, false, &rule->description);
    if (r == 0)
        r = word(p, document, "level", level_names, 5, &level);
    if (r == 0)
        r = texts(p, document, "tags", &rule->tags, &rule->n_tags);
    if (r == 0)
        r = texts(p, document, "falsepositives", &rule->falsepositives, &rule->n_falsepositives);
    if (r == 0)
        r = parse_own(p, document, rule);
    if (r < 0)
        return r;
    rule->level = (enum rule_level)level;
    rule->level_name = str_from(level_names[level]);
    rule->file = arena_str(p->arena, str_from(p->file));
    return rule->file.p ? 0 : rule_fail_memory(p);
}

int rule_document_parse(struct rule_parse *p, const struct rule_yaml *document,
                        struct rule_entry *ret)
{
    if (document->kind != RULE_YAML_MAP)
        return rule_fail(p, document, -EINVAL, "a rule must be a map");
    struct rule_entry entry = {.line = document->line};
    p->category = p->service = STR_NONE;
    int r = parse_common(p, document, &entry.rule);
    if (r < 0)
        return r;
    const struct rule_yaml *correlation = rule_yaml_get(document, "correlation");
    const struct rule_yaml *filter = rule_yaml_get(document, "filter");
    if (filter) {
        // Published filters and tools disagree whether their condition names what is kept or what is dropped.
        rule_fail(p, filter, -ENOTSUP, "filter documents are not supported");
        error_way_out(p->e, "write the exception into the rule: 'and not ...'");
        return -ENOTSUP;
    }
    if (correlation) {
        entry.rule.correlation = true;
        if (entry.rule.action == RULE_PREVENT)
            return rule_fail(p, correlation, -EINVAL,
                             "a correlation looks at what has happened: it cannot prevent");
        r = rule_correlation_parse(p, document, &entry.correlation);
    } else {
        r = parse_source(p, document, &entry.rule);
        if (r == 0)
            r = parse_detection(p, document, &entry);
    }
    if (r < 0)
        return r;
    *ret = entry;
    return 0;
}
