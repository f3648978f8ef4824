// SPDX-License-Identifier: Apache-2.0
// Payloads and envelopes as anybody may send them; the payload is also signed, so that what is behind the signature is
// reached. What is taken is good and says the same when it is written again.
#include "base/cleanup.h"
#include "link/signed.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(const struct signed_order *o)
{
    struct signed_order other;
    _cleanup_buf_ struct buf b = {0};
    if (!signed_order_good(o))
        abort();
    if (signed_pack(o, &b) < 0) // too long for an envelope
        return;
    if (signed_unpack(buf_str(&b), &other) < 0)
        abort();
    if (other.sequence != o->sequence || strcmp(other.client, o->client) != 0 ||
        other.undoes != o->undoes || other.response.action != o->response.action ||
        strcmp(other.response.text, o->response.text) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t seed[32] = {1};
    struct signed_trust trust = {.magic = "TIERTRU", .client = "acme"};
    uint8_t secret[64];
    struct signed_order o;
    struct error e = {0};
    _cleanup_buf_ struct buf b = {0};
    struct str s = str_bytes(data, size);
    memcpy(trust.magic, SIGNED_TRUST_MAGIC, sizeof trust.magic);
    if (signed_key(seed, trust.key, secret) < 0)
        abort();
    if (signed_open(s, &trust, 0, 1000, &o, &e) == 0)
        again(&o);
    else if (!e.what[0])
        abort();
    if (signed_unpack(s, &o) == 0)
        again(&o);
    if (size && signed_seal(s, secret, &b) == 0)
        (void)signed_open(buf_str(&b), &trust, 0, 1000, &o, &e);
    return 0;
}
