// SPDX-License-Identifier: Apache-2.0
// What each response is made of: check (may it be done; nothing is changed), apply, undo, and what puts it right after a
// crash. Respond journals the intent before apply and undo (store.h) and the end after them. apply and undo are safe to
// repeat: whatever was left half done is finished, or rolled back, by calling them again.
// What is not respond's own work (the kernel's maps, the process tree) is asked of others through struct act_peers.
// To add one: act_<name>.c with its struct act, a line in table.c.
#pragma once
#include "respond/respond.h"
#include "respond/store.h"

enum act_lineage_how { ACT_LOOK, ACT_CONTAIN, ACT_RELEASE };
#define ACT_TARGETS 200
struct act_lineage {
    uint32_t n;      // living members, at most ACT_TARGETS; never the service's main process
    bool way_in;     // the process is how people get in: sshd's main process and the like
    bool cuts_flows; // contained: also what is connected already is cut
    struct respond_target targets[ACT_TARGETS];
};

struct
    act_peers { // 0 or negative errno: -ENOTCONN, -ETIMEDOUT: the other role is not there just now
    int (*lineage)(void *context, struct respond_target process, enum act_lineage_how how,
                   struct act_lineage *ret);
    int (*deny_address)(void *context, const struct response_address *a, bool deny);
    // until_ns: CLOCK_BOOTTIME, UINT64_MAX: until it is taken away; 0: taken away. *ret_pinned: outlives the agent.
    int (*contain_host)(void *context, const struct response_address *allowed, uint32_t n,
                        uint64_t until_ns, bool *ret_pinned);
    int (*block_hash)(void *context, const uint8_t sha256[32], bool block);
    int (*block_domain)(void *context, const char *name, bool block);
    void (*announce)(void *context, const struct response *r); // each state, to be an event
    void (*tick)(
        void *context); // called at least every 100 ms of work: signs of life, urgent kills
    void *context;
};

struct act_context {
    struct store *store;
    int vault;          // folder of what is in quarantine
    const uint8_t *key; // 32 bytes
    const uint32_t *protected_pids;
    unsigned n_protected;
    const struct response_address
        *allowed; // of the configuration: the hub and what is never cut off
    uint32_t n_allowed;
    const char *state, *run; // the agent's own folders
    uint64_t file_limit;     // bytes that a file in quarantine may have
    char boot[40];           // the kernel's boot_id
    struct act_peers peers;
};

struct act {
    // -EPERM with e: never; what and way_out are shown.
    int (*check)(const struct act_context *c, const struct response *r, struct error *e);
    int (*apply)(const struct act_context *c, struct response *r, struct error *e);
    int (*undo)(const struct act_context *c, struct response *r,
                struct error *e); // NULL: cannot be
    // After a restart, for one that was PLANNED: 1 finished, 0 apply it again, negative: rolled back. NULL: apply again.
    int (*recover)(const struct act_context *c, struct response *r, struct error *e);
    // Engine and sensor forget with their death: told again when they are there anew. NULL: nothing to tell.
    int (*renew)(const struct act_context *c, const struct response *r);
};
const struct act *act_find(uint32_t action); // NULL: there is no such action

extern const struct act response_kill, response_kill_lineage, response_contain_lineage,
    response_contain_host, response_quarantine, response_block_hash, response_block_address,
    response_block_domain;

// ---- shared by the actions
// Whether this file must stay for the host to start, be reached and be mended; by device and inode.
bool act_needed_file(uint64_t device, uint64_t inode);
bool act_needed_hash(const uint8_t sha256[32]);
int act_needed_each(int (*each)(void *context, const char *path), void *context);
// The active response of this action for the same thing, other than r; NULL: none.
const struct response *act_same(const struct act_context *c, const struct response *r);
int act_refuse_same(const struct act_context *c, const struct response *r, struct error *e);
