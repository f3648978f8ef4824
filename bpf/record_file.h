// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Records about files: written by file.bpf.c (LSM, fentry), read by src/sensor/decode_file.c. Where the kernel refuses
// these programs, fanotify makes the same events (src/sensor/watch.h).
#pragma once
#include "record_base.h"

// The same numbers as FileChange.Action in schema/tiercel.proto.
enum record_file_action {
    FILE_CREATE,
    FILE_WRITE,
    FILE_RENAME,
    FILE_DELETE,
    FILE_MODE,
    FILE_ATTRIBUTE,
    FILE_READ,
    FILE_LINK,
};
enum { // struct record_file_change.flags
    FILE_DENIED = 1,
    FILE_FOLDER = 2,
    FILE_EXECUTABLE = 4,
    FILE_PROTECTED = 8,
    FILE_OWNER = 16,      // the attribute is the owner
    FILE_SHORTER = 32,    // a write that cut off
    FILE_RUN = 64,        // denied: it was to be executed, and is blocked
    FILE_CONTAINED = 128, // or its lineage is contained
    FILE_BY_NAME = 256,   // of a folder with WATCH_NAMES: watch_name_counts() decides
};

// Parts: PART_PATH the file, PART_OLD_PATH, PART_ATTRIBUTE. A path whose mount is not known ends at the root of its file
// system and is marked PART_UNREACHABLE.
struct record_file_change {
    struct record r;
    __u16 action, flags;
    __u32 watch; // enum watch_class of the folder
    __u32 old_mode, lineage_flags;
    __u32 rule, repeated; // of the protection; the same before, not reported
    struct record_file file;
    char name[16]; // comm
};
_Static_assert(sizeof(struct record_file_change) == 120, "file change");

// Which folders are watched: the list is the engine's (src/sensor/watch.h says why each is in it). Kernel programs get
// its roots only, a few hundred, in the hash map `watched` (struct watch_key to struct watch_value): a program asks for
// the file's folder; where that is not in the map it asks for each folder above, at most WATCH_DEPTH, and takes the
// first one that has WATCH_BELOW. So new and moved folders need no entry, and there is no race with making them.
#define WATCH_ROOTS_MAX 1024u
#define WATCH_DEPTH 24u
enum watch_class { // the words of FileChange.watch, watch_word()
    WATCH_ELSEWHERE,
    WATCH_PROGRAM,
    WATCH_CONFIG,
    WATCH_WEB,
    WATCH_HOME,
    WATCH_LOG,
    WATCH_TEMPORARY,
    WATCH_PROTECTED,
    WATCH_CLASSES
};
enum {                     // struct watch_value.flags
    WATCH_BELOW = 1,       // all folders below count as well
    WATCH_EXECUTABLES = 2, // of files only what can run, or begins as a script (temporary folders)
    WATCH_NAMES = 4,     // many files that are of no interest: user space looks at the name (homes)
    WATCH_NO_WRITES = 8, // written all the time: a write counts where the file got shorter (logs)
};
struct watch_key {
    __u64 inode;
    __u32 device; // the kernel's s_dev: major << 20 | minor
    __u32 reserved;
};
struct watch_value {
    __u16 class, flags;
};
_Static_assert(sizeof(struct watch_key) == 16, "no holes: it is hashed");

// Map `protected`, key: struct watch_key of a file, or of a folder, which stands for all below it. The nearest entry
// from the file upwards decides; at most PROTECT_DEPTH folders are looked at.
struct protect_policy {
    __u32 deny;  // FLAG_*: who has any of these is refused (FLAG_AGENT never is)
    __u32 allow; // FLAG_*: who has any of these is not, in spite of .deny
    __u32 rule;  // given back in struct record_file_change
    __u32 flags;
};
enum { // struct protect_policy.flags
    PROTECT_SILENT =
        1, // accesses of others are not reported (an exception within a protected folder)
};
enum { PROTECTED_MAX = 16384, PROTECT_DEPTH = 16, PROTECT_FILTER_WORDS = 1024 };

// Map `blocked`, key: struct watch_key of a file that nobody may execute.
struct block_value {
    __u32 rule;
    __u32 reserved;
};
enum { BLOCKED_MAX = 16384 };
