// SPDX-License-Identifier: Apache-2.0
// What lineages with detections did (second pass), what left the host by them, and who else used their means (third).
#include "attempt/private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

void evidence_add(struct attempts *a, struct attempt_evidence_list *l,
                  const struct attempt_evidence *one)
{
    size_t at = l->n;
    l->count++;
    while (at && (l->all[at - 1].time > one->time ||
                  (l->all[at - 1].time == one->time && l->all[at - 1].event > one->event)))
        at--;
    if (at == ATTEMPT_EVIDENCE)
        return;
    if (!l->all)
        l->all = calloc(ATTEMPT_EVIDENCE, sizeof *l->all);
    if (!l->all) {
        a->refused++;
        return;
    }
    size_t moved = (l->n == ATTEMPT_EVIDENCE ? l->n - 1 : l->n) - at;
    memmove(&l->all[at + 1], &l->all[at], moved * sizeof *l->all);
    l->all[at] = *one;
    l->n += l->n < ATTEMPT_EVIDENCE;
}

static void remember(struct attempts *a, const uint8_t key[UNIT_KEY], const struct attempt_node *n)
{
    size_t node = (size_t)(n - a->nodes);
    struct keyed *k = map_get(&a->processes, str_bytes(key, UNIT_KEY));
    if (k) { // one that became a service of its own was in two lineages
        k->node = node < k->node ? node : k->node;
        return;
    }
    k = arena_new(&a->arena, struct keyed);
    if (k) {
        memcpy(k->key, key, UNIT_KEY);
        k->node = node;
    }
    if (!k || map_put(&a->processes, str_bytes(k->key, UNIT_KEY), k) < 0)
        a->refused++;
}

static void process_key(const struct origin *o, const Tiercel__ProcessId *id, uint8_t ret[UNIT_KEY])
{
    unit_key(o, KEY_PROCESS, id->pid, id->start / 10000000u, ret);
}

static struct attempt_node *first_of_unit(struct attempts *a, const struct attempt_node *n)
{
    const struct keyed *k = map_get(&a->units, str_bytes(a->detections[n->first].unit, UNIT_KEY));
    return k ? &a->nodes[k->node] : NULL;
}

static void seen(struct attempt_node *n, uint64_t time)
{
    if (time < n->seen_from)
        n->seen_from = time;
    if (time > n->seen_to)
        n->seen_to = time;
}

static void acted(struct attempt_node *n, uint64_t time)
{
    if (time > n->acted)
        n->acted = time;
}

static void did_exec(struct attempts *a, struct attempt_node *n, const Tiercel__Event *e)
{
    struct attempt_evidence ran = {.time = e->time, .event = e->id};
    if (e->exec->denied)
        return;
    command_of(e->process, ran.text, sizeof ran.text);
    evidence_add(a, &n->evidence[ATTEMPT_RAN], &ran);
    acted(n, e->time);
}

static void did_file(struct attempts *a, struct attempt_node *n, const Tiercel__Event *e)
{
    const Tiercel__FileChange *f = e->file;
    if (f->denied || !f->file || f->found)
        return;
    acted(n, e->time);
    if (f->action != TIERCEL__FILE_CHANGE__ACTION__READ || !f->protected_)
        return;
    struct attempt_evidence read = {.time = e->time, .event = e->id};
    snprintf(read.text, sizeof read.text, "%.*s", (int)f->file->path.len,
             (const char *)f->file->path.data);
    evidence_add(a, &n->evidence[ATTEMPT_READS], &read);
}

// Both ends of a TCP connection, the opener's first.
static bool tuple_of(const Tiercel__Address *from, const Tiercel__Address *to, uint8_t ret[36])
{
    uint8_t value[32];
    if (!from || !to || !from->port || !to->port || !address_value(from, value, NULL, 0))
        return false;
    memcpy(ret, value, 16);
    if (!address_value(to, value, NULL, 0))
        return false;
    memcpy(ret + 16, value, 16);
    uint16_t ports[2] = {(uint16_t)from->port, (uint16_t)to->port};
    memcpy(ret + 32, ports, 4);
    return true;
}

static void opened(struct attempts *a, const struct attempt_node *n, const Tiercel__Address *from,
                   const Tiercel__Address *to, uint64_t time)
{
    struct out out = {.time = time, .node = (size_t)(n - a->nodes)};
    uint8_t value[32];
    if (!tuple_of(from, to, out.tuple) || !address_value(to, value, NULL, 0) ||
        address_is_here(value))
        return;
    if (room(a, &a->outs, a->n_outs, &a->cap_outs, sizeof *a->outs, OUTS_MAX))
        a->outs[a->n_outs++] = out;
}

static uint64_t flow_begin(const Tiercel__Event *e)
{
    return e->flow->lasted < e->time ? e->time - e->flow->lasted : 0;
}

static void watch_event(struct attempts *a, const struct origin *o, const Tiercel__Event *e)
{
    struct attempt_node *n = node_of(a, o, e);
    uint8_t key[UNIT_KEY];
    if (!n)
        return;
    seen(n, e->time);
    if (n->lineage) {
        process_key(o, e->process->id, key);
        remember(a, key, first_of_unit(a, n));
    }
    means_of_event(a, o, n, e);
    switch (e->kind_case) {
    case TIERCEL__EVENT__KIND_EXEC:
        did_exec(a, n, e);
        break;
    case TIERCEL__EVENT__KIND_FILE:
        did_file(a, n, e);
        break;
    case TIERCEL__EVENT__KIND_CONNECT:
        if (e->connect->denied)
            break;
        acted(n, e->time);
        opened(a, n, e->connect->source, e->connect->destination, e->time);
        if (!n->lineage && e->connect->cookie) {
            unit_key(o, KEY_COOKIE, e->connect->cookie, 0, key);
            remember(a, key, n);
        }
        break;
    case TIERCEL__EVENT__KIND_FLOW:
        if (e->flow->initiated)
            opened(a, n, e->flow->local, e->flow->remote, flow_begin(e));
        break;
    default:
        break;
    }
}

// ---- what was not seen

static uint8_t blinded_by(const Tiercel__Loss *l)
{
    static const struct {
        const char *class;
        uint8_t what;
    } classes[] = {{"structural", BLIND_ALL},
                   {"journal", BLIND_ALL},
                   {"table", BLIND_ALL},
                   {"budget", BLIND_READS | BLIND_FLOWS},
                   {"connect", BLIND_FLOWS},
                   {"flow", BLIND_FLOWS},
                   {"flow bytes sent", BLIND_FLOWS},
                   {"file", BLIND_READS}};
    // Creates and deletes in a folder for temporary files: neither programs nor protected data.
    if (str_starts(str_from(l->reason), STR("times that a busy temporary folder")))
        return 0;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (l->class_ && !strcmp(l->class_, classes[i].class))
            return classes[i].what;
    return 0;
}

static void add_blind(struct attempts *a, const struct origin *o, struct blind b)
{
    if (!room(a, &a->blinds, a->n_blinds, &a->cap_blinds, sizeof *a->blinds, LOSSES_MAX))
        return;
    memcpy(b.host, o->host, 16);
    a->blinds[a->n_blinds++] = b;
}

void attempts_gap(struct attempts *a, const uint8_t host[16], uint64_t from_ns, uint64_t to_ns,
                  uint64_t records)
{
    struct origin o = {0};
    memcpy(o.host, host, sizeof o.host);
    add_blind(a, &o,
              (struct blind){.from = from_ns, .to = to_ns, .count = records, .what = BLIND_ALL});
}

// fanotify tells of reads of protected data where it is asked first, fentry always.
static uint8_t sees(const Tiercel__Coverage *c)
{
    if (!c->kind || !c->seen || !*c->seen)
        return 0;
    if (!strcmp(c->kind, "file"))
        return !strcmp(c->seen, "fentry") || (c->denied && *c->denied) ? BLIND_READS : 0;
    return !strcmp(c->kind, "exec") ? BLIND_PROGRAMS : !strcmp(c->kind, "flow") ? BLIND_FLOWS : 0;
}

static void take_coverage(struct attempts *a, const Tiercel__Batch *b, const struct origin *o)
{
    struct blind blind = {.from = b->from, .what = BLIND_ALL, .coverage = true};
    for (size_t i = 0; i < b->n_coverage; i++)
        blind.what &= (uint8_t)~sees(b->coverage[i]);
    if (b->n_coverage)
        add_blind(a, o, blind);
}

static void watch_detection(struct attempts *a, const Tiercel__Detection *d, const struct origin *o)
{
    uint64_t name = attempt_name(o->host, d);
    size_t i = (size_t)(uintptr_t)map_get(&a->names, MAP_KEY(name));
    if (!i)
        return;
    struct attempt_node *n = &a->nodes[a->detections[i - 1].node];
    const Tiercel__Process *p = acting(d);
    means_of_detection(a, o, n, d);
    processes_of_detection(a, &a->detections[i - 1], d);
    if (n->first != i - 1) // one of them speaks for all
        return;
    if (p && p->lineage) {
        n->role = interned(a, str_from(p->lineage->role));
        n->service = interned(a, str_bytes(p->lineage->service.data, p->lineage->service.len));
    }
    for (size_t k = 0; k < d->n_tree && n->n_chain < sizeof n->chain / sizeof *n->chain; k++)
        if (d->tree[k]->id)
            n->chain[n->n_chain++] = process_hash(o, d->tree[k]->id);
}

int watch_batch(struct attempts *a, const Tiercel__Batch *b, const struct origin *o)
{
    take_coverage(a, b, o);
    for (size_t i = 0; i < b->n_losses; i++) {
        const Tiercel__Loss *l = b->losses[i];
        uint8_t what = blinded_by(l);
        if (what)
            add_blind(
                a, o,
                (struct blind){.from = l->from, .to = l->to, .count = l->count, .what = what});
    }
    for (size_t i = 0; i < b->n_detections; i++)
        watch_detection(a, b->detections[i], o);
    for (size_t i = 0; i < b->n_events; i++)
        watch_event(a, o, b->events[i]);
    return 0;
}

// ---- third pass

static void sent(struct attempts *a, struct attempt_node *n, const Tiercel__Event *e,
                 uint64_t bytes)
{
    uint8_t value[32];
    struct attempt_evidence one = {.time = e->time, .event = e->id, .bytes = bytes};
    if (!bytes || !address_value(e->flow->remote, value, one.text, sizeof one.text) ||
        address_is_here(value))
        return;
    n->sent += bytes;
    n->sent_much = n->sent_much || bytes > SENT_MUCH;
    if (e->time > n->sent_last)
        n->sent_last = e->time;
    seen(n, e->time);
    evidence_add(a, &n->evidence[ATTEMPT_SENT], &one);
}

static struct attempt_node *node_of_key(struct attempts *a, const uint8_t key[UNIT_KEY],
                                        uint64_t time)
{
    const struct keyed *k = map_get(&a->processes, str_bytes(key, UNIT_KEY));
    if (!k)
        return NULL;
    return node_at(a, a->detections[a->nodes[k->node].first].unit, time);
}

static void account(struct attempts *a, const struct origin *o, const Tiercel__Event *e)
{
    uint8_t key[UNIT_KEY];
    struct attempt_node *n = e->process ? node_of(a, o, e) : NULL;
    if (!n && e->flow->cookie) {
        unit_key(o, KEY_COOKIE, e->flow->cookie, 0, key);
        n = node_of_key(a, key, e->time);
    }
    for (size_t i = 0; i < e->flow->n_shares; i++) {
        const Tiercel__FlowShare *s = e->flow->shares[i];
        process_key(o, s->process, key);
        struct attempt_node *sharer = node_of_key(a, key, e->time);
        if (sharer)
            sent(a, sharer, e, s->sent);
    }
    if (n && !e->flow->n_shares)
        sent(a, n, e, e->flow->sent);
}

int by_tuple(const void *p, const void *q)
{
    const struct out *x = p, *y = q;
    int r = memcmp(x->tuple, y->tuple, sizeof x->tuple);
    if (r)
        return r;
    if (x->node != y->node)
        return x->node < y->node ? -1 : 1;
    return x->time < y->time ? -1 : x->time > y->time;
}

static void accepted(struct attempts *a, const struct origin *o, const Tiercel__Event *e,
                     const Tiercel__Address *remote, const Tiercel__Address *local, uint64_t time)
{
    struct out key = {0};
    const uint64_t minute = 60ull * 1000000000u; // clocks of two hosts
    if (!a->n_outs || !e->process || !e->process->id || !tuple_of(remote, local, key.tuple))
        return;
    size_t low = 0, high = a->n_outs;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (by_tuple(&a->outs[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < a->n_outs && !memcmp(a->outs[low].tuple, key.tuple, sizeof key.tuple); low++) {
        const struct out *from = &a->outs[low];
        if (from->time > time + minute || time > from->time + minute ||
            !memcmp(a->nodes[from->node].host, o->host, 16))
            continue;
        if (!room(a, &a->ins, a->n_ins, &a->cap_ins, sizeof *a->ins, LINKS_MAX))
            return;
        const Tiercel__Lineage *l = e->process->lineage;
        struct in *in = &a->ins[a->n_ins++];
        *in = (struct in){.from = *from,
                          .time = time,
                          .acceptor = process_hash(o, e->process->id),
                          .web = l && l->role && !strcmp(l->role, "web")};
        memcpy(in->host, o->host, 16);
    }
}

int others_batch(struct attempts *a, const Tiercel__Batch *b, const struct origin *o)
{
    for (size_t i = 0; i < b->n_events; i++) {
        const Tiercel__Event *e = b->events[i];
        if (e->kind_case == TIERCEL__EVENT__KIND_FLOW) {
            account(a, o, e);
            if (!e->flow->initiated)
                accepted(a, o, e, e->flow->remote, e->flow->local, flow_begin(e));
        } else if (e->kind_case == TIERCEL__EVENT__KIND_SOCKET &&
                   e->socket->action == TIERCEL__SOCKET__ACTION__ACCEPT) {
            accepted(a, o, e, e->socket->remote, e->socket->local, e->time);
        }
        if (e->process && !node_of(a, o, e))
            means_others(a, o, e);
    }
    return 0;
}
