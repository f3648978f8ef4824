// SPDX-License-Identifier: Apache-2.0
// The table of refusals: what finds them, what makes a sentence harmless, why, and what could be said instead.
#pragma once
#include "report/check.h"

#define REPORT_PARTS_MAX 4

struct report_part { // what a sentence must have, or it is found
    const char *name;
    const char *const *patterns; // NULL at the end
};

// A sentence is found when one of `found` matches, none of `but` does, and, where parts are given, one of them is missing.
struct report_row {
    const char *rule;
    const char *const *found;
    const char *const *but; // NULL: nothing makes it harmless
    struct report_part parts[REPORT_PARTS_MAX];
    const char *reason, *instead;
};

extern const struct report_row report_rows[];
extern const size_t report_n_rows;
