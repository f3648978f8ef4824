// SPDX-License-Identifier: Apache-2.0
#include "rule/factor.h"

#include "rule/set.h"

#include <errno.h>

#define ROWS_MAX 256  // of one expression, and of each of its parts
#define TOKENS_MAX 80 // of one row; what is behind counts as anything
#define DEPTH_MAX 100
#define CLASS_MAX 4   // bytes of a class that are told apart
#define REPEAT_MAX 16 // times that a part is written out
#define MEMORY_MAX                                                                                 \
    ((size_t)4 << 20) // and by that of work; an expression that needs more has no factors

enum { TOKEN_START = 256, TOKEN_END, TOKEN_NEWLINE, TOKEN_ANY };

struct row {
    uint16_t n;
    uint16_t *tokens;
};

struct rows {
    size_t n;
    struct row *p;
};

struct reader {
    struct arena *arena;
    const char *p, *end;
    unsigned flags, depth;
    bool unsure;  // there is a condition that rows do not hold
    bool unknown; // a construct that is not understood, or too much of it: no answer
};

static struct rows read_alternatives(struct reader *r);

static struct rows none(struct reader *r)
{
    r->unknown = true;
    return (struct rows){0};
}

static struct rows one(struct reader *r, unsigned token)
{
    struct row *row = arena_new(r->arena, struct row);
    uint16_t *tokens = arena_array(r->arena, uint16_t, 1);
    if (!row || !tokens)
        return none(r);
    tokens[0] = (uint16_t)token;
    *row = (struct row){1, tokens};
    return (struct rows){1, row};
}

static struct rows nothing(struct reader *r)
{
    struct row *row = arena_new(r->arena, struct row);
    return row ? (struct rows){1, row} : none(r);
}

// The longest run of bytes that stand beside each other; at an end of the text it tells more. It does not begin with
// NUL, which vectorscan takes for an empty string.
static size_t best_run(const struct row *row, size_t *ret_from, size_t *ret_n)
{
    size_t best = 0;
    for (size_t i = 0, from = 0; i <= row->n; i++) {
        if (i < row->n && row->tokens[i] < 256 && (row->tokens[i] || i > from))
            continue;
        bool start = from > 0 && row->tokens[from - 1] == TOKEN_START;
        bool end = i < row->n && (row->tokens[i] == TOKEN_END || row->tokens[i] == TOKEN_NEWLINE);
        size_t worth = i == from ? 0 : 2 * (i - from) + start + end;
        if (worth > best) {
            best = worth;
            *ret_from = from;
            *ret_n = i - from;
        }
        from = i + 1;
    }
    return best;
}

static size_t worth_of(struct rows rows)
{
    size_t least = SIZE_MAX, from, n;
    for (size_t i = 0; i < rows.n; i++) {
        size_t worth = best_run(&rows.p[i], &from, &n);
        least = worth < least ? worth : least;
    }
    return rows.n ? least : 0;
}

static bool joined(struct reader *r, const struct row *a, const struct row *b, struct row *ret)
{
    uint16_t *tokens = arena_array(r->arena, uint16_t, a->n + b->n + 1u);
    if (!tokens)
        return false;
    uint16_t n = 0;
    for (unsigned i = 0; i < (unsigned)a->n + b->n; i++) {
        uint16_t token = i < a->n ? a->tokens[i] : b->tokens[i - a->n];
        if (n >= TOKENS_MAX)
            token = TOKEN_ANY;
        if (token != TOKEN_ANY || n == 0 || tokens[n - 1] != TOKEN_ANY)
            tokens[n++] = token;
    }
    *ret = (struct row){n, tokens};
    return true;
}

// Every row of one with every row of the other behind it. Too many: the part that tells less is anything.
static struct rows join(struct reader *r, struct rows a, struct rows b)
{
    if (r->unknown)
        return (struct rows){0};
    if (a.n * b.n > ROWS_MAX) {
        if (worth_of(a) < worth_of(b))
            a = one(r, TOKEN_ANY);
        else
            b = one(r, TOKEN_ANY);
    }
    struct rows rows = {0, arena_array(r->arena, struct row, a.n * b.n)};
    if (!rows.p || r->unknown)
        return none(r);
    for (size_t i = 0; i < a.n; i++) {
        for (size_t j = 0; j < b.n; j++) {
            struct row row;
            if (!joined(r, &a.p[i], &b.p[j], &row))
                return none(r);
            rows.p[rows.n++] = row;
        }
    }
    return rows;
}

static struct rows either(struct reader *r, struct rows a, struct rows b)
{
    if (r->unknown)
        return (struct rows){0};
    if (a.n + b.n > ROWS_MAX)
        return one(r, TOKEN_ANY);
    struct rows rows = {0, arena_array(r->arena, struct row, a.n + b.n)};
    if (!rows.p)
        return none(r);
    for (size_t i = 0; i < a.n + b.n; i++)
        rows.p[rows.n++] = i < a.n ? a.p[i] : b.p[i - a.n];
    return rows;
}

static bool take(struct reader *r, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, text, n) != 0)
        return false;
    r->p += n;
    return true;
}

static unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

static struct rows byte(struct reader *r, unsigned char c)
{
    return one(r, r->flags & RULE_FLAG_NOCASE ? lower(c) : c);
}

// A byte that is written as an escape: \n, \x2f, \. and the like. False: it is something else.
static bool escaped_byte(struct reader *r, unsigned char *ret)
{
    static const char names[] = "ntrfea", bytes[] = "\n\t\r\f\x1b\a";
    const char *p = r->p, *name;
    if (p == r->end)
        return false;
    unsigned char c = (unsigned char)*p++;
    if (c == 'x') {
        unsigned value = 0;
        for (int i = 0; i < 2; i++, p++) {
            const char *digits = "0123456789abcdef", *digit;
            if (p == r->end || !*p || !(digit = strchr(digits, lower((unsigned char)*p))))
                return false;
            value = value * 16 + (unsigned)(digit - digits);
        }
        *ret = (unsigned char)value;
    } else if (c && (name = strchr(names, c))) {
        *ret = (unsigned char)bytes[name - names];
    } else if ((c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || c >= 128) {
        return false;
    } else {
        *ret = c;
    }
    r->p = p;
    return true;
}

static struct rows read_escape(struct reader *r)
{
    unsigned char c;
    if (escaped_byte(r, &c))
        return byte(r, c);
    if (take(r, "A"))
        return one(r, TOKEN_START);
    if (take(r, "z"))
        return one(r, TOKEN_END);
    if (take(r, "Z"))
        return one(r, TOKEN_NEWLINE);
    if (take(r, "b") || take(r, "B")) {
        r->unsure = true;
        return nothing(r);
    }
    if (r->p < r->end && *r->p && strchr("dDwWsShHvVRN123456789", *r->p)) {
        bool digit = *r->p++ <= '9';
        while (digit && r->p < r->end && *r->p >= '0' && *r->p <= '9')
            r->p++;
        return one(r, TOKEN_ANY);
    }
    return none(r);
}

// One member of a class: a byte, or a kind of bytes (*ret_kind). False: not understood.
static bool read_member(struct reader *r, unsigned char *ret, bool *ret_kind)
{
    *ret_kind = false;
    if (r->p == r->end)
        return false;
    if (*r->p != '\\') {
        bool named = *r->p == '[' && r->end - r->p > 1 && strchr(":.=", r->p[1]);
        *ret = (unsigned char)*r->p++;
        return !named;
    }
    r->p++;
    if (r->p < r->end && *r->p && strchr("dDwWsShHvV", *r->p)) {
        r->p++;
        *ret_kind = true;
        return true;
    }
    return escaped_byte(r, ret);
}

static void class_add(struct reader *r, bool members[256], unsigned from, unsigned to)
{
    for (unsigned c = from; c <= to; c++)
        members[r->flags & RULE_FLAG_NOCASE ? lower((unsigned char)c) : c] = true;
}

static struct rows class_rows(struct reader *r, const bool members[256])
{
    struct rows rows = {0};
    unsigned n = 0;
    for (unsigned c = 0; c < 256; c++)
        n += members[c];
    if (n == 0 || n > CLASS_MAX)
        return one(r, TOKEN_ANY);
    for (unsigned c = 0; c < 256; c++)
        if (members[c])
            rows = either(r, rows, one(r, c));
    return rows;
}

static struct rows read_class(struct reader *r)
{
    bool members[256] = {false}, many = take(r, "^"), kind;
    for (bool first = true; r->p < r->end && (*r->p != ']' || first); first = false) {
        unsigned char from, to;
        if (!read_member(r, &from, &kind))
            return none(r);
        many = many || kind;
        if (kind)
            continue;
        to = from;
        if (r->end - r->p > 1 && r->p[0] == '-' && r->p[1] != ']') {
            r->p++;
            if (!read_member(r, &to, &kind) || kind || to < from)
                return none(r);
        }
        class_add(r, members, from, to);
    }
    if (!take(r, "]"))
        return none(r);
    return many ? one(r, TOKEN_ANY) : class_rows(r, members);
}

static struct rows read_group(struct reader *r)
{
    bool condition = take(r, "?=") || take(r, "?!") || take(r, "?<=") || take(r, "?<!");
    bool named = !condition && (take(r, "?P<") || take(r, "?<"));
    if (take(r, "?P=")) {
        while (r->p < r->end && *r->p != ')')
            r->p++;
        return take(r, ")") ? one(r, TOKEN_ANY) : none(r);
    }
    if (take(r, "?>"))
        r->unsure = true;
    else if (named)
        while (r->p < r->end && *r->p++ != '>')
            ;
    else if (!condition && !take(r, "?:") && r->p < r->end && (*r->p == '?' || *r->p == '*'))
        return none(r);
    struct rows rows = read_alternatives(r);
    if (!take(r, ")"))
        return none(r);
    r->unsure = r->unsure || condition;
    return condition ? nothing(r) : rows;
}

static struct rows read_atom(struct reader *r)
{
    bool lines = r->flags & RULE_FLAG_MULTILINE;
    unsigned char c = (unsigned char)*r->p++;
    switch (c) {
    case '\\':
        return read_escape(r);
    case '[':
        return read_class(r);
    case '(':
        return read_group(r);
    case '.':
        return one(r, TOKEN_ANY);
    case '^':
    case '$':
        r->unsure = r->unsure || lines;
        return lines ? nothing(r) : one(r, c == '^' ? TOKEN_START : TOKEN_NEWLINE);
    case '*':
    case '+':
    case '?':
    case '{':
        return none(r);
    default:
        return byte(r, c);
    }
}

static bool read_count(struct reader *r, unsigned *ret)
{
    const char *from = r->p;
    *ret = 0;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9' && *ret < 100000)
        *ret = *ret * 10 + (unsigned)(*r->p++ - '0');
    return r->p > from;
}

// False: none stands here. *ret_most UINT_MAX: without end.
static bool read_times(struct reader *r, unsigned *ret_least, unsigned *ret_most)
{
    if (take(r, "*")) {
        *ret_least = 0, *ret_most = UINT32_MAX;
    } else if (take(r, "+")) {
        *ret_least = 1, *ret_most = UINT32_MAX;
    } else if (take(r, "?")) {
        *ret_least = 0, *ret_most = 1;
    } else if (take(r, "{")) {
        bool right = read_count(r, ret_least);
        *ret_most = *ret_least;
        if (right && take(r, ",") && !read_count(r, ret_most))
            *ret_most = UINT32_MAX;
        r->unknown = r->unknown || !right || !take(r, "}");
    } else {
        return false;
    }
    if (!take(r, "?") && take(r, "+"))
        r->unsure = true;
    return true;
}

static struct rows repeated(struct reader *r, struct rows atom, unsigned least, unsigned most)
{
    if (least == 0)
        return most == 1 ? either(r, nothing(r), atom) : one(r, TOKEN_ANY);
    struct rows rows = atom;
    for (unsigned i = 1; i < least && i < REPEAT_MAX; i++)
        rows = join(r, rows, atom);
    return most > least || least > REPEAT_MAX ? join(r, rows, one(r, TOKEN_ANY)) : rows;
}

static struct rows read_sequence(struct reader *r)
{
    struct rows rows = nothing(r);
    while (!r->unknown && r->p < r->end && *r->p != '|' && *r->p != ')') {
        unsigned least, most;
        struct rows atom = read_atom(r);
        if (!r->unknown && read_times(r, &least, &most) && !r->unknown)
            atom = repeated(r, atom, least, most);
        rows = join(r, rows, atom);
    }
    return rows;
}

static struct rows read_alternatives(struct reader *r)
{
    if (++r->depth > DEPTH_MAX)
        return none(r);
    struct rows rows = read_sequence(r);
    while (!r->unknown && take(r, "|"))
        rows = either(r, rows, read_sequence(r));
    r->depth--;
    return rows;
}

// One byte alone is everywhere: that is no reason.
static bool worth_it(size_t worth)
{
    return worth >= 3;
}

static unsigned anchors_of(const struct row *row, size_t from, size_t n)
{
    unsigned flags = 0;
    if (from > 0 && row->tokens[from - 1] == TOKEN_START)
        flags |= RULE_FACTOR_START;
    if (from + n < row->n && row->tokens[from + n] == TOKEN_END)
        flags |= RULE_FACTOR_END;
    if (from + n < row->n && row->tokens[from + n] == TOKEN_NEWLINE)
        flags |= RULE_FACTOR_NEWLINE;
    return flags;
}

static int factor_of(struct reader *r, struct arena *arena, const struct row *row,
                     struct rule_factor *ret)
{
    size_t from = 0, n = 0;
    if (!worth_it(best_run(row, &from, &n)))
        return -ENOENT;
    char *text = arena_alloc(arena, n + 1);
    if (!text)
        return -ENOMEM;
    unsigned flags = anchors_of(row, from, n);
    size_t said =
        n + !!(flags & RULE_FACTOR_START) + !!(flags & (RULE_FACTOR_END | RULE_FACTOR_NEWLINE));
    bool sure = !r->unsure && said == row->n;
    flags |= sure ? RULE_FACTOR_SURE : 0;
    flags |= sure && !(r->flags & RULE_FLAG_NOCASE) ? RULE_FACTOR_CASED : 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)row->tokens[from + i];
        text[i] = (char)(flags & RULE_FACTOR_CASED ? c : lower(c));
    }
    text[n] = 0;
    *ret = (struct rule_factor){{text, n}, flags};
    return 0;
}

static void add_factor(struct rule_factor *list, size_t *n, struct rule_factor factor)
{
    for (size_t i = 0; i < *n; i++)
        if (list[i].flags == factor.flags && str_eq(list[i].text, factor.text))
            return;
    list[(*n)++] = factor;
}

static int factors_of(struct reader *r, struct arena *arena, struct rule_factor **ret,
                      size_t *ret_n)
{
    struct rows rows = read_alternatives(r);
    if (r->unknown || r->p < r->end || rows.n == 0)
        return -ENOENT;
    struct rule_factor *list = arena_array(arena, struct rule_factor, rows.n);
    size_t n = 0;
    if (!list)
        return -ENOMEM;
    for (size_t i = 0; i < rows.n; i++) {
        struct rule_factor factor;
        int k = factor_of(r, arena, &rows.p[i], &factor);
        if (k < 0)
            return k;
        add_factor(list, &n, factor);
    }
    *ret = list;
    *ret_n = n;
    return 0;
}

int rule_factors(struct arena *arena, struct str expression, unsigned flags,
                 struct rule_factor **ret, size_t *ret_n)
{
    _cleanup_arena_ struct arena work = {.limit = MEMORY_MAX};
    if (expression.n == 0)
        return -ENOENT;
    struct reader r = {.arena = &work,
                       .p = expression.p,
                       .end = expression.p + expression.n,
                       .flags = flags & (RULE_FLAG_NOCASE | RULE_FLAG_MULTILINE)};
    if (take(&r, "(?i)"))
        r.flags |= RULE_FLAG_NOCASE;
    take(&r, "(?s)"); // what a dot stands for is anything anyway
    return factors_of(&r, arena, ret, ret_n);
}
