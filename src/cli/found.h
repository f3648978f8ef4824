// SPDX-License-Identifier: Apache-2.0
// What a look into the journal found: the last so many events or detections, and the verdicts by their detection.
// Messages are kept packed: a batch dies when the next is read.
#pragma once
#include "base/map.h"
#include "cli/filter.h"
#include "cli/journal.h"

#define FOUND_QUOTA ((size_t)1 << 18) // messages kept at most

struct found_item {
    uint8_t *p;
    size_t n;
};
struct found { // a ring of the last `limit`
    struct found_item *items;
    size_t n, first, limit;
};

int found_init(struct found *f, size_t limit); // limit 0 or over the quota: the quota
void found_done(struct found *f);
#define _cleanup_found_ __attribute__((cleanup(found_done)))
int found_add(struct found *f, const ProtobufCMessage *message);
struct found_item found_get(const struct found *f, size_t i); // oldest first

// Which kind is looked for.
enum look { LOOK_EVENTS, LOOK_DETECTIONS };

// What a batch says was lost, as an event to the reader: at the end of the time it was lost in. Borrows `loss`.
void found_loss(Tiercel__Loss *loss, Tiercel__Event *ret);
// Reads the journal from its newest segment back until `f` is full or the beginning is reached. *ret_last_id: the highest
// id there is, matching or not. Damage is told through `damage` and passed over.
int found_look(struct journal *j, enum look look, const struct filter *filter, struct found *f,
               void (*damage)(void *context, const struct error *e), void *context,
               uint64_t *ret_last_id, struct error *e);

// "12" or "#12". -EINVAL with e.
int found_parse_id(const char *text, uint64_t *ret, struct error *e);
// The detection with this id; free it with tiercel__detection__free_unpacked(). -ESRCH when there is none.
int found_detection(struct journal *j, uint64_t id, Tiercel__Detection **ret, struct error *e);

// All verdicts since a time, by detection; the last of each is kept.
struct verdicts {
    struct map by_detection;
};
int verdicts_load(struct journal *j, uint64_t since_ns, struct verdicts *ret, struct error *e);
int verdicts_put(struct verdicts *v, const Tiercel__Verdict *verdict); // copies
const Tiercel__Verdict *verdicts_get(const struct verdicts *v, uint64_t detection);
void verdicts_done(struct verdicts *v);
#define _cleanup_verdicts_ __attribute__((cleanup(verdicts_done)))
