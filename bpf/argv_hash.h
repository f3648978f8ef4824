// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// SipHash-2-4 (Aumasson and Bernstein, 2012), 64 bits, keyed. The gate hashes the argv it judged, the program at
// sched_process_exec what the kernel took; both use this. Words are little-endian, as the machines we run on are.
// Over argv: every string with its NUL. No argument at all is hashed as one empty string, as the kernel makes it one.
#pragma once
#include <linux/types.h>
#ifndef __bpf__
#include <string.h>
#endif

struct argv_hash {
    __u64 v[4];
    __u64 bytes; // hashed so far, for the last word
#ifndef __bpf__
    unsigned char rest[8]; // bytes % 8 of them wait
#endif
};

static inline __u64 argv_hash_rotate(__u64 x, unsigned int by)
{
    return x << by | x >> (64 - by);
}

static inline __attribute__((always_inline)) void argv_hash_round(__u64 v[4])
{
    v[0] += v[1];
    v[1] = argv_hash_rotate(v[1], 13) ^ v[0];
    v[0] = argv_hash_rotate(v[0], 32);
    v[2] += v[3];
    v[3] = argv_hash_rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = argv_hash_rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = argv_hash_rotate(v[1], 17) ^ v[2];
    v[2] = argv_hash_rotate(v[2], 32);
}

static inline __attribute__((always_inline)) void argv_hash_begin(__u64 v[4], const __u64 key[2])
{
    v[0] = key[0] ^ 0x736f6d6570736575ULL;
    v[1] = key[1] ^ 0x646f72616e646f6dULL;
    v[2] = key[0] ^ 0x6c7967656e657261ULL;
    v[3] = key[1] ^ 0x7465646279746573ULL;
}

static inline __attribute__((always_inline)) void argv_hash_word(__u64 v[4], __u64 word)
{
    v[3] ^= word;
    argv_hash_round(v);
    argv_hash_round(v);
    v[0] ^= word;
}

// `rest`: the last bytes % 8 bytes, zero above them.
static inline __attribute__((always_inline)) __u64 argv_hash_end(__u64 v[4], __u64 rest,
                                                                 __u64 bytes)
{
    argv_hash_word(v, rest | bytes << 56);
    v[2] ^= 0xff;
    argv_hash_round(v);
    argv_hash_round(v);
    argv_hash_round(v);
    argv_hash_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#ifndef __bpf__
static inline void argv_hash_init(struct argv_hash *h, const __u8 key[16])
{
    __u64 words[2];
    memcpy(words, key, sizeof words);
    memset(h, 0, sizeof *h);
    argv_hash_begin(h->v, words);
}

static inline void argv_hash_add(struct argv_hash *h, const void *bytes, size_t n)
{
    const unsigned char *p = (const unsigned char *)bytes;
    size_t waiting = h->bytes % 8;
    __u64 word;

    h->bytes += n;
    if (waiting) {
        size_t take = 8 - waiting < n ? 8 - waiting : n;
        memcpy(h->rest + waiting, p, take);
        p += take;
        n -= take;
        if (waiting + take < 8)
            return;
        memcpy(&word, h->rest, 8);
        argv_hash_word(h->v, word);
    }
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&word, p, 8);
        argv_hash_word(h->v, word);
    }
    if (n)
        memcpy(h->rest, p, n);
}

// Leaves *h as it is: more can be added.
static inline __u64 argv_hash_value(const struct argv_hash *h)
{
    __u64 v[4] = {h->v[0], h->v[1], h->v[2], h->v[3]};
    __u64 rest = 0;
    memcpy(&rest, h->rest, h->bytes % 8);
    return argv_hash_end(v, rest, h->bytes);
}
#endif
