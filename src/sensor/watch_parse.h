// SPDX-License-Identifier: Apache-2.0
// Events of a fanotify group that reports folder and name (fanotify(7), FAN_REPORT_DFID_NAME), out of the bytes that
// read(2) gave. Names are whatever anybody called a file; lengths are not trusted though the kernel wrote them.
#pragma once
#include "base/str.h"

#define WATCH_HANDLE_BYTES 128 // the kernel's MAX_HANDLE_SZ

struct watch_place {
    struct str folder; // file system id, then struct file_handle: the folder's key; empty: not told
    struct str name;   // "." is the folder itself
};
struct watch_record {
    uint64_t mask;
    uint32_t pid;
    struct watch_place at, to; // to: where it was renamed to, `at` is then where it was
};
// Takes one event off *rest: 1, 0 nothing is left, -EBADMSG (*rest is then empty: the next cannot be found).
int watch_parse(struct str *rest, struct watch_record *ret);
