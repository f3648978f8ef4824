// SPDX-License-Identifier: Apache-2.0
#include "enrich/node.h"
#include "enrich/proc.h"

#include <errno.h>
#include <stdlib.h>

#define ANCESTORS 64
#define CGROUPS_QUOTA 8192

struct cgroup_name {
    uint64_t number;
    char path[];
};

void lookup_done(struct tree *tree)
{
    struct map_entry *e;
    size_t position = 0;
    while ((e = map_next(&tree->cgroups, &position)))
        free(e->value);
    map_done(&tree->cgroups);
}

static void set_cgroup_path(struct node *node, struct str path)
{
    if (path.n == 0 || (node->cgroup_path && str_eq(str_from(node->cgroup_path), path)))
        return;
    char *copy = strndup(path.p, path.n);
    if (!copy)
        return;
    free(node->cgroup_path);
    node->cgroup_path = copy;
}

static void remember_cgroup(struct tree *tree, uint64_t number, struct str path)
{
    if (map_get(&tree->cgroups, MAP_KEY(number)) || path.n == 0)
        return;
    struct cgroup_name *c = malloc(sizeof *c + path.n + 1);
    if (!c)
        return;
    c->number = number;
    memcpy(c->path, path.p, path.n);
    c->path[path.n] = 0;
    tree->cgroups.quota = CGROUPS_QUOTA;
    if (map_put(&tree->cgroups, MAP_KEY(c->number), c) < 0)
        free(c);
}

void lookup_cgroup(struct tree *tree, struct node *node, const Tiercel__Process *process,
                   enum ask ask)
{
    bool moved = process->has_cgroup && (!node->has_cgroup || node->cgroup != process->cgroup);
    if (process->has_cgroup) {
        node->has_cgroup = true;
        node->cgroup = process->cgroup;
    }
    if (process->has_cgroup_path) {
        set_cgroup_path(node, str_of(process->cgroup_path));
        if (process->has_cgroup)
            remember_cgroup(tree, process->cgroup, str_of(process->cgroup_path));
        return;
    }
    if (!moved && node->cgroup_path && ask != ASK_ALWAYS)
        return;
    const struct cgroup_name *known =
        process->has_cgroup ? map_get(&tree->cgroups, MAP_KEY(process->cgroup)) : NULL;
    if (known) {
        set_cgroup_path(node, str_from(known->path));
        return;
    }
    if (tree->env->proc_fd < 0 || ask == ASK_NEVER)
        return;
    struct arena arena = {.limit = 64 << 10};
    struct str path = proc_read_cgroup(tree->env->proc_fd, node->pid, &arena);
    set_cgroup_path(node, path);
    if (process->has_cgroup)
        remember_cgroup(tree, process->cgroup, path);
    arena_done(&arena);
}

struct node *lookup_read(struct tree *tree, uint32_t pid, uint64_t start, struct arena *arena,
                         uint32_t *ret_parent, bool *ret_known)
{
    Tiercel__Process *p;
    if (proc_read(tree->env->proc_fd, pid, start, arena, &p) < 0)
        return NULL;
    struct node *node = node_find(tree, pid, p->id->start);
    *ret_known = node != NULL;
    if (node)
        return node;
    node = node_add(tree, pid, start ? start : p->id->start);
    node->from_proc = true;
    node->program = p->image ? program_new(tree, p) : NULL;
    node_learn(tree, node, p);
    lookup_cgroup(tree, node, p, ASK_NEVER);
    node->init = pid == 1 || pid == 2; // kthreadd starts what the kernel asks for
    tree->stats.from_proc++;
    *ret_parent = p->parent ? p->parent->pid : 0;
    return node;
}

struct node *lookup(struct tree *tree, uint32_t pid, uint64_t start, struct arena *arena)
{
    struct node *known = node_find(tree, pid, start);
    if (known || tree->env->proc_fd < 0 || pid == 0)
        return known;
    // From the process up to the first ancestor that is known, then lineages from there down.
    struct node *found[ANCESTORS], *above = NULL;
    unsigned n = 0;
    for (uint32_t next = pid; n < ANCESTORS && next;) {
        bool is_known;
        if (n && (above = node_find(tree, next, 0)) && !above->dead)
            break;
        above = NULL;
        struct node *node = lookup_read(tree, next, n ? 0 : start, arena, &next, &is_known);
        if (!node || is_known) {
            above = node;
            break;
        }
        found[n++] = node;
        if (node == &tree->spare) { // holds one process at a time
            above = node_find(tree, next, 0);
            break;
        }
    }
    if (n == 0)
        return above;
    for (unsigned i = n; i-- > 0;) {
        node_set_parent(tree, found[i], above);
        lineage_found(tree, found[i]);
        above = found[i];
    }
    return found[0];
}
