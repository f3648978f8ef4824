// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Where a record is put together before it goes to the ring in one piece: per CPU, as tracepoints run with preemption
// off. Only the exec program uses it (a program does not nest in itself; the kernel counts what it refuses).
#pragma once
#include "maps.bpf.h"

#define HASH_CHUNK 512u
#define HASH_MAX_BYTES (8u << 20) // the kernel's own limit of argv and envp together is 6 MiB
#define ENVIRONMENT_VALUE 1024u   // recorded of one variable

struct scratch {
    u32 at; // end of the record so far
    u32 parts;
    struct {
        u64 position, end, rest, value;
        u64 v[4];
        u32 kernel, unread;
        u8 chunk[2 * HASH_CHUNK];
    } hash;
    struct { // path walk, cgroup walk
        struct dentry *dentry, *root_dentry;
        struct mount *mount;
        struct vfsmount *root_mount;
        struct kernfs_node *node;
        u32 flags, first, limit, memory_only;
    } walk;
    struct {
        u64 position, end;
        u32 listed, flags, inside, limit;
    } environment;
    struct {
        u64 position, end, filename_hash;
        u32 filename_bytes, found;
    } script;
    u8 string[RECORD_PATH_BYTES];
    u8 record[RECORD_BYTES +
              RECORD_ARGV_BYTES]; // the verifier wants room for the longest part at any place
};

struct { // one per CPU; a per-CPU map's values may have 32 KiB only
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1); // the loader sets the number of CPUs
    __type(key, u32);
    __type(value, struct scratch);
} scratch SEC(".maps");

static __always_inline struct scratch *scratch_get(void)
{
    u32 cpu = bpf_get_smp_processor_id();
    return bpf_map_lookup_elem(&scratch, &cpu);
}

// Bytes with the NUL, or negative. Older kernels (6.1, 6.12) give 0 for an empty string.
static __always_inline long read_user_string(void *to, u32 bytes, u64 from)
{
    long n = bpf_probe_read_user_str(to, bytes, (void *)from);
    return n ? n : 1;
}

static __always_inline u8 *record_place(struct scratch *s, u32 at)
{
    at &= RECORD_BYTES - 1;
    asm volatile("" : "+r"(at)); // keep the mask where the verifier sees it
    return s->record + at;
}

// A part is begun (its data goes to s->at), filled, and ended with the number of bytes that it got.
static __always_inline u32 part_begin(struct scratch *s)
{
    u32 header = s->at;
    s->at = header + sizeof(struct record_part);
    return header;
}

static __always_inline void part_end(struct scratch *s, u32 header, u16 number, u16 part_flags,
                                     u32 end)
{
    struct record_part *part = (struct record_part *)record_place(s, header & ~7u);

    part->number = number;
    part->flags = part_flags;
    part->bytes = end - header - sizeof *part;
    if (end & 7) {
        u64 *last = (u64 *)record_place(s, end & ~7u);
        *last &= (1ull << (end & 7) * 8) - 1;
    }
    s->at = (end + 7) & ~7u;
    s->parts++;
}
