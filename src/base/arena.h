// SPDX-License-Identifier: Apache-2.0
// Memory of one batch: many small allocations, freed together. Allocation fails (NULL) at the limit, and the failures
// are counted, so that no input can make a batch grow without bound.
#pragma once
#include "base/str.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks;
    size_t used;     // bytes handed out since the last reset
    size_t limit;    // bytes; 0 means 64 MiB
    uint64_t failed; // allocations refused
};

void arena_done(struct arena *a);
void arena_reset(struct arena *a);            // everything handed out dies; one chunk is kept
void *arena_alloc(struct arena *a, size_t n); // 16-byte aligned, not cleared
void *arena_zero(struct arena *a, size_t n);  // cleared
struct str arena_str(struct arena *a,
                     struct str s); // a copy with a NUL behind it; STR_NONE when refused
char *arena_cstr(struct arena *a, struct str s);

#define arena_new(a, type) ((type *)arena_zero((a), sizeof(type)))
#define arena_array(a, type, count) ((type *)arena_zero((a), sizeof(type) * (size_t)(count)))
#define _cleanup_arena_ __attribute__((cleanup(arena_done)))
