// SPDX-License-Identifier: Apache-2.0
// The engine's part in responses: who belongs to a lineage, which lineages are contained, which hashes and names are
// blocked. Respond tells all of it again after the engine's restart. With the lock held, but for respond_message().
#include "agent/engine_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TTL_AT_LEAST 60 // seconds: a name server that says 0 would make a block that holds nothing

// ---- lineages

static struct contained *contained_find(struct engine *e, uint32_t pid, uint64_t start)
{
    for (unsigned i = 0; i < e->orders.n_contained; i++)
        if (e->orders.contained[i].pid == pid && e->orders.contained[i].start == start)
            return &e->orders.contained[i];
    return NULL;
}

static void act_contained(struct engine *e, uint32_t pid, uint64_t start, bool on)
{
    struct sensor_flags order = {
        .pid = pid, .flags = on ? FLAG_CONTAINED : 0, .mask = FLAG_CONTAINED, .start_ns = start};
    int peer = e->role->given[GIVE_PEER_SENSOR];
    if (peer >= 0 && link_send(peer, SENSOR_FLAGS, &order, sizeof order, NULL, 0, 0) < 0)
        e->flags_behind = true;
}

void orders_flag(struct engine *e, const Tiercel__ProcessId *id, uint32_t inherited)
{
    struct tree_place place;
    if (e->orders.n_contained && !(inherited & FLAG_CONTAINED) && tree_place(e->tree, id, &place) &&
        place.depth > 0 && contained_find(e, place.root_pid, place.root_start))
        act_contained(e, id->pid, id->start, true);
}

static int remember(struct engine *e, const struct tree_place *place, bool contain)
{
    struct engine_orders *o = &e->orders;
    struct contained *c = contained_find(e, place->root_pid, place->root_start);
    if (contain && !c) {
        if (o->n_contained == ORDERS_CONTAINED)
            return -ENOSPC;
        o->contained[o->n_contained++] = (struct contained){place->root_pid, place->root_start};
    }
    if (!contain && c)
        *c = o->contained[--o->n_contained];
    return 0;
}

static bool is_way_in(const struct tree_place *place)
{
    return place->depth == 0 && place->role &&
           (strcmp(place->role, "ssh") == 0 || strcmp(place->role, "console") == 0);
}

static bool cuts_flows(const struct engine *e)
{
    uint32_t flags = 0;
    return probe_flags_get(e->role->probes[GIVE_PROBE_FLAGS], 0, &flags) == 0 &&
           flags & FLAG_CUTS_FLOWS;
}

static void lineage(struct engine *e, const struct respond_lineage *order,
                    struct engine_lineage *ret)
{
    Tiercel__ProcessId id = TIERCEL__PROCESS_ID__INIT, **members = NULL;
    struct tree_place place = {0};
    struct arena *arena = &e->open->arena;
    id.pid = order->pid;
    id.start = order->start_ns;
    *ret = (struct engine_lineage){.number = order->number, .cuts_flows = cuts_flows(e)};
    if (e->structural)
        observe_structural(e); // so that the tree knows who was started just now
    bool known = tree_place(e->tree, &id, &place);
    ret->way_in = known && is_way_in(&place);
    size_t n = known ? tree_lineage(e->tree, &id, arena, &members) : 0;
    if (order->how != RESPOND_LOOK && known && place.depth > 0)
        ret->code = remember(e, &place, order->how == RESPOND_CONTAIN);
    if (order->how == RESPOND_CONTAIN && n == 0)
        ret->code = -ESRCH;
    if (ret->code < 0)
        return;
    for (size_t i = 0; i < n; i++) {
        if (order->how != RESPOND_LOOK)
            act_contained(e, members[i]->pid, members[i]->start, order->how == RESPOND_CONTAIN);
        if (ret->n == RESPOND_TARGETS_MAX)
            continue;
        ret->targets[ret->n].pid = members[i]->pid;
        ret->targets[ret->n++].start_ns = members[i]->start;
    }
    // The last one: nobody may be left with the flag, whatever became of its lineage.
    if (order->how == RESPOND_RELEASE && e->orders.n_contained == 0)
        act_contained(e, 0, 0, false);
}

// ---- hashes

static ssize_t hash_find(const struct engine *e, const uint8_t *sha256)
{
    for (unsigned i = 0; i < e->orders.n_hashes; i++)
        if (memcmp(e->orders.hashes[i], sha256, 32) == 0)
            return (ssize_t)i;
    return -1;
}

static int hash(struct engine *e, const struct respond_hash *order)
{
    struct engine_orders *o = &e->orders;
    ssize_t at = hash_find(e, order->sha256);
    if (order->block && at < 0) {
        if (o->n_hashes == ORDERS_HASHES)
            return -ENOSPC;
        memcpy(o->hashes[o->n_hashes++], order->sha256, 32);
    }
    if (!order->block && at >= 0)
        memcpy(o->hashes[at], o->hashes[--o->n_hashes], 32);
    return 0;
}

static bool is_agent(const Tiercel__Event *event)
{
    const Tiercel__Lineage *l = event->process ? event->process->lineage : NULL;
    return l && l->role && strcmp(l->role, "agent") == 0;
}

static bool orders_block_hash(const struct engine *e, const Tiercel__File *f)
{
    return e->orders.n_hashes && f && f->has_sha256 && f->sha256.len == 32 &&
           hash_find(e, f->sha256.data) >= 0;
}

// As the kernel has it.
static bool orders_contain(const struct engine *e, uint32_t pid)
{
    uint32_t flags = 0;
    return e->orders.n_contained &&
           probe_flags_get(e->role->probes[GIVE_PROBE_FLAGS], (pid_t)pid, &flags) == 0 &&
           flags & FLAG_CONTAINED;
}

static const struct orders_refusal contained_refusal = {
    "tiercel-contained", "Program start in a contained lineage", "attack.execution"};
static const struct orders_refusal hash_refusal = {
    "tiercel-blocked-hash", "Start of a program whose hash is blocked", "attack.execution"};

const struct orders_refusal *orders_forbid(const struct engine *e, const Tiercel__Event *event)
{
    const Tiercel__Process *p = event->process;
    if (!p || is_agent(event))
        return NULL;
    if (orders_block_hash(e, p->image))
        return &hash_refusal;
    return orders_contain(e, p->id->pid) ? &contained_refusal : NULL;
}

const struct orders_refusal *orders_forbid_hash(const struct engine *e, const Tiercel__Event *event)
{
    return orders_block_hash(e, event->hash->file) ? &hash_refusal : NULL;
}

// ---- names

static int tell_address(struct engine *e, const struct response_address *a, bool deny)
{
    struct sensor_address order = {.family = a->bytes == 4 ? AF_INET : AF_INET6,
                                   .prefix = a->prefix};
    int peer = e->role->given[GIVE_PEER_SENSOR];
    memcpy(order.address, a->ip, sizeof order.address);
    return peer < 0 ? -ENOTCONN
                    : link_send(peer, deny ? SENSOR_DENY_ADDRESS : SENSOR_ALLOW_ADDRESS, &order,
                                sizeof order, NULL, 0, 0);
}

static int domain(struct engine *e, const struct respond_domain *order)
{
    struct engine_orders *o = &e->orders;
    unsigned at = 0;
    if (!memchr(order->name, 0, sizeof order->name) || !order->name[0])
        return -EINVAL;
    while (at < o->n_domains && strcmp(o->domains[at], order->name) != 0)
        at++;
    if (order->block && at == o->n_domains) {
        if (o->n_domains == ORDERS_DOMAINS)
            return -ENOSPC;
        memcpy(o->domains[o->n_domains++], order->name, sizeof order->name);
    }
    if (order->block || at == o->n_domains)
        return 0;
    o->n_domains--;
    for (unsigned i = 0; i < o->n_resolved;) {
        struct resolved *r = &o->resolved[i];
        if (strcmp(r->domain, order->name) != 0) {
            i++;
            continue;
        }
        tell_address(e, &r->address, false);
        *r = o->resolved[--o->n_resolved];
    }
    memmove(o->domains[at], o->domains[o->n_domains], sizeof order->name);
    return 0;
}

// "bad.example.com" and what is below it, in any case, with or without the last dot.
static const char *blocked_name(const struct engine *e, struct str name)
{
    if (name.n && name.p[name.n - 1] == '.')
        name.n--;
    for (unsigned i = 0; i < e->orders.n_domains; i++) {
        struct str d = str_from(e->orders.domains[i]);
        if (name.n < d.n || (name.n > d.n && name.p[name.n - d.n - 1] != '.'))
            continue;
        if (str_eq_nocase(str_bytes(name.p + name.n - d.n, d.n), d))
            return e->orders.domains[i];
    }
    return NULL;
}

static void deny_resolved(struct engine *e, const struct response_address *a, const char *of,
                          uint64_t until)
{
    struct engine_orders *o = &e->orders;
    if (response_address_loopback(a))
        return;
    for (uint32_t i = 0; i < e->role->setup.n_allow; i++)
        if (response_address_covers(&e->role->setup.allow[i], a))
            return;
    for (unsigned i = 0; i < o->n_resolved; i++)
        if (memcmp(&o->resolved[i].address, a, sizeof *a) == 0) {
            if (o->resolved[i].until_ns < until)
                o->resolved[i].until_ns = until;
            return;
        }
    if (o->n_resolved == ORDERS_RESOLVED) {
        o->resolved_full++;
        return;
    }
    struct resolved *r = &o->resolved[o->n_resolved];
    if (tell_address(e, a, true) < 0) {
        o->resolved_full++;
        return;
    }
    r->address = *a;
    r->until_ns = until;
    snprintf(r->domain, sizeof r->domain, "%s", of);
    o->n_resolved++;
}

void orders_dns(struct engine *e, const Tiercel__Dns *dns)
{
    const char *of = NULL;
    if (!e->orders.n_domains || !dns->has_answered || !dns->answered || !dns->has_question)
        return;
    of = blocked_name(e, str_bytes(dns->question.data, dns->question.len));
    uint64_t ttl = dns->has_ttl && dns->ttl > TTL_AT_LEAST ? dns->ttl : TTL_AT_LEAST;
    uint64_t until = e->env.monotonic_ns(&e->env) + ttl * 1000000000u;
    for (size_t i = 0; of && i < dns->n_answers; i++) {
        struct response_address a = {0};
        char text[INET6_ADDRSTRLEN];
        if (dns->answers[i].len >= sizeof text)
            continue;
        memcpy(text, dns->answers[i].data, dns->answers[i].len);
        text[dns->answers[i].len] = 0;
        a.bytes = inet_pton(AF_INET, text, a.ip) == 1    ? 4
                  : inet_pton(AF_INET6, text, a.ip) == 1 ? 16
                                                         : 0;
        a.prefix = (uint8_t)(a.bytes * 8);
        if (a.bytes)
            deny_resolved(e, &a, of, until);
    }
}

void orders_look(struct engine *e)
{
    struct engine_orders *o = &e->orders;
    uint64_t now = e->env.monotonic_ns(&e->env);
    for (unsigned i = 0; i < o->n_resolved;) {
        struct resolved *r = &o->resolved[i];
        if (r->until_ns > now || tell_address(e, &r->address, false) < 0) {
            i++;
            continue;
        }
        *r = o->resolved[--o->n_resolved];
    }
    batch_loss(e, "table", o->resolved_full, e->looked_ns, e->env.now_ns(&e->env),
               "no room for addresses of blocked names");
    o->resolved_full = 0;
}

void orders_new_sensor(struct engine *e)
{
    for (unsigned i = 0; i < e->orders.n_resolved; i++)
        tell_address(e, &e->orders.resolved[i].address, true);
    for (unsigned i = 0; i < e->orders.n_contained; i++) {
        struct respond_lineage order = {.how = RESPOND_CONTAIN,
                                        .pid = e->orders.contained[i].pid,
                                        .start_ns = e->orders.contained[i].start};
        struct engine_lineage ignored;
        lineage(e, &order, &ignored);
    }
}

// ---- what came of it

static void state(struct engine *e, const struct respond_state *s)
{
    struct arena *arena = &e->open->arena;
    Tiercel__Event *event = arena_new(arena, Tiercel__Event);
    Tiercel__Response *r = arena_new(arena, Tiercel__Response);
    Tiercel__ProcessId *id = arena_new(arena, Tiercel__ProcessId);
    Tiercel__ProcessId **ids = arena_new(arena, Tiercel__ProcessId *);
    struct str target =
        arena_str(arena, str_bytes(s->target, strnlen(s->target, sizeof s->target)));
    if (!event || !r || !id || !ids || s->state >= RESPONSE_UNDOING) {
        e->open->dropped++;
        return;
    }
    tiercel__event__init(event);
    tiercel__response__init(r);
    tiercel__process_id__init(id);
    r->has_id = s->id != 0;
    r->id = s->id;
    r->action = arena_cstr(arena, str_from(response_action_name(s->action)));
    r->has_state = r->has_target = 1;
    r->state = (Tiercel__Response__State)s->state;
    r->target = (ProtobufCBinaryData){target.n, (uint8_t *)target.p};
    r->has_detection = s->detection != 0;
    r->detection = s->detection;
    r->has_expires = s->expires_ns != 0;
    r->expires = s->expires_ns;
    r->by = arena_cstr(arena, str_bytes(s->by, strnlen(s->by, sizeof s->by)));
    r->reason = arena_cstr(arena, str_bytes(s->reason, strnlen(s->reason, sizeof s->reason)));
    if (s->pid) {
        id->pid = s->pid;
        id->start = s->start_ns;
        ids[0] = id;
        r->processes = ids;
        r->n_processes = 1;
    }
    event->kind_case = TIERCEL__EVENT__KIND_RESPONSE;
    event->response = r;
    batch_event(e, event);
    e->open->urgent = true;
}

static void answer(struct engine *e, uint32_t number, int code)
{
    struct engine_did did = {.number = number, .code = code};
    (void)link_send(e->role->given[GIVE_PEER_RESPOND], ENGINE_DID, &did, sizeof did, NULL, 0, 0);
}

// Takes the lock.
void orders_message(struct engine *e, const struct link_message *m)
{
    static struct engine_lineage found;
    const struct respond_done *done = link_body(m, struct respond_done);
    const struct respond_lineage *of = link_body(m, struct respond_lineage);
    const struct respond_hash *h = link_body(m, struct respond_hash);
    const struct respond_domain *d = link_body(m, struct respond_domain);
    const struct respond_state *s = link_body(m, struct respond_state);
    pthread_mutex_lock(&e->lock);
    if (m->type == RESPOND_DONE && done) {
        act_done(e, done);
    } else if (m->type == RESPOND_LINEAGE && of) {
        lineage(e, of, &found);
        (void)link_send(e->role->given[GIVE_PEER_RESPOND], ENGINE_LINEAGE, &found, sizeof found,
                        NULL, 0, 0);
    } else if (m->type == RESPOND_HASH && h) {
        answer(e, h->number, hash(e, h));
    } else if (m->type == RESPOND_DOMAIN && d) {
        answer(e, d->number, domain(e, d));
    } else if (m->type == RESPOND_STATE && s) {
        state(e, s);
    }
    pthread_mutex_unlock(&e->lock);
    if (m->type == RESPOND_STATE)
        journal_wake(e);
}
