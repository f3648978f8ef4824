// SPDX-License-Identifier: Apache-2.0
// The sensor's part of protected data (doc/protected.md): marks in the gate's group, set while the group is lent, and
// set again as files and folders come. The sensor reads no event of the gate; what comes and goes it hears by inotify.
// While nothing is denied and the kernel's file programs work (LSM), they are given the same list to report opens by.
#pragma once
#include "agent/role.h"
#include "sensor/probe.h"
#include "sensor/protect.h"

struct sensor_protect {
    struct role_context *role;
    struct protect_marks *marks; // NULL: could not be begun, which was said
    const struct probe_fds *fds;
    bool armed, wants_group;
    struct {
        dev_t device;
        ino_t inode;
    } shown[2 * PROTECT_ROOTS]; // in the kernel's map
    size_t n_shown;
    uint64_t looked_ns;
    char told[160]; // the last reason in `doctor`
};
int sensor_protect_start(struct sensor_protect *p, struct role_context *role,
                         const struct probe_fds *fds);
int sensor_protect_fd(const struct sensor_protect *p); // for poll(); -1: none
// Now and then, and when the descriptor is readable. True: the group is wanted.
bool sensor_protect_look(struct sensor_protect *p);
void sensor_protect_mark(struct sensor_protect *p, int group);
void sensor_protect_mounts_changed(struct sensor_protect *p);
void sensor_protect_disarm(struct sensor_protect *p); // the marks went with the group
