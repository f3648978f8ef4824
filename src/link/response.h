// SPDX-License-Identifier: Apache-2.0
// What an operator may order to be done, as typed values: made by the command line, passed on unread by the parent,
// checked, journalled and carried out by respond. A closed set of fixed-size structs; nothing behind it parses text.
// To add one: a value of enum response_action, its name in response.c, src/respond/act_<name>.c, a line in
// src/respond/table.c, a subcommand in src/cli/cmd_respond.c, an apply-undo test.
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum response_action {
    RESPONSE_KILL = 1,
    RESPONSE_KILL_LINEAGE,
    RESPONSE_CONTAIN_LINEAGE,
    RESPONSE_CONTAIN_HOST,
    RESPONSE_QUARANTINE,
    RESPONSE_BLOCK_HASH,
    RESPONSE_BLOCK_ADDRESS,
    RESPONSE_BLOCK_DOMAIN,
    RESPONSE_ACTIONS
};

enum response_state { // the first eight are the schema's Response.State
    RESPONSE_PLANNED,
    RESPONSE_APPLIED,
    RESPONSE_FAILED,
    RESPONSE_UNDONE,
    RESPONSE_EXPIRED,
    RESPONSE_ROLLED_BACK,
    RESPONSE_REFUSED,
    RESPONSE_DRY_RUN,
    RESPONSE_UNDOING, // in the response journal only: begun, not known to be through
    RESPONSE_STATES
};

#define RESPONSE_TEXT 2560 // a path or a name with its NUL; longer ones are refused
#define RESPONSE_ADDRESSES 16
#define RESPONSE_BY 32

struct response_address {
    uint8_t ip[16]; // IPv4: the first four
    uint8_t bytes;  // 4 or 16
    uint8_t prefix; // bits
    uint8_t unused[2];
};

enum { RESPONSE_ONLY_TRY = 1 /* dry run */, RESPONSE_FORCE = 2 };

struct response_order {
    uint32_t action, flags;
    uint64_t lasts_ns; // 0: until it is undone
    uint64_t detection;
    uint64_t start_ns; // of the process, CLOCK_BOOTTIME
    uint32_t pid;
    uint32_t n_addresses;
    struct response_address addresses[RESPONSE_ADDRESSES];
    uint8_t sha256[32];
    char by[RESPONSE_BY];
    char text[RESPONSE_TEXT];
};

struct response_result {
    uint64_t id;
    uint64_t expires_ns; // wall clock, 0: does not
    uint32_t state;
    int32_t code; // negative errno when it failed or was refused
    uint32_t killed, gone, refused, members;
    char what[400]; // what was done, or why not
};

const char *response_action_name(uint32_t action); // "kill-lineage"; "?" when there is none
const char *response_state_name(uint32_t state);
bool response_lasts(uint32_t action); // can be undone, and expires
// What it is about, as a person reads it: path, address, hexadecimal hash, "pid 12".
void response_target(const struct response_order *order, char *ret, unsigned size);
// Whether every member is within its bounds: text ends, counts and prefixes fit.
bool response_order_valid(const struct response_order *order);
bool response_address_covers(const struct response_address *net, const struct response_address *a);
bool response_address_loopback(const struct response_address *a);
