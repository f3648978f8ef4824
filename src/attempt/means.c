// SPDX-License-Identifier: Apache-2.0
// An adversary's means: addresses that lineages with detections connect to or name in a command line, the content of
// programs that lie outside the system's folders, and the paths of programs that they made.
#include "attempt/private.h"

#include "enrich/role.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

static int compare(const struct attempt_means *x, const struct attempt_means *y)
{
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return memcmp(x->value, y->value, sizeof x->value);
}

// Keeps the first in order; what has gone once never comes back, so that no order of arrival shows.
void means_add(struct attempts *a, struct attempt_node *n, const struct attempt_means *m)
{
    size_t at = 0;
    while (at < n->n_means && compare(&n->means[at], m) < 0)
        at++;
    if (at < n->n_means && compare(&n->means[at], m) == 0) {
        struct attempt_means *known = &n->means[at];
        known->first = m->first < known->first ? m->first : known->first;
        known->last = m->last > known->last ? m->last : known->last;
        known->dropped = known->dropped || m->dropped;
        return;
    }
    if (at == ATTEMPT_MEANS)
        return;
    if (!n->means)
        n->means = calloc(ATTEMPT_MEANS, sizeof *n->means);
    if (!n->means) {
        a->refused++;
        return;
    }
    size_t moved = (n->n_means == ATTEMPT_MEANS ? ATTEMPT_MEANS - 1 : n->n_means) - at;
    memmove(&n->means[at + 1], &n->means[at], moved * sizeof *n->means);
    n->means[at] = *m;
    n->n_means += n->n_means < ATTEMPT_MEANS;
}

// ---- addresses

bool address_value(const Tiercel__Address *from, uint8_t ret[32], char *text, size_t size)
{
    if (!from || !from->has_ip || (from->ip.len != 4 && from->ip.len != 16))
        return false;
    memset(ret, 0, 32);
    if (from->ip.len == 4) {
        memcpy(ret, mapped, 12);
        memcpy(ret + 12, from->ip.data, 4);
    } else {
        memcpy(ret, from->ip.data, 16);
    }
    bool four = memcmp(ret, mapped, 12) == 0;
    if (text && !inet_ntop(four ? AF_INET : AF_INET6, four ? ret + 12 : ret, text, (socklen_t)size))
        return false;
    return true;
}

// This host itself, nobody, and everybody.
bool address_is_here(const uint8_t value[32])
{
    static const uint8_t none[16], six[16] = {[15] = 1};
    if (memcmp(value, none, 16) == 0 || memcmp(value, six, 16) == 0)
        return true;
    if (memcmp(value, mapped, 12) != 0)
        return value[0] == 0xff;
    const uint8_t *ip = value + 12;
    return (ip[0] == 127 && ip[1] == 0 && ip[2] == 0) || ip[0] == 0 || ip[0] >= 224;
}

static bool by_address(const Tiercel__Address *address, uint64_t time, struct attempt_means *ret)
{
    *ret = (struct attempt_means){.kind = ATTEMPT_ADDRESS, .first = time, .last = time};
    return address_value(address, ret->value, ret->text, sizeof ret->text) &&
           !address_is_here(ret->value);
}

// Dotted addresses in a command line: of what was refused before it could connect there is nothing else.
static void addresses_in(struct attempts *a, struct attempt_node *n, const Tiercel__Process *p,
                         uint64_t time)
{
    for (size_t i = 0; p && i < p->n_argv; i++) {
        const char *s = (const char *)p->argv[i].data;
        size_t len = p->argv[i].len, at = 0;
        while (at < len) {
            char text[INET_ADDRSTRLEN];
            uint8_t ip[4];
            size_t end = at;
            while (end < len && (isdigit((unsigned char)s[end]) || s[end] == '.'))
                end++;
            bool alone = (at == 0 || !isalnum((unsigned char)s[at - 1])) &&
                         (end == len || !isalnum((unsigned char)s[end]));
            size_t size = end - at;
            while (size && s[at + size - 1] == '.')
                size--;
            if (alone && size >= 7 && size < sizeof text) {
                memcpy(text, s + at, size);
                text[size] = 0;
                Tiercel__Address address = TIERCEL__ADDRESS__INIT;
                struct attempt_means m;
                address.has_ip = true;
                address.ip = (ProtobufCBinaryData){4, ip};
                if (inet_pton(AF_INET, text, ip) == 1 && by_address(&address, time, &m))
                    means_add(a, n, &m);
            }
            at = end > at ? end : at + 1;
        }
    }
}

// ---- files

static bool by_content(const Tiercel__File *f, uint64_t time, struct attempt_means *ret)
{
    static const char hex[] = "0123456789abcdef";
    if (!f || !f->has_sha256 || f->sha256.len != 32 || !f->has_path ||
        (role_system_path(str_bytes(f->path.data, f->path.len)) && !f->memory_only))
        return false;
    *ret = (struct attempt_means){.kind = ATTEMPT_CONTENT, .first = time, .last = time};
    memcpy(ret->value, f->sha256.data, 32);
    for (size_t i = 0; i < 32; i++) {
        ret->text[2 * i] = hex[ret->value[i] >> 4];
        ret->text[2 * i + 1] = hex[ret->value[i] & 15];
    }
    return true;
}

static bool by_path(const struct origin *o, const Tiercel__File *f, uint64_t time, bool dropped,
                    struct attempt_means *ret)
{
    if (!f || !f->has_path || f->path.len == 0 || f->memory_only ||
        role_system_path(str_bytes(f->path.data, f->path.len)))
        return false;
    *ret = (struct attempt_means){
        .kind = ATTEMPT_DROPPED, .first = time, .last = time, .dropped = dropped};
    XXH128_hash_t h = XXH3_128bits_withSeed(f->path.data, f->path.len, XXH3_64bits(o->host, 16));
    memcpy(ret->value, &h, sizeof h);
    snprintf(ret->text, sizeof ret->text, "%.*s", (int)f->path.len, (const char *)f->path.data);
    return true;
}

static bool drops(const Tiercel__FileChange *f)
{
    return !f->denied && !f->folder && f->executable && !f->found &&
           f->action != TIERCEL__FILE_CHANGE__ACTION__READ &&
           f->action != TIERCEL__FILE_CHANGE__ACTION__DELETE;
}

// What one event uses, at most two.
static size_t used_by(const struct origin *o, const Tiercel__Event *e, struct attempt_means ret[2])
{
    size_t n = 0;
    switch (e->kind_case) {
    case TIERCEL__EVENT__KIND_CONNECT:
        n += by_address(e->connect->destination, e->time, &ret[n]);
        break;
    case TIERCEL__EVENT__KIND_FLOW:
        n += e->flow->initiated && by_address(e->flow->remote, e->time, &ret[n]);
        break;
    case TIERCEL__EVENT__KIND_EXEC:
        if (e->process) {
            n += by_content(e->process->image, e->time, &ret[n]);
            n += by_path(o, e->process->image, e->time, false, &ret[n]);
        }
        break;
    case TIERCEL__EVENT__KIND_FILE:
        if (drops(e->file)) {
            n += by_content(e->file->file, e->time, &ret[n]);
            n += by_path(o, e->file->file, e->time, true, &ret[n]);
        }
        break;
    case TIERCEL__EVENT__KIND_HASH:
        n += by_content(e->hash->file, e->time, &ret[n]);
        break;
    default:
        break;
    }
    return n;
}

void means_of_event(struct attempts *a, const struct origin *o, struct attempt_node *n,
                    const Tiercel__Event *e)
{
    struct attempt_means m[2];
    for (size_t i = 0, k = used_by(o, e, m); i < k; i++)
        means_add(a, n, &m[i]);
}

void means_of_detection(struct attempts *a, const struct origin *o, struct attempt_node *n,
                        const Tiercel__Detection *d)
{
    for (size_t i = 0; i < d->n_events; i++) {
        means_of_event(a, o, n, d->events[i]);
        if (d->events[i]->kind_case == TIERCEL__EVENT__KIND_EXEC)
            addresses_in(a, n, d->events[i]->process, d->events[i]->time);
    }
}

// ---- all together

struct user {
    const struct attempt_means *means;
    size_t node;
};

static int by_user(const void *p, const void *q)
{
    const struct user *x = p, *y = q;
    int r = compare(x->means, y->means);
    if (r)
        return r;
    if (x->means->first != y->means->first)
        return x->means->first < y->means->first ? -1 : 1;
    return x->node < y->node ? -1 : x->node > y->node;
}

static int group(struct attempts *a, const struct user *users, size_t n)
{
    struct means *m = &a->means[a->n_means];
    *m = (struct means){.of = (struct attempt_means *)(uintptr_t)users[0].means,
                        .nodes = calloc(n, sizeof *m->nodes),
                        .n_nodes = n};
    if (!m->nodes)
        return -ENOMEM;
    a->n_means++;
    for (size_t i = 0; i < n; i++) {
        m->nodes[i] = users[i].node;
        m->dropped = m->dropped || users[i].means->dropped;
    }
    // Kind and value are the key: they lie behind one another.
    return map_put(&a->means_by_value, str_bytes(m->of, offsetof(struct attempt_means, text)), m);
}

int means_collect(struct attempts *a)
{
    size_t n = 0, k = 0;
    if (a->n_outs)
        qsort(a->outs, a->n_outs, sizeof *a->outs, by_tuple);
    for (size_t i = 0; i < a->n_nodes; i++)
        n += a->nodes[i].n_means;
    if (n == 0)
        return 0;
    struct user *users = calloc(n, sizeof *users);
    a->means = calloc(n, sizeof *a->means);
    a->means_by_value.quota = n + 1;
    int r = users && a->means ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < a->n_nodes; i++)
        for (size_t j = 0; j < a->nodes[i].n_means; j++)
            users[k++] = (struct user){&a->nodes[i].means[j], i};
    if (r == 0)
        qsort(users, n, sizeof *users, by_user);
    for (size_t from = 0, to; r == 0 && from < n; from = to) {
        for (to = from + 1; to < n && compare(users[from].means, users[to].means) == 0;)
            to++;
        if (to - from > 1)
            r = group(a, users + from, to - from);
    }
    free(users);
    return r;
}

// Three processes of no lineage with a detection do the same: then it is no adversary's.
void means_others(struct attempts *a, const struct origin *o, const Tiercel__Event *e)
{
    struct attempt_means used[2];
    if (!a->n_means || !e->process->id)
        return;
    for (size_t i = 0, k = used_by(o, e, used); i < k; i++) {
        struct means *m =
            map_get(&a->means_by_value, str_bytes(&used[i], offsetof(struct attempt_means, text)));
        if (!m || m->n_others == OTHERS)
            continue;
        uint64_t who = process_hash(o, e->process->id);
        bool known = false;
        for (size_t j = 0; j < m->n_others; j++)
            known = known || m->others[j] == who;
        if (!known)
            m->others[m->n_others++] = who;
    }
}

size_t attempt_means_others(const struct attempts *a, const struct attempt_means *m)
{
    const struct means *all =
        map_get(&a->means_by_value, str_bytes(m, offsetof(struct attempt_means, text)));
    return all ? all->n_others : 0;
}
