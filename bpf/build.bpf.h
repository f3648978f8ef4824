// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Records with paths, put together over more than one program: a mount is described before the kernel acts and sent
// after it did. Kept by thread, as programs on functions can be preempted; 64 at a time, what is over is counted as lost.
#pragma once
#include "security.bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct file_system_type {
    const char *name;
};
struct super_block___security {
    struct file_system_type *s_type;
};
struct mount___security {
    const char *mnt_devname;
};
struct vfsmount___security {
    struct super_block___security *mnt_sb;
};
#pragma clang attribute pop

#define container_mount(vfsmount)                                                                  \
    ((struct mount *)((char *)(vfsmount)-bpf_core_field_offset(struct mount, mnt)))

#define BUILD_BYTES 4096u
#define BUILD_PATH 1280u // of one path; more is cut
#define BUILD_NAME 256u

struct build {
    u32 at, parts, header, flags;
    struct dentry *dentry, *root_dentry;
    struct mount *mount, *root_mount;
    u32 limit, reserved;
    u8 record[BUILD_BYTES + BUILD_NAME];
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 64);
    __type(key, u32); // tid
    __type(value, struct build);
} builds SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, struct build);
} no_build SEC(".maps");

static __always_inline u32 current_tid(void)
{
    return (u32)bpf_get_current_pid_tgid();
}

static __always_inline struct build *build_get(void)
{
    u32 tid = current_tid();
    return bpf_map_lookup_elem(&builds, &tid);
}

static __always_inline void build_drop(void)
{
    u32 tid = current_tid();
    bpf_map_delete_elem(&builds, &tid);
}

// NULL where one is being built by this thread already, or there is no room.
static __always_inline struct build *build_new(u32 fixed)
{
    u32 tid = current_tid(), zero = 0;
    struct build *empty = bpf_map_lookup_elem(&no_build, &zero), *b;
    int r = empty ? (int)bpf_map_update_elem(&builds, &tid, empty, BPF_NOEXIST) : -1;

    if (r) {
        if (r != -17 /* EEXIST: one action that is part of another */)
            COUNT(lost[COUNT_SECURITY]);
        return NULL;
    }
    b = bpf_map_lookup_elem(&builds, &tid);
    if (b)
        b->at = fixed;
    return b;
}

static __always_inline u8 *build_place(struct build *b, u32 at)
{
    at &= BUILD_BYTES - 1;
    asm volatile("" : "+r"(at)); // keep the mask where the verifier sees it
    return b->record + at;
}

static __always_inline void build_begin(struct build *b)
{
    b->header = b->at;
    b->at += sizeof(struct record_part);
}

static __always_inline void build_end(struct build *b, u16 number, u16 part_flags)
{
    struct record_part *part = (struct record_part *)build_place(b, b->header & ~7u);
    u32 end = b->at;

    part->number = number;
    part->flags = part_flags;
    part->bytes = end - b->header - sizeof *part;
    if (end & 7) {
        u64 *last = (u64 *)build_place(b, end & ~7u);
        *last &= (1ull << (end & 7) * 8) - 1;
    }
    b->at = (end + 7) & ~7u;
    b->parts++;
}

static __always_inline void build_name(struct build *b, u16 number, const char *name)
{
    long n;

    build_begin(b);
    n = bpf_probe_read_kernel_str(build_place(b, b->at), BUILD_NAME, name);
    if (n > 0)
        b->at += n;
    build_end(b, number, n < 0 ? PART_UNREAD : n == BUILD_NAME ? PART_CUT : 0);
}

static long build_step(u32 index, void *unused)
{
    struct build *b = build_get();
    struct dentry *dentry, *parent;
    struct mount *mount, *above;
    long n;

    if (!b)
        return 1;
    dentry = b->dentry;
    mount = b->mount;
    if (dentry == b->root_dentry && mount == b->root_mount)
        return 1;
    parent = BPF_CORE_READ(dentry, d_parent);
    if (dentry == BPF_CORE_READ(mount, mnt.mnt_root) || dentry == parent) {
        above = BPF_CORE_READ(mount, mnt_parent);
        if (above == mount || dentry != BPF_CORE_READ(mount, mnt.mnt_root)) {
            b->flags |= PART_UNREACHABLE;
            return 1;
        }
        b->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
        b->mount = above;
        return 0;
    }
    n = b->at < b->limit ? bpf_probe_read_kernel_str(build_place(b, b->at), BUILD_NAME,
                                                     BPF_CORE_READ(dentry, d_name.name))
                         : -1;
    if (n <= 0 || index == RECORD_PATH_COMPONENTS - 1) {
        b->flags |= PART_CUT;
        return 1;
    }
    b->at += n;
    b->dentry = parent;
    return 0;
}

static __always_inline void build_path(struct build *b, u16 number, const struct path *path)
{
    struct task_struct *task = bpf_get_current_task_btf();

    build_begin(b);
    b->root_mount = container_mount(BPF_CORE_READ(task, fs, root.mnt));
    b->root_dentry = BPF_CORE_READ(task, fs, root.dentry);
    b->mount = container_mount(BPF_CORE_READ(path, mnt));
    b->dentry = BPF_CORE_READ(path, dentry);
    b->flags = 0;
    b->limit = b->at + BUILD_PATH - BUILD_NAME;
    bpf_loop(RECORD_PATH_COMPONENTS, build_step, NULL, 0);
    build_end(b, number, b->flags);
}

static __always_inline void build_send(struct build *b)
{
    struct record_security *s = (struct record_security *)b->record;
    u32 bytes = b->at;

    s->r.bytes = bytes;
    s->r.parts = b->parts;
    if (bytes <= BUILD_BYTES)
        security_send(s, bytes);
    else
        COUNT(lost[COUNT_SECURITY]);
}
