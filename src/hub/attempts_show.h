// SPDX-License-Identifier: Apache-2.0
// How the hub's commands draw attempts, from what is stored of them (attempt_print_json()). What hosts sent is escaped.
#pragma once
#include "base/buf.h"
#include <jansson.h>

#define SHOW_WIDTH 100 // columns

// One line of the table; head gives its columns' names.
void attempts_show_head(struct buf *out);
void attempts_show_row(const json_t *one, bool quick, struct buf *out);
// The story of one.
void attempts_show_story(const char *client, const json_t *one, bool quick, struct buf *out);
// At most `columns` of text, printable; what is cut off ends with "~".
void attempts_show_text(const char *text, size_t columns, struct buf *out);
