// SPDX-License-Identifier: Apache-2.0
// The gate: the kernel holds a thread inside execve and asks; we answer with the whole command line known.
// What can go wrong and what is done then is in doc/gate.md; each line there is a test in tests/vm.
//
// Who holds what: the sensor makes the group and sets marks; engine and warden hold its descriptor. The table of open
// questions is a shared memory file that engine, warden, parent and guardian map.
#pragma once
#include "base/error.h"
#include "base/str.h"
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

// ---- shared memory: one page of heartbeats and counters, then the questions (sensor/gate_table.h has the layout)
struct gate_table;
int gate_table_create(int *ret_memfd);
int gate_table_map(int memfd, struct gate_table **ret);

// ---- sensor: the group and its marks
int gate_group_create(struct error *e); // descriptor or negative errno; refuses outside the initial pid namespace
struct gate_mounts;                     // which file systems are marked, and which not and why
// Marks every file system of /proc/self/mountinfo that may be marked (never FUSE, network, overlay over them), or with
// `mount_namespace_pid` > 0 only that namespace's mounts (FAN_MARK_MOUNT through /proc/PID/root).
int gate_mark_all(int group, pid_t mount_namespace_pid, struct gate_mounts **ret, struct error *e);
int gate_unmark_all(int group, struct gate_mounts *mounts);

// ---- engine
enum gate_part { GATE_FILE, GATE_SCRIPT_INTERPRETER, GATE_ELF_LOADER };
struct gate_question {
    pid_t tid, pid;  // caller
    uint64_t start;  // CLOCK_BOOTTIME nanoseconds, of the thread group leader, from /proc (10 ms steps)
    enum gate_part part;
    int fd;          // the file, read-only; the gate's
    struct str path; // resolved
    uint64_t device, inode, size, ctime_ns;
    uint32_t mode, owner;
    const struct str *argv; // all of it
    size_t argc;
    const struct str *environment; // listed names only, NAME=value
    size_t n_environment;
    struct str script;       // first question of a `#!` file: interpreter named in its first line; else empty
    bool loader_run;         // ld.so or an interpreter run directly: `target*` is its first non-option argument
    struct str target;
    bool compat;             // 32-bit caller
    uint64_t asked_ns;       // CLOCK_MONOTONIC
};
struct gate_ops {
    // Called by pool threads, several at once. True: allow. Must not allocate without bound, open, log or wait.
    bool (*judge)(void *context, unsigned worker, const struct gate_question *q);
    // Before an allow is written: what the kernel will be compared with. hash and tail as in bpf/record.h.
    int (*judged)(void *context, pid_t tid, uint64_t full, uint64_t tail, uint32_t tail_bytes, uint64_t environment);
    // A deny came after the deadline, or argv could not be read (EFAULT, stuck): end this task.
    void (*late)(void *context, const struct gate_question *q, const char *why);
    void *context;
};
struct gate;
int gate_start(int group, struct gate_table *table, const struct gate_ops *ops, unsigned workers, uint32_t deadline_ms,
               const uint8_t hash_key[16], struct gate **ret, struct error *e);
struct gate *gate_stop(struct gate *gate);
// Reads a child's argv through the whole path. The child must have been started before gate marks exist.
int gate_self_test(struct gate *gate, struct error *e);

// ---- warden
// Runs until its channel closes: answers what is overdue, reads what the engine does not, allows all without engine.
int gate_warden_run(int group, struct gate_table *table, int channel_fd);
