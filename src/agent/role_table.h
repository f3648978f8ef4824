// SPDX-License-Identifier: Apache-2.0
// What each role may do: the one place. doc/roles.md says why; tests/kernel/test_roles.c compares it with the running
// daemon, src/agent/test_role_table.c tries what is forbidden.
#pragma once
#include "agent/role.h"
#include "os/sandbox.h"

// Users of the roles: numbers without an entry in /etc/passwd, so that nothing has to be set up. 65520 to 65533 are given
// out by nobody: above adduser's (to 59999), Debian's own (to 64999) and systemd's dynamic users (to 65519), below nobody.
#define ROLE_UID_BASE 65520

struct role_spec {
    struct os_sandbox sandbox;
    uint32_t
        silent_ms; // running, and this long without a sign of life: it is killed and started again
};
const struct role_spec *role_spec(enum role role);

// The parent's own: permitted is what its children need between them, effective is what it uses.
uint64_t role_parent_permitted(void);
uint64_t role_parent_effective(void);
