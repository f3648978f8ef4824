// SPDX-License-Identifier: Apache-2.0
// The role that acts: takes typed orders of the engine, answers each with what came of it.
#include "respond/respond.h"
#include "agent/role.h"
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#define BEAT_MS 200

static struct respond_done kill_all(const struct role_context *context,
                                    const struct respond_kill_order *order)
{
    struct respond_done done = {.order = order->order};
    for (uint32_t i = 0; i < order->n && i < RESPOND_TARGETS_MAX; i++) {
        struct respond_target target = {order->targets[i].pid, order->targets[i].start_ns};
        int r = respond_kill(target, context->pids.pids, context->pids.n);
        if (r == 0)
            done.killed++;
        else if (r == -ESRCH)
            done.gone++;
        else {
            done.refused++;
            done.code = r;
        }
    }
    return done;
}

// All that wait. False when the engine is gone.
static bool orders(struct role_context *context)
{
    static struct link_message m;
    int peer = context->given[GIVE_PEER_ENGINE], r;
    while ((r = link_receive(peer, &m, 0)) == 1) {
        link_message_done(&m);
        const struct respond_kill_order *order =
            m.type == RESPOND_KILL ? link_body(&m, struct respond_kill_order) : NULL;
        if (!order) {
            role_problem(context, "an order of the engine was not understood (type %u)", m.type);
            continue;
        }
        struct respond_done done = kill_all(context, order);
        (void)link_send(peer, RESPOND_DONE, &done, sizeof(done), NULL, 0, 0);
    }
    return r == -EAGAIN;
}

int respond_role(struct role_context *context)
{
    static struct link_message m;
    if (role_tell(context, TOLD_READY, NULL, 0, -1) < 0)
        return 1;
    for (;;) {
        struct pollfd p[] = {{.fd = context->parent, .events = POLLIN},
                             {.fd = context->given[GIVE_PEER_ENGINE], .events = POLLIN}};
        poll(p, 2, BEAT_MS);
        role_beat(context);
        if (p[1].revents && !orders(context)) {
            close(context->given[GIVE_PEER_ENGINE]);
            context->given[GIVE_PEER_ENGINE] = -1; // the parent gives the next engine's
        }
        int r = p[0].revents ? role_receive(context, &m, 0) : -EAGAIN;
        if (r <= 0 && r != -EAGAIN)
            return r == 0 ? 0 : 1;
    }
}
