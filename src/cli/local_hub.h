// SPDX-License-Identifier: Apache-2.0
// A hub on this machine beside the agent, for `tiercel run --local-hub` (`make run`): made at the first time, this host
// enrolled as the only one of client "local", ended with the agent. Protection never waits for it: what goes wrong is said and
// that is all. A host that reports to another hub already is left as it is.
#pragma once
#include "base/buf.h"
#include "base/error.h"
#include "cli/child.h"

#define LOCAL_HUB_AGENTS "127.0.0.1:8443"
#define LOCAL_HUB_PEOPLE "127.0.0.1:8444"

struct local_hub {
    struct child_process child; // pid 0: none, or it runs as a service of its own
    char program[512], folder[512];
};
// `state`: of the agent; the hub's is beside it, STATE-hub. 0; 1: this host reports elsewhere; negative errno with the
// reason in e.
int local_hub_start(struct local_hub *h, const char *state, struct error *e);
// What it said since last asked is read and passed over, so that it never waits for us.
void local_hub_drain(struct local_hub *h);
void local_hub_stop(struct local_hub *h);
