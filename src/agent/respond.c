// SPDX-License-Identifier: Apache-2.0
// The role that acts: takes typed orders of the engine and of an operator (through the parent), answers each with what
// came of it, and keeps what is in force.
#include "agent/respond_role.h"
#include "os/process.h"
#include "respond/vault.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BEAT_MS 200
#define SETTLE_NS 1000000000ull

// ---- what the engine orders

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

bool respond_engine_message(struct responder *s, const struct link_message *m)
{
    const struct respond_kill_order *order =
        m->type == RESPOND_KILL ? link_body(m, struct respond_kill_order) : NULL;
    if (!order)
        return false;
    struct respond_done done = kill_all(s->role, order);
    (void)link_send(s->role->given[GIVE_PEER_ENGINE], RESPOND_DONE, &done, sizeof(done), NULL, 0,
                    0);
    return true;
}

// All that wait. Late answers to questions that were given up are dropped.
static void hear(struct responder *s, enum give who)
{
    static struct link_message m;
    int r;
    while ((r = link_receive(s->role->given[who], &m, 0)) == 1) {
        link_message_done(&m);
        if (!(who == GIVE_PEER_ENGINE && respond_engine_message(s, &m)) && m.type != ENGINE_DID &&
            m.type != ENGINE_LINEAGE && m.type != SENSOR_DID)
            role_problem(s->role, "an order was not understood (type %u)", m.type);
    }
    if (r != -EAGAIN)
        respond_lose(s, who);
}

// ---- what an operator orders

static void refuse(struct responder *s, struct response_result *ret)
{
    *ret = (struct response_result){.state = RESPONSE_FAILED, .code = -EIO};
    snprintf(ret->what, sizeof(ret->what),
             "responses are switched off: the journal in %.200s/responses cannot be used",
             s->role->setup.state);
}

static void take_order(struct responder *s, const struct link_message *m)
{
    static struct told_response told;
    const struct order_respond *order = link_body(m, struct order_respond);
    const struct order_undo *undo = link_body(m, struct order_undo);
    memset(&told, 0, sizeof(told));
    s->act.protected_pids = s->role->pids.pids;
    s->act.n_protected = s->role->pids.n;
    if (m->type == ORDER_RESPOND && order) {
        told.caller = order->caller;
        told.number = order->number;
        if (s->store.fd < 0)
            refuse(s, &told.result);
        else
            run_order(&s->act, &order->order, &told.result);
    } else if (m->type == ORDER_UNDO && undo) {
        told.caller = undo->caller;
        told.number = undo->number;
        if (s->store.fd < 0)
            refuse(s, &told.result);
        else
            run_undo(&s->act, undo->id, undo->only_try, RESPONSE_UNDONE, &told.result);
    } else {
        return;
    }
    (void)role_tell(s->role, TOLD_RESPONSE, &told, sizeof(told), -1);
}

static void take_peer(struct responder *s, const struct link_message *m)
{
    const struct order_give *give = link_body(m, struct order_give);
    if (give && give->what == GIVE_PEER_ENGINE)
        s->tell_engine = true;
    if (give && give->what == GIVE_PEER_SENSOR)
        s->tell_sensor = true;
}

// ---- start

static void read_boot(char ret[40])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)!read(fd, ret, 36);
    close(fd);
}

static int open_vault(struct responder *s)
{
    int r = vault_key(s->store.folder, s->key);
    if (r < 0)
        return r;
    if (mkdirat(s->store.folder, "quarantine", 0700) < 0 && errno != EEXIST)
        return -errno;
    s->act.vault =
        openat(s->store.folder, "quarantine", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return s->act.vault < 0 ? -errno : 0;
}

static void open_all(struct responder *s)
{
    const struct role_setup *setup = &s->role->setup;
    struct error e = {0};
    s->act = (struct act_context){.store = &s->store,
                                  .vault = -1,
                                  .key = s->key,
                                  .allowed = setup->allow,
                                  .n_allowed = setup->n_allow,
                                  .state = setup->state,
                                  .run = setup->run,
                                  .file_limit = setup->quarantine_bytes,
                                  .peers = respond_peers(s)};
    read_boot(s->act.boot);
    s->store.fd = -1;
    int r = store_load(setup->state, &s->store, &e);
    if (r < 0) {
        role_problem(s->role, "%s; responses are switched off", e.what);
        return;
    }
    if ((r = open_vault(s)) < 0)
        role_problem(s->role, "the quarantine cannot be used: %s", strerror(-r));
    if (s->store.damaged)
        role_problem(s->role, "%llu records of the response journal are damaged",
                     (unsigned long long)s->store.damaged);
}

// What is in force, to those that came anew; then what is over or was cut off.
static void settle(struct responder *s)
{
    uint64_t now = os_monotonic_ns();
    if (s->store.fd < 0 || (now - s->settled_ns < SETTLE_NS && s->settled_ns))
        return;
    s->settled_ns = now;
    s->act.protected_pids = s->role->pids.pids;
    s->act.n_protected = s->role->pids.n;
    respond_flush(s);
    if (s->tell_engine && s->role->given[GIVE_PEER_ENGINE] >= 0)
        s->tell_engine = run_renew(&s->act, true) < 0;
    if (s->tell_sensor && s->role->given[GIVE_PEER_SENSOR] >= 0)
        s->tell_sensor = run_renew(&s->act, false) < 0;
    run_settle(&s->act, os_wall_ns());
}

int respond_role(struct role_context *context)
{
    static struct link_message m;
    static struct responder s;
    s.role = context;
    open_all(&s);
    s.tell_engine = s.tell_sensor = true;
    if (role_tell(context, TOLD_READY, NULL, 0, -1) < 0)
        return 1;
    for (;;) {
        struct pollfd p[] = {{.fd = context->parent, .events = POLLIN},
                             {.fd = context->given[GIVE_PEER_ENGINE], .events = POLLIN},
                             {.fd = context->given[GIVE_PEER_SENSOR], .events = POLLIN},
                             {.fd = context->given[GIVE_PEER_UPLINK], .events = POLLIN}};
        poll(p, 4, BEAT_MS);
        role_beat(context);
        if (p[1].revents)
            hear(&s, GIVE_PEER_ENGINE);
        if (p[2].revents)
            hear(&s, GIVE_PEER_SENSOR);
        if (p[3].revents)
            respond_orders(&s);
        int r = p[0].revents ? role_receive(context, &m, 0) : -EAGAIN;
        if (r <= 0 && r != -EAGAIN)
            return r == 0 ? 0 : 1;
        if (r == 1) {
            take_peer(&s, &m);
            take_order(&s, &m);
        }
        settle(&s);
    }
}
