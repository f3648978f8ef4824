// SPDX-License-Identifier: Apache-2.0
// The gate: the kernel holds a thread inside execve and asks; we answer with the whole command line known.
// What can go wrong and what is done then is in doc/gate.md; each line there names its test.
//
// Who holds what: the sensor makes the group and sets marks, engine and warden answer. As long as any process holds the
// group's descriptor the kernel waits for answers, so every holder calls gate_hold() and the guardian can end it.
// The table of open questions (gate_table.h) is a shared memory file that engine, warden, parent and guardian map.
#pragma once
#include "base/error.h"
#include "base/str.h"
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

// ---- shared memory: heartbeats, counters and the open questions (sensor/gate_table.h has the layout)
struct gate_table;
int gate_table_create(int *ret_memfd);
int gate_table_map(int memfd, struct gate_table **ret);
struct gate_table *gate_table_unmap(struct gate_table *table);
// Set once marks and self-test stand; the guardian acts only while armed.
void gate_table_arm(struct gate_table *table, bool armed);
// The parent tells at once that the engine is gone, so that the warden need not wait for a stale heartbeat.
void gate_table_engine_gone(struct gate_table *table);
// Four threads of the engine are stuck: the parent kills and restarts it.
bool gate_table_restart_wanted(const struct gate_table *table);

// ---- every process that keeps the group's descriptor, after its last exec and while it still has CAP_SYS_NICE
enum gate_holder { GATE_HOLDER_ENGINE, GATE_HOLDER_WARDEN, GATE_HOLDER_SENSOR, GATE_HOLDERS };
// Not dumpable, no core, memory locked as it is touched, FIFO priority 1 (or nice -20), pid known to the guardian.
// What the system refuses (no CAP_SYS_NICE, no CAP_IPC_LOCK) is counted in the table, not an error.
int gate_hold(struct gate_table *table, enum gate_holder role);

// ---- sensor: the group and its marks
int gate_group_create(
    struct error *e); // descriptor or negative errno; refuses outside the initial pid namespace
// Which mounts are marked, and which not and why.
struct gate_mount {
    const char *path, *type; // mount point as this process sees it; type of file system
    uint64_t device;         // as stat's st_dev
    int id;                  // of the mount
    bool marked;
    const char *why; // not marked; NULL when marked
};
struct gate_mounts;
// Marks every file system of /proc/self/mountinfo that may be marked (never FUSE, network, overlay over them), or with
// `mount_namespace_pid` > 0 only that namespace's mounts (FAN_MARK_MOUNT through /proc/PID/root).
int gate_mark_all(int group, pid_t mount_namespace_pid, struct gate_mounts **ret, struct error *e);
// poll() gives POLLPRI | POLLERR on it when mounts came or went: then gate_mark_new().
int gate_mounts_fd(const struct gate_mounts *mounts);
int gate_mark_new(int group, struct gate_mounts *mounts, struct error *e);
// Marks the file system with this st_dev that the process sees and the sensor does not (a tmpfs in a namespace of its
// own, a container's volume). -ENOENT: the process has no such mount; -EPERM: its type may not be marked.
int gate_mark_device_of(int group, struct gate_mounts *mounts, pid_t pid, uint64_t device,
                        struct error *e);
// Only this file (its inode): for the self-test, before the other marks.
int gate_mark_file(int group, const char *path, struct error *e);
int gate_unmark_file(int group, const char *path);
size_t gate_mounts_count(const struct gate_mounts *mounts);
const struct gate_mount *gate_mounts_at(const struct gate_mounts *mounts, size_t i);
int gate_unmark_all(int group, struct gate_mounts *mounts); // also frees *mounts (may be NULL)

// ---- engine
// Which file of one execve is asked about. Every part is judged as an image of its own: `part` says where it came
// from and is only set where the file is the one that the file before it names; in doubt it is GATE_FILE.
enum gate_part { GATE_FILE, GATE_SCRIPT_INTERPRETER, GATE_ELF_LOADER };
struct gate_question {
    pid_t tid, pid; // caller
    uint64_t
        start; // CLOCK_BOOTTIME nanoseconds, of the thread group leader; in steps of 10 ms where it is from /proc; 0: unknown
    enum gate_part part;
    int fd;          // the file, read-only; the gate's
    struct str path; // resolved
    uint64_t device, inode, size, ctime_ns;
    uint32_t mode, owner;
    const struct str
        *argv; // all of it; no argument at all is one empty string, as the kernel makes it
    size_t argc;
    const struct str *environment; // listed names only (bpf/environment.h), NAME=value
    size_t n_environment;
    struct str
        script; // question about a `#!` file: its first line without `#!` and outer blanks; else empty
    bool
        loader_run; // ld.so or an interpreter run directly: `target*` is its first non-option argument
    struct str target;                    // as the caller wrote it
    uint64_t target_device, target_inode; // 0 where it could not be looked up without waiting
    bool compat;                          // 32-bit caller (or x32)
    bool
        unread; // argv could not be read, without fault of the caller; argv and environment are empty
    bool
        open; // not an execve: protected data is to be opened; no argv, nothing of the file is read
    uint64_t asked_ns; // CLOCK_MONOTONIC
};
struct gate_ops {
    // Called by pool threads, several at once, `worker` < the number given to gate_start, never twice at a time with
    // the same number. True: allow. Must not allocate without bound, open, log or wait.
    bool (*judge)(void *context, unsigned worker, const struct gate_question *q);
    // Before an allow is written: what the kernel will be compared with (bpf/argv_hash.h): all argv strings, those
    // after the first, and the whole environment block, each string with its NUL; and `inode`, the file that will be
    // run. Not called where argv is unread, nor for an ELF loader: the program that it loads is what was judged.
    int (*judged)(void *context, const struct gate_question *q, uint64_t full, uint64_t tail,
                  uint32_t tail_bytes, uint64_t environment);
    // A deny came after the deadline, or argv could not be read (EFAULT, stuck): end this task. Any thread.
    void (*late)(void *context, const struct gate_question *q, const char *why);
    // The same as judge() for an open of protected data. A deny that comes too late ends nothing. May be NULL: allow.
    bool (*open)(void *context, unsigned worker, const struct gate_question *q);
    // Who asks, where that is known for sure without /proc: the process and its start. May be NULL; any thread.
    bool (*caller)(void *context, pid_t tid, pid_t *ret_pid, uint64_t *ret_start);
    void *context;
};
struct gate;
// Starts reading. `workers` 1 to 16. Call before the sandbox closes (it starts threads and locks memory); the engine
// keeps other descriptors below 256 and its soft RLIMIT_NOFILE is set to 1024 here (see gate_table.h).
int gate_start(int group, struct gate_table *table, const struct gate_ops *ops, unsigned workers,
               uint32_t deadline_ms, const uint8_t hash_key[16], struct gate **ret,
               struct error *e);
struct gate *gate_stop(struct gate *gate);

// The self-test: a child waits, execs `path` when told, and must be denied with its argv read in full.
// Order: gate_probe_start (before threads and sandbox), gate_start, gate_mark_file(path), gate_self_test, marks.
struct gate_probe {
    pid_t pid;
    int channel;
};
int gate_probe_start(const char *path, struct gate_probe *ret, struct error *e);
void gate_probe_done(struct gate_probe *probe); // ends and reaps the child
int gate_self_test(struct gate *gate, struct gate_probe *probe, struct error *e);

// ---- warden
// Runs until its channel closes: answers what is overdue, reads what the engine does not, allows all without engine.
int gate_warden_run(int group, struct gate_table *table, int channel_fd);

// ---- guardian: holds no descriptor of the group, lives in another cgroup than the holders
// Runs until its channel closes. While armed, and both heartbeats older than 3 s in two looks 500 ms apart: SIGKILL to
// all holders, after which the kernel lets every waiting exec go. So an exec waits at most 4.5 s with all stopped.
int gate_guardian_run(struct gate_table *table, int channel_fd);
