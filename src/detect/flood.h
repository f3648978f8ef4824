// SPDX-License-Identifier: Apache-2.0
// How often one rule may be recorded in one lineage: 20 detections in a minute. The rest is counted. What is done about
// an event never depends on this. Bounded: 8,192 pairs; over it nothing is kept back.
#pragma once
#include "base/map.h"
#include "tiercel.pb-c.h"

#define FLOOD_PER_WINDOW 20
#define FLOOD_WINDOW_NS (60ull * 1000000000u)
#define FLOOD_PAIRS 8192

struct flood {
    struct map pairs;
};
void flood_done(struct flood *f);
bool flood_allows(struct flood *f, unsigned rule, const Tiercel__Event *event, uint64_t now_ns);
