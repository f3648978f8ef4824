// SPDX-License-Identifier: Apache-2.0
#include "event/segment_format.h"

#include "base/buf.h"
#include "event/pack.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define PACK_ROOM ((size_t)256 << 10) // at first
#define ZSTD_LEVEL 1 // level 3 makes events 5 % smaller and takes 20 % more of the whole append

struct segment_work {
    ZSTD_CCtx *zstd;
    struct buf packed, whole; // of one batch; `whole` is header and body
    size_t room;              // that batches needed so far
};

static struct segment_work *work_free(struct segment_work *work)
{
    if (work) {
        ZSTD_freeCCtx(work->zstd);
        buf_done(&work->packed);
        buf_done(&work->whole);
        free(work);
    }
    return NULL;
}

int segment_writer_init(struct segment_writer *w, int fd, const uint8_t last[32], uint64_t sequence)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    struct segment_work *work = calloc(1, sizeof *work);
    if (!work)
        return -ENOMEM;
    work->zstd = ZSTD_createCCtx();
    if (!work->zstd ||
        ZSTD_isError(ZSTD_CCtx_setParameter(work->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL))) {
        work_free(work);
        return -ENOMEM;
    }
    *w = (struct segment_writer){
        .fd = fd, .size = (uint64_t)st.st_size, .sequence = sequence, .work = work};
    memcpy(w->last, last, sizeof w->last);
    return 0;
}

void segment_writer_done(struct segment_writer *w)
{
    if (!w->work)
        return;
    w->work = work_free(w->work);
    close(w->fd);
    w->fd = -1;
}

// ---- the clear header

struct range {
    uint64_t from, to;
};

static void widen(struct range *range, bool has, uint64_t time)
{
    if (!has)
        return;
    if (time < range->from)
        range->from = time;
    if (time > range->to)
        range->to = time;
}

static struct range range_of(const Tiercel__Batch *b)
{
    struct range range = {UINT64_MAX, 0};
    widen(&range, b->has_from, b->from);
    widen(&range, b->has_to, b->to);
    for (size_t i = 0; i < b->n_events; i++)
        widen(&range, b->events[i]->has_time, b->events[i]->time);
    for (size_t i = 0; i < b->n_detections; i++)
        widen(&range, b->detections[i]->has_time, b->detections[i]->time);
    for (size_t i = 0; i < b->n_verdicts; i++)
        widen(&range, b->verdicts[i]->has_time, b->verdicts[i]->time);
    for (size_t i = 0; i < b->n_losses; i++) {
        widen(&range, b->losses[i]->has_from, b->losses[i]->from);
        widen(&range, b->losses[i]->has_to, b->losses[i]->to);
    }
    if (range.from > range.to)
        range.from = 0;
    return range;
}

static struct segment_header header_of(const struct segment_writer *w, const Tiercel__Batch *b)
{
    struct segment_header h = {
        .sequence = w->sequence,
        .from_ns = b->from,
        .to_ns = b->to,
        .n_events = (uint32_t)b->n_events,
        .n_detections = (uint32_t)b->n_detections,
        .n_verdicts = (uint32_t)b->n_verdicts,
        .n_losses = (uint32_t)b->n_losses,
    };
    memcpy(h.previous, w->last, sizeof h.previous);
    if (b->has_host && b->host.len == sizeof h.host)
        memcpy(h.host, b->host.data, sizeof h.host);
    for (size_t i = 0; i < b->n_events; i++)
        if (b->events[i]->kind_case > 0 && b->events[i]->kind_case < 64)
            h.kinds |= (uint64_t)1 << b->events[i]->kind_case;
    return h;
}

// ---- body

// Into the end of the room that work->packed has, which grows where it is too small: bytes, and where they are.
static long pack(struct segment_work *work, const Tiercel__Batch *batch, const uint8_t **ret)
{
    for (size_t room = work->room ? work->room : PACK_ROOM;; room *= 2) {
        buf_reset(&work->packed);
        uint8_t *to = buf_room(&work->packed, room);
        if (!to)
            return -ENOMEM;
        long n = event_pack(&batch->base, to, room);
        if (n != -ENOSPC) {
            work->room = room;
            *ret = n < 0 ? NULL : to + room - n;
            return n > (long)SEGMENT_BATCH_LIMIT ? -E2BIG : n;
        }
        if (room > SEGMENT_BATCH_LIMIT)
            return -E2BIG;
    }
}

// Header and body into work->whole.
static int encode(struct segment_writer *w, const Tiercel__Batch *batch)
{
    struct segment_work *work = w->work;
    struct segment_header h = header_of(w, batch);
    const uint8_t *plain = NULL;
    long length = pack(work, batch, &plain);
    if (length < 0)
        return (int)length;
    size_t packed = (size_t)length, bound = ZSTD_compressBound(packed);
    buf_reset(&work->whole);
    char *whole = buf_room(&work->whole, sizeof h + bound);
    if (!whole)
        return -ENOMEM;
    size_t n = ZSTD_compress2(work->zstd, whole + sizeof h, bound, plain, packed);
    if (ZSTD_isError(n))
        return -ENOMEM; // the room is enough and the parameters are fixed: only memory can fail
    h.packed = (uint32_t)packed;
    h.compressed = (uint32_t)n;
    segment_seal(&h, whole + sizeof h);
    memcpy(whole, &h, sizeof h);
    work->whole.n = sizeof h + n;
    return 0;
}

static int write_whole(struct segment_writer *w)
{
    const struct buf *whole = &w->work->whole;
    ssize_t n;
    do
        n = write(w->fd, whole->p, whole->n);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)whole->n)
        return 0;
    int r = n < 0 ? -errno : -ENOSPC; // a short write to a file means that there is no more room
    if (n > 0 && ftruncate(w->fd, (off_t)w->size) < 0) {
        w->broken = true;
        return -EIO;
    }
    return r;
}

int segment_append(struct segment_writer *w, Tiercel__Batch *batch)
{
    uint8_t hash[32];
    if (w->broken)
        return -EIO;
    struct range range = range_of(batch);
    batch->has_sequence = batch->has_from = batch->has_to = true;
    batch->sequence = w->sequence;
    batch->from = range.from;
    batch->to = range.to;
    int r = encode(w, batch);
    if (r == 0)
        r = write_whole(w);
    if (r < 0)
        return r;
    segment_hash(w->work->whole.p, w->work->whole.n, hash);
    memcpy(w->last, hash, sizeof hash);
    w->size += w->work->whole.n;
    w->sequence++;
    return 0;
}

int segment_sync(struct segment_writer *w)
{
    return fdatasync(w->fd) < 0 ? -errno : 0;
}
