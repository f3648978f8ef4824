// SPDX-License-Identifier: Apache-2.0
// What a role may still do after its start: a user of its own, the capabilities and system calls of its line in the table
// (agent/role_table.c), no core file, no reading of its memory, no new privileges, death with its parent.
// A system call that is not on the list fails with EPERM and is logged by the kernel: a forgotten one must not end a
// process that holds the gate. Costs one filter evaluation a call.
// To allow one more call: a line of the role's list; arguments that can be limited get a flag here.
#pragma once
#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum os_allow {
    OS_OPEN_READ = 1, // open without writing, creating, truncating; openat2 does not exist, unless
    OS_OPEN_HOW =
        64, // openat2, whose arguments no filter can see: only where the user may write nowhere anyway
    OS_THREADS = 2, // clone with CLONE_THREAD only; clone3 does not exist (glibc then uses clone)
    OS_BPF_MAPS =
        4, // bpf(2): look up, update, delete, next key, size of maps whose descriptor it holds
    OS_MARK_INODE =
        128, // fanotify_mark: one file's mark set or taken away, nothing ignored, nothing flushed
    OS_OPEN_HANDLE = 256, // open_by_handle_at, without writing; needs CAP_DAC_READ_SEARCH
    OS_BPF_LINKS = 1024,  // bpf(2): attach, pin and find programs that were loaded before
    OS_FILES =
        2048, // files and names as its user and capabilities allow: open for writing, rename, owner, mode
    OS_CONNECT =
        4096, // sockets of IPv4, IPv6 and netlink that connect; none that listens or accepts
    OS_EXECUTABLE_MEMORY = 32, // mmap and mprotect with PROT_EXEC (just-in-time compiled matchers)
};

struct os_sandbox {
    const char *name;      // as shown by ps, at most 15 bytes
    uid_t uid;             // user and group
    uint64_t capabilities; // bits, 1 << CAP_...
    unsigned allow;        // enum os_allow
    const int *calls;      // system calls, ended by -1, beside those that every role has
    int nice;              // 0: as it is
    bool real_time;        // SCHED_FIFO 1 where it can be had, else nice
    bool lock_memory;      // nothing of it is swapped out
};

// For the calling process, which must have one thread and be root (or already that user, to hold no capability). 0, or negative errno with e filled: then the process
// must end. After this there is no way back. *ret_weaker (may be NULL) gets a sentence when something lesser was had:
// no real-time priority, memory not locked; "" otherwise.
int os_sandbox_enter(const struct os_sandbox *sandbox, char ret_weaker[160], struct error *e);

// For the parent: keeps these as permitted and bounding set (its children's upper limit), `effective` for itself.
int os_capabilities_limit(uint64_t permitted, uint64_t effective, struct error *e);
