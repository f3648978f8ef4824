// SPDX-License-Identifier: Apache-2.0
// How often one rule may be recorded in one lineage: 20 detections in a minute. The rest is counted. What is done about
// an event never depends on this. Bounded: 8,192 pairs; over it nothing is kept back.
//
// The brake: a rule that prevents more than 30 times within a minute is taken to be wrong and only detects for the next
// minute. Not below web servers and databases: who talks to these could release a rule by asking 31 times.
#pragma once
#include "base/map.h"
#include "tiercel.pb-c.h"

#define FLOOD_PER_WINDOW 20
#define FLOOD_WINDOW_NS (60ull * 1000000000u)
#define FLOOD_PAIRS 8192

#define BRAKE_PER_WINDOW 30

struct brake {
    uint64_t since, until;
    unsigned n;
};
struct flood {
    struct map pairs;
    struct brake *brakes; // by the rule's index
    size_t n_brakes;
};
void flood_done(struct flood *f);
bool flood_allows(struct flood *f, unsigned rule, const Tiercel__Event *event, uint64_t now_ns);
// It has prevented. True: once too often, from now on it is braked.
bool flood_prevented(struct flood *f, unsigned rule, const Tiercel__Event *event, uint64_t now_ns);
bool flood_braked(const struct flood *f, unsigned rule, const Tiercel__Event *event,
                  uint64_t now_ns);
