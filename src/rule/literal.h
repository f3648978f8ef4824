// SPDX-License-Identifier: Apache-2.0
// The factors of all expressions of one field, found in one pass: a vectorscan database of plain strings, which is
// compiled some fifty times faster than one of expressions. Where a string must stand and in which case is checked
// at the report. Immutable after it is built.
#pragma once
#include "rule/factor.h"

#include <hs.h>

struct rule_literals;

// Collects, then builds.
struct rule_literal {
    struct rule_factor factor;
    uint32_t slot;
};

// n > 0; texts are copied. `list` is put in order. -ENOMEM, -E2BIG.
int rule_literals_new(struct rule_literal *list, size_t n, struct rule_literals **ret);
struct rule_literals *rule_literals_free(struct rule_literals *l);

const hs_database_t *rule_literals_database(const struct rule_literals *l);
// Calls found() for each place where a factor stands, in the order of their ends. -EIO: the text was not read to its end.
int rule_literals_scan(const struct rule_literals *l, hs_scratch_t *scratch, struct str text,
                       void (*found)(void *context, uint32_t slot, bool sure), void *context);
