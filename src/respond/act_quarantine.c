// SPDX-License-Identifier: Apache-2.0
// A file is taken out of the way: sealed into the vault, synced, read back, and only then is its name removed. Undo puts
// it back as it was, never over something else.
// Steps, each of which a crash may end: copy to ID.new; check; rename to ID; move the file to a name of ours beside it;
// look that it is still the same file; remove it. Before the rename to ID nothing was touched: what is left of the copy
// is thrown away. From then on it is finished.
#include "base/cleanup.h"
#include "respond/act.h"
#include "respond/vault.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

struct place { // where the file is or was
    int folder;
    const char *name;
    char aside[48]; // our name beside it
};

static void tick(const struct act_context *c)
{
    if (c->peers.tick)
        c->peers.tick(c->peers.context);
}

static void vault_tick(void *context)
{
    tick(context);
}

static struct vault_work work_of(const struct act_context *c, const struct response *r)
{
    return (struct vault_work){c->key, r->id, vault_tick, (void *)c};
}

// No symbolic link anywhere in the path: it was resolved when the order was given, and what became one since is not it.
static int open_place(const struct response *r, struct place *ret)
{
    char folder[RESPONSE_TEXT];
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    const char *slash = strrchr(r->order.text, '/');
    if (!slash || !slash[1] || !strcmp(slash, "/.") || !strcmp(slash, "/.."))
        return -EISDIR;
    size_t n = (size_t)(slash - r->order.text);
    memcpy(folder, r->order.text, n);
    folder[n] = 0;
    int fd = (int)syscall(SYS_openat2, AT_FDCWD, n ? folder : "/", &how, sizeof(how));
    if (fd < 0)
        return -errno;
    ret->folder = fd;
    ret->name = slash + 1;
    snprintf(ret->aside, sizeof(ret->aside), ".tiercel-quarantine-%llu", (unsigned long long)r->id);
    return 0;
}

static void close_place(struct place *p)
{
    if (p->folder >= 0)
        close(p->folder);
}
#define _cleanup_place_ __attribute__((cleanup(close_place)))

static int failed(struct error *e, int code, const struct response *r)
{
    error_set(e, code, "%.300s: %s", r->order.text,
              code == -ELOOP ? "a symbolic link is in its path" : strerror(-code));
    return code;
}

// A device is looked at by a descriptor that opens nothing, so that no driver and no FIFO wakes.
static int open_file(const struct place *p, struct stat *ret, struct error *e)
{
    char self[32];
    _cleanup_close_ int look = openat(p->folder, p->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (look < 0 || fstat(look, ret) < 0)
        return -errno;
    if (!S_ISREG(ret->st_mode)) {
        error_set(e, -EPERM, "only ordinary files can be put into quarantine");
        return -EPERM;
    }
    snprintf(self, sizeof(self), "/proc/self/fd/%d", look);
    int fd = open(self, O_RDONLY | O_CLOEXEC | O_NOATIME);
    return fd < 0 ? -errno : fd;
}

static bool below(const char *path, const char *folder)
{
    size_t n = folder ? strlen(folder) : 0;
    return n > 1 && strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == 0);
}

static int refuse_place(const struct act_context *c, const struct response *r, struct error *e)
{
    static const char *const never[] = {
        "/proc", "/sys", "/boot", "/etc/tiercel", "/usr/share/tiercel", "/usr/local/share/tiercel"};
    bool own = below(r->order.text, c->state) || below(r->order.text, c->run);
    for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++)
        own |= below(r->order.text, never[i]);
    if (own)
        return error_set(e, -EPERM, "%.300s belongs to the agent or to the system's start",
                         r->order.text);
    return 0;
}

static int check(const struct act_context *c, const struct response *r, struct error *e)
{
    struct stat st;
    struct error why = {0};
    _cleanup_place_ struct place p = {.folder = -1, .name = ""};
    int code = refuse_place(c, r, e);
    if (code < 0)
        return code;
    if ((code = open_place(r, &p)) < 0)
        return failed(e, code, r);
    _cleanup_close_ int fd = open_file(&p, &st, &why);
    if (fd < 0) {
        if (why.code && e)
            *e = why;
        return why.code ? why.code : failed(e, fd, r);
    }
    if (act_needed_file(st.st_dev, st.st_ino)) {
        error_set(e, -EPERM,
                  "%.300s is a file without which the host cannot start, be reached or "
                  "be mended",
                  r->order.text);
        return -EPERM;
    }
    if ((uint64_t)st.st_size > c->file_limit) {
        error_set(e, -EFBIG, "%.300s has %llu MiB, more than a file in quarantine may",
                  r->order.text, (unsigned long long)st.st_size >> 20);
        error_way_out(e, "`quarantine_bytes` in the configuration raises the limit");
        return -EFBIG;
    }
    return act_refuse_same(c, r, e);
}

static void names(const struct response *r, char ret_done[24], char ret_new[28])
{
    snprintf(ret_done, 24, "%llu", (unsigned long long)r->id);
    snprintf(ret_new, 28, "%llu.new", (unsigned long long)r->id);
}

// Copy, sync, read back, give it its name: from here on the file exists twice.
static int keep_copy(const struct act_context *c, const struct response *r, int from,
                     struct vault_meta *meta, struct error *e)
{
    struct vault_work w = work_of(c, r);
    char done[24], fresh[28];
    struct vault_meta again;
    names(r, done, fresh);
    (void)unlinkat(c->vault, fresh, 0);
    _cleanup_close_ int to = openat(c->vault, fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0)
        return error_set(e, -errno, "no place in quarantine: %s", strerror(errno));
    int code = vault_seal(&w, from, r->order.text, to, meta, e);
    if (code == 0)
        code = vault_open(&w, to, -1, &again, e);
    if (code == 0 && memcmp(&again, meta, sizeof(again)) != 0)
        code = error_set(e, -EIO, "the copy in quarantine differs from the file");
    if (code == 0 && renameat(c->vault, fresh, c->vault, done) < 0)
        code = error_set(e, -errno, "no place in quarantine: %s", strerror(errno));
    if (code == 0 && fsync(c->vault) < 0)
        code = error_set(e, -errno, "the quarantine cannot be synced: %s", strerror(errno));
    if (code < 0)
        (void)unlinkat(c->vault, fresh, 0);
    return code;
}

static int rename_new(int folder, const char *from, const char *to)
{
    return syscall(SYS_renameat2, folder, from, folder, to, RENAME_NOREPLACE) < 0 ? -errno : 0;
}

static bool same_inode(int folder, const char *name, const struct vault_meta *m)
{
    struct stat st;
    return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == m->device &&
           st.st_ino == m->inode;
}

// Moved aside first: so it can be looked at once more when nobody reaches it by its name. A file system that cannot
// rename without replacing gets a plain look before the removal.
static int remove_name(const struct place *p, const struct vault_meta *m)
{
    if (!same_inode(p->folder, p->name, m))
        return -ESTALE;
    int code = rename_new(p->folder, p->name, p->aside);
    if (code == -EINVAL)
        return unlinkat(p->folder, p->name, 0) < 0 ? -errno : 0;
    if (code < 0)
        return code;
    if (!same_inode(p->folder, p->aside, m)) {
        (void)rename_new(p->folder, p->aside, p->name);
        return -ESTALE;
    }
    if (unlinkat(p->folder, p->aside, 0) < 0) {
        code = -errno;
        (void)rename_new(p->folder, p->aside, p->name);
        return code;
    }
    return 0;
}

static void drop_copy(const struct act_context *c, const struct response *r)
{
    char done[24], fresh[28];
    names(r, done, fresh);
    (void)unlinkat(c->vault, fresh, 0);
    (void)unlinkat(c->vault, done, 0);
    (void)fsync(c->vault);
}

static void tell_kept(struct response *r, const struct vault_meta *m)
{
    int n =
        snprintf(r->what, sizeof(r->what), "%llu bytes sealed away", (unsigned long long)m->size);
    if (m->links > 1)
        snprintf(r->what + n, sizeof(r->what) - (size_t)n,
                 "; %llu other names of the file stay where they are",
                 (unsigned long long)m->links - 1);
}

static int apply(const struct act_context *c, struct response *r, struct error *e)
{
    struct stat st;
    struct vault_meta meta;
    struct error why = {0};
    _cleanup_place_ struct place p = {.folder = -1, .name = ""};
    int code = open_place(r, &p);
    if (code < 0)
        return failed(e, code, r);
    _cleanup_close_ int fd = open_file(&p, &st, &why);
    if (fd < 0)
        return why.code ? error_set(e, why.code, "%s", why.what) : failed(e, fd, r);
    code = keep_copy(c, r, fd, &meta, e);
    if (code < 0)
        return code;
    code = remove_name(&p, &meta);
    if (code < 0) {
        drop_copy(c, r);
        error_set(e, code, "%.300s could not be removed: %s", r->order.text,
                  code == -ESTALE ? "another file took its place" : strerror(-code));
        if (code == -EPERM)
            error_way_out(e, "it may be immutable: `lsattr`, `chattr -ia`");
        return code;
    }
    (void)fsync(p.folder);
    tell_kept(r, &meta);
    return 0;
}

// ---- back

static int open_copy(const struct act_context *c, const struct response *r)
{
    char done[24], fresh[28];
    names(r, done, fresh);
    int fd = openat(c->vault, done, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

// Nameless until it is whole; where the file system has no such files, under our name beside its place.
static int make_nameless(const struct place *p, bool *ret_named)
{
    int fd = openat(p->folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    *ret_named = fd < 0;
    if (fd >= 0)
        return fd;
    (void)unlinkat(p->folder, p->aside, 0);
    fd = openat(p->folder, p->aside, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? -errno : fd;
}

static int give_name(const struct place *p, int fd, bool named)
{
    char self[32];
    if (named) {
        int code = rename_new(p->folder, p->aside, p->name);
        return code < 0 ? code : 0;
    }
    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, self, p->folder, p->name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

static int put_back(const struct act_context *c, struct response *r, int from, struct error *e)
{
    struct vault_work w = work_of(c, r);
    struct vault_meta meta;
    bool named = false;
    _cleanup_place_ struct place p = {.folder = -1, .name = ""};
    int code = open_place(r, &p);
    if (code < 0) {
        failed(e, code, r);
        error_way_out(e, "make its folder again, then undo");
        return code;
    }
    if (faccessat(p.folder, p.name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        code = -EEXIST;
    _cleanup_close_ int to = code < 0 ? code : make_nameless(&p, &named);
    if (to >= 0) {
        code = vault_open(&w, from, to, &meta, e);
        if (code < 0) {
            if (named)
                (void)unlinkat(p.folder, p.aside, 0);
            return code;
        }
        code = give_name(&p, to, named);
        if (code < 0 && named)
            (void)unlinkat(p.folder, p.aside, 0);
    } else {
        code = to;
    }
    if (code < 0) {
        failed(e, code, r);
        if (code == -EEXIST)
            error_way_out(e, "something else stands there now: move it away, then undo");
        return code;
    }
    (void)fsync(p.folder);
    snprintf(r->what, sizeof(r->what), "%llu bytes are back, as they were",
             (unsigned long long)meta.size);
    return 0;
}

// Whether the file stands at its place as undo puts it there: then a crash took only the last word.
static bool is_back(const struct act_context *c, const struct response *r, int from)
{
    struct vault_work w = work_of(c, r);
    struct vault_meta meta;
    struct stat st;
    _cleanup_place_ struct place p = {.folder = -1, .name = ""};
    if (vault_open(&w, from, -1, &meta, NULL) < 0 || open_place(r, &p) < 0)
        return false;
    _cleanup_close_ int fd = open_file(&p, &st, NULL);
    return fd >= 0 && (uint64_t)st.st_size == meta.size && st.st_uid == meta.uid &&
           st.st_gid == meta.gid && (st.st_mode & 07777) == meta.mode &&
           st.st_mtim.tv_sec == meta.change_sec &&
           (uint32_t)st.st_mtim.tv_nsec == meta.change_nsec && vault_same_bytes(&w, fd, &meta);
}

static bool stands(const struct response *r)
{
    struct stat st;
    _cleanup_place_ struct place p = {.folder = -1, .name = ""};
    return open_place(r, &p) == 0 && fstatat(p.folder, p.name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int undo(const struct act_context *c, struct response *r, struct error *e)
{
    _cleanup_close_ int from = open_copy(c, r);
    if (from == -ENOENT && stands(r)) // all was done but the last word
        return 0;
    if (from < 0)
        return error_set(e, from, "the copy in quarantine cannot be opened: %s", strerror(-from));
    if (!is_back(c, r, from)) {
        int code = put_back(c, r, from, e);
        if (code < 0)
            return code;
    }
    drop_copy(c, r);
    return 0;
}

// ---- after a crash while it was PLANNED

static int recover(const struct act_context *c, struct response *r, struct error *e)
{
    struct vault_work w = work_of(c, r);
    struct vault_meta meta;
    _cleanup_close_ int from = open_copy(c, r);
    _cleanup_place_ struct place p = {.folder = -1, .name = ""};
    if (from < 0 || vault_open(&w, from, -1, &meta, e) < 0 || open_place(r, &p) < 0) {
        drop_copy(c, r);
        return error_set(e, -EINTR,
                         "the agent ended before the file was touched: it stands as it did");
    }
    if (same_inode(p.folder, p.aside, &meta)) // moved aside, not removed yet
        (void)unlinkat(p.folder, p.aside, 0);
    else if (same_inode(p.folder, p.name, &meta)) {
        int code = remove_name(&p, &meta);
        if (code < 0) {
            drop_copy(c, r);
            return error_set(e, code, "the file could not be removed: %s", strerror(-code));
        }
    } else {
        (void)rename_new(p.folder, p.aside, p.name); // another file had come into its place
    }
    (void)fsync(p.folder);
    tell_kept(r, &meta);
    return 1;
}

const struct act response_quarantine = {
    .check = check, .apply = apply, .undo = undo, .recover = recover};
