// SPDX-License-Identifier: Apache-2.0
// Compiled rules applied to enriched events: detections, and what they ask for. Pure: the same events in the same order
// give the same detections. Knows neither kernel nor process tree; the time is the events'.
#pragma once
#include "base/arena.h"
#include "base/error.h"
#include "rule/rule.h"
#include "tiercel.pb-c.h"

struct detect;        // rules, exceptions, correlation state, dedup; the engine's lock guards it
struct detect_worker; // scratch of one thread

int detect_new(struct detect **ret);
struct detect *detect_free(struct detect *d);
// A folder is read recursively: *.yml, without *.test.yml. Every problem is told; none stops the others.
// Returns the number of rules in use; *ret_problems counts files refused.
int detect_load(struct detect *d, const char *folder,
                void (*problem)(void *context, const struct error *e), void *context,
                unsigned *ret_problems);
int detect_load_file(struct detect *d, const char *file, struct error *e);
// All or nothing. -ENOENT when there is no such file.
int detect_load_exceptions(struct detect *d, const char *file, struct error *e);
// Does a reviewed exception lift what this rule (or built-in detection) forbids about the event? Its id lives as long as d.
bool detect_lifts(const struct detect *d, struct str rule_id, const Tiercel__Event *event,
                  struct str *ret_id);
uint64_t detect_exceptions(const struct detect *d);  // in force at the newest event's time
int detect_ready(struct detect *d, struct error *e); // compiles
const struct rule_set *detect_rules(const struct detect *d);
uint64_t detect_suppressed(const struct detect *d); // detections that the flood limit kept back

int detect_worker_new(const struct detect *d, struct detect_worker **ret);
struct detect_worker *detect_worker_free(struct detect_worker *w);

struct detect_result {
    Tiercel__Detection **detections; // without id, time and tree: the engine adds these
    const struct rule **rules;       // the rule of each
    size_t n;
    bool prevent;      // some rule that no exception lifts asks for prevention
    bool kill_lineage; // one of these rules asks for the whole lineage
    size_t decisive;   // index of the detection that decided, when prevent
    bool
        repeated; // the decisive one is over the flood limit: it stands here, but need not be recorded
    size_t
        suppressed; // left out by the flood limit: 20 a minute of one rule in one lineage; final events only
    struct str exception; // id of the exception that lifted one; lives as long as d
    unsigned limits;      // regular expressions given up at their match limit, counted as no match
};
// All detections of one enriched event. Lives in the arena. Correlations count only when `final` (an exec that is only
// asked about at the gate is not counted yet unless it is denied). A correlation's detection carries the earlier events
// by their id alone and this one in full. 0, or -ENOMEM: then nothing is known about the event.
// detect_question(): not final, and the event's current directory and descriptors are not in it yet: look() puts them
// there, once, if a rule comes to need them.
int detect_question(struct detect *d, struct detect_worker *w, const Tiercel__Event *event,
                    void (*look)(void *context), void *context, struct arena *arena,
                    struct detect_result *ret);
int detect_event(struct detect *d, struct detect_worker *w, const Tiercel__Event *event, bool final,
                 struct arena *arena, struct detect_result *ret);
// What this rule asked for was done. True: it did so more than 30 times within a minute, so it only detects for the next.
bool detect_prevented(struct detect *d, const struct rule *rule, const Tiercel__Event *event);
