// SPDX-License-Identifier: Apache-2.0
#include "link/signed.h"
#include "base/cleanup.h"
#include "order.pb-c.h"
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

static const char PURPOSE[16] = "tiercel order 1"; // so that no other thing signed is an order

bool signed_order_good(const struct signed_order *o)
{
    static const uint8_t none[16];
    static const struct response_order nothing;
    if (!memchr(o->client, 0, sizeof o->client) || !o->client[0] || o->all > 1 || !o->sequence ||
        (o->all && memcmp(o->host, none, sizeof none) != 0) || o->expires_ns <= o->issued_ns ||
        o->expires_ns - o->issued_ns > SIGNED_LIFE_NS)
        return false;
    if (o->undoes)
        return o->undoes < o->sequence && memcmp(&o->response, &nothing, sizeof nothing) == 0;
    return response_order_valid(&o->response);
}

// ---- payload

int signed_pack(const struct signed_order *o, struct buf *to)
{
    Tiercel__Order__Order m = TIERCEL__ORDER__ORDER__INIT;
    ProtobufCBinaryData addresses[RESPONSE_ADDRESSES];
    uint8_t bytes[RESPONSE_ADDRESSES][17];
    const struct response_order *r = &o->response;
    if (!signed_order_good(o))
        return -EINVAL;
    m.client = (char *)(uintptr_t)o->client;
    m.has_host = !o->all;
    m.host = (ProtobufCBinaryData){sizeof o->host, (uint8_t *)(uintptr_t)o->host};
    m.has_sequence = m.has_issued = m.has_expires = true;
    m.sequence = o->sequence;
    m.issued = o->issued_ns;
    m.expires = o->expires_ns;
    m.has_undoes = o->undoes != 0;
    m.undoes = o->undoes;
    if (!o->undoes) {
        m.has_action = true;
        m.action = r->action;
        m.has_flags = (m.flags = r->flags) != 0;
        m.has_lasts = (m.lasts = r->lasts_ns) != 0;
        m.has_pid = (m.pid = r->pid) != 0;
        m.has_start = (m.start = r->start_ns) != 0;
        m.has_sha256 = r->action == RESPONSE_BLOCK_HASH;
        m.sha256 = (ProtobufCBinaryData){sizeof r->sha256, (uint8_t *)(uintptr_t)r->sha256};
        m.has_text = r->text[0] != 0;
        m.text = (ProtobufCBinaryData){strlen(r->text), (uint8_t *)(uintptr_t)r->text};
    }
    for (size_t i = 0; i < r->n_addresses; i++) {
        memcpy(bytes[i], r->addresses[i].ip, r->addresses[i].bytes);
        bytes[i][r->addresses[i].bytes] = r->addresses[i].prefix;
        addresses[i] = (ProtobufCBinaryData){r->addresses[i].bytes + 1u, bytes[i]};
    }
    m.addresses = addresses;
    m.n_addresses = r->n_addresses;
    size_t n = tiercel__order__order__get_packed_size(&m);
    if (n > SIGNED_MAX - 96) // signature, key and their heads
        return -EMSGSIZE;
    uint8_t *room = buf_room(to, n);
    if (!room)
        return -ENOMEM;
    to->n += tiercel__order__order__pack(&m, room);
    return 0;
}

static int take_response(const Tiercel__Order__Order *m, struct response_order *ret)
{
    if (m->n_addresses > RESPONSE_ADDRESSES || m->text.len >= sizeof ret->text ||
        (m->has_sha256 && m->sha256.len != sizeof ret->sha256) ||
        (m->text.len && memchr(m->text.data, 0, m->text.len)))
        return -EBADMSG;
    ret->action = m->action;
    ret->flags = m->flags;
    ret->lasts_ns = m->lasts;
    ret->pid = m->pid;
    ret->start_ns = m->start;
    if (m->has_sha256)
        memcpy(ret->sha256, m->sha256.data, sizeof ret->sha256);
    if (m->text.len)
        memcpy(ret->text, m->text.data, m->text.len);
    for (size_t i = 0; i < m->n_addresses; i++) {
        const ProtobufCBinaryData *a = &m->addresses[i];
        if (a->len != 5 && a->len != 17)
            return -EBADMSG;
        memcpy(ret->addresses[i].ip, a->data, a->len - 1);
        ret->addresses[i].bytes = (uint8_t)(a->len - 1);
        ret->addresses[i].prefix = a->data[a->len - 1];
    }
    ret->n_addresses = (uint32_t)m->n_addresses;
    return 0;
}

static int take(const Tiercel__Order__Order *m, struct signed_order *ret)
{
    if (!m->client || strlen(m->client) >= sizeof ret->client ||
        (m->has_host && m->host.len != sizeof ret->host))
        return -EBADMSG;
    memset(ret, 0, sizeof *ret);
    memcpy(ret->client, m->client, strlen(m->client));
    ret->all = !m->has_host;
    if (m->has_host)
        memcpy(ret->host, m->host.data, sizeof ret->host);
    ret->sequence = m->sequence;
    ret->issued_ns = m->issued;
    ret->expires_ns = m->expires;
    ret->undoes = m->undoes;
    int r = take_response(m, &ret->response);
    if (r == 0 && !m->undoes)
        signed_by(m->sequence, ret->response.by);
    return r < 0 || !signed_order_good(ret) ? -EBADMSG : 0;
}

int signed_unpack(struct str payload, struct signed_order *ret)
{
    struct signed_order got;
    if (payload.n > SIGNED_MAX)
        return -EBADMSG;
    Tiercel__Order__Order *m =
        tiercel__order__order__unpack(NULL, payload.n, (const uint8_t *)payload.p);
    int r = m ? take(m, &got) : -EBADMSG;
    if (m)
        tiercel__order__order__free_unpacked(m, NULL);
    if (r == 0)
        *ret = got;
    return r;
}

// ---- envelope

int signed_key(const uint8_t seed[32], uint8_t ret_public[32], uint8_t ret_secret[64])
{
    if (sodium_init() < 0)
        return -EIO;
    return crypto_sign_seed_keypair(ret_public, ret_secret, seed) == 0 ? 0 : -EIO;
}

static size_t signed_text(struct str payload, uint8_t text[sizeof PURPOSE + SIGNED_MAX])
{
    memcpy(text, PURPOSE, sizeof PURPOSE);
    memcpy(text + sizeof PURPOSE, payload.p, payload.n);
    return sizeof PURPOSE + payload.n;
}

int signed_seal(struct str payload, const uint8_t secret[64], struct buf *to)
{
    Tiercel__Order__Envelope m = TIERCEL__ORDER__ENVELOPE__INIT;
    uint8_t text[sizeof PURPOSE + SIGNED_MAX], signature[64];
    if (payload.n == 0 || payload.n > SIGNED_MAX - 96)
        return -EMSGSIZE;
    if (sodium_init() < 0 ||
        crypto_sign_detached(signature, NULL, text, signed_text(payload, text), secret) != 0)
        return -EIO;
    m.has_payload = m.has_signature = m.has_key = true;
    m.payload = (ProtobufCBinaryData){payload.n, (uint8_t *)(uintptr_t)payload.p};
    m.signature = (ProtobufCBinaryData){sizeof signature, signature};
    m.key = (ProtobufCBinaryData){8, (uint8_t *)(uintptr_t)(secret + 32)}; // its public half
    uint8_t *room = buf_room(to, tiercel__order__envelope__get_packed_size(&m));
    if (!room)
        return -ENOMEM;
    to->n += tiercel__order__envelope__pack(&m, room);
    return 0;
}

// The payload stays inside *m.
static int verify(const Tiercel__Order__Envelope *m, const struct signed_trust *trust,
                  struct error *e)
{
    uint8_t text[sizeof PURPOSE + SIGNED_MAX];
    if (m->payload.len == 0 || m->payload.len > SIGNED_MAX || m->signature.len != 64)
        return error_set(e, -EBADMSG, "this is no signed order");
    size_t n = signed_text(str_bytes(m->payload.data, m->payload.len), text);
    if (sodium_init() >= 0 &&
        crypto_sign_verify_detached(m->signature.data, text, n, trust->key) == 0)
        return 0;
    bool other = m->key.len == 8 && memcmp(m->key.data, trust->key, 8) != 0;
    error_set(e, -EKEYREJECTED, "the order's signature is not the hub's%s",
              other ? ": it names another key" : "");
    error_way_out(e, "if the hub was made anew: enrol this host again");
    return -EKEYREJECTED;
}

static int meant_for_us(const struct signed_order *o, const struct signed_trust *trust,
                        uint64_t last, uint64_t now_ns, struct error *e)
{
    if (strncmp(o->client, trust->client, sizeof o->client) != 0)
        return error_set(e, -EPERM, "the order is for another client, '%s'", o->client);
    if (!o->all && memcmp(o->host, trust->host, sizeof o->host) != 0)
        return error_set(e, -EPERM, "the order is for another host");
    if (o->sequence <= last)
        return error_set(e, -EALREADY, "order %llu was here before (the last one was %llu)",
                         (unsigned long long)o->sequence, (unsigned long long)last);
    if (now_ns >= o->expires_ns)
        return error_set(e, -ETIME, "the order is over since %llu s",
                         (unsigned long long)((now_ns - o->expires_ns) / 1000000000));
    if (o->issued_ns > now_ns && o->issued_ns - now_ns > SIGNED_CLOCK_NS) {
        error_set(e, -ETIME, "the order was given %llu s from now",
                  (unsigned long long)((o->issued_ns - now_ns) / 1000000000));
        error_way_out(e, "set the clock of this host or of the hub");
        return -ETIME;
    }
    return 0;
}

int signed_open(struct str envelope, const struct signed_trust *trust, uint64_t last,
                uint64_t now_ns, struct signed_order *ret, struct error *e)
{
    struct signed_order got;
    if (memcmp(trust->magic, SIGNED_TRUST_MAGIC, sizeof trust->magic) != 0 ||
        !memchr(trust->client, 0, sizeof trust->client)) {
        error_set(e, -EBADMSG, "this host does not know its hub's key");
        error_way_out(e, "enrol it again");
        return -EBADMSG;
    }
    Tiercel__Order__Envelope *m =
        envelope.n > SIGNED_MAX
            ? NULL
            : tiercel__order__envelope__unpack(NULL, envelope.n, (const uint8_t *)envelope.p);
    if (!m)
        return error_set(e, -EBADMSG, "this is no signed order");
    int r = verify(m, trust, e);
    if (r == 0 && signed_unpack(str_bytes(m->payload.data, m->payload.len), &got) < 0)
        r = error_set(e, -EBADMSG, "the order is of a kind that this agent does not know");
    tiercel__order__envelope__free_unpacked(m, NULL);
    if (r == 0)
        r = meant_for_us(&got, trust, last, now_ns, e);
    if (r == 0 || r == -EALREADY)
        *ret = got;
    return r;
}

void signed_by(uint64_t sequence, char ret[RESPONSE_BY])
{
    memset(ret, 0, RESPONSE_BY);
    snprintf(ret, RESPONSE_BY, "order %llu", (unsigned long long)sequence);
}
