// SPDX-License-Identifier: Apache-2.0
// Marks. Nothing here may wait for a file system: types are decided by the name in mountinfo first, paths are looked up
// with RESOLVE_CACHED (a mount point is always in the cache; a FUSE file system on the way gives EAGAIN) and O_PATH.
#include "base/cleanup.h"
#include "sensor/gate_listing.h"
#include "sensor/gate_table.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#define FOREIGN_MAX 1024u // marks of other namespaces that are remembered for display
#define INITIAL_PID_NAMESPACE 0xEFFFFFFCu

struct entry {
    struct gate_mount m;
    bool foreign; // of another process's mount namespace
};

struct gate_mounts {
    int info;   // the mountinfo that is watched
    int root;   // O_PATH: "/" or /proc/PID/root
    bool mount; // FAN_MARK_MOUNT instead of FAN_MARK_FILESYSTEM
    struct entry *list;
    size_t n, foreign;
};

int gate_group_create(struct error *e)
{
    struct stat st;
    if (stat("/proc/self/ns/pid", &st) < 0)
        return error_set(e, -errno, "cannot read /proc/self/ns/pid: %s", strerror(errno));
    if (st.st_ino != INITIAL_PID_NAMESPACE) {
        error_way_out(e, "run it on the host itself, not in a container");
        return error_set(e, -EPERM, "not in the initial pid namespace: callers could not be found");
    }
    int fd = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE |
                               FAN_UNLIMITED_MARKS | FAN_REPORT_TID,
                           O_RDONLY | O_CLOEXEC | O_LARGEFILE | O_NONBLOCK);
    if (fd < 0)
        return error_set(e, -errno, "fanotify_init: %s", strerror(errno));
    return fd;
}

static int mark(int group, unsigned flags, int fd)
{
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    return fanotify_mark(group, flags, FAN_OPEN_EXEC_PERM, AT_FDCWD, name) < 0 ? -errno : 0;
}

// NULL when marked, else why not.
static const char *mark_mount(int group, bool mount, int root, const struct mountinfo_line *m,
                              const char *path)
{
    struct statfs fs;
    _cleanup_close_ int fd = gate_open_cached(root, path);
    if (fd == -EAGAIN)
        return "below a file system that a daemon or a network answers for";
    if (fd < 0)
        return "its mount point cannot be reached";
    if (gate_mount_id(fd) != m->id)
        return "covered by another mount";
    if (fstatfs(fd, &fs) < 0 || !mountinfo_magic_is_local((unsigned long)fs.f_type))
        return "its statfs type is not that of a local file system";
    int r = mark(group, FAN_MARK_ADD | (mount ? FAN_MARK_MOUNT : FAN_MARK_FILESYSTEM), fd);
    if (r == -ENODEV || r == -EXDEV || r == -EOPNOTSUPP)
        return "the kernel cannot mark this type";
    return r < 0 ? "the kernel refused the mark" : NULL;
}

static void entry_done(struct entry *x)
{
    free((char *)x->m.path);
    free((char *)x->m.type);
}

static int entry_add(struct gate_mounts *g, struct entry x)
{
    if (g->n % 64 == 0) {
        void *grown = reallocarray(g->list, g->n + 64, sizeof *g->list);
        if (!grown)
            return -ENOMEM;
        g->list = grown;
    }
    g->list[g->n++] = x;
    return 0;
}

// Marks one line and notes the result.
static int take(int group, struct gate_mounts *g, const struct gate_listing *l,
                const struct mountinfo_line *m, int foreign_root)
{
    bool foreign = foreign_root >= 0;
    struct entry x = {.foreign = foreign,
                      .m = {.id = m->id,
                            .device = makedev(m->major, m->minor),
                            .type = strndup(m->type.p, m->type.n)}};
    char *path = malloc(m->point.n + 1);
    x.m.path = path;
    if (!path || !x.m.type) {
        entry_done(&x);
        return -ENOMEM;
    }
    x.m.why =
        mountinfo_unescape(m->point, path) < 0 ? "its name cannot be read" : gate_refusal(l, m, 2);
    if (!x.m.why)
        x.m.why = mark_mount(group, g->mount, foreign ? foreign_root : g->root, m, path);
    x.m.marked = !x.m.why;
    int r = entry_add(g, x);
    if (r < 0)
        entry_done(&x);
    return r;
}

int gate_mark_new(int group, struct gate_mounts *g, struct error *e)
{
    _cleanup_(gate_listing_done) struct gate_listing l = {0};
    size_t kept = 0;

    int r = gate_listing_read(g->info, &l);
    if (r < 0)
        return error_set(e, r, "cannot read mountinfo: %s", strerror(-r));
    for (size_t i = 0; i < g->n; i++) {
        if (g->list[i].foreign)
            kept++;
        else
            entry_done(&g->list[i]);
    }
    // The list grows in steps of 64 from its current end, so what is kept moves into a fresh one.
    struct entry *old = g->list;
    size_t n = g->n;
    g->list = NULL;
    g->n = 0;
    for (size_t i = 0; i < n && kept; i++)
        if (old[i].foreign && entry_add(g, old[i]) < 0)
            entry_done(&old[i]);
    free(old);
    for (size_t i = 0; i < l.n && r >= 0; i++)
        r = take(group, g, &l, &l.lines[i], -1);
    return r < 0 ? error_set(e, r, "cannot mark: %s", strerror(-r)) : 0;
}

static bool own_namespace(pid_t pid)
{
    char name[64];
    struct stat a, b;
    snprintf(name, sizeof name, "/proc/%d/ns/mnt", (int)pid);
    return stat(name, &a) < 0 || stat("/proc/self/ns/mnt", &b) < 0 || a.st_ino != b.st_ino;
}

int gate_mark_all(int group, pid_t pid, struct gate_mounts **ret, struct error *e)
{
    if (pid > 0 && !own_namespace(pid)) {
        error_way_out(e, "start it with unshare(CLONE_NEWNS)");
        return error_set(e, -EINVAL, "process %d has no mount namespace of its own", (int)pid);
    }
    struct gate_mounts *g = calloc(1, sizeof *g);
    if (!g)
        return -ENOMEM;
    g->mount = pid > 0;
    g->info = gate_open_of(pid, "mountinfo", O_RDONLY);
    g->root = gate_open_of(pid, "root", O_PATH | O_DIRECTORY);
    int r = g->info < 0 ? g->info : g->root < 0 ? g->root : 0;
    if (r < 0)
        error_set(e, r, "cannot see the mounts of process %d: %s", (int)pid, strerror(-r));
    else
        r = gate_mark_new(group, g, e);
    if (r < 0) {
        gate_unmark_all(group, g);
        return r;
    }
    *ret = g;
    return 0;
}

int gate_mark_device_of(int group, struct gate_mounts *g, pid_t pid, uint64_t device,
                        struct error *e)
{
    _cleanup_(gate_listing_done) struct gate_listing l = {0};
    if (g->foreign >= FOREIGN_MAX)
        return error_set(e, -ENOSPC, "too many file systems of other namespaces are marked");
    _cleanup_close_ int info = gate_open_of(pid, "mountinfo", O_RDONLY);
    _cleanup_close_ int root = gate_open_of(pid, "root", O_PATH | O_DIRECTORY);
    int r = info < 0 ? info : root < 0 ? root : gate_listing_read(info, &l);
    if (r < 0)
        return error_set(e, r, "cannot see the mounts of process %d: %s", (int)pid, strerror(-r));
    r = -ENOENT;
    for (size_t i = 0; i < l.n; i++) {
        if (makedev(l.lines[i].major, l.lines[i].minor) != device)
            continue;
        r = take(group, g, &l, &l.lines[i], root);
        if (r < 0)
            break;
        g->foreign++;
        if (g->list[g->n - 1].m.marked)
            return 0;
        error_set(e, r = -EPERM, "%s is not marked: %s", g->list[g->n - 1].m.path,
                  g->list[g->n - 1].m.why);
    }
    return r;
}

int gate_mark_file(int group, const char *path, struct error *e)
{
    if (fanotify_mark(group, FAN_MARK_ADD, FAN_OPEN_EXEC_PERM, AT_FDCWD, path) < 0)
        return error_set(e, -errno, "cannot mark %s: %s", path, strerror(errno));
    return 0;
}

int gate_unmark_file(int group, const char *path)
{
    return fanotify_mark(group, FAN_MARK_REMOVE, FAN_OPEN_EXEC_PERM, AT_FDCWD, path) < 0 ? -errno
                                                                                         : 0;
}

int gate_mounts_fd(const struct gate_mounts *g)
{
    return g->info;
}

size_t gate_mounts_count(const struct gate_mounts *g)
{
    return g->n;
}

const struct gate_mount *gate_mounts_at(const struct gate_mounts *g, size_t i)
{
    return i < g->n ? &g->list[i].m : NULL;
}

int gate_unmark_all(int group, struct gate_mounts *g)
{
    int r = 0;
    static const unsigned kinds[] = {FAN_MARK_FILESYSTEM, FAN_MARK_MOUNT, FAN_MARK_INODE};
    for (size_t i = 0; i < 3; i++)
        if (fanotify_mark(group, FAN_MARK_FLUSH | kinds[i], 0, AT_FDCWD, "/") < 0)
            r = -errno;
    if (!g)
        return r;
    for (size_t i = 0; i < g->n; i++)
        entry_done(&g->list[i]);
    free(g->list);
    if (g->info >= 0)
        close(g->info);
    if (g->root >= 0)
        close(g->root);
    free(g);
    return r;
}
