// SPDX-License-Identifier: Apache-2.0
#include "cli/term.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

static const char *const codes[] = {
    [STYLE_PLAIN] = "",   [STYLE_BOLD] = "1",        [STYLE_DIM] = "2",   [STYLE_RED] = "31",
    [STYLE_GREEN] = "32", [STYLE_YELLOW] = "33",     [STYLE_BLUE] = "34", [STYLE_MAGENTA] = "35",
    [STYLE_CYAN] = "36",  [STYLE_ALARM] = "1;37;41",
};

void term_measure(struct term *t)
{
    struct winsize size = {0};
    const char *columns = getenv("COLUMNS");
    if (!t->terminal)
        t->width = 0;
    else if (ioctl(fileno(t->file), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        t->width = size.ws_col;
    else if (columns && atoi(columns) > 0)
        t->width = (unsigned)atoi(columns);
    else
        t->width = 80;
    if (t->terminal && t->width < 40)
        t->width = 40; // narrower shows nothing: let the terminal wrap
}

// Terminals are UTF-8 today also where no locale is set; only a locale that names another character set says otherwise.
static bool wants_utf8(void)
{
    const char *names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < 3; i++) {
        const char *value = getenv(names[i]);
        if (!value || !*value)
            continue;
        return strcasestr(value, "utf-8") || strcasestr(value, "utf8") || !strcmp(value, "C") ||
               !strcmp(value, "POSIX");
    }
    return true;
}

struct term term_of(FILE *file)
{
    const char *no_color = getenv("NO_COLOR"), *kind = getenv("TERM");
    struct term t = {.file = file, .terminal = isatty(fileno(file)), .utf8 = wants_utf8()};
    t.colour = t.terminal && !(no_color && *no_color) && kind && strcmp(kind, "dumb") != 0;
    term_measure(&t);
    return t;
}

// Decodes one character; its length in bytes, or 0 where the bytes are not UTF-8 (overlong and surrogates included).
static unsigned decode(struct str s, uint32_t *ret)
{
    unsigned char c = (unsigned char)s.p[0];
    unsigned n = c < 0x80                ? 1
                 : c >= 0xc2 && c < 0xe0 ? 2
                 : c >= 0xe0 && c < 0xf0 ? 3
                 : c >= 0xf0 && c < 0xf5 ? 4
                                         : 0;
    if (n == 0 || s.n < n)
        return 0;
    uint32_t u = n == 1 ? c : c & (0xffu >> (n + 1));
    for (unsigned i = 1; i < n; i++) {
        unsigned char d = (unsigned char)s.p[i];
        if ((d & 0xc0) != 0x80)
            return 0;
        u = u << 6 | (d & 0x3f);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (u < least[n] || (u >= 0xd800 && u < 0xe000) || u > 0x10ffff)
        return 0;
    *ret = u;
    return n;
}

// Characters that are valid but would deceive: invisible, direction-changing, line-breaking, or private.
static bool deceives(uint32_t u)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0x7f, 0x9f},     {0xad, 0xad},       {0x34f, 0x34f},      {0x61c, 0x61c},
        {0x115f, 0x1160}, {0x17b4, 0x17b5},   {0x180b, 0x180f},    {0x200b, 0x200f},
        {0x2028, 0x202e}, {0x2060, 0x206f},   {0x2800, 0x2800},    {0x3164, 0x3164},
        {0xe000, 0xf8ff}, {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},    {0xffa0, 0xffa0},
        {0xfff0, 0xffff}, {0x1d173, 0x1d17a}, {0xe0000, 0x10ffff},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (u >= ranges[i].first && u <= ranges[i].last)
            return true;
    return false;
}

struct glyph {
    char text[16];
    unsigned bytes, columns;
};

// The next character of s in its shown form; returns how many bytes of s it took.
static unsigned next_glyph(struct str s, struct glyph *ret)
{
    unsigned char c = (unsigned char)s.p[0];
    uint32_t u = 0;
    unsigned n = decode(s, &u);
    int width = n && u >= 0x20 && !deceives(u) ? wcwidth((wchar_t)u) : -1;
    if (width >= 0) {
        memcpy(ret->text, s.p, n);
        ret->bytes = n;
        ret->columns = (unsigned)width;
        return n;
    }
    int length;
    if (c == '\n' || c == '\t' || c == '\r')
        length = snprintf(ret->text, sizeof ret->text, "\\%c",
                          c == '\n'   ? 'n'
                          : c == '\t' ? 't'
                                      : 'r');
    else if (n > 1)
        length = snprintf(ret->text, sizeof ret->text, "\\u{%X}", u);
    else
        length = snprintf(ret->text, sizeof ret->text, "\\x%02x", c);
    ret->bytes = ret->columns = (unsigned)length;
    return n ? n : 1;
}

static struct str rest_of(struct str s, size_t n)
{
    return (struct str){s.p + n, s.n - n};
}

void text_escape(struct str s, struct buf *out)
{
    struct glyph g;
    while (s.n) {
        s = rest_of(s, next_glyph(s, &g));
        buf_add(out, g.text, g.bytes);
    }
}

unsigned text_columns(struct str s)
{
    unsigned columns = 0;
    struct glyph g;
    while (s.n) {
        s = rest_of(s, next_glyph(s, &g));
        columns += g.columns;
    }
    return columns;
}

unsigned text_cut(const struct term *t, struct str s, unsigned columns, struct buf *out)
{
    unsigned used = 0, kept_columns = 0;
    size_t kept = out->n; // where an ellipsis would go
    struct glyph g;
    while (s.n) {
        unsigned taken = next_glyph(s, &g);
        if (columns && used + g.columns > columns) {
            if (!out->failed)
                out->n = kept;
            buf_add_str(out, t->utf8 ? STR("…") : STR("~"));
            return kept_columns + 1;
        }
        buf_add(out, g.text, g.bytes);
        used += g.columns;
        if (used < columns) {
            kept = out->n;
            kept_columns = used;
        }
        s = rest_of(s, taken);
    }
    return used;
}

static bool plain_word(struct str s)
{
    static const char special[] = " \t\n\"'\\$`|&;<>()*?[]{}#~!";
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == 0 || strchr(special, s.p[i]))
            return false;
    return s.n > 0;
}

void text_argv(const struct str *argv, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_add_char(out, ' ');
        if (plain_word(argv[i])) {
            buf_add_str(out, argv[i]);
            continue;
        }
        buf_add_char(out, '\'');
        for (size_t j = 0; j < argv[i].n; j++) {
            if (argv[i].p[j] == '\'')
                buf_add_str(out, STR("'\\''"));
            else
                buf_add_char(out, argv[i].p[j]);
        }
        buf_add_char(out, '\'');
    }
}

void style_begin(const struct term *t, enum style style, struct buf *out)
{
    if (t->colour && style != STYLE_PLAIN)
        buf_addf(out, "\033[%sm", codes[style]);
}

void style_end(const struct term *t, enum style style, struct buf *out)
{
    if (t->colour && style != STYLE_PLAIN)
        buf_add_str(out, STR("\033[0m"));
}

void style_text(const struct term *t, enum style style, const char *text, struct buf *out)
{
    style_begin(t, style, out);
    buf_add_str(out, str_from(text));
    style_end(t, style, out);
}

void text_wrap(struct str s, unsigned width, unsigned first_column, unsigned indent,
               struct buf *out)
{
    unsigned column = first_column;
    bool first = true;
    struct str word;
    while (str_split(&s, ' ', &word)) {
        unsigned columns = text_columns(word);
        if (!first && width && column + 1 + columns > width && column > indent) {
            buf_addf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (!first) {
            buf_add_char(out, ' ');
            column++;
        }
        buf_add_str(out, word);
        column += columns;
        first = false;
    }
}

void term_write(const struct term *t, struct buf *b)
{
    if (b->n)
        fwrite(b->p, 1, b->n, t->file);
    fflush(t->file);
    buf_reset(b);
}
