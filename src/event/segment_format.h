// SPDX-License-Identifier: Apache-2.0
// Inside event/: the bytes of a segment. A batch is this header and then `compressed` bytes of one zstd frame, which
// holds a packed tiercel.Batch of `packed` bytes; the next batch follows at once. All numbers are little-endian. The
// first 16 bytes and the last 8 of the header keep their place and meaning in every later version.
#pragma once
#include "event/segment.h"

#include <assert.h>
#include <nettle/sha2.h>
#include <stddef.h>

#define SEGMENT_MAGIC "TIERCEL\n"
#define SEGMENT_VERSION 1

struct segment_header {
    char magic[8];
    uint16_t version;
    uint16_t header_size; // bytes of this
    uint32_t unused;      // zero
    uint64_t sequence, from_ns, to_ns, kinds;
    uint8_t host[16];
    uint32_t n_events, n_detections, n_verdicts, n_losses;
    uint32_t packed, compressed;
    uint8_t previous[32];
    uint64_t body_check;   // XXH3 of the body
    uint64_t header_check; // XXH3 of all above
};
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are stored as they are");
static_assert(sizeof(struct segment_header) == 136, "the layout is fixed");
static_assert(offsetof(struct segment_header, sequence) == 16, "the layout is fixed");
static_assert(offsetof(struct segment_header, host) == 48, "the layout is fixed");
static_assert(offsetof(struct segment_header, packed) == 80, "the layout is fixed");
static_assert(offsetof(struct segment_header, previous) == 88, "the layout is fixed");
static_assert(offsetof(struct segment_header, body_check) == 120, "the layout is fixed");
static_assert(offsetof(struct segment_header, header_check) == 128, "the layout is fixed");

// Sets magic, version and checks; the rest is the caller's. `body` has h->compressed bytes.
void segment_seal(struct segment_header *h, const void *body);
bool segment_header_good(const struct segment_header *h); // magic and check
bool segment_body_good(const struct segment_header *h, const void *body);

void segment_hash(const void *p, size_t n, uint8_t ret[32]); // SHA-256

// segment_next() without unpacking: everything is proven but that the body can be read.
int segment_next_proven(struct segment_reader *r, struct segment_info *ret_info, struct error *e);
// The same with `skip` of segment_next(), and with the batch as it lies in the file: sizeof(struct segment_header) +
// ret_info->compressed bytes, which live until the next call.
int segment_next_raw(struct segment_reader *r,
                     bool (*skip)(void *context, const struct segment_info *info), void *context,
                     struct segment_info *ret_info, const void **ret_raw, struct error *e);
// After damage: goes on at the next batch that is whole, wherever it begins. False when there is none.
bool segment_resync(struct segment_reader *r);
