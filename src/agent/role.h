// SPDX-License-Identifier: Apache-2.0
// A role is this same program, executed again as `tierceld -x ROLE` with its channel to the parent on descriptor 3, its
// own uid, capabilities and system calls (sandbox table: role_table.c; asserted by tests/kernel/test_roles.c).
// Start: the role says TOLD_HELLO, gets ORDER_SETUP, descriptors, ORDER_BEGIN, drops its privileges (role_main() does all
// this), works, and ends when its channel closes. It must not outlive the parent: the kernel kills it then.
// To add a role: a value of enum role, a line in role_table.c, its function.
#pragma once
#include "agent/order.h"
#include "link/control.h"
#include "link/link.h"
#include "sensor/gate.h"
#include <stdatomic.h>

enum role {
    ROLE_PARENT,
    ROLE_SENSOR,
    ROLE_ENGINE,
    ROLE_WARDEN,
    ROLE_RESPOND,
    ROLE_GUARDIAN,
    ROLE_UPLINK, // last: it is there only where the host is enrolled at a hub
    ROLE_COUNT
};

#define ROLE_PATH 320
#define ROLE_DENY_MAX 32
#define ROLE_FOLDERS 640 // bytes of configured folders
#define ROLE_ALLOW_MAX RESPONSE_ADDRESSES
struct role_setup {   // the parent read the configuration; nobody else does
    uint32_t prevent; // wanted mode at the start; the engine follows ORDER_MODE later
    uint32_t deadline_ms;
    int32_t scope_pid; // > 0: only the mount namespace of this process is guarded
    uint32_t gate_workers;
    uint64_t journal_bytes,
        segment_bytes;             // bound of the whole journal; when to ask for the next segment
    uint32_t cpu_percent, unused2; // the engine's budget: of one core, 0 no limit
    uint64_t memory_bytes;
    uint8_t hash_key[16]; // of judged argument lists; engine and sensor must use the same
    uint32_t n_deny, unused;
    struct sensor_address deny[ROLE_DENY_MAX];
    uint64_t quarantine_bytes; // of one file
    uint32_t n_allow, unused_allow;
    struct response_address
        allow[ROLE_ALLOW_MAX]; // never cut off: the hub and who else must reach us
    char run[64];
    char rules[ROLE_PATH], exceptions[ROLE_PATH], state[ROLE_PATH];
    char web_roots[ROLE_FOLDERS]; // paths, each with its NUL, ended by an empty one
};
_Static_assert(sizeof(struct role_setup) <= LINK_BODY_MAX, "one message");

struct role_page { // shared with the parent alone; the role writes, the parent reads
    _Atomic uint64_t
        beat_ns; // CLOCK_MONOTONIC of the last sign of life: role_beat() at least every 250 ms
    _Atomic uint64_t unused[7];
    struct control_engine engine; // the engine's counters, written as plain members
    struct control_uplink uplink; // the uplink's
};

#define ROLE_PROBES_MAX 32
struct role_context {
    enum role role;
    int parent; // the channel
    struct role_setup setup;
    struct role_page *page;
    struct gate_table *table;    // sensor, warden, guardian (the engine maps it itself)
    int given[GIVE_COUNT];       // latest of each kind, -1 where nothing was given; owned
    int probes[ROLE_PROBES_MAX]; // GIVE_PROBE by its number, -1 where not given; owned
    struct order_pids pids;      // latest ORDER_PIDS
};

// Each returns the exit status. ROLE_EXIT_AGAIN: "start me again, nothing is wrong" (not counted as a failure).
#define ROLE_EXIT_AGAIN 75
int engine_role(struct role_context *context);
// role_main() calls this after the descriptors of the start were given and before privileges are dropped: the gate's
// self-test needs a child that was started before (gate_probe_start()), and the table's mapping and gate_hold() need
// CAP_SYS_NICE and CAP_IPC_LOCK. The engine marks that child's file itself: an inode mark needs no capability, only the
// fanotify_mark system call. 0 or negative errno, which ends the role.
int engine_prepare(struct role_context *context);
int sensor_role(struct role_context *context);
// The same for the other holder of the gate, and for the sensor: it loads and tries the kernel's programs while it may.
int warden_prepare(struct role_context *context);
int sensor_prepare(struct role_context *context);
int warden_role(struct role_context *context);
int respond_role(struct role_context *context);
int guardian_role(struct role_context *context);
// Reads the enrolment, loads libcurl (which no other role has in memory), makes ready what resolves names.
int uplink_prepare(struct role_context *context);
int uplink_role(struct role_context *context);

void role_beat(struct role_context *context);
// One message from the parent, without waiting when `wait` is 0. ORDER_GIVE and ORDER_PIDS are taken into the context
// (what was given before is closed) and also returned in *ret, with no descriptors left in it, so that the caller can act.
// 1, 0 the parent is gone: return at once, negative errno (-EAGAIN nothing yet).
int role_receive(struct role_context *context, struct link_message *ret, int wait);
// To the parent; waits while its queue is full. 0 or negative errno.
int role_tell(struct role_context *context, enum told type, const void *body, uint32_t size,
              int fd);
void role_problem(struct role_context *context, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// In main(): does the whole start and runs the role; its exit status.
int role_main(const char *name);
const char *role_name(enum role role);
