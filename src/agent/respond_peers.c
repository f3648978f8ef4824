// SPDX-License-Identifier: Apache-2.0
// What respond asks of the engine (who belongs to a lineage, what it should refuse) and of the sensor (the kernel's maps).
#include "agent/respond_role.h"
#include "os/process.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MS 3000
#define TICK_NS 50000000ull

void respond_lose(struct responder *s, enum give peer)
{
    if (s->role->given[peer] >= 0)
        close(s->role->given[peer]);
    s->role->given[peer] = -1; // the parent gives the next one's
}

// Sends and waits for the answer with this number; earlier ones came too late and are nobody's.
static int ask(struct responder *s, enum give who, uint32_t type, const void *body, uint32_t size,
               uint32_t answer, struct link_message *ret)
{
    int peer = s->role->given[who];
    uint64_t end = os_monotonic_ns() + ANSWER_MS * 1000000ull;
    uint32_t number = s->number, got;
    int r = peer < 0 ? -ENOTCONN : link_send(peer, type, body, size, NULL, 0, 0);
    while (r >= 0 && os_monotonic_ns() < end) {
        struct pollfd p = {.fd = peer, .events = POLLIN};
        poll(&p, 1, 50);
        role_beat(s->role);
        while ((r = link_receive(peer, ret, 0)) == 1) {
            link_message_done(ret);
            if (who == GIVE_PEER_ENGINE && respond_engine_message(s, ret))
                continue;
            memcpy(&got, ret->body, sizeof(got));
            if (ret->type == answer && ret->size >= sizeof(got) && got == number)
                return 0;
        }
        if (r != -EAGAIN) {
            respond_lose(s, who);
            return -ENOTCONN;
        }
        r = 0;
    }
    return r < 0 ? r : -ETIMEDOUT;
}

static int ask_engine(struct responder *s, uint32_t type, const void *body, uint32_t size)
{
    static struct link_message m;
    int r = ask(s, GIVE_PEER_ENGINE, type, body, size, ENGINE_DID, &m);
    const struct engine_did *did = r == 0 ? link_body(&m, struct engine_did) : NULL;
    return r < 0 ? r : did ? did->code : -EBADMSG;
}

static int ask_sensor(struct responder *s, uint32_t type, const void *body, uint32_t size,
                      bool *ret_pinned)
{
    static struct link_message m;
    int r = ask(s, GIVE_PEER_SENSOR, type, body, size, SENSOR_DID, &m);
    const struct sensor_did *did = r == 0 ? link_body(&m, struct sensor_did) : NULL;
    if (r < 0 || !did)
        return r < 0 ? r : -EBADMSG;
    if (ret_pinned)
        *ret_pinned = did->pinned;
    return did->code;
}

static int lineage(void *context, struct respond_target process, enum act_lineage_how how,
                   struct act_lineage *ret)
{
    static struct link_message m;
    struct responder *s = context;
    struct respond_lineage order = {.number = ++s->number,
                                    .how = how == ACT_CONTAIN   ? RESPOND_CONTAIN
                                           : how == ACT_RELEASE ? RESPOND_RELEASE
                                                                : RESPOND_LOOK,
                                    .pid = process.pid,
                                    .start_ns = process.start_ns};
    _Static_assert(ACT_TARGETS == RESPOND_TARGETS_MAX, "one answer");
    int r = ask(s, GIVE_PEER_ENGINE, RESPOND_LINEAGE, &order, sizeof(order), ENGINE_LINEAGE, &m);
    const struct engine_lineage *got = r == 0 ? link_body(&m, struct engine_lineage) : NULL;
    if (r < 0 || !got)
        return r < 0 ? r : -EBADMSG;
    *ret = (struct act_lineage){.n = got->n < ACT_TARGETS ? got->n : ACT_TARGETS,
                                .way_in = got->way_in,
                                .cuts_flows = got->cuts_flows};
    for (uint32_t i = 0; i < ret->n; i++)
        ret->targets[i] = (struct respond_target){got->targets[i].pid, got->targets[i].start_ns};
    return got->code;
}

static int deny_address(void *context, const struct response_address *a, bool deny)
{
    struct responder *s = context;
    struct sensor_respond_address order = {.number = ++s->number, .deny = deny, .address = *a};
    return ask_sensor(s, SENSOR_RESPOND_ADDRESS, &order, sizeof(order), NULL);
}

static int contain_host(void *context, const struct response_address *allowed, uint32_t n,
                        uint64_t until_ns, bool *ret_pinned)
{
    struct responder *s = context;
    struct sensor_contain_host order = {.number = ++s->number, .n = n, .until_ns = until_ns};
    for (uint32_t i = 0; i < n && i < 2 * RESPONSE_ADDRESSES; i++)
        order.allowed[i] = allowed[i];
    return ask_sensor(s, SENSOR_CONTAIN_HOST, &order, sizeof(order), ret_pinned);
}

static int block_hash(void *context, const uint8_t sha256[32], bool block)
{
    struct responder *s = context;
    struct respond_hash order = {.number = ++s->number, .block = block};
    memcpy(order.sha256, sha256, sizeof(order.sha256));
    return ask_engine(s, RESPOND_HASH, &order, sizeof(order));
}

static int block_domain(void *context, const char *name, bool block)
{
    struct responder *s = context;
    struct respond_domain order = {.number = ++s->number, .block = block};
    if (strlen(name) >= sizeof(order.name))
        return -EINVAL;
    memcpy(order.name, name, strlen(name));
    return ask_engine(s, RESPOND_DOMAIN, &order, sizeof(order));
}

static bool send_state(struct responder *s, const struct respond_state *state)
{
    int peer = s->role->given[GIVE_PEER_ENGINE];
    return peer >= 0 && link_send(peer, RESPOND_STATE, state, sizeof(*state), NULL, 0, 0) == 0;
}

void respond_flush(struct responder *s)
{
    unsigned n = 0;
    while (n < s->n_waiting && send_state(s, &s->waiting[n]))
        n++;
    memmove(s->waiting, s->waiting + n, (s->n_waiting - n) * sizeof(*s->waiting));
    s->n_waiting -= n;
    if (s->dropped && !s->n_waiting) {
        role_problem(s->role, "%llu states of responses are in `tiercel respond list` only",
                     (unsigned long long)s->dropped);
        s->dropped = 0;
    }
}

static void announce(void *context, const struct response *r)
{
    struct responder *s = context;
    static struct respond_state state;
    state = (struct respond_state){.id = r->id,
                                   .expires_ns = r->expires_ns,
                                   .detection = r->order.detection,
                                   .action = r->order.action,
                                   .state = r->state,
                                   .pid = r->order.pid,
                                   .start_ns = r->order.start_ns};
    memcpy(state.by, r->order.by, sizeof(state.by));
    memcpy(state.reason, r->what, sizeof(state.reason));
    response_target(&r->order, state.target, sizeof(state.target));
    respond_flush(s);
    if (s->n_waiting == 0 && send_state(s, &state))
        return;
    if (s->n_waiting < RESPOND_WAITING)
        s->waiting[s->n_waiting++] = state;
    else
        s->dropped++;
}

// In the middle of a large file: a sign of life, and the engine's kills.
static void tick(void *context)
{
    static struct link_message m;
    struct responder *s = context;
    uint64_t now = os_monotonic_ns();
    int peer = s->role->given[GIVE_PEER_ENGINE];
    if (now - s->ticked_ns < TICK_NS)
        return;
    s->ticked_ns = now;
    role_beat(s->role);
    while (peer >= 0 && link_receive(peer, &m, 0) == 1) {
        link_message_done(&m);
        (void)respond_engine_message(s, &m);
    }
}

struct act_peers respond_peers(struct responder *s)
{
    return (struct act_peers){.lineage = lineage,
                              .deny_address = deny_address,
                              .contain_host = contain_host,
                              .block_hash = block_hash,
                              .block_domain = block_domain,
                              .announce = announce,
                              .tick = tick,
                              .context = s};
}
