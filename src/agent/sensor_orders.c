// SPDX-License-Identifier: Apache-2.0
#include "agent/sensor_orders.h"
#include "agent/role_table.h"
#include "base/cleanup.h"
#include "os/process.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

// ---- addresses

static struct str ip_of(const struct response_address *a)
{
    return str_bytes(a->ip, a->bytes);
}

static int tell_kernel(const struct sensor_orders *o, const struct response_address *a, bool deny)
{
    struct net_policy policy = {.action = NET_DENY};
    int r = deny ? probe_net_set(&o->fds, ip_of(a), a->prefix, &policy)
                 : probe_net_remove(&o->fds, ip_of(a), a->prefix);
    return r == -ENOENT && !deny ? 0 : r;
}

int sensor_orders_address(struct sensor_orders *o, const struct response_address *a,
                          enum denial_owner owner, bool deny)
{
    size_t i = 0;
    while (i < o->n_denials &&
           memcmp(&o->denials[i].address, a, offsetof(struct response_address, unused)) != 0)
        i++;
    if (i == o->n_denials) {
        if (!deny)
            return 0;
        if (o->n_denials == DENIALS_MAX)
            return -ENOSPC;
        int r = tell_kernel(o, a, true);
        if (r < 0)
            return r;
        o->denials[o->n_denials].address = *a;
        o->denials[o->n_denials++].owners = owner;
        return 0;
    }
    uint32_t left = deny ? o->denials[i].owners | owner : o->denials[i].owners & ~(uint32_t)owner;
    if (left) {
        o->denials[i].owners = left;
        return 0;
    }
    int r = tell_kernel(o, a, false);
    if (r == 0)
        o->denials[i] = o->denials[--o->n_denials];
    return r;
}

static void allow_always(struct sensor_orders *o, const struct role_setup *setup)
{
    struct net_policy policy = {.action = NET_ALLOW};
    for (uint32_t i = 0; i < setup->n_allow && i < ROLE_ALLOW_MAX; i++)
        (void)probe_net_set(&o->fds, ip_of(&setup->allow[i]), setup->allow[i].prefix, &policy);
}

// ---- start

void sensor_orders_start(struct sensor_orders *o, struct role_context *role, struct probe *probe,
                         char ret_contain[160])
{
    struct error e = {0};
    o->role = role;
    o->probe = probe;
    o->fds = probe_fds(probe);
    allow_always(o, &role->setup);
    _cleanup_close_ int cgroup = probe_cgroup_root();
    o->contain_code = cgroup < 0
                          ? error_set(&e, cgroup, "no cgroup-2 hierarchy is mounted")
                          : contain_load(cgroup, CONTAIN_BPFFS, role_spec(ROLE_SENSOR)->sandbox.uid,
                                         &o->contain, &e);
    snprintf(ret_contain, 160, "%.155s",
             o->contain_code < 0 ? e.what
             : contain_active(o->contain)
                 ? "the host is contained: taken over from an earlier agent"
                 : "loaded; attached when it is ordered");
}

// ---- flags

// Children inherit what is set here. pid 0: the last contained lineage was let go, nobody keeps the flag.
void sensor_orders_flags(struct sensor_orders *o, const struct sensor_flags *order)
{
    struct os_process process;
    uint32_t now = 0;
    if (order->pid == 0) {
        probe_contained(o->probe, false);
        probe_flags_sweep(o->fds.flags, order->mask);
        return;
    }
    _cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, (pid_t)order->pid, 0);
    if (fd < 0 || os_process_read((pid_t)order->pid, &process) < 0 ||
        process.start_ns / OS_START_STEP_NS != order->start_ns / OS_START_STEP_NS)
        return; // gone, or another process: its start will be seen as a new one
    if (order->flags & FLAG_CONTAINED)
        probe_contained(o->probe, true);
    int r = probe_flags_get(o->fds.flags, (pid_t)order->pid, &now);
    if (r == 0)
        r = probe_flags_set(o->fds.flags, (pid_t)order->pid, fd,
                            (now & ~order->mask) | (order->flags & order->mask));
    if (r < 0 && r != -ESRCH)
        role_problem(o->role, "flags of process %u could not be set: %s", order->pid, strerror(-r));
}

// ---- orders of respond

static bool valid(const struct response_address *a)
{
    return (a->bytes == 4 || a->bytes == 16) && a->prefix <= a->bytes * 8;
}

static int contain_host(struct sensor_orders *o, const struct sensor_contain_host *order,
                        bool *ret_pinned)
{
    if (!o->contain)
        return order->until_ns ? o->contain_code : 0;
    if (!order->until_ns)
        return contain_active(o->contain) ? contain_release(o->contain) : 0;
    if (order->n > 2 * RESPONSE_ADDRESSES)
        return -EINVAL;
    for (uint32_t i = 0; i < order->n; i++)
        if (!valid(&order->allowed[i]))
            return -EINVAL;
    return contain_apply(o->contain, order->allowed, order->n, order->until_ns, ret_pinned);
}

void sensor_orders_respond(struct sensor_orders *o, const struct link_message *m)
{
    const struct sensor_respond_address *a =
        m->type == SENSOR_RESPOND_ADDRESS ? link_body(m, struct sensor_respond_address) : NULL;
    const struct sensor_contain_host *h =
        m->type == SENSOR_CONTAIN_HOST ? link_body(m, struct sensor_contain_host) : NULL;
    struct sensor_did did = {0};
    bool pinned = false;
    if (a) {
        did.number = a->number;
        did.code = !valid(&a->address)
                       ? -EINVAL
                       : sensor_orders_address(o, &a->address, DENIED_BY_RESPONSE, a->deny);
    } else if (h) {
        did.number = h->number;
        did.code = contain_host(o, h, &pinned);
        did.pinned = pinned;
    } else {
        return role_problem(o->role, "an order of respond was not understood (type %u)", m->type);
    }
    (void)link_send(o->role->given[GIVE_PEER_RESPOND], SENSOR_DID, &did, sizeof(did), NULL, 0, 0);
}
