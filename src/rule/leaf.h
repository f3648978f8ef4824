// SPDX-License-Identifier: Apache-2.0
// Tests of one value that are not a search for a text: addresses, numbers, times, other fields.
#pragma once
#include "rule/set.h"

// NULL, or what is wrong with it.
const char *rule_cidr_parse(struct str text, struct rule_cidr *ret);

bool rule_leaf_cidr(const struct rule_leaf *leaf, struct str text);
bool rule_leaf_compare(const struct rule_leaf *leaf, int64_t number);
// Text is ISO 8601, read as it stands; a number is seconds, ms, us or ns since 1970 UTC by its size.
bool rule_leaf_time_text(const struct rule_leaf *leaf, struct str text);
bool rule_leaf_time_number(const struct rule_leaf *leaf, int64_t number);
bool rule_leaf_field(const struct rule_leaf *leaf, struct str text, struct str other);
