// SPDX-License-Identifier: Apache-2.0
// The mounts of one namespace as mountinfo lists them, and ways to reach a folder on them that never wait for a daemon
// or a network: types are decided by name first, mount points are looked up in the kernel's cache only, and the way from
// a mount point down crosses no other mount.
#pragma once
#include "base/buf.h"
#include "sensor/gate_mountinfo.h"

// All lines, parsed; they borrow from text.
struct gate_listing {
    struct buf text;
    struct mountinfo_line *lines;
    size_t n;
};
int gate_listing_read(int mountinfo_fd, struct gate_listing *ret);
void gate_listing_done(struct gate_listing *l);

// The mount that a path (escaped as in mountinfo) of the same namespace lies on, by names alone.
const struct mountinfo_line *gate_mount_of(const struct gate_listing *l, struct str path);
// NULL: may be marked as far as names tell; else why not.
const char *gate_refusal(const struct gate_listing *l, const struct mountinfo_line *m,
                         unsigned depth);
int gate_open_cached(int root, const char *path); // O_PATH; -EAGAIN: not in the cache
// The same for a path as the thread `tid` has it: absolute ones from its root, others from its directory. -ENOSYS where the
// sandbox does not grant openat2; then it is never asked again, as the kernel writes a line for each refusal.
int gate_open_of_thread(int proc, pid_t tid, const char *path);
int gate_mount_id(int fd); // of a descriptor, without asking its file system. Negative errno.
// /proc/PID/WHAT, of this process where pid is 0.
int gate_open_of(pid_t pid, const char *what, int flags);

// A mount of this listing from its mount point: O_PATH, or negative errno and *ret_why. Only local file systems.
int gate_mount_open(const struct gate_listing *l, int root, const struct mountinfo_line *m,
                    const char **ret_why);
// A folder for reading; `root` is its namespace's (O_PATH). -ENOENT, or another negative errno and *ret_why. No symbolic
// link is followed.
int gate_folder_open(const struct gate_listing *l, int root, const char *path,
                     const char **ret_why);
// Mount points below a folder: unescaped into `ret` (PATH_MAX); *position starts at 0.
bool gate_mount_below(const struct gate_listing *l, const char *folder, size_t *position,
                      char *ret);
