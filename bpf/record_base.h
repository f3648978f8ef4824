// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What every ring record begins with, its parts, and the limits. See record.h.
#pragma once
#include <linux/types.h>

#define RING_STRUCTURAL_BYTES (2u << 20) // exec, fork, exit, denials: never throttled
#define RING_BULK_BYTES (2u << 20)       // what comes in numbers: connections, flows, names, files

#define RECORD_ARGV_BYTES 32768u       // recorded of argv; what is longer is cut and marked
#define RECORD_ENVIRONMENT_BYTES 4096u // of the listed variables, together
#define RECORD_PATH_BYTES 4096u
#define RECORD_PATH_COMPONENTS 256u
#define RECORD_CGROUP_BYTES 1024u
#define RECORD_ENVIRONMENT_STRINGS 65536u // looked at; more is marked as cut
#define RECORD_BYTES 65536u               // no record is longer

enum record_kind {
    RECORD_EXEC = 1,
    RECORD_FORK = 2,
    RECORD_EXIT = 3,
    RECORD_CONNECT = 4,
    RECORD_FILE = 5,     // record_file.h
    RECORD_LISTENER = 6, // record_net.h: bind, listen, accept
    RECORD_FLOW = 7,
    RECORD_DNS = 8,
    RECORD_CREDENTIALS = 9, // record_security.h
    RECORD_ACCESS = 10,
    RECORD_MODULE = 11,
    RECORD_BPF = 12,
    RECORD_MOUNT = 13,
    RECORD_NAMESPACES = 14,
    RECORD_SIGNAL = 15,
};

// Numbers of parts. A path is its components from the file up to the task's root, each NUL-terminated, not reversed
// (the kernel walks it in this order); no component is the root itself.
enum record_part_number {
    PART_ARGV = 1,        // strings, each NUL-terminated
    PART_ENVIRONMENT = 2, // listed variables, NAME=value, each NUL-terminated
    PART_PATH = 3,        // of the file that runs
    PART_DIRECTORY = 4,   // current directory
    PART_FILENAME = 5,    // as the caller named it; of the script where there is one
    PART_INTERPRETER = 6, // bprm->interp, only where it is not the file name (`#!`, binfmt_misc)
    PART_CGROUP = 7,      // components, leaf first
    PART_OLD_PATH = 8,    // before a rename
    PART_ATTRIBUTE = 9,   // name of an extended attribute
    PART_MESSAGE = 10,    // of a name server, as it went over the wire
    PART_TARGET = 11,     // a second path or text: mount point, module
    PART_TYPE = 12,       // a type's name
    PART_SHARES = 13,     // of a flow: struct record_share, one for each process
    PART_LAST = PART_SHARES,
};

enum {            // of a part
    PART_CUT = 1, // longer than what is here
    PART_UNREACHABLE =
        2, // a path that does not lead to the task's root (lazily unmounted, or above a chroot)
    PART_UNREAD = 4, // a page could not be read
};

struct record_part {
    __u16 number;
    __u16 flags;
    __u32 bytes; // without the padding
};

struct record {
    __u32 bytes; // all of it, parts and padding included
    __u16 kind;
    __u16 parts;
    __u64 time;
    __u32 pid; // thread group, initial pid namespace
    __u32 tid;
    __u64 start; // of the thread group leader
};

struct record_file {
    __u64 inode, size;
    __u64 changed_sec; // ctime, wall clock
    __u32 changed_nsec;
    __u32 device; // the kernel's s_dev: major << 20 | minor
    __u32 mode, owner, links;
    __u32 magic; // of its file system
};

_Static_assert(sizeof(struct record_part) == 8, "part");
_Static_assert(sizeof(struct record) == 32, "record");
_Static_assert(sizeof(struct record_file) == 48, "file");
