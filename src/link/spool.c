// SPDX-License-Identifier: Apache-2.0
#include "link/spool.h"

#include "base/cleanup.h"
#include "event/segment_format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct file {
    int fd;
    uint64_t number;
    struct segment_reader *reader;
};

struct spool {
    struct spool_source source;
    size_t record_max;
    struct file now, ahead; // `ahead` is the file after it, which may be empty yet
    bool drained;           // `now` was read to its end after `ahead` had its first bytes
    bool unsynced;          // records of `now` were taken
    off_t bad_size;         // of `now` when nothing could be read behind damage; -1 not so
    uint64_t next;          // sequence that is wanted
    struct segment_info info;
    const void *raw; // the record of `info`, read but not taken; in the reader's memory
    struct spool_counts counts;
};

static void file_close(struct file *f)
{
    segment_reader_free(f->reader);
    if (f->fd >= 0)
        close(f->fd);
    *f = (struct file){.fd = -1};
}

int spool_new(const struct spool_source *source, size_t record_max, struct spool **ret)
{
    struct spool *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->source = *source;
    s->record_max = record_max;
    s->now.fd = s->ahead.fd = -1;
    s->bad_size = -1;
    *ret = s;
    return 0;
}

struct spool *spool_free(struct spool *s)
{
    if (s) {
        file_close(&s->now);
        file_close(&s->ahead);
        free(s);
    }
    return NULL;
}

const struct spool_counts *spool_counts(const struct spool *s)
{
    return &s->counts;
}

uint64_t spool_file(const struct spool *s)
{
    return s->now.number;
}

int spool_folder_open(void *context, uint64_t from, uint64_t *ret_number)
{
    int folder = *(const int *)context;
    _cleanup_free_ uint64_t *numbers = NULL;
    size_t n = 0;
    char name[32];
    int r = journal_list(folder, &numbers, &n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (numbers[i] < from)
            continue;
        journal_name(numbers[i], name);
        int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0 && errno != ENOENT) // deleted meanwhile: the next one, then
            return -errno;
        if (fd >= 0) {
            *ret_number = numbers[i];
            return fd;
        }
    }
    return r < 0 ? r : -ENOENT;
}

// ---- files

static int file_open(struct spool *s, uint64_t from, struct file *ret)
{
    struct file f = {.fd = -1};
    struct stat st;
    f.fd = s->source.open(s->source.context, from, &f.number);
    if (f.fd < 0)
        return f.fd;
    int r = f.number < from || fstat(f.fd, &st) < 0 || !S_ISREG(st.st_mode) ? -EINVAL : 0;
    if (r == 0)
        r = segment_reader_new(f.fd, &f.reader);
    if (r < 0) {
        file_close(&f);
        return r;
    }
    *ret = f;
    return 0;
}

static off_t size_of(const struct file *f)
{
    struct stat st;
    return fstat(f->fd, &st) < 0 ? 0 : st.st_size;
}

static int sync_now(struct spool *s)
{
    if (s->unsynced && fdatasync(s->now.fd) < 0 && errno != EROFS && errno != EINVAL)
        return -errno;
    s->unsynced = false;
    return 0;
}

// The end of `now`, or of what can be read of it. 1: look again; 0: nothing yet.
static int go_on(struct spool *s)
{
    int r = s->ahead.reader ? 0 : file_open(s, s->now.number + 1, &s->ahead);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    // The engine appends to the old file until the new one has its first batch.
    if (size_of(&s->ahead) == 0)
        return 0;
    if (!s->drained) {
        s->drained = true;
        return 1;
    }
    r = sync_now(s);
    if (r < 0)
        return r;
    file_close(&s->now);
    s->now = s->ahead;
    s->ahead = (struct file){.fd = -1};
    s->drained = false;
    s->bad_size = -1;
    return 1;
}

// ---- records

static bool is_left_out(void *context, const struct segment_info *info)
{
    struct spool *s = context;
    bool large = info->compressed > s->record_max - sizeof(struct segment_header);
    if (info->sequence < s->next || info->sequence == UINT64_MAX) // had already, or cannot be
        return true;
    s->counts.too_large += large;
    return large;
}

// Behind damage, where anything is; looked for again only in a file that has grown. 1: there is.
static int behind_damage(struct spool *s)
{
    off_t size = size_of(&s->now);
    if (s->bad_size == size)
        return 0;
    s->counts.damaged += s->bad_size < 0;
    s->bad_size = size;
    if (!segment_resync(s->now.reader))
        return 0;
    s->bad_size = -1;
    return 1;
}

// In this file. 1: looked, s->raw may be set; 0: its end, or of what can be read of it.
static int next_of(struct spool *s)
{
    int r = segment_next_raw(s->now.reader, is_left_out, s, &s->info, &s->raw, NULL);
    if (r == -EBADMSG)
        return behind_damage(s);
    return r == -ENOTSUP ? 0 : r; // a newer version wrote it
}

// The next record that is wanted, into s->info and s->raw. 1, 0 nothing yet, negative errno.
static int look(struct spool *s, struct error *e)
{
    while (!s->raw) {
        int r = s->now.reader ? 1 : file_open(s, 0, &s->now);
        if (r == -ENOENT)
            return 0;
        if (r >= 0)
            r = next_of(s);
        if (r == 0)
            r = go_on(s);
        if (r == 0)
            return 0;
        if (r < 0)
            return error_set(e, r, "the journal cannot be read: %s", strerror(-r));
    }
    return 1;
}

// ---- where to begin

// Sequence of the first record; false when nothing can be said.
static bool first_of(const struct file *f, uint64_t *ret)
{
    struct segment_header h;
    if (pread(f->fd, &h, sizeof h, 0) != (ssize_t)sizeof h || !segment_header_good(&h))
        return false;
    *ret = h.sequence;
    return true;
}

// The last file that begins at or before `sequence`, else the oldest.
static int find_file(struct spool *s, uint64_t sequence)
{
    struct file f;
    int r = 0;
    for (uint64_t from = 0; (r = file_open(s, from, &f)) == 0;) {
        uint64_t first;
        bool known = first_of(&f, &first);
        from = f.number + 1;
        if (s->now.reader && (!known || first > sequence)) {
            file_close(&f);
            if (known)
                break;
            continue;
        }
        file_close(&s->now);
        s->now = f;
    }
    return r == -ENOENT ? 0 : r;
}

int spool_seek(struct spool *s, uint64_t next, const uint8_t last[32], struct error *e)
{
    file_close(&s->now);
    file_close(&s->ahead);
    s->drained = s->unsynced = false;
    s->bad_size = -1;
    s->raw = NULL;
    s->next = next && last ? next - 1 : next;
    int r = find_file(s, s->next);
    if (r < 0)
        return error_set(e, r, "the journal cannot be read: %s", strerror(-r));
    if (next == 0 || !last)
        return SPOOL_SAME;
    r = look(s, e);
    s->next = next;
    if (r <= 0)
        return r < 0 ? r : SPOOL_SHORT;
    if (s->info.sequence >= next)
        return SPOOL_UNKNOWN;
    s->raw = NULL;
    return memcmp(s->info.hash, last, sizeof s->info.hash) == 0 ? SPOOL_SAME : SPOOL_OTHER;
}

// ---- reading

static bool fits(const struct spool *s, const struct spool_part *part, size_t bytes,
                 uint64_t events, size_t n, uint64_t n_events)
{
    return part->records == 0 ||
           (part->records < SPOOL_RECORDS_MAX && part->bytes + n <= bytes &&
            part->bytes + n <= s->record_max && part->events + n_events <= events);
}

int spool_read(struct spool *s, void *p, size_t bytes, uint64_t events, struct spool_part *ret,
               struct error *e)
{
    struct spool_part part = {0};
    int r;
    while ((r = look(s, e)) > 0 && s->raw) {
        const struct segment_info *i = &s->info;
        size_t n = sizeof(struct segment_header) + i->compressed;
        uint64_t n_events = (uint64_t)i->n_events + i->n_detections + i->n_verdicts + i->n_losses;
        part.more = !fits(s, &part, bytes, events, n, n_events);
        if (part.more)
            break;
        memcpy((char *)p + part.bytes, s->raw, n);
        s->raw = NULL;
        s->unsynced = true;
        if (part.records++ == 0)
            part.first = i->sequence;
        part.missing += i->sequence - s->next;
        part.next = s->next = i->sequence + 1;
        part.bytes += n;
        part.events += n_events;
        if (i->to_ns > part.to_ns)
            part.to_ns = i->to_ns;
        memcpy(part.last, i->hash, sizeof part.last);
    }
    if (r >= 0 && (r = sync_now(s)) < 0)
        error_set(e, r, "the journal cannot be synced: %s", strerror(-r));
    if (r < 0)
        return r;
    s->counts.missing += part.missing;
    if (part.records)
        *ret = part;
    return part.records > 0;
}
