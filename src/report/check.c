// SPDX-License-Identifier: Apache-2.0
#include "report/checks.h"
#include "report/words.h"

#include "base/cleanup.h"

#include <errno.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define MATCH_LIMIT 300000u // steps of one pattern on one sentence: some 5 ms
#define CLIENT_MIN 3u       // a shorter name would be found in any text

struct row {
    pcre2_code *found, *but, *parts[REPORT_PARTS_MAX];
};

struct report_checker {
    struct row *rows;
    pcre2_match_data *data;
    pcre2_match_context *limits;
    struct arena arena;
    struct str *clients;
    size_t n_clients;
};

// All patterns of a list as one.
static int compile(const char *const *patterns, pcre2_code **ret)
{
    _cleanup_buf_ struct buf b = {0};
    int code, r = 0;
    size_t offset;
    if (!patterns)
        return 0;
    for (size_t i = 0; r == 0 && patterns[i]; i++) {
        if (i)
            buf_add_char(&b, '|');
        r = report_words_expand(patterns[i], &b);
    }
    if (r < 0)
        return r;
    *ret = pcre2_compile((PCRE2_SPTR)b.p, b.n, PCRE2_CASELESS | PCRE2_DOTALL, &code, &offset, NULL);
    return *ret ? 0 : -EINVAL;
}

static int compile_row(const struct report_row *from, struct row *row)
{
    int r = compile(from->found, &row->found);
    if (r == 0)
        r = compile(from->but, &row->but);
    for (size_t i = 0; r == 0 && i < REPORT_PARTS_MAX; i++)
        r = compile(from->parts[i].patterns, &row->parts[i]);
    return r;
}

static int take_clients(struct report_checker *c, const struct report_check_options *options)
{
    if (!options || !options->n_clients)
        return 0;
    c->clients = arena_array(&c->arena, struct str, options->n_clients);
    if (!c->clients)
        return -ENOMEM;
    for (size_t i = 0; i < options->n_clients; i++) {
        struct str name = str_trim(options->clients[i]);
        if (name.n < CLIENT_MIN)
            return -EINVAL;
        c->clients[i] = arena_str(&c->arena, name);
        if (!c->clients[i].p)
            return -ENOMEM;
    }
    c->n_clients = options->n_clients;
    return 0;
}

int report_checker_new(const struct report_check_options *options, struct report_checker **ret)
{
    struct report_checker *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->rows = calloc(report_n_rows, sizeof *c->rows);
    c->data = pcre2_match_data_create(1, NULL);
    c->limits = pcre2_match_context_create(NULL);
    int r = c->rows && c->data && c->limits ? take_clients(c, options) : -ENOMEM;
    for (size_t i = 0; r == 0 && i < report_n_rows; i++)
        r = compile_row(&report_rows[i], &c->rows[i]);
    if (r < 0) {
        report_checker_free(c);
        return r;
    }
    pcre2_set_match_limit(c->limits, MATCH_LIMIT);
    *ret = c;
    return 0;
}

struct report_checker *report_checker_free(struct report_checker *c)
{
    if (!c)
        return NULL;
    for (size_t i = 0; c->rows && i < report_n_rows; i++) {
        pcre2_code_free(c->rows[i].found);
        pcre2_code_free(c->rows[i].but);
        for (size_t j = 0; j < REPORT_PARTS_MAX; j++)
            pcre2_code_free(c->rows[i].parts[j]);
    }
    pcre2_match_context_free(c->limits);
    pcre2_match_data_free(c->data);
    arena_done(&c->arena);
    free(c->rows);
    free(c);
    return NULL;
}

struct take {
    struct report_checker *c;
    struct arena *arena;
    struct report_checked *into;
    size_t cap;
    bool unread, failed;
};

// Whether the pattern is in the sentence; *ret_words (may be NULL) is where. What is not known counts as no, and is said.
static bool in(struct take *t, const pcre2_code *code, struct str s, struct str *ret_words)
{
    int r = pcre2_match(code, (PCRE2_SPTR)s.p, s.n, 0, 0, t->c->data, t->c->limits);
    if (r < 0) {
        t->unread = t->unread || r != PCRE2_ERROR_NOMATCH;
        return false;
    }
    const size_t *at = pcre2_get_ovector_pointer(t->c->data);
    if (ret_words)
        *ret_words = (struct str){s.p + at[0], at[1] - at[0]};
    return true;
}

static void add(struct take *t, struct report_finding finding)
{
    struct report_checked *into = t->into;
    for (size_t i = into->n; i > 0 && into->findings[i - 1].sentence == finding.sentence; i--)
        if (str_eq(into->findings[i - 1].rule, finding.rule))
            return;
    if (into->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 32;
        struct report_finding *bigger = arena_array(t->arena, struct report_finding, cap);
        if (!bigger) {
            t->failed = true;
            return;
        }
        if (into->n)
            memcpy(bigger, into->findings, into->n * sizeof *bigger);
        into->findings = bigger;
        t->cap = cap;
    }
    into->findings[into->n++] = finding;
}

// The names of the parts that the sentence does not have; empty: it has them.
static struct str missing(struct take *t, size_t row, struct str s)
{
    _cleanup_buf_ struct buf b = {0};
    for (size_t i = 0; i < REPORT_PARTS_MAX && report_rows[row].parts[i].name; i++)
        if (!in(t, t->c->rows[row].parts[i], s, NULL))
            buf_addf(&b, "%s%s", b.n ? ", " : "", report_rows[row].parts[i].name);
    return b.n ? arena_str(t->arena, buf_str(&b)) : STR_NONE;
}

static void look(struct take *t, size_t sentence, size_t row)
{
    const struct report_row *from = &report_rows[row];
    const struct row *compiled = &t->c->rows[row];
    struct str s = t->into->sentences[sentence].text, words, parts = STR_NONE;
    if (!in(t, compiled->found, s, &words) || (compiled->but && in(t, compiled->but, s, NULL)))
        return;
    if (from->parts[0].name) {
        parts = missing(t, row, s);
        if (!parts.n)
            return;
    }
    add(t, (struct report_finding){.rule = str_from(from->rule),
                                   .words = words,
                                   .reason = from->reason,
                                   .instead = from->instead,
                                   .missing = parts,
                                   .sentence = sentence});
}

static bool is_letter(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c & 0x80;
}

// A whole word or several, in any case.
static void look_for_clients(struct take *t, size_t sentence)
{
    struct str s = t->into->sentences[sentence].text;
    for (size_t k = 0; k < t->c->n_clients; k++) {
        struct str name = t->c->clients[k];
        for (size_t i = 0; i + name.n <= s.n; i++) {
            struct str here = {s.p + i, name.n};
            if (!str_eq_nocase(here, name) || (i && is_letter(s.p[i - 1])) ||
                (i + name.n < s.n && is_letter(s.p[i + name.n])))
                continue;
            add(t, (struct report_finding){.rule = STR("R2"),
                                           .words = here,
                                           .reason = "It names a client.",
                                           .instead = "\"A client\"; with the client's consent, "
                                                      "recorded with the report, its name.",
                                           .sentence = sentence});
        }
    }
}

int report_check(struct report_checker *c, struct arena *arena, struct str text, const char *file,
                 struct report_checked *ret, struct error *e)
{
    struct report_checked into = {0};
    struct take t = {.c = c, .arena = arena, .into = &into};
    int r = report_sentences(arena, text, file, &into.sentences, &into.n_sentences, e);
    if (r < 0)
        return r;
    for (size_t i = 0; i < into.n_sentences; i++) {
        t.unread = false;
        look_for_clients(&t, i);
        for (size_t row = 0; row < report_n_rows; row++)
            look(&t, i, row);
        into.unread += t.unread;
    }
    if (t.failed)
        return error_set(e, -ENOMEM, "out of memory");
    *ret = into;
    return 0;
}
