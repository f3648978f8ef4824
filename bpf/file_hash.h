// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which bit of the filter before the map `protected` stands for a file: most files are told apart from protected ones
// by one look at it. The same on both sides.
#pragma once
#include "record_file.h"

static inline __attribute__((always_inline)) __u32 file_hash(__u32 device, __u64 inode)
{
    return (__u32)((inode ^ (__u64)device << 40) * 0x9e3779b97f4a7c15ull >> 48) &
           (PROTECT_FILTER_WORDS * 64 - 1);
}
