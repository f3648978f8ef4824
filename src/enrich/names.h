// SPDX-License-Identifier: Apache-2.0
// Which name led to an address: answers of name servers are remembered, and connections and flows get the name. First
// what the process itself was told, then what anybody in its container (or on the host outside of all) was told.
// Bounded: the newest 4,096 pairs; an older one gives way and is counted. A name counts from its answer until its TTL has
// passed (at least 30 s, at most a day) and a minute more, because programs keep addresses; for a flow, when it began.
// Owned by the engine, one thread at a time (the engine's lock).
#pragma once
#include "base/arena.h"
#include "base/str.h"
#include "tiercel.pb-c.h"

struct names;

int names_new(struct names **ret); // 0 or -ENOMEM
struct names *names_free(struct names *names);

// An answer is learned; a connection or a flow gets its host_name. Other events are left alone. The process must be
// complete.
void names_take(struct names *names, Tiercel__Event *event, struct arena *arena);

// Addresses that are current for this domain or a name below it (ASCII case does not matter), each once; for whoever
// denies a domain: in future answers too, so ask after every answer. `until`: when the last TTL has passed.
void names_of_domain(const struct names *names, struct str domain, uint64_t now,
                     void (*take)(void *context, struct str ip, uint64_t until), void *context);

struct names_stats {
    uint64_t known, replaced; // pairs; such as gave way before their time
};
struct names_stats names_stats(const struct names *names);
