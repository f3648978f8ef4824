// SPDX-License-Identifier: Apache-2.0
#include "respond/run.h"
#include "os/process.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool by_process(uint32_t action)
{
    return action == RESPONSE_KILL || action == RESPONSE_KILL_LINEAGE ||
           action == RESPONSE_CONTAIN_LINEAGE;
}

static void put_what(char *ret, size_t size, const struct error *e)
{
    snprintf(ret, size, "%.240s%s%.150s", e->what, e->way_out[0] ? "; " : "", e->way_out);
}

static void fill(const struct response *r, struct response_result *ret)
{
    *ret = (struct response_result){.id = r->id,
                                    .expires_ns = r->expires_ns,
                                    .state = r->state,
                                    .code = r->code,
                                    .killed = r->killed,
                                    .gone = r->gone,
                                    .refused = r->refused,
                                    .members = r->n_members};
    memcpy(ret->what, r->what, sizeof(ret->what));
    ret->what[sizeof(ret->what) - 1] = 0;
}

// Sets the state, writes it, announces it.
static int enter(const struct act_context *c, struct response *r, uint32_t state)
{
    r->state = state;
    r->time_ns = os_wall_ns();
    int code = store_write(c->store, r);
    c->peers.announce(c->peers.context, r);
    return code;
}

static void fail(const struct act_context *c, struct response *r, uint32_t state, int code,
                 const struct error *e)
{
    r->code = code;
    put_what(r->what, sizeof(r->what), e);
    (void)enter(c, r, state);
}

// Without an intent on disk nothing is done.
static void begin(const struct act_context *c, const struct act *act, struct response *r)
{
    struct error e = {0};
    int code = enter(c, r, RESPONSE_PLANNED);
    if (code < 0) {
        error_set(&e, code, "the response journal cannot be written: %s", strerror(-code));
        return fail(c, r, RESPONSE_FAILED, code, &e);
    }
    code = act->apply(c, r, &e);
    if (code < 0) {
        if (act->undo && r->order.action != RESPONSE_QUARANTINE) // which cleans up by itself
            (void)act->undo(c, r, NULL);
        return fail(c, r, RESPONSE_FAILED, code, &e);
    }
    if (r->order.lasts_ns)
        r->expires_ns = os_wall_ns() + r->order.lasts_ns;
    (void)enter(c, r, RESPONSE_APPLIED);
}

void run_order(const struct act_context *c, const struct response_order *order,
               struct response_result *ret)
{
    struct error e = {0};
    const struct act *act = act_find(order->action);
    struct response tried = {.order = *order, .state = RESPONSE_REFUSED};
    if (!response_order_valid(order) || !act) {
        tried.code = error_set(&e, -EINVAL, "the order was not understood");
        put_what(tried.what, sizeof(tried.what), &e);
        return fill(&tried, ret);
    }
    if (order->lasts_ns)
        tried.expires_ns = os_wall_ns() + order->lasts_ns;
    int code = act->check(c, &tried, &e);
    if (code < 0 || order->flags & RESPONSE_ONLY_TRY) {
        tried.code = code;
        tried.state = code < 0 ? RESPONSE_REFUSED : RESPONSE_DRY_RUN;
        if (code < 0)
            put_what(tried.what, sizeof(tried.what), &e);
        else
            snprintf(tried.what, sizeof(tried.what), "nothing was done: this would be done");
        c->peers.announce(c->peers.context, &tried);
        return fill(&tried, ret);
    }
    struct response *r = store_new(c->store);
    if (!r) {
        tried.code = error_set(&e, -ENOSPC, "%u responses are in force already", STORE_ACTIVE_MAX);
        error_way_out(&e, "`tiercel respond list` shows them, `tiercel undo` ends one");
        put_what(tried.what, sizeof(tried.what), &e);
        return fill(&tried, ret);
    }
    r->order = *order;
    r->expires_ns = tried.expires_ns;
    memcpy(r->boot, c->boot, sizeof(r->boot));
    begin(c, act, r);
    fill(r, ret);
}

static bool for_now(int code)
{
    return code == -ENOTCONN || code == -ETIMEDOUT || code == -EPIPE;
}

// The one that has begun to be undone. False: the other role is not there, it stays so.
static bool finish_undo(const struct act_context *c, struct response *r, bool settle)
{
    struct error e = {0};
    int code = act_find(r->order.action)->undo(c, r, &e);
    if (for_now(code) && settle)
        return false;
    if (code < 0) { // it is still in force, and not tried again every second
        if (r->ends_as == RESPONSE_EXPIRED)
            r->expires_ns = 0;
        fail(c, r, RESPONSE_APPLIED, code, &e);
        return true;
    }
    r->code = 0;
    (void)enter(c, r, r->ends_as == RESPONSE_EXPIRED ? RESPONSE_EXPIRED : RESPONSE_UNDONE);
    return true;
}

void run_undo(const struct act_context *c, uint64_t id, bool only_try, uint32_t ends_as,
              struct response_result *ret)
{
    struct response *r = store_find(c->store, id);
    struct response_result none = {.id = id, .state = RESPONSE_REFUSED, .code = -ENOENT};
    *ret = none;
    if (!r)
        snprintf(ret->what, sizeof(ret->what), "there is no response %llu", (unsigned long long)id);
    else if (!response_lasts(r->order.action))
        snprintf(ret->what, sizeof(ret->what), "a kill cannot be undone");
    else if (r->state != RESPONSE_APPLIED)
        snprintf(ret->what, sizeof(ret->what), "response %llu is not in force: it is %s",
                 (unsigned long long)id, response_state_name(r->state));
    if (ret->what[0])
        return;
    if (only_try) {
        fill(r, ret);
        ret->state = RESPONSE_DRY_RUN;
        snprintf(ret->what, sizeof(ret->what), "nothing was done: this would be undone");
        return;
    }
    r->ends_as = ends_as;
    r->state = RESPONSE_UNDOING;
    int code = store_write(c->store, r);
    if (code < 0) {
        r->state = RESPONSE_APPLIED;
        ret->state = RESPONSE_FAILED;
        ret->code = code;
        snprintf(ret->what, sizeof(ret->what), "the response journal cannot be written: %s",
                 strerror(-code));
        return;
    }
    (void)finish_undo(c, r, ends_as == RESPONSE_EXPIRED);
    fill(r, ret);
}

// Planned when the agent died.
static void finish_apply(const struct act_context *c, struct response *r)
{
    const struct act *act = act_find(r->order.action);
    struct error e = {0};
    int code = act->recover ? act->recover(c, r, &e) : 0;
    if (code == 0)
        code = act->apply(c, r, &e);
    if (for_now(code))
        return;
    if (code < 0)
        return fail(c, r, RESPONSE_ROLLED_BACK, code, &e);
    r->code = 0;
    (void)enter(c, r, RESPONSE_APPLIED);
}

// Process numbers of another boot name nobody.
static bool of_another_boot(const struct act_context *c, struct response *r)
{
    if (!by_process(r->order.action) || memcmp(r->boot, c->boot, sizeof(r->boot)) == 0)
        return false;
    snprintf(r->what, sizeof(r->what), "the host was started anew: its processes are gone");
    (void)enter(c, r, r->state == RESPONSE_PLANNED ? RESPONSE_ROLLED_BACK : RESPONSE_EXPIRED);
    return true;
}

void run_settle(const struct act_context *c, uint64_t now_ns)
{
    for (size_t i = 0; i < c->store->n; i++) {
        struct response *r = &c->store->list[i];
        struct response_result ignored;
        if (!store_active(r) || of_another_boot(c, r))
            continue;
        if (r->state == RESPONSE_PLANNED)
            finish_apply(c, r);
        else if (r->state == RESPONSE_UNDOING)
            (void)finish_undo(c, r, true);
        else if (r->expires_ns && r->expires_ns <= now_ns)
            run_undo(c, r->id, false, RESPONSE_EXPIRED, &ignored);
    }
}

static bool held_by_engine(uint32_t action)
{
    return action == RESPONSE_CONTAIN_LINEAGE || action == RESPONSE_BLOCK_HASH ||
           action == RESPONSE_BLOCK_DOMAIN;
}

int run_renew(const struct act_context *c, bool engine)
{
    int code = 0;
    bool contained = false, pinned;
    for (size_t i = 0; i < c->store->n; i++) {
        const struct response *r = &c->store->list[i];
        const struct act *act = act_find(r->order.action);
        if (r->state != RESPONSE_APPLIED || !store_active(r) || !act->renew ||
            held_by_engine(r->order.action) != engine)
            continue;
        contained |= r->order.action == RESPONSE_CONTAIN_HOST;
        int one = act->renew(c, r);
        code = one < 0 ? one : code;
    }
    // Pins that nobody stands for: of an apply that was cut off, or of a state folder that is gone.
    if (!engine && !contained) {
        int one = c->peers.contain_host(c->peers.context, NULL, 0, 0, &pinned);
        code = one < 0 ? one : code;
    }
    return code;
}
