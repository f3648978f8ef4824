// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the file programs share: which folder is watched, which file protected, and the record of a change. Inode numbers
// are unique per s_dev here; where they are not (btrfs subvolumes) a folder may stand for another of its number.
#pragma once
#include "file_hash.h"
#include "inode.bpf.h"
#include "path.bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct hlist_node {
    struct hlist_node *next;
};
struct hlist_head {
    struct hlist_node *first;
};
struct list_head {
    struct list_head *next;
};
struct dentry___file {
    struct dentry___file *d_parent;
    struct qstr d_name;
    struct inode___file *d_inode;
    union {
        struct hlist_node d_alias;
    } d_u;
};
struct super_block___file {
    u32 s_dev;
    struct dentry *s_root;
    struct list_head s_mounts;
};
struct inode___file {
    unsigned short i_mode;
    unsigned long i_ino;
    long long i_size;
    struct super_block___file *i_sb;
    struct hlist_head i_dentry;
};
struct mount___file {
    struct list_head mnt_instance;
};
struct path___file {
    struct vfsmount *mnt;
    struct dentry___file *dentry;
};
struct file___file {
    struct path___file f_path;
    struct inode___file *f_inode;
    unsigned int f_mode;
};
#pragma clang attribute pop

#define EPERM 1
#define FMODE_WRITE 2
#define FMODE_OPENED 0x80000
#define FMODE_CREATED 0x100000
#define S_ISREG(mode) (((mode)&S_IFMT) == S_IFREG)
#define S_ISDIR(mode) (((mode)&S_IFMT) == S_IFDIR)
#define EXECUTE_BITS 0111
#define SET_ID_BITS 06000
#define FOLD_READS (60ull * 1000000000) // nanoseconds
#define FOLD_DENIED (1ull * 1000000000)
#define MOUNTS_LOOKED_AT 64

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, WATCH_ROOTS_MAX);
    __type(key, struct watch_key);
    __type(value, struct watch_value);
} watched SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, PROTECTED_MAX);
    __type(key, struct watch_key);
    __type(value, struct protect_policy);
} protected SEC(".maps");

struct { // one bit per file_hash(): what is not here is not in `protected`
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, PROTECT_FILTER_WORDS);
    __type(key, u32);
    __type(value, u64);
} protected_filter SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, BLOCKED_MAX);
    __type(key, struct watch_key);
    __type(value, struct block_value);
} blocked SEC(".maps");

struct fold_key {
    u64 inode;
    u32 device, tgid, action, denied;
};
struct fold {
    u64 time;
    u64 count;
};
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 8192);
    __type(key, struct fold_key);
    __type(value, struct fold);
} folds SEC(".maps");

// Path programs that interrupt each other on one CPU (preemptible kernels) may not share its scratch.
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, u32);
} scratch_taken SEC(".maps");

struct change {
    u32 action, flags, watch, old_mode, rule, repeated;
    struct record_file file;
    const void *dentry, *old_dentry; // of PART_PATH, PART_OLD_PATH
    const void *mount, *old_mount;
    const char *old_name; // a name below old_dentry
    const char *attribute;
};

// ---- what is watched and protected

// Of the folder and those above it; 0: not watched. `ret_flags` are struct watch_value.flags.
static __noinline u32 watch_of(struct dentry___file *folder, u32 *ret_flags)
{
    struct dentry___file *parent;
    struct watch_value *value;
    struct watch_key key = {};
    struct inode___file *inode;

    if (!folder || !ret_flags)
        return 0;
    for (u32 i = 0; i < WATCH_DEPTH; i++) {
        inode = folder->d_inode;
        if (!inode)
            return 0;
        key.inode = inode->i_ino;
        key.device = inode->i_sb->s_dev;
        value = bpf_map_lookup_elem(&watched, &key);
        if (value && (!i || value->flags & WATCH_BELOW)) {
            *ret_flags = value->flags;
            return value->class;
        }
        parent = folder->d_parent;
        if (parent == folder)
            return 0;
        folder = parent;
    }
    return 0;
}

static __always_inline struct protect_policy *protection_at(u64 inode, u32 device)
{
    struct watch_key key = {.inode = inode, .device = device};
    u32 bit = file_hash(device, inode), word = bit / 64;
    u64 *bits = bpf_map_lookup_elem(&protected_filter, &word);

    if (!bits || !(*bits >> (bit & 63) & 1))
        return NULL;
    return bpf_map_lookup_elem(&protected, &key);
}

// By a folder above it. A folder that something is in has an inode.
static __noinline struct protect_policy *protection_above(struct dentry___file *dentry)
{
    struct protect_policy *policy;
    struct dentry___file *parent;
    struct inode___file *inode;
    u32 device;

    if (!dentry)
        return NULL;
    device = dentry->d_parent->d_inode->i_sb->s_dev; // of all of them
    for (u32 i = 0; i < PROTECT_DEPTH; i++) {
        parent = dentry->d_parent;
        if (parent == dentry)
            return NULL;
        inode = parent->d_inode;
        if (!inode)
            return NULL;
        policy = protection_at(inode->i_ino, device);
        if (policy)
            return policy;
        dentry = parent;
    }
    return NULL;
}

// By the file itself or a folder above it. A name that is not there yet is protected by its folder.
static __noinline struct protect_policy *protection_of(struct dentry___file *dentry)
{
    struct protect_policy *policy;
    struct inode *inode;

    if (!dentry)
        return NULL;
    inode = inode_of(dentry);
    if (inode) {
        policy = protection_at(BPF_CORE_READ(inode, i_ino), BPF_CORE_READ(inode, i_sb, s_dev));
        if (policy)
            return policy;
    }
    return protection_above(dentry);
}

// Whether the same was reported a moment ago; else how often it came since the last report.
static __always_inline bool is_folded(const struct record_file *file, u32 action, u32 denied,
                                      u32 *ret_repeated)
{
    struct fold_key key = {.inode = file->inode,
                           .device = file->device,
                           .tgid = bpf_get_current_pid_tgid() >> 32,
                           .action = action,
                           .denied = denied};
    struct fold next = {.time = bpf_ktime_get_boot_ns()}, *fold = bpf_map_lookup_elem(&folds, &key);

    if (fold && next.time - fold->time < (denied ? FOLD_DENIED : FOLD_READS)) {
        __sync_fetch_and_add(&fold->count, 1);
        COUNT(folded);
        return true;
    }
    *ret_repeated = fold ? fold->count : 0;
    bpf_map_update_elem(&folds, &key, &next, BPF_ANY);
    return false;
}

// ---- the record

// A mount of the file's file system that the task sees: where a hook does not tell which one was used.
static __noinline void *some_mount(struct super_block___file *sb, struct nsproxy *namespaces)
{
    struct list_head *head, *at;
    struct mount *mount;
    void *wanted, *root;

    if (!sb || !namespaces || !bpf_core_field_exists(sb->s_mounts.next))
        return NULL;
    wanted = BPF_CORE_READ(namespaces, mnt_ns);
    root = BPF_CORE_READ(sb, s_root);
    head = (void *)((char *)sb + bpf_core_field_offset(struct super_block___file, s_mounts));
    at = BPF_CORE_READ(head, next);
    for (u32 i = 0; i < MOUNTS_LOOKED_AT && at != head; i++) {
        mount = (void *)((char *)at - bpf_core_field_offset(struct mount___file, mnt_instance));
        if (BPF_CORE_READ(mount, mnt_ns) == wanted && BPF_CORE_READ(mount, mnt.mnt_root) == root)
            return (char *)mount + bpf_core_field_offset(struct mount, mnt);
        at = BPF_CORE_READ(at, next);
    }
    return NULL;
}

static __noinline int change_path(struct scratch *s, u32 number, const void *dentry,
                                  const void *mount, const char *leaf)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct vfsmount *root_mount;
    struct fs_struct *fs;
    u32 header;

    if (!s)
        return 0;
    fs = task->fs; // gone in a task that ends: then the path is that of its mount namespace
    header = part_begin(s);
    root_mount = fs ? BPF_CORE_READ(fs, root.mnt) : NULL;
    s->walk.root_mount = (void *)container_mount(root_mount);
    s->walk.root_dentry = fs ? BPF_CORE_READ(fs, root.dentry) : NULL;
    s->walk.mount = mount ? container_mount(mount) : NULL;
    s->walk.dentry = (struct dentry *)dentry;
    s->walk.flags = 0;
    s->walk.first = 1;
    s->walk.memory_only = 0;
    s->walk.limit = s->at + RECORD_PATH_BYTES - 256;
    if (leaf && !append_name(s, leaf))
        s->walk.flags |= PART_CUT;
    bpf_loop(RECORD_PATH_COMPONENTS, path_step, NULL, 0);
    part_end(s, header, number, s->walk.flags, s->at);
    return 0;
}

static __always_inline void change_attribute(struct scratch *s, const char *name)
{
    u32 header = part_begin(s);
    long n = bpf_probe_read_kernel_str(record_place(s, s->at), 256, name);

    part_end(s, header, PART_ATTRIBUTE, n < 0 ? PART_UNREAD : 0, s->at + (n < 0 ? 0 : n));
}

static __always_inline void change_fill(struct record_file_change *r, struct change *c,
                                        struct task_struct *task)
{
    r->r.kind = RECORD_FILE;
    r->r.time = bpf_ktime_get_boot_ns();
    r->r.pid = task->tgid;
    r->r.tid = task->pid;
    r->r.start = task->group_leader->start_boottime;
    r->action = c->action;
    r->flags = c->flags;
    if (S_ISDIR(c->file.mode))
        r->flags |= FILE_FOLDER;
    if (S_ISREG(c->file.mode) && c->file.mode & EXECUTE_BITS)
        r->flags |= FILE_EXECUTABLE;
    r->watch = c->watch;
    r->old_mode = c->old_mode;
    r->lineage_flags = flags_of(r->r.pid);
    r->rule = c->rule;
    r->repeated = c->repeated;
    r->file = c->file;
    bpf_get_current_comm(r->name, sizeof r->name);
}

static __always_inline void change_send(struct scratch *s, struct change *c)
{
    struct record_file_change *r = (struct record_file_change *)s->record;
    bool denied = c->flags & FILE_DENIED;
    u32 bytes;
    long failed;

    s->at = sizeof *r;
    s->parts = 0;
    change_fill(r, c, bpf_get_current_task_btf());
    change_path(s, PART_PATH, c->dentry, c->mount, NULL);
    if (c->old_dentry)
        change_path(s, PART_OLD_PATH, c->old_dentry, c->old_mount, c->old_name);
    if (c->attribute)
        change_attribute(s, c->attribute);
    bytes = s->at;
    r->r.bytes = bytes;
    r->r.parts = s->parts;
    if (bytes > RECORD_BYTES)
        bytes = RECORD_BYTES; // cannot be: three parts have their limits
    if (denied)
        failed = bpf_ringbuf_output(&structural, s->record, bytes,
                                    wakeup(&structural, RING_STRUCTURAL_BYTES, bytes, false));
    else
        failed = bpf_ringbuf_output(&bulk, s->record, bytes,
                                    wakeup(&bulk, RING_BULK_BYTES, bytes, false));
    if (denied && failed)
        COUNT(lost[COUNT_DENIED]);
    else if (denied)
        COUNT(sent[COUNT_DENIED]);
    else if (failed)
        COUNT(lost[COUNT_FILE]);
    else
        COUNT(sent[COUNT_FILE]);
}

// Bulk records are to be allowed before.
static __noinline int change_report(struct change *c)
{
    struct scratch *s = scratch_get();
    u32 zero = 0, *taken = bpf_map_lookup_elem(&scratch_taken, &zero);

    if (!c || !s || !taken)
        return 0;
    if (__sync_fetch_and_add(taken, 1) == 0)
        change_send(s, c);
    else if (c->flags & FILE_DENIED)
        COUNT(lost[COUNT_DENIED]);
    else
        COUNT(lost[COUNT_FILE]);
    __sync_fetch_and_add(taken, -1);
    return 0;
}
