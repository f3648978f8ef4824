// SPDX-License-Identifier: Apache-2.0
// One process as /proc shows it now. Every file is read once with a limit and may be missing, cut or hostile (a process
// chooses its own name and command line); the parsers take text, so that they can be tried without a kernel.
#pragma once
#include "base/arena.h"
#include "tiercel.pb-c.h"

#define PROC_ARGV_LIMIT ((size_t)32 << 10)

struct proc_stat {
    uint32_t pid, parent;
    uint64_t start_ns; // CLOCK_BOOTTIME, in steps of 10 ms
    struct str name;   // view into the text
    char state;
};
// 0 or -EBADMSG. The name may hold anything, ") R 1" and newlines included: it ends at the last ')'.
int proc_parse_stat(struct str text, struct proc_stat *ret);

struct proc_status {
    uint32_t uid, gid, euid, egid;
    uint64_t capabilities; // effective
    bool kernel_thread;    // no memory of its own
};
int proc_parse_status(struct str text, struct proc_status *ret);
// The version 2 path, else that of the systemd hierarchy; empty when there is none.
struct str proc_parse_cgroup(struct str text);
// NUL-separated text into argv; views. Returns the number. A last piece without NUL counts.
size_t proc_parse_argv(struct str text, struct arena *arena, struct str **ret);
// What a link of /proc/PID/fd says: "socket:[1]", "/dev/null" ...
Tiercel__DescriptorKind proc_descriptor_kind(struct str link);
// Is NAME=value one of the variables that change what a program loads or runs?
bool proc_environment_listed(struct str variable);

// The whole process into the arena. -ESRCH when it is gone (or not the one that began at `start`, unless 0), other
// negative errno when its stat cannot be read. What else cannot be read is left absent.
int proc_read(int proc_fd, uint32_t pid, uint64_t start_ns, struct arena *arena,
              Tiercel__Process **ret);
// Only what an exec is judged by and can change before it: credentials, directory, descriptors 0 to 2; fills what is
// absent in *process.
void proc_read_moment(int proc_fd, uint32_t pid, struct arena *arena, Tiercel__Process *process);
struct str proc_read_cgroup(int proc_fd, uint32_t pid, struct arena *arena);
