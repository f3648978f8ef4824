// SPDX-License-Identifier: Apache-2.0
// What a report says, as objects: observed, assessed, or not claimed, each with a sentence that may be quoted alone, its
// number (unit, window, counting rule, denominator, interval) and the attempts and events that it rests on. Words of
// likelihood are derived from the number, never given. Kept as JSON values, printed with their keys in order.
#pragma once
#include "base/buf.h"
#include <jansson.h>

enum claim_kind { CLAIM_OBSERVED, CLAIM_ASSESSED, CLAIM_NOT_CLAIMED };

struct claim_number {
    double value;
    const char *unit, *rule, *denominator; // what is counted, how, and of what
    double of;                             // how many of the denominator
    const char *interval;                  // its method; NULL: none
    double low, high;
};

struct claims {
    json_t *all; // array
    struct buf text;
    const char *from, *to; // the window in words
    int failed;            // -ENOMEM
};

// Adds a claim; `text` is its sentence. `number` and `evidence` (stolen) may be NULL.
void claim_add(struct claims *c, enum claim_kind kind, const char *about,
               const struct claim_number *number, json_t *evidence, const char *text, ...)
    __attribute__((format(printf, 6, 7)));
void claim_likelihood(struct claims *c, double probability); // of the last claim
void claims_done(struct claims *c);
