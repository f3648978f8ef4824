// SPDX-License-Identifier: Apache-2.0
// Hashes and container names into events; what becomes known later is an event of its own.
#include "agent/engine_private.h"

#include <errno.h>

static bool file_key(const Tiercel__File *f, struct facts_file *ret)
{
    if (!f || f->memory_only || !f->has_inode || !f->has_device || !f->has_size || !f->has_changed)
        return false;
    *ret = (struct facts_file){f->device, f->inode, f->size, f->changed};
    return true;
}

bool facts_fill(struct engine *e, Tiercel__File *image, struct arena *arena)
{
    struct facts_file key;
    uint8_t sha256[FACTS_SHA256];
    if (!e->facts || !file_key(image, &key) || !facts_hash(e->facts, &key, sha256))
        return false;
    struct str copy = arena_str(arena, str_bytes(sha256, sizeof sha256));
    image->has_sha256 = copy.p != NULL;
    image->sha256 = (ProtobufCBinaryData){copy.n, (uint8_t *)copy.p};
    return true;
}

void facts_of_exec(struct engine *e, Tiercel__Event *event, bool judged)
{
    Tiercel__Process *p = event->process;
    struct facts_program ask = {.pid = p->id->pid, .start = p->id->start, .judged = judged};
    if (!e->facts || !p->image || facts_fill(e, p->image, &e->open->arena) ||
        !file_key(p->image, &ask.file))
        return;
    if (p->image->path.len < sizeof ask.path && !p->image->path_cut)
        memcpy(ask.path, p->image->path.data, p->image->path.len);
    facts_ask(e->facts, &ask);
}

void facts_of_container(struct engine *e, Tiercel__Process *p)
{
    char name[64];
    if (!e->facts || !p || !p->container || p->has_container_name ||
        !facts_container(e->facts, str_from(p->container), name))
        return;
    struct str copy = arena_str(&e->open->arena, str_from(name));
    p->has_container_name = copy.p != NULL;
    p->container_name = (ProtobufCBinaryData){copy.n, (uint8_t *)copy.p};
}

static void known(struct engine *e, const struct facts_program *program,
                  const uint8_t sha256[FACTS_SHA256])
{
    struct arena *arena = &e->open->arena;
    Tiercel__Event *event = arena_new(arena, Tiercel__Event);
    Tiercel__Process *process = arena_new(arena, Tiercel__Process);
    Tiercel__ProcessId *id = arena_new(arena, Tiercel__ProcessId);
    Tiercel__FileHash *hash = arena_new(arena, Tiercel__FileHash);
    Tiercel__File *file = arena_new(arena, Tiercel__File);
    struct str copy = arena_str(arena, str_bytes(sha256, FACTS_SHA256));
    if (!event || !process || !id || !hash || !file || !copy.p) {
        e->open->dropped++;
        return;
    }
    tiercel__event__init(event);
    tiercel__process__init(process);
    tiercel__process_id__init(id);
    tiercel__file_hash__init(hash);
    tiercel__file__init(file);
    id->pid = program->pid;
    id->start = program->start;
    tree_hashed(e->tree, id, program->file.device, program->file.inode, sha256);
    file->has_device = file->has_inode = file->has_size = file->has_changed = 1;
    file->device = program->file.device;
    file->inode = program->file.inode;
    file->size = program->file.size;
    file->changed = program->file.changed_ns;
    file->has_sha256 = 1;
    file->sha256 = (ProtobufCBinaryData){copy.n, (uint8_t *)copy.p};
    hash->file = file;
    process->id = id;
    event->process = process;
    event->kind_case = TIERCEL__EVENT__KIND_HASH;
    event->hash = hash;
    observe_made(e, event);
    if (process->image && process->image->has_path) { // the tree has named it
        file->has_path = 1;
        file->path = process->image->path;
    }
}

void facts_look(struct engine *e)
{
    struct facts_program program;
    uint8_t sha256[FACTS_SHA256];
    while (e->facts && facts_take(e->facts, &program, sha256)) {
        pthread_mutex_lock(&e->lock);
        known(e, &program, sha256);
        pthread_mutex_unlock(&e->lock);
    }
}
