// SPDX-License-Identifier: Apache-2.0
#include "rule/literal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>

struct use { // of a string by an expression
    uint32_t slot;
    unsigned flags;
    const char *bytes; // as written
};

struct rule_literals {
    hs_database_t *db;
    uint32_t *from;  // per string, into uses; one more at the end
    size_t *lengths; // per string
    struct use *uses;
    struct arena arena;
};

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

static int order(const void *left, const void *right)
{
    const struct rule_literal *a = left, *b = right;
    size_t n = a->factor.text.n < b->factor.text.n ? a->factor.text.n : b->factor.text.n;
    for (size_t i = 0; i < n; i++) {
        int difference = lower(a->factor.text.p[i]) - lower(b->factor.text.p[i]);
        if (difference)
            return difference;
    }
    return (a->factor.text.n > b->factor.text.n) - (a->factor.text.n < b->factor.text.n);
}

static int compile(struct rule_literals *l, const char **texts, size_t strings)
{
    _cleanup_free_ unsigned *flags = malloc(strings * sizeof *flags);
    _cleanup_free_ unsigned *ids = malloc(strings * sizeof *ids);
    if (!flags || !ids)
        return -ENOMEM;
    for (size_t i = 0; i < strings; i++) {
        flags[i] = HS_FLAG_CASELESS;
        ids[i] = (unsigned)i;
    }
    hs_compile_error_t *error = NULL;
    hs_error_t r = hs_compile_lit_multi(texts, flags, ids, l->lengths, (unsigned)strings,
                                        HS_MODE_BLOCK, NULL, &l->db, &error);
    hs_free_compile_error(error);
    return r == HS_SUCCESS ? 0 : r == HS_NOMEM ? -ENOMEM : -E2BIG;
}

static int fill(struct rule_literals *l, struct rule_literal *list, size_t n)
{
    _cleanup_free_ const char **texts = malloc(n * sizeof *texts);
    size_t strings = 0;
    l->from = arena_array(&l->arena, uint32_t, n + 1);
    l->lengths = arena_array(&l->arena, size_t, n);
    l->uses = arena_array(&l->arena, struct use, n);
    if (!texts || !l->from || !l->lengths || !l->uses)
        return -ENOMEM;
    qsort(list, n, sizeof *list, order);
    for (size_t i = 0; i < n; i++) {
        struct str text = arena_str(&l->arena, list[i].factor.text);
        if (!text.p)
            return -ENOMEM;
        if (i == 0 || order(&list[i - 1], &list[i]) != 0) {
            texts[strings] = text.p;
            l->lengths[strings] = text.n;
            l->from[strings++] = (uint32_t)i;
        }
        l->uses[i] = (struct use){list[i].slot, list[i].factor.flags, text.p};
    }
    l->from[strings] = (uint32_t)n;
    return compile(l, texts, strings);
}

int rule_literals_new(struct rule_literal *list, size_t n, struct rule_literals **ret)
{
    struct rule_literals *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    int r = fill(l, list, n);
    if (r < 0) {
        rule_literals_free(l);
        return r;
    }
    *ret = l;
    return 0;
}

struct rule_literals *rule_literals_free(struct rule_literals *l)
{
    if (l) {
        hs_free_database(l->db);
        arena_done(&l->arena);
        free(l);
    }
    return NULL;
}

const hs_database_t *rule_literals_database(const struct rule_literals *l)
{
    return l->db;
}

struct scan {
    const struct rule_literals *l;
    struct str text;
    void (*found)(void *context, uint32_t slot, bool sure);
    void *context;
};

static bool stands(const struct scan *s, const struct use *use, size_t n, size_t end)
{
    size_t left = s->text.n - end;
    if (use->flags & RULE_FACTOR_START && end != n)
        return false;
    if (use->flags & RULE_FACTOR_END && left != 0)
        return false;
    if (use->flags & RULE_FACTOR_NEWLINE && left != 0 && (left != 1 || s->text.p[end] != '\n'))
        return false;
    return !(use->flags & RULE_FACTOR_CASED) || memcmp(s->text.p + end - n, use->bytes, n) == 0;
}

static int on_string(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                     void *context)
{
    (void)from, (void)flags;
    const struct scan *s = context;
    const struct rule_literals *l = s->l;
    for (uint32_t i = l->from[id]; i < l->from[id + 1]; i++)
        if (stands(s, &l->uses[i], l->lengths[id], (size_t)to))
            s->found(s->context, l->uses[i].slot, l->uses[i].flags & RULE_FACTOR_SURE);
    return 0;
}

int rule_literals_scan(const struct rule_literals *l, hs_scratch_t *scratch, struct str text,
                       void (*found)(void *context, uint32_t slot, bool sure), void *context)
{
    struct scan s = {l, text, found, context};
    if (text.n > UINT32_MAX || hs_scan(l->db, text.p ? text.p : "", (unsigned)text.n, 0, scratch,
                                       on_string, &s) != HS_SUCCESS)
        return -EIO;
    return 0;
}
