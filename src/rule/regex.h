// SPDX-License-Identifier: Apache-2.0
// Expressions by PCRE2, for checking what an author wrote and for what vectorscan cannot express (look-around,
// back-references). Bytes, not characters. Matching is bounded: the work for one value has a budget.
#pragma once
#include "base/str.h"
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define RULE_EXPRESSION_MAX 15000

// 0, or -EINVAL with a message and the offset in the text.
int rule_regex_check(struct str expression, unsigned flags, char *ret_message, size_t size,
                     size_t *ret_offset);
int rule_regex_compile(struct str expression, unsigned flags, pcre2_code **ret);

struct rule_regex_scratch {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};
int rule_regex_scratch_init(struct rule_regex_scratch *s);
void rule_regex_scratch_done(struct rule_regex_scratch *s);
// 1 found, 0 not, -ELOOP: the budget ended first.
int rule_regex_match(const pcre2_code *code, const struct rule_regex_scratch *s, struct str text);
