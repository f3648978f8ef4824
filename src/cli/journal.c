// SPDX-License-Identifier: Apache-2.0
#include "cli/journal.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

struct journal {
    char path[512];
    int folder; // -1: one file
    int notify; // inotify, -1 until first asked for
    uint64_t *numbers;
    size_t n, at; // at: index of the open segment
    bool onwards;
    int file;
    bool broken; // damaged from here on: told once
    struct segment_reader *reader;
};

static void segment_close(struct journal *j)
{
    j->reader = segment_reader_free(j->reader);
    if (j->file >= 0)
        close(j->file);
    j->file = -1;
    j->broken = false;
}

struct journal *journal_close(struct journal *j)
{
    if (!j)
        return NULL;
    segment_close(j);
    if (j->folder >= 0)
        close(j->folder);
    if (j->notify >= 0)
        close(j->notify);
    free(j->numbers);
    free(j);
    return NULL;
}

static int open_error(const char *path, int code, struct error *e)
{
    if (code == -ENOENT) {
        error_set(e, -ECONNREFUSED, "there is no journal at %s", path);
        error_way_out(
            e, "has the agent run here? `tiercel run` starts it; --journal DIR reads another");
    } else if (code == -EACCES || code == -EPERM) {
        error_set(e, -EACCES, "the journal at %s may not be read by this user", path);
        error_way_out(e, "be root");
    } else {
        error_set(e, code, "cannot open %s: %s", path, strerror(-code));
    }
    return e ? e->code : code;
}

static int segment_open(struct journal *j, size_t index, struct error *e)
{
    char name[32];
    segment_close(j);
    if (j->folder >= 0) {
        journal_name(j->numbers[index], name);
        j->file = openat(j->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    } else {
        j->file = open(j->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    }
    if (j->file < 0)
        return open_error(j->path, -errno, e);
    int r = segment_reader_new(j->file, &j->reader);
    if (r < 0)
        return error_set(e, r, "cannot read %s: %s", j->path, strerror(-r));
    j->at = index;
    return 0;
}

int journal_open(const char *path, struct journal **ret, struct error *e)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return open_error(path, -errno, e);
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)) {
        error_set(e, -EINVAL, "%s is neither a journal folder nor a segment file", path);
        return -EINVAL;
    }
    struct journal *j = calloc(1, sizeof *j);
    if (!j)
        return error_set(e, -ENOMEM, "out of memory");
    snprintf(j->path, sizeof j->path, "%s", path);
    j->folder = j->notify = j->file = -1;
    j->onwards = true;
    int r = 0;
    if (S_ISDIR(st.st_mode)) {
        j->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = j->folder < 0 ? -errno : journal_list(j->folder, &j->numbers, &j->n);
    } else {
        j->n = 1;
    }
    if (r < 0) {
        journal_close(j);
        return open_error(path, r, e);
    }
    *ret = j;
    return 0;
}

size_t journal_segments(const struct journal *j)
{
    return j->n;
}

int journal_seek(struct journal *j, size_t index, bool onwards, struct error *e)
{
    segment_close(j);
    j->at = index;
    j->onwards = onwards;
    return index < j->n ? segment_open(j, index, e) : 0;
}

// Opens the segment after the current one, when there is one by now. 1 opened, 0 none, negative errno.
static int advance(struct journal *j, struct error *e)
{
    if (!j->onwards || j->folder < 0)
        return 0;
    uint64_t *numbers = NULL, last = j->reader ? j->numbers[j->at] : 0;
    size_t n = 0, next = 0;
    int r = journal_list(j->folder, &numbers, &n);
    if (r < 0)
        return error_set(e, r, "cannot list %s: %s", j->path, strerror(-r));
    while (j->reader && next < n && numbers[next] <= last)
        next++;
    if (next == n) {
        free(numbers);
        return 0;
    }
    free(j->numbers);
    j->numbers = numbers;
    j->n = n;
    r = segment_open(j, next, e);
    return r < 0 ? r : 1;
}

int journal_next(struct journal *j, bool (*skip)(void *context, const struct segment_info *info),
                 void *context, const Tiercel__Batch **ret, struct error *e)
{
    if (!j->reader && j->folder < 0 && j->file < 0) {
        int r = segment_open(j, 0, e);
        if (r < 0)
            return r;
    }
    for (;;) {
        struct segment_info info;
        Tiercel__Batch *batch = NULL;
        int r =
            j->reader && !j->broken ? segment_next(j->reader, skip, context, &info, &batch, e) : 0;
        if (r == 1) {
            *ret = batch;
            return 1;
        }
        j->broken = j->broken || r == -EBADMSG;
        int next = r == 0 || r == -EBADMSG ? advance(j, r == 0 ? e : NULL) : 0;
        if (r < 0)
            return r;
        if (next <= 0)
            return next;
    }
}

int journal_wait(struct journal *j, int timeout_ms)
{
    if (j->notify < 0) {
        j->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (j->notify < 0 || inotify_add_watch(j->notify, j->path, IN_MODIFY | IN_CREATE) < 0)
            return -errno;
        return 1; // what came before the watch
    }
    struct pollfd p = {.fd = j->notify, .events = POLLIN};
    int r = poll(&p, 1, timeout_ms);
    if (r <= 0)
        return r < 0 ? -errno : 0;
    char events[4096];
    while (read(j->notify, events, sizeof events) > 0)
        continue;
    return 1;
}
