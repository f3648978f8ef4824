// SPDX-License-Identifier: Apache-2.0
#include "intel/pattern.h"

static void print_comparison(const struct pattern *p, struct buf *out)
{
    if (p->op == PATTERN_EXISTS)
        buf_add_str(out, STR("EXISTS "));
    buf_add_str(out, p->object);
    for (const struct pattern_step *s = p->path; s; s = s->next) {
        bool index = s->type == PATTERN_INDEX;
        buf_add_char(out, index ? '[' : s == p->path ? ':' : '.');
        buf_add_str(out, s->text);
        if (index)
            buf_add_char(out, ']');
    }
    if (p->op == PATTERN_EXISTS)
        return;
    buf_addf(out, "%s " STR_FMT " %s", p->negated ? " NOT" : "", STR_ARG(p->symbol),
             p->op == PATTERN_IN ? "(" : "");
    for (const struct pattern_constant *c = p->constants; c; c = c->next) {
        buf_add_str(out, c->text);
        if (c->next)
            buf_add_str(out, STR(", "));
    }
    if (p->op == PATTERN_IN)
        buf_add_char(out, ')');
}

static void print_suffix(const struct pattern_suffix *s, struct buf *out)
{
    if (s->type == PATTERN_BRACKET)
        buf_add_char(out, ')');
    else if (s->type == PATTERN_WITHIN)
        buf_addf(out, " WITHIN " STR_FMT " SECONDS", STR_ARG(s->text));
    else if (s->type == PATTERN_REPEATS)
        buf_addf(out, " REPEATS " STR_FMT " TIMES", STR_ARG(s->text));
    else
        buf_addf(out, " START " STR_FMT " STOP " STR_FMT, STR_ARG(s->text), STR_ARG(s->stop));
}

// Recursion is bounded: the parser makes no deeper trees than PATTERN_DEPTH_MAX brackets, three levels each.
void pattern_print(const struct pattern *p, struct buf *out)
{
    static const char *const words[] = {
        [PATTERN_FOLLOWED_BY] = " FOLLOWEDBY ", [PATTERN_OR] = " OR ", [PATTERN_AND] = " AND "};
    for (const struct pattern_suffix *s = p->suffixes; s; s = s->next)
        if (s->type == PATTERN_BRACKET)
            buf_add_char(out, '(');
    if (p->type == PATTERN_COMPARISON)
        print_comparison(p, out);
    else if (p->type == PATTERN_OBSERVATION)
        buf_add_char(out, '[');
    for (const struct pattern *c = p->first; c; c = c->next) {
        pattern_print(c, out);
        if (c->next && p->type <= PATTERN_AND)
            buf_add_str(out, str_from(words[p->type]));
    }
    if (p->type == PATTERN_OBSERVATION)
        buf_add_char(out, ']');
    for (const struct pattern_suffix *s = p->suffixes; s; s = s->next)
        print_suffix(s, out);
}

struct str pattern_constant_text(struct arena *arena, const struct pattern_constant *constant)
{
    struct str s = constant->text;
    while (s.n && *s.p != '\'' && constant->type != PATTERN_NUMBER &&
           constant->type != PATTERN_BOOLEAN)
        s = str_bytes(s.p + 1, s.n - 1);
    if (s.n < 2 || *s.p != '\'')
        return arena_str(arena, s);
    char *out = arena_alloc(arena, s.n);
    size_t n = 0;
    if (!out)
        return STR_NONE;
    for (size_t i = 1; i + 1 < s.n; i++) {
        if (s.p[i] == '\\' && i + 2 < s.n)
            i++;
        out[n++] = s.p[i];
    }
    out[n] = 0;
    return str_bytes(out, n);
}

int pattern_equals(const struct pattern *p,
                   int (*each)(void *context, const struct pattern *comparison,
                               const struct pattern_constant *constant),
                   void *context)
{
    int r = 0;
    bool equal = p->type == PATTERN_COMPARISON && !p->negated &&
                 (p->op == PATTERN_EQUAL || p->op == PATTERN_IN);
    for (const struct pattern_constant *c = equal ? p->constants : NULL; c && !r; c = c->next)
        if (c->type == PATTERN_STRING)
            r = each(context, p, c);
    for (const struct pattern *c = p->first; c && !r; c = c->next)
        r = pattern_equals(c, each, context);
    return r;
}
