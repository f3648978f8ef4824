// SPDX-License-Identifier: Apache-2.0
#include "agent/thrift.h"

size_t thrift_argv_bytes(const Tiercel__Process *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n_argv; i++)
        n += p->argv[i].len + 1;
    return n;
}

void thrift_cut_argv(Tiercel__Process *p, size_t room)
{
    size_t n = 0;
    while (n < p->n_argv && p->argv[n].len < room)
        room -= p->argv[n++].len + 1;
    if (n == p->n_argv)
        return;
    p->argv[n++].len = room;
    p->n_argv = n;
    p->has_argv_cut = p->argv_cut = 1;
}

static size_t process(struct thrift *t, Tiercel__Process *p)
{
    size_t bytes = p ? thrift_argv_bytes(p) : 0;
    if (bytes <= THRIFT_FREE)
        return 0;
    if (t->spent + (bytes - THRIFT_FREE) <= THRIFT_BURST) {
        t->spent += bytes - THRIFT_FREE;
        return 0;
    }
    thrift_cut_argv(p, THRIFT_FREE);
    return 1;
}

static size_t event(struct thrift *t, Tiercel__Event *e)
{
    return e ? process(t, e->process) + process(t, e->parent) : 0;
}

size_t thrift_batch(struct thrift *t, Tiercel__Batch *batch, uint64_t now_ns)
{
    uint64_t ms = t->last_ns && now_ns > t->last_ns ? (now_ns - t->last_ns) / 1000000 : 0;
    uint64_t earned = ms > 3600000 ? THRIFT_BURST : ms * THRIFT_PER_SECOND / 1000;
    size_t n = 0;
    t->spent = t->spent > earned ? t->spent - earned : 0;
    t->last_ns = now_ns;
    for (size_t i = 0; i < batch->n_events; i++)
        n += event(t, batch->events[i]);
    for (size_t i = 0; i < batch->n_detections; i++) {
        Tiercel__Detection *d = batch->detections[i];
        for (size_t k = 0; k < d->n_events; k++)
            n += event(t, d->events[k]);
        for (size_t k = 0; k < d->n_tree; k++)
            n += process(t, d->tree[k]);
    }
    return n;
}
