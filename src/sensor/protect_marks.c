// SPDX-License-Identifier: Apache-2.0
// Marks on protected things, in every folder below and on every file: a mark on a folder asks for what is opened by its
// name there, a mark on the file for what is opened by any other name (a hard link, moved away). Folders are watched by
// inotify for what comes; the watch is set before the mark and the mark before the folder is read, so nothing is missed.
// Nothing here waits for a daemon or a network (gate_listing.h). Bounded: 65,536 marks, as many things to be looked at.
#include "base/cleanup.h"
#include "base/map.h"
#include "sensor/gate_listing.h"
#include "sensor/protect.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/stat.h>

enum { MARKS_MAX = 65536, PENDING_MAX = 65536, AT_ONCE = 256 };
#define WATCHED (IN_CREATE | IN_MOVED_TO | IN_ONLYDIR | IN_MASK_ADD | IN_EXCL_UNLINK)

struct thing {   // to be looked at
    char *path;  // NULL: the roots; `root`: those that are not new as well
    bool folder; // and all below; else one file
    bool root;
};

struct watched { // a folder with an inotify watch
    int wd;
    bool inside; // it is protected itself; else only roots in it are
    char path[];
};

struct found { // a root as it was last seen; of a pattern only the first
    dev_t device;
    ino_t inode;
};

struct protect_marks {
    int info, root, notify; // mountinfo, O_PATH "/", inotify
    struct map by_wd;
    char room[PROTECT_FOLDERS][PROTECT_PATH];
    struct protect_root roots[PROTECT_ROOTS];
    struct found found[PROTECT_ROOTS];
    size_t n_roots;
    struct thing *pending;
    size_t n_pending, cap_pending;
    bool overflow; // something was missed: all is looked at again
    bool whole;    // looked at once in full, with so many marks:
    uint32_t scanned;
    struct protect_counts counts;
};

static void note(struct protect_marks *m, const char *path, const char *why)
{
    snprintf(m->counts.why, sizeof(m->counts.why), "%.80s: %.70s", path, why);
}

static void pend(struct protect_marks *m, const char *path, bool folder, bool root)
{
    if (m->n_pending == PENDING_MAX) {
        m->overflow = true;
        return;
    }
    if (m->n_pending == m->cap_pending) {
        size_t cap = m->cap_pending ? 2 * m->cap_pending : 64;
        void *grown = reallocarray(m->pending, cap, sizeof(*m->pending));
        if (!grown) {
            m->overflow = true;
            return;
        }
        m->pending = grown;
        m->cap_pending = cap;
    }
    char *copy = strdup(path);
    if (!copy)
        m->overflow = true;
    else
        m->pending[m->n_pending++] = (struct thing){copy, folder, root};
}

static void join(char ret[PATH_MAX], const char *folder, const char *name)
{
    // What is too long to be opened by its path is refused where it is opened.
    snprintf(ret, PATH_MAX, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, name);
}

// ---- watches

static void watch(struct protect_marks *m, int folder_fd, const char *path, bool inside)
{
    char name[64];
    snprintf(name, sizeof(name), "/proc/self/fd/%d", folder_fd);
    int wd = inotify_add_watch(m->notify, name, WATCHED);
    if (wd < 0) {
        m->counts.refused++;
        note(m, path, "what comes into it is not followed (fs.inotify.max_user_watches)");
        return;
    }
    size_t n = strlen(path) + 1;
    struct watched *w = malloc(sizeof(*w) + n);
    if (!w) {
        m->overflow = true;
        return;
    }
    w->wd = wd;
    memcpy(w->path, path, n);
    struct watched *old = map_remove(&m->by_wd, MAP_KEY(wd));
    w->inside = inside || (old && old->inside);
    free(old);
    if (map_put(&m->by_wd, MAP_KEY(w->wd), w) < 0) {
        free(w);
        m->counts.refused++;
    }
}

static bool pattern_is(const char *pattern, const char *name)
{
    const char *star = strchr(pattern, '*');
    if (!star)
        return strcmp(pattern, name) == 0;
    size_t front = (size_t)(star - pattern), back = strlen(star + 1), n = strlen(name);
    return n >= front + back && strncmp(pattern, name, front) == 0 &&
           strcmp(name + n - back, star + 1) == 0;
}

static void came(struct protect_marks *m, const struct inotify_event *event)
{
    char path[PATH_MAX];
    bool folder = event->mask & IN_ISDIR;
    if (event->mask & IN_Q_OVERFLOW) {
        m->overflow = true;
        return;
    }
    struct watched *w = map_get(&m->by_wd, MAP_KEY(event->wd));
    if (!w)
        return;
    if (event->mask & IN_IGNORED) {
        free(map_remove(&m->by_wd, MAP_KEY(event->wd)));
        return;
    }
    if (!event->len)
        return;
    join(path, w->path, event->name);
    if (w->inside)
        pend(m, path, folder, false);
    for (size_t i = 0; i < m->n_roots; i++)
        if (m->roots[i].folder == folder && strcmp(m->roots[i].parent, w->path) == 0 &&
            pattern_is(m->roots[i].name, event->name))
            pend(m, path, folder, true);
}

bool protect_marks_follow(struct protect_marks *m)
{
    _Alignas(struct inotify_event) char text[8192];
    ssize_t n;
    for (int i = 0; i < 64 && (n = read(m->notify, text, sizeof(text))) > 0; i++)
        for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= n;) {
            const struct inotify_event *event = (const void *)(text + at);
            came(m, event);
            at += (ssize_t)(sizeof(*event) + event->len);
        }
    if (m->overflow)
        protect_marks_again(m);
    return m->n_pending > 0;
}

// ---- looking

struct looking {
    struct protect_marks *m;
    const struct protect_sink *sink;
    struct gate_listing mounts;
};

static int put(struct looking *l, int fd, const char *path, const char *name, bool whole)
{
    struct protect_counts *c = &l->m->counts;
    if (c->folders + c->files >= MARKS_MAX) {
        // What has gone since is still counted: count anew, unless there really is so much.
        if (l->m->whole && l->m->scanned < MARKS_MAX / 2)
            l->m->overflow = true;
        c->left_out++;
        return 0;
    }
    int r = l->sink->put(l->sink->context, fd, name, whole);
    if (r == -ENOENT) // gone again
        return 0;
    if (r < 0) {
        c->refused++;
        note(l->m, path, strerror(-r));
        return r == -EBADF || r == -EPIPE ? r : 0;
    }
    if (name)
        c->files++;
    else
        c->folders++;
    return 0;
}

static unsigned kind_of(int fd, const struct dirent *d)
{
    struct stat st;
    if (d->d_type != DT_UNKNOWN)
        return d->d_type;
    if (fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return DT_UNKNOWN;
    return S_ISDIR(st.st_mode) ? DT_DIR : S_ISREG(st.st_mode) ? DT_REG : DT_UNKNOWN;
}

// Everything in one folder, whose mark stands.
static int look_into(struct looking *l, int fd, const char *path)
{
    char full[PATH_MAX];
    struct dirent *d;
    unsigned n = 0; // names seen: one huge folder may not keep the sensor from its other work
    int r = 0, copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = copy < 0 ? NULL : fdopendir(copy);
    if (!folder) {
        if (copy >= 0)
            close(copy);
        return 0;
    }
    while (r == 0 && n++ < MARKS_MAX && (d = readdir(folder))) {
        unsigned kind = kind_of(fd, d);
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        join(full, path, d->d_name);
        if (kind == DT_DIR)
            pend(l->m, full, true, false);
        else if (kind == DT_REG)
            r = put(l, fd, full, d->d_name, false);
    }
    l->m->counts.left_out += n > MARKS_MAX; // its files are asked about by the folder's mark alone
    closedir(folder);
    return r;
}

static int look_at_folder(struct looking *l, const struct thing *t)
{
    const char *why;
    char below[PATH_MAX + 1];
    _cleanup_close_ int fd = gate_folder_open(&l->mounts, l->m->root, t->path, &why);
    if (fd < 0) {
        // A mount point is looked at as a root of its own; what is gone needs nothing.
        if (fd != -ENOENT && fd != -ENOTDIR && fd != -EXDEV) {
            l->m->counts.refused++;
            note(l->m, t->path, why);
        }
        return 0;
    }
    if (l->sink->deep)
        watch(l->m, fd, t->path, true);
    int r = put(l, fd, t->path, NULL, true);
    if (r == 0 && l->sink->deep)
        r = look_into(l, fd, t->path);
    for (size_t at = 0; t->root && gate_mount_below(&l->mounts, t->path, &at, below);)
        pend(l->m, below, true, false);
    return r;
}

static int look_at_file(struct looking *l, const struct thing *t)
{
    const char *why;
    char folder[PATH_MAX];
    snprintf(folder, sizeof(folder), "%s", t->path);
    char *name = strrchr(folder, '/');
    if (!name)
        return 0;
    *name++ = 0;
    _cleanup_close_ int fd =
        gate_folder_open(&l->mounts, l->m->root, folder[0] ? folder : "/", &why);
    struct stat st;
    if (fd < 0 || fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
        return 0;
    return put(l, fd, t->path, name, false);
}

// One root: its parent is watched, then it is looked at as it is now.
static int look_at_root(struct looking *l, size_t i, bool all)
{
    struct protect_marks *m = l->m;
    const struct protect_root *r = &m->roots[i];
    const char *why;
    char path[PATH_MAX];
    struct dirent *d;
    _cleanup_close_ int fd = gate_folder_open(&l->mounts, m->root, r->parent, &why);
    if (fd < 0)
        return 0;
    watch(m, fd, r->parent, false);
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0;
    DIR *folder = copy < 0 ? NULL : fdopendir(copy);
    while (folder && (d = readdir(folder))) {
        if (!pattern_is(r->name, d->d_name))
            continue;
        struct stat st;
        join(path, r->parent, d->d_name);
        if (fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (S_ISLNK(st.st_mode))
            note(m, path, "a symbolic link: name the folder itself");
        if (r->folder ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode))
            continue;
        struct found *was = &m->found[i];
        bool other = was->inode && (was->inode != st.st_ino || was->device != st.st_dev);
        if (other && l->sink->drop && !strchr(r->name, '*'))
            l->sink->drop(l->sink->context, was->device, was->inode);
        if (all || other || !was->inode)
            pend(m, path, r->folder, true);
        *was = (struct found){st.st_dev, st.st_ino};
        n++;
    }
    if (folder)
        closedir(folder);
    else if (copy >= 0)
        close(copy);
    return n;
}

static void look_at_roots(struct looking *l, bool all)
{
    struct protect_counts *c = &l->m->counts;
    c->roots = c->absent = 0;
    for (size_t i = 0; i < l->m->n_roots; i++) {
        int n = look_at_root(l, i, all);
        c->roots += n > 0;
        c->absent += n == 0;
    }
}

int protect_marks_put(struct protect_marks *m, const struct protect_sink *sink)
{
    struct looking l = {.m = m, .sink = sink};
    int r = gate_listing_read(m->info, &l.mounts);
    for (int i = 0; r >= 0 && i < AT_ONCE && m->n_pending; i++) {
        struct thing t = m->pending[--m->n_pending];
        if (!t.path)
            look_at_roots(&l, t.root);
        else
            r = t.folder ? look_at_folder(&l, &t) : look_at_file(&l, &t);
        free(t.path);
    }
    gate_listing_done(&l.mounts);
    if (m->overflow) {
        protect_marks_again(m);
    } else if (!m->n_pending && !m->whole) {
        m->whole = true;
        m->scanned = m->counts.folders + m->counts.files;
    }
    return r < 0 ? r : m->n_pending > 0;
}

// ---- the whole

void protect_marks_look_again(struct protect_marks *m)
{
    if (m->n_pending < m->cap_pending)
        m->pending[m->n_pending++] = (struct thing){0};
    else
        m->overflow = true;
}

void protect_marks_again(struct protect_marks *m)
{
    while (m->n_pending)
        free(m->pending[--m->n_pending].path);
    m->overflow = false;
    m->counts = (struct protect_counts){0};
    m->whole = false;
    m->pending[m->n_pending++] = (struct thing){.root = true};
}

int protect_marks_new(const struct protect_settings *s, pid_t scope_pid, struct protect_marks **ret)
{
    struct protect_marks *m = calloc(1, sizeof(*m));
    if (!m)
        return -ENOMEM;
    m->by_wd.quota = MARKS_MAX;
    m->n_roots = protect_roots(s, scope_pid > 0, m->room, m->roots);
    m->cap_pending = 64;
    m->pending = calloc(m->cap_pending, sizeof(*m->pending));
    m->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    int r = m->notify < 0 ? -errno : m->pending ? 0 : -ENOMEM;
    m->info = gate_open_of(scope_pid, "mountinfo", O_RDONLY);
    m->root = gate_open_of(scope_pid, "root", O_PATH | O_DIRECTORY);
    if (r == 0)
        r = m->info < 0 ? m->info : m->root < 0 ? m->root : 0;
    if (r < 0) {
        protect_marks_free(m);
        return r;
    }
    protect_marks_again(m);
    *ret = m;
    return 0;
}

struct protect_marks *protect_marks_free(struct protect_marks *m)
{
    struct map_entry *entry;
    if (!m)
        return NULL;
    for (size_t i = 0; (entry = map_next(&m->by_wd, &i));)
        free(entry->value);
    map_done(&m->by_wd);
    while (m->n_pending)
        free(m->pending[--m->n_pending].path);
    free(m->pending);
    int fds[] = {m->info, m->root, m->notify};
    for (size_t i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(m);
    return NULL;
}

int protect_marks_fd(const struct protect_marks *m)
{
    return m->notify;
}

struct protect_counts protect_marks_counts(const struct protect_marks *m)
{
    return m->counts;
}

int protect_put_mark(void *protect_group, int folder_fd, const char *name, bool whole)
{
    const struct protect_group *g = protect_group;
    uint64_t mask = whole ? g->mask | FAN_EVENT_ON_CHILD : g->mask;
    unsigned flags = FAN_MARK_ADD | (name ? FAN_MARK_DONT_FOLLOW : 0);
    return fanotify_mark(g->group, flags, mask, folder_fd, name) < 0 ? -errno : 0;
}
