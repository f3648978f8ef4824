// SPDX-License-Identifier: Apache-2.0
// No size in a file is believed before the header's check, and then only within limits and within the file.
#include "event/segment_format.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "event/brief.h"
#include "event/copy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <zstd.h>

#define UNPACKED_LIMIT                                                                             \
    ((size_t)256 << 20) // memory of one batch; real ones need about five times their packed size
#define RESYNC_STEP ((size_t)1 << 20) // bytes looked through at a time
#define RESYNC_TRIES 64               // bodies read in vain, so that no file keeps us for hours

struct segment_reader {
    int fd;
    uint64_t offset; // end of the last good batch
    bool damaged;
    struct error damage; // said again at every later call
    bool last_known;
    uint8_t last[32]; // hash of the batch before offset
    struct arena arena;
    ProtobufCAllocator allocator;
    ZSTD_DCtx *zstd;
    struct buf whole, packed;
};

int segment_reader_new(int fd, struct segment_reader **ret)
{
    struct segment_reader *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    r->fd = fd;
    r->arena.limit = UNPACKED_LIMIT;
    r->allocator = event_allocator(&r->arena);
    r->zstd = ZSTD_createDCtx();
    if (!r->zstd) {
        segment_reader_free(r);
        return -ENOMEM;
    }
    *ret = r;
    return 0;
}

struct segment_reader *segment_reader_free(struct segment_reader *r)
{
    if (r) {
        ZSTD_freeDCtx(r->zstd);
        arena_done(&r->arena);
        buf_done(&r->whole);
        buf_done(&r->packed);
        free(r);
    }
    return NULL;
}

uint64_t segment_offset(const struct segment_reader *r)
{
    return r->offset;
}

// ---- bytes

// Up to n bytes at `offset`; how many there were, or negative errno.
static ssize_t read_at(int fd, void *p, size_t n, uint64_t offset)
{
    size_t got = 0;
    while (got < n) {
        ssize_t some = pread(fd, (char *)p + got, n - got, (off_t)(offset + got));
        if (some < 0 && errno == EINTR)
            continue;
        if (some < 0)
            return -errno;
        if (some == 0)
            break;
        got += (size_t)some;
    }
    return (ssize_t)got;
}

static int size_of(const struct segment_reader *r, uint64_t *ret)
{
    struct stat st;
    if (fstat(r->fd, &st) < 0)
        return -errno;
    *ret = (uint64_t)st.st_size;
    return 0;
}

static int damage(struct segment_reader *r, const char *what, struct error *e)
{
    uint64_t size = 0;
    size_of(r, &size);
    error_set(&r->damage, -EBADMSG,
              "the batch at byte %" PRIu64 " is damaged (%s); the %" PRIu64
              " bytes from there to the end are not read",
              r->offset, what, size > r->offset ? size - r->offset : 0);
    r->damaged = true;
    if (e)
        *e = r->damage;
    return -EBADMSG;
}

// ---- one batch

// The header at r->offset. 1 good, 0 not all there.
static int load_header(struct segment_reader *r, struct segment_header *ret, struct error *e)
{
    ssize_t n = read_at(r->fd, ret, sizeof *ret, r->offset);
    if (n < 0)
        return error_set(e, (int)n, "cannot read the segment: %s", strerror((int)-n));
    size_t magic = (size_t)n < sizeof ret->magic ? (size_t)n : sizeof ret->magic;
    if (memcmp(ret->magic, SEGMENT_MAGIC, magic) != 0)
        return damage(r, "no batch begins here", e);
    if ((size_t)n < sizeof *ret)
        return 0;
    if (!segment_header_good(ret))
        return damage(r, "the header's check differs", e);
    if (ret->version > SEGMENT_VERSION) {
        error_set(e, -ENOTSUP, "the batch at byte %" PRIu64 " has format %u, this program knows %u",
                  r->offset, ret->version, SEGMENT_VERSION);
        error_way_out(e, "read it with the version that wrote it, or a later one");
        return -ENOTSUP;
    }
    if (ret->version != SEGMENT_VERSION || ret->header_size != sizeof *ret ||
        ret->packed > SEGMENT_BATCH_LIMIT ||
        ret->compressed > ZSTD_compressBound(SEGMENT_BATCH_LIMIT))
        return damage(r, "the header gives sizes that cannot be", e);
    return 1;
}

static struct segment_info info_of(const struct segment_header *h)
{
    struct segment_info info = {
        .sequence = h->sequence,
        .from_ns = h->from_ns,
        .to_ns = h->to_ns,
        .kinds = h->kinds,
        .n_events = h->n_events,
        .n_detections = h->n_detections,
        .n_verdicts = h->n_verdicts,
        .n_losses = h->n_losses,
        .packed = h->packed,
        .compressed = h->compressed,
    };
    memcpy(info.host, h->host, sizeof info.host);
    memcpy(info.previous, h->previous, sizeof info.previous);
    return info;
}

// Header and body into r->whole; proven by check and chain. 1 good, 0 not all there.
static int load_body(struct segment_reader *r, const struct segment_header *h,
                     struct segment_info *info, struct error *e)
{
    size_t n = sizeof *h + h->compressed;
    buf_reset(&r->whole);
    char *whole = buf_room(&r->whole, n);
    if (!whole)
        return error_set(e, -ENOMEM, "no memory for a batch of %zu bytes", n);
    memcpy(whole, h, sizeof *h);
    ssize_t got = read_at(r->fd, whole + sizeof *h, h->compressed, r->offset + sizeof *h);
    if (got < 0)
        return error_set(e, (int)got, "cannot read the segment: %s", strerror((int)-got));
    if ((size_t)got < h->compressed)
        return 0;
    if (!segment_body_good(h, whole + sizeof *h))
        return damage(r, "the body's check differs", e);
    segment_hash(whole, n, info->hash);
    if (r->last_known && memcmp(r->last, h->previous, sizeof r->last) != 0)
        return damage(
            r, "it does not follow the one before: some were changed, put in or taken out", e);
    return 1;
}

static int unpack(struct segment_reader *r, const struct segment_header *h, Tiercel__Batch **ret,
                  struct error *e)
{
    buf_reset(&r->packed);
    uint8_t *plain = buf_room(&r->packed, h->packed + 1); // an empty batch has no bytes
    if (!plain)
        return error_set(e, -ENOMEM, "no memory for a batch of %u bytes", h->packed);
    size_t n =
        ZSTD_decompressDCtx(r->zstd, plain, h->packed, r->whole.p + sizeof *h, h->compressed);
    if (ZSTD_isError(n) || n != h->packed)
        return damage(r, "it cannot be decompressed", e);
    arena_reset(&r->arena);
    r->arena.failed = 0;
    Tiercel__Batch *b = tiercel__batch__unpack(&r->allocator, n, plain);
    if (!b && r->arena.failed)
        return error_set(e, -EFBIG, "the batch at byte %" PRIu64 " needs more than %zu bytes",
                         r->offset, UNPACKED_LIMIT);
    if (!b)
        return damage(r, "it is not a batch", e);
    if (b->sequence != h->sequence || b->n_events != h->n_events ||
        b->n_detections != h->n_detections || b->n_verdicts != h->n_verdicts ||
        b->n_losses != h->n_losses || b->from != h->from_ns || b->to != h->to_ns)
        return damage(r, "header and body do not belong together", e);
    brief_fill(b, &r->arena);
    *ret = b;
    return 0;
}

static void advance(struct segment_reader *r, const struct segment_header *h, const uint8_t *hash)
{
    r->offset += sizeof *h + h->compressed;
    r->last_known = hash;
    if (hash)
        memcpy(r->last, hash, sizeof r->last);
}

static int read_one(struct segment_reader *r,
                    bool (*skip)(void *context, const struct segment_info *info), void *context,
                    struct segment_info *ret_info, Tiercel__Batch **ret, struct error *e)
{
    struct segment_header h;
    struct segment_info info;
    Tiercel__Batch *batch = NULL;
    int found;
    for (;;) {
        uint64_t size = 0;
        if (r->damaged && e)
            *e = r->damage;
        if (r->damaged)
            return -EBADMSG;
        found = load_header(r, &h, e);
        if (found <= 0)
            return found;
        found = size_of(r, &size);
        if (found < 0)
            return error_set(e, found, "cannot read the segment: %s", strerror(-found));
        if (size < r->offset + sizeof h + h.compressed)
            return 0;
        info = info_of(&h);
        if (!skip || !skip(context, &info))
            break;
        advance(r, &h, NULL);
    }
    found = load_body(r, &h, &info, e);
    if (found <= 0)
        return found;
    if (ret && (found = unpack(r, &h, &batch, e)) < 0)
        return found;
    advance(r, &h, info.hash);
    if (ret_info)
        *ret_info = info;
    if (ret)
        *ret = batch;
    return 1;
}

int segment_next(struct segment_reader *r,
                 bool (*skip)(void *context, const struct segment_info *info), void *context,
                 struct segment_info *ret_info, Tiercel__Batch **ret, struct error *e)
{
    Tiercel__Batch *batch;
    return read_one(r, skip, context, ret_info, ret ? ret : &batch, e);
}

int segment_next_proven(struct segment_reader *r, struct segment_info *ret_info, struct error *e)
{
    return read_one(r, NULL, NULL, ret_info, NULL, e);
}

int segment_next_raw(struct segment_reader *r,
                     bool (*skip)(void *context, const struct segment_info *info), void *context,
                     struct segment_info *ret_info, const void **ret_raw, struct error *e)
{
    int found = read_one(r, skip, context, ret_info, NULL, e);
    if (found > 0)
        *ret_raw = r->whole.p;
    return found;
}

// ---- after damage

// Is a whole batch at `offset`? Counts a try when only its header is.
static bool whole_at(struct segment_reader *r, uint64_t offset, unsigned *tries)
{
    uint64_t before = r->offset;
    struct segment_header h;
    struct segment_info info;
    r->offset = offset;
    r->last_known = false;
    bool header = load_header(r, &h, NULL) == 1;
    bool good = header && load_body(r, &h, &info, NULL) == 1;
    *tries += header && !good;
    if (!good)
        r->offset = before;
    return good;
}

bool segment_resync(struct segment_reader *r)
{
    _cleanup_free_ char *window = malloc(RESYNC_STEP);
    const struct str magic = STR(SEGMENT_MAGIC);
    const struct error said = r->damage; // what is tried on the way does not change it
    unsigned tries = 0;
    uint64_t at = r->offset + 1;
    while (window && tries < RESYNC_TRIES) {
        ssize_t n = read_at(r->fd, window, RESYNC_STEP, at);
        if (n < (ssize_t)magic.n)
            break;
        struct str rest = str_bytes(window, (size_t)n);
        for (ssize_t i; tries < RESYNC_TRIES && (i = str_find(rest, magic)) >= 0;) {
            uint64_t found = at + (uint64_t)(rest.p + i - window);
            if (whole_at(r, found, &tries)) {
                r->damaged = false;
                return true;
            }
            rest = str_bytes(rest.p + i + 1, rest.n - (size_t)i - 1);
        }
        at += (uint64_t)n - magic.n + 1; // one magic may lie across two windows
    }
    r->damaged = true;
    r->damage = said;
    return false;
}
