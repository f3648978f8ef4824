// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What a record says of a file. Read with a helper, not through the pointer: the inode of a name that is not there is
// NULL, and 6.12's verifier takes `d_inode` of a dentry that an LSM hook passes for never NULL, drops the check for it and
// guards no load (tried: the kernel faults). So d_inode of such a dentry is read by inode_of(), always.
#pragma once
#include "maps.bpf.h"

struct dentry___inode {
    struct inode *d_inode;
} __attribute__((preserve_access_index));

static __always_inline void file_describe(struct record_file *f, struct inode *inode)
{
    struct inode___since_6_11 *new = (void *)inode;
    struct inode___6_7_to_6_10 *middle = (void *)inode;
    struct inode___until_6_6 *old = (void *)inode;

    f->inode = BPF_CORE_READ(inode, i_ino);
    f->size = BPF_CORE_READ(inode, i_size);
    f->device = BPF_CORE_READ(inode, i_sb, s_dev);
    f->magic = BPF_CORE_READ(inode, i_sb, s_magic);
    f->mode = BPF_CORE_READ(inode, i_mode);
    f->owner = BPF_CORE_READ(inode, i_uid.val);
    f->links = BPF_CORE_READ(inode, i_nlink);
    if (bpf_core_field_exists(new->i_ctime_sec)) {
        f->changed_sec = BPF_CORE_READ(new, i_ctime_sec);
        f->changed_nsec = BPF_CORE_READ(new, i_ctime_nsec) & ~(1u << 31); // a flag since 6.13
    } else if (bpf_core_field_exists(middle->__i_ctime)) {
        f->changed_sec = BPF_CORE_READ(middle, __i_ctime.tv_sec);
        f->changed_nsec = BPF_CORE_READ(middle, __i_ctime.tv_nsec);
    } else {
        f->changed_sec = BPF_CORE_READ(old, i_ctime.tv_sec);
        f->changed_nsec = BPF_CORE_READ(old, i_ctime.tv_nsec);
    }
}

static __always_inline struct inode *inode_of(const void *dentry)
{
    return BPF_CORE_READ((struct dentry___inode *)dentry, d_inode);
}
