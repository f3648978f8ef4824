// SPDX-License-Identifier: Apache-2.0
// Which rules can be true at all. Of each rule a set of strings is found of which one must occur (the most telling such
// set); only when one is reported is the rule evaluated. A rule without such a set is always evaluated.
#pragma once
#include "rule/set.h"

struct rule_index {
    size_t words;     // of a bit set of rules
    uint64_t *always; // rules without such strings
    bool *watched;    // per field: has strings that decide
};

int rule_index_new(struct rule_set *set,
                   struct error *e); // fills set->index and the matchers' watch lists
void rule_index_free(struct rule_index *index);

int rule_route_init(const struct rule_set *set, struct rule_route *route);
void rule_route_done(struct rule_route *route);
