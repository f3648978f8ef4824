// SPDX-License-Identifier: Apache-2.0
#include "intel/pattern.h"

#include <ctype.h>
#include <errno.h>

struct parser {
    struct arena *arena;
    struct str text;
    size_t at;
    unsigned depth, nodes;
    struct error *e;
    int failed;
};

static int fail(struct parser *p, int code, const char *what)
{
    if (!p->failed) {
        error_set(p->e, code, "pattern, column %zu: %s", p->at + 1, what);
        p->failed = code;
    }
    return p->failed;
}

static void *node(struct parser *p, size_t n)
{
    if (p->nodes++ >= PATTERN_NODES_MAX) {
        fail(p, -EFBIG, "more than 4096 parts");
        return NULL;
    }
    void *new = arena_zero(p->arena, n);
    if (!new)
        fail(p, -ENOMEM, "out of memory");
    return new;
}

static int peek(struct parser *p)
{
    while (p->at < p->text.n && isspace((unsigned char)p->text.p[p->at]))
        p->at++;
    return p->at < p->text.n ? (unsigned char)p->text.p[p->at] : 0;
}

static bool word_char(int c)
{
    return isalnum(c) || c == '_' || c == '-';
}

static struct str word(struct parser *p)
{
    peek(p);
    size_t from = p->at;
    while (p->at < p->text.n && word_char((unsigned char)p->text.p[p->at]))
        p->at++;
    return str_bytes(p->text.p + from, p->at - from);
}

// Takes the keyword when it is next; upper or lower case, for 2.0 allows both.
static bool keyword(struct parser *p, const char *name)
{
    peek(p);
    size_t from = p->at;
    struct str w = word(p);
    if (str_eq_nocase(w, str_from(name)) && !(p->at < p->text.n && p->text.p[p->at] == ':'))
        return true;
    p->at = from;
    return false;
}

static bool take(struct parser *p, char c)
{
    if (peek(p) != (unsigned char)c)
        return false;
    p->at++;
    return true;
}

static struct str quoted(struct parser *p, size_t from)
{
    if (!take(p, '\'')) {
        fail(p, -EINVAL, "a quoted text was expected");
        return STR_NONE;
    }
    while (p->at < p->text.n && p->text.p[p->at] != '\'')
        p->at += p->text.p[p->at] == '\\' ? 2 : 1;
    if (p->at >= p->text.n) {
        p->at = p->text.n;
        fail(p, -EINVAL, "the quote is not closed");
        return STR_NONE;
    }
    p->at++;
    return str_bytes(p->text.p + from, p->at - from);
}

static struct str number(struct parser *p)
{
    peek(p);
    size_t from = p->at, digits = 0;
    if (p->at < p->text.n && (p->text.p[p->at] == '-' || p->text.p[p->at] == '+'))
        p->at++;
    for (int dots = 0; p->at < p->text.n; p->at++) {
        char c = p->text.p[p->at];
        if (c == '.' && !dots)
            dots = 1;
        else if (isdigit((unsigned char)c))
            digits++;
        else
            break;
    }
    if (!digits)
        fail(p, -EINVAL, "a number was expected");
    return str_bytes(p->text.p + from, p->at - from);
}

// A quoted text of one of the kinds that have a letter before the quote: only hexadecimal digits, base64, a time.
static void check_letters(struct parser *p, const struct pattern_constant *c)
{
    struct str s = str_bytes(c->text.p + 2, c->text.n < 3 ? 0 : c->text.n - 3);
    bool good = c->type != PATTERN_HEX || s.n % 2 == 0;
    if (c->type == PATTERN_TIME)
        good = s.n >= 20 && s.p[4] == '-' && s.p[7] == '-' && s.p[10] == 'T' && s.p[13] == ':' &&
               s.p[16] == ':' && s.p[s.n - 1] == 'Z';
    for (size_t i = 0; good && i < s.n; i++) {
        unsigned char b = (unsigned char)s.p[i];
        if (c->type == PATTERN_HEX)
            good = isxdigit(b);
        else if (c->type == PATTERN_BINARY)
            good = isalnum(b) || b == '+' || b == '/' || b == '=';
        else
            good = isdigit(b) || strchr("-:.TZ", b);
    }
    if (!good)
        fail(p, -EINVAL, "this is no such constant: h'hexadecimal', b'base64', t'time'");
}

static struct pattern_constant *constant(struct parser *p)
{
    struct pattern_constant *c = node(p, sizeof *c);
    int first = peek(p);
    size_t from = p->at;
    bool prefixed = p->at + 1 < p->text.n && p->text.p[p->at + 1] == '\'';
    if (!c)
        return NULL;
    if (first == '\'') {
        c->type = PATTERN_STRING;
        c->text = quoted(p, from);
    } else if (prefixed && (first == 'h' || first == 'b' || first == 't')) {
        c->type = first == 'h' ? PATTERN_HEX : first == 'b' ? PATTERN_BINARY : PATTERN_TIME;
        p->at++;
        c->text = quoted(p, from);
        if (!p->failed)
            check_letters(p, c);
    } else if (keyword(p, "true") || keyword(p, "false")) {
        c->type = PATTERN_BOOLEAN;
        c->text = str_bytes(p->text.p + from, p->at - from);
    } else {
        c->type = PATTERN_NUMBER;
        c->text = number(p);
    }
    return p->failed ? NULL : c;
}

static void step(struct parser *p, struct pattern_step ***tail, bool index)
{
    struct pattern_step *s = node(p, sizeof *s);
    if (!s)
        return;
    s->type = index ? PATTERN_INDEX : PATTERN_MEMBER;
    int c = peek(p);
    if (index && c == '*') {
        s->text = str_bytes(p->text.p + p->at++, 1);
    } else if (index) {
        s->text = number(p);
        if (str_find(s->text, STR(".")) >= 0)
            fail(p, -EINVAL, "an index is a whole number or *");
    } else {
        s->text = c == '\'' ? quoted(p, p->at) : word(p);
    }
    if (index && !take(p, ']'))
        fail(p, -EINVAL, "']' was expected");
    if (!s->text.n)
        fail(p, -EINVAL, "the name of a property was expected");
    **tail = s;
    *tail = &s->next;
}

static void path(struct parser *p, struct pattern *c)
{
    struct pattern_step **tail = &c->path;
    c->object = word(p);
    if (!c->object.n || !take(p, ':')) {
        fail(p, -EINVAL, "a path of the form type:property was expected");
        return;
    }
    step(p, &tail, false);
    while (!p->failed) {
        if (take(p, '.'))
            step(p, &tail, false);
        else if (take(p, '['))
            step(p, &tail, true);
        else
            return;
    }
}

static const struct {
    const char *text, *printed;
    enum pattern_operator op;
    bool letters;
} operators[] = {
    {"==", "==", PATTERN_EQUAL, false},
    {"=", "=", PATTERN_EQUAL, false},
    {"!=", "!=", PATTERN_NOT_EQUAL, false},
    {"<>", "<>", PATTERN_NOT_EQUAL, false},
    {"<=", "<=", PATTERN_LESS_EQUAL, false},
    {"<", "<", PATTERN_LESS, false},
    {">=", ">=", PATTERN_GREATER_EQUAL, false},
    {">", ">", PATTERN_GREATER, false},
    {"IN", "IN", PATTERN_IN, true},
    {"LIKE", "LIKE", PATTERN_LIKE, true},
    {"MATCHES", "MATCHES", PATTERN_MATCHES, true},
    {"ISSUBSET", "ISSUBSET", PATTERN_IS_SUBSET, true},
    {"ISSUPERSET", "ISSUPERSET", PATTERN_IS_SUPERSET, true},
};

static bool symbol(struct parser *p, struct pattern *c)
{
    peek(p);
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        struct str text = str_from(operators[i].text);
        bool found = operators[i].letters
                         ? keyword(p, operators[i].text)
                         : str_starts(str_bytes(p->text.p + p->at, p->text.n - p->at), text);
        if (!found)
            continue;
        p->at += operators[i].letters ? 0 : text.n;
        c->op = operators[i].op;
        c->symbol = str_from(operators[i].printed);
        return true;
    }
    return false;
}

static void set(struct parser *p, struct pattern *c)
{
    struct pattern_constant **tail = &c->constants;
    if (!take(p, '(')) {
        fail(p, -EINVAL, "'(' was expected behind IN");
        return;
    }
    while (!take(p, ')')) {
        if (c->constants && !take(p, ','))
            fail(p, -EINVAL, "',' or ')' was expected");
        *tail = p->failed ? NULL : constant(p);
        if (!*tail)
            return;
        tail = &(*tail)->next;
    }
}

static struct pattern *comparison(struct parser *p)
{
    struct pattern *c = node(p, sizeof *c);
    if (!c)
        return NULL;
    c->type = PATTERN_COMPARISON;
    if (keyword(p, "EXISTS")) {
        c->op = PATTERN_EXISTS;
        c->symbol = STR("EXISTS");
        path(p, c);
        return c;
    }
    path(p, c);
    c->negated = !p->failed && keyword(p, "NOT");
    if (!p->failed && !symbol(p, c))
        fail(p, -EINVAL, "an operator was expected");
    if (p->failed)
        return NULL;
    if (c->op == PATTERN_IN)
        set(p, c);
    else
        c->constants = constant(p);
    bool text = c->op >= PATTERN_LIKE;
    if (!p->failed && text && c->constants->type != PATTERN_STRING)
        fail(p, -EINVAL, "behind this operator stands a quoted text");
    return c;
}

// ---- both levels have the same form: lists of what binds more, joined by a keyword

struct level {
    const char *keyword;
    enum pattern_type type;
};
static const struct level outer[] = {{"FOLLOWEDBY", PATTERN_FOLLOWED_BY},
                                     {"OR", PATTERN_OR},
                                     {"AND", PATTERN_AND},
                                     {NULL}},
                          inner[] = {{"OR", PATTERN_OR}, {"AND", PATTERN_AND}, {NULL}};

static struct pattern *joined(struct parser *p, const struct level *level, bool within);

static struct pattern_suffix *suffix(struct parser *p, int type)
{
    struct pattern_suffix *s = node(p, sizeof *s);
    if (!s)
        return NULL;
    s->type = (__typeof__(s->type))type;
    if (type == PATTERN_WITHIN || type == PATTERN_REPEATS) {
        s->text = number(p);
        if (!p->failed && !keyword(p, type == PATTERN_WITHIN ? "SECONDS" : "TIMES"))
            fail(p, -EINVAL,
                 type == PATTERN_WITHIN ? "SECONDS was expected" : "TIMES was expected");
    } else if (type == PATTERN_START_STOP) {
        struct pattern_constant *start = constant(p);
        bool stop = start && keyword(p, "STOP");
        struct pattern_constant *end = stop ? constant(p) : NULL;
        if (!end || start->type < PATTERN_STRING || end->type != start->type) {
            fail(p, -EINVAL, "START t'time' STOP t'time' was expected");
            return NULL;
        }
        s->text = start->text;
        s->stop = end->text;
    }
    return s;
}

static void suffixes(struct parser *p, struct pattern *of)
{
    struct pattern_suffix **tail = &of->suffixes;
    while (*tail)
        tail = &(*tail)->next;
    while (!p->failed) {
        int type = keyword(p, "WITHIN")    ? PATTERN_WITHIN
                   : keyword(p, "REPEATS") ? PATTERN_REPEATS
                   : keyword(p, "START")   ? PATTERN_START_STOP
                                           : -1;
        if (type < 0)
            return;
        *tail = suffix(p, type);
        if (!*tail)
            return;
        tail = &(*tail)->next;
    }
}

static struct pattern *single(struct parser *p, bool within)
{
    struct pattern *r = NULL;
    if (++p->depth > PATTERN_DEPTH_MAX) {
        fail(p, -EFBIG, "more than 64 brackets within each other");
        return NULL;
    }
    if (take(p, '(')) {
        r = joined(p, within ? inner : outer, within);
        if (r && !take(p, ')'))
            fail(p, -EINVAL, "')' was expected");
        struct pattern_suffix *bracket = p->failed ? NULL : suffix(p, PATTERN_BRACKET), **tail;
        for (tail = r ? &r->suffixes : NULL; tail && *tail;)
            tail = &(*tail)->next;
        if (tail)
            *tail = bracket;
    } else if (within) {
        r = comparison(p);
    } else if (take(p, '[')) {
        r = node(p, sizeof *r);
        if (r) {
            r->type = PATTERN_OBSERVATION;
            r->first = joined(p, inner, true);
        }
        if (!p->failed && !take(p, ']'))
            fail(p, -EINVAL, "']' was expected");
    } else {
        fail(p, -EINVAL, "'[' or '(' was expected");
    }
    if (r && !within)
        suffixes(p, r);
    p->depth--;
    return p->failed ? NULL : r;
}

static struct pattern *joined(struct parser *p, const struct level *level, bool within)
{
    if (!level->keyword)
        return single(p, within);
    struct pattern *first = joined(p, level + 1, within), *list = NULL, **tail = NULL;
    while (first && !p->failed && keyword(p, level->keyword)) {
        if (!list) {
            list = node(p, sizeof *list);
            if (!list)
                return NULL;
            list->type = level->type;
            list->first = first;
            tail = &first->next;
        }
        *tail = joined(p, level + 1, within);
        if (*tail)
            tail = &(*tail)->next;
    }
    return p->failed ? NULL : list ? list : first;
}

int pattern_parse(struct arena *arena, struct str text, struct pattern **ret, struct error *e)
{
    if (text.n > PATTERN_TEXT_MAX)
        return error_set(e, -EFBIG, "a pattern over 64 KiB");
    if (text.n && memchr(text.p, 0, text.n))
        return error_set(e, -EINVAL, "pattern: a NUL byte");
    struct parser p = {.arena = arena, .text = text, .e = e};
    struct pattern *all = joined(&p, outer, false);
    if (!p.failed && peek(&p))
        fail(&p, -EINVAL, "nothing more was expected");
    if (p.failed)
        return p.failed;
    *ret = all;
    return 0;
}
