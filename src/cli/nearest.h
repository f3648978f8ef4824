// SPDX-License-Identifier: Apache-2.0
// "Did you mean": edits between two words, as typing errors go.
#pragma once
#include "base/str.h"

// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment), without case. Words over 32
// bytes are never near: UINT32_MAX.
unsigned nearest_distance(struct str a, struct str b);
// Whether `candidate` is near enough to what was typed to be offered: up to a third of its length, at least one edit; or
// what was typed begins it.
bool nearest_offers(struct str typed, struct str candidate, unsigned *ret_distance);
