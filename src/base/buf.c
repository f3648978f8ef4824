// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_LIMIT ((size_t)64 << 20)

void buf_done(struct buf *b)
{
    free(b->p);
    *b = (struct buf){.limit = b->limit};
}

void buf_reset(struct buf *b)
{
    b->n = 0;
    b->failed = 0;
}

void *buf_room(struct buf *b, size_t n)
{
    if (b->failed)
        return NULL;
    if (b->cap - b->n >= n && b->p)
        return b->p + b->n;
    size_t limit = b->limit ? b->limit : DEFAULT_LIMIT;
    if (n > limit || b->n > limit - n) {
        b->failed = -EFBIG;
        return NULL;
    }
    size_t cap = b->cap ? b->cap : 256;
    while (cap < b->n + n)
        cap *= 2;
    char *p = realloc(b->p, cap);
    if (!p) {
        b->failed = -ENOMEM;
        return NULL;
    }
    b->p = p;
    b->cap = cap;
    return b->p + b->n;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
    if (n == 0)
        return;
    void *room = buf_room(b, n);
    if (!room)
        return;
    memcpy(room, p, n);
    b->n += n;
}

void buf_add_str(struct buf *b, struct str s)
{
    buf_add(b, s.p, s.n);
}

void buf_add_char(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_addf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0) {
        b->failed = -ENOMEM;
        return;
    }
    buf_add(b, text, (size_t)n);
    free(text);
}
