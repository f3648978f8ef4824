// SPDX-License-Identifier: Apache-2.0
// The literal strings of an expression: texts of which one must occur wherever the expression matches. Where they say
// all that the expression says (alternatives of plain text, with or without anchors), finding one is the answer;
// elsewhere it is a reason to ask the expression itself. What the reader does not know for certain it leaves out: an
// expression without factors is matched as a whole.
// An expression is read into a finite set of rows of tokens: bytes, start, end, and "anything" for all the rest.
// To understand one more construct: read_escape(), read_group() or read_class() in factor.c; it may always answer "anything".
#pragma once
#include "base/arena.h"

#define RULE_FACTOR_START 1u   // stands at the start of the text
#define RULE_FACTOR_END 2u     // at its end
#define RULE_FACTOR_NEWLINE 4u // at its end, or before the newline that ends it
#define RULE_FACTOR_CASED                                                                          \
    8u // these very bytes; without it the bytes are in lower case and any case matches
#define RULE_FACTOR_SURE 16u // the expression matches wherever this stands

struct rule_factor {
    struct str text;
    unsigned flags;
};

// 0 and at least one factor; -ENOENT: none is known; -ENOMEM. Factors live in the arena.
int rule_factors(struct arena *arena, struct str expression, unsigned flags,
                 struct rule_factor **ret, size_t *ret_n);
