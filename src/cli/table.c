// SPDX-License-Identifier: Apache-2.0
#include "cli/table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#define GAP 2
#define LAST_LEAST 20 // the last column is never narrower on a terminal

struct table_cell {
    size_t from, n;
    enum style style;
};

void table_init(struct table *t, const struct column *columns, unsigned n)
{
    *t = (struct table){.columns = columns, .n_columns = n};
}

void table_done(struct table *t)
{
    buf_done(&t->text);
    free(t->cells);
    *t = (struct table){0};
}

void table_add(struct table *t, enum style style, struct str text)
{
    if (t->n_cells == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 64;
        struct table_cell *cells = reallocarray(t->cells, cap, sizeof *cells);
        if (!cells) {
            t->failed = -ENOMEM;
            return;
        }
        t->cells = cells;
        t->cap = cap;
    }
    t->cells[t->n_cells++] = (struct table_cell){t->text.n, text.n, style};
    buf_add_str(&t->text, text);
}

void table_addf(struct table *t, enum style style, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0) {
        t->failed = -ENOMEM;
        return;
    }
    table_add(t, style, str_bytes(text, (size_t)n));
    free(text);
}

static struct str cell_text(const struct table *t, size_t i)
{
    return str_bytes(t->text.p + t->cells[i].from, t->cells[i].n);
}

static void measure(const struct table *t, const struct term *term, unsigned widths[TABLE_COLUMNS])
{
    for (unsigned c = 0; c < t->n_columns; c++)
        widths[c] = t->columns[c].title ? (unsigned)strlen(t->columns[c].title) : 0;
    for (size_t i = 0; t->n_columns && i < t->n_cells; i++) {
        unsigned n = text_columns(cell_text(t, i)), *width = &widths[i % t->n_columns];
        *width = n > *width ? n : *width;
    }
    for (unsigned c = 0; term->width && c < t->n_columns; c++)
        if (t->columns[c].most && widths[c] > t->columns[c].most)
            widths[c] = t->columns[c].most;
}

static void pad(struct buf *out, unsigned n)
{
    buf_addf(out, "%*s", (int)n, "");
}

// The last column: wrapped at blanks when it does not fit.
static void last_cell(const struct term *term, struct str text, unsigned start, struct buf *out)
{
    _cleanup_buf_ struct buf shown = {0};
    text_escape(text, &shown);
    unsigned width = term->width;
    if (width && width < start + LAST_LEAST)
        width = start + LAST_LEAST;
    text_wrap(buf_str(&shown), width, start, start, out);
}

static void print_cell(const struct term *term, struct str text, enum style style,
                       const struct column *column, unsigned width, struct buf *out)
{
    _cleanup_buf_ struct buf shown = {0};
    unsigned used = text_cut(term, text, width, &shown);
    unsigned missing = width > used ? width - used : 0;
    if (column->right)
        pad(out, missing);
    style_begin(term, style, out);
    buf_add_str(out, buf_str(&shown));
    style_end(term, style, out);
    if (!column->right)
        pad(out, missing);
    pad(out, GAP);
}

static void trim_line(struct buf *out)
{
    while (out->n && out->p[out->n - 1] == ' ')
        out->n--;
    buf_add_char(out, '\n');
}

void table_print(const struct table *t, const struct term *term, unsigned indent, struct buf *out)
{
    unsigned widths[TABLE_COLUMNS], last = t->n_columns - 1, start = indent;
    measure(t, term, widths);
    for (unsigned c = 0; c < last; c++)
        start += widths[c] + GAP;
    if (t->columns[0].title) {
        pad(out, indent);
        for (unsigned c = 0; c < last; c++)
            print_cell(term, str_from(t->columns[c].title), STYLE_DIM, &t->columns[c], widths[c],
                       out);
        style_text(term, STYLE_DIM, t->columns[last].title, out);
        trim_line(out);
    }
    for (size_t i = 0; i + last < t->n_cells; i += t->n_columns) {
        pad(out, indent);
        for (unsigned c = 0; c < last; c++)
            print_cell(term, cell_text(t, i + c), t->cells[i + c].style, &t->columns[c], widths[c],
                       out);
        style_begin(term, t->cells[i + last].style, out);
        last_cell(term, cell_text(t, i + last), start, out);
        style_end(term, t->cells[i + last].style, out);
        trim_line(out);
    }
}
