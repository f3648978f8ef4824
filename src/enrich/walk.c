// SPDX-License-Identifier: Apache-2.0
#include "enrich/node.h"
#include "enrich/role.h"

#define CHAIN_LIMIT 256

size_t tree_chain(struct tree *tree, const Tiercel__ProcessId *id, struct arena *arena,
                  Tiercel__Process ***ret)
{
    const struct node *up[CHAIN_LIMIT];
    struct node *begin = node_find(tree, id->pid, id->start);
    size_t n = 0;
    if (!begin)
        return 0;
    const struct group *g = begin->group;
    bool main = false;
    for (const struct node *node = begin; node && n < CHAIN_LIMIT - 1 && !main;
         node = node->parent) {
        up[n++] = node;
        main = g && g->main_pid == node->pid && g->main_start == node->start;
    }
    // Links that died long ago are gone; the service itself is still worth showing.
    const struct node *service = g && !main ? node_find(tree, g->main_pid, g->main_start) : NULL;
    if (service && !up[n - 1]->init)
        up[n++] = service;
    Tiercel__Process **list = arena_array(arena, Tiercel__Process *, n);
    if (!list)
        return 0;
    for (size_t i = 0; i < n; i++) {
        list[i] = complete_process(tree, up[n - 1 - i], arena);
        if (!list[i])
            return 0;
    }
    *ret = list;
    return n;
}

static bool same_lineage(const struct node *a, const struct node *b)
{
    return b->depth > 0 && !b->dead && a->group == b->group && a->root_pid == b->root_pid &&
           a->root_start == b->root_start;
}

// The process, or one that lives in the lineage which it began.
static const struct node *find_member(struct tree *tree, const Tiercel__ProcessId *id)
{
    const struct node *of = node_find(tree, id->pid, id->start);
    struct map_entry *e;
    size_t position = 0;
    while (!of && (e = map_next(&tree->by_pid, &position))) {
        const struct node *node = e->value;
        if (node->depth > 0 && !node->dead && node->root_pid == id->pid &&
            node_same_start(node->root_start, id->start))
            of = node;
    }
    return of;
}

bool tree_place(struct tree *tree, const Tiercel__ProcessId *id, struct tree_place *ret)
{
    const struct node *of = find_member(tree, id);
    if (!of)
        return false;
    *ret = (struct tree_place){.root_pid = of->root_pid,
                               .root_start = of->root_start,
                               .depth = of->depth,
                               .role = of->group ? of->group->role : NULL};
    return true;
}

size_t tree_lineage(struct tree *tree, const Tiercel__ProcessId *id, struct arena *arena,
                    Tiercel__ProcessId ***ret)
{
    const struct node *of = find_member(tree, id);
    struct map_entry *e;
    size_t n = 0, position = 0;
    if (!of || !of->group || of->depth == 0)
        return 0;
    while ((e = map_next(&tree->by_pid, &position)))
        n += same_lineage(of, e->value);
    Tiercel__ProcessId **list = n ? arena_array(arena, Tiercel__ProcessId *, n) : NULL;
    Tiercel__ProcessId *ids = n ? arena_array(arena, Tiercel__ProcessId, n) : NULL;
    if (!list || !ids)
        return 0;
    n = position = 0;
    while ((e = map_next(&tree->by_pid, &position))) {
        const struct node *node = e->value;
        if (!same_lineage(of, node))
            continue;
        tiercel__process_id__init(&ids[n]);
        ids[n].pid = node->pid;
        ids[n].start = node->start;
        list[n] = &ids[n];
        n++;
    }
    *ret = list;
    return n;
}

uint32_t tree_flags(struct tree *tree, const Tiercel__ProcessId *id)
{
    const struct node *node = node_find(tree, id->pid, id->start);
    if (!node || !node->group)
        return 0;
    uint32_t flags = role_strong(node->group->role) ? TREE_SERVICE : 0;
    if (strcmp(node->group->role, "agent") == 0 && node->depth == 0)
        flags |= TREE_AGENT;
    return flags;
}

bool tree_is_main(struct tree *tree, const Tiercel__ProcessId *id)
{
    const struct node *node = node_find(tree, id->pid, id->start);
    return node && node->group && node->depth == 0 && node->group->main_pid == node->pid &&
           node->group->main_start == node->start;
}

struct tree_stats tree_stats(const struct tree *tree)
{
    struct tree_stats s = tree->stats;
    s.processes = tree->n_nodes;
    s.dead = tree->n_dead;
    return s;
}

bool tree_find(struct tree *tree, uint32_t pid, Tiercel__ProcessId *ret)
{
    const struct node *node = node_find(tree, pid, 0);
    if (!node || node->dead)
        return false;
    tiercel__process_id__init(ret);
    ret->pid = node->pid;
    ret->start = node->start;
    return true;
}
