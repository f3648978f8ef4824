// SPDX-License-Identifier: Apache-2.0
// The role that speaks to the hub: link/uplink.c decides, this gives it the journal's files (which the parent opens), time
// and a place for its state. It can delay what the hub learns; it can change nothing, for the records are a chain.
#include "link/uplink.h"
#include "agent/role.h"
#include "agent/uplink_orders.h"
#include "base/cleanup.h"
#include "link/enrolment.h"
#include "os/process.h"
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>

#define BEAT_MS 200u
#define ANSWER_MS 5000 // of the parent, for a file

static struct link_message message; // large

static uint64_t now_ms(void *context)
{
    (void)context;
    return os_monotonic_ns() / 1000000;
}

static uint32_t chance(void *context)
{
    uint32_t n = 0;
    (void)context;
    (void)!getrandom(&n, sizeof(n), GRND_NONBLOCK);
    return n;
}

// While a request is under way. The parent's end of the channel gone: we are to end.
static bool go_on(void *context)
{
    struct role_context *role = context;
    struct pollfd p = {.fd = role->parent};
    role_beat(role);
    return poll(&p, 1, 0) == 0 || !(p.revents & (POLLHUP | POLLERR));
}

// Respond's end, as soon as it came: the parent gives another when respond was started anew.
static void pass_peer(struct role_context *role)
{
    if (role->given[GIVE_PEER_RESPOND] >= 0)
        uplink_orders_peer(TAKE_FD(role->given[GIVE_PEER_RESPOND]));
}

static int open_file(void *context, uint64_t from, uint64_t *ret_number)
{
    struct role_context *role = context;
    struct pollfd p = {.fd = role->parent, .events = POLLIN};
    int r = role_tell(role, TOLD_WANT_SEGMENT, &(struct told_segment){.number = from},
                      sizeof(struct told_segment), -1);
    while (r == 0) {
        role_beat(role);
        if (poll(&p, 1, ANSWER_MS) <= 0)
            return -ETIMEDOUT;
        r = role_receive(role, &message, 0);
        if (r == 0)
            return -EPIPE;
        pass_peer(role);
        const struct order_no_segment *no =
            message.type == ORDER_NO_SEGMENT ? link_body(&message, struct order_no_segment) : NULL;
        const struct order_give *give =
            message.type == ORDER_GIVE ? link_body(&message, struct order_give) : NULL;
        if (r > 0 && no && no->number == from)
            return no->code < 0 ? no->code : -ENOENT;
        if (r > 0 && give && give->what == GIVE_SPOOL) {
            *ret_number = give->number64;
            return TAKE_FD(role->given[GIVE_SPOOL]);
        }
        r = r > 0 || r == -EAGAIN ? 0 : r;
    }
    return r;
}

static struct enrolment enrolment;
static struct uplink *uplink;

// Without it the role stays and says why: starting it again would change nothing.
static int start(struct role_context *role, struct error *e)
{
    struct uplink_options options = {.enrolment = &enrolment,
                                     .source = {role, open_file},
                                     .now_ms = now_ms,
                                     .random = chance,
                                     .go_on = go_on,
                                     .context = role,
                                     .state = &role->page->uplink};
    char text[ENROLMENT_BYTES_MAX];
    ssize_t n = read(role->given[GIVE_ENROLMENT], text, sizeof(text));
    if (n < 0)
        return error_set(e, -errno, "the enrolment cannot be read: %s", strerror(errno));
    int r = enrolment_parse(str_bytes(text, (size_t)n), &enrolment, e);
    explicit_bzero(text, sizeof(text));
    if (r == 0)
        r = uplink_new(&options, &uplink, e);
    return r < 0 ? r : uplink_orders_prepare(&enrolment, chance, e);
}

int uplink_prepare(struct role_context *role)
{
    struct error e = {0};
    struct addrinfo *found = NULL;
    if (getaddrinfo("localhost", NULL, NULL, &found) == 0) // loads what resolves names
        freeaddrinfo(found);
    if (role->given[GIVE_ENROLMENT] < 0)
        return -EPROTO;
    if (start(role, &e) < 0) {
        struct control_uplink *s = &role->page->uplink;
        s->state = CONTROL_LINK_REFUSED;
        snprintf(s->why, sizeof(s->why), "%.120s; %.60s", e.what, e.way_out);
        role_problem(role, "%s; %s", e.what, e.way_out);
    }
    return 0;
}

int uplink_role(struct role_context *role)
{
    uint64_t due = 0;
    int started = uplink_orders_start();
    if (started < 0)
        role_problem(role, "the hub's orders are not asked for: %s", strerror(-started));
    (void)role_tell(role, TOLD_READY, NULL, 0, -1);
    for (;;) {
        int r;
        while ((r = role_receive(role, &message, 0)) > 0)
            pass_peer(role);
        if (r == 0)
            break;
        role_beat(role);
        uint64_t now = now_ms(NULL);
        if (uplink && now >= due)
            due = now_ms(NULL) + uplink_step(uplink);
        now = now_ms(NULL);
        uint64_t wait = uplink && due < now + BEAT_MS ? (due > now ? due - now : 0) : BEAT_MS;
        struct pollfd p = {.fd = role->parent, .events = POLLIN};
        if (wait)
            poll(&p, 1, (int)wait);
    }
    uplink_orders_stop();
    uplink_free(uplink);
    return 0;
}
