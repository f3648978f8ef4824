// SPDX-License-Identifier: Apache-2.0
// The programs in the kernel: loads, attaches and steers them, and says of each mechanism whether it was tried and
// works here. Nothing is pinned: probe_free(), or the end of the process, detaches everything.
// The sensor owns the probe. Its descriptors may be inherited by the engine: maps can be written and rings drained
// through them without any capability (functions below that take a descriptor need no struct probe).
// To add a program: bpf/<family>.bpf.c, a line in bpf/meson.build, its loading here.
#pragma once
#include "base/error.h"
#include "base/str.h"
#include "bpf/record.h"
#include <sys/types.h>

enum probe_state {
    PROBE_WORKS,   // tried, with the effect wanted
    PROBE_REFUSED, // tried, and the kernel said no
    PROBE_ABSENT,  // this kernel has no such thing
};

struct probe_mechanism {
    const char *
        name; // "process events", "exec signal", "network deny", "LSM", "fentry", "sched_prepare_exec"
    enum probe_state state;
    char reason[200];    // what was tried and what came of it
    const char *instead; // what is used in its place, or what is missing then; empty when it works
};

struct probe_fds {
    int structural, bulk; // rings, for ring_open()
    int judged, flags, guarded, config, counters, net4, net6;
    int watched; // -1: the kernel's programs do not see files, fanotify does
    int protected, protected_filter, blocked; // -1: they cannot refuse files, fanotify does
};

struct probe_options {
    const uint8_t *hash_key; // 16 bytes, the gate's
    bool without_network;    // do not load the cgroup programs
    bool without_trials;     // do not try what is not used (LSM, fentry); for tests and benchmarks
};

struct probe;

// Needs CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN. Process events are the minimum: without them it is an error (-ENOENT: the
// kernel has no BTF; -EPERM: a capability is missing), everything else is a mechanism's state.
int probe_new(const struct probe_options *options, struct probe **ret, struct error *e);
struct probe *probe_free(struct probe *probe);

size_t probe_mechanisms(const struct probe *probe, const struct probe_mechanism **ret);
struct probe_fds probe_fds(const struct probe *probe); // borrowed

// Steers the exec check; takes effect with the next exec. `mount_namespace`: inode number of the only mount namespace
// to check, 0 for the whole host.
struct probe_arming {
    bool armed, prevent;
    uint32_t mount_namespace;
    uint64_t judged_lifetime_ns; // 0: 10 s
    const pid_t *own;            // not checked; at most CONFIG_OWN
    size_t n_own;
};
int probe_arm(struct probe *probe, const struct probe_arming *arming);

// Bulk records a second that one process and one control group may send: the usual number divided by `share` (1 to 1024);
// 0: no limit.
void probe_bulk_limit(struct probe *probe, uint32_t share);

// Devices that the gate is asked about, as stat's st_dev or mountinfo's major:minor (use the latter where they differ:
// btrfs, overlay). 0 or negative errno.
int probe_guard(int guarded_fd, dev_t device, bool guarded);

// Addresses: 4 or 16 bytes in network order and a prefix length. IPv4 also holds for ::ffff:a.b.c.d.
int probe_net_set(const struct probe_fds *fds, struct str ip, unsigned bits,
                  const struct net_policy *policy);
int probe_net_remove(const struct probe_fds *fds, struct str ip,
                     unsigned bits); // -ENOENT when absent

// Flags of a process and of all that it will fork. `pidfd` (or -1) guards against a reused pid: where its process is
// gone afterwards the flags are taken back and -ESRCH returned.
int probe_flags_set(int flags_fd, pid_t pid, int pidfd, uint32_t flags);
// Whether any process has FLAG_CONTAINED: the programs look at what is sent and received only then.
void probe_contained(struct probe *probe, bool any);
// Takes these flags from every process.
void probe_flags_sweep(int flags_fd, uint32_t flags);
int probe_flags_get(int flags_fd, pid_t pid, uint32_t *ret); // 0 flags where none were set

// What the gate judged; before the answer is written. .time is set here. -E2BIG at the map's cap (16,384).
int probe_judged_set(int judged_fd, pid_t tid, const struct judged *judged);

// Roots of the watch list (bpf/record_file.h), for the file programs; written by the engine. 0 or negative errno:
// -E2BIG at WATCH_ROOTS_MAX; removing what is not there is no error.
int probe_watch_set(int watched_fd, uint32_t device, uint64_t inode,
                    const struct watch_value *value);
int probe_watch_remove(int watched_fd, uint32_t device, uint64_t inode);

// Protected files and folders (who may not open them is refused), and files that nobody may execute, by stat's device
// (mountinfo's where they differ) and inode: bpf/record_file.h. 0 or negative errno: -ENOTSUP where this kernel cannot
// do it, -E2BIG at the map's cap, -ENOENT when absent. Mechanisms "file deny" and "exec deny" say that it works.
int probe_protect_set(const struct probe_fds *fds, dev_t device, ino_t inode,
                      const struct protect_policy *policy);
int probe_protect_remove(const struct probe_fds *fds, dev_t device, ino_t inode);
int probe_block_inode_set(const struct probe_fds *fds, dev_t device, ino_t inode, uint32_t rule);
int probe_block_inode_remove(const struct probe_fds *fds, dev_t device, ino_t inode);

// Counters, mapped read-only: rows of struct counters, one per CPU.
struct probe_counters;
int probe_counters_map(int counters_fd, struct probe_counters **ret);
struct probe_counters *probe_counters_unmap(struct probe_counters *counters);
struct counters probe_counters_sum(const struct probe_counters *counters);

int probe_cgroup_root(void); // of the cgroup-2 hierarchy; a descriptor, or negative errno
