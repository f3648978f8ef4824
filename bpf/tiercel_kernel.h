// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The kernel's structures, only the fields that our programs use; libbpf finds their real places when it loads them
// (CO-RE), so order, gaps and types beyond the name do not matter. A field that moved or was renamed between 6.1 and
// 6.18 has a structure of its own with a ___suffix, which CO-RE ignores.
#pragma once
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
    u32 val;
} kuid_t;
typedef struct {
    u32 val;
} kgid_t;
typedef struct {
    u64 val;
} kernel_cap_t; // two 32-bit halves before 6.3: the same bytes

struct qstr {
    const unsigned char *name;
};

struct timespec64 {
    __s64 tv_sec;
    long tv_nsec;
};

struct super_block {
    u32 s_dev;
    unsigned long s_magic;
};

struct inode {
    unsigned short i_mode;
    kuid_t i_uid;
    struct super_block *i_sb;
    unsigned long i_ino;
    unsigned int i_nlink;
    u32 i_rdev;
    long long i_size;
};
struct inode___until_6_6 {
    struct timespec64 i_ctime;
};
struct inode___6_7_to_6_10 {
    struct timespec64 __i_ctime;
};
struct inode___since_6_11 {
    __s64 i_ctime_sec;
    u32 i_ctime_nsec;
};

struct dentry {
    struct dentry *d_parent;
    struct qstr d_name;
};

struct vfsmount {
    struct dentry *mnt_root;
};

struct mnt_namespace;
struct mount {
    struct mount *mnt_parent;
    struct dentry *mnt_mountpoint;
    struct vfsmount mnt;
    struct mnt_namespace *mnt_ns;
};

struct path {
    struct vfsmount *mnt;
    struct dentry *dentry;
};

struct file {
    struct path f_path;
    struct inode *f_inode;
};

struct fdtable {
    unsigned int max_fds;
    struct file **fd;
};
struct files_struct {
    struct fdtable *fdt;
};

struct fs_struct {
    struct path root, pwd;
};

struct mm_struct {
    unsigned long task_size;
    unsigned long arg_start, arg_end, env_start, env_end;
};

struct ns_common {
    unsigned int inum;
};
struct mnt_namespace {
    struct ns_common ns;
};
struct pid_namespace {
    struct ns_common ns;
};
struct net {
    struct ns_common ns;
};
struct user_namespace {
    struct ns_common ns;
};
struct uts_namespace {
    struct ns_common ns;
};
struct ipc_namespace {
    struct ns_common ns;
};
struct cgroup_namespace {
    struct ns_common ns;
};

struct nsproxy {
    struct uts_namespace *uts_ns;
    struct ipc_namespace *ipc_ns;
    struct mnt_namespace *mnt_ns;
    struct pid_namespace *pid_ns_for_children;
    struct net *net_ns;
    struct cgroup_namespace *cgroup_ns;
};

struct cred {
    kuid_t uid, euid;
    kgid_t gid, egid;
    kernel_cap_t cap_effective;
    struct user_namespace *user_ns;
};

struct kernfs_node {
    const char *name;
    u64 id;
};
struct kernfs_node___until_6_14 {
    struct kernfs_node *parent;
};
struct kernfs_node___since_6_15 {
    struct kernfs_node *__parent;
};
struct cgroup {
    struct kernfs_node *kn;
};
struct cgroup_subsys_state {
    struct cgroup *cgroup;
};
enum cgroup_subsys_id { pids_cgrp_id___any = 0 };
struct css_set {
    struct cgroup_subsys_state *subsys[1];
    struct cgroup *dfl_cgrp;
};

typedef struct {
    int counter;
} atomic_t;

struct signal_struct {
    atomic_t live;
    int nr_threads;
    int group_exit_code;
    unsigned int flags;
};
#define SIGNAL_GROUP_EXIT 4

struct task_struct {
    int exit_code;
    int pid, tgid;
    struct mm_struct *mm;
    struct task_struct *real_parent;
    struct task_struct *group_leader;
    u64 start_boottime;
    const struct cred *cred;
    char comm[16];
    struct fs_struct *fs;
    struct files_struct *files;
    struct nsproxy *nsproxy;
    struct signal_struct *signal;
    struct css_set *cgroups;
};
struct task_struct___audit { // where CONFIG_AUDIT
    kuid_t loginuid;
    unsigned int sessionid;
};

struct linux_binprm {
    struct file *file;
    const char *filename;
    const char *interp;
    unsigned int interp_flags;
};
#define BINPRM_FLAGS_PRESERVE_ARGV0 8

#pragma clang attribute pop

#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define S_IFREG 0100000
#define S_IFBLK 0060000
#define S_IFDIR 0040000
#define S_IFCHR 0020000
#define S_IFIFO 0010000
#define DEVICE_MAJOR(device) ((device) >> 20)
