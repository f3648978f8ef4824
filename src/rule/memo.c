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
    uint64_t bits[];
};

int rule_memo_new(size_t words, struct rule_memo **ret)
{
    struct rule_memo *memo = calloc(1, sizeof *memo + SLOTS * words * sizeof *memo->bits);
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

uint64_t *rule_memo_find(struct rule_memo *memo, struct str text)
{
    if (text.n > TEXT_KEPT)
        return NULL;
    uint64_t hash = XXH3_64bits(text.p ? text.p : "", text.n);
    struct text *t = &memo->texts[hash % SLOTS];
    bool same = t->used && t->hash == hash && str_eq((struct str){t->bytes, t->n}, text);
    return same ? memo->bits + hash % SLOTS * memo->words : NULL;
}

uint64_t *rule_memo_keep(struct rule_memo *memo, struct str text, const uint64_t *bits)
{
    if (text.n > TEXT_KEPT)
        return NULL;
    uint64_t hash = XXH3_64bits(text.p ? text.p : "", text.n);
    struct text *t = &memo->texts[hash % SLOTS];
    t->used = true;
    t->hash = hash;
    t->n = (uint32_t)text.n;
    if (text.p)
        memcpy(t->bytes, text.p, text.n);
    uint64_t *kept = memo->bits + hash % SLOTS * memo->words;
    memcpy(kept, bits, memo->words * sizeof *bits);
    return kept;
}
