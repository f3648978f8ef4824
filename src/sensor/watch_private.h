// SPDX-License-Identifier: Apache-2.0
// Inside of the watch list: watch_roots.c (what is watched), watch_tree.c (the table), watch_mark.c (marks and the first
// look into a folder), watch_change.c (events into changes). One thread, no locks.
//
// A node is a folder, or a file of which something is remembered: its mode before the next chmod, that it could run, its
// length. Found by its parent and name; folders also by file system id and handle, as events name them.
#pragma once
#include "base/map.h"
#include "sensor/watch.h"
#include "sensor/watch_parse.h"

#include <sys/stat.h>

#define WATCH_PATH 4096u
#define WATCH_MOUNTS_MAX 4096u
#define WATCH_THIN_MAX 32
#define WATCH_KEY_BYTES (16 + WATCH_HANDLE_BYTES)

struct watch_node {
    struct watch_node *parent, *child, *next, *before; // siblings: next, before
    struct str key;                                    // the parent's address and the name; owned
    struct str handle;                                 // folders: owned; empty: nothing is marked
    uint16_t watch, flags;                             // enum watch_class; WATCH_BELOW ...
    bool folder;
    bool known;         // the members below are filled
    bool capability;    // has file capabilities
    bool runs;          // some execute bit, or it begins as a program or a script
    uint64_t looked_ns; // when that was so; CLOCK_BOOTTIME
    bool thin;          // folders: only part of its events is asked for (watch_busy.c)
    uint8_t noisy;      // and before: rounds in a row with nothing but noise
    uint64_t noise_ns;
    bool found_made, found_written; // told when its folder was looked into: an event may still come
    uint32_t mode, owner;
    uint64_t inode, size, changed_ns;
    uint32_t device;
};

struct watch_root {
    char *path;
    uint16_t watch, flags;
    struct watch_node *node; // while it is there (groups)
    uint32_t device;         // while it is there
    uint64_t inode;
    bool there, seen;
};

struct watch_mount {
    char *point;
    uint32_t device; // as the kernel's s_dev
    bool local;
};

struct watch {
    struct watch_options options;
    int group, map; // one is -1
    bool started, stale;
    bool overflowed; // what is below the roots must be looked through again
    bool again;      // and just is
    uint64_t looked_again_ns;
    struct watch_root *roots;
    size_t n_roots;
    struct watch_mount *mounts;
    size_t n_mounts;
    struct map nodes, handles;
    uint64_t temporary; // folders that are
    struct watch_stats stats;
    struct watch_node *thin[WATCH_THIN_MAX];
    size_t n_thin;
    // for one read of events
    uint64_t since_ns;
    int mount_fd, folder_fd;
    uint64_t mount_fsid;
    const struct watch_node *folder_open;
    char path[WATCH_PATH], old_path[WATCH_PATH];
};

// Whom to tell of what is found. `tell` NULL: nobody (the first look).
struct watch_listener {
    watch_tell *tell;
    void *context;
    uint32_t pid;
    bool only_folders; // of the first folder that is looked into; of those below everything
};

// ---- watch_tree.c
struct watch_node *watch_find(const struct watch *w, const struct watch_node *parent,
                              struct str name);
// NULL where there is no room (counted).
struct watch_node *watch_add(struct watch *w, struct watch_node *parent, struct str name,
                             bool folder);
int watch_set_handle(struct watch *w, struct watch_node *node, struct str handle);
int watch_move(struct watch *w, struct watch_node *node, struct watch_node *parent,
               struct str name);
void watch_remove(struct watch *w, struct watch_node *node); // and all below
struct str watch_node_name(const struct watch_node *node);
// Path of a name in a folder (or of the folder, name empty) into `out`; empty where it is too long.
struct str watch_path(const struct watch_node *folder, struct str name, char out[WATCH_PATH]);
void watch_learn(const struct watch *w, struct watch_node *node, const struct statx *st);

// ---- watch_mark.c
// A folder that is open, into the table, with everything below. Takes over fd.
int watch_enter(struct watch *w, struct watch_node *node, int fd, unsigned depth,
                const struct watch_listener *l);
// Its folders alone, where some may have come and gone untold. Takes over fd.
void watch_look_through(struct watch *w, struct watch_node *node, int fd, unsigned depth,
                        const struct watch_listener *l);
// A folder of this name in `parent`: into the table, with everything below. NULL: it is none, or could not be marked.
struct watch_node *watch_enter_child(struct watch *w, struct watch_node *parent, int parent_fd,
                                     struct str name, unsigned depth,
                                     const struct watch_listener *l);
// No longer watched: marks are taken away, from this folder and all below; then removed from the table.
void watch_leave(struct watch *w, struct watch_node *node);
// The folder itself, by its handle: whatever its path has become. Borrowed until the next call. Negative errno.
int watch_folder_fd(struct watch *w, const struct watch_node *folder);
int watch_look(int folder_fd, struct str name, struct statx *ret); // never waits for a daemon
void watch_uncovered(struct watch *w, uint64_t *count, struct str path, const char *why);

extern const uint64_t watch_events, watch_events_thin;

// ---- watch_busy.c
void watch_noise(struct watch *w, struct watch_node *folder); // an event that was of no interest
void watch_thin_forget(struct watch *w, struct watch_node *folder);

// ---- watch_change.c
uint32_t watch_device(const struct statx *st);
// Something that lay in a folder when it was first looked into.
void watch_found(struct watch *w, struct watch_node *folder, int folder_fd, struct str name,
                 const struct statx *st, const struct watch_listener *l);

// ---- watch_roots.c
void watch_read_mounts(struct watch *w);
bool watch_mount_is_local(const struct watch *w, uint32_t device);
