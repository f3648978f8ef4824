// SPDX-License-Identifier: Apache-2.0
// A growing byte buffer with a limit. Reaching the limit or the end of memory makes the buffer "failed": further adds
// do nothing, and one check at the end is enough.
#pragma once
#include "base/str.h"

struct buf {
    char *p;
    size_t n, cap;
    size_t limit; // bytes; 0 means 64 MiB
    int failed;   // 0, -ENOMEM or -EFBIG
};

void buf_done(struct buf *b);
void buf_reset(struct buf *b); // keeps the memory
void buf_add(struct buf *b, const void *p, size_t n);
void buf_add_str(struct buf *b, struct str s);
void buf_add_char(struct buf *b, char c);
void buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Room for n more bytes, which the caller fills and then counts by b->n += used; NULL when failed.
void *buf_room(struct buf *b, size_t n);

static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->p, b->n};
}
#define _cleanup_buf_ __attribute__((cleanup(buf_done)))
