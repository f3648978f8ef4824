// SPDX-License-Identifier: Apache-2.0
// A lineage loses the network, but for the allowed addresses, and may start no program. It goes on running. The engine
// marks the lineage and has the sensor set the flag in the kernel, which children inherit.
#include "respond/act.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int ask(const struct act_context *c, const struct response *r, enum act_lineage_how how,
               struct act_lineage *ret, struct error *e)
{
    struct respond_target t = {r->order.pid, r->order.start_ns};
    int code = c->peers.lineage(c->peers.context, t, how, ret);
    if (code < 0 && e) {
        error_set(e, code, "the engine does not answer (%s)", strerror(-code));
        error_way_out(e, "try again in a moment; `tiercel status` says whether the engine runs");
    }
    return code;
}

static int check(const struct act_context *c, const struct response *r, struct error *e)
{
    struct act_lineage look = {0};
    int code = act_refuse_same(c, r, e);
    if (code == 0)
        code = ask(c, r, ACT_LOOK, &look, e);
    if (code < 0)
        return code;
    if (look.way_in) {
        error_set(e, -EPERM, "pid %u is how people get into this host (ssh, login, console)",
                  r->order.pid);
        error_way_out(e, "contain what runs below it");
        return -EPERM;
    }
    if (look.n == 0) {
        error_set(e, -ESRCH, "no process of this lineage lives");
        error_way_out(e, "a service's main process is no lineage and is never contained");
        return -ESRCH;
    }
    return 0;
}

static int apply(const struct act_context *c, struct response *r, struct error *e)
{
    struct act_lineage found = {0};
    int code = ask(c, r, ACT_CONTAIN, &found, e);
    if (code < 0)
        return code;
    if (found.n == 0)
        return error_set(e, -ESRCH, "no process of this lineage lives");
    r->n_members = found.n < STORE_MEMBERS ? found.n : STORE_MEMBERS;
    for (uint32_t i = 0; i < r->n_members; i++) {
        r->members[i].pid = found.targets[i].pid;
        r->members[i].start_ns = found.targets[i].start_ns;
    }
    snprintf(r->what, sizeof(r->what), "%u processes: no new connections, no new programs%s",
             found.n,
             found.cuts_flows ? "; what was connected is cut"
                              : "; what was connected before stays so (no LSM here): kill-lineage "
                                "ends it");
    return 0;
}

static int undo(const struct act_context *c, struct response *r, struct error *e)
{
    struct act_lineage found = {0};
    int code = ask(c, r, ACT_RELEASE, &found, e);
    if (code == 0)
        snprintf(r->what, sizeof(r->what), "%u processes released", found.n);
    return code;
}

// A new engine knows nothing of it, and its tree may name the lineage by another root: every member that still lives
// stands for it.
static int renew(const struct act_context *c, const struct response *r)
{
    struct act_lineage found = {0};
    int code = ask(c, r, ACT_CONTAIN, &found, NULL);
    for (uint32_t i = 0; i < r->n_members && i < STORE_MEMBERS; i++) {
        struct respond_target t = {r->members[i].pid, r->members[i].start_ns};
        int one = c->peers.lineage(c->peers.context, t, ACT_CONTAIN, &found);
        code = one < 0 && one != -ESRCH ? one : code;
    }
    return code == -ESRCH ? 0 : code;
}

const struct act response_contain_lineage = {
    .check = check, .apply = apply, .undo = undo, .renew = renew};
