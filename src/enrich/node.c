// SPDX-License-Identifier: Apache-2.0
#include "enrich/node.h"

#include <errno.h>
#include <stdlib.h>

#define TICK_NS 10000000u // the step of start times in /proc
#define ARGV_KEPT ((size_t)4096)
#define ARGV_KEPT_SCARCE ((size_t)256)
#define PROGRAM_BYTES_PLENTY ((size_t)24 << 20) // above this little is kept of each argv

static struct str put(char **p, struct str s)
{
    char *begin = *p;
    if (s.n)
        memcpy(begin, s.p, s.n);
    begin[s.n] = 0;
    *p += s.n + 1;
    return (struct str){begin, s.n};
}

// How many of the list's items fit into `room` bytes with their ends.
static size_t fitting(const ProtobufCBinaryData *list, size_t n, size_t room, size_t *ret_bytes)
{
    size_t used = 0, i = 0;
    while (i < n && list[i].len + 1 <= room - used)
        used += list[i++].len + 1;
    *ret_bytes = used;
    return i;
}

struct program *program_new(struct tree *tree, const Tiercel__Process *process)
{
    const Tiercel__File *f = process->image;
    struct str path = f && f->has_path ? str_of(f->path) : STR_NONE;
    struct str script = process->has_script ? str_of(process->script) : STR_NONE;
    size_t room = tree->program_bytes > PROGRAM_BYTES_PLENTY ? ARGV_KEPT_SCARCE : ARGV_KEPT;
    size_t argv_bytes, environment_bytes;
    size_t argc = fitting(process->argv, process->n_argv, room, &argv_bytes);
    size_t n = fitting(process->environment, process->n_environment, room / 4, &environment_bytes);
    // The first argument that does not fit is kept in part: a long `sh -c` text is better than none.
    size_t part = argc < process->n_argv ? room - argv_bytes : 0;
    size_t size = sizeof(struct program) + (argc + 1 + n) * sizeof(struct str) + argv_bytes + part +
                  1 + environment_bytes + path.n + script.n + 2;
    struct program *p = calloc(1, size);
    if (!p)
        return NULL;
    p->refs = 1;
    p->size = size;
    p->argv = (struct str *)(p + 1);
    p->environment = p->argv + argc + 1;
    char *text = (char *)(p->environment + n);
    for (; p->argc < argc; p->argc++)
        p->argv[p->argc] = put(&text, str_of(process->argv[p->argc]));
    if (part) {
        struct str whole = str_of(process->argv[argc]);
        p->argv[p->argc++] = put(&text, (struct str){whole.p, whole.n < part ? whole.n : part});
    }
    for (; p->n_environment < n; p->n_environment++)
        p->environment[p->n_environment] =
            put(&text, str_of(process->environment[p->n_environment]));
    p->path = put(&text, path);
    p->script = put(&text, script);
    p->argv_cut = part > 0 || process->argv_cut;
    if (f) {
        p->device = f->device;
        p->inode = f->inode;
        p->mode = f->mode;
        p->owner = f->owner;
        p->memory_only = f->memory_only;
        p->deleted = f->deleted;
        p->hashed = f->has_sha256 && f->sha256.len == sizeof p->sha256;
        if (p->hashed)
            memcpy(p->sha256, f->sha256.data, sizeof p->sha256);
    }
    tree->program_bytes += size;
    return p;
}

struct program *program_ref(struct program *p)
{
    if (p)
        p->refs++;
    return p;
}

void program_unref(struct tree *tree, struct program *p)
{
    if (!p || --p->refs)
        return;
    tree->program_bytes -= p->size;
    free(p);
}

struct group *group_ref(struct group *g)
{
    if (g)
        g->refs++;
    return g;
}

void group_unref(struct tree *tree, struct group *g)
{
    if (!g || --g->refs)
        return;
    program_unref(tree, g->program);
    free(g->unit);
    free(g);
}

// Two sources tell the same start: the kernel in nanoseconds, /proc in steps of 10 ms. No pid comes round in one step.
bool node_same_start(uint64_t a, uint64_t b)
{
    return a / TICK_NS == b / TICK_NS;
}

struct node *node_find(struct tree *tree, uint32_t pid, uint64_t start)
{
    struct node *n = map_get(&tree->by_pid, MAP_KEY(pid));
    while (n && start && !node_same_start(n->start, start))
        n = n->older;
    return n;
}

void node_done(struct tree *tree, struct node *node)
{
    node_place(tree, node, NULL, NULL, 0);
    node_set_parent(tree, node, NULL);
    program_unref(tree, node->program);
    node->program = NULL;
    free(node->cgroup_path);
    node->cgroup_path = NULL;
    free((char *)node->directory.p);
    node->directory = STR_NONE;
}

static void node_unref(struct tree *tree, struct node *node)
{
    // A loop, not recursion: the chain of parents may be as long as the table.
    while (node && --node->refs == 0) {
        struct node *parent = node->parent;
        node->parent = NULL;
        node_done(tree, node);
        free(node);
        tree->n_nodes--;
        node = parent;
    }
}

void node_set_parent(struct tree *tree, struct node *node, struct node *parent)
{
    if (parent == &tree->spare || parent == node)
        parent = NULL; // the spare node lives for one event only
    struct node *old = node->parent;
    if (parent)
        parent->refs++;
    node->parent = parent;
    if (old)
        node_unref(tree, old);
}

static bool counts_as_part(const struct node *node)
{
    return node->group && node->depth == 0 && node->listed && !node->dead;
}

void node_place(struct tree *tree, struct node *node, struct group *group, const struct node *root,
                uint32_t depth)
{
    struct group *old = node->group;
    uint32_t pid = root ? root->root_pid : 0;
    uint64_t start = root ? root->root_start : 0;
    if (counts_as_part(node))
        old->parts--;
    node->group = group_ref(group);
    node->depth = depth;
    node->root_pid = root == node ? node->pid : pid;
    node->root_start = root == node ? node->start : start;
    if (counts_as_part(node))
        node->group->parts++;
    group_unref(tree, old);
}

static void unlist(struct tree *tree, struct node *node)
{
    struct node *newest = map_get(&tree->by_pid, MAP_KEY(node->pid));
    if (newest == node) {
        map_remove(&tree->by_pid, MAP_KEY(node->pid));
        if (node->older)
            map_put(&tree->by_pid, MAP_KEY(node->older->pid), node->older);
    } else {
        for (struct node *n = newest; n; n = n->older)
            if (n->older == node)
                n->older = node->older;
    }
    node->older = NULL;
    node->listed = false;
    // Children may go on remembering it; it forgets a parent that is dead too, or chains would grow without end.
    if (node->parent && !node->parent->listed)
        node_set_parent(tree, node, NULL);
    node_unref(tree, node);
}

static void drop_oldest_dead(struct tree *tree)
{
    struct node *node = tree->dead_first;
    tree->dead_first = node->next_dead;
    if (!tree->dead_first)
        tree->dead_last = NULL;
    tree->n_dead--;
    unlist(tree, node);
}

void node_expire(struct tree *tree)
{
    while (tree->dead_first &&
           (tree->dead_first->died + DEAD_KEEP_NS < tree->now || tree->n_dead > DEAD_QUOTA))
        drop_oldest_dead(tree);
}

void node_died(struct tree *tree, struct node *node, uint64_t when)
{
    if (node->dead || !node->listed)
        return;
    if (node->group && node->depth == 0)
        node->group->parts--;
    node->dead = true;
    node->died = when;
    node->next_dead = NULL;
    if (tree->dead_last)
        tree->dead_last->next_dead = node;
    else
        tree->dead_first = node;
    tree->dead_last = node;
    tree->n_dead++;
}

static struct node *spare(struct tree *tree, uint32_t pid, uint64_t start)
{
    node_done(tree, &tree->spare);
    tree->spare = (struct node){.refs = 1, .pid = pid, .start = start};
    tree->stats.refused++;
    return &tree->spare;
}

struct node *node_add(struct tree *tree, uint32_t pid, uint64_t start)
{
    while (tree->n_nodes >= tree->quota && tree->dead_first)
        drop_oldest_dead(tree);
    if (tree->n_nodes >= tree->quota)
        return spare(tree, pid, start);
    struct node *older = map_get(&tree->by_pid, MAP_KEY(pid));
    struct node *node = calloc(1, sizeof *node);
    if (!node)
        return spare(tree, pid, start);
    *node = (struct node){.refs = 1, .pid = pid, .start = start, .older = older, .listed = true};
    if (map_put(&tree->by_pid, MAP_KEY(node->pid), node) < 0) {
        free(node);
        return spare(tree, pid, start);
    }
    tree->n_nodes++;
    if (older && !older->dead)
        node_died(tree, older, tree->now); // its end was not told
    return node;
}

void node_free_all(struct tree *tree)
{
    node_done(tree, &tree->spare);
    while (tree->dead_first)
        drop_oldest_dead(tree);
    struct map_entry *e;
    size_t position = 0;
    while ((e = map_next(&tree->by_pid, &position))) {
        struct node *node = e->value;
        node_died(tree, node, tree->now);
    }
    while (tree->dead_first)
        drop_oldest_dead(tree);
    map_done(&tree->by_pid);
}

static void learn_credentials(struct node *node, const Tiercel__Credentials *c)
{
    node->has_credentials = true;
    node->uid = c->uid;
    node->gid = c->gid;
    node->euid = c->has_euid ? c->euid : c->uid;
    node->egid = c->has_egid ? c->egid : c->gid;
    if (c->has_capabilities) {
        node->has_capabilities = true;
        node->capabilities = c->capabilities;
    }
    if (c->has_login_uid) {
        node->has_login_uid = true;
        node->login_uid = c->login_uid;
    }
}

void node_learn(struct tree *tree, struct node *node, const Tiercel__Process *process)
{
    (void)tree;
    if (process->credentials && process->credentials->has_uid)
        learn_credentials(node, process->credentials);
    if (process->n_descriptors == 3) {
        memcpy(node->descriptors, process->descriptors, sizeof node->descriptors);
        node->has_descriptors = true;
    }
    if (process->has_name) {
        size_t n =
            process->name.len < sizeof node->name - 1 ? process->name.len : sizeof node->name - 1;
        memset(node->name, 0, sizeof node->name);
        memcpy(node->name, process->name.data, n);
    }
    if (process->has_directory && !str_eq(node->directory, str_of(process->directory))) {
        char *copy = process->directory.len ? malloc(process->directory.len) : NULL;
        if (copy) {
            memcpy(copy, process->directory.data, process->directory.len);
            free((char *)node->directory.p);
            node->directory = (struct str){copy, process->directory.len};
        }
    }
}
