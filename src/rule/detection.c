// SPDX-License-Identifier: Apache-2.0
// One selection: maps are AND, lists are OR, texts without a field are keywords over the whole record.
#include "rule/leaf.h"
#include "rule/modifier.h"
#include "rule/regex.h"

#include <errno.h>

static int count_value(struct rule_parse *p, const struct rule_yaml *at)
{
    if (++p->values > RULE_VALUES_MAX) {
        rule_fail(p, at, -E2BIG, "more than 10,000 values in one file");
        error_way_out(p->e, "split the file, or use fewer dashes with 'windash'");
        return -E2BIG;
    }
    return 0;
}

static struct rule_leaf *new_leaf(struct rule_parse *p, enum rule_leaf_kind kind, unsigned field,
                                  const struct rule_yaml *value, struct str source)
{
    struct rule_leaf *leaf = arena_new(p->arena, struct rule_leaf);
    if (!leaf)
        return NULL;
    leaf->kind = kind;
    leaf->field = field;
    leaf->line = value->line;
    leaf->slot = RULE_NO_SLOT;
    leaf->source = source;
    return leaf;
}

static int source_of(struct rule_parse *p, const struct rule_chain *chain,
                     const struct rule_yaml *value, struct str *ret)
{
    _cleanup_buf_ struct buf b = {0};
    buf_add_str(&b, chain->key->text);
    if (chain->key->text.n)
        buf_add_str(&b, STR(": "));
    buf_add_str(&b, rule_yaml_is_null(value) ? STR("null") : value->text);
    *ret = arena_str(p->arena, buf_str(&b));
    return b.failed || !ret->p ? rule_fail_memory(p) : 0;
}

static int leaf_expr(struct rule_parse *p, struct rule_leaf *leaf, struct rule_expr **ret)
{
    struct rule_expr *expr = leaf ? rule_expr_leaf(p, leaf) : NULL;
    if (!expr)
        return rule_fail_memory(p);
    *ret = expr;
    return 0;
}

// A text with wildcards, through the chain; several variants are an OR.
static int text_value(struct rule_parse *p, const struct rule_chain *chain, unsigned field,
                      const struct rule_yaml *value, struct rule_expr **ret)
{
    struct rule_pattern first, *list;
    size_t n;
    int r = rule_pattern_parse(p->scratch, value->text, &first);
    if (r == -E2BIG)
        return rule_fail(p, value, r, "a value of more than 4,096 bytes");
    if (r < 0)
        return rule_fail_memory(p);
    r = rule_chain_apply(p, chain, value, first, &list, &n);
    struct str source = STR_NONE;
    if (r == 0)
        r = source_of(p, chain, value, &source);
    if (r < 0)
        return r;
    struct rule_expr *any = rule_expr_new(p, RULE_OP_OR, n);
    if (!any)
        return rule_fail_memory(p);
    for (size_t i = 0; i < n; i++) {
        if ((r = count_value(p, value)) < 0)
            return r;
        if (field == RULE_FIELD_KEYWORDS && rule_pattern_open(p->scratch, &list[i], true, true) < 0)
            return rule_fail(p, value, -E2BIG, "a value of more than 4,096 bytes");
        bool present = rule_pattern_matches_all(&list[i]);
        struct rule_leaf *leaf =
            new_leaf(p, present ? RULE_LEAF_EXISTS : RULE_LEAF_TEXT, field, value, source);
        _cleanup_buf_ struct buf b = {0};
        rule_pattern_expression(&list[i], &b);
        if (b.n > RULE_EXPRESSION_MAX)
            return rule_fail(p, value, -E2BIG, "a value with too many unprintable bytes");
        if (!leaf || b.failed)
            return rule_fail_memory(p);
        leaf->expression = arena_str(p->arena, buf_str(&b));
        leaf->flags = RULE_FLAG_DOTALL | (chain->cased ? 0 : RULE_FLAG_NOCASE);
        leaf->weight = (uint32_t)rule_pattern_run(&list[i]);
        if (!leaf->expression.p)
            return rule_fail_memory(p);
        if ((r = leaf_expr(p, leaf, &any->child[i])) < 0)
            return r;
    }
    *ret = n == 1 ? any->child[0] : any;
    return 0;
}

static int regex_value(struct rule_parse *p, struct rule_leaf *leaf, const struct rule_chain *chain,
                       const struct rule_yaml *value)
{
    if (value->text.n > RULE_REGEX_MAX)
        return rule_fail(p, value, -E2BIG, "a regular expression of more than 4,096 bytes");
    leaf->kind = RULE_LEAF_TEXT;
    leaf->flags = chain->flags | RULE_FLAG_REGEX;
    leaf->expression = arena_str(p->arena, value->text);
    leaf->weight = 1; // how telling it is cannot be seen from outside
    if (!leaf->expression.p)
        return rule_fail_memory(p);
    char message[160];
    size_t offset;
    int r = rule_regex_check(value->text, leaf->flags, message, sizeof message, &offset);
    if (r == 0)
        return 0;
    unsigned column =
        value->one_line ? value->column + (unsigned)offset + (value->plain ? 0 : 1) : value->column;
    return rule_fail_at(p, value->line, column, r, "regular expression: %s", message);
}

static int number_value(struct rule_parse *p, const struct rule_yaml *value, const char *what,
                        int64_t *ret)
{
    int r = rule_yaml_number(value, ret);
    if (r == 0)
        return 0;
    rule_fail(p, value, r == -ERANGE ? r : -EINVAL, "'" STR_FMT "': %s takes a whole number",
              STR_ARG(value->text), what);
    if (r == -EINVAL && !value->plain)
        error_way_out(p->e, "write it without quotes");
    return p->e ? p->e->code : -EINVAL;
}

static int time_value(struct rule_parse *p, struct rule_leaf *leaf, const struct rule_yaml *value)
{
    static const int64_t least[] = {0, 0, 1, 1, 1, 0}, most[] = {59, 23, 31, 53, 12, 9999};
    int r = number_value(p, value, "a part of a time", &leaf->number);
    if (r < 0)
        return r;
    if (leaf->number < least[leaf->op] || leaf->number > most[leaf->op])
        return rule_fail(p, value, -EINVAL, "%lld is not between %lld and %lld",
                         (long long)leaf->number, (long long)least[leaf->op],
                         (long long)most[leaf->op]);
    return 0;
}

static int cidr_value(struct rule_parse *p, struct rule_leaf *leaf, const struct rule_yaml *value)
{
    const char *why = rule_cidr_parse(value->text, &leaf->cidr);
    if (!why)
        return 0;
    rule_fail(p, value, -EINVAL, "'" STR_FMT "': %s", STR_ARG(value->text), why);
    error_way_out(p->e, "for example 10.0.0.0/8 or fe80::/10");
    return -EINVAL;
}

// Everything that is not a text.
static int typed_value(struct rule_parse *p, const struct rule_chain *chain, unsigned field,
                       const struct rule_yaml *value, struct rule_expr **ret)
{
    static const enum rule_leaf_kind kinds[] = {
        [RULE_TYPE_TEXT] = RULE_LEAF_NULL,       [RULE_TYPE_REGEX] = RULE_LEAF_TEXT,
        [RULE_TYPE_CIDR] = RULE_LEAF_CIDR,       [RULE_TYPE_EXISTS] = RULE_LEAF_EXISTS,
        [RULE_TYPE_COMPARE] = RULE_LEAF_COMPARE, [RULE_TYPE_TIME] = RULE_LEAF_TIME,
        [RULE_TYPE_FIELD] = RULE_LEAF_FIELD,
    };
    struct str source;
    int r = count_value(p, value);
    if (r == 0)
        r = source_of(p, chain, value, &source);
    if (r < 0)
        return r;
    struct rule_leaf *leaf = new_leaf(p, kinds[chain->type], field, value, source);
    if (!leaf)
        return rule_fail_memory(p);
    leaf->op = chain->op;
    bool is_true;
    if (chain->type == RULE_TYPE_REGEX)
        r = regex_value(p, leaf, chain, value);
    else if (chain->type == RULE_TYPE_CIDR)
        r = cidr_value(p, leaf, value);
    else if (chain->type == RULE_TYPE_COMPARE)
        r = number_value(p, value, "a comparison", &leaf->number);
    else if (chain->type == RULE_TYPE_TIME)
        r = time_value(p, leaf, value);
    else if (chain->type == RULE_TYPE_EXISTS && !rule_yaml_is_bool(value, &is_true))
        r = rule_fail(p, value, -EINVAL, "'exists' takes true or false");
    else if (chain->type == RULE_TYPE_EXISTS)
        leaf->kind = is_true ? RULE_LEAF_EXISTS : RULE_LEAF_NULL;
    else if (chain->type == RULE_TYPE_FIELD) {
        leaf->cased = chain->cased;
        leaf->open_start = chain->open_start;
        leaf->open_end = chain->open_end;
        r = rule_field(p, value->text, value, value->column, &leaf->other);
    }
    return r < 0 ? r : leaf_expr(p, leaf, ret);
}

static int parse_value(struct rule_parse *p, const struct rule_chain *chain, unsigned field,
                       const struct rule_yaml *value, struct rule_expr **ret)
{
    if (value->kind != RULE_YAML_SCALAR)
        return rule_fail(p, value, -EINVAL,
                         "a value must be a text, a number, true, false or null");
    if (rule_yaml_is_null(value)) {
        if (chain->type != RULE_TYPE_TEXT || chain->n_steps || chain->cased ||
            field == RULE_FIELD_KEYWORDS)
            return rule_fail(p, value, -EINVAL,
                             field == RULE_FIELD_KEYWORDS ? "a keyword cannot be null"
                                                          : "null takes no modifiers");
        return typed_value(p, chain, field, value, ret);
    }
    if (chain->type != RULE_TYPE_TEXT)
        return typed_value(p, chain, field, value, ret);
    int64_t number;
    if (rule_yaml_number(value, &number) == -ERANGE) {
        rule_fail(p, value, -EINVAL, "'" STR_FMT "' is too large for a number",
                  STR_ARG(value->text));
        error_way_out(p->e, "put it in quotes");
        return -EINVAL;
    }
    bool is_true;
    struct rule_yaml plain = *value;
    char digits[24];
    if (rule_yaml_number(value, &number) == 0) { // 0x10 is compared as 16
        snprintf(digits, sizeof digits, "%lld", (long long)number);
        plain.text = str_from(digits);
    } else if (rule_yaml_is_bool(value, &is_true)) {
        plain.text = is_true ? STR("true") : STR("false");
    }
    return text_value(p, chain, field, &plain, ret);
}

static int parse_values(struct rule_parse *p, const struct rule_chain *chain, unsigned field,
                        const struct rule_yaml *value, struct rule_expr **ret)
{
    bool list = value->kind == RULE_YAML_LIST;
    size_t n = list ? value->n : 1;
    if (n == 0)
        return rule_fail(p, value, -EINVAL, "an empty list matches nothing");
    if (chain->all && n < 2) {
        rule_fail(p, chain->key, -EINVAL, "modifier 'all' needs a list of two values or more");
        error_way_out(p->e, "leave 'all' out");
        return -EINVAL;
    }
    if (chain->type == RULE_TYPE_EXISTS && list)
        return rule_fail(p, value, -EINVAL, "'exists' takes true or false");
    struct rule_expr *expr = rule_expr_new(p, chain->all ? RULE_OP_AND : RULE_OP_OR, n);
    if (!expr)
        return rule_fail_memory(p);
    for (size_t i = 0; i < n; i++) {
        int r = parse_value(p, chain, field, list ? value->items[i] : value, &expr->child[i]);
        if (r < 0)
            return r;
    }
    *ret = n == 1 ? expr->child[0] : expr;
    return 0;
}

static struct rule_leaf *first_leaf(const struct rule_expr *expr)
{
    while (expr->op != RULE_OP_LEAF)
        expr = expr->child[0];
    return expr->leaf;
}

static int parse_item(struct rule_parse *p, const struct rule_yaml *key,
                      const struct rule_yaml *value, struct rule_expr **ret)
{
    struct rule_chain chain;
    unsigned field = RULE_FIELD_KEYWORDS;
    int r = rule_chain_parse(p, key, &chain);
    if (r == 0 && chain.field.n)
        r = rule_field(p, chain.field, key, key->column + (key->plain ? 0 : 1), &field);
    struct rule_expr *expr = NULL;
    if (r == 0)
        r = parse_values(p, &chain, field, value, &expr);
    if (r < 0)
        return r;
    if (chain.neq) {
        struct rule_expr *not = rule_expr_new(p, RULE_OP_NOT, 1);
        if (!not )
            return rule_fail_memory(p);
        not ->child[0] = expr;
        not ->leaf = first_leaf(expr);
        expr = not ;
    }
    *ret = expr;
    return 0;
}

static int parse_map(struct rule_parse *p, const struct rule_yaml *node, struct rule_expr **ret)
{
    if (node->n == 0)
        return rule_fail(p, node, -EINVAL, "an empty selection");
    struct rule_expr *all = rule_expr_new(p, RULE_OP_AND, node->n);
    if (!all)
        return rule_fail_memory(p);
    for (size_t i = 0; i < node->n; i++) {
        int r = parse_item(p, node->items[2 * i], node->items[2 * i + 1], &all->child[i]);
        if (r < 0)
            return r;
    }
    *ret = node->n == 1 ? all->child[0] : all;
    return 0;
}

static int parse_keyword(struct rule_parse *p, const struct rule_yaml *node, struct rule_expr **ret)
{
    static const struct rule_yaml no_key = {.kind = RULE_YAML_SCALAR};
    struct rule_chain chain = {.key = &no_key};
    return parse_value(p, &chain, RULE_FIELD_KEYWORDS, node, ret);
}

int rule_detection_parse(struct rule_parse *p, const struct rule_yaml *node, struct rule_expr **ret)
{
    if (node->kind == RULE_YAML_MAP)
        return parse_map(p, node, ret);
    if (node->kind == RULE_YAML_SCALAR)
        return parse_keyword(p, node, ret);
    if (node->n == 0)
        return rule_fail(p, node, -EINVAL, "an empty selection");
    struct rule_expr *any = rule_expr_new(p, RULE_OP_OR, node->n);
    if (!any)
        return rule_fail_memory(p);
    for (size_t i = 0; i < node->n; i++) {
        const struct rule_yaml *item = node->items[i];
        int r = item->kind == RULE_YAML_MAP      ? parse_map(p, item, &any->child[i])
                : item->kind == RULE_YAML_SCALAR ? parse_keyword(p, item, &any->child[i])
                                                 : rule_fail(p, item, -EINVAL,
                                                             "a list in a list: expected a map "
                                                             "or a text");
        if (r < 0)
            return r;
    }
    *ret = node->n == 1 ? any->child[0] : any;
    return 0;
}
