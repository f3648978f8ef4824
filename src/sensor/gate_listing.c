// SPDX-License-Identifier: Apache-2.0
#include "sensor/gate_listing.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#define MOUNTS_MAX 16384u

void gate_listing_done(struct gate_listing *l)
{
    buf_done(&l->text);
    free(l->lines);
}

int gate_listing_read(int fd, struct gate_listing *ret)
{
    struct gate_listing l = {0};
    size_t cap = 0;
    ssize_t got;
    char *room;

    if (lseek(fd, 0, SEEK_SET) < 0)
        return -errno;
    while ((room = buf_room(&l.text, 65536)) && (got = read(fd, room, 65536)) > 0)
        l.text.n += (size_t)got;
    if (!room || got < 0) {
        int r = room ? -errno : l.text.failed;
        gate_listing_done(&l);
        return r;
    }
    struct str rest = buf_str(&l.text), line;
    while (str_split(&rest, '\n', &line) && l.n < MOUNTS_MAX) {
        if (l.n == cap) {
            cap = cap ? cap * 2 : 64;
            void *grown = reallocarray(l.lines, cap, sizeof *l.lines);
            if (!grown) {
                gate_listing_done(&l);
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
const struct mountinfo_line *gate_mount_of(const struct gate_listing *l, struct str path)
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
const char *gate_refusal(const struct gate_listing *l, const struct mountinfo_line *m,
                         unsigned depth)
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
        const struct mountinfo_line *below = gate_mount_of(l, layer);
        if (!below || depth == 0 || gate_refusal(l, below, depth - 1))
            return "an overlay over something that may not be marked";
    }
    return NULL;
}

int gate_open_cached(int root, const char *path)
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

int gate_open_of_thread(int proc, pid_t tid, const char *path)
{
    static atomic_bool refused;
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_CACHED};
    bool absolute = path[0] == '/';
    char name[64];

    if (atomic_load(&refused))
        return -ENOSYS;
    if (absolute)
        how.resolve |= RESOLVE_IN_ROOT;
    snprintf(name, sizeof name, "%d/%s", (int)tid, absolute ? "root" : "cwd");
    _cleanup_close_ int root = openat(proc, name, O_PATH | O_CLOEXEC | O_DIRECTORY);
    if (root < 0)
        return -errno;
    int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
    if (fd >= 0)
        return fd;
    if (errno == ENOSYS)
        atomic_store(&refused, true);
    return -errno;
}

// The mount id of a descriptor, without asking its file system. Negative errno.
int gate_mount_id(int fd)
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

int gate_open_of(pid_t pid, const char *what, int flags)
{
    char name[64];
    if (pid > 0)
        snprintf(name, sizeof name, "/proc/%d/%s", (int)pid, what);
    else
        snprintf(name, sizeof name, "/proc/self/%s", what);
    int fd = open(name, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

// As mountinfo writes a path; `ret` has room for four times PATH_MAX.
static struct str escape(const char *path, char *ret)
{
    size_t n = 0;
    for (const char *p = path; *p; p++) {
        bool octal = *p == ' ' || *p == '\t' || *p == '\n' || *p == '\\';
        if (octal) {
            ret[n++] = '\\';
            ret[n++] = (char)('0' + (*p >> 6 & 7));
            ret[n++] = (char)('0' + (*p >> 3 & 7));
        }
        ret[n++] = octal ? (char)('0' + (*p & 7)) : *p;
    }
    return str_bytes(ret, n);
}

static bool below(struct str path, struct str folder)
{
    return str_eq(folder, STR("/"))
               ? path.n > 1
               : path.n > folder.n && str_starts(path, folder) && path.p[folder.n] == '/';
}

// Every mount on the way to the mount point, too: a lookup below FUSE asks its daemon.
static const char *refusal_of_the_way(const struct gate_listing *l, const struct mountinfo_line *m)
{
    const char *why = gate_refusal(l, m, 2);
    for (size_t i = 0; i < l->n && !why; i++)
        if (below(m->point, l->lines[i].point))
            why = gate_refusal(l, &l->lines[i], 2);
    return why;
}

int gate_mount_open(const struct gate_listing *l, int root, const struct mountinfo_line *m,
                    const char **ret_why)
{
    char point[PATH_MAX + 1];
    struct statfs fs;
    *ret_why = refusal_of_the_way(l, m);
    if (*ret_why)
        return -EPERM;
    if (m->point.n > PATH_MAX || mountinfo_unescape(m->point, point) < 0) {
        *ret_why = "its mount point's name cannot be read";
        return -EINVAL;
    }
    _cleanup_close_ int fd = gate_open_cached(root, point);
    if (fd < 0 || gate_mount_id(fd) != m->id) {
        *ret_why = "its mount point cannot be reached, or is covered by another mount";
        return fd < 0 ? fd : -EXDEV;
    }
    if (fstatfs(fd, &fs) < 0 || !mountinfo_magic_is_local((unsigned long)fs.f_type)) {
        *ret_why = "its statfs type is not that of a local file system";
        return -EPERM;
    }
    return TAKE_FD(fd);
}

int gate_folder_open(const struct gate_listing *l, int root, const char *path, const char **ret_why)
{
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH};
    char escaped[4 * PATH_MAX], point[PATH_MAX + 1];
    *ret_why = "its name is too long";
    if (strlen(path) >= PATH_MAX)
        return -ENAMETOOLONG;
    const struct mountinfo_line *m = gate_mount_of(l, escape(path, escaped));
    *ret_why = "no mount holds it";
    if (!m || m->point.n > PATH_MAX || mountinfo_unescape(m->point, point) < 0)
        return -EINVAL;
    _cleanup_close_ int mount = gate_mount_open(l, root, m, ret_why);
    if (mount < 0)
        return mount;
    const char *rest = path + (strcmp(point, "/") == 0 ? 0 : strlen(point));
    while (*rest == '/')
        rest++;
    int fd = (int)syscall(SYS_openat2, mount, *rest ? rest : ".", &how, sizeof how);
    if (fd >= 0)
        return fd;
    int r = -errno;
    *ret_why = r == -ENOENT    ? "there is no such folder"
               : r == -ENOTDIR ? "it is no folder"
               : r == -ELOOP   ? "a symbolic link is on the way: name the folder itself"
                               : "it cannot be opened";
    return r;
}

bool gate_mount_below(const struct gate_listing *l, const char *folder, size_t *position, char *ret)
{
    char escaped[4 * PATH_MAX];
    if (strlen(folder) >= PATH_MAX)
        return false;
    struct str name = escape(folder, escaped);
    while (*position < l->n) {
        const struct mountinfo_line *m = &l->lines[(*position)++];
        if (below(m->point, name) && m->point.n <= PATH_MAX &&
            mountinfo_unescape(m->point, ret) >= 0)
            return true;
    }
    return false;
}
