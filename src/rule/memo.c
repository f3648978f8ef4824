// SPDX-License-Identifier: Apache-2.0
#include "rule/memo.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#define SLOTS 32
#define TEXT_KEPT 232 // longer texts are rare and scanned each time

struct text {
    uint64_t hash;
    uint32_t n;
    bool used;
    char bytes[TEXT_KEPT];
};

struct rule_memo {
    size_t words;
    struct text texts[SLOTS]; // each at the place that its hash says; a newer one replaces it
    uint64_t bits[];          // of each, and of a text too long to be kept
};

int rule_memo_new(size_t words, struct rule_memo **ret)
{
    struct rule_memo *memo = calloc(1, sizeof *memo + (SLOTS + 1) * words * sizeof *memo->bits);
    if (!memo)
        return -ENOMEM;
    memo->words = words;
    *ret = memo;
    return 0;
}

struct rule_memo *rule_memo_free(struct rule_memo *memo)
{
    free(memo);
    return NULL;
}

static uint64_t hash_of(struct str text)
{
    return XXH3_64bits(text.p ? text.p : "", text.n);
}

static bool holds(const struct text *t, uint64_t hash, struct str text)
{
    return t->used && t->hash == hash && str_eq((struct str){t->bytes, t->n}, text);
}

uint64_t *rule_memo_find(struct rule_memo *memo, struct str text)
{
    if (text.n > TEXT_KEPT)
        return NULL;
    uint64_t hash = hash_of(text);
    bool found = holds(&memo->texts[hash % SLOTS], hash, text);
    return found ? memo->bits + hash % SLOTS * memo->words : NULL;
}

uint64_t *rule_memo_place(struct rule_memo *memo, struct str text)
{
    size_t place = SLOTS;
    if (text.n <= TEXT_KEPT) {
        uint64_t hash = hash_of(text);
        place = hash % SLOTS;
        struct text *t = &memo->texts[place];
        t->used = true;
        t->hash = hash;
        t->n = (uint32_t)text.n;
        if (text.p)
            memcpy(t->bytes, text.p, text.n);
    }
    uint64_t *bits = memo->bits + place * memo->words;
    memset(bits, 0, memo->words * sizeof *bits);
    return bits;
}

void rule_memo_forget(struct rule_memo *memo, struct str text)
{
    if (text.n > TEXT_KEPT)
        return;
    uint64_t hash = hash_of(text);
    struct text *t = &memo->texts[hash % SLOTS];
    t->used = t->used && !holds(t, hash, text);
}
