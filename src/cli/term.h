// SPDX-License-Identifier: Apache-2.0
// What a terminal is shown. Everything that comes from a host passes text_escape(): control characters, invalid UTF-8,
// characters without a width of their own and direction overrides are shown as escapes, so that no file name or
// argument can move the cursor, hide itself or change how the rest reads. The exact bytes are in --json.
#pragma once
#include "base/buf.h"
#include "base/str.h"
#include <stdio.h>

enum style {
    STYLE_PLAIN,
    STYLE_BOLD,
    STYLE_DIM,
    STYLE_RED,
    STYLE_GREEN,
    STYLE_YELLOW,
    STYLE_BLUE,
    STYLE_MAGENTA,
    STYLE_CYAN,
    STYLE_ALARM, // bold white on red
};

struct term {
    FILE *file;
    bool terminal;  // a person looks
    bool colour;    // terminal, no NO_COLOR, TERM not dumb
    bool utf8;      // box characters may be used
    unsigned width; // columns; 0: do not cut (not a terminal)
};

// Looks at the descriptor and the environment. The locale must be set (wcwidth).
struct term term_of(FILE *file);
void term_measure(struct term *t); // again, after SIGWINCH

// Bytes of a host as printable text.
void text_escape(struct str s, struct buf *out);
// Escaped and cut to so many columns, the last one then being "…" (or "~"); 0: not cut. Returns columns used.
unsigned text_cut(const struct term *t, struct str s, unsigned columns, struct buf *out);
unsigned text_columns(struct str s); // that the escaped form takes
// argv as one line a person could type: words with blanks or quotes in quotes.
void text_argv(const struct str *argv, size_t n, struct buf *out);

void style_begin(const struct term *t, enum style style, struct buf *out);
void style_end(const struct term *t, enum style style, struct buf *out);
// Our own text, printed as it is, in a style.
void style_text(const struct term *t, enum style style, const char *text, struct buf *out);

// Our own prose, wrapped at blanks to the width, every line but the first indented; 0: not wrapped.
void text_wrap(struct str s, unsigned width, unsigned first_column, unsigned indent,
               struct buf *out);

void term_write(const struct term *t, struct buf *b); // writes, flushes and resets
