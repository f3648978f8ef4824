// SPDX-License-Identifier: Apache-2.0
// Marks, and the first look into a folder. Marked first and looked into afterwards: what is made meanwhile is either seen
// by the look or told by the kernel (or both: watch_change.c tells it once).
#include "base/cleanup.h"
#include "sensor/watch_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/fanotify.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#ifndef AT_HANDLE_FID
#define AT_HANDLE_FID 0x200 // 6.6 and later: a handle that only names, as fanotify uses
#endif
#define FSID_BYTES 8

const uint64_t watch_events = FAN_CREATE | FAN_CLOSE_WRITE | FAN_RENAME | FAN_DELETE | FAN_ATTRIB |
                              FAN_ONDIR | FAN_EVENT_ON_CHILD;
const uint64_t watch_events_thin =
    FAN_CLOSE_WRITE | FAN_MOVED_TO | FAN_ATTRIB | FAN_ONDIR | FAN_EVENT_ON_CHILD;

int watch_group_create(struct error *e)
{
    // Not with FAN_REPORT_TARGET_FID: without it the kernel folds what one process does to one name while we are not
    // reading. A loop of create, write, delete then costs a third, and its order is known well enough.
    // The queue keeps its bound (fs.fanotify.max_queued_events): over it the kernel tells that something was lost.
    int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_UNLIMITED_MARKS |
                               FAN_CLOEXEC | FAN_NONBLOCK,
                           O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(e, -errno, "fanotify_init: %s", strerror(errno));
    return fd;
}

void watch_uncovered(struct watch *w, uint64_t *count, struct str path, const char *why)
{
    ++*count;
    if (!w->stats.first_refused[0])
        snprintf(w->stats.first_refused, sizeof w->stats.first_refused, "%.*s: %s",
                 (int)(path.n < 90 ? path.n : 90), path.p ? path.p : "", why);
}

static int handle_of(int fd, char out[WATCH_KEY_BYTES], struct str *ret)
{
    struct statfs fs;
    struct {
        struct file_handle head;
        unsigned char bytes[WATCH_HANDLE_BYTES];
    } h = {.head.handle_bytes = WATCH_HANDLE_BYTES};
    int mount_id;
    if (fstatfs(fd, &fs) < 0)
        return -errno;
    int r = name_to_handle_at(fd, "", &h.head, &mount_id, AT_EMPTY_PATH | AT_HANDLE_FID);
    if (r < 0 && errno == EINVAL) {
        h.head.handle_bytes = WATCH_HANDLE_BYTES;
        r = name_to_handle_at(fd, "", &h.head, &mount_id, AT_EMPTY_PATH);
    }
    if (r < 0)
        return -errno;
    size_t n = sizeof h.head + h.head.handle_bytes;
    memcpy(out, &fs.f_fsid, FSID_BYTES);
    memcpy(out + FSID_BYTES, &h, n);
    *ret = str_bytes(out, FSID_BYTES + n);
    return 0;
}

// The name stands in two places only when an event was lost (the folder was moved), or where roots overlap.
static bool taken(struct watch *w, const struct watch_node *node, struct str handle)
{
    struct watch_node *other = map_get(&w->handles, handle);
    if (!other || other == node)
        return false;
    if (!other->parent)
        return true;
    for (const struct watch_node *up = node; up; up = up->parent)
        if (up == other)
            return true; // it can lie in itself only through a bind mount
    watch_remove(w, other);
    return false;
}

static const char *mark(struct watch *w, struct watch_node *node, int fd)
{
    char bytes[WATCH_KEY_BYTES];
    struct str handle;
    int r = handle_of(fd, bytes, &handle);
    if (r < 0)
        return r == -EOPNOTSUPP ? "its file system has no handles" : strerror(-r);
    if (taken(w, node, handle))
        return "";
    if (fanotify_mark(w->group, FAN_MARK_ADD, node->thin ? watch_events_thin : watch_events, fd,
                      NULL) < 0)
        return errno == EXDEV || errno == ENODEV || errno == EOPNOTSUPP
                   ? "the kernel cannot tell folders of this file system apart"
                   : strerror(errno);
    if (!node->handle.n && watch_set_handle(w, node, handle) < 0)
        return "no memory";
    return NULL;
}

uint32_t watch_device(const struct statx *st)
{
    return st->stx_dev_major << 20 | st->stx_dev_minor;
}

int watch_look(int folder_fd, struct str name, struct statx *ret)
{
    char text[256];
    if (name.n >= sizeof text)
        return -ENAMETOOLONG;
    if (name.n)
        memcpy(text, name.p, name.n);
    text[name.n] = 0;
    int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
    return statx(folder_fd, text, flags | (name.n ? 0 : AT_EMPTY_PATH), STATX_BASIC_STATS, ret) < 0
               ? -errno
               : 0;
}

static void folder_found(struct watch *w, struct watch_node *parent, int parent_fd, struct str name,
                         unsigned depth, const struct watch_listener *l)
{
    struct statx st;
    bool fresh = l->tell && !watch_find(w, parent, name);
    if (fresh && watch_look(parent_fd, name, &st) == 0 && S_ISDIR(st.stx_mode))
        watch_found(w, parent, parent_fd, name, &st, l);
    struct watch_node *node = watch_enter_child(w, parent, parent_fd, name, depth, l);
    if (fresh && node)
        node->found_made = true;
}

static void look_into(struct watch *w, struct watch_node *node, int fd, unsigned depth,
                      const struct watch_listener *l)
{
    DIR *folder = fdopendir(fd);
    const struct dirent *d;
    if (!folder) {
        close(fd);
        return;
    }
    struct watch_listener below = *l;
    bool files = (l->tell || node->watch != WATCH_TEMPORARY) && !l->only_folders;
    below.only_folders = false;
    while ((d = readdir(folder))) {
        struct str name = str_from(d->d_name);
        struct statx st = {0};
        if (str_eq(name, STR(".")) || str_eq(name, STR("..")))
            continue;
        bool is_folder = d->d_type == DT_DIR;
        if (d->d_type == DT_UNKNOWN || (!is_folder && files)) {
            if (watch_look(fd, name, &st) < 0)
                continue;
            is_folder = S_ISDIR(st.stx_mode);
        }
        if (!is_folder && st.stx_mode && files)
            watch_found(w, node, fd, name, &st, l);
        else if (is_folder && node->flags & WATCH_BELOW)
            folder_found(w, node, fd, name, depth + 1, &below);
    }
    closedir(folder);
}

// Folders that went away while nobody told.
static void leave_moved(struct watch *w, struct watch_node *node, int fd)
{
    struct watch_node *next;
    for (struct watch_node *at = node->child; at; at = next) {
        struct statx st;
        next = at->next;
        if (at->folder && (watch_look(fd, watch_node_name(at), &st) < 0 ||
                           st.stx_ino != at->inode || watch_device(&st) != at->device))
            watch_leave(w, at);
    }
}

void watch_look_through(struct watch *w, struct watch_node *node, int fd, unsigned depth,
                        const struct watch_listener *l)
{
    leave_moved(w, node, fd);
    look_into(w, node, fd, depth, l);
}

int watch_enter(struct watch *w, struct watch_node *node, int fd, unsigned depth,
                const struct watch_listener *l)
{
    const char *why = mark(w, node, fd);
    if (why) {
        close(fd);
        if (*why)
            watch_uncovered(w, &w->stats.refused, watch_path(node, STR_NONE, w->path), why);
        return -ENOTSUP;
    }
    if (w->again)
        leave_moved(w, node, fd);
    look_into(w, node, fd, depth, l);
    return 0;
}

static bool may_enter(struct watch *w, const struct watch_node *parent, struct str name,
                      const struct statx *st, unsigned depth)
{
    char path[WATCH_PATH];
    uint64_t *count = &w->stats.other;
    const char *why = "a daemon or a network answers for it";
    if (depth > WATCH_DEEP) {
        count = &w->stats.deep;
        why = "too many folders in each other";
    } else if (!(st->stx_attributes & STATX_ATTR_MOUNT_ROOT) ||
               watch_mount_is_local(w, watch_device(st))) {
        return true;
    }
    watch_uncovered(w, count, watch_path(parent, name, path), why);
    return false;
}

static int open_child(int parent_fd, struct str name)
{
    char text[256];
    memcpy(text, name.p, name.n); // watch_look() has seen that it fits
    text[name.n] = 0;
    return openat(parent_fd, text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
}

struct watch_node *watch_enter_child(struct watch *w, struct watch_node *parent, int parent_fd,
                                     struct str name, unsigned depth,
                                     const struct watch_listener *l)
{
    struct statx st;
    struct watch_node *node = watch_find(w, parent, name);
    if (watch_look(parent_fd, name, &st) < 0 || !S_ISDIR(st.stx_mode))
        return NULL;
    bool same =
        node && node->folder && node->inode == st.stx_ino && node->device == watch_device(&st);
    if (same && !w->again)
        return node;
    if (node && !same)
        watch_remove(w, node); // another of the same name
    int fd = may_enter(w, parent, name, &st, depth) ? open_child(parent_fd, name) : -1;
    if (fd < 0)
        return NULL;
    if (!same && !(node = watch_add(w, parent, name, true))) {
        close(fd);
        return NULL;
    }
    watch_learn(w, node, &st);
    if (watch_enter(w, node, fd, depth, l) < 0) {
        watch_remove(w, node);
        return NULL;
    }
    return node;
}

// ---- folders by their handles

// Where the file system of this node begins, as far as the table knows: a path that is on it.
static const struct watch_node *top_of(const struct watch_node *node)
{
    while (node->parent && node->parent->handle.n &&
           memcmp(node->parent->handle.p, node->handle.p, FSID_BYTES) == 0)
        node = node->parent;
    return node;
}

static int open_path(const struct watch_node *node)
{
    char path[WATCH_PATH], text[WATCH_PATH + 1];
    struct str p = watch_path(node, STR_NONE, path);
    if (!p.n)
        return -ENAMETOOLONG;
    memcpy(text, p.p, p.n);
    text[p.n] = 0;
    int fd = open(text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

static int open_handle(struct watch *w, const struct watch_node *folder)
{
    struct {
        struct file_handle head;
        unsigned char bytes[WATCH_HANDLE_BYTES];
    } h;
    uint64_t fsid;
    if (folder->handle.n < FSID_BYTES + sizeof h.head || folder->handle.n > FSID_BYTES + sizeof h)
        return -EINVAL;
    memcpy(&fsid, folder->handle.p, FSID_BYTES);
    memcpy(&h, folder->handle.p + FSID_BYTES, folder->handle.n - FSID_BYTES);
    if (w->mount_fd < 0 || fsid != w->mount_fsid) {
        if (w->mount_fd >= 0)
            close(w->mount_fd);
        w->mount_fd = open_path(top_of(folder));
        w->mount_fsid = fsid;
        if (w->mount_fd < 0)
            return w->mount_fd;
    }
    int fd = open_by_handle_at(w->mount_fd, &h.head, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int watch_folder_fd(struct watch *w, const struct watch_node *folder)
{
    if (w->folder_open == folder && w->folder_fd >= 0)
        return w->folder_fd;
    if (w->folder_fd >= 0)
        close(w->folder_fd);
    w->folder_open = NULL;
    w->folder_fd = open_handle(w, folder);
    // Gone for good is ESTALE. Others: a file system whose handles only name, or a missing capability.
    if (w->folder_fd < 0 && w->folder_fd != -ESTALE)
        w->folder_fd = open_path(folder);
    if (w->folder_fd >= 0)
        w->folder_open = folder;
    return w->folder_fd;
}

void watch_rest(struct watch *w)
{
    if (w->folder_fd >= 0)
        close(w->folder_fd);
    if (w->mount_fd >= 0)
        close(w->mount_fd);
    w->folder_fd = w->mount_fd = -1;
    w->folder_open = NULL;
}

static void unmark(struct watch *w, const struct watch_node *node)
{
    int fd = node->folder && node->handle.n ? watch_folder_fd(w, node) : -1;
    if (fd >= 0) // else it is deleted, and its mark with it
        (void)fanotify_mark(w->group, FAN_MARK_REMOVE, watch_events | watch_events_thin, fd, NULL);
}

void watch_leave(struct watch *w, struct watch_node *node)
{
    for (struct watch_node *at = node; w->group >= 0;) {
        unmark(w, at);
        if (at->child) {
            at = at->child;
            continue;
        }
        while (at != node && !at->next)
            at = at->parent;
        if (at == node)
            break;
        at = at->next;
    }
    watch_remove(w, node);
}
