// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// argv_hash.h over memory of any length: chunks by bpf_loop, its state in the scratch map value (on the stack, newer
// verifiers walk every iteration and give up).
#pragma once
#include "argv_hash.h"
#include "scratch.bpf.h"

static long hash_chunk(u32 index, void *unused)
{
    struct scratch *s = scratch_get();
    u64 v[4], left;
    u32 n, words;

    if (!s)
        return 1;
    left = s->hash.end - s->hash.position;
    n = left < HASH_CHUNK ? left : HASH_CHUNK;
    words = n / 8;
    *(u64 *)&s->hash.chunk[words * 8 & (HASH_CHUNK * 2 - 1) & ~7u] =
        0; // what follows the last byte is zero
    asm volatile("" : "+r"(n));
    if (n > HASH_CHUNK)
        return 1;
    if (s->hash.kernel ? bpf_probe_read_kernel(s->hash.chunk, n, (void *)s->hash.position)
                       : bpf_probe_read_user(s->hash.chunk, n, (void *)s->hash.position)) {
        s->hash.unread = 1;
        return 1;
    }
    v[0] = s->hash.v[0];
    v[1] = s->hash.v[1];
    v[2] = s->hash.v[2];
    v[3] = s->hash.v[3];
    for (u32 i = 0; i < HASH_CHUNK / 8; i++) {
        if (i >= words)
            break;
        argv_hash_word(v, ((u64 *)s->hash.chunk)[i]);
    }
    s->hash.v[0] = v[0];
    s->hash.v[1] = v[1];
    s->hash.v[2] = v[2];
    s->hash.v[3] = v[3];
    s->hash.position += n;
    if (n < HASH_CHUNK) {
        s->hash.rest = ((u64 *)s->hash.chunk)[words & (HASH_CHUNK / 8 - 1)];
        return 1;
    }
    return 0;
}

// Of the bytes from start to end; false when a page could not be read. The value is in s->hash.value.
static __noinline int hash_memory(struct scratch *s, u64 start, u64 end, u32 kernel)
{
    struct exec_config *c;
    u32 zero = 0;

    c = bpf_map_lookup_elem(&config, &zero);
    if (!c || !s)
        return 0;
    s->hash.position = start;
    s->hash.end = end;
    s->hash.kernel = kernel;
    s->hash.unread = 0;
    s->hash.rest = 0;
    argv_hash_begin(s->hash.v, c->hash_key);
    bpf_loop(HASH_MAX_BYTES / HASH_CHUNK + 1, hash_chunk, NULL, 0);
    if (s->hash.unread || s->hash.position != end)
        return 0;
    s->hash.value = argv_hash_end(s->hash.v, s->hash.rest, end - start);
    return 1;
}
