// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Security events from functions of the kernel (fentry, fexit): told when the kernel has done it, whichever system call
// asked. Each kind is loaded only where its functions are there (src/sensor/probe_security.c).
#include "build.bpf.h"
#include "identity.bpf.h"
#include "inode.bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct pt_regs {
    unsigned long bx, di, orig_ax;
};
struct hlist_node {
    struct hlist_node *next;
};
struct hlist_head {
    struct hlist_node *first;
};
struct pid {
    struct hlist_head tasks[4];
};
struct task_struct___pid {
    struct hlist_node pid_links[4];
};
struct proc_inode {
    struct pid *pid;
    struct inode vfs_inode;
};
struct file___mode {
    u32 f_mode;
};
struct module {
    char name[56];
    unsigned long taints;
};
struct bpf_prog_aux {
    const char *attach_func_name;
    char name[16];
};
struct bpf_prog {
    enum bpf_prog_type type;
    struct bpf_prog_aux *aux;
};
#pragma clang attribute pop

#define FAILED(pointer) ((unsigned long)(pointer) >= (unsigned long)-4095L || !(pointer))

// ---- credentials

// At an exec the new ones are in the exec's own event.
SEC("fentry/commit_creds")
int BPF_PROG(on_commit_creds, struct cred *cred)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct task_struct___security *more = (void *)task;
    struct identity old = {}, new = {};

    if (BPF_CORE_READ_BITFIELD_PROBED(more, in_execve))
        return 0;
    identity_of_cred(&old, BPF_CORE_READ(more, real_cred));
    identity_of_cred(&new, cred);
    send_credentials(task, &old, &new, 0);
    return 0;
}

// ---- other processes

#define MODE_ATTACH 2
#define MODE_FSCREDS 8
#define MODE_WRITE 2 // FMODE_WRITE

static __always_inline u64 call_number(struct task_struct *task)
{
    return BPF_CORE_READ((struct pt_regs *)bpf_task_pt_regs(task), orig_ax);
}

SEC("fexit/ptrace_attach")
int BPF_PROG(on_ptrace_attach, struct task_struct *target, long request, unsigned long address,
             unsigned long how, int ret)
{
    if (!ret)
        send_access(target, ACCESS_ATTACH, 0);
    return 0;
}

// process_vm_readv and process_vm_writev: 310 and 311, for 32-bit callers 347 and 348. Whoever opens /proc/PID/mem asks
// by the file system's credentials, and whoever only looks (ps, top) does not ask to attach.
SEC("fexit/mm_access")
int BPF_PROG(on_mm_access, struct task_struct *target, u32 mode, struct mm_struct *ret)
{
    u64 number;

    if (!(mode & MODE_ATTACH) || mode & MODE_FSCREDS || FAILED(ret))
        return 0;
    number = call_number(bpf_get_current_task_btf());
    if (number == 310 || number == 347)
        send_access(target, ACCESS_READ, 0);
    else if (number == 311 || number == 348)
        send_access(target, ACCESS_WRITE, 0);
    return 0;
}

static __always_inline struct task_struct *task_of_pid(struct pid *pid)
{
    struct hlist_node *first = BPF_CORE_READ(pid, tasks[0].first);

    if (!first)
        return NULL;
    return (struct task_struct *)((char *)first -
                                  bpf_core_field_offset(struct task_struct___pid, pid_links));
}

// /proc/PID/mem
SEC("fexit/mem_open")
int BPF_PROG(on_mem_open, struct inode *inode, struct file *file, int ret)
{
    struct proc_inode *of =
        (void *)((char *)inode - bpf_core_field_offset(struct proc_inode, vfs_inode));
    struct task_struct *target;
    u32 mode;

    if (ret)
        return 0;
    target = task_of_pid(BPF_CORE_READ(of, pid));
    mode = BPF_CORE_READ((struct file___mode *)file, f_mode);
    if (target)
        send_access(target, mode & MODE_WRITE ? ACCESS_WRITE : ACCESS_READ, 0);
    return 0;
}

SEC("fexit/pidfd_getfd")
int BPF_PROG(on_pidfd_getfd, struct pid *pid, int fd, int ret)
{
    struct task_struct *target;

    if (ret < 0)
        return 0;
    target = task_of_pid(pid);
    if (target)
        send_access(target, ACCESS_DESCRIPTOR, 0);
    return 0;
}

// ---- namespaces: as they were when the call began, by thread

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1024);
    __type(key, u32);
    __type(value, struct identity);
} before SEC(".maps");

static __always_inline int namespaces_begin(void)
{
    struct identity now = {};
    u32 tid = current_tid();

    identity_of_task(&now, bpf_get_current_task_btf());
    bpf_map_update_elem(&before, &tid, &now, BPF_ANY);
    return 0;
}

static __always_inline int namespaces_end(long ret)
{
    struct task_struct *task = bpf_get_current_task_btf();
    u32 tid = current_tid();
    struct identity *was = bpf_map_lookup_elem(&before, &tid), now = {};

    if (!was)
        return 0;
    if (!ret) {
        identity_of_task(&now, task);
        send_namespaces(task, was, &now, 0);
    }
    bpf_map_delete_elem(&before, &tid);
    return 0;
}

SEC("fentry/ksys_unshare")
int BPF_PROG(begin_unshare)
{
    return namespaces_begin();
}
SEC("fexit/ksys_unshare")
int BPF_PROG(end_unshare, unsigned long what, int ret)
{
    return namespaces_end(ret);
}
SEC("fentry/__x64_sys_setns")
int BPF_PROG(begin_setns)
{
    return namespaces_begin();
}
SEC("fexit/__x64_sys_setns")
int BPF_PROG(end_setns, const struct pt_regs *regs, long ret)
{
    return namespaces_end(ret);
}
SEC("fentry/__ia32_sys_setns")
int BPF_PROG(begin_setns32)
{
    return namespaces_begin();
}
SEC("fexit/__ia32_sys_setns")
int BPF_PROG(end_setns32, const struct pt_regs *regs, long ret)
{
    return namespaces_end(ret);
}

// ---- mounts

#define FLAG_REMOUNT 32ul
#define FLAG_BIND 4096ul
#define FLAG_MOVE 8192ul
#define FLAG_SHARING (1ul << 17 | 1ul << 18 | 1ul << 19 | 1ul << 20)
#define FLAG_MAGIC 0xC0ED0000ul // old callers put it above the flags

static __always_inline struct build *mount_begin(u32 action, u64 mount_flags)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct build *b;
    struct record_mount *m;

    if (is_agent(task))
        return NULL;
    b = build_new(sizeof *m);
    if (!b)
        return NULL;
    m = (struct record_mount *)b->record;
    security_begin(&m->s, RECORD_MOUNT, sizeof *m, task);
    m->action = action;
    m->flags = mount_flags;
    return b;
}

static __always_inline int mount_end(long ret)
{
    struct build *b = build_get();
    struct record_mount *m;

    if (!b)
        return 0;
    m = (struct record_mount *)b->record;
    if (!ret && m->s.r.kind == RECORD_MOUNT &&
        !fold(&m->s, mix(mix(m->action, m->flags), mix((u64)b->root_dentry, (u64)b->dentry)) ^
                         mix(b->at, *(u64 *)(b->record + sizeof *m + sizeof(struct record_part)))))
        build_send(b);
    build_drop();
    return 0;
}

SEC("fentry/path_mount")
int BPF_PROG(begin_mount, const char *device, const struct path *path, const char *type,
             unsigned long mount_flags)
{
    struct build *b;
    u32 action = MOUNT_NEW;

    if ((mount_flags & 0xffff0000ul) == FLAG_MAGIC)
        mount_flags &= 0xfffful;
    if (mount_flags & FLAG_REMOUNT)
        action = MOUNT_CHANGED;
    else if (mount_flags & FLAG_MOVE)
        action = MOUNT_MOVED;
    else if (mount_flags & FLAG_SHARING && !(mount_flags & FLAG_BIND))
        return 0; // how later mounts spread
    b = mount_begin(action, mount_flags);
    if (!b)
        return 0;
    build_path(b, PART_PATH, path);
    if (device)
        build_name(b, PART_FILENAME, device);
    if (type && action == MOUNT_NEW && !(mount_flags & FLAG_BIND))
        build_name(b, PART_TYPE, type);
    return 0;
}
SEC("fexit/path_mount")
int BPF_PROG(end_mount, const char *device, const struct path *path, const char *type,
             unsigned long mount_flags, void *data, int ret)
{
    return mount_end(ret);
}

static __always_inline void mount_describe(struct build *b, struct vfsmount *mnt)
{
    struct mount___security *mount = (void *)container_mount(mnt);
    struct vfsmount___security *of = (void *)mnt;

    build_name(b, PART_FILENAME, BPF_CORE_READ(mount, mnt_devname));
    build_name(b, PART_TYPE, BPF_CORE_READ(of, mnt_sb, s_type, name));
}

SEC("fentry/path_umount")
int BPF_PROG(begin_umount, const struct path *path)
{
    struct build *b = mount_begin(MOUNT_GONE, 0);

    if (!b)
        return 0;
    build_path(b, PART_PATH, path);
    mount_describe(b, BPF_CORE_READ(path, mnt));
    return 0;
}
SEC("fexit/path_umount")
int BPF_PROG(end_umount, const struct path *path, int how, int ret)
{
    return mount_end(ret);
}

// move_mount(2) moves a mount, or puts a new one (fsmount, open_tree) where it belongs.
SEC("fentry/security_move_mount")
int BPF_PROG(begin_move_mount, const struct path *from, const struct path *to)
{
    struct mount *mount = container_mount(BPF_CORE_READ(from, mnt));
    bool is_new = BPF_CORE_READ(mount, mnt_parent) == mount;
    struct build *b = mount_begin(is_new ? MOUNT_NEW : MOUNT_MOVED, 0);

    if (!b)
        return 0;
    build_path(b, PART_PATH, to);
    if (!is_new)
        build_path(b, PART_OLD_PATH, from);
    mount_describe(b, BPF_CORE_READ(from, mnt));
    return 0;
}
SEC("fexit/__x64_sys_move_mount")
int BPF_PROG(end_move_mount, const struct pt_regs *regs, long ret)
{
    return mount_end(ret);
}
SEC("fexit/__ia32_sys_move_mount")
int BPF_PROG(end_move_mount32, const struct pt_regs *regs, long ret)
{
    return mount_end(ret);
}

SEC("fentry/security_sb_pivotroot")
int BPF_PROG(begin_pivot, const struct path *old, const struct path *new)
{
    struct build *b = mount_begin(MOUNT_PIVOT, 0);

    if (!b)
        return 0;
    build_path(b, PART_PATH, new);
    mount_describe(b, BPF_CORE_READ(new, mnt));
    return 0;
}
SEC("fexit/__x64_sys_pivot_root")
int BPF_PROG(end_pivot, const struct pt_regs *regs, long ret)
{
    return mount_end(ret);
}
SEC("fexit/__ia32_sys_pivot_root")
int BPF_PROG(end_pivot32, const struct pt_regs *regs, long ret)
{
    return mount_end(ret);
}

// ---- modules

#define READING_MODULE 2
#define FINIT_MODULE 313
#define FINIT_MODULE_32 350

struct module_read {
    u64 file;
    struct record_file facts;
};
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 256);
    __type(key, u32); // tid
    __type(value, struct module_read);
} module_files SEC(".maps");

SEC("fentry/security_kernel_read_file")
int BPF_PROG(on_kernel_read_file, struct file *file, int id)
{
    struct module_read read = {.file = (u64)file};
    u32 tid = current_tid();

    if (id != READING_MODULE)
        return 0;
    file_describe(&read.facts, file->f_inode);
    bpf_map_update_elem(&module_files, &tid, &read, BPF_ANY);
    return 0;
}

// The file that was read, if the caller still has it open under the number it gave: then it is safe to look at.
static __always_inline struct file *module_file(struct task_struct *task, struct record_file *facts)
{
    struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
    u64 number = BPF_CORE_READ(regs, orig_ax);
    u32 tid = current_tid(), fd;
    struct fdtable *table = BPF_CORE_READ(task, files, fdt);
    struct file **files = BPF_CORE_READ(table, fd), *file = NULL;
    struct module_read *read = bpf_map_lookup_elem(&module_files, &tid);

    if (!read || (number != FINIT_MODULE && number != FINIT_MODULE_32))
        return NULL;
    fd = number == FINIT_MODULE ? BPF_CORE_READ(regs, di) : BPF_CORE_READ(regs, bx);
    if (fd >= BPF_CORE_READ(table, max_fds) ||
        bpf_probe_read_kernel(&file, sizeof file, files + fd) || (u64)file != read->file)
        return NULL;
    *facts = read->facts;
    return file;
}

static __always_inline int send_module(struct module *module, u32 module_flags)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct build *b = build_new(sizeof(struct record_module));
    struct record_module *m;
    struct file *file;

    if (!b)
        return 0;
    m = (struct record_module *)b->record;
    m->s.flags = module_flags;
    security_begin(&m->s, RECORD_MODULE, sizeof *m, task);
    m->taints = BPF_CORE_READ(module, taints);
    bpf_core_read(m->module, sizeof m->module, &module->name);
    file = module_flags & SECURITY_UNLOADED ? NULL : module_file(task, &m->file);
    if (file) {
        m->s.flags |= SECURITY_FROM_FILE;
        build_path(b, PART_PATH, &file->f_path);
    }
    if (!fold(&m->s, mix(mix(*(u64 *)m->module, *(u64 *)(m->module + 8)), module_flags)))
        build_send(b);
    build_drop();
    return 0;
}

SEC("tp_btf/module_load")
int BPF_PROG(on_module_load, struct module *module)
{
    return send_module(module, 0);
}

SEC("tp_btf/module_free")
int BPF_PROG(on_module_free, struct module *module)
{
    return send_module(module, SECURITY_UNLOADED);
}

// ---- programs for the kernel

#define PROGRAM_LOADED 1 // PERF_BPF_EVENT_PROG_LOAD; 2 when it goes

// The kernel tells perf of each program that passed the verifier, just before its descriptor is made.
SEC("fentry/perf_event_bpf_event")
int BPF_PROG(on_bpf_program, struct bpf_prog *program, int what)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct record_bpf p = {};

    if (what != PROGRAM_LOADED || is_agent(task))
        return 0;
    security_begin(&p.s, RECORD_BPF, sizeof p, task);
    p.type = BPF_CORE_READ(program, type);
    BPF_CORE_READ_STR_INTO(&p.program, program, aux, name);
    BPF_CORE_READ_STR_INTO(&p.function, program, aux, attach_func_name);
    if (!fold(&p.s, mix(mix(p.type, *(u64 *)p.program), *(u64 *)p.function)))
        security_send(&p.s, sizeof p);
    return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
