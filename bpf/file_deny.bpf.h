// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What LSM programs refuse: protected files to lineages that may not have them, and programs that nobody, or no contained
// lineage, may start. It walks dentries, not names: a bind mount, a new folder or a hard link's other name lead to the
// same inodes. An earlier refusal is passed on; errors of our own refuse nothing.
#pragma once
#include "file.bpf.h"

#define DENIED (-EPERM)

static __always_inline bool may_not(const struct protect_policy *policy, u32 lineage)
{
    return lineage & policy->deny && !(lineage & policy->allow) && !(lineage & FLAG_AGENT);
}

static __always_inline void refused(struct change *c)
{
    COUNT(file_denied);
    c->flags |= FILE_DENIED;
    if (!is_folded(&c->file, c->action, 1, &c->repeated))
        change_report(c);
}

// Of an operation on a name. `mount` NULL: not told.
static __noinline int deny_name(struct dentry___file *dentry, const void *mount, u32 action)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct protect_policy *policy = protection_of(dentry);
    struct change c = {.action = action, .flags = FILE_PROTECTED, .watch = WATCH_PROTECTED};
    struct inode *inode;

    if (!policy || !may_not(policy, flags_of(bpf_get_current_pid_tgid() >> 32)))
        return 0;
    c.rule = policy->rule;
    inode = inode_of(dentry);
    file_describe(&c.file, inode ?: inode_of(dentry->d_parent)); // of a new name: its folder's
    c.dentry = dentry;
    c.mount = mount ?: some_mount(dentry->d_parent->d_inode->i_sb, task->nsproxy);
    refused(&c);
    return DENIED;
}

// The same from any of the inode's names, whose address the verifier does not follow.
static __noinline struct protect_policy *protection_by_name(struct inode___file *inode)
{
    struct protect_policy *policy;
    struct dentry___file *dentry, *parent;
    struct inode___file *at;

    if (!inode)
        return NULL;
    dentry = (void *)BPF_CORE_READ(inode, i_dentry.first);
    if (!dentry)
        return NULL;
    dentry = (void *)((char *)dentry - bpf_core_field_offset(struct dentry___file, d_u.d_alias));
    for (u32 i = 0; i <= PROTECT_DEPTH; i++) {
        at = BPF_CORE_READ(dentry, d_inode);
        if (at) {
            policy = protection_at(BPF_CORE_READ(at, i_ino), BPF_CORE_READ(at, i_sb, s_dev));
            if (policy)
                return policy;
        }
        parent = BPF_CORE_READ(dentry, d_parent);
        if (parent == dentry)
            return NULL;
        dentry = parent;
    }
    return NULL;
}

// A file below an overlay is opened with the overlay's path on older kernels: then a name of the file itself counts.
static __always_inline struct protect_policy *protection_of_file(struct file___file *file)
{
    struct dentry___file *dentry = file->f_path.dentry;
    struct inode___file *inode = file->f_inode;
    struct protect_policy *policy = protection_at(inode->i_ino, inode->i_sb->s_dev);

    if (!policy)
        policy = protection_above(dentry);
    if (policy || dentry->d_inode == inode) // compared, not followed
        return policy;
    return protection_by_name(inode);
}

static __always_inline int deny_file(struct file *file)
{
    struct file___file *f = (void *)file;
    struct protect_policy *policy = protection_of_file(f);
    struct change c = {.action = FILE_READ, .flags = FILE_PROTECTED, .watch = WATCH_PROTECTED};
    u32 lineage;

    if (!policy)
        return 0;
    lineage = flags_of(bpf_get_current_pid_tgid() >> 32);
    if (lineage & FLAG_AGENT)
        return 0;
    c.rule = policy->rule;
    file_describe(&c.file, file->f_inode);
    c.dentry = f->f_path.dentry;
    c.mount = f->f_path.mnt;
    if (may_not(policy, lineage)) {
        refused(&c);
        return DENIED;
    }
    if (!(policy->flags & PROTECT_SILENT) && !is_folded(&c.file, FILE_READ, 0, &c.repeated) &&
        bulk_allowed(COUNT_FILE))
        change_report(&c);
    return 0;
}

// Both names of a rename or a link: neither out of what is protected nor into it.
static __always_inline int deny_names(struct dentry *old_dentry, struct dentry *new_dentry,
                                      u32 action)
{
    return deny_name((void *)old_dentry, NULL, action)
               ?: deny_name((void *)new_dentry, NULL, action);
}

SEC("lsm/inode_rename")
int BPF_PROG(deny_rename, struct inode *old_folder, struct dentry *old_dentry,
             struct inode *new_folder, struct dentry *new_dentry, int ret)
{
    return ret ?: deny_names(old_dentry, new_dentry, FILE_RENAME);
}

SEC("lsm/inode_link")
int BPF_PROG(deny_link, struct dentry *old_dentry, struct inode *folder, struct dentry *new_dentry,
             int ret)
{
    return ret ?: deny_names(old_dentry, new_dentry, FILE_LINK);
}

SEC("lsm/inode_unlink")
int BPF_PROG(deny_unlink, struct inode *folder, struct dentry *dentry, int ret)
{
    return ret ?: deny_name((void *)dentry, NULL, FILE_DELETE);
}

SEC("lsm/inode_rmdir")
int BPF_PROG(deny_rmdir, struct inode *folder, struct dentry *dentry, int ret)
{
    return ret ?: deny_name((void *)dentry, NULL, FILE_DELETE);
}

SEC("lsm/inode_create")
int BPF_PROG(deny_create, struct inode *folder, struct dentry *dentry, u32 mode, int ret)
{
    return ret ?: deny_name((void *)dentry, NULL, FILE_CREATE);
}

SEC("lsm/inode_mkdir")
int BPF_PROG(deny_mkdir, struct inode *folder, struct dentry *dentry, u32 mode, int ret)
{
    return ret ?: deny_name((void *)dentry, NULL, FILE_CREATE);
}

SEC("lsm/inode_mknod")
int BPF_PROG(deny_mknod, struct inode *folder, struct dentry *dentry, u32 mode, u32 device, int ret)
{
    return ret ?: deny_name((void *)dentry, NULL, FILE_CREATE);
}

SEC("lsm/inode_symlink")
int BPF_PROG(deny_symlink, struct inode *folder, struct dentry *dentry, const char *name, int ret)
{
    return ret ?: deny_name((void *)dentry, NULL, FILE_CREATE);
}

SEC("lsm/path_truncate")
int BPF_PROG(deny_truncate, const struct path *path, int ret)
{
    return ret ?: deny_name((void *)path->dentry, path->mnt, FILE_WRITE);
}

SEC("lsm/path_chmod")
int BPF_PROG(deny_chmod, const struct path *path, u32 mode, int ret)
{
    return ret ?: deny_name((void *)path->dentry, path->mnt, FILE_MODE);
}

SEC("lsm/path_chown")
int BPF_PROG(deny_chown, const struct path *path, u64 user, u64 group, int ret)
{
    return ret ?: deny_name((void *)path->dentry, path->mnt, FILE_ATTRIBUTE);
}

SEC("lsm/bprm_check_security")
int BPF_PROG(deny_exec, struct linux_binprm *bprm, int ret)
{
    struct change c = {.action = FILE_READ, .flags = FILE_RUN};
    struct file *file = bprm->file;
    struct inode *inode = file->f_inode;
    struct watch_key key = {.inode = inode->i_ino, .device = inode->i_sb->s_dev};
    u32 lineage = flags_of(bpf_get_current_pid_tgid() >> 32);
    struct block_value *block;

    if (ret || lineage & FLAG_AGENT)
        return ret;
    block = bpf_map_lookup_elem(&blocked, &key);
    if (!block && !(lineage & FLAG_CONTAINED))
        return 0;
    if (block)
        c.rule = block->rule;
    else
        c.flags |= FILE_CONTAINED;
    file_describe(&c.file, inode);
    c.dentry = file->f_path.dentry;
    c.mount = file->f_path.mnt;
    refused(&c);
    return DENIED;
}
