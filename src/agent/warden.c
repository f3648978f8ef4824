// SPDX-License-Identifier: Apache-2.0
// The warden: one thread answers the gate (sensor/gate.h), this one talks to the parent and can lend the descriptor to an
// engine that was started anew. It ends as soon as the parent is gone, and the gate with it.
#include "agent/role.h"
#include "base/cleanup.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#define BEAT_MS 200
#define STACK_BYTES ((size_t)256 << 10)

struct watch {
    struct role_context *role;
    int channel; // its other end is never closed: the process ends as a whole
};

// One a process: the channel is made while sockets can still be had.
static struct watch the_watch;

int warden_prepare(struct role_context *context)
{
    int pair[2];
    int r = link_pair(pair);
    if (r < 0)
        return r;
    the_watch = (struct watch){.role = context, .channel = pair[0]};
    return gate_hold(context->table, GATE_HOLDER_WARDEN);
}

static void *answer(void *context)
{
    struct watch *w = context;
    int r = gate_warden_run(w->role->given[GIVE_GROUP], w->role->table, w->channel);
    role_problem(w->role, "the warden cannot answer: %s", strerror(-r));
    _exit(1);
}

static int begin(struct watch *w)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int r = -pthread_create(&thread, &attributes, answer, w);
    pthread_attr_destroy(&attributes);
    return r == 0 ? role_tell(w->role, TOLD_HOLDS, NULL, 0, -1) : r;
}

// Returns the exit status, or -1 to go on.
static int message(struct watch *w, bool *holds)
{
    static struct link_message m;
    struct role_context *role = w->role;
    int r = role_receive(role, &m, 0);
    if (r == -EAGAIN)
        return -1;
    if (r <= 0)
        return r == 0 ? 0 : 1;
    if (m.type == ORDER_LEND_GROUP && *holds)
        return role_tell(role, TOLD_GROUP, NULL, 0, role->given[GIVE_GROUP]) < 0 ? 1 : -1;
    const struct order_give *give = m.type == ORDER_GIVE ? link_body(&m, struct order_give) : NULL;
    if (!give || give->what != GIVE_GROUP)
        return -1;
    if (*holds) // two groups at once are never wanted: the thread above still serves the old one
        return ROLE_EXIT_AGAIN;
    *holds = true;
    return begin(w) < 0 ? 1 : -1;
}

int warden_role(struct role_context *context)
{
    bool holds = false;
    struct pollfd p = {.fd = context->parent, .events = POLLIN};
    if (role_tell(context, TOLD_READY, NULL, 0, -1) < 0)
        return 1;
    for (;;) {
        poll(&p, 1, BEAT_MS);
        role_beat(context);
        int status = p.revents ? message(&the_watch, &holds) : -1;
        if (status >= 0)
            return status;
    }
}
