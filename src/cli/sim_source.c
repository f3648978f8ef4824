// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "cli/sim.h"
#include "event/segment_record.h"
#include "link/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define MADE_UP_PROCESSES 200u
#define SECOND ((uint64_t)1000000000)

struct sim_source {
    int fd; // folder or file; -1: made up
    bool file;
    struct spool *spool;
    struct segment_opener *opener;
    char *room;
    struct str rest;  // records of the part that was read last
    unsigned made_up; // batches that are still to come
    const char *path;
};

static int open_file(void *context, uint64_t from, uint64_t *ret_number)
{
    if (from > 1)
        return -ENOENT;
    int fd = fcntl(*(const int *)context, F_DUPFD_CLOEXEC, 0);
    *ret_number = 1;
    return fd < 0 ? -errno : fd;
}

static int open_path(struct sim_source *s, const char *path, struct error *e)
{
    struct stat st;
    s->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0 || fstat(s->fd, &st) < 0)
        return error_set(e, -errno, "the recording %s cannot be opened: %s", path, strerror(errno));
    s->file = S_ISREG(st.st_mode);
    const struct spool_source source = {&s->fd, s->file ? open_file : spool_folder_open};
    int r = spool_new(&source, SPOOL_RECORD_MAX, &s->spool);
    if (r == 0)
        r = segment_opener_new(&s->opener);
    s->room = malloc(SPOOL_RECORD_MAX);
    return r < 0 || !s->room ? error_set(e, -ENOMEM, "no memory") : 0;
}

int sim_source_open(const char *path, struct sim_source **ret, struct error *e)
{
    struct sim_source *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(e, -ENOMEM, "no memory");
    s->fd = -1;
    s->path = path;
    s->made_up = !strcmp(path, "-");
    int r = s->made_up ? 0 : open_path(s, path, e);
    if (r < 0) {
        sim_source_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

struct sim_source *sim_source_close(struct sim_source *s)
{
    if (s) {
        spool_free(s->spool);
        segment_opener_free(s->opener);
        free(s->room);
        if (s->fd >= 0)
            close(s->fd);
        free(s);
    }
    return NULL;
}

// The next record; 0 the end. A damaged place is an error: a recording is whole or it is none.
static int next_record(struct sim_source *s, struct segment_info *ret_info, struct str *ret,
                       struct error *e)
{
    if (s->rest.n == 0) {
        struct spool_part part;
        int r = spool_read(s->spool, s->room, SPOOL_RECORD_MAX, UINT64_MAX, &part, e);
        const struct spool_counts *lost = spool_counts(s->spool);
        if (r >= 0 && (lost->damaged || lost->too_large))
            r = error_set(e, -EBADMSG, "the recording %s is damaged", s->path);
        if (r <= 0)
            return r;
        s->rest = str_bytes(s->room, part.bytes);
    }
    ssize_t n = segment_record_measure(s->rest.p, s->rest.n, ret_info, e);
    if (n <= 0 || (size_t)n > s->rest.n)
        return error_set(e, -EBADMSG, "the recording %s is damaged", s->path);
    *ret = str_bytes(s->rest.p, (size_t)n);
    s->rest = str_bytes(s->rest.p + n, s->rest.n - (size_t)n);
    return 1;
}

int sim_source_next(struct sim_source *s, Tiercel__Batch **ret, struct error *e)
{
    struct segment_info info;
    struct str record, plain;
    uint32_t pid = 1000;
    if (s->fd < 0) {
        if (s->made_up == 0)
            return 0;
        s->made_up--;
        *ret = sim_made_up(SECOND, SECOND / 20, MADE_UP_PROCESSES, &pid);
        return *ret ? 1 : error_set(e, -ENOMEM, "no memory");
    }
    int r = next_record(s, &info, &record, e);
    if (r > 0)
        r = segment_record_plain(s->opener, record, &plain, e) < 0 ? -EBADMSG : 1;
    if (r <= 0)
        return r;
    // Not segment_record_unpack(): events would share what they say of a process, and it would be moved twice.
    *ret = tiercel__batch__unpack(NULL, plain.n, (const uint8_t *)plain.p);
    return *ret ? 1 : error_set(e, -EBADMSG, "the recording %s has a batch that is none", s->path);
}

int sim_source_begin(const char *path, uint64_t *ret_ns, struct error *e)
{
    struct sim_source *s = NULL;
    struct segment_info info = {0};
    struct str record;
    int r = sim_source_open(path, &s, e);
    if (r < 0)
        return r;
    info.from_ns = s->fd < 0 ? SECOND : 0;
    for (r = 1; r > 0 && info.from_ns == 0;)
        r = next_record(s, &info, &record, e);
    sim_source_close(s);
    *ret_ns = info.from_ns;
    return r < 0 ? r : 0;
}

// ---- made up

static ProtobufCBinaryData bytes_of(const char *text)
{
    size_t n = strlen(text);
    uint8_t *p = malloc(n ? n : 1);
    if (p)
        memcpy(p, text, n);
    return (ProtobufCBinaryData){p ? n : 0, p};
}

// NOLINTBEGIN(bugprone-macro-parentheses): a type
#define MAKE(type, name)                                                                           \
    ({                                                                                             \
        type *_m = calloc(1, sizeof *_m);                                                          \
        if (_m)                                                                                    \
            name##__init(_m);                                                                      \
        _m;                                                                                        \
    })
// NOLINTEND(bugprone-macro-parentheses)

static Tiercel__Process *process_of(uint32_t pid, uint64_t start, bool full)
{
    static const char *const images[] = {"/usr/bin/date", "/usr/bin/ls", "/usr/bin/sleep",
                                         "/usr/bin/id", "/usr/bin/grep"};
    Tiercel__Process *p = MAKE(Tiercel__Process, tiercel__process);
    if (!p)
        return NULL;
    p->id = MAKE(Tiercel__ProcessId, tiercel__process_id);
    p->image = full ? MAKE(Tiercel__File, tiercel__file) : NULL;
    if (!p->id || (full && !p->image)) {
        tiercel__process__free_unpacked(p, NULL);
        return NULL;
    }
    p->id->pid = pid;
    p->id->start = start;
    if (full) {
        p->image->has_path = true;
        p->image->path = bytes_of(images[pid % 5]);
        p->argv = calloc(1, sizeof *p->argv);
        p->n_argv = p->argv != NULL;
        if (p->argv)
            p->argv[0] = bytes_of(images[pid % 5]);
    }
    return p;
}

static bool kind_of(Tiercel__Event *e, unsigned which)
{
    switch (which) {
    case 0:
        e->kind_case = TIERCEL__EVENT__KIND_EXEC;
        return (e->exec = MAKE(Tiercel__Exec, tiercel__exec));
    case 4:
        e->kind_case = TIERCEL__EVENT__KIND_EXIT;
        e->exit = MAKE(Tiercel__Exit, tiercel__exit);
        return e->exit && (e->exit->has_code = true);
    default:
        e->kind_case = TIERCEL__EVENT__KIND_FILE;
        e->file = MAKE(Tiercel__FileChange, tiercel__file_change);
        if (!e->file || !(e->file->file = MAKE(Tiercel__File, tiercel__file)))
            return false;
        e->file->has_action = e->file->file->has_path = true;
        e->file->action = TIERCEL__FILE_CHANGE__ACTION__WRITE;
        e->file->file->path = bytes_of(which == 1   ? "/var/log/app.log"
                                       : which == 2 ? "/tmp/work.tmp"
                                                    : "/var/lib/app/data");
        return true;
    }
}

Tiercel__Batch *sim_made_up(uint64_t time_ns, uint64_t every_ns, unsigned n, uint32_t *pid)
{
    Tiercel__Batch *b = MAKE(Tiercel__Batch, tiercel__batch);
    if (b)
        b->events = calloc(n, 5 * sizeof *b->events);
    bool good = b && b->events;
    for (unsigned i = 0; good && i < 5 * n; i++) {
        Tiercel__Event *e = MAKE(Tiercel__Event, tiercel__event);
        if (!e) {
            good = false;
            break;
        }
        b->events[b->n_events++] = e;
        e->has_id = e->has_time = true;
        e->id = i + 1;
        e->time = time_ns + i / 5 * every_ns;
        e->process = process_of(*pid + i / 5, time_ns + i / 5 * every_ns, i % 5 == 0);
        good = e->process && kind_of(e, i % 5);
    }
    *pid += n;
    if (!good && b) {
        tiercel__batch__free_unpacked(b, NULL);
        b = NULL;
    }
    return b;
}
