// SPDX-License-Identifier: Apache-2.0
#include "rule/matcher.h"

#include "base/cleanup.h"

#include <errno.h>

int rule_strings_add(struct rule_strings *s, struct rule_leaf *leaf)
{
    _cleanup_buf_ struct buf b = {0};
    buf_add_char(&b, (char)leaf->flags);
    buf_add_str(&b, leaf->expression);
    if (b.failed)
        return -ENOMEM;
    uintptr_t known = (uintptr_t)map_get(&s->slots, buf_str(&b));
    if (known) {
        leaf->slot = (uint32_t)(known - 1);
        return 0;
    }
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 64;
        struct rule_leaf **leaves = realloc(s->leaves, cap * sizeof(struct rule_leaf *));
        if (!leaves)
            return -ENOMEM;
        s->leaves = leaves;
        s->cap = cap;
    }
    struct str key = arena_str(&s->arena, buf_str(&b));
    if (!key.p || map_put(&s->slots, key, (void *)(uintptr_t)(s->n + 1)) < 0)
        return -ENOMEM;
    leaf->slot = (uint32_t)s->n;
    s->leaves[s->n++] = leaf;
    return 0;
}

void rule_strings_done(struct rule_strings *s)
{
    free(s->leaves);
    map_done(&s->slots);
    arena_done(&s->arena);
    *s = (struct rule_strings){0};
}

static unsigned flags_of(const struct rule_leaf *leaf, enum rule_how how)
{
    unsigned flags = HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY;
    flags |= leaf->flags & RULE_FLAG_NOCASE ? HS_FLAG_CASELESS : 0;
    flags |= leaf->flags & RULE_FLAG_MULTILINE ? HS_FLAG_MULTILINE : 0;
    flags |= leaf->flags & RULE_FLAG_DOTALL ? HS_FLAG_DOTALL : 0;
    flags |= how == RULE_CONFIRMED ? HS_FLAG_PREFILTER : 0;
    return flags;
}

struct build {
    const char **expressions;
    unsigned *flags, *ids;
    unsigned n;
};

static void fill(const struct rule_strings *s, const struct rule_matcher *m, struct build *b)
{
    b->n = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (m->how[i] == RULE_BY_REGEX)
            continue;
        b->expressions[b->n] = s->leaves[i]->expression.p;
        b->flags[b->n] = flags_of(s->leaves[i], m->how[i]);
        b->ids[b->n++] = (unsigned)i;
    }
}

// Whether the whole set is worth a try with it: a refusal ends the compilation of all. Plain strings are not asked about.
static bool may_be_refused(const char *expression)
{
    for (const char *p = expression; *p; p++) {
        if (p[0] == '(' && p[1] == '?')
            return true;
        if (p[0] == '\\' && p[1]) {
            if (p[1] >= '1' && p[1] <= '9')
                return true;
            p++;
        }
    }
    return false;
}

static void ask_each(const struct rule_strings *s, struct rule_matcher *m)
{
    for (size_t i = 0; i < s->n; i++) {
        const char *expression = s->leaves[i]->expression.p;
        while (m->how[i] != RULE_BY_REGEX && may_be_refused(expression)) {
            hs_compile_error_t *error = NULL;
            hs_expr_info_t *info = NULL;
            hs_error_t r =
                hs_expression_info(expression, flags_of(s->leaves[i], m->how[i]), &info, &error);
            free(info);
            hs_free_compile_error(error);
            if (r == HS_SUCCESS)
                break;
            m->how[i]++;
        }
    }
}

// An expression that vectorscan refuses becomes a prefilter, then PCRE2's alone; at most two rounds for each.
static int build_database(const struct rule_strings *s, struct rule_matcher *m, struct error *e)
{
    _cleanup_free_ const char **expressions = malloc(s->n * sizeof(const char *));
    _cleanup_free_ unsigned *flags = malloc(s->n * sizeof *flags);
    _cleanup_free_ unsigned *ids = malloc(s->n * sizeof *ids);
    if (!expressions || !flags || !ids)
        return error_set(e, -ENOMEM, "out of memory");
    struct build b = {expressions, flags, ids, 0};
    ask_each(s, m);
    for (;;) {
        fill(s, m, &b);
        if (b.n == 0)
            return 0;
        hs_compile_error_t *error = NULL;
        hs_error_t r =
            hs_compile_multi(expressions, flags, ids, b.n, HS_MODE_BLOCK, NULL, &m->db, &error);
        if (r == HS_SUCCESS)
            return 0;
        int which = error ? error->expression : -1;
        if (which < 0) {
            error_set(e, r == HS_NOMEM ? -ENOMEM : -E2BIG, "strings of one field together: %s",
                      error && error->message ? error->message : "cannot be compiled");
            hs_free_compile_error(error);
            return r == HS_NOMEM ? -ENOMEM : -E2BIG;
        }
        hs_free_compile_error(error);
        m->how[ids[which]]++;
    }
}

static int build_regexes(const struct rule_strings *s, struct rule_matcher *m, struct error *e)
{
    for (size_t i = 0; i < s->n; i++) {
        if (m->how[i] == RULE_BY_DATABASE)
            continue;
        const struct rule_leaf *leaf = s->leaves[i];
        int r = rule_regex_compile(leaf->expression, leaf->flags, &m->code[i]);
        if (r < 0)
            return error_set(e, r, "'" STR_FMT "' cannot be compiled", STR_ARG(leaf->source));
    }
    return 0;
}

int rule_matcher_new(const struct rule_strings *s, struct rule_matcher **ret, struct error *e)
{
    struct rule_matcher *m = calloc(1, sizeof *m);
    if (!m)
        return error_set(e, -ENOMEM, "out of memory");
    m->n = s->n;
    m->how = calloc(s->n + 1, sizeof *m->how);
    m->code = calloc(s->n + 1, sizeof(pcre2_code *));
    m->watch_from = calloc(s->n + 1, sizeof *m->watch_from);
    int r = m->how && m->code && m->watch_from ? 0 : error_set(e, -ENOMEM, "out of memory");
    if (r == 0)
        r = build_database(s, m, e);
    if (r == 0)
        r = build_regexes(s, m, e);
    if (r < 0) {
        rule_matcher_free(m);
        return r;
    }
    *ret = m;
    return 0;
}

void rule_matcher_free(struct rule_matcher *m)
{
    if (!m)
        return;
    hs_free_database(m->db);
    for (size_t i = 0; m->code && i < m->n; i++)
        pcre2_code_free(m->code[i]);
    free(m->how);
    free(m->code);
    free(m->watch_from);
    free(m->watch);
    free(m);
}
