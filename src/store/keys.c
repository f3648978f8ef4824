// SPDX-License-Identifier: Apache-2.0
// The filter is a plain bloom filter: BITS_PER_KEY bits for each distinct value and PROBES probes, so that one absent
// value opens about one file in 300. Probes are h, h + d, h + 2d ... (Kirsch and Mitzenmacher 2006).
#include "store/private.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <xxhash.h>

#include "event/leaf.h"

#define BITS_PER_KEY 12
#define PROBES 8
#define FIRST_CAP ((size_t)1 << 10)
#define DOMAIN_LIMIT 255

uint64_t store_key(enum store_key_type type, struct str value)
{
    char lower[DOMAIN_LIMIT];
    if (type == STORE_DOMAIN && value.n && value.p[value.n - 1] == '.')
        value.n--;
    if (type == STORE_DOMAIN && value.n <= sizeof lower) {
        for (size_t i = 0; i < value.n; i++)
            lower[i] = (char)tolower((unsigned char)value.p[i]);
        value.p = lower;
    }
    return XXH3_64bits_withSeed(value.p ? value.p : "", value.n, (uint64_t)type + 1);
}

void keys_done(struct keys *k)
{
    free(k->slots);
    *k = (struct keys){0};
}

void keys_reset(struct keys *k)
{
    if (k->slots)
        memset(k->slots, 0, k->cap * sizeof *k->slots);
    k->n = 0;
    k->over = false;
}

static void put(uint64_t *slots, size_t cap, uint64_t key, size_t *n)
{
    size_t i = (size_t)key & (cap - 1);
    while (slots[i] && slots[i] != key)
        i = (i + 1) & (cap - 1);
    *n += slots[i] == 0;
    slots[i] = key;
}

static bool grow(struct keys *k)
{
    size_t cap = k->cap ? k->cap * 2 : FIRST_CAP, n = 0;
    uint64_t *slots = k->n < KEYS_MAX ? calloc(cap, sizeof *slots) : NULL;
    if (!slots) {
        k->over = true;
        return false;
    }
    for (size_t i = 0; i < k->cap; i++)
        if (k->slots[i])
            put(slots, cap, k->slots[i], &n);
    free(k->slots);
    k->slots = slots;
    k->cap = cap;
    return true;
}

void keys_add(struct keys *k, uint64_t key)
{
    if (k->wanted) {
        for (size_t i = 0; i < k->n; i++)
            k->found |= k->wanted[i] == key;
        return;
    }
    if (k->over || (k->n * 2 >= k->cap && !grow(k)))
        return;
    put(k->slots, k->cap, key ? key : 1, &k->n);
}

// ---- what of an event is a key

static void add(struct keys *k, enum store_key_type type, ProtobufCBinaryData value)
{
    if (value.len)
        keys_add(k, store_key(type, str_bytes(value.data, value.len)));
}

static void add_file(struct keys *k, const Tiercel__File *file, bool program)
{
    if (!file)
        return;
    add(k, STORE_HASH, file->sha256);
    if (program)
        add(k, STORE_PATH, file->path);
}

static void add_process(struct keys *k, const Tiercel__Process *process)
{
    if (!process)
        return;
    add_file(k, process->image, true);
    add(k, STORE_PATH, process->script);
}

static void add_address(struct keys *k, const Tiercel__Address *address)
{
    if (address)
        add(k, STORE_ADDRESS, address->ip);
}

static void add_dns(struct keys *k, const Tiercel__Dns *dns)
{
    add(k, STORE_DOMAIN, dns->question);
    for (size_t i = 0; i < dns->n_answers; i++) {
        struct str text = str_bytes(dns->answers[i].data, dns->answers[i].len);
        uint8_t ip[16];
        size_t n;
        if (leaf_parse_ip(text, ip, &n) == 0)
            keys_add(k, store_key(STORE_ADDRESS, str_bytes(ip, n)));
        else
            add(k, STORE_DOMAIN, dns->answers[i]);
    }
}

static void add_event(struct keys *k, const Tiercel__Event *event)
{
    add_process(k, event->process);
    add_process(k, event->parent);
    switch (event->kind_case) {
    case TIERCEL__EVENT__KIND_CONNECT:
        add_address(k, event->connect->source);
        add_address(k, event->connect->destination);
        add(k, STORE_DOMAIN, event->connect->host_name);
        break;
    case TIERCEL__EVENT__KIND_FLOW:
        add_address(k, event->flow->local);
        add_address(k, event->flow->remote);
        add(k, STORE_DOMAIN, event->flow->host_name);
        break;
    case TIERCEL__EVENT__KIND_SOCKET:
        add_address(k, event->socket->local);
        add_address(k, event->socket->remote);
        break;
    case TIERCEL__EVENT__KIND_DNS:
        add_dns(k, event->dns);
        break;
    case TIERCEL__EVENT__KIND_FILE:
        add_file(k, event->file->file, event->file->executable);
        break;
    case TIERCEL__EVENT__KIND_HASH:
        add_file(k, event->hash->file, true);
        break;
    case TIERCEL__EVENT__KIND_MODULE:
        add_file(k, event->module->file, true);
        break;
    case TIERCEL__EVENT__KIND_ACCESS:
        add_process(k, event->access->target);
        break;
    default:
        break;
    }
}

bool store_event_has(const Tiercel__Event *event, const uint64_t *keys, size_t n)
{
    struct keys look = {.wanted = keys, .n = n};
    add_event(&look, event);
    return look.found;
}

void keys_add_batch(struct keys *k, const Tiercel__Batch *batch)
{
    for (size_t i = 0; i < batch->n_events; i++)
        add_event(k, batch->events[i]);
    for (size_t i = 0; i < batch->n_detections; i++) {
        const Tiercel__Detection *d = batch->detections[i];
        for (size_t j = 0; j < d->n_events; j++)
            add_event(k, d->events[j]);
        for (size_t j = 0; j < d->n_tree; j++)
            add_process(k, d->tree[j]);
    }
}

// ---- the filter: PROBES bits of the whole by each key

static uint64_t probe(uint64_t key, unsigned i, uint64_t bits)
{
    uint64_t h = key + i * ((key >> 32 | key << 32) * 0x9e3779b97f4a7c15u | 1);
    return (uint64_t)(((unsigned __int128)h * bits) >> 64);
}

int keys_bloom(const struct keys *k, struct buf *ret)
{
    buf_reset(ret);
    if (k->over)
        return 0;
    size_t n = (k->n * BITS_PER_KEY + 63) / 64 * 8 + 8;
    uint8_t *bits = buf_room(ret, n);
    if (!bits)
        return -ENOMEM;
    memset(bits, 0, n);
    for (size_t i = 0; i < k->cap; i++)
        for (unsigned j = 0; k->slots[i] && j < PROBES; j++) {
            uint64_t bit = probe(k->slots[i], j, (uint64_t)n * 8);
            bits[bit / 8] |= (uint8_t)(1u << bit % 8);
        }
    ret->n = n;
    return 0;
}

bool bloom_may_have(struct str bloom, uint64_t key)
{
    if (key == 0)
        key = 1;
    for (unsigned j = 0; bloom.n && j < PROBES; j++) {
        uint64_t bit = probe(key, j, (uint64_t)bloom.n * 8);
        if (!((uint8_t)bloom.p[bit / 8] & 1u << bit % 8))
            return false;
    }
    return true;
}
