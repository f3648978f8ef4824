// SPDX-License-Identifier: Apache-2.0
// Ends one process, or all of a lineage. Cannot be undone: a killed process is gone.
#include "respond/act.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ROUNDS 10 // of a lineage that goes on starting processes
#define KILLED_KNOWN 1024

static struct respond_target target_of(const struct response *r)
{
    return (struct respond_target){r->order.pid, r->order.start_ns};
}

static int no_engine(struct error *e, int r)
{
    error_set(e, r, "who belongs to it cannot be asked: the engine does not answer (%s)",
              strerror(-r));
    error_way_out(e, "try again in a moment; `tiercel status` says whether the engine runs");
    return r;
}

static int refuse_way_in(const struct act_context *c, const struct response *r,
                         struct act_lineage *look, struct error *e)
{
    int code = c->peers.lineage(c->peers.context, target_of(r), ACT_LOOK, look);
    if (code < 0)
        return no_engine(e, code);
    if (!look->way_in)
        return 0;
    error_set(e, -EPERM, "pid %u is how people get into this host (ssh, login, console)",
              r->order.pid);
    error_way_out(e, "end the single session instead: a process below it");
    return -EPERM;
}

static int check(const struct act_context *c, const struct response *r, struct error *e)
{
    struct act_lineage look = {0};
    int code = respond_may_kill(target_of(r), c->protected_pids, c->n_protected);
    if (code == -EPERM)
        return error_set(e, code,
                         "pid %u is never killed: it is process 1, the kernel's own or "
                         "the agent's",
                         r->order.pid);
    if (code == -ESTALE || code == -ESRCH)
        return error_set(e, -ESRCH, "the process with pid %u is gone", r->order.pid);
    return code < 0 ? error_set(e, code, "pid %u: %s", r->order.pid, strerror(-code))
                    : refuse_way_in(c, r, &look, e);
}

static void kill_one(const struct act_context *c, struct response *r, struct respond_target t)
{
    int code = respond_kill(t, c->protected_pids, c->n_protected);
    r->killed += code == 0;
    r->gone += code == -ESRCH || code == -ESTALE;
    r->refused += code < 0 && code != -ESRCH && code != -ESTALE;
    if (code < 0 && code != -ESRCH && code != -ESTALE)
        r->code = code;
}

static int apply(const struct act_context *c, struct response *r, struct error *e)
{
    r->killed = r->gone = r->refused = 0;
    kill_one(c, r, target_of(r));
    if (r->refused)
        return error_set(e, r->code, "pid %u: %s", r->order.pid, strerror(-r->code));
    snprintf(r->what, sizeof(r->what), r->killed ? "killed" : "it was gone already");
    return 0;
}

static int check_lineage(const struct act_context *c, const struct response *r, struct error *e)
{
    struct act_lineage look = {0};
    int code = refuse_way_in(c, r, &look, e);
    if (code < 0)
        return code;
    if (look.n == 0) {
        error_set(e, -ESRCH, "no process of this lineage lives");
        error_way_out(
            e,
            "a service's main process is no lineage; `tiercel respond kill PID` takes one process");
        return -ESRCH;
    }
    return 0;
}

// What was killed in an earlier round may still be on its way out.
static bool killed_before(struct respond_target *list, uint32_t *n, struct respond_target t)
{
    for (uint32_t i = 0; i < *n; i++)
        if (list[i].pid == t.pid && list[i].start_ns == t.start_ns)
            return true;
    if (*n < KILLED_KNOWN)
        list[(*n)++] = t;
    return false;
}

// Who was started meanwhile is in the next answer; over when a round finds nobody new.
static int apply_lineage(const struct act_context *c, struct response *r, struct error *e)
{
    struct act_lineage found = {0};
    struct respond_target known[KILLED_KNOWN];
    uint32_t n_known = 0;
    r->killed = r->gone = r->refused = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        int code = c->peers.lineage(c->peers.context, target_of(r), ACT_LOOK, &found);
        if (code < 0)
            return no_engine(e, code);
        uint32_t before = r->killed;
        for (uint32_t i = 0; i < found.n && i < ACT_TARGETS; i++) {
            if (!killed_before(known, &n_known, found.targets[i]))
                kill_one(c, r, found.targets[i]);
            c->peers.tick(c->peers.context);
        }
        if (r->killed == before && (found.n < ACT_TARGETS || r->killed == 0)) {
            snprintf(r->what, sizeof(r->what), "%u processes killed%s", r->killed,
                     r->refused ? "; some are never killed" : "");
            return 0;
        }
    }
    error_set(e, -EBUSY, "%u killed, and it still starts new processes", r->killed);
    error_way_out(e, "contain it first (`tiercel respond contain-lineage`), then kill it");
    return -EBUSY;
}

const struct act response_kill = {.check = check, .apply = apply};
const struct act response_kill_lineage = {.check = check_lineage, .apply = apply_lineage};
