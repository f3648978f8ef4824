// SPDX-License-Identifier: Apache-2.0
// Looking for something in stored events: an agent's journal, a hub client's folder, a segment file. What the catalogue
// and the clear headers say is used to read as little as possible; of what is left, one batch is in memory at a time.
#pragma once
#include "cli/filter.h"
#include "detect/detect.h"
#include "event/segment_record.h"
#include "store/store.h"

#define HUNT_KEYS 256  // values
#define HUNT_NEEDLES 4 // of more values a look at each event costs less
#define HUNT_HOSTS 256
#define HUNT_RULES 512 // files and folders of rules

struct hunt {
    struct filter filter;  // conditions on events, time
    struct detect *detect; // NULL: no rules, every event that passes the filter is found
    struct detect_worker *worker;
    uint64_t kinds; // that a rule or condition can concern; 0: all
    uint64_t keys[HUNT_KEYS];
    size_t n_keys;
    struct str
        needles[HUNT_NEEDLES]; // bytes that a batch must have; used when there is one for each key
    uint8_t needle_bytes[HUNT_NEEDLES][32];
    size_t n_needles;
    uint8_t hosts[HUNT_HOSTS][16];
    size_t n_hosts;
    uint64_t limit; // results; 0: all
    struct segment_opener *opener;
    struct arena arena; // of one event
    struct store_walk_counts counts;
    uint64_t events, results, suppressed,
        limits; // looked at; found; by the flood limit; regular expressions given up
    // Views that die with the call. Not zero: stop.
    int (*found)(void *context, const uint8_t host[16], Tiercel__Event *event,
                 Tiercel__Detection *detection);           // detection: NULL without rules
    void (*progress)(void *context, const struct hunt *h); // after each batch; may be NULL
    void (*problem)(void *context, const struct error *e); // a damaged place, passed over
    void *context;
};

int hunt_init(struct hunt *h, struct error *e);
void hunt_done(struct hunt *h);
// Rules of a file or folder; then hunt_rules_ready() once.
int hunt_rules_add(struct hunt *h, const char *path, struct error *e);
int hunt_rules_ready(struct hunt *h, struct error *e);
// A hash in hexadecimal, an address, a domain, a path; text must live as long. -EINVAL with e.
int hunt_key_add(struct hunt *h, enum store_key_type type, const char *text, struct error *e);
int hunt_host_add(struct hunt *h, const char *text, struct error *e); // 32 hexadecimal digits
// 0: through; 1: the limit was reached, or found() stopped it.
int hunt_run(struct hunt *h, const char *place, struct error *e);
