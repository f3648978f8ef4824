// SPDX-License-Identifier: Apache-2.0
// All strings of one field over all rules, each once (a slot). Most are found by their factors (literal.h); where a
// factor does not say all, PCRE2 is asked, and if that takes long a vectorscan database of that expression alone, whose
// time does not depend on what the text was made for. Such a database takes 1 to 40 ms to compile and is compiled when
// it is first needed. What has no factors is in one database of the field.
// Immutable after compile but for those databases, which any thread may be the first to need.
#pragma once
#include "rule/literal.h"
#include "rule/regex.h"
#include "rule/set.h"

#include <hs.h>
#include <pthread.h>

enum rule_how {
    RULE_BY_DATABASE, // a report of the database is the answer
    RULE_CONFIRMED,   // a report is confirmed by PCRE2
    RULE_BY_REGEX,    // PCRE2 alone
    RULE_BY_LITERAL,  // a factor is the answer, or a reason to ask the expression
};

struct rule_matcher {
    struct rule_literals *literals; // NULL: no slot is by literal
    hs_database_t *db;              // NULL: no slot is in it
    size_t n;                       // slots
    uint8_t *how;
    uint32_t *weight;              // of a slot by literal: how telling its factors are
    struct rule_leaf **leaves;     // the first of each slot; belong to the rules
    pcre2_code **code;             // of a slot that is not by the database or by its factors alone
    _Atomic(hs_database_t *) *own; // of a slot by literal
    pthread_mutex_t lock;          // one compiles
    uint32_t *watch_from;          // n + 1 offsets into watch
    uint32_t *watch; // rules for which a report of the slot is a reason to be evaluated
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

// The database of a slot by literal: as far as it is there, and compiled. NULL: vectorscan refuses the expression.
const hs_database_t *rule_matcher_known(const struct rule_matcher *m, uint32_t slot);
const hs_database_t *rule_matcher_own(struct rule_matcher *m, uint32_t slot);
