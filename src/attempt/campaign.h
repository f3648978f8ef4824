// SPDX-License-Identifier: Apache-2.0
// Campaigns across clients: attempts of different clients that used the same address outside of private networks, or a
// program of the same content. Only the hub's operator may see who they are; what one client may be told about the others
// is campaign_elsewhere() and nothing else. Pure, and the same whatever the order of what is given.
#pragma once
#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CAMPAIGN_LEAST                                                                             \
    5 // other clients: fewer of them are not told of at all, nor a sector with fewer
#define CAMPAIGN_OTHERS                                                                            \
    3 // processes without detection, of all clients: what they use as well joins nothing
#define CAMPAIGN_ADDRESS_NS ((uint64_t)90 * 24 * 3600 * 1000000000) // an address changes hands
#define CAMPAIGN_SIGHTINGS_MAX ((size_t)1 << 20)

struct campaign_sighting { // of a means in an attempt
    size_t client;         // index
    uint64_t attempt, begin, end;
    uint32_t kind;   // enum attempt_means_kind
    uint32_t others; // processes without detection of this client that use it as well
    uint8_t value[32];
    const char *text; // borrowed until campaigns_free()
};

struct campaign_member {
    size_t client;
    uint64_t attempt;
};
struct campaign_reason {
    uint32_t kind;
    const char *text;
    size_t clients, attempts;
    uint64_t first, last;
    uint32_t others; // 0: exclusive, seen in attempts only
};
struct campaign {
    uint64_t id; // that of its first attempt
    uint64_t begin, end;
    struct campaign_member *members; // in order of client, then attempt
    size_t n_members, n_clients;
    struct campaign_reason *reasons;
    size_t n_reasons;
};

struct campaigns;
// Sorts `all` in place. 0, -ENOMEM, -E2BIG.
int campaigns_join(struct campaign_sighting *all, size_t n, struct campaigns **ret);
struct campaigns *campaigns_free(struct campaigns *c);
size_t campaigns_count(const struct campaigns *c); // only those of two clients or more
const struct campaign *campaigns_get(const struct campaigns *c, size_t i);
const struct campaign *campaigns_of(const struct campaigns *c, size_t client, uint64_t attempt);
// What `client` may be told, a sentence; nothing when there is nothing that may be told. Numbers are steps that one client
// more or less seldom moves. sectors[i]: of client i.
void campaign_elsewhere(const struct campaign *c, size_t client, const char *const *sectors,
                        struct buf *out);
