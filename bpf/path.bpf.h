// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Paths: names from the dentry up to the task's root, across mounts. User space puts them in order. bpf_d_path() is
// not allowed at sched_process_exec.
#pragma once
#include "scratch.bpf.h"

#define container_mount(vfsmount)                                                                  \
    ((struct mount *)((char *)(vfsmount)-bpf_core_field_offset(struct mount, mnt)))

// Appends a name with its NUL; false when the part is full.
static __always_inline bool append_name(struct scratch *s, const void *name)
{
    long n;

    if (s->at >= s->walk.limit)
        return false;
    n = bpf_probe_read_kernel_str(record_place(s, s->at), 256, name);
    if (n <= 0)
        return false;
    s->at += n;
    return true;
}

static long path_step(u32 index, void *unused)
{
    struct scratch *s = scratch_get();
    struct dentry *dentry, *parent;
    struct mount *mount;

    if (!s)
        return 1;
    dentry = s->walk.dentry;
    mount = s->walk.mount;
    if (dentry == s->walk.root_dentry && (void *)mount == (void *)s->walk.root_mount)
        return 1;
    parent = BPF_CORE_READ(dentry, d_parent);
    if (dentry == BPF_CORE_READ(mount, mnt.mnt_root) || dentry == parent) {
        struct mount *above = BPF_CORE_READ(mount, mnt_parent);
        if (above == mount || dentry != BPF_CORE_READ(mount, mnt.mnt_root)) {
            if (s->walk.first && s->walk.memory_only)
                append_name(s, BPF_CORE_READ(dentry, d_name.name));
            else if (s->walk.root_dentry || dentry != BPF_CORE_READ(mount, mnt.mnt_root))
                s->walk.flags |= PART_UNREACHABLE;
            return 1;
        }
        s->walk.dentry = BPF_CORE_READ(mount, mnt_mountpoint);
        s->walk.mount = above;
        return 0;
    }
    s->walk.first = 0;
    if (index == RECORD_PATH_COMPONENTS - 1 ||
        !append_name(s, BPF_CORE_READ(dentry, d_name.name))) {
        s->walk.flags |= PART_CUT;
        return 1;
    }
    s->walk.dentry = parent;
    return 0;
}

static __noinline __attribute__((unused)) int
path_part(struct scratch *s, u32 number, struct path *path, struct path *root, u32 memory_only)
{
    struct vfsmount *root_mount;
    u32 header;

    if (!s)
        return 0;
    header = part_begin(s);
    root_mount = BPF_CORE_READ(root, mnt);
    s->walk.root_mount = (void *)container_mount(root_mount);
    s->walk.root_dentry = BPF_CORE_READ(root, dentry);
    s->walk.mount = container_mount(BPF_CORE_READ(path, mnt));
    s->walk.dentry = BPF_CORE_READ(path, dentry);
    s->walk.flags = 0;
    s->walk.first = 1;
    s->walk.memory_only = memory_only;
    s->walk.limit = s->at + RECORD_PATH_BYTES - 256;
    bpf_loop(RECORD_PATH_COMPONENTS, path_step, NULL, 0);
    part_end(s, header, number, s->walk.flags, s->at);
    return 0;
}

static __always_inline struct kernfs_node *kernfs_above(struct kernfs_node *node)
{
    struct kernfs_node___since_6_15 *new = (void *)node;
    struct kernfs_node___until_6_14 *old = (void *)node;

    if (bpf_core_field_exists(new->__parent))
        return BPF_CORE_READ(new, __parent);
    return BPF_CORE_READ(old, parent);
}

static long cgroup_step(u32 index, void *unused)
{
    struct scratch *s = scratch_get();
    struct kernfs_node *node, *above;

    if (!s)
        return 1;
    node = s->walk.node;
    above = kernfs_above(node);
    if (!above) // the root has no name
        return 1;
    if (!append_name(s, BPF_CORE_READ(node, name))) {
        s->walk.flags |= PART_CUT;
        return 1;
    }
    s->walk.node = above;
    return 0;
}

// Where the cgroup-2 hierarchy is not used (everything in its root), the pids controller of a cgroup-1 host says more.
static __noinline __attribute__((unused)) int cgroup_part(struct scratch *s, struct css_set *set)
{
    struct kernfs_node *node;
    u32 header;

    if (!s)
        return 0;
    node = BPF_CORE_READ(set, dfl_cgrp, kn);
    if (!kernfs_above(node) &&
        bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id___any)) {
        u64 pids = bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id___any);
        struct cgroup_subsys_state *state = NULL;
        bpf_probe_read_kernel(&state, sizeof state, &set->subsys[0] + pids);
        node = BPF_CORE_READ(state, cgroup, kn);
    }
    if (!node || !kernfs_above(node))
        return 0;
    header = part_begin(s);
    s->walk.node = node;
    s->walk.flags = 0;
    s->walk.limit = s->at + RECORD_CGROUP_BYTES - 256;
    bpf_loop(32, cgroup_step, NULL, 0);
    part_end(s, header, PART_CGROUP, s->walk.flags, s->at);
    return 0;
}
