// SPDX-License-Identifier: Apache-2.0
// Orders of the engine to the roles that may act. They are sent without waiting: a peer that does not take them is
// counted, never waited for.
#include "agent/engine_private.h"

#include <errno.h>
#include <stdio.h>

static int send_kill(struct engine *e, struct respond_kill_order *order)
{
    int peer = e->role->given[GIVE_PEER_RESPOND];
    order->order = ++e->order;
    int r = peer < 0 ? -ENOTCONN : link_send(peer, RESPOND_KILL, order, sizeof *order, NULL, 0, 0);
    if (r < 0) {
        e->stats->kills_failed += order->n;
        snprintf(e->stats->problem, sizeof e->stats->problem, "respond cannot be reached: %s",
                 strerror(-r));
    }
    return r;
}

void act_kill(struct engine *e, const Tiercel__ProcessId *id, bool lineage, uint64_t detection,
              enum respond_reason reason, struct arena *arena)
{
    struct respond_kill_order order = {.detection = detection, .reason = reason};
    Tiercel__ProcessId **members = NULL;
    size_t n = lineage && arena ? tree_lineage(e->tree, id, arena, &members) : 0;
    order.targets[order.n].pid = id->pid;
    order.targets[order.n++].start_ns = id->start;
    for (size_t i = 0; i < n; i++) {
        if (members[i]->pid == id->pid)
            continue;
        if (order.n == RESPOND_TARGETS_MAX) {
            send_kill(e, &order);
            order.n = 0;
        }
        order.targets[order.n].pid = members[i]->pid;
        order.targets[order.n++].start_ns = members[i]->start;
    }
    if (order.n)
        send_kill(e, &order);
}

void act_done(struct engine *e, const struct respond_done *done)
{
    e->stats->kills += done->killed;
    e->stats->kills_failed += done->refused;
}

void act_flags(struct engine *e, const Tiercel__ProcessId *id, uint32_t flags)
{
    struct sensor_flags order = {
        .pid = id->pid, .flags = flags, .mask = ~(uint32_t)FLAG_CONTAINED, .start_ns = id->start};
    int peer = e->role->given[GIVE_PEER_SENSOR];
    // Where it is not there, or behind with its work, all flags are told again (engine_flag_all()).
    if (peer >= 0 && link_send(peer, SENSOR_FLAGS, &order, sizeof order, NULL, 0, 0) < 0)
        e->flags_behind = true;
}

void act_budget(struct engine *e)
{
    struct sensor_budget order = {.share = e->budget.share ? e->budget.share : 1};
    int peer = e->role->given[GIVE_PEER_SENSOR];
    if (peer >= 0 && link_send(peer, SENSOR_BUDGET, &order, sizeof order, NULL, 0, 0) < 0)
        e->flags_behind = true; // told again with them
}

void act_look_at_mounts(struct engine *e, const Tiercel__Process *process)
{
    struct sensor_device order = {.pid = process->id->pid};
    int peer = e->role->given[GIVE_PEER_SENSOR];
    if (process->image && process->image->has_device)
        order.device = process->image->device;
    if (peer >= 0) // a lost order is repeated by the next exec from there
        link_send(peer, SENSOR_MOUNTS, &order, sizeof order, NULL, 0, 0);
}
