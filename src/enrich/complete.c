// SPDX-License-Identifier: Apache-2.0
#include "enrich/cgroup.h"
#include "enrich/node.h"

#include <errno.h>

static ProtobufCBinaryData copy(struct arena *arena, struct str s)
{
    return bytes_of(arena_str(arena, s));
}

static void copy_list(struct arena *arena, const struct str *list, size_t n, size_t *ret_n,
                      ProtobufCBinaryData **ret)
{
    ProtobufCBinaryData *items = n ? arena_array(arena, ProtobufCBinaryData, n) : NULL;
    if (!items)
        return;
    for (size_t i = 0; i < n; i++)
        items[i] = copy(arena, list[i]);
    *ret = items;
    *ret_n = n;
}

static Tiercel__ProcessId *new_id(struct arena *arena, uint32_t pid, uint64_t start)
{
    Tiercel__ProcessId *id = arena_alloc(arena, sizeof *id);
    if (!id)
        return NULL;
    tiercel__process_id__init(id);
    id->pid = pid;
    id->start = start;
    return id;
}

static void fill_program(Tiercel__Process *p, const struct program *program, struct arena *arena)
{
    Tiercel__File *f = program->path.n ? arena_alloc(arena, sizeof *f) : NULL;
    if (f) {
        tiercel__file__init(f);
        f->has_path = true;
        f->path = copy(arena, program->path);
        f->has_inode = f->has_device = f->has_mode = f->has_owner = program->inode != 0;
        f->inode = program->inode;
        f->device = program->device;
        f->mode = program->mode;
        f->owner = program->owner;
        f->has_memory_only = f->memory_only = program->memory_only;
        f->has_deleted = f->deleted = program->deleted;
        if (program->hashed) {
            f->has_sha256 = true;
            f->sha256 = copy(arena, str_bytes(program->sha256, sizeof program->sha256));
        }
        p->image = f;
    }
    if (program->script.n && !p->has_script) {
        p->has_script = true;
        p->script = copy(arena, program->script);
    }
    if (!p->n_argv) {
        copy_list(arena, program->argv, program->argc, &p->n_argv, &p->argv);
        p->has_argv_cut = p->argv_cut = program->argv_cut;
    }
    if (!p->n_environment)
        copy_list(arena, program->environment, program->n_environment, &p->n_environment,
                  &p->environment);
}

static void fill_credentials(struct tree *tree, Tiercel__Process *p, const struct node *node,
                             struct arena *arena)
{
    Tiercel__Credentials *c = p->credentials;
    if (!c && node->has_credentials && (c = arena_alloc(arena, sizeof *c))) {
        tiercel__credentials__init(c);
        c->has_uid = c->has_gid = c->has_euid = c->has_egid = true;
        c->uid = node->uid;
        c->gid = node->gid;
        c->euid = node->euid;
        c->egid = node->egid;
        c->has_capabilities = node->has_capabilities;
        c->capabilities = node->capabilities;
        p->credentials = c;
    }
    if (c && !c->has_login_uid && node->has_login_uid) {
        c->has_login_uid = true;
        c->login_uid = node->login_uid;
    }
    if (!p->has_user && tree->users && c && (c->has_euid || c->has_uid)) {
        struct str name = users_name(tree->users, tree->env, c->has_euid ? c->euid : c->uid);
        p->has_user = name.n > 0;
        p->user = copy(arena, name);
    }
}

static void fill_cgroup(Tiercel__Process *p, const struct node *node, struct arena *arena)
{
    if (!p->has_cgroup && node->has_cgroup) {
        p->has_cgroup = true;
        p->cgroup = node->cgroup;
    }
    if (!p->has_cgroup_path && node->cgroup_path) {
        p->has_cgroup_path = true;
        p->cgroup_path = copy(arena, str_from(node->cgroup_path));
    }
    if (!p->container && p->has_cgroup_path) {
        struct str id = cgroup_container(str_of(p->cgroup_path));
        p->container = id.n ? arena_cstr(arena, id) : NULL;
    }
}

static void fill_lineage(Tiercel__Process *p, const struct node *node, struct arena *arena)
{
    Tiercel__Lineage *l = arena_alloc(arena, sizeof *l);
    if (!l)
        return;
    tiercel__lineage__init(l);
    const struct group *g = node->group;
    l->role = arena_cstr(arena, str_from(g ? g->role : "none"));
    if (g) {
        if (g->program && g->program->path.n) {
            l->has_service = true;
            l->service = copy(arena, g->program->path);
        }
        if (g->unit) {
            l->has_unit = true;
            l->unit = copy(arena, str_from(g->unit));
        }
        l->has_depth = true;
        l->depth = node->depth;
        if (node->depth)
            l->root = new_id(arena, node->root_pid, node->root_start);
    }
    p->lineage = l;
}

static void fill_process(struct tree *tree, Tiercel__Process *p, const struct node *node,
                         struct arena *arena)
{
    if (node->program && !p->image)
        fill_program(p, node->program, arena);
    if (node->parent)
        p->parent = new_id(arena, node->parent->pid, node->parent->start);
    fill_credentials(tree, p, node, arena);
    fill_cgroup(p, node, arena);
    if (!p->has_directory && node->directory.n) {
        p->has_directory = true;
        p->directory = copy(arena, node->directory);
    }
    if (!p->n_descriptors && node->has_descriptors) {
        p->descriptors = arena_array(arena, Tiercel__DescriptorKind, 3);
        if (p->descriptors) {
            memcpy(p->descriptors, node->descriptors, sizeof node->descriptors);
            p->n_descriptors = 3;
        }
    }
    if (!p->has_name && node->name[0]) {
        p->has_name = true;
        p->name = copy(arena, str_from(node->name));
    }
    if (node->from_proc)
        p->has_from_proc = p->from_proc = true;
    fill_lineage(p, node, arena);
}

Tiercel__Process *complete_process(struct tree *tree, const struct node *node, struct arena *arena)
{
    Tiercel__Process *p = arena_alloc(arena, sizeof *p);
    if (!p)
        return NULL;
    tiercel__process__init(p);
    p->id = new_id(arena, node->pid, node->start);
    if (!p->id)
        return NULL;
    fill_process(tree, p, node, arena);
    return p;
}

// The parent in short: what it runs and as whom.
static Tiercel__Process *parent_of(struct tree *tree, const struct node *node, struct arena *arena)
{
    Tiercel__Process *p = arena_alloc(arena, sizeof *p);
    if (!p)
        return NULL;
    tiercel__process__init(p);
    p->id = new_id(arena, node->pid, node->start);
    if (!p->id)
        return NULL;
    if (node->program)
        fill_program(p, node->program, arena);
    fill_credentials(tree, p, node, arena);
    if (node->name[0]) {
        p->has_name = true;
        p->name = copy(arena, str_from(node->name));
    }
    return p;
}

int complete_event(struct tree *tree, const struct node *node, Tiercel__Event *event,
                   struct arena *arena)
{
    uint64_t failed = arena->failed;
    event->process->id->start = node->start; // one spelling of each identity, whoever told it first
    fill_process(tree, event->process, node, arena);
    if (!event->parent && node->parent)
        event->parent = parent_of(tree, node->parent, arena);
    return arena->failed == failed ? 0 : -ENOMEM;
}

void tree_describe(struct tree *tree, Tiercel__Process *process, struct arena *arena)
{
    const struct node *node =
        process->id ? lookup(tree, process->id->pid, process->id->start, arena) : NULL;

    if (!node)
        return;
    process->id->start = node->start;
    fill_process(tree, process, node, arena);
    process->n_argv = process->n_environment = process->n_descriptors = 0;
    process->has_argv_cut = process->has_directory = false;
}
