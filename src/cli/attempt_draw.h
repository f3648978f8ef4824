// SPDX-License-Identifier: Apache-2.0
// How attempts are drawn: words of a table's cells, and the story of one.
#pragma once
#include "attempt/attempt.h"
#include "cli/journal.h"
#include "cli/term.h"

enum style attempt_style(enum attempt_outcome outcome);
const char *attempt_outcome_short(const struct attempt *one); // "?": not all was seen
void attempt_means_words(const struct attempts *a, const struct attempt *one, struct buf *out);
void attempt_host_words(const uint8_t host[16], struct buf *out); // "this host", or 8 digits
// The counting rule with what was counted, and what was not for want of room.
void attempt_rule_words(const struct term *t, const struct attempts *a, size_t attempts,
                        size_t shown, size_t detections, struct buf *out);
// Reads its detections once more for the process trees.
int attempt_story(const struct term *t, struct journal *j, const struct attempts *a,
                  const struct attempt *one, struct buf *out, struct error *e);
