// SPDX-License-Identifier: Apache-2.0
// What a library floor tells its caller instead of printing: what went wrong, where, and the way out.
// A negative errno means "pass it up"; a positive return value is a documented condition of one function.
#pragma once
#include <stdio.h>

struct error {
    int code;          // negative errno, 0 when nothing was set
    char what[384];    // "unknown modifier 'contians'"
    char file[256];    // empty when the error has no place
    unsigned line;     // 1-based, 0 when unknown
    unsigned column;   // 1-based, 0 when unknown
    char way_out[256]; // "did you mean 'contains'?"; may be empty
};

// Fill *e (which may be NULL) and return code.
int error_set(struct error *e, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void error_place(struct error *e, const char *file, unsigned line, unsigned column);
void error_way_out(struct error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

// "file:12:7: what; way out", without a newline. Bytes that are not printable ASCII or UTF-8 are shown as \xNN.
void error_print(const struct error *e, FILE *out);
