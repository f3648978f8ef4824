// SPDX-License-Identifier: Apache-2.0
// What responses ask of the sensor: addresses that are denied, by several at once, and the contained host. Nothing here
// reads text.
#pragma once
#include "agent/role.h"
#include "sensor/contain.h"
#include "sensor/probe.h"

enum denial_owner { DENIED_BY_CONFIG = 1, DENIED_BY_RESPONSE = 2, DENIED_BY_NAME = 4 };
#define DENIALS_MAX 4096u

struct sensor_orders {
    struct role_context *role;
    struct probe_fds fds;
    struct probe *probe;
    struct contain *contain; // NULL: cannot be had here
    int contain_code;        // why
    struct {
        struct response_address address;
        uint32_t owners;
    } denials[DENIALS_MAX];
    size_t n_denials;
};

// Before the sandbox closes: loads the containment programs, tells the kernel of allowed and denied addresses.
void sensor_orders_start(struct sensor_orders *o, struct role_context *role, struct probe *probe,
                         char ret_contain[160]);
// An address stays denied as long as one of those who denied it wants that.
int sensor_orders_address(struct sensor_orders *o, const struct response_address *a,
                          enum denial_owner owner, bool deny);
void sensor_orders_flags(struct sensor_orders *o, const struct sensor_flags *order);
void sensor_orders_respond(struct sensor_orders *o, const struct link_message *m);
