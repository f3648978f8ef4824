// SPDX-License-Identifier: Apache-2.0
// What one batch of the journal may spend on long command lines. Whoever may run programs could else push everything
// older out of a bounded journal within a minute, by arguments of random bytes. Long ones are kept whole while they are
// few; in a flood only their beginning is kept, marked as cut.
#pragma once
#include "tiercel.pb-c.h"
#include <stddef.h>
#include <stdint.h>

#define THRIFT_FREE ((size_t)1 << 10) // bytes of each command line that are always kept
#define THRIFT_BURST ((uint64_t)4 << 20)
#define THRIFT_PER_SECOND ((uint64_t)32 << 10)

struct thrift {
    uint64_t spent;   // of the burst
    uint64_t last_ns; // CLOCK_MONOTONIC, of the batch before
};

// Cuts what is over the budget, in place. Returns the number of command lines that were cut.
size_t thrift_batch(struct thrift *t, Tiercel__Batch *batch, uint64_t now_ns);

// Of the command line, each string with its NUL.
size_t thrift_argv_bytes(const Tiercel__Process *p);
// Keeps the first `room` bytes of it, in place, marked as cut; what fits stays as it is.
void thrift_cut_argv(Tiercel__Process *p, size_t room);
