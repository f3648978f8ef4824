// SPDX-License-Identifier: Apache-2.0
// Detections of one client become attempts: counted once, each with its reasons, its furthest stage and its outcome.
// Pure: batches of its hosts in any order, some of them twice, give the same attempts bit for bit; no clock, no files.
// What joins, and what a count means, is the counting rule: doc/attempts.md. Whoever changes what is counted raises
// ATTEMPT_RULE_VERSION. Times are nanoseconds since 1970.
//
// Use: give all batches three times, calling attempts_next() after each pass: detections first, then what their lineages
// did, then what others did with the same means. attempts_skip() says by its header what a pass does not need.
// Memory: some 300 bytes a detection, 5 KiB a lineage that was involved; every table has a cap and counts what it refused.
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "event/segment.h"

#define ATTEMPT_RULE "lineage, means, connection"
#define ATTEMPT_RULE_VERSION 1
#define ATTEMPT_QUIET_NS ((uint64_t)24 * 3600 * 1000000000)
#define ATTEMPT_ID_DIGITS 12
#define ATTEMPT_EVIDENCE 12 // kept of each kind a lineage: the earliest
#define ATTEMPT_MEANS 24    // of a lineage: the first in order of their bytes
#define ATTEMPT_TEXT 96
#define ATTEMPT_PROCESSES 32 // of a lineage: the first that were started

enum attempt_outcome { // least first
    ATTEMPT_STOPPED_BEFORE,
    ATTEMPT_STOPPED_AFTER,
    ATTEMPT_NOT_STOPPED,
    ATTEMPT_UNKNOWN, // not seen to go further, but not all was seen
    ATTEMPT_READ,    // protected data was read
    ATTEMPT_LEFT,    // data left the host
};

enum attempt_means_kind { ATTEMPT_ADDRESS, ATTEMPT_CONTENT, ATTEMPT_DROPPED };

struct attempt_means { // of one lineage
    enum attempt_means_kind kind;
    uint8_t value[32]; // address, SHA-256 of the content, or a hash of host and path
    char text[ATTEMPT_TEXT];
    uint64_t first, last;
    bool dropped; // the lineage itself made the file
};

enum attempt_evidence_kind { ATTEMPT_RAN, ATTEMPT_READS, ATTEMPT_SENT, ATTEMPT_EVIDENCE_KINDS };

struct attempt_evidence {
    uint64_t time, event;
    uint64_t bytes; // ATTEMPT_SENT
    char text[ATTEMPT_TEXT];
};
struct attempt_evidence_list { // the earliest
    struct attempt_evidence *all;
    size_t n;
    uint64_t count; // of all, kept or not
};

struct
    attempt_process { // that a detection's tree names: the service's main process down to what was detected
    uint64_t start;       // in units of 10 ms
    uint32_t pid, parent; // parent 0: not in the trees
    uint64_t told;        // when its command line was as shown: the last is
    bool detected, stopped;
    char text[ATTEMPT_TEXT];
};

struct attempt_detection {
    uint64_t name;           // hash of what follows: the number that an attempt's id is made of
    uint64_t time, id, rule; // rule: hash of its id
    uint8_t host[16];
    uint8_t unit[57];
    const char *title, *level;
    char *command; // cut
    uint32_t tactics;
    bool stopped, before; // before its first instruction, or before its effect
    uint8_t mechanism;
    uint64_t stopped_at; // 0: not
    size_t node;
};

// A process lineage, from one quiet period to the next. Below no lineage (the service itself acted): one event.
struct attempt_node {
    uint8_t host[16], boot[16];
    bool lineage;
    uint32_t pid; // of its first process
    const char *role, *service;
    uint64_t begin, end;         // of its detections
    uint64_t seen_from, seen_to; // with all that it did
    uint64_t acted;              // it last did something that was not refused; 0 never
    uint64_t stopped_last;       // 0 never
    bool stopped_before;         // each time before its effect
    uint64_t sent, sent_last;    // bytes to other hosts, and the end of the last such flow
    bool sent_much;
    struct attempt_evidence_list evidence[ATTEMPT_EVIDENCE_KINDS];
    struct attempt_means *means;
    size_t n_means;
    struct attempt_process *processes; // in order of their start
    size_t n_processes;
    size_t next;       // of the same lineage after a quiet period; SIZE_MAX none
    uint64_t chain[8]; // its ancestors, as hashes of their identity
    size_t n_chain;
    size_t first; // its first detection
    size_t n_detections;
    size_t attempt; // index
};

enum attempt_reason_kind {
    ATTEMPT_BY_LINEAGE,
    ATTEMPT_BY_EVENT, // several rules on what the service itself did
    ATTEMPT_BY_MEANS,
    ATTEMPT_BY_CONNECTION,
    ATTEMPT_BY_HAND,
};
struct attempt_reason {
    enum attempt_reason_kind kind;
    size_t a, b;    // nodes; the same: within one
    uint64_t apart; // nanoseconds
    enum attempt_means_kind means;
    char text[ATTEMPT_TEXT]; // the means, the connection, who and why
};

struct attempt {
    uint64_t id, campaign; // names of first detections
    uint64_t begin, end;
    size_t *detections, n_detections; // in order of time
    size_t *nodes, n_nodes;
    struct attempt_reason *reasons;
    size_t n_reasons;
    enum attempt_outcome outcome;
    enum attempt_outcome stopped; // one of the first three, whatever else is known
    int tried, reached;           // furthest tactic: attempt_tactic(); -1 none
    uint64_t sent, reads, ran;
    char blind[256]; // what was not seen in its time; empty: nothing
    size_t n_hosts;
};

// A merge or split by hand. Names are those of detections, so it holds whatever else comes.
#define ATTEMPT_CHANGE_NAMES 64
struct attempt_change {
    bool split;
    uint64_t time;
    char who[64], why[256];
    uint64_t
        names[ATTEMPT_CHANGE_NAMES]; // merge: the two; split: the attempt, then what goes out of it
    size_t n_names;
    bool applied;
};

struct attempts;                                            // state
int attempts_new(uint64_t quiet_ns, struct attempts **ret); // 0: ATTEMPT_QUIET_NS
struct attempts *attempts_free(struct attempts *a);
// For segment_next(): true when this pass needs nothing of a batch. `context` is the struct attempts.
bool attempts_skip(void *context, const struct segment_info *info);
int attempts_take(struct attempts *a, const Tiercel__Batch *batch); // 0, -ENOMEM
// Ends a pass. 1: give all batches again; 0: done, results may be asked for; -ENOMEM.
int attempts_next(struct attempts *a);
// Before the last attempts_next(). Lines as attempt_change_print() makes them; damaged ones are errors with their line.
int attempts_changes(struct attempts *a, struct str text, struct error *e);
// Records of a host that never came: whatever it did then was not seen. After the first attempts_next(), any order.
void attempts_gap(struct attempts *a, const uint8_t host[16], uint64_t from_ns, uint64_t to_ns,
                  uint64_t records);
void attempt_change_print(const struct attempt_change *c, struct buf *out);

size_t attempts_count(const struct attempts *a); // in order of their begin
const struct attempt *attempts_get(const struct attempts *a, size_t i);
const struct attempt_detection *attempts_detection(const struct attempts *a, size_t i);
const struct attempt_node *attempts_node(const struct attempts *a, size_t i);
const struct attempt_change *attempts_change(const struct attempts *a,
                                             size_t i); // NULL behind the last
bool attempt_touched(const struct attempts *a, const struct attempt *one,
                     const struct attempt_change *c);
// How many processes without any detection use a lineage's means as well, at most 3: then it says nothing.
size_t attempt_means_others(const struct attempts *a, const struct attempt_means *m);
uint64_t attempts_refused(
    const struct attempts *a); // by full tables: then counts are short by at least this
// By the first digits of the id, or those of any detection in it. 0; -ESRCH; -EEXIST: several.
int attempts_find(const struct attempts *a, struct str id, size_t *ret, struct error *e);
// The name of a detection, as a member of a batch. What `unit` it belongs to is not in it.
uint64_t attempt_name(const uint8_t host[16], const Tiercel__Detection *d);

const char *attempt_outcome_words(enum attempt_outcome outcome);
const char *attempt_tactic(int tactic); // "lateral movement"; "none"
void attempt_reason_words(const struct attempts *a, const struct attempt *one,
                          const struct attempt_reason *r, struct buf *out); // not escaped
void attempt_id_words(uint64_t name, char ret[ATTEMPT_ID_DIGITS + 1]);
void attempt_print_json(const struct attempts *a, const struct attempt *one, struct buf *out);
