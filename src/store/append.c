// SPDX-License-Identifier: Apache-2.0
// Ingest: judge each record by its host's chain, write the taken ones with one writev, make durable, catalogue.
#include "store/private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

struct touched { // a chain before the append, to go back to
    struct host *host;
    struct chain before;
};

struct taken {
    struct store_record *record;
    struct host *host;
};

ssize_t store_split(struct str body, struct store_record *ret, size_t max, size_t *ret_good,
                    struct error *e)
{
    size_t n = 0;
    *ret_good = 0;
    while (body.n) {
        if (n == max)
            return error_set(e, -E2BIG, "more than %zu records at once", max);
        ssize_t length = segment_record_measure(body.p, body.n, NULL, e);
        if (length == 0 || length > (ssize_t)body.n)
            return error_set(e, -EBADMSG, "the end of the last record is missing");
        if (length < 0)
            return length == -ENOTSUP ? -ENOTSUP : -EBADMSG;
        ret[n] = (struct store_record){.bytes = str_bytes(body.p, (size_t)length)};
        body = str_bytes(body.p + length, body.n - (size_t)length);
        *ret_good = ++n;
    }
    return (ssize_t)n;
}

// ---- the file that is written to

int open_file(int events_fd, uint64_t number, int flags)
{
    char name[32];
    journal_name(number, name);
    int fd = openat(events_fd, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? -errno : fd;
}

int sha256_of(EVP_MD *md, const void *a, size_t n, const void *b, size_t m, uint8_t ret[32])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context && EVP_DigestInit_ex2(context, md, NULL) &&
                EVP_DigestUpdate(context, a, n) && EVP_DigestUpdate(context, b, m) &&
                EVP_DigestFinal_ex(context, ret, NULL);
    EVP_MD_CTX_free(context);
    return good ? 0 : -ENOMEM;
}

int tail_begin(struct store *s, uint64_t number, bool fresh, struct error *e)
{
    struct tail *t = &s->tail;
    int fd = open_file(s->events_fd, number, O_RDWR | O_APPEND | (fresh ? O_CREAT | O_EXCL : 0));
    if (fd < 0)
        return error_set(e, fd, "cannot open file %" PRIu64 ": %s", number, strerror(-fd));
    if (fresh && fsync(s->events_fd) < 0) { // the name itself must survive
        int r = -errno;
        close(fd);
        return error_set(e, r, "cannot make a file's name durable: %s", strerror(-r));
    }
    t->fd = fd;
    t->file = (struct file){.number = number};
    t->dirty = false;
    keys_reset(&t->keys);
    buf_reset(&t->hosts);
    return EVP_DigestInit_ex2(t->sha, s->md, NULL) ? 0 : -ENOMEM;
}

int tail_count(struct store *s, const struct segment_info *info, struct host *host,
               struct str bytes, const Tiercel__Batch *batch)
{
    struct tail *t = &s->tail;
    struct file *f = &t->file;
    f->size += bytes.n;
    f->batches++;
    f->events += info->n_events;
    f->kinds |= info->kinds;
    if (info->from_ns && (!f->from_ns || info->from_ns < f->from_ns))
        f->from_ns = info->from_ns;
    if (info->to_ns > f->to_ns)
        f->to_ns = info->to_ns;
    if (host->in_file != f->number)
        buf_add(&t->hosts, host->id, sizeof host->id);
    host->in_file = f->number;
    if (batch)
        keys_add_batch(&t->keys, batch);
    return EVP_DigestUpdate(t->sha, bytes.p, bytes.n) ? 0 : -ENOMEM;
}

int tail_close(struct store *s, struct error *e)
{
    struct tail *t = &s->tail;
    static const uint8_t none[32];
    const uint8_t *before = s->files.n ? s->files.items[s->files.n - 1].chain : none;
    struct buf bloom = {0};
    t->file.closed = true;
    if (!EVP_DigestFinal_ex(t->sha, t->file.sha256, NULL) ||
        sha256_of(s->md, before, 32, t->file.sha256, 32, t->file.chain) < 0 ||
        keys_bloom(&t->keys, &bloom) < 0 || files_add(&s->files, &t->file) < 0) {
        buf_done(&bloom);
        return error_set(e, -ENOMEM, "no memory to close a file");
    }
    int r = catalogue_put_file(s->catalogue, &t->file, e);
    // A list of hosts that memory ended for says nothing; neither does an absent filter.
    if (r == 0)
        r = catalogue_put_closed(s->catalogue, t->file.number,
                                 t->hosts.failed ? STR_NONE : buf_str(&t->hosts), buf_str(&bloom),
                                 e);
    buf_done(&bloom);
    close(t->fd);
    t->fd = -1;
    t->file = (struct file){0};
    return r;
}

// ---- durable

static int flush_hosts(struct store *s, struct error *e)
{
    struct map_entry *entry;
    int r = 0;
    for (size_t i = 0; r == 0 && (entry = map_next(&s->hosts, &i));) {
        struct host *host = entry->value;
        if (host->dirty)
            r = catalogue_put_host(s->catalogue, host, e);
    }
    const struct gap_row *gaps = (const struct gap_row *)s->gaps.p;
    for (size_t i = 0; r == 0 && i < s->gaps.n / sizeof *gaps; i++)
        r = catalogue_put_gap(s->catalogue, &gaps[i], e);
    return r;
}

int store_flush(struct store *s, struct error *e)
{
    struct tail *t = &s->tail;
    if (t->fd >= 0 && t->dirty) {
        if (fdatasync(t->fd) <
            0) { // what is on the disk now is unknown: only reading it again tells
            int r = -errno;
            s->broken = true;
            return error_set(e, r, "cannot make events durable: %s", strerror(-r));
        }
        t->dirty = false;
        s->unlisted = true;
    }
    int r = 0;
    if (s->unlisted) {
        r = flush_hosts(s, e);
        if (r == 0 && t->fd >= 0)
            r = catalogue_put_file(s->catalogue, &t->file, e);
    }
    if (r == 0)
        r = catalogue_commit(s->catalogue, e);
    if (r < 0)
        return r;
    s->unlisted = false;
    buf_reset(&s->gaps);
    struct map_entry *entry;
    for (size_t i = 0; (entry = map_next(&s->hosts, &i));)
        ((struct host *)entry->value)->dirty = false;
    return 0;
}

static int broken(struct error *e)
{
    error_set(e, -EIO, "the store takes nothing any more after a failed write");
    error_way_out(e, "open it again: what was acknowledged is there");
    return -EIO;
}

int store_commit(struct store *s, struct error *e)
{
    return s->broken ? broken(e) : store_flush(s, e);
}

static int make_room(struct store *s, struct error *e)
{
    struct tail *t = &s->tail;
    if (t->fd >= 0 && t->file.size < s->file_bytes)
        return 0;
    uint64_t number = t->fd >= 0   ? t->file.number + 1
                      : s->files.n ? s->files.items[s->files.n - 1].number + 1
                                   : 1;
    int r = 0;
    if (t->fd >= 0) {
        r = store_flush(s, e);
        if (r == 0 && (r = tail_close(s, e)) < 0)
            s->broken = true;
        if (r == 0)
            r = store_flush(s, e);
    }
    return r < 0 ? r : tail_begin(s, number, true, e);
}

// ---- one group

static void refuse(struct store_record *record, const char *why)
{
    record->result = STORE_DAMAGED;
    snprintf(record->why, sizeof record->why, "%.90s", why);
}

// Everything about a record that has nothing to do with its host's chain. False: refused.
static bool proven(struct store *s, struct store_record *record)
{
    struct error e = {0};
    record->why[0] = 0;
    if (segment_record_prove(s->opener, record->bytes, &record->info, &e) < 0)
        refuse(record, e.what);
    else if (record->bytes.n != SEGMENT_HEADER_BYTES + record->info.compressed)
        refuse(record, "there are bytes behind it");
    else if (record->info.sequence >= INT64_MAX)
        refuse(record, "no host has written that many");
    else if (record->host && memcmp(record->host, record->info.host, 16) != 0)
        refuse(record, "it is of another host");
    else
        return true;
    return false;
}

// Into the filter, and a proof that it can be read one day.
static bool readable(struct store *s, struct store_record *record)
{
    struct error e = {0};
    struct str plain;
    Tiercel__Batch *batch;
    if (record->batch) {
        keys_add_batch(&s->tail.keys, record->batch);
        return true;
    }
    int r = segment_record_plain(s->opener, record->bytes, &plain, &e);
    if (r == 0)
        r = segment_record_unpack(s->opener, &record->info, plain, &batch, &e);
    if (r < 0)
        refuse(record, e.what);
    else
        keys_add_batch(&s->tail.keys, batch);
    return r == 0;
}

static void judge(struct store *s, struct store_record *record, uint64_t now_ns)
{
    if (!proven(s, record))
        return;
    struct host *host = host_get(&s->hosts, record->info.host);
    if (!host) {
        refuse(record, errno == ENOSPC ? "the client has too many hosts" : "no memory");
        return;
    }
    struct touched touched = {host, host->chain};
    struct chain next = host->chain;
    struct gap_row gap;
    record->result = chain_step(&next, &record->info, &gap);
    if (record->result == STORE_KNOWN || !readable(s, record))
        return;
    next.at_ns = now_ns;
    host->chain = next;
    buf_add(&s->touched, &touched, sizeof touched);
    if (record->result != STORE_NEW) {
        gap.gap.found_ns = now_ns;
        gap.file = s->tail.file.number;
        buf_add(&s->found, &gap, sizeof gap);
    }
    struct iovec piece = {(void *)record->bytes.p, record->bytes.n};
    buf_add(&s->iov, &piece, sizeof piece);
    struct taken taken = {record, host};
    buf_add(&s->taken, &taken, sizeof taken);
}

static int write_all(int fd, struct iovec *iov, size_t n)
{
    while (n) {
        ssize_t wrote = writev(fd, iov, n < IOV_MAX ? (int)n : IOV_MAX);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return -errno;
        if (wrote == 0)
            return -ENOSPC;
        for (; n && (size_t)wrote >= iov->iov_len; iov++, n--)
            wrote -= (ssize_t)iov->iov_len;
        if (wrote) {
            iov->iov_base = (char *)iov->iov_base + wrote;
            iov->iov_len -= (size_t)wrote;
        }
    }
    return 0;
}

// Nothing of the group happened.
static void take_back(struct store *s)
{
    const struct touched *touched = (const struct touched *)s->touched.p;
    for (size_t i = s->touched.n / sizeof *touched; i-- > 0;)
        touched[i].host->chain = touched[i].before;
    if (ftruncate(s->tail.fd, (off_t)s->tail.file.size) < 0)
        s->broken = true;
}

static int count_all(struct store *s, uint64_t now_ns)
{
    const struct taken *taken = (const struct taken *)s->taken.p;
    int r = 0;
    for (size_t i = 0; i < s->taken.n / sizeof *taken; i++) {
        taken[i].host->dirty = true;
        if (tail_count(s, &taken[i].record->info, taken[i].host, taken[i].record->bytes, NULL) < 0)
            r = -ENOMEM;
    }
    buf_add(&s->gaps, s->found.p, s->found.n);
    s->n_gaps += s->found.n / sizeof(struct gap_row);
    s->tail.file.written_ns = now_ns;
    s->tail.dirty = true;
    return r < 0 || s->gaps.failed ? -ENOMEM : 0;
}

int store_append(struct store *s, struct store_record *records, size_t n, uint64_t now_ns,
                 struct error *e)
{
    if (s->broken)
        return broken(e);
    int r = make_room(s, e);
    if (r < 0)
        return r;
    struct buf *const lists[] = {&s->iov, &s->touched, &s->found, &s->taken};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        buf_reset(lists[i]);
    bool failed = false;
    for (size_t i = 0; i < n && !failed; i++) {
        judge(s, &records[i], now_ns);
        for (size_t j = 0; j < sizeof lists / sizeof *lists; j++)
            failed |= lists[j]->failed != 0;
    }
    if (failed)
        r = -ENOMEM;
    else if (s->iov.n)
        r = write_all(s->tail.fd, (struct iovec *)s->iov.p, s->iov.n / sizeof(struct iovec));
    if (r < 0) {
        take_back(s);
        return error_set(e, r, "cannot write events: %s", strerror(-r));
    }
    if (count_all(s, now_ns) < 0) { // written, but what the catalogue would say of it is not known
        s->broken = true;
        return broken(e);
    }
    return 0;
}
