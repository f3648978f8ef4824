// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What a record says of a file.
#pragma once
#include "maps.bpf.h"

static __always_inline void file_describe(struct record_file *f, struct inode *inode)
{
    struct inode___since_6_11 *new = (void *)inode;
    struct inode___6_7_to_6_10 *middle = (void *)inode;
    struct inode___until_6_6 *old = (void *)inode;

    f->inode = inode->i_ino;
    f->size = inode->i_size;
    f->device = inode->i_sb->s_dev;
    f->magic = inode->i_sb->s_magic;
    f->mode = inode->i_mode;
    f->owner = inode->i_uid.val;
    f->links = inode->i_nlink;
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
