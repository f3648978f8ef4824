// SPDX-License-Identifier: Apache-2.0
// The sensor's part of protected data (doc/protected.md): marks in the gate's group, set while the group is lent, and
// set again as files and folders come. The sensor reads no event of the gate; what comes and goes it hears by inotify.
#pragma once
#include "agent/role.h"
#include "sensor/protect.h"

struct sensor_protect {
    struct role_context *role;
    struct protect_marks *marks; // NULL: could not be begun, which was said
    bool armed, wants_group;
    uint64_t looked_ns;
    char told[160]; // the last reason in `doctor`
};
int sensor_protect_start(struct sensor_protect *p, struct role_context *role);
int sensor_protect_fd(const struct sensor_protect *p); // for poll(); -1: none
// Now and then, and when the descriptor is readable. True: the group is wanted.
bool sensor_protect_look(struct sensor_protect *p);
void sensor_protect_mark(struct sensor_protect *p, int group);
void sensor_protect_mounts_changed(struct sensor_protect *p);
void sensor_protect_disarm(struct sensor_protect *p); // the marks went with the group
