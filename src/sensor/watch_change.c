// SPDX-License-Identifier: Apache-2.0
// Events of the group into changes: what the kernel folded is taken apart, what is of no interest is dropped, what the
// event does not say is looked up. Everything is looked up by the folder's handle, never by a path that somebody could
// have exchanged for a link, and never so that a daemon must answer.
#include "base/cleanup.h"
#include "sensor/watch_private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/xattr.h>
#include <sys/fanotify.h>
#include <sys/xattr.h>

#define EXECUTE (S_IXUSR | S_IXGRP | S_IXOTH)
#define SPECIAL (S_ISUID | S_ISGID)
#define ELF_HEAD 18

struct event {
    const struct watch_listener *l;
    struct watch_node *folder;
    struct str name;
    uint64_t mask;
    struct watch_node *known; // what is remembered; NULL: nothing
    struct statx st;
    bool exists, runs, found;
};

// ---- looking

static bool is_program(const unsigned char *head, ssize_t n)
{
    if (n >= 2 && head[0] == '#' && head[1] == '!')
        return true;
    // ET_EXEC or ET_DYN, either byte order: not what a compiler leaves between.
    return n >= ELF_HEAD && memcmp(head, "\177ELF", 4) == 0 &&
           (head[16] == 2 || head[16] == 3 || head[17] == 2 || head[17] == 3);
}

// Opened only after it was seen to be a file of this file system: nothing else could be waited for.
static bool begins_as_program(int folder_fd, struct str name, const struct statx *st)
{
    char text[256], again[32];
    unsigned char head[ELF_HEAD];
    struct statx now;
    if (!S_ISREG(st->stx_mode) || st->stx_size < 3 || name.n >= sizeof text)
        return false;
    memcpy(text, name.p, name.n);
    text[name.n] = 0;
    _cleanup_close_ int path = openat(folder_fd, text, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (path < 0 || watch_look(path, STR_NONE, &now) < 0 || !S_ISREG(now.stx_mode) ||
        watch_device(&now) != watch_device(st) || now.stx_attributes & STATX_ATTR_MOUNT_ROOT)
        return false;
    snprintf(again, sizeof again, "/proc/self/fd/%d", path);
    _cleanup_close_ int fd = open(again, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return fd >= 0 && is_program(head, pread(fd, head, sizeof head, 0));
}

static bool has_capability(int folder_fd, struct str name, const struct statx *st)
{
    char path[32 + 256];
    if (!S_ISREG(st->stx_mode) || !(st->stx_mode & EXECUTE) || folder_fd < 0)
        return false;
    snprintf(path, sizeof path, "/proc/self/fd/%d/%.*s", folder_fd, (int)name.n, name.p);
    return lgetxattr(path, XATTR_NAME_CAPS, NULL, 0) > 0;
}

static bool reads_head(const struct watch_node *folder)
{
    return folder->watch == WATCH_WEB || folder->watch == WATCH_TEMPORARY;
}

// Anything that is not a folder.
static void look_at(struct watch *w, struct event *e)
{
    int fd = watch_folder_fd(w, e->folder);
    e->exists = fd >= 0 && watch_look(fd, e->name, &e->st) == 0 && !S_ISDIR(e->st.stx_mode);
    if (!e->exists) {
        e->runs = e->known && e->known->runs;
        return;
    }
    e->runs = S_ISREG(e->st.stx_mode) && e->st.stx_mode & EXECUTE;
    if (!e->runs && reads_head(e->folder))
        e->runs = e->mask & FAN_CLOSE_WRITE || !e->known ? begins_as_program(fd, e->name, &e->st)
                                                         : e->known->runs;
}

// ---- telling

static bool of_interest(const struct event *e, enum record_file_action action, bool folder,
                        bool runs)
{
    uint16_t flags = e->folder->flags;
    if (flags & WATCH_NAMES)
        return !folder && watch_name_counts(e->name);
    if (flags & WATCH_EXECUTABLES)
        return !folder && runs;
    if (flags & WATCH_NO_WRITES && action == FILE_WRITE)
        return e->exists && (e->known ? e->st.stx_size < e->known->size : e->st.stx_size == 0);
    return true;
}

static void fill(struct watch_change *c, const struct event *e)
{
    const struct watch_node *k = e->known;
    c->executable = e->runs;
    c->known = e->exists || (k && k->known);
    if (e->exists) {
        c->device = watch_device(&e->st);
        c->inode = e->st.stx_ino;
        c->size = e->st.stx_size;
        c->mode = e->st.stx_mode;
        c->owner = e->st.stx_uid;
        c->changed_ns = (uint64_t)e->st.stx_ctime.tv_sec * 1000000000u + e->st.stx_ctime.tv_nsec;
    } else if (c->known) {
        c->device = k->device;
        c->inode = k->inode;
        c->size = k->size;
        c->mode = k->mode;
        c->owner = k->owner;
        c->changed_ns = k->changed_ns;
    }
}

static void tell(struct watch *w, const struct event *e, struct watch_change *c)
{
    c->watch = e->folder->watch;
    c->path = watch_path(e->folder, str_eq(e->name, STR(".")) ? STR_NONE : e->name, w->path);
    c->pid = e->l->pid;
    c->found = e->found;
    fill(c, e);
    if (e->l->tell && c->path.n)
        e->l->tell(e->l->context, c);
}

static void tell_if(struct watch *w, const struct event *e, enum record_file_action action)
{
    struct watch_change c = {.action = action};
    if (of_interest(e, action, false, e->runs))
        tell(w, e, &c);
}

static void tell_created(struct watch *w, const struct event *e)
{
    struct watch_node *k = e->known;
    if (k && k->found_made && e->exists && k->inode == e->st.stx_ino) {
        k->found_made = false;
        return;
    }
    // A second name of a file shows by its count of names; a new file is most often written, too.
    bool linked =
        e->exists && S_ISREG(e->st.stx_mode) && e->st.stx_nlink > 1 && !(e->mask & FAN_CLOSE_WRITE);
    struct watch_change c = {.action = linked ? FILE_LINK : FILE_CREATE};
    // In a temporary folder it is no program before it was written, whatever it begins with now.
    bool runs = e->runs && (linked || !e->exists || e->st.stx_mode & EXECUTE);
    if (of_interest(e, c.action, false, runs))
        tell(w, e, &c);
}

static void tell_written(struct watch *w, const struct event *e)
{
    struct watch_node *k = e->known;
    if (k && k->found_written && e->exists &&
        k->changed_ns == (uint64_t)e->st.stx_ctime.tv_sec * 1000000000u + e->st.stx_ctime.tv_nsec) {
        k->found_written = false;
        return;
    }
    struct watch_change c = {.action = FILE_WRITE};
    if (e->folder->flags & WATCH_NO_WRITES)
        c.attribute = "shorter";
    if (of_interest(e, c.action, false, e->runs))
        tell(w, e, &c);
}

// The kernel says that mode, owner, an attribute or only times changed, not which. What was remembered says it, unless
// that was looked at after the change.
static void tell_attributes(struct watch *w, const struct event *e, bool folder)
{
    const struct watch_node *k = e->known && e->known->known ? e->known : NULL;
    uint32_t mode = e->st.stx_mode & 07777;
    if (!e->exists || !of_interest(e, FILE_MODE, folder, e->runs || (k && k->runs)))
        return;
    bool other = false;
    bool capable = !folder && has_capability(watch_folder_fd(w, e->folder), e->name, &e->st);
    if ((other = capable != (k && k->capability)))
        tell(w, e,
             &(struct watch_change){
                 .action = FILE_ATTRIBUTE, .attribute = XATTR_NAME_CAPS, .folder = folder});
    if (k && k->owner != e->st.stx_uid) {
        other = true;
        tell(w, e,
             &(struct watch_change){
                 .action = FILE_ATTRIBUTE, .attribute = "owner", .folder = folder});
    }
    bool fresh = !k || k->looked_ns >= w->since_ns;
    if (k && (k->mode & 07777) != mode)
        tell(w, e,
             &(struct watch_change){.action = FILE_MODE,
                                    .has_old_mode = true,
                                    .old_mode = k->mode & 07777,
                                    .folder = folder});
    else if (fresh && !other && !folder && mode & (EXECUTE | SPECIAL))
        tell(w, e, &(struct watch_change){.action = FILE_MODE});
}

// ---- remembering

static void remember(struct watch *w, struct event *e)
{
    bool worth = e->exists && e->folder->watch != WATCH_TEMPORARY &&
                 (!(e->folder->flags & WATCH_NAMES) || watch_name_counts(e->name));
    worth |= e->exists && e->runs;
    if (!worth) {
        if (e->known && !e->known->folder)
            watch_remove(w, e->known);
        e->known = NULL;
        return;
    }
    if (!e->known)
        e->known = watch_add(w, e->folder, e->name, false);
    if (!e->known || e->known->folder)
        return;
    watch_learn(w, e->known, &e->st);
    e->known->runs = e->runs;
    // Only what can run carries capabilities that do anything; asked where they may have changed.
    if (e->mask & (FAN_ATTRIB | FAN_CLOSE_WRITE | FAN_RENAME))
        e->known->capability = has_capability(watch_folder_fd(w, e->folder), e->name, &e->st);
}

void watch_found(struct watch *w, struct watch_node *folder, int folder_fd, struct str name,
                 const struct statx *st, const struct watch_listener *l)
{
    struct event e = {.l = l,
                      .folder = folder,
                      .name = name,
                      .known = watch_find(w, folder, name),
                      .st = *st,
                      .exists = true,
                      .found = true};
    if (S_ISDIR(st->stx_mode)) {
        if (of_interest(&e, FILE_CREATE, true, false))
            tell(w, &e, &(struct watch_change){.action = FILE_CREATE, .folder = true});
        return;
    }
    if (l->tell && w->again && (folder->watch == WATCH_TEMPORARY || w->stats.full_files))
        return; // not all that was there is remembered, so nothing shows what is new
    e.runs = S_ISREG(st->stx_mode) && st->stx_mode & EXECUTE;
    if (!e.runs && l->tell && reads_head(folder))
        e.runs = begins_as_program(folder_fd, name, st);
    bool before = e.known != NULL; // marked and told already: an event came first
    remember(w, &e);
    if (e.known)
        e.known->capability = has_capability(folder_fd, name, st);
    if (!l->tell || before)
        return;
    tell_if(w, &e, FILE_CREATE);
    bool written = S_ISREG(st->stx_mode) && st->stx_size;
    if (written && !(folder->flags & WATCH_NO_WRITES))
        tell_if(w, &e, FILE_WRITE);
    if (e.known) {
        e.known->found_made = true;
        e.known->found_written = written;
    }
}

// ---- events

static void file_event(struct watch *w, struct event *e)
{
    if (e->folder->flags & WATCH_NAMES && !watch_name_counts(e->name))
        return;
    if (e->mask & ~(uint64_t)FAN_DELETE)
        look_at(w, e);
    else
        e->runs = e->known && e->known->runs;
    if (!e->known && e->folder->watch == WATCH_TEMPORARY && !e->runs) {
        w->stats.late += !e->exists && e->mask & (FAN_CREATE | FAN_CLOSE_WRITE);
        watch_noise(w, e->folder);
    }
    if (e->mask & FAN_DELETE && e->exists) { // and made again
        tell_if(w, e, FILE_DELETE);
        if (e->known)
            watch_remove(w, e->known);
        e->known = NULL;
    }
    if (e->mask & FAN_CREATE)
        tell_created(w, e);
    if (e->mask & FAN_CLOSE_WRITE)
        tell_written(w, e);
    if (e->mask & FAN_ATTRIB)
        tell_attributes(w, e, false);
    if (e->mask & FAN_DELETE && !e->exists)
        tell_if(w, e, FILE_DELETE);
    remember(w, e);
}

static void enter(struct watch *w, struct event *e)
{
    unsigned depth = 1;
    for (const struct watch_node *up = e->folder->parent; up; up = up->parent)
        depth++;
    int fd = e->folder->flags & WATCH_BELOW ? watch_folder_fd(w, e->folder) : -1;
    int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0); // the cached one may change below
    if (copy < 0)
        return;
    watch_enter_child(w, e->folder, copy, e->name, depth, e->l);
    close(copy);
}

static void folder_event(struct watch *w, struct event *e)
{
    struct watch_node *k = e->known;
    bool itself = str_eq(e->name, STR("."));
    if (e->folder->flags & WATCH_NAMES)
        w->stale = true; // perhaps a root of its own
    int fd = watch_folder_fd(w, e->folder);
    e->exists = fd >= 0 && watch_look(fd, e->name, &e->st) == 0 && S_ISDIR(e->st.stx_mode);
    bool same = k && k->folder && e->exists && k->inode == e->st.stx_ino;
    bool tells = of_interest(e, FILE_CREATE, true, false);
    if (e->mask & FAN_DELETE) {
        if (tells)
            tell(w, e, &(struct watch_change){.action = FILE_DELETE, .folder = true});
        if (k && !same && !itself) {
            watch_remove(w, k);
            e->known = k = NULL;
        }
    }
    if (e->mask & FAN_CREATE) {
        bool told = same && k->found_made;
        if (told)
            k->found_made = false;
        else if (tells)
            tell(w, e, &(struct watch_change){.action = FILE_CREATE, .folder = true});
        if (!told && e->known) // the same number, and yet another one: its mark went with the first
            watch_remove(w, e->known);
        e->known = k = told ? k : NULL;
        if (!told)
            enter(w, e);
        same = told;
    }
    if (e->mask & FAN_ATTRIB && (same || (itself && e->exists))) {
        if (itself)
            e->known = k = e->folder;
        if (tells)
            tell_attributes(w, e, true);
        watch_learn(w, k, &e->st);
    }
}

static void move_folder(struct watch *w, struct event *from, struct event *to)
{
    struct watch_node *node = from->folder ? from->known : NULL, *before;
    bool into = to->folder && to->folder->flags & WATCH_BELOW;
    if ((from->folder && from->folder->flags & WATCH_NAMES) ||
        (to->folder && to->folder->flags & WATCH_NAMES))
        w->stale = true;
    if (into && (before = watch_find(w, to->folder, to->name)) && before != node)
        watch_remove(w, before); // an empty folder that gave way
    if (node && (!into || node->watch != to->folder->watch)) {
        watch_leave(w, node);
        from->known = node = NULL;
    }
    if (node && watch_move(w, node, to->folder, to->name) < 0)
        watch_remove(w, node);
    else if (!node && into)
        enter(w, to);
}

static void rename_event(struct watch *w, struct event *from, struct event *to, bool folder)
{
    struct event *shown = to->folder ? to : from;
    struct watch_change c = {.action = FILE_RENAME, .folder = folder};
    char old[WATCH_PATH];
    if (from->folder)
        c.old_path = watch_path(from->folder, from->name, old);
    to->known = from->known; // facts of what was moved
    if (to->folder && !folder)
        look_at(w, to);
    else if (to->folder)
        to->exists =
            watch_folder_fd(w, to->folder) >= 0 && watch_look(w->folder_fd, to->name, &to->st) == 0;
    bool runs = to->runs || (from->known && from->known->runs);
    bool tells = (from->folder && of_interest(from, FILE_RENAME, folder, runs)) ||
                 (to->folder && of_interest(to, FILE_RENAME, folder, runs));
    shown->runs = runs;
    if (tells)
        tell(w, shown, &c);
    if (folder)
        return move_folder(w, from, to);
    if (from->known && !from->known->folder)
        watch_remove(w, from->known);
    if (!to->folder)
        return;
    to->known = watch_find(w, to->folder, to->name);
    remember(w, to);
}

static void take(struct watch *w, const struct watch_record *r, const struct watch_listener *l)
{
    struct event e = {.l = l, .mask = r->mask, .name = r->at.name};
    struct event to = {.l = l, .mask = r->mask, .name = r->to.name};
    bool folder = r->mask & FAN_ONDIR;
    if (r->mask &
        FAN_MOVED_TO) { // of a folder that is asked for less: where it came from is not told
        take(w, &(struct watch_record){.mask = FAN_RENAME | (r->mask & FAN_ONDIR), .to = r->at}, l);
        e.mask &= ~(uint64_t)FAN_MOVED_TO;
        if (!(e.mask & (FAN_CREATE | FAN_CLOSE_WRITE | FAN_DELETE | FAN_ATTRIB)))
            return;
    }
    e.folder = r->at.folder.n ? map_get(&w->handles, r->at.folder) : NULL;
    to.folder = r->to.folder.n ? map_get(&w->handles, r->to.folder) : NULL;
    if (e.folder)
        e.known = watch_find(w, e.folder, e.name);
    if (r->mask & FAN_RENAME) {
        if (e.folder || to.folder)
            rename_event(w, &e, &to, folder);
    } else if (e.folder && folder) {
        folder_event(w, &e);
    } else if (e.folder) {
        file_event(w, &e);
    }
}

void watch_take(struct watch *w, struct str bytes, uint64_t since_ns, watch_tell *tell_change,
                void *context)
{
    struct watch_record r;
    int got;
    w->since_ns = since_ns;
    while ((got = watch_parse(&bytes, &r)) == 1) {
        struct watch_listener l = {.tell = tell_change, .context = context, .pid = r.pid};
        if (r.mask & FAN_Q_OVERFLOW) {
            w->stats.overflows++;
            w->overflowed = true;
        } else {
            take(w, &r, &l);
        }
    }
    w->stats.malformed += got < 0;
}
