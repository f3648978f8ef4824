// SPDX-License-Identifier: Apache-2.0
#include "report/text.h"

#include "base/buf.h"

#include <ctype.h>
#include <errno.h>

struct cut {
    struct arena *arena;
    struct report_sentence *list;
    size_t n, cap;
    struct buf now; // the sentence so far
    unsigned line, column;
    bool failed;
};

// A dot behind these ends no sentence.
static bool is_short_form(struct str s)
{
    static const char *const forms[] = {"e.g", "i.e", "cf",  "vs",   "etc",  "no",     "nos", "fig",
                                        "mr",  "mrs", "ms",  "dr",   "prof", "approx", "u.s", "u.k",
                                        "st",  "jan", "feb", "aug",  "sept", "sep",    "oct", "nov",
                                        "dec", "inc", "ltd", "corp", "co",   "gen"};
    size_t from = s.n;
    while (from && !isspace((unsigned char)s.p[from - 1]) && s.p[from - 1] != '(')
        from--;
    struct str word = {s.p + from, s.n - from};
    if (word.n == 1 && isalpha((unsigned char)word.p[0])) // an initial
        return true;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (str_eq_nocase(word, str_from(forms[i])))
            return true;
    return false;
}

static void end_sentence(struct cut *c)
{
    struct str s = str_trim(buf_str(&c->now));
    bool words = false;
    for (size_t i = 0; i < s.n && !words; i++)
        words = isalnum((unsigned char)s.p[i]) || (unsigned char)s.p[i] >= 0x80;
    if (words && c->n == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 64;
        struct report_sentence *bigger = arena_array(c->arena, struct report_sentence, cap);
        if (bigger && c->n)
            memcpy(bigger, c->list, c->n * sizeof *bigger);
        c->failed = c->failed || !bigger;
        c->list = bigger ? bigger : c->list;
        c->cap = bigger ? cap : c->cap;
    }
    if (words && c->n < c->cap) {
        struct str copy = arena_str(c->arena, s);
        c->failed = c->failed || !copy.p;
        c->list[c->n++] = (struct report_sentence){copy, c->line, c->column};
    }
    buf_reset(&c->now);
    c->line = 0;
}

static void add(struct cut *c, const char *bytes, size_t n, unsigned line, unsigned column)
{
    bool blank = n == 1 && isspace((unsigned char)*bytes);
    if (blank && (!c->now.n || c->now.p[c->now.n - 1] == ' '))
        return;
    if (!c->line) {
        c->line = line;
        c->column = column;
    }
    if (blank && c->now.n >= REPORT_SENTENCE_MAX) {
        end_sentence(c);
        return;
    }
    if (c->now.n >= (size_t)2 * REPORT_SENTENCE_MAX) { // without a blank for so long: no language
        end_sentence(c);
        c->line = line;
        c->column = column;
    }
    if (blank)
        buf_add_char(&c->now, ' ');
    else
        buf_add(&c->now, bytes, n);
}

// What a typographic character stands for; how many bytes of the text it takes, 0: it is none.
static size_t plain_form(struct str s, const char **ret)
{
    static const struct {
        const char *from, *to;
    } forms[] = {
        {"\xe2\x80\x98", "'"}, {"\xe2\x80\x99", "'"}, {"\xe2\x80\x9c", ""},
        {"\xe2\x80\x9d", ""},  {"\xe2\x80\x90", "-"}, {"\xe2\x80\x91", "-"},
        {"\xe2\x80\x92", "-"}, {"\xe2\x80\x93", "-"}, {"\xe2\x80\x94", " - "},
        {"\xc2\xa0", " "},     {"\xe2\x80\xaf", " "}, {"\xe2\x80\x89", " "},
        {"\xe2\x80\x8b", ""},  {"\xc2\xad", ""},      {"\xe2\x80\xa6", "..."},
        {"\xef\xbb\xbf", ""},  {"\xe2\x80\x8d", ""},  {"\xe2\x81\xa0", ""},
        {"\xe2\x80\x8c", ""},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct str from = str_from(forms[i].from);
        if (str_starts(s, from)) {
            *ret = forms[i].to;
            return from.n;
        }
    }
    return 0;
}

static bool ends_here(struct str line, size_t i, const struct cut *c)
{
    if (line.p[i] == '!' || line.p[i] == '?')
        return true;
    if (line.p[i] != '.')
        return false;
    size_t j = i + 1;
    while (j < line.n && strchr("\"')]*_", line.p[j]))
        j++;
    if (j < line.n && !isspace((unsigned char)line.p[j])) // 3.5, tiercel.off
        return false;
    while (j < line.n && isspace((unsigned char)line.p[j]))
        j++;
    bool lower = j < line.n && islower((unsigned char)line.p[j]);
    return !lower && !is_short_form(buf_str(&c->now));
}

// Marks that Markdown puts before a line's text; whether the line begins a sentence of its own.
static size_t line_marks(struct str line, bool *ret_own)
{
    size_t i = 0;
    while (i < line.n && (line.p[i] == ' ' || line.p[i] == '\t' || line.p[i] == '>'))
        i++;
    size_t from = i;
    while (i < line.n && line.p[i] == '#')
        i++;
    *ret_own = i > from;
    if (i == from && i + 1 < line.n && strchr("-*+", line.p[i]) && line.p[i + 1] == ' ') {
        *ret_own = true;
        i++;
    }
    size_t digits = i;
    while (digits < line.n && isdigit((unsigned char)line.p[digits]))
        digits++;
    if (digits > i && digits - i < 3 && digits + 1 < line.n && strchr(".)", line.p[digits]) &&
        line.p[digits + 1] == ' ') {
        *ret_own = true;
        i = digits + 1;
    }
    return i;
}

// Where the target of `[text](target)` ends: it is not read; 0: there is none.
static size_t link_target(struct str line, size_t i)
{
    if (line.p[i] != ']' || i + 1 >= line.n || line.p[i + 1] != '(')
        return 0;
    for (size_t j = i + 2; j < line.n; j++)
        if (line.p[j] == ')')
            return j;
    return 0;
}

static void take_line(struct cut *c, struct str line, unsigned number)
{
    bool own, table = line.n && line.p[0] == '|';
    size_t i = line_marks(line, &own), target;
    bool heading = own && line.p[i ? i - 1 : 0] == '#';
    if (own || table)
        end_sentence(c);
    while (i < line.n) {
        const char *form = NULL;
        size_t n = plain_form((struct str){line.p + i, line.n - i}, &form);
        unsigned column = (unsigned)i + 1;
        if (n) {
            for (; *form; form++)
                add(c, form, 1, number, column);
            i += n;
            continue;
        }
        if ((target = link_target(line, i))) {
            i = target + 1;
            continue;
        }
        bool end = ends_here(line, i, c);
        if (!strchr("*`_|\"", line.p[i]) ||
            (line.p[i] == '_' && i && isalnum((unsigned char)line.p[i - 1])))
            add(c, line.p + i, 1, number, column);
        else if (line.p[i] == '|')
            add(c, " ", 1, number, column);
        if (end)
            end_sentence(c);
        i++;
    }
    add(c, " ", 1, number, (unsigned)line.n);
    if (heading || table)
        end_sentence(c);
}

// A line of three backquotes or tildes opens and ends a block of code.
static bool is_fence(struct str line)
{
    struct str s = str_trim(line);
    return str_starts(s, STR("```")) || str_starts(s, STR("~~~"));
}

// Takes `<!-- ... -->` out of a line, over lines.
static struct str without_comments(struct arena *arena, struct str line, bool *inside)
{
    if (!*inside && str_find(line, STR("<!--")) < 0)
        return line;
    char *p = arena_alloc(arena, line.n + 1);
    size_t n = 0;
    for (size_t i = 0; p && i < line.n; i++) {
        struct str rest = {line.p + i, line.n - i};
        if (!*inside && str_starts(rest, STR("<!--")))
            *inside = true;
        if (!*inside)
            p[n++] = line.p[i];
        if (*inside && str_starts(rest, STR("-->"))) {
            *inside = false;
            i += 2;
        }
    }
    return (struct str){p, n};
}

int report_sentences(struct arena *arena, struct str text, const char *file,
                     struct report_sentence **ret, size_t *ret_n, struct error *e)
{
    struct cut c = {.arena = arena};
    bool code = false, comment = false;
    unsigned number = 0;
    struct str line;
    if (text.n > REPORT_TEXT_MAX) {
        error_set(e, -E2BIG, "the text has %zu bytes, at most %zu are read", text.n,
                  REPORT_TEXT_MAX);
        error_place(e, file, 0, 0);
        error_way_out(e, "check its parts one by one");
        return -E2BIG;
    }
    while (str_split(&text, '\n', &line)) {
        number++;
        if (is_fence(line)) {
            end_sentence(&c);
            code = !code;
            continue;
        }
        if (code)
            continue;
        line = without_comments(arena, line, &comment);
        if (str_trim(line).n)
            take_line(&c, line, number);
        else
            end_sentence(&c);
    }
    end_sentence(&c);
    bool failed = c.failed || c.now.failed;
    buf_done(&c.now);
    if (failed)
        return error_set(e, -ENOMEM, "out of memory");
    *ret = c.list;
    *ret_n = c.n;
    return 0;
}
