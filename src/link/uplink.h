// SPDX-License-Identifier: Apache-2.0
// The agent's end of the hub link: asks the hub where its copy of the chain ends, sends the records behind that, again and
// again. At most one request is under way. The hub's answer is the only state, so nothing is lost or sent for good twice
// whoever dies when. Doc: doc/hub-link.md. One thread; owner: the caller.
#pragma once
#include "link/control.h"
#include "link/enrolment.h"
#include "link/spool.h"

#define UPLINK_LIVE_MS 1000u    // between two requests of a host that is not behind
#define UPLINK_LIVE_EVENTS 1000 // in one of them; more are the next one at once
#define UPLINK_CATCH_UP_BYTES ((size_t)1 << 20)

struct uplink_options {
    const struct enrolment *enrolment; // lives as long as the uplink
    struct spool_source source;
    uint64_t (*now_ms)(void *context); // monotonic
    uint32_t (*random)(void *context); // jitter, so that hosts do not come back all at once
    bool (*go_on)(void *context);      // false ends a request; may be NULL
    void *context;
    struct control_uplink *state; // written as it goes
};
struct uplink;
// Loads libcurl: before a sandbox closes.
int uplink_new(const struct uplink_options *options, struct uplink **ret, struct error *e);
struct uplink *uplink_free(struct uplink *u);
// One request at most. Milliseconds until it wants to be called again (0: at once).
uint32_t uplink_step(struct uplink *u);
// Wait after the n-th failure in a row: doubles from 1 s to 2 minutes, half of it by chance.
uint32_t uplink_retry_ms(unsigned failures, uint32_t chance);
