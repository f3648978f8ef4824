// SPDX-License-Identifier: Apache-2.0
// The parent in parts: parent.c (start, loop, stop), child.c (a role's process), arming.c (who holds the gate, when it is
// armed), segments.c (the journal's files), serve.c (control socket). One thread. It never waits: not for a child (which
// may be held in its exec by the gate), not for a full channel, not for its own log. It reads no event, rule or network.
#pragma once
#include "agent/config.h"
#include "agent/role.h"
#include "sensor/gate_table.h"
#include <poll.h>

#define PARENT_TICK_MS 250
#define PARENT_CALLERS 8
#define PARENT_STATES 16

enum child_state {
    CHILD_DOWN,
    CHILD_EXECUTING, // no sign of it yet: it may stand in its exec, so nothing is sent to it
    CHILD_WAITING,   // said hello, was not told to begin (the engine waits for the sensor's rings)
    CHILD_STARTING,
    CHILD_RUNNING,
    CHILD_ENDING, // we asked it to
};

struct child {
    enum child_state state;
    pid_t pid;           // 0: none
    int channel, errors; // our ends; errors: what it wrote to its standard error
    int page_fd;
    struct role_page *page;
    uint64_t since_ns;      // of the state
    uint64_t not_before_ns; // of the next start
    uint64_t failed_ns[3];  // the last failed starts
    uint32_t starts;
    bool was_ready; // once since the agent started
    bool holds;     // the gate's descriptor was given to it (or it made it)
};

struct arming {
    bool wanted;                   // prevent
    bool refused;                  // could not be had: detect mode, until somebody asks again
    bool group_asked;              // of the sensor
    enum role lending;             // asked to lend; ROLE_PARENT: nobody
    bool warden_ready, gate_ready; // each answers questions; gate: the engine's self-test passed
    bool arm_sent, marked;
    bool armed;
    bool disarming;
    bool gate_used;           // by this engine: its self-test cannot be made twice
    unsigned slow_self_tests; // in a row
    uint64_t since_ns, armed_wall_ns;
};

struct segments {
    int folder;
    uint64_t bound, bytes, first, last, deleted;
    bool cut_allowed; // once for each engine, before its first segment
    bool wanted;      // a hub is to have them
    uint64_t unsent_from,
        unsent; // the file that the hub has not wholly; how many such were deleted
};

struct hub_file { // hub.pem in the state folder; all zero: the host is not enrolled
    uint64_t inode, changed_ns, size;
};

struct parent {
    struct config config;
    struct role_setup setup;
    struct child children[ROLE_COUNT];
    struct arming arming;
    struct segments segments;
    struct hub_file hub;
    int table_fd, protect_fd;
    struct gate_table *table;
    int probes[GIVE_PROBE_COUNT];
    struct order_state states[PARENT_STATES]; // for the engine, while there is none
    unsigned n_states;
    int run_folder, listener, signals, callers[PARENT_CALLERS];
    uint32_t waits_for[PARENT_CALLERS]; // number of the order that the caller waits for; 0: none
    uint32_t orders;                    // the last one's number
    uint64_t covered_told;              // the engine knows this
    bool reported;                      // told the service manager that we are up
    int stopping;                       // 1: asked to, 2: the engine is through, 3: all told to end
    uint64_t stopping_ns, tick_ns;
    int exit_status;
    char guardian_group[96];                // its control group, empty: none
    struct control_status *status;          // filled on request; rows are kept here
    struct control_filesystem *filesystems; // rows of a marking that is not finished
    uint32_t n_filesystems, filesystems_left_out;
};

// ---- parent.c
int parent_run(const struct config *config, int32_t scope_pid);
void parent_say(const char *format, ...)
    __attribute__((format(printf, 1, 2))); // standard error, never waits
void parent_why(struct parent *p, const char *format, ...)
    __attribute__((format(printf, 2, 3))); // and keeps it for `status`
// To be journalled by the engine, as soon as there is one.
void parent_state(struct parent *p, const char *state, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void parent_stop(struct parent *p);
void parent_hear(struct parent *p, enum role role); // messages that wait
void parent_errors(struct parent *p,
                   enum role role); // what it wrote to its standard error, into our log

// ---- child.c
int child_start(struct parent *p, enum role role);
int child_hello(struct parent *p, enum role role); // everything up to ORDER_BEGIN
int child_send(struct parent *p, enum role role, enum order order, const void *body, uint32_t size);
int child_give(struct parent *p, enum role role, enum give what, uint64_t number, int fd);
void child_kill(struct parent *p, enum role role, const char *why);
void child_end(struct parent *p, enum role role); // closes its channel: it ends by itself
bool child_reap(struct parent *p);                // true: somebody is gone
void child_watch(struct parent *p);               // every tick: starts, stopped and silent ones
static inline bool child_begun(const struct child *c)
{
    return c->state == CHILD_STARTING || c->state == CHILD_RUNNING;
}

// ---- arming.c
void arming_want(struct parent *p, bool prevent);
void arming_step(struct parent *p); // after every message and death: what can be done next
void arming_told(struct parent *p, enum role role, struct link_message *m);
void arming_lost(struct parent *p, enum role role); // its process is gone
void arming_give_up(struct parent *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void arming_watch(struct parent *p);

// ---- segments.c
int segments_open(struct segments *s, const char *state, uint64_t bound, struct error *e);
void segments_look(struct segments *s); // counts what is there
void segments_next(struct parent *p, const struct told_segment *told);
void segments_cut(struct parent *p, const struct told_segment *told);
void segments_lend(struct parent *p, const struct told_segment *told);

// ---- enrolled.c
static inline bool enrolled(const struct parent *p)
{
    return p->hub.inode;
}
void enrolled_watch(
    struct parent *p); // every tick: a new enrolment gets a new uplink, none gets none
int enrolled_give(struct parent *p); // the file, to the uplink

// ---- covered.c
uint64_t
covered_works(const struct parent *p); // bits of sensor/coverage.h, from the rows of `doctor`
void covered_tell(struct parent *p);   // the engine, where it does not know yet

// ---- serve.c
void serve_accept(struct parent *p);
void serve_caller(struct parent *p, unsigned i);
void serve_response(struct parent *p, const struct told_response *told);
void serve_respond_lost(struct parent *p); // its process is gone: who waits is told
