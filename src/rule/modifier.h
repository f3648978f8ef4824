// SPDX-License-Identifier: Apache-2.0
// The key of a detection item, "Field|modifier|modifier", and what its modifiers make of a value.
// To add a modifier: one line in modifier.c's table.
#pragma once
#include "rule/set.h"

enum rule_type {
    RULE_TYPE_TEXT,
    RULE_TYPE_REGEX,
    RULE_TYPE_CIDR,
    RULE_TYPE_EXISTS,
    RULE_TYPE_COMPARE,
    RULE_TYPE_TIME,
    RULE_TYPE_FIELD,
};

#define RULE_CHAIN_MAX 16

struct rule_modifier;

struct rule_chain {
    struct str field; // empty: the whole record
    enum rule_type type;
    uint8_t op;
    bool all, neq, cased, open_start, open_end;
    unsigned flags;                                    // RULE_FLAG_* of a regular expression
    const struct rule_modifier *steps[RULE_CHAIN_MAX]; // those that transform text, in order
    size_t n_steps;
    const struct rule_yaml *key;
};

int rule_chain_parse(struct rule_parse *p, const struct rule_yaml *key, struct rule_chain *ret);

// The patterns that one text value turns into.
int rule_chain_apply(struct rule_parse *p, const struct rule_chain *chain,
                     const struct rule_yaml *value, struct rule_pattern first,
                     struct rule_pattern **ret, size_t *ret_n);
