// SPDX-License-Identifier: Apache-2.0
#include "agent/role_table.h"
#include <linux/capability.h>
#include <seccomp.h>

#define CAP(name) (1ull << CAP_##name)

// Sets marks. The kernel's programs were loaded and tried before this holds: no program can be loaded any more.
// pidfd_send_signal asks whether a process is still there; without CAP_KILL it reaches nobody else.
// inotify_add_watch: protected data is marked again when it is replaced. unlinkat: pins of the containment, for its user
// owns nothing else.
static const int sensor_calls[] = {SCMP_SYS(fanotify_init),
                                   SCMP_SYS(fanotify_mark),
                                   SCMP_SYS(inotify_add_watch),
                                   SCMP_SYS(pidfd_open),
                                   SCMP_SYS(pidfd_send_signal),
                                   SCMP_SYS(unlinkat),
                                   -1};

// Reads arguments of others, judges, writes to the journal file that it was given. No socket, no exec, no signal to
// others, no ptrace, no writing to others' memory, no descriptor out of others.
static const int engine_calls[] = {SCMP_SYS(process_vm_readv),
                                   SCMP_SYS(fdatasync),
                                   SCMP_SYS(fsync),
                                   SCMP_SYS(ftruncate),
                                   SCMP_SYS(msync),
                                   SCMP_SYS(sched_setscheduler), // downwards: no CAP_SYS_NICE
                                   SCMP_SYS(pidfd_open),
                                   SCMP_SYS(name_to_handle_at), // which folder an event is about
                                   SCMP_SYS(lgetxattr),         // file capabilities
                                   -1};
static const int warden_calls[] = {-1};
static const int respond_calls[] = {SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_send_signal), -1};
static const int guardian_calls[] = {SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_send_signal),
                                     SCMP_SYS(kill), -1};

// Speaks to a hub: IPv4 and IPv6 outwards only. Opens files for reading as any user may: resolving names needs some.
static const int uplink_calls[] = {SCMP_SYS(fdatasync), -1};

static const struct role_spec specs[ROLE_COUNT] = {
    [ROLE_PARENT] = {.sandbox = {.name = "tierceld"}},
    [ROLE_SENSOR] = {.sandbox = {.name = "tierceld-sensor",
                                 .uid = ROLE_UID_BASE + ROLE_SENSOR,
                                 .capabilities =
                                     CAP(SYS_ADMIN) | CAP(SYS_PTRACE) | CAP(DAC_READ_SEARCH) |
                                     CAP(NET_ADMIN), // attaching the containment programs
                                 .allow = OS_OPEN_READ | OS_OPEN_HOW | OS_BPF_MAPS | OS_BPF_LINKS,
                                 .calls = sensor_calls},
                     .silent_ms = 5000},
    [ROLE_ENGINE] = {.sandbox = {.name = "tierceld-engine",
                                 .uid = ROLE_UID_BASE + ROLE_ENGINE,
                                 .capabilities = CAP(SYS_PTRACE) | CAP(DAC_READ_SEARCH),
                                 .allow = OS_OPEN_READ | OS_THREADS | OS_BPF_MAPS |
                                          OS_EXECUTABLE_MEMORY | OS_MARK_INODE | OS_OPEN_HANDLE,
                                 .calls = engine_calls,
                                 .lock_memory = true},
                     .silent_ms = 1000},
    [ROLE_WARDEN] = {.sandbox = {.name = "tierceld-warden",
                                 .uid = ROLE_UID_BASE + ROLE_WARDEN,
                                 .allow = OS_THREADS,
                                 .calls = warden_calls,
                                 .lock_memory = true},
                     .silent_ms = 1000},
    [ROLE_RESPOND] = {.sandbox = {.name = "tierceld-respon",
                                  .uid = ROLE_UID_BASE + ROLE_RESPOND,
                                  // Files into quarantine and back, with all that they had.
                                  .capabilities = CAP(KILL) | CAP(DAC_OVERRIDE) | CAP(CHOWN) |
                                                  CAP(FOWNER) | CAP(FSETID) | CAP(SETFCAP),
                                  .allow = OS_OPEN_READ | OS_OPEN_HOW | OS_FILES,
                                  .calls = respond_calls,
                                  .nice = -10},
                      .silent_ms = 5000},
    [ROLE_GUARDIAN] = {.sandbox = {.name = "tierceld-guard",
                                   .uid = ROLE_UID_BASE + ROLE_GUARDIAN,
                                   .capabilities = CAP(KILL),
                                   .allow = OS_OPEN_READ,
                                   .calls = guardian_calls,
                                   .nice = -20,
                                   .real_time = true,
                                   .lock_memory = true}},
    // Waits for the network; its callback beats once a second.
    [ROLE_UPLINK] = {.sandbox = {.name = "tierceld-uplink",
                                 .uid = ROLE_UID_BASE + ROLE_UPLINK,
                                 .allow = OS_OPEN_READ | OS_THREADS | OS_CONNECT,
                                 .calls = uplink_calls,
                                 .nice = 10},
                     .silent_ms = 30000},
};

const struct role_spec *role_spec(enum role role)
{
    return &specs[role];
}

uint64_t role_parent_effective(void)
{
    return CAP(KILL) |
           CAP(DAC_OVERRIDE); // to end its children; folders that others own, the guardian's control group
}

uint64_t role_parent_permitted(void)
{
    uint64_t all = role_parent_effective() | CAP(SETUID) | CAP(SETGID) | CAP(SETPCAP) |
                   CAP(SYS_NICE) | CAP(IPC_LOCK) | CAP(BPF) | CAP(PERFMON) | CAP(NET_ADMIN) |
                   CAP(SYSLOG); // the sensor's, while it loads programs: SYSLOG for addresses
    for (unsigned i = 0; i < ROLE_COUNT; i++)
        all |= specs[i].sandbox.capabilities;
    return all;
}
