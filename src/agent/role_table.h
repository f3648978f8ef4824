// SPDX-License-Identifier: Apache-2.0
// What each role may do: the one place. doc/roles.md says why; tests/kernel/test_roles.c compares it with the running
// daemon, src/agent/test_role_table.c tries what is forbidden.
#pragma once
#include "agent/role.h"
#include "os/sandbox.h"

// Users of the roles: numbers without an entry in /etc/passwd, so that nothing has to be set up. Outside the ranges of
// adduser (1000-59999 on request, but never counted down to), of Debian's own (60000-64999) and of systemd's dynamic users (61184-65519).
#define ROLE_UID_BASE 47800

struct role_spec {
    struct os_sandbox sandbox;
    uint32_t
        silent_ms; // running, and this long without a sign of life: it is killed and started again
};
const struct role_spec *role_spec(enum role role);

// The parent's own: permitted is what its children need between them, effective is what it uses.
uint64_t role_parent_permitted(void);
uint64_t role_parent_effective(void);
