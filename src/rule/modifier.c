// SPDX-License-Identifier: Apache-2.0
#include "rule/modifier.h"

#include <errno.h>

// One value in, one or more out. Returns as the functions of value.h.
typedef int transform(struct arena *arena, struct rule_pattern **list, size_t *n);

enum kind {
    TRANSFORM, // changes the text
    OPEN,      // opens an end of the text, or of a field reference
    TYPE,      // changes what the value is
    REGEX_FLAG,
    SWITCH, // all, neq, cased
    REFUSED,
};

struct rule_modifier {
    const char *name;
    enum kind kind;
    uint8_t value; // rule_type, flag or number of the switch
    uint8_t op;
    transform *apply;
};

enum { SWITCH_ALL, SWITCH_NEQ, SWITCH_CASED };
enum { OPEN_START = 1, OPEN_END = 2 };

static int each(struct arena *arena, struct rule_pattern *list, size_t n,
                int (*change)(struct arena *arena, struct rule_pattern *p))
{
    for (size_t i = 0; i < n; i++) {
        int r = change(arena, &list[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int utf16le_one(struct arena *arena, struct rule_pattern *p)
{
    return rule_pattern_utf16(arena, p, RULE_UTF16_LE);
}

static int utf16be_one(struct arena *arena, struct rule_pattern *p)
{
    return rule_pattern_utf16(arena, p, RULE_UTF16_BE);
}

static int utf16_one(struct arena *arena, struct rule_pattern *p)
{
    return rule_pattern_utf16(arena, p, RULE_UTF16_BOM);
}

static int utf16le(struct arena *arena, struct rule_pattern **list, size_t *n)
{
    return each(arena, *list, *n, utf16le_one);
}

static int utf16be(struct arena *arena, struct rule_pattern **list, size_t *n)
{
    return each(arena, *list, *n, utf16be_one);
}

static int utf16(struct arena *arena, struct rule_pattern **list, size_t *n)
{
    return each(arena, *list, *n, utf16_one);
}

static int base64(struct arena *arena, struct rule_pattern **list, size_t *n)
{
    return each(arena, *list, *n, rule_pattern_base64);
}

static int base64offset(struct arena *arena, struct rule_pattern **list, size_t *n)
{
    if (*n * 3 > RULE_VARIANTS_MAX)
        return -E2BIG;
    struct rule_pattern *result = arena_array(arena, struct rule_pattern, *n * 3);
    if (!result)
        return -ENOMEM;
    for (size_t i = 0; i < *n * 3; i++) {
        int r = rule_pattern_base64_offset(arena, &(*list)[i / 3], (unsigned)(i % 3), &result[i]);
        if (r < 0)
            return r;
    }
    *list = result;
    *n *= 3;
    return 0;
}

static int windash(struct arena *arena, struct rule_pattern **list, size_t *n)
{
    struct rule_pattern *result = arena_array(arena, struct rule_pattern, RULE_VARIANTS_MAX);
    if (!result)
        return -ENOMEM;
    size_t count = 0;
    for (size_t i = 0; i < *n; i++) {
        struct rule_pattern *variants;
        size_t n_variants;
        int r = rule_pattern_windash(arena, &(*list)[i], &variants, &n_variants);
        if (r < 0)
            return r;
        if (count + n_variants > RULE_VARIANTS_MAX)
            return -E2BIG;
        memcpy(result + count, variants, n_variants * sizeof *variants);
        count += n_variants;
    }
    *list = result;
    *n = count;
    return 0;
}

static const struct rule_modifier table[] = {
    {"all", SWITCH, SWITCH_ALL, 0, NULL},
    {"neq", SWITCH, SWITCH_NEQ, 0, NULL},
    {"cased", SWITCH, SWITCH_CASED, 0, NULL},
    {"startswith", OPEN, OPEN_END, 0, NULL},
    {"endswith", OPEN, OPEN_START, 0, NULL},
    {"contains", OPEN, OPEN_START | OPEN_END, 0, NULL},
    {"windash", TRANSFORM, 0, 0, windash},
    {"base64", TRANSFORM, 0, 0, base64},
    {"base64offset", TRANSFORM, 0, 0, base64offset},
    {"utf16le", TRANSFORM, 0, 0, utf16le},
    {"wide", TRANSFORM, 0, 0, utf16le},
    {"utf16be", TRANSFORM, 0, 0, utf16be},
    {"utf16", TRANSFORM, 0, 0, utf16},
    {"exists", TYPE, RULE_TYPE_EXISTS, 0, NULL},
    {"re", TYPE, RULE_TYPE_REGEX, 0, NULL},
    {"i", REGEX_FLAG, RULE_FLAG_NOCASE, 0, NULL},
    {"ignorecase", REGEX_FLAG, RULE_FLAG_NOCASE, 0, NULL},
    {"m", REGEX_FLAG, RULE_FLAG_MULTILINE, 0, NULL},
    {"multiline", REGEX_FLAG, RULE_FLAG_MULTILINE, 0, NULL},
    {"s", REGEX_FLAG, RULE_FLAG_DOTALL, 0, NULL},
    {"dotall", REGEX_FLAG, RULE_FLAG_DOTALL, 0, NULL},
    {"cidr", TYPE, RULE_TYPE_CIDR, 0, NULL},
    {"fieldref", TYPE, RULE_TYPE_FIELD, 0, NULL},
    {"lt", TYPE, RULE_TYPE_COMPARE, RULE_LT, NULL},
    {"lte", TYPE, RULE_TYPE_COMPARE, RULE_LTE, NULL},
    {"gt", TYPE, RULE_TYPE_COMPARE, RULE_GT, NULL},
    {"gte", TYPE, RULE_TYPE_COMPARE, RULE_GTE, NULL},
    {"minute", TYPE, RULE_TYPE_TIME, RULE_MINUTE, NULL},
    {"hour", TYPE, RULE_TYPE_TIME, RULE_HOUR, NULL},
    {"day", TYPE, RULE_TYPE_TIME, RULE_DAY, NULL},
    {"week", TYPE, RULE_TYPE_TIME, RULE_WEEK, NULL},
    {"month", TYPE, RULE_TYPE_TIME, RULE_MONTH, NULL},
    {"year", TYPE, RULE_TYPE_TIME, RULE_YEAR, NULL},
    {"expand", REFUSED, 0, 0, NULL},
};
#define TABLE_N (sizeof table / sizeof table[0])

static unsigned column_of(const struct rule_chain *chain, struct str name)
{
    const struct rule_yaml *key = chain->key;
    if (!key->one_line)
        return key->column;
    return key->column + (unsigned)(name.p - key->text.p) + (key->plain ? 0 : 1);
}

static const struct rule_modifier *find(struct str name)
{
    for (size_t i = 0; i < TABLE_N; i++)
        if (str_eq(name, str_from(table[i].name)))
            return &table[i];
    return NULL;
}

static int unknown(struct rule_parse *p, const struct rule_chain *chain, struct str name)
{
    const char *words[TABLE_N];
    for (size_t i = 0; i < TABLE_N; i++)
        words[i] = table[i].name;
    rule_fail_at(p, chain->key->line, column_of(chain, name), -EINVAL,
                 "unknown modifier '" STR_FMT "'", STR_ARG(name));
    const char *nearest = rule_nearest(name, words, TABLE_N);
    if (nearest)
        error_way_out(p->e, "did you mean '%s'?", nearest);
    return -EINVAL;
}

// Why the modifier cannot stand here, or NULL.
static const char *objection(const struct rule_chain *c, const struct rule_modifier *m)
{
    bool text = c->type == RULE_TYPE_TEXT, field = c->type == RULE_TYPE_FIELD;
    bool open = c->open_start || c->open_end;
    switch (m->kind) {
    case TRANSFORM:
        return text ? NULL : "changes a text, but the value is no text any more";
    case OPEN:
        if (c->type == RULE_TYPE_REGEX)
            return "cannot follow 're', which searches anywhere: anchor with ^ and $";
        return text || field ? NULL : "changes a text, but the value is no text any more";
    case TYPE:
        if (!text)
            return "cannot follow another modifier that changes the type";
        if (c->n_steps == 0)
            return NULL;
        return m->value == RULE_TYPE_FIELD && open && c->n_steps == 1
                   ? NULL
                   : "must come before modifiers that change the text";
    case REGEX_FLAG:
        if (c->type != RULE_TYPE_REGEX)
            return "must follow 're'";
        return c->flags & m->value ? "is given twice" : NULL;
    case SWITCH:
        if (m->value == SWITCH_CASED)
            return c->cased ? "is given twice"
                            : (text || field ? NULL : "applies to texts and field references only");
        return (m->value == SWITCH_ALL ? c->all : c->neq) ? "is given twice" : NULL;
    case REFUSED:
        break;
    }
    return NULL;
}

static int add(struct rule_parse *p, struct rule_chain *c, struct str name)
{
    const struct rule_modifier *m = find(name);
    if (!m)
        return unknown(p, c, name);
    unsigned column = column_of(c, name);
    if (m->kind == REFUSED) {
        rule_fail_at(p, c->key->line, column, -ENOTSUP,
                     "modifier 'expand': there are no placeholders to fill in here");
        error_way_out(p->e, "write the values into the rule");
        return -ENOTSUP;
    }
    const char *why = objection(c, m);
    if (why)
        return rule_fail_at(p, c->key->line, column, -EINVAL, "modifier '%s' %s", m->name, why);
    if (m->kind == TYPE) {
        c->type = m->value;
        c->op = m->op;
        if (c->type == RULE_TYPE_FIELD)
            c->n_steps = 0; // the opened ends are ends of the other field's value
    } else if (m->kind == REGEX_FLAG) {
        c->flags |= m->value;
    } else if (m->kind == SWITCH) {
        bool *flag = m->value == SWITCH_ALL   ? &c->all
                     : m->value == SWITCH_NEQ ? &c->neq
                                              : &c->cased;
        *flag = true;
    } else {
        if (m->kind == OPEN && m->value & OPEN_START)
            c->open_start = true;
        if (m->kind == OPEN && m->value & OPEN_END)
            c->open_end = true;
        if (c->n_steps == RULE_CHAIN_MAX)
            return rule_fail_at(p, c->key->line, column, -E2BIG, "more than 16 modifiers");
        if (c->type == RULE_TYPE_TEXT)
            c->steps[c->n_steps++] = m;
    }
    return 0;
}

int rule_chain_parse(struct rule_parse *p, const struct rule_yaml *key, struct rule_chain *ret)
{
    struct rule_chain c = {.key = key};
    struct str rest = key->text, piece;
    if (!str_split(&rest, '|', &c.field))
        c.field = STR_NONE;
    while (str_split(&rest, '|', &piece)) {
        int r = add(p, &c, piece);
        if (r < 0)
            return r;
    }
    if (c.cased && c.type != RULE_TYPE_TEXT && c.type != RULE_TYPE_FIELD)
        return rule_fail(p, key, -EINVAL, "modifier 'cased' applies to texts and field references");
    if (c.field.n == 0 && c.type != RULE_TYPE_TEXT && c.type != RULE_TYPE_REGEX)
        return rule_fail(p, key, -EINVAL, "keywords (no field name) take texts and 're' only");
    *ret = c;
    return 0;
}

int rule_chain_apply(struct rule_parse *p, const struct rule_chain *chain,
                     const struct rule_yaml *value, struct rule_pattern first,
                     struct rule_pattern **ret, size_t *ret_n)
{
    struct rule_pattern *list = arena_new(p->scratch, struct rule_pattern);
    size_t n = 1;
    if (!list)
        return rule_fail_memory(p);
    list[0] = first;
    for (size_t i = 0; i < chain->n_steps; i++) {
        const struct rule_modifier *m = chain->steps[i];
        int r = 0;
        if (m->kind == TRANSFORM)
            r = m->apply(p->scratch, &list, &n);
        for (size_t j = 0; m->kind == OPEN && r == 0 && j < n; j++)
            r = rule_pattern_open(p->scratch, &list[j], m->value & OPEN_START, m->value & OPEN_END);
        if (r == -EINVAL)
            return rule_fail(p, value, r, "modifier '%s' cannot be applied to this value (%s)",
                             m->name,
                             rule_pattern_has_wildcards(&list[0]) ? "it has wildcards"
                                                                  : "too short, or not UTF-8");
        if (r == -E2BIG)
            return rule_fail(p, value, r, "modifier '%s' makes the value too long or too many",
                             m->name);
        if (r < 0)
            return rule_fail_memory(p);
    }
    *ret = list;
    *ret_n = n;
    return 0;
}
