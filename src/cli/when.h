// SPDX-License-Identifier: Apache-2.0
// Times as people write and read them.
#pragma once
#include "base/buf.h"
#include "base/str.h"

// 30s, 10m, 2h, 7d, 2w; a bare number is seconds. Nanoseconds. 0, -EINVAL, -ERANGE (over 100 years).
int when_duration(struct str s, uint64_t *ret_ns);
// A duration (that long ago), "now", "today", "yesterday", 15:30[:05], 2026-11-23, 2026-11-23T15:30[:05][Z], the local
// zone unless Z. 15:30 later than now means yesterday's. Nanoseconds since 1970. 0 or -EINVAL.
int when_time(struct str s, uint64_t now_ns, uint64_t *ret_ns);

void when_print_clock(uint64_t ns, uint64_t now_ns,
                      struct buf *out);             // 15:30:05, or 11-22 15:30:05 on another day
void when_print_full(uint64_t ns, struct buf *out); // 2026-11-23 15:30:05.123 +0100
void when_print_duration(uint64_t ns, struct buf *out); // 27 µs, 1.3 ms, 4 s, 5 min, 2 h, 3 days
