// SPDX-License-Identifier: Apache-2.0
// The condition of a rule:
//   or    = and { "or" and }         and = not { "and" not }        not = "not" not | term
//   term  = "(" or ")" | ( "1" | "any" | "all" ) "of" ( "them" | pattern ) | identifier
#include "rule/set.h"

#include <errno.h>

#define DEPTH_MAX 64
#define TOKENS_MAX 1000
#define NAMED_MAX 100000 // selections that a condition may reach, counted every time

struct lexer {
    struct rule_parse *p;
    const struct rule_yaml *node;
    const struct rule_names *names;
    struct str rest;  // behind the token
    struct str token; // empty at the end
    size_t tokens, reached;
    unsigned depth;
};

static int fail(struct lexer *l, struct str at, int code, const char *what, const char *way_out)
{
    const struct rule_yaml *node = l->node;
    unsigned column = node->column;
    if (node->one_line)
        column += (unsigned)((at.p ? at.p : node->text.p + node->text.n) - node->text.p) +
                  (node->plain ? 0 : 1);
    rule_fail_at(l->p, node->line, column, code, "%s", what);
    if (way_out)
        error_way_out(l->p->e, "%s", way_out);
    return code;
}

static bool is_letter(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '-' || c == '*';
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int advance(struct lexer *l)
{
    while (l->rest.n && is_space(l->rest.p[0]))
        l->rest.p++, l->rest.n--;
    size_t n = 0;
    while (n < l->rest.n && is_letter(l->rest.p[n]))
        n++;
    if (n == 0 && l->rest.n)
        n = 1;
    l->token = (struct str){l->rest.p, n};
    l->rest = (struct str){l->rest.p + n, l->rest.n - n};
    if (++l->tokens > TOKENS_MAX)
        return fail(l, l->token, -E2BIG, "a condition of more than 1,000 words", NULL);
    if (n == 0 || is_letter(l->token.p[0]) || l->token.p[0] == '(' || l->token.p[0] == ')')
        return 0;
    if (l->token.p[0] == '|')
        return fail(l, l->token, -ENOTSUP, "aggregation in a condition ('|') is obsolete",
                    "write a correlation rule");
    return fail(l, l->token, -EINVAL, "unexpected character in the condition",
                "selections have names of letters, digits, '_' and '-'");
}

static bool is(const struct lexer *l, const char *word)
{
    return str_eq(l->token, str_from(word));
}

static bool next_is(const struct lexer *l, struct str word)
{
    struct str rest = l->rest;
    while (rest.n && is_space(rest.p[0]))
        rest.p++, rest.n--;
    return str_starts(rest, word) && (rest.n == word.n || !is_letter(rest.p[word.n]));
}

static bool wild_match(struct str pattern, struct str name)
{
    size_t i = 0, j = 0, star = SIZE_MAX, back = 0;
    while (j < name.n) {
        if (i < pattern.n && pattern.p[i] == '*') {
            star = i++;
            back = j;
        } else if (i < pattern.n && pattern.p[i] == name.p[j]) {
            i++, j++;
        } else if (star != SIZE_MAX) {
            i = star + 1;
            j = ++back;
        } else {
            return false;
        }
    }
    while (i < pattern.n && pattern.p[i] == '*')
        i++;
    return i == pattern.n;
}

static int reach(struct lexer *l, size_t n)
{
    l->reached += n;
    if (l->reached > NAMED_MAX)
        return fail(l, l->token, -E2BIG, "the condition names too many selections", NULL);
    return 0;
}

static int parse_of(struct lexer *l, struct rule_expr **ret)
{
    bool all = is(l, "all");
    int r = advance(l); // "of"
    if (r == 0)
        r = advance(l);
    if (r < 0)
        return r;
    struct str pattern = l->token;
    if (pattern.n == 0 || !is_letter(pattern.p[0]))
        return fail(l, pattern, -EINVAL, "'of' needs 'them' or the name of selections", NULL);
    bool them = is(l, "them");
    if ((r = reach(l, l->names->n)) < 0)
        return r;
    struct rule_expr *expr = rule_expr_new(l->p, all ? RULE_OP_AND : RULE_OP_OR, l->names->n);
    if (!expr)
        return rule_fail_memory(l->p);
    expr->n = 0;
    for (size_t i = 0; i < l->names->n; i++) {
        struct str name = l->names->keys[i]->text;
        if (!str_starts(name, STR("_")) && (them || wild_match(pattern, name)))
            expr->child[expr->n++] = l->names->exprs[i];
    }
    if (expr->n == 0)
        return fail(l, pattern, -EINVAL, "no selection has such a name",
                    "names that begin with '_' are left out");
    *ret = expr->n == 1 ? expr->child[0] : expr;
    return advance(l);
}

static int undefined(struct lexer *l)
{
    const char *words[256];
    size_t n = 0;
    for (size_t i = 0; i < l->names->n && n < 256; i++)
        if ((words[n] = arena_cstr(l->p->scratch, l->names->keys[i]->text)))
            n++;
    char what[200];
    snprintf(what, sizeof what, "the condition names '" STR_FMT "', which is not defined",
             STR_ARG(l->token));
    static const char *const operators[] = {"and", "or", "not"};
    for (size_t i = 0; i < 3; i++)
        if (str_eq_nocase(l->token, str_from(operators[i])))
            return fail(l, l->token, -EINVAL, what, "operators are written in small letters");
    fail(l, l->token, -EINVAL, what, NULL);
    const char *nearest = rule_nearest(l->token, words, n);
    if (nearest)
        error_way_out(l->p->e, "did you mean '%s'?", nearest);
    return -EINVAL;
}

static bool is_count(struct str token)
{
    for (size_t i = 0; i < token.n; i++)
        if (token.p[i] < '0' || token.p[i] > '9')
            return false;
    return token.n > 0;
}

static int parse_or(struct lexer *l, struct rule_expr **ret);

static int parse_term(struct lexer *l, struct rule_expr **ret)
{
    if (l->token.n == 0)
        return fail(l, l->token, -EINVAL, "the condition ends where a selection is expected", NULL);
    if (is(l, "(")) {
        int r = advance(l);
        if (r == 0)
            r = parse_or(l, ret);
        if (r == 0 && !is(l, ")"))
            r = fail(l, l->token, -EINVAL, "')' is missing", NULL);
        return r < 0 ? r : advance(l);
    }
    if (next_is(l, STR("of"))) {
        if (is(l, "1") || is(l, "any") || is(l, "all"))
            return parse_of(l, ret);
        if (is_count(l->token))
            return fail(l, l->token, -ENOTSUP, "'N of' is supported for '1 of' only",
                        "write '1 of', 'any of' or 'all of'");
    }
    for (size_t i = 0; i < l->names->n; i++) {
        if (str_eq(l->token, l->names->keys[i]->text)) {
            *ret = l->names->exprs[i];
            int r = reach(l, 1);
            return r < 0 ? r : advance(l);
        }
    }
    if (is(l, ")") || is(l, "and") || is(l, "or") || is(l, "of"))
        return fail(l, l->token, -EINVAL, "expected a selection here", NULL);
    return undefined(l);
}

static int parse_not(struct lexer *l, struct rule_expr **ret)
{
    if (!is(l, "not"))
        return parse_term(l, ret);
    struct rule_expr *expr = rule_expr_new(l->p, RULE_OP_NOT, 1);
    if (!expr)
        return rule_fail_memory(l->p);
    if (++l->depth > DEPTH_MAX)
        return fail(l, l->token, -E2BIG, "a condition nested deeper than 64 levels", NULL);
    int r = advance(l);
    if (r == 0)
        r = parse_not(l, &expr->child[0]);
    l->depth--;
    *ret = expr;
    return r;
}

static int append(struct lexer *l, struct rule_expr *list, size_t *cap, struct rule_expr *item)
{
    if (list->n == *cap) {
        struct rule_expr **bigger = arena_array(l->p->arena, struct rule_expr *, *cap * 4);
        if (!bigger)
            return rule_fail_memory(l->p);
        memcpy(bigger, list->child, list->n * sizeof(struct rule_expr *));
        list->child = bigger;
        *cap *= 4;
    }
    list->child[list->n++] = item;
    return 0;
}

static int parse_chain(struct lexer *l, enum rule_op op, struct rule_expr **ret)
{
    bool or = op == RULE_OP_OR;
    size_t cap = 4;
    struct rule_expr *list = rule_expr_new(l->p, op, cap);
    if (!list)
        return rule_fail_memory(l->p);
    list->n = 0;
    do {
        struct rule_expr *item;
        int r = list->n ? advance(l) : 0;
        if (r == 0)
            r = or ? parse_chain(l, RULE_OP_AND, &item) : parse_not(l, &item);
        if (r == 0)
            r = append(l, list, &cap, item);
        if (r < 0)
            return r;
    } while (is(l, or ? "or" : "and"));
    *ret = list->n == 1 ? list->child[0] : list;
    return 0;
}

static int parse_or(struct lexer *l, struct rule_expr **ret)
{
    if (++l->depth > DEPTH_MAX)
        return fail(l, l->token, -E2BIG, "a condition nested deeper than 64 levels", NULL);
    int r = parse_chain(l, RULE_OP_OR, ret);
    l->depth--;
    return r;
}

static int parse_one(struct rule_parse *p, const struct rule_yaml *node,
                     const struct rule_names *names, struct rule_expr **ret)
{
    if (node->kind != RULE_YAML_SCALAR || rule_yaml_is_null(node))
        return rule_fail(p, node, -EINVAL, "a condition must be a text");
    struct lexer l = {.p = p, .node = node, .names = names, .rest = node->text};
    int r = advance(&l);
    if (r == 0)
        r = parse_or(&l, ret);
    if (r < 0)
        return r;
    if (l.token.n == 0)
        return 0;
    if (is(&l, "near"))
        return fail(&l, l.token, -ENOTSUP, "'near' in a condition is obsolete",
                    "write a correlation rule of type temporal");
    return fail(&l, l.token, -EINVAL, "expected 'and', 'or' or the end of the condition", NULL);
}

int rule_condition_parse(struct rule_parse *p, const struct rule_yaml *node,
                         const struct rule_names *names, struct rule_expr **ret)
{
    if (node->kind != RULE_YAML_LIST)
        return parse_one(p, node, names, ret);
    if (node->n == 0)
        return rule_fail(p, node, -EINVAL, "an empty condition");
    struct rule_expr *any = rule_expr_new(p, RULE_OP_OR, node->n);
    if (!any)
        return rule_fail_memory(p);
    for (size_t i = 0; i < node->n; i++) {
        int r = parse_one(p, node->items[i], names, &any->child[i]);
        if (r < 0)
            return r;
    }
    *ret = any;
    return 0;
}
