// SPDX-License-Identifier: Apache-2.0
// A text value of a rule as tokens: literal bytes, `?` and `*`. Transformations (contains, wide, base64, ...) work on the
// tokens; the end of the chain is one expression in the syntax that vectorscan and PCRE2 share.
//   `*` any bytes, also none.   `?` one byte and the UTF-8 continuation bytes behind it: one character of any text.
#pragma once
#include "base/arena.h"
#include "base/buf.h"

#define RULE_TOKEN_ONE 256
#define RULE_TOKEN_MANY 257

struct rule_pattern {
    uint16_t *tokens; // 0-255 literal byte
    size_t n;
};

#define RULE_PATTERN_MAX 4096 // tokens of one value
#define RULE_VARIANTS_MAX 625 // values that one value may turn into (windash: five for each dash)

// By the specification's escape table: \* \? \\ are plain characters, any other backslash stands for itself.
// 0, -E2BIG, -ENOMEM.
int rule_pattern_parse(struct arena *arena, struct str text, struct rule_pattern *ret);
int rule_pattern_literal(struct arena *arena, struct str bytes, struct rule_pattern *ret);

bool rule_pattern_has_wildcards(const struct rule_pattern *p);
bool rule_pattern_matches_all(const struct rule_pattern *p); // nothing but `*`
// The longest run of literal bytes: how telling the pattern is.
size_t rule_pattern_run(const struct rule_pattern *p);
// Whole value: \A ... \z, with a `*` at an end leaving that end open. Needs DOTALL.
void rule_pattern_expression(const struct rule_pattern *p, struct buf *ret);

// Open one or both ends. -E2BIG, -ENOMEM.
int rule_pattern_open(struct arena *arena, struct rule_pattern *p, bool start, bool end);

// Encodings. -EINVAL: cannot be applied (wildcards in base64, text that is not UTF-8 in UTF-16).
enum rule_utf16 { RULE_UTF16_LE, RULE_UTF16_BE, RULE_UTF16_BOM };
int rule_pattern_utf16(struct arena *arena, struct rule_pattern *p, enum rule_utf16 kind);
int rule_pattern_base64(struct arena *arena, struct rule_pattern *p);
// The part that does not depend on what stands before and behind, for bytes put before: 0, 1, 2.
int rule_pattern_base64_offset(struct arena *arena, const struct rule_pattern *p, unsigned before,
                               struct rule_pattern *ret);
// All permutations of the dashes at the start of words. *ret_n at most RULE_VARIANTS_MAX, else -E2BIG.
int rule_pattern_windash(struct arena *arena, const struct rule_pattern *p,
                         struct rule_pattern **ret, size_t *ret_n);
