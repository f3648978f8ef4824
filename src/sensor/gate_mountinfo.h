// SPDX-License-Identifier: Apache-2.0
// Reading /proc/PID/mountinfo (proc(5)) and deciding by name what may carry a permission mark. Hostile input: any user
// can mount in a namespace of his own and chooses the names.
#pragma once
#include "base/str.h"

struct mountinfo_line {
    int id, parent;
    unsigned major, minor;
    struct str root, point; // escaped as in the file
    struct str type;
    struct str options; // of the super block
};
// One line without its newline. 0, or -EINVAL.
int mountinfo_parse(struct str line, struct mountinfo_line *ret);
// Octal escapes undone into `out` (room for in.n + 1 bytes, NUL-terminated); its length. -EINVAL: a NUL in it.
ssize_t mountinfo_unescape(struct str in, char *out);

enum mountinfo_kind {
    MOUNTINFO_LOCAL,   // may be marked once its statfs type agrees
    MOUNTINFO_OVERLAY, // if its layers may be
    MOUNTINFO_NONE,    // no programs on it (proc, sysfs, ...)
    MOUNTINFO_WAITS,   // a daemon or a network answers for it: never
    MOUNTINFO_UNKNOWN, // not known to be local: never
};
enum mountinfo_kind mountinfo_kind(struct str type);
// statfs' f_type agrees with a local type or overlay.
bool mountinfo_magic_is_local(unsigned long magic);
// The next layer of an overlay's options (lowerdir=, upperdir=, colon-separated, backslash-escaped); false at the end.
// *position starts at 0. A layer that is not absolute is returned as it is.
bool mountinfo_next_layer(struct str options, size_t *position, struct str *ret);
