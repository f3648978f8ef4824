// SPDX-License-Identifier: Apache-2.0
// A hash table from byte strings to pointers, open addressing, with a quota. Keys are borrowed: they must live as long
// as their entry (keep them in the value). Numbers are keys by MAP_KEY(variable).
#pragma once
#include "base/str.h"

struct map_entry {
    struct str key;
    void *value;
    uint64_t hash;
};

struct map {
    struct map_entry *slots;
    size_t n, cap;
    size_t quota;     // entries; 0 means 1 << 20
    uint64_t refused; // puts refused by the quota
};

#define MAP_KEY(variable) str_bytes(&(variable), sizeof(variable))

void map_done(struct map *m);                       // frees the table, not the values
void *map_get(const struct map *m, struct str key); // NULL when absent
int map_put(struct map *m, struct str key,
            void *value);                        // replaces; 0, -ENOSPC at the quota, -ENOMEM
void *map_remove(struct map *m, struct str key); // the value that was there, or NULL
// Walk: `for (size_t i = 0; (e = map_next(m, &i));)`. Do not change the map meanwhile.
struct map_entry *map_next(const struct map *m, size_t *position);
