// SPDX-License-Identifier: Apache-2.0
// Orders from their check to their end: check, intent on disk, act, end on disk, each state announced. One thread.
#pragma once
#include "respond/act.h"

// Always fills *ret; state REFUSED or FAILED says why in `what`. Dry run: nothing is written or done.
void run_order(const struct act_context *c, const struct response_order *order,
               struct response_result *ret);
// ends_as: RESPONSE_UNDONE or RESPONSE_EXPIRED.
void run_undo(const struct act_context *c, uint64_t id, bool only_try, uint32_t ends_as,
              struct response_result *ret);
// Every second: what is over is undone; what a crash left planned or being undone is brought to its end. What needs a
// role that is not there is left for the next time.
void run_settle(const struct act_context *c, uint64_t now_ns);
// A new engine (acts that the engine holds) or a new sensor: tells it what is in force. 0, or the last failure.
int run_renew(const struct act_context *c, bool engine);
