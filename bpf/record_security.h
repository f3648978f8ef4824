// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Records about credentials, other processes, modules, programs for the kernel, mounts, namespaces and signals: written
// by security*.bpf.c, read by src/sensor/decode_security.c. doc/security-events.md says which hook makes which.
#pragma once
#include "record_base.h"

enum { // struct record_security.flags
    SECURITY_DENIED = 1,
    SECURITY_LATE = 2,        // noticed when the process next did something else
    SECURITY_UNEXPLAINED = 4, // a privilege that no rule of the kernel gives
    SECURITY_OTHER_USER = 8,  // the target's real user is not the actor's
    SECURITY_UNLOADED = 16,
    SECURITY_FROM_FILE = 32, // .file and PART_PATH are of the module's file
};

struct record_security { // what they all begin with
    struct record r;
    __u32 flags, lineage_flags;
    __u64 repeated; // the same before, this often, folded into this record
    char name[16];  // comm
};

struct record_credentials { // [0] old, [1] new
    struct record_security s;
    __u64 capabilities[2]; // effective
    __u64 gained;
    __u32 uid[2], gid[2], euid[2], egid[2];
};

// The same numbers as ProcessAccess.Way in schema/tiercel.proto.
enum record_access_way { ACCESS_ATTACH, ACCESS_READ, ACCESS_WRITE, ACCESS_DESCRIPTOR };

struct record_target {
    __u64 start;
    __u32 pid, uid;
    char name[16];
};
struct record_access {
    struct record_security s;
    __u32 way, reserved;
    struct record_target target;
};

struct record_module { // part: PART_PATH its file. One that was refused has no name yet
    struct record_security s;
    __u32 taints, reserved;
    struct record_file file;
    char module[56];
};

struct record_bpf {
    struct record_security s;
    __u32 type, reserved; // enum bpf_prog_type
    char program[16];
    char function[64]; // traced function or hook
};

// The same numbers as Mount.Action in schema/tiercel.proto.
enum record_mount_action { MOUNT_NEW, MOUNT_GONE, MOUNT_MOVED, MOUNT_CHANGED, MOUNT_PIVOT };

// Parts: PART_PATH the mount point, PART_OLD_PATH what was moved, PART_FILENAME the source as the caller named it,
// PART_TYPE the type of the file system.
struct record_mount {
    struct record_security s;
    __u32 action, reserved;
    __u64 flags; // MS_*
};

// Order of the numbers of namespaces.
enum {
    NAMESPACE_PID,
    NAMESPACE_MOUNT,
    NAMESPACE_NETWORK,
    NAMESPACE_USER,
    NAMESPACE_UTS,
    NAMESPACE_IPC,
    NAMESPACE_CGROUP,
    NAMESPACES
};
struct record_namespaces {
    struct record_security s;
    __u32 old[NAMESPACES], new_[NAMESPACES];
};

struct record_signal {
    struct record_security s;
    __u32 number, reserved;
    struct record_target target;
};

_Static_assert(sizeof(struct record_security) == 64, "security");
_Static_assert(sizeof(struct record_credentials) == 120, "credentials");
_Static_assert(sizeof(struct record_access) == 104, "access");
_Static_assert(sizeof(struct record_module) == 176, "module");
_Static_assert(sizeof(struct record_bpf) == 152, "bpf");
_Static_assert(sizeof(struct record_mount) == 80, "mount");
_Static_assert(sizeof(struct record_namespaces) == 120, "namespaces");
_Static_assert(sizeof(struct record_signal) == 104, "signal");
