// SPDX-License-Identifier: Apache-2.0
// Orders of a hub, signed (schema/order.proto): made and signed at the hub, opened where they are carried out. Opening
// looks at the signature before it looks at anything else, then at client, host, time and sequence; so whoever carries
// an envelope can lose it and change nothing. Pure functions; nothing is read or written here.
#pragma once
#include "base/buf.h"
#include "base/error.h"
#include "link/response.h"

#define SIGNED_MAX 3000u // bytes of an envelope: with its head it is one message between roles
#define SIGNED_CLIENT 33 // with its NUL
#define SIGNED_LIFE_NS                                                                             \
    (30ull * 86400 * 1000000000) // the longest time in which an order may wait for its host
#define SIGNED_CLOCK_NS (300ull * 1000000000) // a host's clock may be behind the hub's by this much

struct signed_order {
    char client[SIGNED_CLIENT];
    uint8_t host[16];
    uint8_t all; // hosts of the client; then `host` is empty
    uint8_t unused[6];
    uint64_t sequence, issued_ns, expires_ns;
    uint64_t undoes; // not 0: the sequence of the order that ends, and `response` is empty
    struct response_order response;
};

// What a host knows of who may order: orders.trust in the agent's state folder, as it is. Written by `tiercel enrol`.
#define SIGNED_TRUST_FILE "orders.trust"
#define SIGNED_TRUST_MAGIC "TIERTRU1"
struct signed_trust {
    char magic[8];
    uint8_t key[32]; // the hub's public key, Ed25519
    uint8_t host[16];
    char client[SIGNED_CLIENT];
    uint8_t unused[7];
};

// Everything within its bounds: names end, the order is one that the host could take, times fit.
bool signed_order_good(const struct signed_order *order);
// -EINVAL not good; -EMSGSIZE too long, which only a very long path makes it.
int signed_pack(const struct signed_order *order, struct buf *to);
// Of the payload alone: for the hub, which made it. -EBADMSG.
int signed_unpack(struct str payload, struct signed_order *ret);
// A key from 32 random bytes.
int signed_key(const uint8_t seed[32], uint8_t ret_public[32], uint8_t ret_secret[64]);
int signed_seal(struct str payload, const uint8_t secret[64], struct buf *to);
// `last`: highest sequence that was opened before. 0; -EBADMSG no order or not whole; -EKEYREJECTED another signature;
// -EPERM another client or host; -ETIME over, or from the future; -EALREADY not newer than `last` (*ret is filled then,
// for the caller to find what became of it). *e says which and what to do.
int signed_open(struct str envelope, const struct signed_trust *trust, uint64_t last,
                uint64_t now_ns, struct signed_order *ret, struct error *e);
// The name under which a response that was ordered is kept: "order 17".
void signed_by(uint64_t sequence, char ret[RESPONSE_BY]);
