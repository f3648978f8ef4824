// SPDX-License-Identifier: Apache-2.0
// Inside of the process tree: what is remembered of a process, and how it is let go. Only files of enrich/ use this.
//
// A *program* is what runs: shared by all that were forked without exec. A *group* is a service and its role: shared by
// its own processes (depth 0) and by all lineages below it. A *node* is a process.
#pragma once
#include "base/map.h"
#include "enrich/tree.h"
#include "enrich/users.h"

#define NODE_QUOTA ((size_t)131072)
#define DEAD_QUOTA ((size_t)16384) // a storm of forks may not cost a hundred MiB
#define DEAD_KEEP_NS (60ull * 1000000000u)

struct program {
    unsigned refs;
    size_t size; // bytes, for the tree's account
    struct str path, script;
    struct str *argv, *environment;
    size_t argc, n_environment;
    uint64_t device, inode;
    uint32_t mode, owner;
    bool argv_cut, memory_only, deleted, hashed;
    uint8_t sha256[32];
};

struct group {
    unsigned refs, parts;    // parts: living processes of the service itself
    const char *role;        // one of role.c's words; static
    bool runtime;            // a container runtime: what it execs is a container's first process
    struct program *program; // of the main process
    char *unit;
    uint32_t main_pid;
    uint64_t main_start;
};

struct node {
    unsigned refs; // the table, and each child that remembers it
    uint32_t pid;
    uint64_t start;
    struct node *parent; // original; referenced
    struct node *older;  // an earlier process of the same pid, still remembered
    struct node *next_dead;
    uint64_t died;
    struct program *program;  // NULL for kernel threads
    struct group *group;      // NULL: not below any service
    uint32_t root_pid, depth; // depth 0: part of the service itself
    uint64_t root_start;
    char *cgroup_path;
    uint64_t cgroup;
    uint32_t uid, gid, euid, egid, login_uid;
    uint64_t capabilities;
    Tiercel__DescriptorKind descriptors[3];
    char name[16];
    struct str directory; // owned
    bool init;            // pid 1, a user's service manager, kthreadd: its children are services
    bool has_credentials, has_login_uid, has_capabilities, has_descriptors, has_cgroup, from_proc,
        dead;
    bool listed; // in the table
};

struct tree {
    const struct env *env;
    struct users *users; // NULL in replay: names are in the events
    struct map by_pid;   // newest node of each pid
    struct map cgroups;  // cgroup number -> struct cgroup_name
    struct map services; // cgroup path -> struct service_name
    struct node *dead_first, *dead_last;
    size_t n_nodes; // allocated, also those that only a child remembers
    size_t n_dead, program_bytes;
    size_t quota;
    uint64_t now; // newest time of any event
    struct tree_stats stats;
    struct node spare; // for what does not fit any more: completes one event and is forgotten
};

struct program *program_new(struct tree *tree, const Tiercel__Process *process);
struct program *program_ref(struct program *p);
void program_unref(struct tree *tree, struct program *p);
struct group *group_ref(struct group *g);
void group_unref(struct tree *tree, struct group *g);

bool node_same_start(uint64_t a, uint64_t b);                            // one may come from /proc
struct node *node_find(struct tree *tree, uint32_t pid, uint64_t start); // start 0: the newest
// Never NULL: the spare node when the quota is reached (counted).
struct node *node_add(struct tree *tree, uint32_t pid, uint64_t start);
void node_set_parent(struct tree *tree, struct node *node, struct node *parent);
// root NULL: no lineage (depth 0); root == node: begins here; else the same lineage as root's.
void node_place(struct tree *tree, struct node *node, struct group *group, const struct node *root,
                uint32_t depth);
void node_died(struct tree *tree, struct node *node, uint64_t when);
void node_expire(struct tree *tree);
void node_done(struct tree *tree, struct node *node); // what it holds; not the node itself
void node_free_all(struct tree *tree);
// What the process message says about credentials, directory, cgroup, descriptors and name.
void node_learn(struct tree *tree, struct node *node, const Tiercel__Process *process);

// ---- lineage.c
void lineage_forked(struct tree *tree, struct node *child); // from its parent
// node->program is set already. commit false: nothing that others share is changed.
void lineage_executed(struct tree *tree, struct node *node, bool commit);
// For a process that was read from /proc: its exec was not seen.
void lineage_found(struct tree *tree, struct node *node);
// Below a web server or database of which nothing is left to see: a lineage that begins here.
void lineage_adopt(struct tree *tree, struct node *node);
void lineage_done(struct tree *tree);

// ---- lookup.c
// The node of this identity; read from /proc (with its ancestors) when it is not known. NULL when it cannot be had.
struct node *lookup(struct tree *tree, uint32_t pid, uint64_t start, struct arena *arena);
// One process out of /proc into the tree, still without parent and lineage; *ret_known when it was there already.
struct node *lookup_read(struct tree *tree, uint32_t pid, uint64_t start, struct arena *arena,
                         uint32_t *ret_parent, bool *ret_known);
// The cgroup's path: from the event, from what is known of the number, else from /proc.
enum ask { ASK_NEVER, ASK_WHEN_MOVED, ASK_ALWAYS };
void lookup_cgroup(struct tree *tree, struct node *node, const Tiercel__Process *process,
                   enum ask ask);
void lookup_done(struct tree *tree);

// ---- complete.c
// Fills what is absent in the event from the node: process, parent, lineage, user, container.
int complete_event(struct tree *tree, const struct node *node, Tiercel__Event *event,
                   struct arena *arena);
Tiercel__Process *complete_process(struct tree *tree, const struct node *node, struct arena *arena);

static inline struct str str_of(ProtobufCBinaryData b)
{
    return (struct str){(const char *)b.data, b.len};
}
static inline ProtobufCBinaryData bytes_of(struct str s)
{
    return (ProtobufCBinaryData){s.n, (uint8_t *)s.p};
}
