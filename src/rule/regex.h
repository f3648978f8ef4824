// SPDX-License-Identifier: Apache-2.0
// Expressions by PCRE2, for checking what an author wrote and for what vectorscan cannot express (look-around,
// back-references). Bytes, not characters. Matching is bounded: the work for one value has a budget, counted in steps
// and bytes (PCRE2's own match limit counts neither, and is renewed at each start position), never in time. Without
// its JIT: the engine's role may not have executable memory, and a replay elsewhere must find the same.
#pragma once
#include "base/str.h"
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define RULE_EXPRESSION_MAX 15000

// 0, or -EINVAL with a message and the offset in the text.
int rule_regex_check(struct str expression, unsigned flags, char *ret_message, size_t size,
                     size_t *ret_offset);
int rule_regex_compile(struct str expression, unsigned flags, pcre2_code **ret);

struct rule_regex_scratch;
int rule_regex_scratch_new(struct rule_regex_scratch **ret);
void rule_regex_scratch_free(struct rule_regex_scratch *s);
#define RULE_REGEX_BUDGET 2000000u // about 20 ms
// 1 found, 0 not, -ELOOP: the budget ended first.
int rule_regex_match(const pcre2_code *code, struct rule_regex_scratch *s, struct str text,
                     size_t budget);
