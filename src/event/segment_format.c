// SPDX-License-Identifier: Apache-2.0
#include "event/segment_format.h"

#include <errno.h>
#include <xxhash.h>

static uint64_t header_check(const struct segment_header *h)
{
    return XXH3_64bits(h, offsetof(struct segment_header, header_check));
}

void segment_seal(struct segment_header *h, const void *body)
{
    memcpy(h->magic, SEGMENT_MAGIC, sizeof h->magic);
    h->version = SEGMENT_VERSION;
    h->header_size = sizeof *h;
    h->unused = 0;
    h->body_check = XXH3_64bits(body, h->compressed);
    h->header_check = header_check(h);
}

bool segment_header_good(const struct segment_header *h)
{
    return memcmp(h->magic, SEGMENT_MAGIC, sizeof h->magic) == 0 &&
           h->header_check == header_check(h);
}

bool segment_body_good(const struct segment_header *h, const void *body)
{
    return h->body_check == XXH3_64bits(body, h->compressed);
}

void segment_hash(const void *p, size_t n, uint8_t ret[32])
{
    struct sha256_ctx hash;
    sha256_init(&hash);
    sha256_update(&hash, n, p);
    sha256_digest(&hash, 32, ret);
}
