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

int segment_hasher_init(struct segment_hasher *h)
{
    uint8_t unused[32];
    *h = (struct segment_hasher){EVP_MD_fetch(NULL, "SHA256", NULL), EVP_MD_CTX_new()};
    if (h->md && h->context && segment_hash(h, "", 0, unused) == 0)
        return 0;
    segment_hasher_done(h);
    return -ENOMEM;
}

void segment_hasher_done(struct segment_hasher *h)
{
    EVP_MD_CTX_free(h->context);
    EVP_MD_free(h->md);
    *h = (struct segment_hasher){0};
}

int segment_hash(struct segment_hasher *h, const void *p, size_t n, uint8_t ret[32])
{
    bool good = EVP_DigestInit_ex2(h->context, h->md, NULL) == 1 &&
                EVP_DigestUpdate(h->context, p, n) == 1 &&
                EVP_DigestFinal_ex(h->context, ret, NULL) == 1;
    return good ? 0 : -EIO;
}
