// SPDX-License-Identifier: Apache-2.0
// The respond role in parts: respond.c (loop, kills that the engine orders, an operator's orders), respond_peers.c (what
// it asks of engine and sensor). One thread; while it waits for an answer or copies a file it goes on taking kills.
#pragma once
#include "agent/role.h"
#include "respond/act.h"
#include "respond/run.h"

#define RESPOND_WAITING 64 // states for the engine, while there is none

struct responder {
    struct role_context *role;
    struct act_context act;
    struct store store;
    uint8_t key[32];
    uint32_t number;                               // of the last order to a peer
    bool tell_engine, tell_sensor;                 // a new one: it is to be told what is in force
    struct respond_state waiting[RESPOND_WAITING]; // oldest first
    unsigned n_waiting;
    uint64_t dropped, ticked_ns, settled_ns;
    uint64_t orders_refused, orders_said_ns;
};

// ---- respond.c
bool respond_engine_message(struct responder *s,
                            const struct link_message *m); // a kill; false: not one

// ---- respond_orders.c
void respond_orders(struct responder *s); // what the uplink brought

// ---- respond_peers.c
struct act_peers respond_peers(struct responder *s);
void respond_flush(struct responder *s); // states that wait
void respond_lose(struct responder *s, enum give peer);
