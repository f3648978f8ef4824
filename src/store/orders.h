// SPDX-License-Identifier: Apache-2.0
// A hub's orders and what became of them, in hub.db (registry.h says how it is shared): a command writes an order down,
// core has it signed, hosts fetch it and answer. An order is numbered within its client and never changed or taken back;
// what ends it is another order. Limits: ORDERS_MAX a client that are not over, ORDERS_KEPT days of those that are.
#pragma once
#include "base/buf.h"
#include "base/error.h"

#define ORDERS_MAX 65536u // of one client, not over
#define ORDERS_KEPT_NS (400ull * 86400 * 1000000000)
#define ORDERS_ENVELOPE_MAX 3000u
#define ORDERS_WHAT 400

struct orders;
int orders_open(const char *file, struct orders **ret, struct error *e); // the file is there
struct orders *orders_close(struct orders *o);

struct orders_new {
    const char *client, *what, *by; // what: as people read it
    const uint8_t *host;            // 16 bytes; NULL: all hosts
    uint64_t now_ns, expires_ns;
    // Makes the payload of the order with this number.
    int (*make)(void *context, uint64_t sequence, struct buf *ret_payload, struct error *e);
    void *context;
};
// -ENOENT no such client or host (revoked ones are none); -ENOSPC.
int orders_add(struct orders *o, const struct orders_new *n, uint64_t *ret_sequence,
               struct error *e);
// Whether another process changed the file since the last call; true the first time.
bool orders_changed(struct orders *o);

struct orders_unsigned {
    char client[65];
    uint64_t sequence;
    struct buf payload;
};
// The next one that is not signed: 1, 0 none. The caller's: buf_done(&ret->payload).
int orders_next_unsigned(struct orders *o, struct orders_unsigned *ret);
int orders_put_envelope(struct orders *o, const char *client, uint64_t sequence,
                        struct str envelope);
// What this host has not answered for and is not over, the lowest number first. 1, 0 none.
int orders_next(struct orders *o, const char *client, const uint8_t host[16], uint64_t now_ns,
                uint64_t *ret_sequence, uint8_t ret[ORDERS_ENVELOPE_MAX], size_t *ret_n);

struct orders_result {
    uint64_t sequence, response, time_ns;
    uint32_t state;
    int32_t code;
    uint8_t host[16];
    char what[ORDERS_WHAT];
};
// The last one counts. -ENOENT: no such order for this host.
int orders_result(struct orders *o, const char *client, const struct orders_result *r);

struct orders_row {
    uint64_t sequence, issued_ns, expires_ns, answers;
    uint8_t host[16];
    bool all, is_signed;
    char what[ORDERS_WHAT], by[65];
};
// Newest first, at most `most`. each() returns 0 to go on.
int orders_each(struct orders *o, const char *client, uint64_t most,
                int (*each)(void *context, const struct orders_row *row), void *context);
int orders_results_each(struct orders *o, const char *client, uint64_t sequence,
                        int (*each)(void *context, const struct orders_result *r), void *context);
