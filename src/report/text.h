// SPDX-License-Identifier: Apache-2.0
// A report's text, Markdown or plain, cut into sentences: each with its place, blanks folded, typographic quotes and dashes
// as their ASCII forms and without double quotes, so that none hides a word from a pattern. Code blocks, comments and link
// targets are left out, as no reader takes them for a statement. A heading, a list item and a table row are sentences of
// their own.
#pragma once
#include "base/arena.h"
#include "base/error.h"

#define REPORT_TEXT_MAX ((size_t)1 << 20) // bytes of one text
#define REPORT_SENTENCE_MAX 4096 // bytes; what is longer is cut at a blank and goes on as the next

struct report_sentence {
    struct str text; // in the arena
    unsigned line, column;
};

// -E2BIG, -ENOMEM.
int report_sentences(struct arena *arena, struct str text, const char *file,
                     struct report_sentence **ret, size_t *ret_n, struct error *e);
