// SPDX-License-Identifier: Apache-2.0
// What a control group's path says: the init system's unit and the container. Views into the path.
#pragma once
#include "base/str.h"

struct str
cgroup_unit(struct str path); // deepest "*.service" or "*.scope"; else the last component
struct str cgroup_container(struct str path); // 12 to 64 hexadecimal digits, or empty
