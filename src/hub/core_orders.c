// SPDX-License-Identifier: Apache-2.0
#include "hub/core_orders.h"
#include "base/cleanup.h"
#include "hub/signer.h"
#include "order.pb-c.h"
#include "os/process.h"
#include "store/orders.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct waiting {
    uint64_t id, until_ms;
    char client[PKI_CLIENT_MAX + 1];
    uint8_t host[PKI_HOST_BYTES];
};

static struct {
    struct orders *db;
    int signer;
    struct waiting waiting[ORDERS_WAITING];
    size_t n;
    uint64_t turned_ms;
    bool unsigned_left;
    struct hub_signed sealed;
    struct hub_answer answer;
} orders = {.signer = -1};

_Static_assert(SIGNED_MAX <= HUB_ANSWER_MAX && SIGNED_MAX <= ORDERS_ENVELOPE_MAX, "one answer");

int core_orders_open(const char *file, struct error *e)
{
    return orders_open(file, &orders.db, e);
}

void core_orders_close(void)
{
    orders.db = orders_close(orders.db);
}

void core_orders_signer(int fd)
{
    if (orders.signer >= 0)
        close(orders.signer);
    orders.signer = fd;
    orders.unsigned_left = true;
}

int core_orders_signer_fd(void)
{
    return orders.signer;
}

static uint64_t now_ms(void)
{
    return os_monotonic_ns() / 1000000;
}

// ---- signing

// What is written down is what a command made; it is read once more into a typed order, which the signer packs anew.
static int sign(const struct orders_unsigned *u)
{
    static struct signed_order order;
    int r = signed_unpack(buf_str(&u->payload), &order);
    if (r == 0 && (order.sequence != u->sequence || strcmp(order.client, u->client) != 0))
        r = -EBADMSG;
    if (r == 0)
        r = hub_sign_order(orders.signer, &order, &orders.sealed);
    if (r == 0)
        return orders_put_envelope(orders.db, u->client, u->sequence,
                                   str_bytes(orders.sealed.bytes, orders.sealed.size));
    if (r == -ENOTCONN || r == -ETIMEDOUT || r == -EAGAIN || r == -EPIPE)
        return r;
    fprintf(stderr, "tiercel-hub: order %llu of client %s cannot be signed: %s\n",
            (unsigned long long)u->sequence, u->client, strerror(-r));
    // An envelope that no host takes: said once, and it is in nobody's way.
    return orders_put_envelope(orders.db, u->client, u->sequence, STR("unsigned"));
}

static void sign_all(void)
{
    struct orders_unsigned u;
    int r = 0;
    while (r == 0 && orders_next_unsigned(orders.db, &u) == 1) {
        r = sign(&u);
        buf_done(&u.payload);
    }
    orders.unsigned_left = r < 0;
}

// ---- handing out

static bool find(const char *client, const uint8_t host[16], struct hub_answer *ret)
{
    uint64_t sequence;
    size_t n;
    int r = orders_next(orders.db, client, host, os_wall_ns(), &sequence, ret->body, &n);
    if (r != 1)
        return false;
    ret->status = 200;
    ret->text = 0;
    ret->has_next = 1;
    ret->next = sequence;
    ret->size = (uint32_t)n;
    return true;
}

static void nothing(struct hub_answer *ret)
{
    ret->status = 200;
    ret->size = ret->text = ret->has_next = 0;
}

bool core_orders_ask(uint64_t id, const char *client, const uint8_t host[16],
                     struct hub_answer *ret)
{
    if (find(client, host, ret))
        return true;
    if (orders.n == ORDERS_WAITING) {
        nothing(ret);
        return true;
    }
    struct waiting *w = &orders.waiting[orders.n++];
    *w = (struct waiting){.id = id, .until_ms = now_ms() + ORDERS_HOLD_MS};
    snprintf(w->client, sizeof w->client, "%s", client);
    memcpy(w->host, host, sizeof w->host);
    return false;
}

void core_orders_forget(void)
{
    orders.n = 0;
}

void core_orders_turn(int front)
{
    uint64_t now = now_ms();
    if (now - orders.turned_ms < ORDERS_TURN_MS)
        return;
    orders.turned_ms = now;
    bool look = orders_changed(orders.db) || orders.unsigned_left;
    if (look)
        sign_all();
    for (size_t i = 0; i < orders.n;) {
        struct waiting *w = &orders.waiting[i];
        struct hub_answer *a = &orders.answer;
        bool found = look && find(w->client, w->host, a);
        if (!found && now < w->until_ms) {
            i++;
            continue;
        }
        if (!found)
            nothing(a);
        a->id = w->id;
        if (front >= 0)
            (void)link_send(front, HUB_ANSWER, a,
                            (uint32_t)offsetof(struct hub_answer, body) + a->size, NULL, 0, 1);
        *w = orders.waiting[--orders.n];
    }
}

// ---- results

static void words(struct hub_answer *ret, uint32_t status, const char *text)
{
    ret->status = status;
    ret->text = 1;
    ret->size = (uint32_t)snprintf((char *)ret->body, 256, "%s", text);
}

void core_orders_result(const char *client, const uint8_t host[16], struct str body,
                        struct hub_answer *ret)
{
    static struct orders_result result;
    Tiercel__Order__Result *m =
        tiercel__order__result__unpack(NULL, body.n, (const uint8_t *)body.p);
    if (!m)
        return words(ret, 400, "this is no Result");
    result = (struct orders_result){.sequence = m->sequence,
                                    .response = m->response,
                                    .time_ns = os_wall_ns(),
                                    .state = m->state,
                                    .code = m->code};
    memcpy(result.host, host, sizeof result.host);
    size_t n = m->what.len < sizeof result.what ? m->what.len : sizeof result.what - 1;
    for (size_t i = 0; i < n; i++)
        result.what[i] =
            m->what.data[i] >= ' ' && m->what.data[i] != 127 ? (char)m->what.data[i] : '?';
    bool good = m->sequence <= INT64_MAX && m->state < RESPONSE_STATES;
    tiercel__order__result__free_unpacked(m, NULL);
    int r = good ? orders_result(orders.db, client, &result) : -ENOENT;
    if (r == 0)
        nothing(ret);
    else if (r == -ENOENT)
        words(ret, 404, "there is no such order for this host");
    else
        words(ret, 503, "not now");
}
