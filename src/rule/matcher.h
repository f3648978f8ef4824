// SPDX-License-Identifier: Apache-2.0
// All strings of one field over all rules, each once (a slot). Most are found by their factors (literal.h) and, where a
// factor does not say all, asked themselves: by a vectorscan database of that expression alone, which is compiled when
// it is first asked for, or by PCRE2 where vectorscan refuses it. What has no factors is in one database of the field.
// Immutable after compile but for those databases, which any thread may be the first to ask for.
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

// An expression that is asked after a factor was found.
struct rule_exact {
    hs_database_t *db; // or NULL: code
    pcre2_code *code;
};

struct rule_matcher {
    struct rule_literals *literals; // NULL: no slot is by literal
    hs_database_t *db;              // NULL: no slot is in it
    size_t n;                       // slots
    uint8_t *how;
    uint32_t *weight;          // of a slot by literal: how telling its factors are
    struct rule_leaf **leaves; // the first of each slot; belong to the rules
    _Atomic(struct rule_exact *) *exact;
    pthread_mutex_t lock; // one compiles
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

// The expression of a slot, compiled if it is not yet. NULL: out of memory.
const struct rule_exact *rule_matcher_exact(struct rule_matcher *m, uint32_t slot);
