// SPDX-License-Identifier: Apache-2.0
// The watch list: which folders are watched and why, and what happens in them as told by fanotify. doc/files.md has the
// list and its limits; to watch one more place, add a line to the table in watch_roots.c.
// Where the kernel's file programs work (bpf/file.bpf.c) they get only the roots, in a map (bpf/record_file.h), and no
// folder is marked. Else each folder below the roots carries an inode mark of a notification group, which delays nobody.
// The sensor makes the group (only a listener with CAP_SYS_ADMIN is told who did it); the engine marks (an inode mark
// needs no capability) and reads. So handle and path of a folder are in one table of one thread, and a folder that was
// made just now is marked by the same thread that heard of it. That thread holds no lock of the engine and may wait for
// a disk; file systems that a daemon or a network answers for are never marked or asked.
// Bounds: WATCH_FOLDERS_MAX folders (half of them temporary), WATCH_FILES_MAX remembered files, WATCH_DEEP levels.
#pragma once
#include "base/env.h"
#include "base/error.h"
#include "base/str.h"
#include "bpf/record_file.h"

#define WATCH_FOLDERS_MAX 65536u
#define WATCH_FILES_MAX 32768u
#define WATCH_DEEP 48u
#define WATCH_CONFIGURED_BYTES 768 // of configured folders: paths, each with its NUL

#define WATCH_THIN_NS (3ull * 1000000000u) // a busy temporary folder is watched less for this long

struct watch;

struct watch_options {
    const struct env *env;
    const char *top; // before every root, for tests; NULL or "" on a host
    const char
        *web; // configured web roots: paths, each with its NUL, ended by an empty one; may be NULL
    const char *declared; // protected folders, the same
};

// What happened once to one file or folder. Texts live until the callback returns.
struct watch_change {
    enum record_file_action action;
    enum watch_class watch;
    struct str path, old_path;
    uint32_t pid; // of the process that did it; 0: not known
    bool folder, executable;
    bool found; // not told by the kernel: it lay in a folder when that was first looked into
    bool known; // the members below are filled
    bool has_old_mode;
    uint32_t device; // the kernel's s_dev
    uint32_t mode, owner, old_mode;
    uint64_t inode, size, changed_ns;
    const char *attribute; // static; which changed, as in FileChange.attribute; NULL: not known
};
typedef void watch_tell(void *context, const struct watch_change *change);

struct watch_stats {
    uint64_t roots, folders, files;
    uint64_t full, full_files; // folders and files for which there was no room
    uint64_t refused;          // folders that could not be marked
    uint64_t deep;             // folders too far down
    uint64_t other;            // folders on file systems that a daemon or a network answers for
    uint64_t thinned;          // times that a temporary folder was asked for less for a while
    uint64_t overflows;        // of the kernel's queue: events were lost, nobody knows how many
    uint64_t malformed;        // events that could not be read
    uint64_t late;             // short-lived temporary files: gone before they could be looked at
    char first_refused[160];   // path of the first that is not covered, and why
};

// Sensor, with CAP_SYS_ADMIN: a notification group. Descriptor or negative errno.
int watch_group_create(struct error *e);

int watch_new(const struct watch_options *options, struct watch **ret);
struct watch *watch_free(struct watch *w);
// One of the two. Both descriptors are borrowed. The first call of watch_refresh() then marks (or writes) everything.
void watch_use_group(struct watch *w, int group);
void watch_use_map(struct watch *w, int watched_fd);
// Looks at the roots again: those that came, went or were replaced. Every few seconds, and at once where watch_stale()
// says so. What lies in a folder that came is told as made (not at the first call). 0 or negative errno.
int watch_refresh(struct watch *w, watch_tell *tell, void *context);
bool watch_stale(const struct watch *w);
// Bytes as read from the group, whole events. All of them happened after `since_ns` (CLOCK_BOOTTIME): what was looked at
// later than that may show them already.
void watch_take(struct watch *w, struct str bytes, uint64_t since_ns, watch_tell *tell,
                void *context);
// Once a round: folders that were too busy to be watched as closely as others, and are no more, are so again.
void watch_tend(struct watch *w, watch_tell *tell, void *context);
// Closes what was opened for the last bytes, so that no file system is kept busy.
void watch_rest(struct watch *w);
// The caller lost events itself: as with the kernel's overflow, what is below the roots is looked through again.
void watch_lost(struct watch *w);
struct watch_stats watch_stats(const struct watch *w);

const char *watch_word(enum watch_class watch); // FileChange.watch
// Whether a file's name says anything in a folder with WATCH_NAMES (shell start files and the like).
bool watch_name_counts(struct str name);
