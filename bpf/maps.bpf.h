// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The maps that the programs share (the loader gives those of process.bpf.c to connect.bpf.c), and sending to a ring.
#pragma once
#include "record.h"
#include "tiercel_kernel.h"

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, RING_STRUCTURAL_BYTES);
} structural SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, RING_BULK_BYTES);
} bulk SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, struct exec_config);
} config SEC(".maps");

struct
{ // one row per CPU, so that no capability is needed to read it (a per-CPU map cannot be mapped)
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1); // the loader sets the number of CPUs
    __type(key, u32);
    __type(value, struct counters);
} counters SEC(".maps");

// Keyed by thread group, not kept in task storage: an exec by a thread that is not the leader ends the leader's task
// and its storage with it, and cgroup programs cannot read task storage on 6.1. Emptied at fork and exit.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 131072);
    __type(key, u32);
    __type(value, u32);
} flags SEC(".maps");

static __always_inline struct counters *counters_row(void)
{
    u32 cpu = bpf_get_smp_processor_id();
    return bpf_map_lookup_elem(&counters, &cpu);
}

#define COUNT(field)                                                                               \
    do {                                                                                           \
        struct counters *row_ = counters_row();                                                    \
        if (row_)                                                                                  \
            __sync_fetch_and_add(&row_->field, 1);                                                 \
    } while (0)

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, BULK_PROCESS_SLOTS + BULK_CGROUP_SLOTS);
    __type(key, u32);
    __type(value, struct bulk_slot);
} bulk_slots SEC(".maps");

static __always_inline bool bulk_within(u32 slot_number, u64 second, u32 limit)
{
    struct bulk_slot *slot = bpf_map_lookup_elem(&bulk_slots, &slot_number);

    if (!limit || !slot)
        return true;
    if (slot->second != second) { // two CPUs may both begin it anew: a few more pass
        slot->second = second;
        slot->count = 0;
    }
    return __sync_fetch_and_add(&slot->count, 1) < limit;
}

// Whether one more bulk record of this process may be sent now; counted where not. `cgroup` 0: not known. Before
// anything is spent on the record. Structural records are never asked for. `now`: CLOCK_BOOTTIME, which is dear: the
// record wants it, too.
static __always_inline bool bulk_allowed_at(u64 now, u32 tgid, u64 cgroup, u32 class)
{
    u32 zero = 0;
    struct exec_config *c = bpf_map_lookup_elem(&config, &zero);
    u64 second = now >> 30;
    struct counters *row;

    if (!c)
        return true;
    if (bulk_within(tgid % BULK_PROCESS_SLOTS, second, c->bulk_per_process) &&
        (!cgroup || bulk_within(BULK_PROCESS_SLOTS + (u32)(cgroup * 0x9e3779b97f4a7c15ull >> 54),
                                second, c->bulk_per_cgroup)))
        return true;
    row = counters_row();
    if (row && class < COUNT_CLASSES)
        __sync_fetch_and_add(&row->throttled[class], 1);
    return false;
}

static __always_inline bool bulk_allowed_for(u32 tgid, u64 cgroup, u32 class)
{
    return bulk_allowed_at(bpf_ktime_get_boot_ns(), tgid, cgroup, class);
}

// The same for the current task; not in programs that run for packets.
static __always_inline bool bulk_allowed(u32 class)
{
    return bulk_allowed_for(bpf_get_current_pid_tgid() >> 32, bpf_get_current_cgroup_id(), class);
}

// Waking the reader for every record costs more than everything else together: it polls. It is woken where the record
// must be judged at once, and when the ring passes each sixteenth from its half on (not for each record: a reader that
// is busy elsewhere would make a flood dearer).
static __always_inline u64 wakeup(void *ring, u32 size, u32 bytes, bool at_once)
{
    u64 waiting;

    if (at_once)
        return BPF_RB_FORCE_WAKEUP;
    waiting = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
    return waiting > size / 2 && (waiting & (size / 16 - 1)) <= bytes + 8 ? BPF_RB_FORCE_WAKEUP
                                                                          : BPF_RB_NO_WAKEUP;
}

static __always_inline u32 flags_of(u32 tgid)
{
    u32 *value = bpf_map_lookup_elem(&flags, &tgid);
    return value ? *value : 0;
}
