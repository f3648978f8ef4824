// SPDX-License-Identifier: Apache-2.0
// The live view: what comes into the journal, shown as it comes. A detection waits up to a second for its verdict; a
// verdict that comes later gets a line of its own.
#pragma once
#include "cli/found.h"

struct live_options {
    int (*as)(const Tiercel__Event *event,
              struct buf *out); // a line of an event; NULL: json, or for people
    struct filter filter;
    bool events, detections; // what is shown
    bool json;
    bool tree;                             // under each detection
    uint64_t after_event, after_detection; // ids seen already
    uint64_t since_ns;                     // nothing older; 0: no limit
};

#define LIVE_PENDING 64

struct live {
    const struct term *term;
    struct live_options options;
    struct journal *journal; // borrowed
    struct arena arena;
    struct buf out;
    struct {
        Tiercel__Detection *detection;
        uint64_t shown_at_ns; // CLOCK_MONOTONIC when it is shown even without a verdict
    } pending[LIVE_PENDING];
    size_t n_pending;
    uint64_t n_events, n_detections, n_stopped; // shown
};

void live_init(struct live *l, const struct term *term, struct journal *journal,
               const struct live_options *options);
void live_done(struct live *l);
// Shows what is there now; waits up to timeout_ms when nothing is. 0, or negative errno: -EINTR a signal came, -EPIPE
// the reader left.
int live_step(struct live *l, int timeout_ms, struct error *e);

// One detection, or one event, as a line of JSON: the schema's own form; a detection carries its "verdict".
void live_json_detection(const Tiercel__Detection *d, const Tiercel__Verdict *verdict,
                         struct buf *out);

// Runs live_step() until a signal that ends programs, or --for is over (0: never). Blocks nothing else.
int live_run(struct live *l, uint64_t for_ns, struct error *e);
