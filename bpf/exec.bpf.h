// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What an exec's record says. The new program's memory, credentials and descriptors are in place at sched_process_exec,
// and none of its instructions has run.
#pragma once
#include "check.bpf.h"
#include "inode.bpf.h"
#include "path.bpf.h"

static __always_inline u8 descriptor_kind(struct fdtable *table, struct file **files, u32 number)
{
    struct file *file = NULL;
    struct inode *inode;
    u32 device;

    if (number >= table->max_fds)
        return RECORD_CLOSED;
    if (bpf_probe_read_kernel(&file, sizeof file, files + number) || !file)
        return RECORD_CLOSED;
    inode = BPF_CORE_READ(file, f_inode);
    switch (BPF_CORE_READ(inode, i_mode) & S_IFMT) {
    case S_IFREG:
        return RECORD_REGULAR;
    case S_IFIFO:
        return RECORD_PIPE;
    case S_IFSOCK:
        return RECORD_SOCKET;
    case S_IFCHR:
        device = BPF_CORE_READ(inode, i_rdev);
        if (device == (1u << 20 | 3))
            return RECORD_NULL;
        // ttys and consoles 4, 5; pseudo-terminals 136 to 143; serial over virtio and hypervisors 229
        if (DEVICE_MAJOR(device) == 4 || DEVICE_MAJOR(device) == 5 || DEVICE_MAJOR(device) == 229 ||
            (DEVICE_MAJOR(device) >= 136 && DEVICE_MAJOR(device) <= 143))
            return RECORD_TERMINAL;
        return RECORD_OTHER;
    }
    return RECORD_OTHER;
}

static __always_inline void credentials_describe(struct record_exec *x, struct task_struct *task)
{
    struct task_struct___audit *audit = (void *)task;
    const struct cred *cred = task->cred;
    struct nsproxy *ns = task->nsproxy;

    x->uid = cred->uid.val;
    x->gid = cred->gid.val;
    x->euid = cred->euid.val;
    x->egid = cred->egid.val;
    bpf_probe_read_kernel(&x->capabilities, sizeof x->capabilities, &cred->cap_effective);
    x->login_uid = x->session = ~0u;
    if (bpf_core_field_exists(audit->loginuid)) {
        x->login_uid = BPF_CORE_READ(audit, loginuid.val);
        x->session = BPF_CORE_READ(audit, sessionid);
    }
    x->ns_pid =
        ns->pid_ns_for_children->ns.inum; // exec'ing tasks are in it but for unshare(CLONE_NEWPID)
    x->ns_mount = ns->mnt_ns->ns.inum;
    x->ns_network = ns->net_ns->ns.inum;
    x->ns_user = cred->user_ns->ns.inum;
    x->ns_uts = ns->uts_ns->ns.inum;
    x->ns_ipc = ns->ipc_ns->ns.inum;
    x->ns_cgroup = ns->cgroup_ns->ns.inum;
}

static __always_inline void exec_describe(struct scratch *s, struct record_exec *x,
                                          struct task_struct *task, int old_pid,
                                          struct linux_binprm *bprm)
{
    struct task_struct *parent = task->real_parent;
    struct mm_struct *mm = task->mm;
    struct file *file = bprm->file;
    struct mount *mount = container_mount(file->f_path.mnt);
    struct fdtable *table = task->files->fdt;
    struct file **files = table->fd;

    x->flags = 0;
    x->caller_tid = old_pid;
    if ((u32)old_pid != x->r.tid)
        x->flags |= EXEC_OTHER_THREAD;
    x->parent_pid = parent->tgid;
    x->parent_start = parent->group_leader->start_boottime;
    x->lineage_flags = flags_of(x->r.pid);
    if (x->lineage_flags & FLAG_SERVICE)
        x->flags |= EXEC_SERVICE;
    file_describe(&x->file, file->f_inode);
    if (!x->file.links)
        x->flags |= EXEC_DELETED;
    if (BPF_CORE_READ(mount, mnt_ns) ==
        (void *)-22L) // the kernel's own mount, which no path leads to
        x->flags |= EXEC_MEMORY_ONLY;
    if (bprm->interp != bprm->filename)
        x->flags |= EXEC_SCRIPT;
    if (mm->task_size <= 0xffffffffUL)
        x->flags |= EXEC_COMPAT;
    x->argc_bytes = mm->arg_end - mm->arg_start;
    x->environment_bytes = mm->env_end - mm->env_start;
    credentials_describe(x, task);
    x->cgroup = task->cgroups->dfl_cgrp->kn->id;
    x->descriptors[0] = descriptor_kind(table, files, 0);
    x->descriptors[1] = descriptor_kind(table, files, 1);
    x->descriptors[2] = descriptor_kind(table, files, 2);
    x->descriptors[3] = 0;
    bpf_probe_read_kernel(x->name, sizeof x->name, task->comm);
}

static __noinline int argv_part(struct scratch *s, u64 start, u64 end)
{
    u64 n = end - start;
    u32 header, part_flags = 0;

    if (!s)
        return 0;
    header = part_begin(s);
    if (n > RECORD_ARGV_BYTES) {
        n = RECORD_ARGV_BYTES;
        part_flags = PART_CUT;
    }
    if (n && bpf_probe_read_user(record_place(s, s->at), n, (void *)start)) {
        n = 0;
        part_flags |= PART_UNREAD;
    }
    part_end(s, header, PART_ARGV, part_flags, s->at + n);
    return 0;
}

static __noinline int name_part(struct scratch *s, u32 number, const char *name)
{
    u32 header;
    long n;

    if (!s)
        return 0;
    header = part_begin(s);
    n = bpf_probe_read_kernel_str(record_place(s, s->at), RECORD_PATH_BYTES, name);
    part_end(s, header, number,
             n < 0                    ? PART_UNREAD
             : n == RECORD_PATH_BYTES ? PART_CUT
                                      : 0,
             s->at + (n < 0 ? 0 : n));
    return 0;
}

static __always_inline void exec_parts(struct scratch *s, struct record_exec *x,
                                       struct task_struct *task, struct linux_binprm *bprm)
{
    struct mm_struct *mm = task->mm;
    struct fs_struct *fs = task->fs;

    argv_part(s, mm->arg_start, mm->arg_end);
    environment_part(s, mm->env_start, mm->env_end);
    path_part(s, PART_PATH, &bprm->file->f_path, &fs->root, x->flags & EXEC_MEMORY_ONLY);
    path_part(s, PART_DIRECTORY, &fs->pwd, &fs->root, 0);
    name_part(s, PART_FILENAME, bprm->filename);
    if (x->flags & EXEC_SCRIPT)
        name_part(s, PART_INTERPRETER, bprm->interp);
    cgroup_part(s, task->cgroups);
}
