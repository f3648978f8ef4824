// SPDX-License-Identifier: Apache-2.0
#include "intel/intel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

int intel_init(struct intel *k)
{
    *k = (struct intel){.arena.limit = 512u << 20};
    k->names.quota = k->software.quota = 1u << 18;
    k->by_key.quota = 1u << 22;
    k->adversaries = calloc(INTEL_ADVERSARIES_MAX, sizeof *k->adversaries);
    return k->adversaries ? 0 : -ENOMEM;
}

void intel_done(struct intel *k)
{
    for (uint32_t i = 0; i < k->n_values; i++)
        free(k->values[i]->facts);
    free(k->values);
    free(k->cases);
    free(k->adversaries);
    map_done(&k->names);
    map_done(&k->software);
    map_done(&k->by_key);
    arena_done(&k->arena);
    *k = (struct intel){0};
}

// Letters and digits in lower case: "Deep Panda", "deep-panda" and "DEEPPANDA" are one name.
static struct str fold(struct str name, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < name.n && n < size; i++) {
        unsigned char c = (unsigned char)name.p[i];
        if (c >= 'A' && c <= 'Z')
            c = (unsigned char)(c + 32);
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80)
            out[n++] = (char)c;
    }
    return str_bytes(out, n);
}

struct intel_adversary *intel_adversary(struct intel *k, struct str name)
{
    char folded[256];
    struct str key = fold(name, folded, sizeof folded);
    return key.n ? map_get(&k->names, key) : NULL;
}

int intel_alias_add(struct intel *k, struct map *table, struct str name, void *value)
{
    char folded[256];
    struct str key = fold(name, folded, sizeof folded);
    if (!key.n || map_get(table, key))
        return 0; // the first source to use a name keeps it
    key = arena_str(&k->arena, key);
    return key.p ? map_put(table, key, value) : -ENOMEM;
}

struct intel_adversary *intel_adversary_add(struct intel *k, struct str id, struct str name)
{
    if (k->n_adversaries >= INTEL_ADVERSARIES_MAX || !id.n)
        return NULL;
    struct intel_adversary *a = arena_new(&k->arena, struct intel_adversary);
    if (!a)
        return NULL;
    a->id = arena_str(&k->arena, id);
    a->name = arena_str(&k->arena, name);
    a->number = k->n_adversaries;
    if (!a->id.p || intel_alias_add(k, &k->names, id, a) || intel_alias_add(k, &k->names, name, a))
        return NULL;
    k->adversaries[k->n_adversaries++] = a;
    return a;
}

static struct str normal(struct intel *k, enum intel_kind kind, struct str text, char *out,
                         size_t size)
{
    if (kind == INTEL_SOFTWARE) {
        struct str folded = fold(text, out, size);
        const struct str *known = map_get(&k->software, folded);
        return known ? *known : folded;
    }
    size_t n = 0;
    for (; n < text.n && n < size; n++) {
        char c = text.p[n];
        bool upper = kind == INTEL_TECHNIQUE || kind == INTEL_PARENT;
        if (upper && c >= 'a' && c <= 'z')
            c = (char)(c - 32);
        else if (!upper && c >= 'A' && c <= 'Z')
            c = (char)(c + 32);
        out[n] = c;
    }
    while (n && out[n - 1] == '.')
        n--;
    return str_bytes(out, n);
}

struct intel_value *intel_value(struct intel *k, enum intel_kind kind, struct str text)
{
    char key[260];
    if (!text.n || text.n > 255)
        return NULL;
    key[0] = (char)('a' + kind);
    struct str rest = normal(k, kind, text, key + 1, sizeof key - 1);
    if (!rest.n)
        return NULL;
    memmove(key + 1, rest.p, rest.n);
    struct intel_value *v = map_get(&k->by_key, str_bytes(key, rest.n + 1));
    if (v)
        return v;
    if ((k->n_values & (k->n_values + 1)) == 0) {
        size_t room = ((size_t)k->n_values + 1) * 2;
        void *grown = reallocarray(k->values, room, sizeof(void *));
        if (!grown)
            return NULL;
        k->values = grown;
    }
    v = arena_new(&k->arena, struct intel_value);
    struct str kept = arena_str(&k->arena, str_bytes(key, rest.n + 1));
    if (!v || !kept.p)
        return NULL;
    v->kind = kind;
    v->key = str_bytes(kept.p + 1, kept.n - 1);
    v->number = k->n_values;
    if (map_put(&k->by_key, kept, v))
        return NULL;
    k->values[k->n_values++] = v;
    return v;
}

// The name that was registered, near enough without a list of public suffixes: two labels, three under co.uk and the like.
static struct str registered(struct str host)
{
    static const char *const second[] = {"co", "com", "net", "org", "gov", "edu", "ac"};
    size_t dots = 0, want = 2, start = 0, end2 = 0, end1 = host.n;
    for (size_t i = host.n; i-- > 0;) {
        if (host.p[i] != '.')
            continue;
        dots++;
        if (dots == 1) {
            end2 = i;
            end1 = host.n - i - 1;
        }
        if (dots == 2) {
            struct str label = str_bytes(host.p + i + 1, end2 - i - 1);
            for (size_t s = 0; end1 == 2 && s < sizeof second / sizeof *second; s++)
                if (str_eq(label, str_from(second[s])))
                    want = 3;
        }
        if (dots == want) {
            start = i + 1;
            break;
        }
    }
    return dots ? str_bytes(host.p + start, host.n - start) : STR_NONE;
}

struct intel_value *intel_derived(struct intel *k, const struct intel_value *v)
{
    if (v->kind == INTEL_TECHNIQUE)
        return intel_value(k, INTEL_PARENT, str_bytes(v->key.p, v->key.n < 5 ? v->key.n : 5));
    if (v->kind != INTEL_HOST)
        return NULL;
    struct in_addr address;
    if (inet_pton(AF_INET, v->key.p, &address) != 1)
        return intel_value(k, INTEL_DOMAIN, registered(v->key));
    const char *dot = strrchr(v->key.p, '.');
    return intel_value(k, INTEL_NETWORK, str_bytes(v->key.p, (size_t)(dot - v->key.p)));
}

static int fact_put(struct intel *k, uint32_t adversary, struct intel_value *v, uint32_t since,
                    uint32_t source)
{
    if (k->n_facts >= INTEL_FACTS_MAX)
        return -ENOSPC;
    if (v->n == v->cap) {
        uint32_t cap = v->cap ? v->cap * 2 : 2;
        void *grown = reallocarray(v->facts, cap, sizeof *v->facts);
        if (!grown)
            return -ENOMEM;
        v->facts = grown;
        v->cap = cap;
    }
    v->facts[v->n++] = (struct intel_fact){adversary, since, source};
    k->n_facts++;
    return 0;
}

int intel_fact_add(struct intel *k, uint32_t adversary, struct intel_value *v, uint32_t since,
                   uint32_t source)
{
    int r = fact_put(k, adversary, v, since, source);
    struct intel_value *derived = r ? NULL : intel_derived(k, v);
    return derived ? fact_put(k, adversary, derived, since, source) : r;
}

uint32_t intel_date(const char *text)
{
    uint32_t digits = 0;
    for (int i = 0; text && i < 10; i++) {
        if (i == 4 || i == 7) {
            if (text[i] != '-')
                return 0;
        } else if (text[i] < '0' || text[i] > '9') {
            return 0;
        } else {
            digits = digits * 10 + (uint32_t)(text[i] - '0');
        }
    }
    return digits;
}
