// SPDX-License-Identifier: Apache-2.0
// The process tree of an attempt: what the trees of all its detections say together, from the service down.
#pragma once
#include "attempt/attempt.h"
#include "cli/journal.h"
#include "cli/term.h"

// Reads the journal once more. 0 or negative errno.
int attempt_tree(const struct term *t, struct journal *j, const struct attempts *a,
                 const struct attempt *one, struct buf *out, struct error *e);
