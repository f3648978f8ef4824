// SPDX-License-Identifier: Apache-2.0
#include "base/map.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#define DEFAULT_QUOTA ((size_t)1 << 20)

static uint64_t hash_of(struct str key)
{
    return XXH3_64bits(key.p, key.n);
}

// Linear probing; a free slot has no value. Removal shifts the following run back, so there are no tombstones.
static size_t slot_of(const struct map *m, struct str key, uint64_t hash)
{
    size_t i = hash & (m->cap - 1);
    while (m->slots[i].value && !(m->slots[i].hash == hash && str_eq(m->slots[i].key, key)))
        i = (i + 1) & (m->cap - 1);
    return i;
}

void map_done(struct map *m)
{
    free(m->slots);
    *m = (struct map){.quota = m->quota};
}

void *map_get(const struct map *m, struct str key)
{
    return m->n ? m->slots[slot_of(m, key, hash_of(key))].value : NULL;
}

static int grow(struct map *m)
{
    struct map bigger = {.cap = m->cap ? m->cap * 2 : 64};
    bigger.slots = calloc(bigger.cap, sizeof *bigger.slots);
    if (!bigger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].value)
            bigger.slots[slot_of(&bigger, m->slots[i].key, m->slots[i].hash)] = m->slots[i];
    free(m->slots);
    m->slots = bigger.slots;
    m->cap = bigger.cap;
    return 0;
}

int map_put(struct map *m, struct str key, void *value)
{
    if (m->n + 1 > m->cap - m->cap / 4) {
        int r = grow(m);
        if (r < 0)
            return r;
    }
    uint64_t hash = hash_of(key);
    struct map_entry *e = &m->slots[slot_of(m, key, hash)];
    if (!e->value) {
        if (m->n >= (m->quota ? m->quota : DEFAULT_QUOTA)) {
            m->refused++;
            return -ENOSPC;
        }
        m->n++;
    }
    *e = (struct map_entry){key, value, hash};
    return 0;
}

void *map_remove(struct map *m, struct str key)
{
    if (!m->n)
        return NULL;
    size_t mask = m->cap - 1, i = slot_of(m, key, hash_of(key));
    void *value = m->slots[i].value;
    if (!value)
        return NULL;
    for (size_t j = (i + 1) & mask; m->slots[j].value; j = (j + 1) & mask) {
        size_t home = m->slots[j].hash & mask;
        if (((j - home) & mask) >= ((j - i) & mask)) {
            m->slots[i] = m->slots[j];
            i = j;
        }
    }
    m->slots[i] = (struct map_entry){0};
    m->n--;
    return value;
}

struct map_entry *map_next(const struct map *m, size_t *position)
{
    while (*position < m->cap) {
        struct map_entry *e = &m->slots[(*position)++];
        if (e->value)
            return e;
    }
    return NULL;
}
