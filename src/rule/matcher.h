// SPDX-License-Identifier: Apache-2.0
// All strings of one field over all rules, each once (a slot): one vectorscan database, and PCRE2 where vectorscan
// refuses an expression (then its superset is a prefilter, or PCRE2 stands alone). Immutable after compile.
#pragma once
#include "rule/regex.h"
#include "rule/set.h"

#include <hs.h>

enum rule_how {
    RULE_BY_DATABASE, // a report of the database is the answer
    RULE_CONFIRMED,   // a report is confirmed by PCRE2
    RULE_BY_REGEX,    // not in the database
};

struct rule_matcher {
    hs_database_t *db; // NULL: every slot is by regex
    size_t n;          // slots
    uint8_t *how;
    pcre2_code **code;    // of a slot that is not by the database alone
    uint32_t *watch_from; // n + 1 offsets into watch
    uint32_t *watch;      // rules for which a report of the slot is a reason to be evaluated
};

// Collects the strings while all rules are walked, then builds.
struct rule_strings {
    size_t n, cap;
    struct rule_leaf **leaves; // the first of each slot
    struct map slots;          // flags and expression to slot + 1
    struct arena arena;
};

int rule_strings_add(struct rule_strings *s, struct rule_leaf *leaf);
void rule_strings_done(struct rule_strings *s);

int rule_matcher_new(const struct rule_strings *s, struct rule_matcher **ret, struct error *e);
void rule_matcher_free(struct rule_matcher *m);
