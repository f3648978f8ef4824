// SPDX-License-Identifier: Apache-2.0
// Who does many things in a short time is completed once a batch. Connections, flows, names and files come in thousands
// from one process; to look it up, copy it and pack it for each of them took two thirds of the engine's time. A place
// belongs to the open batch, in whose arena its process lies, until something happens to the process itself.
#include "agent/engine_private.h"

#include <string.h>

static struct engine_known *place(struct engine *e, const Tiercel__ProcessId *id)
{
    uint64_t hash = (id->start ^ id->pid) * 0x9e3779b97f4a7c15u;
    return &e->known[hash >> 32 & (ENGINE_KNOWN - 1)];
}

static bool is_known(const struct engine *e, const struct engine_known *k,
                     const Tiercel__ProcessId *id)
{
    return k->full && k->batch == e->id_batch && k->pid == id->pid && k->start == id->start;
}

bool known_bulk(uint32_t kind)
{
    return kind == RECORD_CONNECT || kind == RECORD_LISTENER || kind == RECORD_FLOW ||
           kind == RECORD_DNS || kind == RECORD_FILE;
}

Tiercel__Process *known_complete(struct engine *e, const struct decoded *d)
{
    Tiercel__Process *own = d->event->process;
    if (!own || !own->id)
        return NULL;
    struct engine_known *k = place(e, own->id);
    if (!known_bulk(d->kind)) { // it may become another one by this
        if (is_known(e, k, own->id))
            k->full = NULL;
        return NULL;
    }
    if (!is_known(e, k, own->id))
        return NULL;
    k->full->has_name = own->has_name;
    k->full->name = own->name;
    d->event->process = k->full;
    d->event->parent = k->parent;
    own->has_started = 0;
    // One message for all of them: it is packed once. A process may take another name meanwhile.
    if (!k->brief || k->brief->has_name != own->has_name || k->brief->name.len != own->name.len ||
        memcmp(k->brief->name.data, own->name.data, own->name.len) != 0)
        k->brief = own;
    return k->brief;
}

void known_remember(struct engine *e, const struct decoded *d)
{
    Tiercel__Process *full = d->event->process, *brief;
    if (!known_bulk(d->kind) || !full || !full->id || !full->lineage)
        return;
    // The event keeps a shortened copy; what was completed stays as it is for those to come.
    brief = arena_alloc(&e->open->arena, sizeof *brief);
    Tiercel__File *image = full->image ? arena_alloc(&e->open->arena, sizeof *image) : NULL;
    if (!brief || (full->image && !image))
        return;
    *brief = *full;
    if (image) {
        *image = *full->image;
        brief->image = image;
    }
    *place(e, full->id) = (struct engine_known){.pid = full->id->pid,
                                                .start = full->id->start,
                                                .batch = e->id_batch,
                                                .full = full,
                                                .parent = d->event->parent};
    d->event->process = brief;
}
