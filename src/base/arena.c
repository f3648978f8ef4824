// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"

#include <stdlib.h>

#define CHUNK_SIZE ((size_t)64 << 10)
#define DEFAULT_LIMIT ((size_t)64 << 20)

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, cap;
    _Alignas(16) char bytes[];
};

void arena_done(struct arena *a)
{
    while (a->chunks) {
        struct arena_chunk *next = a->chunks->next;
        free(a->chunks);
        a->chunks = next;
    }
    *a = (struct arena){.limit = a->limit};
}

void arena_reset(struct arena *a)
{
    struct arena_chunk *keep = NULL;
    while (a->chunks) {
        struct arena_chunk *next = a->chunks->next;
        if (!keep && a->chunks->cap == CHUNK_SIZE)
            keep = a->chunks;
        else
            free(a->chunks);
        a->chunks = next;
    }
    if (keep) {
        keep->next = NULL;
        keep->used = 0;
    }
    a->chunks = keep;
    a->used = 0;
}

static struct arena_chunk *chunk_add(struct arena *a, size_t n)
{
    size_t cap = n > CHUNK_SIZE ? n : CHUNK_SIZE;
    struct arena_chunk *c = malloc(sizeof *c + cap);
    if (!c)
        return NULL;
    c->used = 0;
    c->cap = cap;
    c->next = a->chunks;
    a->chunks = c;
    return c;
}

void *arena_alloc(struct arena *a, size_t n)
{
    size_t limit = a->limit ? a->limit : DEFAULT_LIMIT;
    if (n > limit || a->used > limit - n) {
        a->failed++;
        return NULL;
    }
    n = (n + 15) & ~(size_t)15;
    struct arena_chunk *c = a->chunks;
    if (!c || c->cap - c->used < n)
        c = chunk_add(a, n);
    if (!c) {
        a->failed++;
        return NULL;
    }
    void *p = c->bytes + c->used;
    c->used += n;
    a->used += n;
    return p;
}

void *arena_zero(struct arena *a, size_t n)
{
    void *p = arena_alloc(a, n);
    return p ? memset(p, 0, n) : NULL;
}

struct str arena_str(struct arena *a, struct str s)
{
    char *p = arena_cstr(a, s);
    return p ? (struct str){p, s.n} : STR_NONE;
}

char *arena_cstr(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1);
    if (!p)
        return NULL;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return p;
}
