// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the kernel's programs and user space share: ring records, map values, limits. Of one build only, never stored.
// A record is a struct below, then numbered parts: struct record_part, its bytes, zeros up to a multiple of 8.
// To add something of variable length: a number in enum record_part_number, a line in exec.bpf.h, one in
// src/sensor/decode.c. Host byte order throughout; times are CLOCK_BOOTTIME nanoseconds.
#pragma once
#include "record_file.h"
#include "record_net.h"
#include "record_security.h"

enum {                      // struct record_exec.flags
    EXEC_MEMORY_ONLY = 1,   // memfd or another file on the kernel's own tmpfs mount
    EXEC_DELETED = 2,       // no link left
    EXEC_SCRIPT = 4,        // the kernel put an interpreter before it (`#!`, binfmt_misc)
    EXEC_JUDGED = 8,        // the gate judged it, and that is what runs
    EXEC_HASH_DIFFERS = 16, // argv is not what was judged: killed
    EXEC_HASH_UNREAD = 32,  // argv could not be read back, so it cannot be what was judged: killed
    EXEC_ENVIRONMENT_DIFFERS = 64,
    EXEC_UNGUARDED = 128, // the gate is not asked about this device or memory file
    EXEC_UNJUDGED =
        256, // guarded, armed, and yet no verdict (the warden allowed, or the verdict is stale)
    EXEC_KILLED = 512,        // SIGKILL was sent, before the first instruction
    EXEC_OTHER_THREAD = 1024, // called by a thread that was not the leader: caller_tid
    EXEC_SERVICE = 2048,      // its lineage has FLAG_SERVICE
    EXEC_KILL_FAILED = 4096,  // SIGKILL should have been sent and was refused (process 1)
    EXEC_COMPAT = 8192,       // a 32-bit program
};

struct record_exec {
    struct record r;
    __u32 flags;
    __u32 caller_tid; // of the thread that called execve
    __u32 parent_pid, lineage_flags;
    __u64 parent_start;
    struct record_file file;
    __u32 uid, gid, euid, egid;
    __u64 capabilities; // effective
    __u32 login_uid, session;
    __u32 ns_pid, ns_mount, ns_network, ns_user, ns_uts, ns_ipc, ns_cgroup;
    __u32 argc_bytes;    // arg_end - arg_start, also where the part is cut
    __u64 cgroup;        // id in the cgroup-2 hierarchy
    __u8 descriptors[4]; // of 0 to 2: enum record_descriptor
    __u32 environment_bytes;
    char name[16]; // comm
};

// The same numbers as DescriptorKind in schema/tiercel.proto.
enum record_descriptor {
    RECORD_CLOSED,
    RECORD_OTHER,
    RECORD_REGULAR,
    RECORD_PIPE,
    RECORD_TERMINAL,
    RECORD_SOCKET,
    RECORD_NULL,
};

struct record_fork { // r is the parent
    struct record r;
    __u64 child_start;
    __u32 child_pid, lineage_flags;
};

struct record_exit { // once per thread group, when its last thread goes
    struct record r;
    __u32 status; // as wait(2) has it: code << 8 | signal
    __u32 reserved;
};

// ---- map values

// What the gate has judged, key: tid of the thread inside execve (initial pid namespace). Written before the answer,
// taken out at sched_process_exec.
struct judged {
    __u64
        full; // argv_hash.h over all strings of argv, each with its NUL; no string at all counts as one empty
    __u64 tail;        // the same without argv[0]
    __u64 environment; // the same over all of envp
    __u64 time;        // CLOCK_BOOTTIME
    __u64 inode;       // of the file, or a script's interpreter; 0: not told
    __u32 tail_bytes;
    __u32 flags;
};
enum { JUDGED_ENVIRONMENT = 1 }; // .environment was computed

enum {                // value of the flags map, key: thread group id. Children inherit all of them.
    FLAG_SERVICE = 1, // of, or below, a web, database ... service
    FLAG_FLAGGED = 2,
    FLAG_CONTAINED = 4, // no traffic but to NET_ALLOW prefixes
    FLAG_AGENT = 8,     // our own: not checked
    FLAG_CUTS_FLOWS =
        1 << 30, // of key 0 alone: what a contained lineage sends and receives is refused too
};

enum { CONFIG_OWN = 16 };
struct exec_config {       // one, mapped by the sensor
    __u32 armed;           // the gate asks: judged entries are expected
    __u32 prevent;         // unguarded execs of services are killed
    __u32 mount_namespace; // 0: the whole host; else only tasks in this one are checked
    __u32 reserved;
    __u64 armed_since;
    __u64 judged_lifetime; // nanoseconds; an older entry is of an exec that failed
    __u64 hash_key[2];
    __u32 own[CONFIG_OWN];                   // thread groups that are not checked; 0: none
    __u32 bulk_per_process, bulk_per_cgroup; // records a second (2^30 ns); 0: no limit
};

// Bulk records of this second, by process and by control group. A slot is shared by those whose numbers fall into it.
#define BULK_PROCESS_SLOTS 8192u
#define BULK_CGROUP_SLOTS 1024u
struct bulk_slot {
    __u64 second, count;
};

struct net_prefix4 {
    __u32 bits;
    __u8 ip[4];
};
struct net_prefix6 {
    __u32 bits;
    __u8 ip[16];
};
enum net_action { NET_DENY = 1, NET_ALLOW = 2 /* also for contained lineages */ };
struct net_policy {
    __u32 action;
    __u32 rule; // given back in struct record_connect
};

struct environment_name { // "NAME=" as words with masks
    __u64 word[3], mask[3];
};

// One row per CPU, in a map that can be mapped read-only. Only ever counts up.
enum counter_class {
    COUNT_EXEC,
    COUNT_FORK,
    COUNT_EXIT,
    COUNT_SECURITY, // credentials, access, module, bpf, mount, namespaces, signal
    COUNT_DENIED,   // whatever was refused: file, connect
    COUNT_STRUCTURAL_CLASSES,
    COUNT_CONNECT = COUNT_STRUCTURAL_CLASSES, // bulk from here
    COUNT_FILE,
    COUNT_SOCKET,
    COUNT_FLOW,
    COUNT_DNS,
    COUNT_CLASSES
};
struct counters {
    __u64 sent[COUNT_CLASSES];
    __u64 lost[COUNT_CLASSES];      // the ring was full
    __u64 throttled[COUNT_CLASSES]; // one process or cgroup sent too many; bulk only
    __u64 killed_differs, killed_unread, killed_environment, killed_unguarded;
    __u64 environment_differs; // without a listed variable: only counted
    __u64 unjudged, unguarded, kill_failed;
    __u64 flags_full;                   // a child's flags found no room
    __u64 denied;                       // connections
    __u64 file_denied, folded;          // opens and the like; reports that say the same again
    __u64 sockets_full;                 // no memory for what is known of a socket
    __u64 untold_sent, untold_received; // bytes of flows that were lost or throttled
    __u64 security_folded;              // security events, the same again within a second
    __u64 reserved[2];
};

_Static_assert(sizeof(struct record_exec) == 200, "exec");
_Static_assert(sizeof(struct record_fork) == 48, "fork");
_Static_assert(sizeof(struct record_exit) == 40, "exit");
_Static_assert(sizeof(struct judged) == 48, "judged");
_Static_assert(sizeof(struct exec_config) == 120, "config");
_Static_assert(sizeof(struct counters) % 64 == 0, "rows of whole cache lines");
_Static_assert(RECORD_ARGV_BYTES + RECORD_ENVIRONMENT_BYTES + 4 * RECORD_PATH_BYTES +
                       RECORD_CGROUP_BYTES + 1024 <
                   RECORD_BYTES,
               "the longest record fits");
