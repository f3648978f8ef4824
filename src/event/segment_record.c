// SPDX-License-Identifier: Apache-2.0
#include "event/segment_record.h"

#include "base/buf.h"
#include "event/brief.h"
#include "event/copy.h"
#include "event/segment_format.h"

#include <errno.h>
#include <stdlib.h>
#include <zstd.h>

#define BATCH_EVENTS 8 // number of the field in a Batch
#define UNPACKED_LIMIT ((size_t)256 << 20)

static_assert(SEGMENT_HEADER_BYTES == sizeof(struct segment_header), "one says what the other is");
static_assert(SEGMENT_RECORD_LIMIT >=
                  sizeof(struct segment_header) + ZSTD_COMPRESSBOUND(SEGMENT_BATCH_LIMIT),
              "the longest body fits");

struct segment_opener {
    struct arena arena;
    ProtobufCAllocator allocator;
    ZSTD_DCtx *zstd;
    struct buf packed, chosen;
};

int segment_opener_new(struct segment_opener **ret)
{
    struct segment_opener *o = calloc(1, sizeof *o);
    if (!o)
        return -ENOMEM;
    o->arena.limit = UNPACKED_LIMIT;
    o->allocator = event_allocator(&o->arena);
    o->zstd = ZSTD_createDCtx();
    if (!o->zstd) {
        segment_opener_free(o);
        return -ENOMEM;
    }
    *ret = o;
    return 0;
}

struct segment_opener *segment_opener_free(struct segment_opener *o)
{
    if (o) {
        ZSTD_freeDCtx(o->zstd);
        arena_done(&o->arena);
        buf_done(&o->packed);
        buf_done(&o->chosen);
        free(o);
    }
    return NULL;
}

static void info_fill(const struct segment_header *h, struct segment_info *ret)
{
    *ret = (struct segment_info){
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
    memcpy(ret->host, h->host, sizeof ret->host);
    memcpy(ret->previous, h->previous, sizeof ret->previous);
}

ssize_t segment_record_measure(const void *p, size_t n, struct segment_info *ret_info,
                               struct error *e)
{
    struct segment_header h;
    size_t magic = n < sizeof h.magic ? n : sizeof h.magic;
    if (magic && memcmp(p, SEGMENT_MAGIC, magic) != 0)
        return error_set(e, -EBADMSG, "no batch begins here");
    if (n < sizeof h)
        return 0;
    memcpy(&h, p, sizeof h);
    if (!segment_header_good(&h))
        return error_set(e, -EBADMSG, "the header's check differs");
    if (h.version > SEGMENT_VERSION) {
        error_set(e, -ENOTSUP, "the batch has format %u, this program knows %u", h.version,
                  SEGMENT_VERSION);
        error_way_out(e, "read it with the version that wrote it, or a later one");
        return -ENOTSUP;
    }
    if (h.version != SEGMENT_VERSION || h.header_size != sizeof h ||
        h.packed > SEGMENT_BATCH_LIMIT || h.compressed > ZSTD_compressBound(SEGMENT_BATCH_LIMIT))
        return error_set(e, -EBADMSG, "the header gives sizes that cannot be");
    if (ret_info)
        info_fill(&h, ret_info);
    return (ssize_t)(sizeof h + h.compressed);
}

int segment_record_prove(struct segment_opener *o, struct str record, struct segment_info *ret_info,
                         struct error *e)
{
    (void)o; // the hash needs nothing that is kept
    struct segment_info info;
    struct segment_header h;
    ssize_t n = segment_record_measure(record.p, record.n, &info, e);
    if (n < 0)
        return (int)n;
    if (n == 0 || (size_t)n > record.n)
        return error_set(e, -EBADMSG, "its end is missing");
    memcpy(&h, record.p, sizeof h);
    if (!segment_body_good(&h, record.p + sizeof h))
        return error_set(e, -EBADMSG, "the body's check differs");
    segment_hash(record.p, (size_t)n, info.hash);
    *ret_info = info;
    return 0;
}

bool segment_record_whole(struct str record)
{
    struct segment_header h;
    memcpy(&h, record.p, sizeof h);
    return record.n == sizeof h + h.compressed && segment_body_good(&h, record.p + sizeof h);
}

int segment_record_plain(struct segment_opener *o, struct str record, struct str *ret,
                         struct error *e)
{
    struct segment_header h;
    memcpy(&h, record.p, sizeof h);
    buf_reset(&o->packed);
    char *plain = buf_room(&o->packed, h.packed + (size_t)1); // an empty batch has no bytes
    if (!plain)
        return error_set(e, -ENOMEM, "no memory for a batch of %u bytes", h.packed);
    size_t n =
        ZSTD_decompressDCtx(o->zstd, plain, h.packed, record.p + sizeof h, record.n - sizeof h);
    if (ZSTD_isError(n) || n != h.packed)
        return error_set(e, -EBADMSG, "it cannot be decompressed");
    *ret = str_bytes(plain, n);
    return 0;
}

static int unpack(struct segment_opener *o, struct str plain, Tiercel__Batch **ret, struct error *e)
{
    arena_reset(&o->arena);
    o->arena.failed = 0;
    Tiercel__Batch *b = tiercel__batch__unpack(&o->allocator, plain.n, (const uint8_t *)plain.p);
    if (!b && o->arena.failed)
        return error_set(e, -EFBIG, "the batch needs more than %zu bytes", UNPACKED_LIMIT);
    if (!b)
        return error_set(e, -EBADMSG, "it is not a batch");
    *ret = b;
    return 0;
}

int segment_record_unpack(struct segment_opener *o, const struct segment_info *info,
                          struct str plain, Tiercel__Batch **ret, struct error *e)
{
    Tiercel__Batch *b = NULL;
    int r = unpack(o, plain, &b, e);
    if (r < 0)
        return r;
    if (b->sequence != info->sequence || b->n_events != info->n_events ||
        b->n_detections != info->n_detections || b->n_verdicts != info->n_verdicts ||
        b->n_losses != info->n_losses || b->from != info->from_ns || b->to != info->to_ns)
        return error_set(e, -EBADMSG, "header and body do not belong together");
    brief_fill(b, &o->arena);
    *ret = b;
    return 0;
}

// ---- only some events of a batch

struct cursor {
    const uint8_t *p, *end;
};

static bool take_varint(struct cursor *c, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && c->p < c->end; shift += 7) {
        uint8_t byte = *c->p++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret = value;
            return true;
        }
    }
    return false;
}

// The next field of a message: its number, and its bytes where it has a length. False at the end and where it is none.
static bool take_field(struct cursor *c, uint64_t *ret_number, struct str *ret)
{
    uint64_t tag, n = 0;
    if (!take_varint(c, &tag))
        return false;
    switch (tag & 7) {
    case 0:
        if (!take_varint(c, &n))
            return false;
        n = 0;
        break;
    case 1:
        n = 8;
        break;
    case 2:
        if (!take_varint(c, &n))
            return false;
        break;
    case 5:
        n = 4;
        break;
    default:
        return false;
    }
    if (n > (uint64_t)(c->end - c->p))
        return false;
    *ret_number = tag >> 3;
    *ret = str_bytes(c->p, (tag & 7) == 2 ? (size_t)n : 0);
    c->p += n;
    return true;
}

static bool of_kind(struct str event, uint64_t kinds)
{
    struct cursor c = {(const uint8_t *)event.p, (const uint8_t *)event.p + event.n};
    uint64_t number;
    struct str value;
    while (take_field(&c, &number, &value))
        if (number < 64 && kinds & (uint64_t)1 << number)
            return true;
    return false;
}

int segment_record_unpack_exec(struct segment_opener *o, struct str plain, Tiercel__Batch **ret,
                               struct error *e)
{
    struct cursor c = {(const uint8_t *)plain.p, (const uint8_t *)plain.p + plain.n};
    const uint8_t *begin = c.p;
    uint64_t number;
    struct str value;
    buf_reset(&o->chosen);
    for (; take_field(&c, &number, &value); begin = c.p)
        if (number == BATCH_EVENTS && of_kind(value, (uint64_t)1 << TIERCEL__EVENT__KIND_EXEC))
            buf_add(&o->chosen, begin, (size_t)(c.p - begin));
    if (c.p != c.end)
        return error_set(e, -EBADMSG, "it is not a batch");
    if (o->chosen.failed)
        return error_set(e, -ENOMEM, "no memory for the events of a batch");
    return unpack(o, buf_str(&o->chosen), ret, e);
}
