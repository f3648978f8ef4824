// SPDX-License-Identifier: Apache-2.0
// The whole host loses the network, but for loopback and the allowed addresses, by programs in the kernel that outlive
// the agent and know themselves when it is over (bpf/contain.bpf.c).
#include "respond/act.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND_NS 1000000000ull

static uint64_t clock_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static int check(const struct act_context *c, const struct response *r, struct error *e)
{
    int code = act_refuse_same(c, r, e);
    if (code < 0)
        return code;
    if (r->order.n_addresses + c->n_allowed == 0 && !(r->order.flags & RESPONSE_FORCE)) {
        error_set(e, -EPERM, "no address is allowed: nobody could reach this host any more");
        error_way_out(e, "name one with --allow, or `contain_allow` in the configuration; --force "
                         "if you sit at its console");
        return -EPERM;
    }
    if (!r->order.lasts_ns && !(r->order.flags & RESPONSE_FORCE)) {
        error_set(e, -EPERM, "a contained host needs an end");
        error_way_out(e, "say how long with --for");
        return -EPERM;
    }
    return 0;
}

// The wall clock says when it is over (it holds over a reboot); the kernel's programs know the time since boot.
static uint64_t until(const struct response *r)
{
    uint64_t now = clock_ns(CLOCK_REALTIME);
    if (!r->expires_ns)
        return UINT64_MAX;
    return r->expires_ns <= now ? 1 : clock_ns(CLOCK_BOOTTIME) + (r->expires_ns - now);
}

static int tell(const struct act_context *c, const struct response *r, bool *pinned)
{
    struct response_address list[RESPONSE_ADDRESSES * 2];
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->order.n_addresses; i++)
        list[n++] = r->order.addresses[i];
    for (uint32_t i = 0; i < c->n_allowed && n < RESPONSE_ADDRESSES * 2; i++)
        list[n++] = c->allowed[i];
    return c->peers.contain_host(c->peers.context, list, n, until(r), pinned);
}

static int apply(const struct act_context *c, struct response *r, struct error *e)
{
    bool pinned = false;
    int code = tell(c, r, &pinned);
    if (code < 0) {
        error_set(e, code, "the host could not be contained: %s", strerror(-code));
        error_way_out(e, "`tiercel doctor` says whether the kernel takes the programs");
        return code;
    }
    snprintf(r->what, sizeof(r->what), "nothing passes but loopback and %u allowed addresses%s",
             r->order.n_addresses + c->n_allowed,
             pinned ? "; holds when the agent dies"
                    : "; ends when the agent ends (no bpf file system here)");
    return 0;
}

static int undo(const struct act_context *c, struct response *r, struct error *e)
{
    bool pinned;
    int code = c->peers.contain_host(c->peers.context, NULL, 0, 0, &pinned);
    if (code < 0)
        return error_set(e, code, "the programs could not be taken away: %s", strerror(-code));
    snprintf(r->what, sizeof(r->what), "the network is back");
    return 0;
}

static int renew(const struct act_context *c, const struct response *r)
{
    bool pinned;
    return tell(c, r, &pinned);
}

const struct act response_contain_host = {
    .check = check, .apply = apply, .undo = undo, .renew = renew};
