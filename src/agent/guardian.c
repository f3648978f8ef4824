// SPDX-License-Identifier: Apache-2.0
// The guardian: lives in a control group of its own where that can be had, holds nothing of the gate, and ends its holders
// when both have stood still while programs wait for them (sensor/gate.h).
#include "agent/role.h"

int guardian_role(struct role_context *context)
{
    if (!context->table || role_tell(context, TOLD_READY, NULL, 0, -1) < 0)
        return 1;
    return gate_guardian_run(context->table, context->parent) < 0 ? 1 : 0;
}
