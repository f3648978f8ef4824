// SPDX-License-Identifier: Apache-2.0
// Carries orders: a thread of the uplink's asks the hub, which answers when it has one; the envelope goes to respond as
// it is, respond's result goes back. Nothing is read of an envelope here, and nothing kept: an order that was not
// answered for comes again.
#include "agent/uplink_orders.h"
#include "link/http.h"
#include "link/link.h"
#include "link/signed.h"
#include "link/uplink.h"
#include "order.pb-c.h"
#include "os/process.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define RETRY_MOST_MS 15000u
#define ANSWER_MS 150000u // of respond, which may have a large file to seal
#define TURN_MS 200

static struct {
    const struct enrolment *enrolment;
    uint32_t (*random)(void *context);
    struct http *http;
    pthread_t thread;
    bool runs;
    _Atomic bool quit;
    pthread_mutex_t lock;
    int fresh; // respond's end, not taken yet; -1
    int peer;  // the thread's
    uint32_t number;
    unsigned failures;
    uint64_t before; // sequence of the last envelope
} orders = {.lock = PTHREAD_MUTEX_INITIALIZER, .fresh = -1, .peer = -1};

static bool go_on(void *context)
{
    (void)context;
    return !orders.quit;
}

static uint64_t now_ms(void)
{
    return os_monotonic_ns() / 1000000;
}

static void take_fresh(void)
{
    pthread_mutex_lock(&orders.lock);
    if (orders.fresh >= 0) {
        if (orders.peer >= 0)
            close(orders.peer);
        orders.peer = orders.fresh;
        orders.fresh = -1;
    }
    pthread_mutex_unlock(&orders.lock);
}

static void lose_peer(void)
{
    close(orders.peer);
    orders.peer = -1; // the parent gives the next respond's
}

// 0 with respond's answer to this envelope; an earlier one came too late and is nobody's.
static int ask_respond(struct str envelope, struct respond_ordered *ret)
{
    static struct link_message m;
    static struct uplink_envelope e;
    uint64_t end = now_ms() + ANSWER_MS;
    memset(&e, 0, sizeof e);
    e.number = ++orders.number;
    e.size = (uint32_t)envelope.n;
    memcpy(e.bytes, envelope.p, envelope.n);
    int r = link_send(orders.peer, UPLINK_ENVELOPE, &e, sizeof e, NULL, 0, 0);
    while (r >= 0 && !orders.quit && now_ms() < end) {
        struct pollfd p = {.fd = orders.peer, .events = POLLIN};
        if (poll(&p, 1, TURN_MS) <= 0)
            continue;
        r = link_receive(orders.peer, &m, 0);
        if (r == 0)
            r = -EPIPE;
        if (r == -EAGAIN)
            r = 0;
        if (r != 1)
            continue;
        link_message_done(&m);
        const struct respond_ordered *got =
            m.type == RESPOND_ORDERED ? link_body(&m, struct respond_ordered) : NULL;
        if (got && got->number == e.number) {
            *ret = *got;
            return 0;
        }
    }
    if (r < 0 && r != -EAGAIN)
        lose_peer();
    return r < 0 ? r : -ETIMEDOUT;
}

static int post(uint64_t sequence, const struct response_result *result)
{
    uint8_t body[1024];
    char url[300];
    struct http_reply reply;
    struct error e = {0};
    Tiercel__Order__Result m = TIERCEL__ORDER__RESULT__INIT;
    m.has_sequence = m.has_state = m.has_code = m.has_response = m.has_what = true;
    m.sequence = sequence;
    m.state = result->state;
    m.code = result->code;
    m.response = result->id;
    m.what = (ProtobufCBinaryData){strnlen(result->what, sizeof result->what),
                                   (uint8_t *)(uintptr_t)result->what};
    if (tiercel__order__result__get_packed_size(&m) > sizeof body)
        return -EMSGSIZE;
    size_t n = tiercel__order__result__pack(&m, body);
    snprintf(url, sizeof url, "%s/v1/results", orders.enrolment->url);
    int r = http_request(orders.http, url, str_bytes(body, n), &reply, &e);
    return r < 0 ? r : reply.status == 200 ? 0 : -EPROTO;
}

static uint32_t fail(void)
{
    orders.failures += orders.failures < 16;
    uint32_t wait = uplink_retry_ms(orders.failures, orders.random(NULL));
    return wait < RETRY_MOST_MS ? wait : RETRY_MOST_MS;
}

// Milliseconds until the next. A hub that has no orders holds the question; one that does not is not asked all the time.
static uint32_t step(void)
{
    struct http_reply reply;
    struct respond_ordered answer;
    struct error e = {0};
    char url[300], envelope[SIGNED_MAX];
    uint64_t begun = now_ms();
    take_fresh();
    if (orders.peer < 0)
        return TURN_MS;
    snprintf(url, sizeof url, "%s/v1/orders", orders.enrolment->url);
    if (http_request(orders.http, url, STR_NONE, &reply, &e) < 0 || reply.status != 200 ||
        reply.body.n > sizeof envelope)
        return fail();
    if (reply.body.n == 0)
        return now_ms() - begun < 500 ? 1000 : 0;
    uint64_t sequence = reply.has_next ? reply.next : 0;
    bool again = sequence == orders.before;
    struct str body = str_bytes(envelope, reply.body.n);
    memcpy(envelope, reply.body.p, reply.body.n);
    take_fresh();
    if (orders.peer < 0 || ask_respond(body, &answer) < 0 || post(sequence, &answer.result) < 0)
        return fail();
    orders.failures = 0;
    orders.before = sequence;
    return again ? 1000 : 0;
}

static void *carry(void *context)
{
    uint32_t wait = 0;
    while (!orders.quit) {
        uint64_t due = now_ms() + wait;
        while (!orders.quit && now_ms() < due)
            poll(NULL, 0, due - now_ms() < TURN_MS ? (int)(due - now_ms()) : TURN_MS);
        wait = orders.quit ? 0 : step();
    }
    return context;
}

int uplink_orders_prepare(const struct enrolment *enrolment, uint32_t (*random)(void *),
                          struct error *e)
{
    struct http_options http = {.authority = str_from(enrolment->authority),
                                .certificate = str_from(enrolment->certificate),
                                .key = str_from(enrolment->key),
                                .proxy = enrolment->proxy,
                                .go_on = go_on};
    orders.enrolment = enrolment;
    orders.random = random;
    return http_new(&http, &orders.http, e);
}

int uplink_orders_start(void)
{
    pthread_attr_t attributes;
    if (!orders.http)
        return 0;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 512 << 10);
    int r = -pthread_create(&orders.thread, &attributes, carry, NULL);
    pthread_attr_destroy(&attributes);
    orders.runs = r == 0;
    return r;
}

void uplink_orders_peer(int fd)
{
    pthread_mutex_lock(&orders.lock);
    if (orders.fresh >= 0)
        close(orders.fresh);
    orders.fresh = fd;
    pthread_mutex_unlock(&orders.lock);
}

void uplink_orders_stop(void)
{
    orders.quit = true;
    if (orders.runs)
        pthread_join(orders.thread, NULL);
    orders.http = http_free(orders.http);
}
