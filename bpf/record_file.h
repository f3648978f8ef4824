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
};

// Parts: PART_PATH the file, PART_OLD_PATH, PART_ATTRIBUTE.
struct record_file_change {
    struct record r;
    __u16 action, flags;
    __u32 watch; // enum watch_class of the folder
    __u32 old_mode, lineage_flags;
    struct record_file file;
    char name[16]; // comm
};
_Static_assert(sizeof(struct record_file_change) == 112, "file change");
