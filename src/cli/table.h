// SPDX-License-Identifier: Apache-2.0
// Aligned tables that fit the terminal. The last column takes what is left and is wrapped; others are cut at their most.
#pragma once
#include "cli/term.h"

#define TABLE_COLUMNS 10

struct column {
    const char *title; // NULL in every column: no heading
    unsigned most;     // columns at most on a terminal; 0: as wide as its widest cell
    bool right;        // numbers
};

struct table {
    const struct column *columns;
    unsigned n_columns;
    struct buf text; // of all cells
    struct table_cell *cells;
    size_t n_cells, cap;
    int failed;
};

void table_init(struct table *t, const struct column *columns, unsigned n);
void table_done(struct table *t);
#define _cleanup_table_ __attribute__((cleanup(table_done)))

// Cells are added row by row, from the left; every row must be complete.
void table_add(struct table *t, enum style style,
               struct str text); // text of a host; escaped when printed
void table_addf(struct table *t, enum style style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void table_print(const struct table *t, const struct term *term, unsigned indent, struct buf *out);
