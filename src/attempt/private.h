// SPDX-License-Identifier: Apache-2.0
// Inside of src/attempt/. A unit is a lineage (or an event, where there is none); a node is a unit between two quiet
// periods. Tables are sorted before anything is derived from them, so that no arrival order shows.
#pragma once
#include "attempt/attempt.h"
#include "base/map.h"

#define DETECTIONS_MAX ((size_t)1 << 17)
#define UNIT_KEY 57 // kind, host, boot, two numbers
#define PROCESSES_MAX ((size_t)1 << 18)
#define LOSSES_MAX ((size_t)1 << 16)
#define OUTS_MAX ((size_t)1 << 19) // connections that lineages opened
#define LINKS_MAX ((size_t)4096)
#define OTHERS 3 // processes that use the same means without being detected: then it says nothing
#define SENT_MUCH 1024 // bytes of one flow: more than a request for a file

enum { UNIT_LINEAGE, UNIT_EVENT, UNIT_DETECTION, KEY_PROCESS, KEY_COOKIE };
enum { PASS_DETECTIONS, PASS_LINEAGES, PASS_OTHERS, PASS_DONE };

struct seen { // set of hashes
    uint64_t *slots;
    size_t n, cap;
};

struct verdict_fact {
    uint8_t host[16];
    uint64_t detection, time, id;
    bool stopped, before;
    uint8_t mechanism;
};

struct blind { // of a host: what was lost, or what it says of its coverage from then on
    uint8_t host[16];
    uint64_t from, to, count;
    uint8_t what; // bits BLIND_*
    bool coverage;
    size_t counted; // of the last attempt that it was counted for: its index + 1
};
enum { BLIND_PROGRAMS = 1, BLIND_READS = 2, BLIND_FLOWS = 4, BLIND_ALL = 7 };

struct keyed { // a key of a unit, process or socket, and the first node it leads to
    uint8_t key[UNIT_KEY];
    size_t node;
};

struct means {                // as all lineages use it
    struct attempt_means *of; // one of them
    size_t *nodes, n_nodes;
    uint64_t others[OTHERS];
    size_t n_others;
    bool dropped;
};

struct out { // a connection that a lineage opened
    uint8_t tuple[36];
    uint64_t time;
    size_t node;
};
struct in { // and the other end of it
    struct out from;
    uint8_t host[16];
    uint64_t time, acceptor;
    bool web;
};

struct attempts {
    uint64_t quiet;
    int pass;
    struct arena arena;
    struct map texts; // interned
    struct seen batches;
    uint64_t refused;
    struct attempt_detection *detections;
    size_t n_detections, cap_detections;
    struct verdict_fact *verdicts;
    size_t n_verdicts, cap_verdicts;
    struct attempt_node *nodes;
    size_t n_nodes, cap_nodes;
    struct map units, processes; // key -> struct keyed
    struct map names;            // of detections -> its index + 1
    uint8_t (*hosts)[16];        // with detections, in order
    size_t n_hosts;
    struct blind *blinds;
    size_t n_blinds, cap_blinds;
    struct means *means;
    size_t n_means;
    struct map means_by_value;
    struct out *outs;
    size_t n_outs, cap_outs;
    struct in *ins;
    size_t n_ins, cap_ins;
    struct attempt_change *changes;
    size_t n_changes, cap_changes;
    struct attempt_reason *reasons;
    size_t n_reasons, cap_reasons;
    size_t *label, *campaign; // of each node
    struct attempt *all;
    size_t n_all;
};

struct origin { // of a batch
    uint8_t host[16], boot[16];
};
struct origin origin_of(const Tiercel__Batch *batch);
void unit_key(const struct origin *o, int kind, uint64_t x, uint64_t y, uint8_t ret[UNIT_KEY]);
uint64_t process_hash(const struct origin *o, const Tiercel__ProcessId *id);
const Tiercel__Process *acting(const Tiercel__Detection *d);
const char *interned(struct attempts *a, struct str s);
// Grows *p to hold one more; false at `most` (counted) or without memory.
bool room(struct attempts *a, void *p, size_t n, size_t *cap, size_t size, size_t most);
void command_of(const Tiercel__Process *p, char *ret, size_t size);

int watch_batch(struct attempts *a, const Tiercel__Batch *b, const struct origin *o);  // pass 2
int others_batch(struct attempts *a, const Tiercel__Batch *b, const struct origin *o); // pass 3
struct attempt_node *node_of(struct attempts *a, const struct origin *o, const Tiercel__Event *e);
struct attempt_node *node_at(struct attempts *a, const uint8_t key[UNIT_KEY], uint64_t time);
void evidence_add(struct attempts *a, struct attempt_evidence_list *l,
                  const struct attempt_evidence *one);

int by_tuple(const void *p, const void *q); // struct out

// process.c
void processes_of_detection(struct attempts *a, const struct attempt_detection *one,
                            const Tiercel__Detection *d);
void processes_print(const struct attempt_node *n, struct buf *out);

void means_add(struct attempts *a, struct attempt_node *n, const struct attempt_means *m);
void means_of_event(struct attempts *a, const struct origin *o, struct attempt_node *n,
                    const Tiercel__Event *e);
void means_of_detection(struct attempts *a, const struct origin *o, struct attempt_node *n,
                        const Tiercel__Detection *d);
int means_collect(struct attempts *a);
void means_others(struct attempts *a, const struct origin *o, const Tiercel__Event *e);
bool address_is_here(const uint8_t value[32]);
bool address_value(const Tiercel__Address *from, uint8_t ret[32], char *text, size_t size);

int join(struct attempts *a);
int outcomes(struct attempts *a);
uint32_t tactics_of(const Tiercel__Detection *d);
