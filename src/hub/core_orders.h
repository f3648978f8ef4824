// SPDX-License-Identifier: Apache-2.0
// Core's part in orders: has new ones signed, gives each host what it has not answered for, keeps the answers. A host's
// question waits here until there is something, at most ORDERS_HOLD_MS. Cost of a host that waits: 80 bytes.
#pragma once
#include "hub/wire.h"

#define ORDERS_HOLD_MS 8000u
#define ORDERS_TURN_MS 100 // how often it is looked whether somebody gave an order
#define ORDERS_WAITING 8192u

int core_orders_open(const char *file, struct error *e);
void core_orders_close(void);
void core_orders_signer(int fd); // taken over; the one before is closed
int core_orders_signer_fd(void);
// GET /v1/orders. True: *ret is the answer; false: it comes later, from core_orders_turn().
bool core_orders_ask(uint64_t id, const char *client, const uint8_t host[16],
                     struct hub_answer *ret);
// POST /v1/results.
void core_orders_result(const char *client, const uint8_t host[16], struct str body,
                        struct hub_answer *ret);
// Every ORDERS_TURN_MS: signs, and sends to front what was waited for.
void core_orders_turn(int front);
void core_orders_forget(void); // front ended: nobody waits any more
