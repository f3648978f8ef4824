// SPDX-License-Identifier: Apache-2.0
// Protected data: files with passwords and private keys, and the folders that the configuration declares. Who is below a
// web server or database, or in a flagged lineage, may not open them, unless allowed. doc/protected.md says it in full.
// Here: the list, who is denied, and the marks by which the gate is asked about opens. Sensor and engine use the same
// list; in detect mode the sensor gives it to the kernel's file programs, which only report.
// To protect one more file of the system: a line in protect.c's table.
#pragma once
#include "base/error.h"
#include "base/str.h"
#include <stdint.h>
#include <sys/types.h>

enum { PROTECT_FOLDERS = 64, PROTECT_ALLOWS = 128, PROTECT_PATH = 256 };

struct protect_allow {
    char path[PROTECT_PATH]; // a protected file or folder, or something below one
    char who[PROTECT_PATH];  // a program's full path, or a role
};
// Written by the parent, read-only for sensor and engine (a sealed memory file).
struct protect_settings {
    uint32_t n_folders, n_allows;
    char folders[PROTECT_FOLDERS][PROTECT_PATH];
    struct protect_allow allows[PROTECT_ALLOWS];
};
// From the configuration. -EINVAL or -E2BIG with a reason.
int protect_add_folder(struct protect_settings *s, struct str path, struct error *e);
int protect_add_allow(struct protect_settings *s, struct str pair, struct error *e); // "PATH: WHO"
int protect_share(const struct protect_settings *s, int *ret_memfd);
int protect_map(int memfd, const struct protect_settings **ret);

// ---- who is denied
enum protect_kind {
    PROTECT_DECLARED,  // below a declared folder, or a name that no list knows (a hard link)
    PROTECT_PASSWORDS, // /etc/shadow and the like
    PROTECT_HOST_KEY,  // of sshd
    PROTECT_TLS_KEY,   // /etc/ssl/private
};
enum protect_kind protect_kind(struct str path);

struct protect_caller {
    uint32_t flags;   // FLAG_* (bpf/record.h), as the tree has them
    const char *role; // of its lineage or service; may be NULL
    struct str program;
    bool main_process; // the service's main process itself
};
bool protect_denies(const struct protect_settings *s, struct str path,
                    const struct protect_caller *caller);

// ---- the things themselves, in one mount namespace
struct protect_root {
    const char *parent; // folder that is watched for it to come, go, or be replaced
    const char *name;   // in it; one `*` stands for any text
    bool folder;        // with everything below it
};
enum { PROTECT_ROOTS = PROTECT_FOLDERS + 8 };
// The built-in ones (not with a scope: they are the machine's) and the declared folders. Strings live as long as `s`, or
// in `room`.
size_t protect_roots(const struct protect_settings *s, bool scoped,
                     char room[PROTECT_FOLDERS][PROTECT_PATH],
                     struct protect_root ret[PROTECT_ROOTS]);

// ---- marks (protect_marks.c): on every folder below and every file, kept up with what comes and goes
struct protect_marks;
struct protect_counts {
    uint32_t folders, files; // marked since the last protect_marks_again()
    uint32_t roots, absent;  // found; declared or built-in, and not there
    uint64_t refused;        // marks or watches that the kernel refused
    uint64_t left_out;       // over the limit of 65,536 marks
    char why[160];           // the last reason
};
// What each thing is given to: a fanotify group or the kernel's map. `name` NULL: the folder itself; whole: and all below.
struct protect_sink {
    int (*put)(void *context, int folder_fd, const char *name, bool whole);
    void (*drop)(void *context, dev_t device,
                 ino_t inode); // a root is another file now; may be NULL
    void *context;
    bool deep; // wants every folder and file, not only the roots
};
int protect_marks_new(const struct protect_settings *s, pid_t scope_pid,
                      struct protect_marks **ret);
struct protect_marks *protect_marks_free(struct protect_marks *m);
int protect_marks_fd(const struct protect_marks *m); // readable when something came or went
// Reads what came or went. True: protect_marks_put() has something to do.
bool protect_marks_follow(struct protect_marks *m);
void protect_marks_again(struct protect_marks *m); // everything is to be marked (again)
void protect_marks_look_again(
    struct protect_marks *m); // roots that were not there, or are others now
// Gives what is to be marked to the sink, at most some hundred things a call. 1: more is left; 0; or negative errno.
int protect_marks_put(struct protect_marks *m, const struct protect_sink *sink);
struct protect_counts protect_marks_counts(const struct protect_marks *m);
// A sink: marks in a fanotify group. `mask` is FAN_OPEN_PERM, or FAN_OPEN where nothing is denied.
struct protect_group {
    int group;
    uint64_t mask;
};
int protect_put_mark(void *protect_group, int folder_fd, const char *name, bool whole);
