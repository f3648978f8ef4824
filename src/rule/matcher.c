// SPDX-License-Identifier: Apache-2.0
#include "rule/matcher.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdatomic.h>

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
        if (m->how[i] == RULE_BY_REGEX || m->how[i] == RULE_BY_LITERAL)
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
        while (m->how[i] < RULE_BY_REGEX && may_be_refused(expression)) {
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

const hs_database_t *rule_matcher_known(const struct rule_matcher *m, uint32_t slot)
{
    return atomic_load_explicit(&m->own[slot], memory_order_acquire);
}

const hs_database_t *rule_matcher_own(struct rule_matcher *m, uint32_t slot)
{
    const struct rule_leaf *leaf = m->leaves[slot];
    pthread_mutex_lock(&m->lock);
    hs_database_t *db = atomic_load_explicit(&m->own[slot], memory_order_relaxed);
    if (!db) {
        hs_compile_error_t *error = NULL;
        hs_compile(leaf->expression.p, flags_of(leaf, RULE_BY_DATABASE), HS_MODE_BLOCK, NULL, &db,
                   &error);
        hs_free_compile_error(error);
        atomic_store_explicit(&m->own[slot], db, memory_order_release);
    }
    pthread_mutex_unlock(&m->lock);
    return db;
}

static int add_code(struct rule_matcher *m, uint32_t slot)
{
    const struct rule_leaf *leaf = m->leaves[slot];
    return rule_regex_compile(leaf->expression, leaf->flags, &m->code[slot]);
}

static int collect_factors(const struct rule_strings *s, struct rule_matcher *m,
                           struct arena *arena, struct rule_literal **list, size_t *ret_n)
{
    size_t n = 0, cap = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct rule_leaf *leaf = s->leaves[i];
        struct rule_factor *factors;
        size_t k;
        int r = rule_factors(arena, leaf->expression, leaf->flags, &factors, &k);
        if (r == -ENOENT)
            continue;
        if (r == 0 && n + k > cap) {
            cap = (n + k) * 2;
            struct rule_literal *bigger = realloc(*list, cap * sizeof *bigger);
            r = bigger ? 0 : -ENOMEM;
            *list = bigger ? bigger : *list;
        }
        if (r < 0)
            return r;
        bool sure = true;
        m->how[i] = RULE_BY_LITERAL;
        m->weight[i] = UINT32_MAX;
        for (size_t j = 0; j < k; j++) {
            (*list)[n++] = (struct rule_literal){factors[j], (uint32_t)i};
            if (factors[j].text.n < m->weight[i])
                m->weight[i] = (uint32_t)factors[j].text.n;
            sure = sure && factors[j].flags & RULE_FACTOR_SURE;
        }
        if (!sure && (r = add_code(m, (uint32_t)i)) < 0)
            return r;
    }
    *ret_n = n;
    return 0;
}

static int build_literals(const struct rule_strings *s, struct rule_matcher *m, struct error *e)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_free_ struct rule_literal *list = NULL;
    size_t n = 0;
    int r = collect_factors(s, m, &arena, &list, &n);
    if (r == 0 && n)
        r = rule_literals_new(list, n, &m->literals);
    return r < 0 ? error_set(e, r, "strings of one field together: %s", strerror(-r)) : 0;
}

static int build_regexes(struct rule_matcher *m, struct error *e)
{
    for (uint32_t i = 0; i < m->n; i++) {
        bool needed = m->how[i] == RULE_CONFIRMED || m->how[i] == RULE_BY_REGEX;
        int r = needed ? add_code(m, i) : 0;
        if (r < 0)
            return error_set(e, r, "'" STR_FMT "' cannot be compiled",
                             STR_ARG(m->leaves[i]->source));
    }
    return 0;
}

int rule_matcher_new(const struct rule_strings *s, struct rule_matcher **ret, struct error *e)
{
    struct rule_matcher *m = calloc(1, sizeof *m);
    if (!m)
        return error_set(e, -ENOMEM, "out of memory");
    pthread_mutex_init(&m->lock, NULL);
    m->n = s->n;
    m->how = calloc(s->n + 1, sizeof *m->how);
    m->weight = calloc(s->n + 1, sizeof *m->weight);
    m->leaves = calloc(s->n + 1, sizeof(struct rule_leaf *));
    m->code = calloc(s->n + 1, sizeof(pcre2_code *));
    m->own = calloc(s->n + 1, sizeof *m->own);
    m->watch_from = calloc(s->n + 1, sizeof *m->watch_from);
    if (!m->how || !m->weight || !m->leaves || !m->code || !m->own || !m->watch_from) {
        rule_matcher_free(m);
        return error_set(e, -ENOMEM, "out of memory");
    }
    if (s->n)
        memcpy(m->leaves, s->leaves, s->n * sizeof(struct rule_leaf *));
    int r = build_literals(s, m, e);
    if (r == 0)
        r = build_database(s, m, e);
    if (r == 0)
        r = build_regexes(m, e);
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
    rule_literals_free(m->literals);
    for (size_t i = 0; m->code && m->own && i < m->n; i++) {
        hs_free_database(m->own[i]);
        pcre2_code_free(m->code[i]);
    }
    pthread_mutex_destroy(&m->lock);
    free(m->how);
    free(m->weight);
    free(m->leaves);
    free(m->code);
    free(m->own);
    free(m->watch_from);
    free(m->watch);
    free(m);
}
