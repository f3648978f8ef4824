// SPDX-License-Identifier: Apache-2.0
// Every message between roles. Typed, fixed-size, nothing to parse; a message of another size than its struct is refused.
// Each channel has its own enum. To add one: a value here, its struct beside it, and the receiver's switch.
#pragma once
#include "link/response.h"
#include "link/signed.h"
#include <stdbool.h>
#include <stdint.h>

// ---- parent -> role
enum order {
    ORDER_SETUP = 1, // struct role_setup (role.h), once, first
    ORDER_GIVE,      // struct order_give + 1 descriptor; at the start and at any time later
    ORDER_BEGIN,     // the rest of the start's descriptors has been given: drop privileges and work
    ORDER_LEND_GROUP, // engine, warden: answer with TOLD_GROUP and the gate's descriptor (a copy; keep your own)
    ORDER_DISARM, // engine: stop the gate, close its descriptor, answer TOLD_DISARMED
    ORDER_ARM, // sensor: the engine and the warden hold the group: ask the engine for it (SENSOR_ASKS_GROUP), mark
    ORDER_MODE,   // engine, sensor: struct order_mode
    ORDER_RELOAD, // engine: read rules and exceptions again
    ORDER_STATE,  // engine: struct order_state, to be journalled as an AgentState event
    ORDER_STOP, // engine: write what is left, sync, answer TOLD_STOPPED, and return from engine_role()
    ORDER_PIDS, // engine, respond, sensor: struct order_pids, which processes are the agent's own
    ORDER_MAKE_GROUP, // sensor: make the gate's group and answer with TOLD_GROUP
    ORDER_COVERAGE, // engine: struct order_coverage, which mechanisms work: into the journal's next batch
    ORDER_RESPOND, // respond: struct order_respond, answered with TOLD_RESPONSE
    ORDER_UNDO,    // respond: struct order_undo, answered with TOLD_RESPONSE
    ORDER_NO_SEGMENT, // engine: struct order_no_segment, instead of GIVE_SEGMENT: count the loss, ask again later;
    // uplink: instead of GIVE_SPOOL
};

enum give {
    GIVE_PAGE,  // memory file: struct role_page (role.h); mapped by role_main()
    GIVE_TABLE, // memory file: the gate's table of open questions; sensor, engine, warden, guardian
    GIVE_GROUP, // the gate: engine and warden; later again when a role is restarted or the mode changes
    GIVE_PEER_ENGINE,  // channel to the engine: sensor, respond; a new one replaces the old one
    GIVE_PEER_SENSOR,  // channel to the sensor: engine, respond
    GIVE_PEER_RESPOND, // channel to respond: engine, sensor
    GIVE_PROBE, // ring or map of the sensor's; order_give.number says which (enum give_probe): engine, at the start;
    // again, each with the same number, after the sensor was restarted
    GIVE_PROTECT, // memory file: struct protect_settings (sensor/protect.h), sealed: sensor, engine; at the start
    GIVE_SEGMENT, // journal file, append-only; order_give.number is its number: engine, after TOLD_NEXT_SEGMENT
    GIVE_ENROLMENT, // file hub.pem (link/enrolment.h), for reading: uplink, at the start
    GIVE_SPOOL, // journal file, for reading; order_give.number64 is its number: uplink, after TOLD_WANT_SEGMENT
    GIVE_PEER_UPLINK, // channel to the uplink: respond
    GIVE_COUNT,
};
enum give_probe { // the members of struct probe_fds that the engine uses
    GIVE_PROBE_STRUCTURAL,
    GIVE_PROBE_BULK,
    GIVE_PROBE_JUDGED,
    GIVE_PROBE_COUNTERS,
    GIVE_PROBE_FLAGS,
    GIVE_PROBE_NEEDED, // those above; the sensor tells the others before them, where it has them at all
    GIVE_PROBE_WATCHED =
        GIVE_PROBE_NEEDED, // map of watched folders: the kernel's programs see files
    GIVE_PROBE_FILES,      // where they do not: fanotify notification group
    GIVE_PROBE_COUNT
};
struct order_give {
    uint32_t what, number;
    uint64_t number64; // of a segment
};
struct order_coverage {
    uint64_t works; // bits of sensor/coverage.h
};
struct order_mode {
    uint32_t prevent; // 0: rules' prevent counts as detect
};
struct order_state {
    char state[32]; // started, armed, disarmed, mode, role, journal ...
    char reason[220];
};
struct order_no_segment {
    uint64_t number;
    int32_t code; // -ENOSPC: the disk is full
    uint32_t unused;
};
#define ORDER_PIDS_MAX 8
struct order_pids {
    uint32_t n;
    uint32_t pids[ORDER_PIDS_MAX];
};

struct order_respond {
    uint32_t caller, number; // repeated in the answer
    struct response_order order;
};
struct order_undo {
    uint32_t caller, number;
    uint64_t id;
    uint32_t only_try, unused;
};

// ---- role -> parent
enum told {
    TOLD_HELLO = 100, // past its exec: only now the parent sends anything
    TOLD_READY, // sensor: programs loaded; respond, warden, guardian: at work; engine: rules loaded and, in prevent
    // mode with the group in hand, the gate answers and its self-test passed
    TOLD_PROBLEM, // struct told_problem: for the log and for `status`; never ends the role
    TOLD_GROUP,   // + 1 descriptor: sensor (made) and engine, warden (lent)
    TOLD_GATE, // engine: struct told_gate, the gate could (code 0) or could not be started, self-test included
    TOLD_HOLDS,    // warden: answers the group it was given
    TOLD_DISARMED, // engine
    TOLD_PROBE, // sensor: struct order_give + 1 descriptor, to be passed to the engine as GIVE_PROBE
    TOLD_MARKED,     // sensor: struct told_marked, answer to ORDER_ARM and after later mounts
    TOLD_FILESYSTEM, // sensor: struct control_filesystem (link/control.h), one row of `status`
    TOLD_MECHANISM,  // sensor, engine: struct control_mechanism, one row
    TOLD_NEXT_SEGMENT, // engine: struct told_segment: open segment `number` (the same number again: continue it)
    TOLD_CUT_SEGMENT, // engine: struct told_segment: cut the newest segment to `size` bytes (torn last batch); honoured
    // once in an engine's life and only before its first TOLD_NEXT_SEGMENT
    TOLD_STOPPED,  // engine: everything is on disk
    TOLD_RESPONSE, // respond: struct told_response
    TOLD_WANT_SEGMENT, // uplink: struct told_segment: the first journal file with this number or a higher one
};
struct told_response {
    uint32_t caller, number;
    struct response_result result;
};
struct told_problem {
    uint32_t fatal; // for the reader only: the role is about to end
    char text[508];
};
struct told_gate {
    int32_t code;
    char text[252];
};
struct told_marked {
    int32_t code;
    uint32_t guarded, skipped;
    char text[244];
};
struct told_segment {
    uint64_t number, size;
};

// ---- engine -> sensor, over GIVE_PEER_SENSOR / GIVE_PEER_ENGINE
enum sensor_order {
    SENSOR_LEND_GROUP =
        200, // + 1 descriptor: answer to SENSOR_ASKS_GROUP; the sensor closes it after the mark calls
    SENSOR_FLAGS,         // struct sensor_flags: a process's inherited flags in the kernel
    SENSOR_DENY_ADDRESS,  // struct sensor_address
    SENSOR_ALLOW_ADDRESS, // undoes it
    SENSOR_BUDGET,        // struct sensor_budget: how much bulk telemetry there may be
    SENSOR_MOUNTS, // an exec came from a device that is not guarded: look at the mounts again. With struct
    // sensor_device: it was this process's, which may see mounts that the sensor does not
    // ---- respond -> sensor, over GIVE_PEER_SENSOR / GIVE_PEER_RESPOND; each is answered with SENSOR_DID
    SENSOR_RESPOND_ADDRESS, // struct sensor_respond_address
    SENSOR_CONTAIN_HOST,    // struct sensor_contain_host
};
struct sensor_respond_address {
    uint32_t number, deny; // number: repeated in the answer
    struct response_address address;
};
struct sensor_contain_host {
    uint32_t number, n;
    uint64_t until_ns; // CLOCK_BOOTTIME; 0: take it away
    struct response_address allowed[2 * RESPONSE_ADDRESSES];
};
struct sensor_budget {
    uint32_t share; // the usual limits are divided by it, 1 to 1024
    uint32_t unused;
};
struct sensor_device {
    uint32_t pid, unused;
    uint64_t device; // stat's st_dev
};
struct sensor_flags {
    uint32_t pid, flags;
    uint32_t mask, unused; // only these flags are changed
    uint64_t start_ns;     // CLOCK_BOOTTIME; compared in 10 ms steps
};
struct sensor_address {
    uint8_t address[16]; // IPv4: the first four
    uint32_t family;     // AF_INET, AF_INET6
    uint32_t prefix;     // bits
};
// ---- sensor -> engine
enum sensor_told {
    SENSOR_ASKS_GROUP = 300, // answer with SENSOR_LEND_GROUP
    SENSOR_DID,              // sensor -> respond: struct sensor_did
};
struct sensor_did {
    uint32_t number;
    int32_t code;
    uint32_t pinned, unused; // SENSOR_CONTAIN_HOST: outlives the agent
};

// ---- engine -> respond, over GIVE_PEER_RESPOND / GIVE_PEER_ENGINE. Journalled by the engine before it is sent.
enum respond_order {
    RESPOND_KILL = 400, // struct respond_kill_order
};
enum respond_reason {
    RESPOND_RULE = 1,
    RESPOND_HASH_DIFFERS,
    RESPOND_LATE,
    RESPOND_UNREADABLE,
    RESPOND_OPERATOR
};
#define RESPOND_TARGETS_MAX 200 // a larger lineage takes several orders
struct respond_kill_order {
    uint64_t order;     // the engine's number for it, repeated in the answer
    uint64_t detection; // id
    uint32_t reason;    // enum respond_reason
    uint32_t n;
    struct {
        uint32_t pid, unused;
        uint64_t start_ns;
    } targets[RESPOND_TARGETS_MAX];
};
// ---- respond -> engine. Orders that are numbered are answered with ENGINE_DID or ENGINE_LINEAGE.
enum respond_told {
    RESPOND_DONE = 500, // struct respond_done
    RESPOND_LINEAGE,    // struct respond_lineage
    RESPOND_HASH,       // struct respond_hash
    RESPOND_DOMAIN,     // struct respond_domain
    RESPOND_STATE,      // struct respond_state: to be journalled as a Response event; not answered
};
enum respond_how { RESPOND_LOOK, RESPOND_CONTAIN, RESPOND_RELEASE };
struct respond_lineage {
    uint32_t number, how; // enum respond_how
    uint32_t pid, unused;
    uint64_t start_ns;
};
struct respond_hash {
    uint32_t number, block;
    uint8_t sha256[32];
};
struct respond_domain {
    uint32_t number, block;
    char name[256];
};
struct respond_state {
    uint64_t id, expires_ns, detection;
    uint32_t action, state; // enum response_action, enum response_state
    uint32_t pid, unused;
    uint64_t start_ns;
    char by[RESPONSE_BY];
    char target[2600], reason[400];
};
// ---- uplink -> respond, over GIVE_PEER_RESPOND / GIVE_PEER_UPLINK: what the hub gave, as it came
enum uplink_order {
    UPLINK_ENVELOPE = 600, // struct uplink_envelope, answered with RESPOND_ORDERED
    RESPOND_ORDERED,       // struct respond_ordered
};
struct uplink_envelope {
    uint32_t number, size;
    uint8_t bytes[SIGNED_MAX];
};
struct respond_ordered {
    uint32_t number, unused;
    struct response_result result;
};
// ---- engine -> respond: answers
enum engine_told {
    ENGINE_DID = 450, // struct engine_did
    ENGINE_LINEAGE,   // struct engine_lineage
};
struct engine_did {
    uint32_t number;
    int32_t code;
};
struct engine_lineage {
    uint32_t number;
    int32_t code;
    uint32_t n, way_in;
    uint32_t cuts_flows, unused;
    struct {
        uint32_t pid, unused;
        uint64_t start_ns;
    } targets[RESPOND_TARGETS_MAX];
};
struct respond_done {
    uint64_t order;
    uint32_t killed, gone, refused; // refused: another process has the pid, or a protected one
    int32_t code;                   // the last negative errno, 0 when none
};
