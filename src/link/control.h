// SPDX-License-Identifier: Apache-2.0
// The agent's control socket (/run/tiercel/control.sock): a request and a reply of fixed size, for root of this machine
// only (the daemon asks the kernel who calls). The parent answers; it parses nothing. Both ends must be of one build: the
// size and version of the messages are compared.
// To add a request: a value of control_verb, its answer in agent/serve.c, its command in cli/.
#pragma once
#include "base/error.h"
#include "link/response.h"
#include <stdbool.h>
#include <stdint.h>

#define CONTROL_SOCKET "/run/tiercel/control.sock"
#define CONTROL_VERSION 4

enum control_verb {
    CONTROL_STATUS,
    CONTROL_STOP,
    CONTROL_SET_MODE,
    CONTROL_RELOAD,
    CONTROL_RESPOND, // .order; answered when it is done, with .response
    CONTROL_UNDO,    // .id
    CONTROL_VERBS
};
enum control_mode { CONTROL_DETECT, CONTROL_PREVENT };

struct control_request {
    uint32_t version, verb;
    uint32_t mode;     // CONTROL_SET_MODE
    uint32_t only_try; // CONTROL_UNDO
    uint64_t id;
    struct response_order order;
};

enum control_works { CONTROL_ABSENT, CONTROL_REFUSED, CONTROL_WORKS };
struct control_mechanism {
    uint32_t works;
    char name[28];
    char reason[160]; // how that was found out
    char instead[96]; // what is used in its place
};
struct control_filesystem {
    uint32_t guarded;
    char type[28], path[128], reason[96]; // reason: why not
};
enum control_role_state { CONTROL_ROLE_DOWN, CONTROL_ROLE_STARTING, CONTROL_ROLE_RUNNING };
struct control_role {
    char name[16];
    uint32_t state;
    int32_t pid;
    uint32_t uid;
    uint32_t restarts;
    uint32_t beat_age_ms; // since its last sign of life
    uint32_t unused;
};

// What the engine counts. It is the only writer of its page; every member only grows unless it says otherwise.
struct control_engine {
    uint64_t events, detections, verdicts, prevented;
    uint64_t lost_structural, lost_bulk, lost_other;
    uint64_t processes;            // now, in the tree
    uint64_t rules, rules_refused; // now
    uint64_t exceptions;           // now
    uint64_t journal_batches, journal_bytes, journal_failures;
    uint64_t kills, kills_failed;
    uint64_t rule_limits;      // regular expressions that hit their limit
    uint64_t arena_refused;    // batch memory quota reached
    uint64_t protected_denied; // opens of protected data that were refused
    uint64_t protected_seen;   // and those that were not: detect mode, exception, too late
    uint64_t reserved[12];
    char rules_version[68]; // hexadecimal
    char problem[188];      // the last one, empty when none
};
enum control_link {    // what the state of the link to a hub is
    CONTROL_LINK_NONE, // not enrolled, or the role is starting
    CONTROL_LINK_CONNECTING,
    CONTROL_LINK_CONNECTED,
    CONTROL_LINK_CATCHING_UP, // the hub has not all that was there when we last looked
    CONTROL_LINK_UNREACHED,   // see why; tried again by itself
    CONTROL_LINK_REFUSED,     // see why; somebody must do something
};
// What the uplink counts since its start; it is the only writer of its page.
struct control_uplink {
    uint32_t state, unused;
    uint64_t next;                   // sequence of the record that the hub has not yet
    uint64_t acknowledged_ns;        // newest time in what the hub has acknowledged
    uint64_t reached_s;              // wall clock of the hub's last answer; 0 none
    uint64_t records, events, bytes; // acknowledged
    uint64_t missing; // records that were not there any more; damaged ones and too large ones too
    uint64_t damaged, too_large, left_out; // places; records; records that the hub refused twice
    uint64_t failures;
    uint64_t file; // of the journal, where it is; 0 nowhere yet
    char hub[128], client[64];
    char why[192]; // empty: nothing is wrong
};
struct control_gate {
    uint64_t asked, allowed, denied, overdue, late_denied, unanswerable, by_warden, no_engine;
};

#define CONTROL_ROLES 7
#define CONTROL_MECHANISMS 40
#define CONTROL_FILESYSTEMS 96
struct control_status {
    char version[32];
    uint32_t mode;     // what the host is in now
    uint32_t wanted;   // what was asked for; differs when prevention could not be had, see `why`
    uint32_t armed;    // the gate answers
    int32_t scope_pid; // > 0: only the mount namespace of this process is guarded
    uint64_t works;    // bits of sensor/coverage.h: what is seen and what can be refused, by kind
    uint64_t started_ns, armed_ns; // wall clock; armed_ns 0 when not armed
    uint32_t deadline_ms;
    uint32_t n_roles, n_mechanisms, n_filesystems;
    uint32_t filesystems_left_out; // more than CONTROL_FILESYSTEMS
    uint32_t n_guarded;
    struct control_role roles[CONTROL_ROLES];
    struct control_mechanism mechanisms[CONTROL_MECHANISMS];
    struct control_filesystem filesystems[CONTROL_FILESYSTEMS];
    struct control_gate gate;
    struct control_engine engine;
    struct control_uplink uplink;
    uint32_t enrolled, unused;
    uint64_t journal_unsent;               // whole segments deleted that the hub may not have had
    uint64_t journal_bytes, journal_bound; // on disk
    uint64_t journal_first, journal_last;  // segment numbers
    uint64_t journal_deleted; // whole segments deleted to keep the bound, since the start
    char journal[256], rules[256];
    char why[384]; // why the mode is not the wanted one, or the last problem
};
struct control_reply {
    uint32_t version;
    int32_t code;   // 0 or negative errno
    char what[256]; // the reason, when code is not 0
    uint32_t has_status;
    uint32_t has_response;
    struct response_result response; // CONTROL_RESPOND, CONTROL_UNDO
    struct control_status status;    // CONTROL_STATUS
};

// Client: asks and waits up to five seconds (responses: two minutes). 0, or negative errno with e filled: -ENOENT no agent is running, -EACCES not
// root, -EPROTO another build, or what the agent answered. ret is large (some 40 KiB): not for a thread's stack.
int control_call(const char *socket_path, const struct control_request *request,
                 struct control_reply *ret, struct error *e);

// Server (the parent). The socket is made with mode 0600; an old one is replaced.
int control_listen(const char *socket_path, struct error *e);
// One caller: its connection, or negative errno: -EAGAIN nobody there, -EACCES not root (already told and closed).
int control_accept(int listener);
// 1 a request; 0 the caller left; negative errno: -EAGAIN nothing yet, -EPROTO another build (already told).
int control_receive(int fd, struct control_request *ret);
// Never waits. A reply without status is sent short.
int control_answer(int fd, const struct control_reply *reply);
