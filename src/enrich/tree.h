// SPDX-License-Identifier: Apache-2.0
// The process tree: who started whom, what it runs, and to which lineage it belongs. Fed by fork, exec and exit events
// and by what /proc says at the start; asked for the acting process of every event.
// Identity is pid + start time; the parent kept is the original one. Bounded: 131,072 processes; over it the oldest dead ones go,
// then refusals are counted. The dead are kept 60 s for late events, 16,384 at most.
// Owned by the engine, one thread at a time (the engine's lock).
#pragma once
#include "base/arena.h"
#include "base/env.h"
#include "base/str.h"
#include "tiercel.pb-c.h"

struct tree;

int tree_new(const struct env *env, struct tree **ret);
struct tree *tree_free(struct tree *tree);

// Reads every process of env->proc_fd: state at start. Returns how many, or negative errno.
int tree_seed(struct tree *tree);

// Takes an event's consequences into the tree (fork, exec, exit) and completes the event: process, parent, lineage,
// user name, container. Added parts live in the arena. A process that is not known is looked up in /proc once.
int tree_apply(struct tree *tree, Tiercel__Event *event, struct arena *arena);

// Completes a process that only has its id, the target of another's act: image, user, lineage; not its arguments. What
// is not known stays absent. tree_apply() does it for the targets of accesses and signals.
void tree_describe(struct tree *tree, Tiercel__Process *process, struct arena *arena);

// The kernel says that the process which acts in this event is of, or below, a web or database service. Where the tree
// does not know it (it was begun anew and the ancestors have gone), a web lineage begins here. Before tree_apply().
void tree_remind(struct tree *tree, const Tiercel__Event *event, struct arena *arena);

// The question of the gate: what would this exec be? Completes `event` as tree_apply() will complete the exec event that
// follows, without changing the tree. event->process has id (the caller), image and argv; the parent becomes the caller's
// creator with what that runs now (tree.c says why). Credentials, directory and descriptors 0-2, where absent, are read
// from /proc: the caller stands still. Feed the fork events that are in the ring before asking, or a caller whose parent
// has ended is known by its control group only.
int tree_preview(struct tree *tree, Tiercel__Event *event, struct arena *arena);
// The same without a look at directory and descriptors: where they are absent they stay so, until the caller reads them.
// An event without credentials is completed as by tree_preview().
int tree_preview_unlooked(struct tree *tree, Tiercel__Event *event, struct arena *arena);

// From the service's main process (or init) down to this process; lives in the arena.
size_t tree_chain(struct tree *tree, const Tiercel__ProcessId *id, struct arena *arena,
                  Tiercel__Process ***ret);
// All living members of its lineage: targets of a kill. Never the service's main process.
size_t tree_lineage(struct tree *tree, const Tiercel__ProcessId *id, struct arena *arena,
                    Tiercel__ProcessId ***ret);

// The content of what this process runs is known: later events say it. Nothing when it runs something else by now.
void tree_hashed(struct tree *tree, const Tiercel__ProcessId *id, uint64_t device, uint64_t inode,
                 const uint8_t sha256[32]);

// Where a process stands: its lineage's first process (0: none), its depth, its service's role. A lineage whose first
// process is forgotten is known by that process as long as a member lives. False: not known.
struct tree_place {
    uint32_t root_pid, depth;
    uint64_t root_start;
    const char *role; // may be NULL
};
bool tree_place(struct tree *tree, const Tiercel__ProcessId *id, struct tree_place *ret);

// The living process with this pid, its id filled in; false when there is none.
bool tree_find(struct tree *tree, uint32_t pid, Tiercel__ProcessId *ret);

// Which process a pid was that did something after `since` (CLOCK_BOOTTIME). False where none is known, or where the pid
// went from one process to another meanwhile, so that it may have been either.
bool tree_acted(struct tree *tree, uint32_t pid, uint64_t since, uint64_t boot_to_wall,
                Tiercel__ProcessId *ret);

// Flags that the kernel's programs inherit to children; the engine writes them into the map when this changes.
enum {
    TREE_SERVICE = 1 /* below a web, database ... service */,
    TREE_FLAGGED = 2,
    TREE_CONTAINED = 4,
    TREE_AGENT = 8
};
// Flags of the process, to be set in the kernel on `id`; a service's main process has TREE_SERVICE as well, for its children.
uint32_t tree_flags(struct tree *tree, const Tiercel__ProcessId *id);

// It is the main process of a service, not one of its workers.
bool tree_is_main(struct tree *tree, const Tiercel__ProcessId *id);

struct tree_stats {
    uint64_t processes, dead, refused, from_proc;
};
struct tree_stats tree_stats(const struct tree *tree);
