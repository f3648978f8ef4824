// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What contain.bpf.c and the sensor share. The folder of the pins has CONTAIN_VERSION in its name: programs that an older
// agent left pinned know its layout only.
#pragma once
#include <linux/types.h>

#define CONTAIN_VERSION 1
#define CONTAIN_ALLOWED 64 // addresses

struct contain_state {
    __u64 until; // CLOCK_BOOTTIME nanoseconds; from then on everything passes
};
struct contain_key4 {
    __u32 bits;
    __u8 ip[4];
};
struct contain_key6 {
    __u32 bits;
    __u8 ip[16];
};
