// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Changes of files, as they came out: a hook before the operation (its arguments have the mount) keeps what will be gone
// afterwards, the function's return reports. What failed is not reported. Denials are in file_deny.bpf.h.
// To add an operation: keep() in a program before it, taken() in one after it.
#include "file_deny.bpf.h"
#include "head.bpf.h"

struct iattr {
    unsigned int ia_valid;
} __attribute__((preserve_access_index));
struct renamedata {
    struct dentry *old_dentry, *new_dentry;
    unsigned int flags;
} __attribute__((preserve_access_index));

#define RENAME_EXCHANGE 2
#define ATTR_SIZE 8

enum pending_operation {
    PENDING_NONE,
    PENDING_CREATE,
    PENDING_DELETE,
    PENDING_RENAME,
    PENDING_LINK,
    PENDING_MODE,
    PENDING_OWNER,
    PENDING_SIZE,
    PENDING_TRUNCATE, // by path: the mount
};

// Of the task's operation that is going on. Pointers are only compared and walked while it lasts.
struct pending {
    u64 dentry, mount, old_folder;
    u32 operation, watch, watch_flags, old_mode, exchange;
    u8 runs, other_runs;
    struct record_file file, other;
    char old_name[256];
};
struct {
    __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct pending);
} pending SEC(".maps");

static __always_inline struct pending *keep(u32 operation, const void *dentry, const void *mount,
                                            struct inode *inode)
{
    struct pending *p = bpf_task_storage_get(&pending, bpf_get_current_task_btf(), NULL,
                                             BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (!p) { // no memory
        COUNT(lost[COUNT_FILE]);
        return NULL;
    }
    p->operation = operation;
    p->dentry = (u64)dentry;
    p->mount = (u64)mount;
    p->watch = p->watch_flags = 0;
    p->runs = 0;
    if (inode)
        file_describe(&p->file, inode);
    return p;
}

// What was kept for this operation on this dentry: the functions are also called for file systems below others.
static __always_inline struct pending *taken(u32 operation, const void *dentry)
{
    struct pending *p = bpf_task_storage_get(&pending, bpf_get_current_task_btf(), NULL, 0);

    if (!p || p->operation != operation || p->dentry != (u64)dentry)
        return NULL;
    p->operation = PENDING_NONE;
    return p;
}

// Has an execute bit, or begins as a program or a script where that matters.
static __always_inline bool is_program(u32 watch, struct inode *inode)
{
    u32 mode = BPF_CORE_READ(inode, i_mode);

    return S_ISREG(mode) &&
           (mode & EXECUTE_BITS ||
            ((watch == WATCH_WEB || watch == WATCH_TEMPORARY) && begins_as_program(inode)));
}

static __always_inline bool is_mine(void)
{
    return flags_of(bpf_get_current_pid_tgid() >> 32) & FLAG_AGENT;
}

// Of some folders only what can run is of interest, of some only names with a dot: user space knows which of those.
static __always_inline bool is_wanted(struct change *c, u32 watch_flags)
{
    struct dentry *dentry = (void *)c->dentry;
    char first = 0, old = 0;

    if (watch_flags & WATCH_EXECUTABLES && !(c->flags & FILE_EXECUTABLE))
        return false;
    if (!(watch_flags & WATCH_NAMES))
        return true;
    c->flags |= FILE_BY_NAME;
    bpf_probe_read_kernel(&first, 1, BPF_CORE_READ(dentry, d_name.name));
    if (c->old_name)
        bpf_probe_read_kernel(&old, 1, c->old_name);
    return !S_ISDIR(c->file.mode) && (first == '.' || old == '.');
}

static __always_inline void report(struct change *c, u32 watch_flags, bool runs)
{
    if (runs)
        c->flags |= FILE_EXECUTABLE;
    if (is_wanted(c, watch_flags) && !is_mine() && bulk_allowed(COUNT_FILE))
        change_report(c);
}

// ---- names: create, delete, rename, link

static __always_inline void keep_watch(struct pending *p, u32 watch, u32 watch_flags,
                                       struct inode *inode)
{
    p->watch = watch;
    p->watch_flags = watch_flags;
    p->runs = inode && is_program(watch, inode);
}

static __always_inline void before_name(u32 operation, const struct path *folder,
                                        struct dentry *dentry, struct inode *inode)
{
    u32 watch_flags = 0, watch = watch_of((void *)folder->dentry, &watch_flags);
    struct pending *p;

    if (!watch)
        return;
    p = keep(operation, dentry, folder->mnt, inode);
    if (p)
        keep_watch(p, watch, watch_flags, inode);
}

SEC("fentry/security_path_mkdir")
int BPF_PROG(before_mkdir, const struct path *folder, struct dentry *dentry)
{
    before_name(PENDING_CREATE, folder, dentry, NULL);
    return 0;
}

SEC("fentry/security_path_symlink")
int BPF_PROG(before_symlink, const struct path *folder, struct dentry *dentry)
{
    before_name(PENDING_CREATE, folder, dentry, NULL);
    return 0;
}

SEC("fentry/security_path_mknod")
int BPF_PROG(before_mknod, const struct path *folder, struct dentry *dentry)
{
    before_name(PENDING_CREATE, folder, dentry, NULL);
    return 0;
}

// Done when the name has an inode, whatever the function returns on this kernel.
static __always_inline int after_create(struct dentry *dentry)
{
    struct pending *p = taken(PENDING_CREATE, dentry);
    struct inode *inode;
    struct change c = {.action = FILE_CREATE};

    if (!p)
        return 0;
    inode = inode_of(dentry);
    if (!inode)
        return 0;
    file_describe(&c.file, inode);
    c.watch = p->watch;
    c.dentry = dentry;
    c.mount = (void *)p->mount;
    report(&c, p->watch_flags, is_program(c.watch, inode));
    return 0;
}

SEC("fexit/vfs_mkdir")
int BPF_PROG(after_mkdir, void *map, struct inode *folder, struct dentry *dentry)
{
    return after_create(dentry);
}

SEC("fexit/vfs_symlink")
int BPF_PROG(after_symlink, void *map, struct inode *folder, struct dentry *dentry)
{
    return after_create(dentry);
}

SEC("fexit/vfs_mknod")
int BPF_PROG(after_mknod, void *map, struct inode *folder, struct dentry *dentry)
{
    return after_create(dentry);
}

SEC("fexit/vfs_create")
int BPF_PROG(after_regular, void *map, struct inode *folder, struct dentry *dentry)
{
    return after_create(dentry);
}

SEC("fentry/security_path_unlink")
int BPF_PROG(before_unlink, const struct path *folder, struct dentry *dentry)
{
    before_name(PENDING_DELETE, folder, dentry, inode_of(dentry));
    return 0;
}

SEC("fentry/security_path_rmdir")
int BPF_PROG(before_rmdir, const struct path *folder, struct dentry *dentry)
{
    before_name(PENDING_DELETE, folder, dentry, inode_of(dentry));
    return 0;
}

static __always_inline int after_delete(struct dentry *dentry, int ret)
{
    struct pending *p = taken(PENDING_DELETE, dentry);
    struct change c = {.action = FILE_DELETE};

    if (!p || ret)
        return 0;
    c.file = p->file;
    c.watch = p->watch;
    c.dentry = dentry;
    c.mount = (void *)p->mount;
    report(&c, p->watch_flags, p->runs);
    return 0;
}

SEC("fexit/vfs_unlink")
int BPF_PROG(after_unlink, void *map, struct inode *folder, struct dentry *dentry, void *delegated,
             int ret)
{
    return after_delete(dentry, ret);
}

SEC("fexit/vfs_rmdir")
int BPF_PROG(after_rmdir, void *map, struct inode *folder, struct dentry *dentry, int ret)
{
    return after_delete(dentry, ret);
}

SEC("fentry/security_path_rename")
int BPF_PROG(before_rename, const struct path *old_folder, struct dentry *old_dentry,
             const struct path *new_folder, struct dentry *new_dentry, unsigned int rename_flags)
{
    u32 watch_flags = 0, watch = watch_of((void *)new_folder->dentry, &watch_flags);
    struct inode *inode = inode_of(old_dentry), *other = inode_of(new_dentry);
    struct pending *p;

    if (!watch)
        watch = watch_of((void *)old_folder->dentry, &watch_flags);
    if (!watch)
        return 0;
    p = keep(PENDING_RENAME, old_dentry, new_folder->mnt, inode);
    if (!p)
        return 0;
    keep_watch(p, watch, watch_flags, inode);
    p->old_folder = (u64)old_folder->dentry;
    p->exchange = rename_flags & RENAME_EXCHANGE && other;
    if (p->exchange) {
        file_describe(&p->other, other);
        p->other_runs = is_program(watch, other);
    }
    bpf_probe_read_kernel_str(p->old_name, sizeof p->old_name, old_dentry->d_name.name);
    return 0;
}

SEC("fexit/vfs_rename")
int BPF_PROG(after_rename, struct renamedata *data, int ret)
{
    struct dentry *old_dentry = data->old_dentry, *new_dentry = data->new_dentry;
    struct pending *p = taken(PENDING_RENAME, old_dentry);
    struct change c = {.action = FILE_RENAME};

    if (!p || ret)
        return 0;
    c.watch = p->watch;
    c.mount = c.old_mount = (void *)p->mount;
    c.file = p->file;
    c.dentry = old_dentry; // has its new name
    c.old_dentry = (void *)p->old_folder;
    c.old_name = p->old_name;
    report(&c, p->watch_flags, p->runs);
    if (p->exchange) {
        c.flags = 0;
        c.file = p->other;
        c.dentry = new_dentry;
        c.old_dentry = old_dentry; // where the other is now is where this one was
        c.old_name = NULL;
        report(&c, p->watch_flags, p->other_runs);
    }
    return 0;
}

SEC("fentry/security_path_link")
int BPF_PROG(before_link, struct dentry *old_dentry, const struct path *folder,
             struct dentry *dentry)
{
    u32 watch_flags = 0, watch = watch_of((void *)folder->dentry, &watch_flags);
    struct pending *p;

    if (!watch)
        watch = watch_of((void *)old_dentry->d_parent, &watch_flags);
    if (!watch)
        return 0;
    p = keep(PENDING_LINK, dentry, folder->mnt, NULL);
    if (p)
        keep_watch(p, watch, watch_flags, inode_of(old_dentry));
    return 0;
}

SEC("fexit/vfs_link")
int BPF_PROG(after_link, struct dentry *old_dentry, void *map, struct inode *folder,
             struct dentry *dentry, void *delegated, int ret)
{
    struct pending *p = taken(PENDING_LINK, dentry);
    struct inode *inode = inode_of(old_dentry);
    struct change c = {.action = FILE_LINK};

    if (!p || ret || !inode)
        return 0;
    file_describe(&c.file, inode);
    c.watch = p->watch;
    c.dentry = dentry;
    c.old_dentry = old_dentry;
    c.mount = c.old_mount = (void *)p->mount;
    report(&c, p->watch_flags, p->runs);
    return 0;
}

// ---- contents

static __always_inline void opened(struct file *file)
{
    u32 watch_flags = 0;
    struct file___file *f = (void *)file;
    struct dentry *dentry = file->f_path.dentry;
    struct change c = {.action = FILE_CREATE};
    bool runs;

    if (!(f->f_mode & FMODE_CREATED))
        return;
    runs = file->f_inode->i_mode & EXECUTE_BITS;
    c.watch = watch_of((void *)dentry->d_parent, &watch_flags);
    if (!c.watch && !runs)
        return;
    file_describe(&c.file, file->f_inode);
    c.dentry = dentry;
    c.mount = file->f_path.mnt;
    report(&c, watch_flags, runs);
}

// Where LSM programs work this is part of the one that they have there.
SEC("fentry/security_file_open")
int BPF_PROG(on_open, struct file *file)
{
    opened(file);
    return 0;
}

SEC("lsm/file_open")
int BPF_PROG(deny_open, struct file *file, int ret)
{
    opened(file);
    if (ret)
        return ret;
    return deny_file(file);
}

SEC("fentry/__fput")
int BPF_PROG(on_close, struct file *file)
{
    struct file___file *f = (void *)file;
    struct change c = {.action = FILE_WRITE};
    struct dentry *dentry;
    u32 watch_flags = 0;

    if ((f->f_mode & (FMODE_WRITE | FMODE_OPENED)) != (FMODE_WRITE | FMODE_OPENED) ||
        !S_ISREG(file->f_inode->i_mode))
        return 0;
    dentry = file->f_path.dentry;
    c.watch = watch_of((void *)dentry->d_parent, &watch_flags);
    if (!c.watch || watch_flags & WATCH_NO_WRITES)
        return 0;
    file_describe(&c.file, file->f_inode);
    c.dentry = dentry;
    c.mount = file->f_path.mnt;
    report(&c, watch_flags, is_program(c.watch, file->f_inode));
    return 0;
}

SEC("fentry/security_path_truncate")
int BPF_PROG(before_path_truncate, const struct path *path)
{
    u32 watch_flags = 0;

    if (watch_of((void *)path->dentry->d_parent, &watch_flags))
        keep(PENDING_TRUNCATE, path->dentry, path->mnt, NULL);
    return 0;
}

SEC("fentry/do_truncate")
int BPF_PROG(before_truncate, void *map, struct dentry *dentry, long long length, u32 time_attrs,
             struct file *file)
{
    u32 watch_flags = 0, watch = watch_of((void *)dentry->d_parent, &watch_flags);
    struct pending *p;
    const void *mount = NULL;

    if (!watch)
        return 0;
    p = taken(PENDING_TRUNCATE, dentry);
    if (file) // its close says that it was written, but for logs
        mount = watch_flags & WATCH_NO_WRITES ? file->f_path.mnt : NULL;
    else if (p)
        mount = (void *)p->mount;
    if (!mount)
        return 0;
    p = keep(PENDING_SIZE, dentry, mount, inode_of(dentry));
    if (p)
        keep_watch(p, watch, watch_flags, inode_of(dentry));
    return 0;
}

SEC("fexit/do_truncate")
int BPF_PROG(after_truncate, void *map, struct dentry *dentry, long long length, u32 time_attrs,
             struct file *file, int ret)
{
    struct pending *p = taken(PENDING_SIZE, dentry);
    struct inode *inode = inode_of(dentry);
    struct change c = {.action = FILE_WRITE};

    if (!p || ret || !inode)
        return 0;
    if (p->watch_flags & WATCH_NO_WRITES && p->file.size <= (u64)length)
        return 0;
    file_describe(&c.file, inode);
    if (p->file.size > (u64)length)
        c.flags = FILE_SHORTER;
    c.watch = p->watch;
    c.dentry = dentry;
    c.mount = (void *)p->mount;
    report(&c, p->watch_flags, p->runs);
    return 0;
}

// ---- mode, owner, attributes

SEC("fentry/security_path_chmod")
int BPF_PROG(before_chmod, const struct path *path, u32 mode)
{
    struct inode *inode = inode_of(path->dentry);
    struct pending *p;

    if (!inode)
        return 0;
    p = keep(PENDING_MODE, path->dentry, path->mnt, NULL);
    if (p)
        p->old_mode = BPF_CORE_READ(inode, i_mode);
    return 0;
}

SEC("fentry/security_path_chown")
int BPF_PROG(before_chown, const struct path *path)
{
    struct inode *inode = inode_of(path->dentry);
    u32 watch_flags = 0, watch = watch_of((void *)path->dentry->d_parent, &watch_flags);
    struct pending *p;

    if (!inode || !watch)
        return 0;
    p = keep(PENDING_OWNER, path->dentry, path->mnt, inode);
    if (p)
        keep_watch(p, watch, watch_flags, inode);
    return 0;
}

// Whoever could not run it, or not with these rights, now can.
static __always_inline bool gained(u32 old_mode, u32 mode)
{
    return S_ISREG(mode) && ((mode & EXECUTE_BITS && !(old_mode & EXECUTE_BITS)) ||
                             (mode & SET_ID_BITS & ~old_mode && mode & EXECUTE_BITS));
}

static __always_inline int mode_changed(struct pending *p, struct dentry *dentry,
                                        struct inode *inode)
{
    struct change c = {.action = FILE_MODE};
    u32 watch_flags = 0;

    c.watch = watch_of((void *)dentry->d_parent, &watch_flags);
    c.old_mode = p->old_mode;
    file_describe(&c.file, inode);
    if (c.old_mode == c.file.mode)
        return 0;
    if (gained(c.old_mode, c.file.mode))
        watch_flags = 0; // wanted anywhere
    else if (!c.watch)
        return 0;
    c.dentry = dentry;
    c.mount = (void *)p->mount;
    report(&c, watch_flags, is_program(c.watch, inode));
    return 0;
}

SEC("fexit/notify_change")
int BPF_PROG(after_change, void *map, struct dentry *dentry, struct iattr *attr, void *delegated,
             int ret)
{
    struct inode *inode = inode_of(dentry);
    struct change c = {.action = FILE_ATTRIBUTE, .flags = FILE_OWNER};
    struct pending *p;

    if (attr->ia_valid & ATTR_SIZE || !inode)
        return 0;
    p = taken(PENDING_MODE, dentry);
    if (p)
        return ret ? 0 : mode_changed(p, dentry, inode);
    p = taken(PENDING_OWNER, dentry);
    if (!p || ret)
        return 0;
    file_describe(&c.file, inode);
    c.watch = p->watch;
    c.dentry = dentry;
    c.mount = (void *)p->mount;
    report(&c, p->watch_flags, p->runs);
    return 0;
}

static __always_inline bool is_capability(const char *name)
{
    u64 text[3] = {}; // "security.capability"
    long n = bpf_probe_read_kernel_str(text, sizeof text, name);

    return n == 20 && text[0] == 0x7974697275636573 && text[1] == 0x6c6962617061632e &&
           (u32)text[2] == 0x00797469;
}

// No hook has the mount here: one of the task's namespace is taken.
static __always_inline int attribute_changed(struct dentry *dentry, const char *name, bool set)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct inode *inode = inode_of(dentry);
    struct change c = {.action = FILE_ATTRIBUTE};
    u32 watch_flags = 0;

    if (!inode)
        return 0;
    c.watch = watch_of((void *)dentry->d_parent, &watch_flags);
    if (!c.watch && !(set && is_capability(name)))
        return 0;
    file_describe(&c.file, inode);
    c.dentry = dentry;
    c.mount = some_mount((void *)BPF_CORE_READ(inode, i_sb), task->nsproxy);
    c.attribute = name;
    report(&c, watch_flags, is_program(c.watch, inode));
    return 0;
}

SEC("fexit/vfs_setxattr")
int BPF_PROG(after_setxattr, void *map, struct dentry *dentry, const char *name, const void *value,
             unsigned long size, int set_flags, int ret)
{
    return ret ? 0 : attribute_changed(dentry, name, true);
}

SEC("fexit/vfs_removexattr")
int BPF_PROG(after_removexattr, void *map, struct dentry *dentry, const char *name, int ret)
{
    return ret ? 0 : attribute_changed(dentry, name, false);
}

SEC("fexit/vfs_set_acl")
int BPF_PROG(after_set_acl, void *map, struct dentry *dentry, const char *name, void *acl, int ret)
{
    return ret ? 0 : attribute_changed(dentry, name, true);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
