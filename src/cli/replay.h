// SPDX-License-Identifier: Apache-2.0
// Recorded events through process tree and rules, without clock, kernel or /proc.
#pragma once
#include "detect/detect.h"
#include "enrich/tree.h"

struct replay {
    struct detect *detect;
    struct detect_worker *worker;
    struct tree *tree;
    struct env env;
    struct arena arena; // of one event
    uint64_t time_ns;   // of the newest event
    uint64_t n_events, n_detections, n_prevented, n_suppressed;
    uint64_t *by_rule; // detections, by the rule's index
    void (*detection)(void *context, const Tiercel__Detection *d,
                      const Tiercel__Verdict *v); // may be NULL
    void *context;
};

// Rules with errors are told through `problem`; the others are used. `exceptions` may be NULL.
int replay_new(const char *rules, const char *exceptions,
               void (*problem)(void *context, const struct error *e), void *context,
               struct replay **ret, struct error *e);
struct replay *replay_free(struct replay *r);
int replay_event(struct replay *r, Tiercel__Event *event, struct error *e);
// A segment, a journal folder, a file of JSON lines, or "-". Negative errno with e, which has file and line.
int replay_file(struct replay *r, const char *path, struct error *e);
