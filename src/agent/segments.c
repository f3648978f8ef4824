// SPDX-License-Identifier: Apache-2.0
// The journal's files as the parent sees them: names and sizes. It opens what the engine writes and deletes the oldest
// whole segments so that the folder stays within its bound; it never reads one.
#include "agent/parent.h"
#include "base/cleanup.h"
#include "event/segment.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define LOOK_ONLY UINT64_MAX
#define SEGMENTS_KEPT 2u // the one that is written and the one before, whatever their size

static int make_folder(const char *path, struct error *e)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    error_set(e, -errno, "the folder %s cannot be made: %s", path, strerror(errno));
    error_way_out(e, "make it, or name another with --state");
    return -errno;
}

int segments_open(struct segments *s, const char *state, uint64_t bound, struct error *e)
{
    char path[ROLE_PATH + 16];
    snprintf(path, sizeof(path), "%s/journal", state);
    int r = make_folder(state, e);
    if (r == 0)
        r = make_folder(path, e);
    if (r < 0)
        return r;
    s->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (s->folder < 0)
        return error_set(e, -errno, "the folder %s cannot be opened: %s", path, strerror(errno));
    s->bound = bound;
    return 0;
}

static uint64_t size_of(int folder, uint64_t number)
{
    char name[32];
    struct stat st;
    journal_name(number, name);
    return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (uint64_t)st.st_size : 0;
}

// Makes room for one more segment (LOOK_ONLY: none). Returns how many were deleted.
static uint64_t keep_bound(struct segments *s, uint64_t room)
{
    _cleanup_free_ uint64_t *numbers = NULL;
    size_t n = 0, first = 0;
    uint64_t deleted = 0;
    if (journal_list(s->folder, &numbers, &n) < 0)
        return 0;
    s->bytes = 0;
    for (size_t i = 0; i < n; i++)
        s->bytes += size_of(s->folder, numbers[i]);
    while (room != LOOK_ONLY && n - first > SEGMENTS_KEPT && s->bytes + room > s->bound) {
        char name[32];
        uint64_t size = size_of(s->folder, numbers[first]);
        journal_name(numbers[first++], name);
        if (unlinkat(s->folder, name, 0) < 0)
            break;
        s->bytes -= size;
        s->unsent += s->wanted && numbers[first - 1] >= s->unsent_from;
        deleted++;
    }
    s->first = n > first ? numbers[first] : 0;
    s->last = n > first ? numbers[n - 1] : 0;
    s->deleted += deleted;
    return deleted;
}

void segments_look(struct segments *s)
{
    keep_bound(s, LOOK_ONLY);
}

// The engine goes on where the journal ends or begins the next one, nothing else.
static int check(const struct segments *s, uint64_t number)
{
    return number == s->last || number == s->last + 1 || (s->last == 0 && number <= 1) ? 0
                                                                                       : -EINVAL;
}

void segments_next(struct parent *p, const struct told_segment *told)
{
    struct segments *s = &p->segments;
    char name[32];
    if (!told)
        return;
    s->cut_allowed = false;
    uint64_t deleted = keep_bound(s, p->setup.segment_bytes);
    if (deleted)
        parent_state(p, "journal", "%llu oldest segments deleted to stay within %llu bytes",
                     (unsigned long long)deleted, (unsigned long long)s->bound);
    int r = check(s, told->number);
    journal_name(told->number, name);
    _cleanup_close_ int fd =
        r < 0 ? -1
              : openat(s->folder, name,
                       O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0) {
        struct order_no_segment no = {.number = told->number, .code = r < 0 ? r : -errno};
        parent_why(p, "the journal's segment %s cannot be opened: %s", name, strerror(-no.code));
        child_send(p, ROLE_ENGINE, ORDER_NO_SEGMENT, &no, sizeof(no));
        return;
    }
    if (told->number > s->last)
        s->last = told->number;
    if (s->first == 0)
        s->first = told->number;
    child_give(p, ROLE_ENGINE, GIVE_SEGMENT, told->number, fd);
}

// A torn last batch. Only the newest segment, once in an engine's life, before it writes.
void segments_cut(struct parent *p, const struct told_segment *told)
{
    struct segments *s = &p->segments;
    char name[32];
    if (!told || !s->cut_allowed)
        return;
    s->cut_allowed = false;
    segments_look(s);
    if (told->number != s->last || told->size > size_of(s->folder, told->number))
        return;
    journal_name(told->number, name);
    _cleanup_close_ int fd =
        openat(s->folder, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || ftruncate(fd, (off_t)told->size) < 0)
        parent_why(p, "the journal's segment %s cannot be cut to its good part: %s", name,
                   strerror(errno));
    else
        parent_state(p, "journal", "segment %llu cut to %llu bytes: its last batch was torn",
                     (unsigned long long)told->number, (unsigned long long)told->size);
}

// For reading, to the uplink, whose user may open none of them.
void segments_lend(struct parent *p, const struct told_segment *told)
{
    _cleanup_free_ uint64_t *numbers = NULL;
    size_t n = 0, i = 0;
    char name[32];
    if (!told)
        return;
    int r = journal_list(p->segments.folder, &numbers, &n);
    while (i < n && numbers[i] < told->number)
        i++;
    _cleanup_close_ int fd = -1;
    if (r == 0 && i < n) {
        journal_name(numbers[i], name);
        fd = openat(p->segments.folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        r = fd < 0 ? -errno : 0;
    }
    if (fd >= 0) {
        child_give(p, ROLE_UPLINK, GIVE_SPOOL, numbers[i], fd);
        return;
    }
    struct order_no_segment no = {.number = told->number, .code = r < 0 ? r : -ENOENT};
    child_send(p, ROLE_UPLINK, ORDER_NO_SEGMENT, &no, sizeof(no));
}
