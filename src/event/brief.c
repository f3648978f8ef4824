// SPDX-License-Identifier: Apache-2.0
#include "event/brief.h"

#include "base/map.h"

struct known {
    uint64_t key[2]; // pid, start
    const Tiercel__Process *process;
};

static void fill(Tiercel__Process *p, const Tiercel__Process *known)
{
    Tiercel__ProcessId *id = p->id;
    bool has_name = p->has_name;
    ProtobufCBinaryData name = p->name;

    *p = *known;
    p->id = id;
    if (has_name)
        p->name = name;
}

static void take(struct map *map, struct arena *arena, Tiercel__Process *p, bool program)
{
    uint64_t key[2] = {p->id->pid, p->id->start};
    struct known *known = map_get(map, str_bytes(key, sizeof key));

    if (program) { // with all that belongs to an exec: not what is told of later events
        if (known)
            known->process = NULL;
        return;
    }
    if (!p->lineage) {
        if (known && known->process && !p->image && !p->parent)
            fill(p, known->process);
        return;
    }
    if (!known) {
        known = arena_new(arena, struct known);
        if (!known)
            return;
        known->key[0] = key[0];
        known->key[1] = key[1];
        if (map_put(map, str_bytes(known->key, sizeof known->key), known) < 0)
            return;
    }
    known->process = p;
}

void brief_fill(Tiercel__Batch *batch, struct arena *arena)
{
    struct map map = {.quota = batch->n_events + 1};

    for (size_t i = 0; i < batch->n_events; i++) {
        Tiercel__Event *e = batch->events[i];
        if (e->process && e->process->id)
            take(&map, arena, e->process, e->kind_case == TIERCEL__EVENT__KIND_EXEC);
    }
    map_done(&map);
}
