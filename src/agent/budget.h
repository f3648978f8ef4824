// SPDX-License-Identifier: Apache-2.0
// What the engine may spend of the machine. Over it, bulk telemetry goes first: each process and control group may send
// half as much, then a quarter ... until it is within again; what is cut is counted and recorded. Structural events
// (exec, fork, exit, denials) are never cut. Pure: the caller measures.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define BUDGET_SHARE_MAX 1024u

struct budget {
    uint32_t cpu_percent; // of one core, 0: no limit
    uint64_t memory;      // bytes resident, 0: no limit
    uint32_t share;       // bulk telemetry is divided by this; 1: all of it
    uint32_t calm;        // looks in a row with room to spare
    uint64_t average;     // of the CPU share, thousandths of a core
};

// Once a second or so: CPU time spent since the last look, time that went by, resident bytes now. True: the share has
// changed.
bool budget_look(struct budget *b, uint64_t cpu_ns, uint64_t passed_ns, uint64_t resident);
