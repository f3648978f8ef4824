// SPDX-License-Identifier: Apache-2.0
// What the last scans of a field reported, by the exact text: a program is judged at the gate and again as it ran, and
// most of what a machine runs it has run before. A report depends on the text and the compiled rules alone, and a memo
// belongs to one scratch of one compiled set, so nothing in it can become stale.
#pragma once
#include "base/str.h"

struct rule_memo;

int rule_memo_new(size_t words, struct rule_memo **ret); // words of a field's reported bits
struct rule_memo *rule_memo_free(struct rule_memo *memo);
// The bits kept for this text, or NULL. They may be changed as more becomes known of the text.
uint64_t *rule_memo_find(struct rule_memo *memo, struct str text);
// A place for the bits of this text, all zero, good until the next one is asked for. A text that is too long to be
// kept has one, too.
uint64_t *rule_memo_place(struct rule_memo *memo, struct str text);
void rule_memo_forget(struct rule_memo *memo, struct str text);
