// SPDX-License-Identifier: Apache-2.0
// Whether an agent that ended left anything in the kernel. The BPF programs that its processes hold (directly or by a
// link) are noted while it runs and looked for when it is gone: a link or a cgroup attachment holds its program, so a
// program that is gone is attached nowhere. Marks live in a fanotify group that dies with its last holder, so it is
// enough that none of the agent's processes lives.
#pragma once
#include "base/buf.h"
#include "base/error.h"
#include <sys/types.h>

#define LEFTOVER_MAX 4096

struct leftover_ids {
    uint32_t ids[LEFTOVER_MAX];
    size_t n;
};

// BPF programs that processes running this file hold now.
void leftover_held(const char *program, struct leftover_ids *ret);
// Waits up to two seconds (the kernel frees programs after a while) for all of `ours` to go and for all processes that run
// `program` to end. 0 nothing is left; else how many things are, each named in `what`.
unsigned leftover_check(const struct leftover_ids *ours, const char *program, struct buf *what);
