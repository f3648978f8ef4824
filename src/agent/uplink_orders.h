// SPDX-License-Identifier: Apache-2.0
// The uplink's second connection: orders of the hub down to respond, results up. One thread, which start() makes.
#pragma once
#include "agent/order.h"
#include "link/enrolment.h"

// Before the sandbox closes. `enrolment` lives as long as the role.
int uplink_orders_prepare(const struct enrolment *enrolment, uint32_t (*random)(void *context),
                          struct error *e);
int uplink_orders_start(void);
void uplink_orders_peer(int fd); // a channel to respond, which is taken over
void uplink_orders_stop(void);
