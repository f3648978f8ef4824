// SPDX-License-Identifier: Apache-2.0
// Attempts of one client as the hub shows them: FOLDER/attempts.db. Made only from the client's segments, the gaps in its
// chains and the merges and splits by hand that are kept here, so that it may be deleted but for these. Its writers take
// turns (SQLite's lock), readers never wait for them; the store of events (store.h) may be open meanwhile.
// A run of the joining: begin, put each attempt, end. What was not put is gone after a whole run; a quick look (of the newest
// data only) adds what is new and takes nothing away. Both together appear at once or not at all.
#pragma once
#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

#define STORE_ATTEMPT_JSON_MAX ((size_t)8 << 20) // of one; longer ones are refused
#define STORE_ATTEMPT_CHANGES_MAX 10000

struct store_means { // what it used, that other clients may have met as well
    uint32_t kind;
    uint32_t others; // processes without detection that use it as well
    uint8_t value[32];
    const char *text;
};

struct store_attempt {
    uint64_t id, campaign; // names of first detections
    uint64_t begin_ns, end_ns;
    uint32_t outcome, n_detections, n_hosts;
    bool quick; // of a quick look: more may be known after the next whole run
    struct str json;
    // Only given to put():
    const uint64_t *names; // of its n_detections detections
    const uint8_t (*hosts)[16];
    uint64_t seen_from_ns, seen_to_ns; // evidence lies here: retention keeps it of these hosts
    const struct store_means *means;
    size_t n_means;
};

struct store_attempts;
// With `create` the file is made; without, -ENOENT where there is none.
int store_attempts_open(const char *folder, bool create, struct store_attempts **ret,
                        struct error *e);
struct store_attempts *store_attempts_close(struct store_attempts *s);

int store_attempts_begin(struct store_attempts *s, bool quick, struct error *e);
int store_attempts_put(struct store_attempts *s, const struct store_attempt *one, struct error *e);
// `status` is a line of JSON about the run (store_attempts_status()). After a failure nothing of the run is there.
int store_attempts_end(struct store_attempts *s, struct str status, struct error *e);
void store_attempts_cancel(struct store_attempts *s);

// Newest first, those that ended at since_ns or later, at most limit (0: all). each() returns 0 to go on; its views die
// with the call.
int store_attempts_each(struct store_attempts *s, uint64_t since_ns, uint64_t limit,
                        int (*each)(void *context, const struct store_attempt *one), void *context,
                        struct error *e);
// By the first digits (4 at least) of its id or of that of any detection in it. 0; -ESRCH; -EEXIST: several begin so.
int store_attempts_find(struct store_attempts *s, struct str id, uint64_t *ret_id, struct error *e);
int store_attempts_get(struct store_attempts *s, uint64_t id,
                       int (*each)(void *context, const struct store_attempt *one), void *context,
                       struct error *e); // -ESRCH
int store_attempts_status(struct store_attempts *s, struct buf *ret, struct error *e);

// Merges and splits by hand: lines that are only ever added to, durable at once.
int store_attempts_change(struct store_attempts *s, struct str line, struct error *e);
int store_attempts_changes(struct store_attempts *s, struct buf *ret, uint64_t *ret_n,
                           struct error *e);

// Means of all attempts, in order of kind and value.
int store_attempts_means(struct store_attempts *s,
                         int (*each)(void *context, const struct store_attempt *of,
                                     const struct store_means *means),
                         void *context, struct error *e);

// Where evidence of attempts lies; store_retain() keeps it.
int store_attempts_evidence(struct store_attempts *s,
                            int (*each)(void *context, const uint8_t host[16], uint64_t from_ns,
                                        uint64_t to_ns),
                            void *context, struct error *e);

// Attempts that began before stay as they are: retention has taken some of the data that they were told from.
int store_attempts_seal(struct store_attempts *s, uint64_t before_ns, struct error *e);

// ---- what the joining needs to know of the store, without opening it for writing

struct store_position { // how far a reader has looked
    uint64_t file, offset;
};
struct store_news {
    uint64_t batches, events, detections, verdicts;
    uint64_t newest_ns; // in them
};
// Headers of the records that came since *position (zero: of all), which is moved. A damaged place is passed over.
int store_news(const char *folder, struct store_position *position, struct store_news *ret,
               struct error *e);
struct store_gap;
// As store_gaps(), of a store that another process may be writing to.
int store_gaps_read(const char *folder, int (*each)(void *context, const struct store_gap *gap),
                    void *context, struct error *e);
