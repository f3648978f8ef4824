// SPDX-License-Identifier: Apache-2.0
// Detections that a client's hosts sent, joined into attempts. One run reads the client's segments (three passes, most
// batches passed over by their headers) and puts what came out into attempts.db: the same segments, gaps and changes by
// hand give the same rows, so a run that was cut short is simply made again. Reads beside core, which may write meanwhile.
#pragma once
#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>

struct hub_join {
    uint64_t from_ns; // a quick look from then on; 0: a whole run
    // Now and then during the run; what it returns but 0 ends the run with that. May be NULL.
    int (*between)(void *context);
    void *context;
};
struct hub_joined {
    uint64_t detections, attempts, batches;
};
// `folder`: of the client. 0 or negative errno; then nothing was changed.
int hub_attempts_join(const char *folder, const struct hub_join *how, struct hub_joined *ret,
                      struct error *e);
