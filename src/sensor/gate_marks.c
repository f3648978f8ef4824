// SPDX-License-Identifier: Apache-2.0
// Marks. Nothing here may wait for a file system: types are decided by the name in mountinfo first, paths are looked up
// with RESOLVE_CACHED (a mount point is always in the cache; a FUSE file system on the way gives EAGAIN) and O_PATH.
#include "base/buf.h"
#include "base/cleanup.h"
#include "sensor/gate_mountinfo.h"
#include "sensor/gate_table.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#define MOUNTS_MAX 16384u
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

// All lines of one mountinfo, parsed; they borrow from text.
struct listing {
    struct buf text;
    struct mountinfo_line *lines;
    size_t n;
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

static void listing_done(struct listing *l)
{
    buf_done(&l->text);
    free(l->lines);
}

static int listing_read(int fd, struct listing *ret)
{
    struct listing l = {0};
    size_t cap = 0;
    ssize_t got;
    char *room;

    if (lseek(fd, 0, SEEK_SET) < 0)
        return -errno;
    while ((room = buf_room(&l.text, 65536)) && (got = read(fd, room, 65536)) > 0)
        l.text.n += (size_t)got;
    if (!room || got < 0) {
        int r = room ? -errno : l.text.failed;
        listing_done(&l);
        return r;
    }
    struct str rest = buf_str(&l.text), line;
    while (str_split(&rest, '\n', &line) && l.n < MOUNTS_MAX) {
        if (l.n == cap) {
            cap = cap ? cap * 2 : 64;
            void *grown = reallocarray(l.lines, cap, sizeof *l.lines);
            if (!grown) {
                listing_done(&l);
                return -ENOMEM;
            }
            l.lines = grown;
        }
        if (mountinfo_parse(line, &l.lines[l.n]) == 0)
            l.n++;
    }
    *ret = l;
    return 0;
}

// The mount that a path of the same namespace lies on, by names alone.
static const struct mountinfo_line *mount_of(const struct listing *l, struct str path)
{
    const struct mountinfo_line *best = NULL;
    for (size_t i = 0; i < l->n; i++) {
        struct str point = l->lines[i].point;
        bool below = str_eq(point, STR("/")) || str_eq(point, path) ||
                     (str_starts(path, point) && path.p[point.n] == '/');
        if (below && (!best || point.n >= best->point.n))
            best = &l->lines[i];
    }
    return best;
}

// NULL: may be marked as far as names tell; else why not.
static const char *refusal(const struct listing *l, const struct mountinfo_line *m, unsigned depth)
{
    switch (mountinfo_kind(m->type)) {
    case MOUNTINFO_LOCAL:
        return NULL;
    case MOUNTINFO_NONE:
        return "holds no programs";
    case MOUNTINFO_WAITS:
        return "a daemon or a network answers for it; its programs are judged when they start";
    case MOUNTINFO_UNKNOWN:
        return "not known to be local; its programs are judged when they start";
    case MOUNTINFO_OVERLAY:
        break;
    }
    struct str layer;
    for (size_t position = 0; mountinfo_next_layer(m->options, &position, &layer);) {
        if (!layer.n || layer.p[0] != '/')
            return "an overlay whose layers are not named by full paths";
        const struct mountinfo_line *below = mount_of(l, layer);
        if (!below || depth == 0 || refusal(l, below, depth - 1))
            return "an overlay over something that may not be marked";
    }
    return NULL;
}

static int open_cached(int root, const char *path)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_CACHED};
    int fd = -1;
    for (int tries = 0; tries < 4; tries++) { // EAGAIN also when a rename ran at the same time
        fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
        if (fd >= 0 || errno != EAGAIN)
            break;
    }
    return fd < 0 ? -errno : fd;
}

// The mount id of a descriptor, without asking its file system. Negative errno.
static int mount_id(int fd)
{
    char name[64], text[512];
    snprintf(name, sizeof name, "/proc/self/fdinfo/%d", fd);
    _cleanup_close_ int info = open(name, O_RDONLY | O_CLOEXEC);
    if (info < 0)
        return -errno;
    ssize_t n = read(info, text, sizeof text - 1);
    if (n < 0)
        return -errno;
    text[n] = 0;
    const char *id = strstr(text, "mnt_id:");
    return id ? atoi(id + strlen("mnt_id:")) : -EINVAL;
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
    _cleanup_close_ int fd = open_cached(root, path);
    if (fd == -EAGAIN)
        return "below a file system that a daemon or a network answers for";
    if (fd < 0)
        return "its mount point cannot be reached";
    if (mount_id(fd) != m->id)
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
static int take(int group, struct gate_mounts *g, const struct listing *l,
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
    x.m.why = mountinfo_unescape(m->point, path) < 0 ? "its name cannot be read" : refusal(l, m, 2);
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
    _cleanup_(listing_done) struct listing l = {0};
    size_t kept = 0;

    int r = listing_read(g->info, &l);
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

static int open_of(pid_t pid, const char *what, int flags)
{
    char name[64];
    if (pid > 0)
        snprintf(name, sizeof name, "/proc/%d/%s", (int)pid, what);
    else
        snprintf(name, sizeof name, "/proc/self/%s", what);
    int fd = open(name, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
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
    g->info = open_of(pid, "mountinfo", O_RDONLY);
    g->root = open_of(pid, "root", O_PATH | O_DIRECTORY);
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
    _cleanup_(listing_done) struct listing l = {0};
    if (g->foreign >= FOREIGN_MAX)
        return error_set(e, -ENOSPC, "too many file systems of other namespaces are marked");
    _cleanup_close_ int info = open_of(pid, "mountinfo", O_RDONLY);
    _cleanup_close_ int root = open_of(pid, "root", O_PATH | O_DIRECTORY);
    int r = info < 0 ? info : root < 0 ? root : listing_read(info, &l);
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
