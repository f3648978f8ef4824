// SPDX-License-Identifier: Apache-2.0
// What a report may not say: ten refusals, R1 to R10, found in free text sentence by sentence, each with the words that it
// was found by, the reason, and what could be said instead. Rule-based: checks.c is a table of patterns over word classes
// (words.c), nothing is learned and nothing is guessed. A sentence is taken alone, as a reader who quotes it will.
// To add one: a line in checks.c and sentences for it in tests/report/sentences.tsv, both refused and allowed.
#pragma once
#include "report/text.h"

struct report_checker; // compiled patterns; not for two threads at once

struct report_check_options {
    const struct str *clients; // names that may not stand in the text, in any case
    size_t n_clients;
};

struct report_finding {
    struct str rule;    // "R4"
    struct str words;   // what it was found by, a part of the sentence
    const char *reason; // one sentence
    const char *instead;
    struct str missing; // R10: "window, denominator"; else empty
    size_t sentence;    // index
};

int report_checker_new(const struct report_check_options *options, struct report_checker **ret);
struct report_checker *report_checker_free(struct report_checker *c);

// All findings of a text in its order, at most one a rule and sentence. Sentences and findings live in the arena.
struct report_checked {
    struct report_sentence *sentences;
    size_t n_sentences;
    struct report_finding *findings;
    size_t n;
    size_t unread; // sentences for which a pattern's budget ended: they were not checked wholly
};
// 0, -E2BIG, -ENOMEM.
int report_check(struct report_checker *c, struct arena *arena, struct str text, const char *file,
                 struct report_checked *ret, struct error *e);

// The table of refusals, for help and documents. NULL at the end.
struct report_refusal {
    const char *rule, *title;
};
const struct report_refusal *report_refusals(void);
