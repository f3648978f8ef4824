// SPDX-License-Identifier: Apache-2.0
// The programs that contain the whole host (bpf/contain.bpf.c). They are loaded, not attached, while the sensor may still
// load programs; attached and pinned by an order, so that they outlive the agent; taken over from their pins by the next
// one. Pins: <folder>/tiercel/contain1/{state,allow4,allow6,link0..5}.
#pragma once
#include "base/error.h"
#include "link/response.h"
#include <sys/types.h>

struct contain;

#define CONTAIN_BPFFS "/sys/fs/bpf"
// Loads and makes the folder of the pins for `owner`; takes over what an earlier agent has pinned there, and takes away
// what is over. `cgroup`: descriptor of the control group (the root of the hierarchy), kept as a copy. `bpffs` that is no
// bpf file system: nothing is pinned. Needs CAP_BPF, CAP_NET_ADMIN.
int contain_load(int cgroup, const char *bpffs, uid_t owner, struct contain **ret, struct error *e);
// Closes; what is pinned stays.
struct contain *contain_free(struct contain *c);
// From now on, or as now, until `until_ns` (CLOCK_BOOTTIME). *ret_pinned: it outlives this process. Needs CAP_NET_ADMIN.
int contain_apply(struct contain *c, const struct response_address *allowed, uint32_t n,
                  uint64_t until_ns, bool *ret_pinned);
int contain_release(struct contain *c);
bool contain_active(const struct contain *c); // attached, also when its time is over
