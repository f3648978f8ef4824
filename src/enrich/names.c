// SPDX-License-Identifier: Apache-2.0
#include "enrich/names.h"

#include "base/map.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

enum { NAMES_MAX = 4096, NAME_BYTES = 255 };
#define SECOND 1000000000ull
#define TTL_MIN 30u
#define TTL_MAX 86400u
#define KEPT_LONGER (60 * SECOND)

struct key {
    uint64_t scope[2]; // pid and start; or 0 and a hash of the container, 0 outside of all
    uint8_t ip[16];    // IPv4 as ::ffff:a.b.c.d
};

struct entry {
    struct key key;
    uint64_t from, until;
    uint8_t ip_bytes, n;
    char name[NAME_BYTES];
};

struct names {
    struct map by_key;
    size_t next, n; // entries are a ring
    uint64_t replaced;
    struct entry entries[NAMES_MAX];
};

int names_new(struct names **ret)
{
    struct names *names = calloc(1, sizeof *names);

    if (!names)
        return -ENOMEM;
    names->by_key.quota = NAMES_MAX;
    *ret = names;
    return 0;
}

struct names *names_free(struct names *names)
{
    if (names)
        map_done(&names->by_key);
    free(names);
    return NULL;
}

struct names_stats names_stats(const struct names *names)
{
    return (struct names_stats){names->n, names->replaced};
}

static uint64_t hash_of(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (; text && *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return hash;
}

static struct key key_of(const Tiercel__Process *p, bool own, const uint8_t *ip, size_t n)
{
    struct key key = {0};

    if (own) {
        key.scope[0] = p->id->pid;
        key.scope[1] = p->id->start;
    } else if (p && p->container) {
        key.scope[1] = hash_of(p->container);
    }
    if (n == 4)
        key.ip[10] = key.ip[11] = 0xff;
    memcpy(key.ip + 16 - n, ip, n);
    return key;
}

static void put(struct names *names, const struct key *key, size_t ip_bytes, uint64_t from,
                uint64_t until, struct str name)
{
    struct entry *entry = map_get(&names->by_key, MAP_KEY(*key));

    if (!entry) {
        entry = &names->entries[names->next];
        names->next = (names->next + 1) % NAMES_MAX;
        if (names->n == NAMES_MAX) {
            map_remove(&names->by_key, MAP_KEY(entry->key));
            names->replaced += entry->until > from;
        } else {
            names->n++;
        }
        entry->key = *key;
        if (map_put(&names->by_key, MAP_KEY(entry->key), entry) < 0) {
            entry->until = 0;
            return;
        }
    }
    entry->from = from;
    entry->until = until;
    entry->ip_bytes = (uint8_t)ip_bytes;
    entry->n = (uint8_t)name.n;
    memcpy(entry->name, name.p, name.n);
}

static void learn(struct names *names, const Tiercel__Event *event)
{
    const Tiercel__Dns *dns = event->dns;
    const Tiercel__Process *p = event->process;
    uint32_t ttl = dns->ttl < TTL_MIN ? TTL_MIN : dns->ttl > TTL_MAX ? TTL_MAX : dns->ttl;
    struct str name = {(const char *)dns->question.data, dns->question.len};

    if (!dns->answered || !name.n || name.n > NAME_BYTES)
        return;
    for (size_t i = 0; i < dns->n_answers; i++) {
        char text[INET6_ADDRSTRLEN];
        uint8_t ip[16];
        size_t n;
        if (dns->answers[i].len >= sizeof text)
            continue;
        memcpy(text, dns->answers[i].data, dns->answers[i].len);
        text[dns->answers[i].len] = 0;
        n = inet_pton(AF_INET, text, ip) == 1 ? 4 : inet_pton(AF_INET6, text, ip) == 1 ? 16 : 0;
        if (!n)
            continue;
        for (int own = 0; own < (p ? 2 : 1); own++) {
            struct key key = key_of(p, own, ip, n);
            put(names, &key, n, event->time, event->time + ttl * SECOND, name);
        }
    }
}

static const struct entry *find(const struct names *names, const Tiercel__Process *p,
                                const Tiercel__Address *a, uint64_t when)
{
    if (!a || (a->ip.len != 4 && a->ip.len != 16))
        return NULL;
    for (int own = p ? 1 : 0; own >= 0; own--) {
        struct key key = key_of(p, own, a->ip.data, a->ip.len);
        const struct entry *entry = map_get(&names->by_key, MAP_KEY(key));
        if (entry && entry->from <= when && when <= entry->until + KEPT_LONGER)
            return entry;
    }
    return NULL;
}

static ProtobufCBinaryData copy(const struct entry *entry, struct arena *arena)
{
    struct str name = arena_str(arena, (struct str){entry->name, entry->n});
    return (ProtobufCBinaryData){name.n, (uint8_t *)name.p};
}

void names_take(struct names *names, Tiercel__Event *event, struct arena *arena)
{
    const struct entry *entry;

    if (event->process && !event->process->id)
        return;
    if (event->kind_case == TIERCEL__EVENT__KIND_DNS) {
        learn(names, event);
    } else if (event->kind_case == TIERCEL__EVENT__KIND_CONNECT && names->n) {
        Tiercel__Connect *c = event->connect;
        entry = find(names, event->process, c->destination, event->time);
        if (entry) {
            c->host_name = copy(entry, arena);
            c->has_host_name = c->host_name.len > 0;
        }
    } else if (event->kind_case == TIERCEL__EVENT__KIND_FLOW && names->n &&
               !(event->flow->has_initiated && !event->flow->initiated)) {
        Tiercel__Flow *f = event->flow;
        entry = find(names, event->process, f->remote, event->time - f->lasted);
        if (entry) {
            f->host_name = copy(entry, arena);
            f->has_host_name = f->host_name.len > 0;
        }
    }
}

static bool below(struct str name, struct str domain)
{
    if (name.n < domain.n ||
        !str_eq_nocase((struct str){name.p + name.n - domain.n, domain.n}, domain))
        return false;
    return name.n == domain.n || name.p[name.n - domain.n - 1] == '.';
}

void names_of_domain(const struct names *names, struct str domain, uint64_t now,
                     void (*take)(void *context, struct str ip, uint64_t until), void *context)
{
    for (size_t i = 0; i < names->n; i++) {
        const struct entry *e = &names->entries[i];
        if (e->key.scope[0] || e->until < now || !below((struct str){e->name, e->n}, domain))
            continue; // what a process was told its container was told, too
        take(context, str_bytes(e->key.ip + 16 - e->ip_bytes, e->ip_bytes), e->until);
    }
}
