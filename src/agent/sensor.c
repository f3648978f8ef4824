// SPDX-License-Identifier: Apache-2.0
// The role that has the kernel's ear: loads the programs, passes their rings to the engine, makes the gate's group (and
// gives it away at once), sets marks with a group lent by the engine for that moment, and writes what the engine orders
// into the kernel's maps. It reads no event and no rule.
#include "agent/role.h"
#include "agent/sensor_orders.h"
#include "agent/sensor_protect.h"
#include "base/cleanup.h"
#include "os/process.h"
#include "sensor/gate_table.h"
#include "sensor/probe.h"
#include "sensor/watch.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define BEAT_MS 200
#define DEVICES_MAX 1024u
#define PENDING_MAX 32u

struct sensor {
    struct role_context *role;
    struct sensor_orders orders;
    struct probe *probe;
    struct probe_fds fds;
    struct gate_mounts *mounts; // while armed
    struct sensor_protect protect;
    bool prevent, asked, mounts_came;
    uint64_t devices[DEVICES_MAX]; // told to the kernel as guarded
    size_t n_devices;
    struct sensor_device
        pending[PENDING_MAX]; // file systems to be marked that only another process sees
    size_t n_pending;
};

static void tell_mechanism(struct sensor *s, const char *name, enum control_works works,
                           const char *reason, const char *instead)
{
    struct control_mechanism row = {.works = works};
    snprintf(row.name, sizeof(row.name), "%s", name);
    snprintf(row.reason, sizeof(row.reason), "%s", reason);
    snprintf(row.instead, sizeof(row.instead), "%s", instead ? instead : "");
    (void)role_tell(s->role, TOLD_MECHANISM, &row, sizeof(row), -1);
}

static int tell_probe(struct sensor *s, enum give_probe number, int fd)
{
    struct order_give give = {.what = GIVE_PROBE, .number = number};
    return role_tell(s->role, TOLD_PROBE, &give, sizeof(give), fd);
}

static void address(struct sensor *s, const struct sensor_address *a, enum denial_owner owner,
                    bool deny)
{
    bool v4 = a->family == AF_INET;
    if ((!v4 && a->family != AF_INET6) || a->prefix > (v4 ? 32 : 128))
        return role_problem(s->role, "an address to deny was not understood");
    struct response_address of = {.bytes = v4 ? 4 : 16, .prefix = (uint8_t)a->prefix};
    memcpy(of.ip, a->address, of.bytes);
    int r = sensor_orders_address(&s->orders, &of, owner, deny);
    if (r < 0)
        role_problem(s->role, "an address could not be %s: %s", deny ? "denied" : "allowed",
                     strerror(-r));
}

// Files are seen by the kernel's programs, which need the watch list in a map, or by a notification group. The engine
// keeps the list, marks and reads: only the group's making needs more rights than it has.
static int give_files(struct sensor *s)
{
    static const char row[] = "file watch";
    struct error e = {0};
    if (s->fds.watched >= 0)
        return tell_probe(s, GIVE_PROBE_WATCHED, s->fds.watched);
    _cleanup_close_ int group = watch_group_create(&e);
    if (group < 0) {
        tell_mechanism(s, row, CONTROL_REFUSED, e.what, "nothing: changes of files are not seen");
        return 0;
    }
    tell_mechanism(s, row, CONTROL_WORKS, "a fanotify group, for the watched folders only", "");
    return tell_probe(s, GIVE_PROBE_FILES, group);
}

static int start(struct sensor *s)
{
    const struct role_setup *setup = &s->role->setup;
    struct probe_options options = {.hash_key = setup->hash_key};
    struct error e = {0};
    int r = probe_new(&options, &s->probe, &e);
    if (r < 0) {
        role_problem(s->role, "%s%s%s", e.what, e.way_out[0] ? "; " : "", e.way_out);
        return r;
    }
    s->fds = probe_fds(s->probe);
    const struct probe_mechanism *rows;
    size_t n = probe_mechanisms(s->probe, &rows);
    static const enum control_works works[] = {[PROBE_WORKS] = CONTROL_WORKS,
                                               [PROBE_REFUSED] = CONTROL_REFUSED,
                                               [PROBE_ABSENT] = CONTROL_ABSENT};
    for (size_t i = 0; i < n; i++)
        tell_mechanism(s, rows[i].name, works[rows[i].state], rows[i].reason, rows[i].instead);
    char contain[160];
    sensor_orders_start(&s->orders, s->role, s->probe, contain);
    tell_mechanism(s, "containment of the host",
                   s->orders.contain ? CONTROL_WORKS : CONTROL_REFUSED, contain,
                   s->orders.contain ? "" : "nothing: lineages can be contained, the host cannot");
    for (uint32_t i = 0; i < setup->n_deny && i < ROLE_DENY_MAX; i++)
        address(s, &setup->deny[i], DENIED_BY_CONFIG, true);
    if ((r = give_files(s)) < 0 ||
        (r = tell_probe(s, GIVE_PROBE_STRUCTURAL, s->fds.structural)) < 0 ||
        (r = tell_probe(s, GIVE_PROBE_BULK, s->fds.bulk)) < 0 ||
        (r = tell_probe(s, GIVE_PROBE_JUDGED, s->fds.judged)) < 0 ||
        (r = tell_probe(s, GIVE_PROBE_COUNTERS, s->fds.counters)) < 0 ||
        (r = tell_probe(s, GIVE_PROBE_FLAGS, s->fds.flags)) < 0)
        return r;
    return 0;
}

// ---- the gate

static int make_group(struct sensor *s)
{
    struct error e = {0};
    _cleanup_close_ int group = gate_group_create(&e);
    if (group < 0) {
        struct told_marked failed = {.code = group};
        snprintf(failed.text, sizeof(failed.text), "%.240s", e.what);
        tell_mechanism(s, "gate", CONTROL_REFUSED, e.what,
                       "the exec signal, and kills after the fact");
        return role_tell(s->role, TOLD_MARKED, &failed, sizeof(failed), -1);
    }
    return role_tell(s->role, TOLD_GROUP, NULL, 0, group);
}

static int ask_group(struct sensor *s)
{
    if (s->asked || s->role->given[GIVE_PEER_ENGINE] < 0)
        return 0;
    int r = link_send(s->role->given[GIVE_PEER_ENGINE], SENSOR_ASKS_GROUP, NULL, 0, NULL, 0, 0);
    s->asked = r == 0;
    return r;
}

static void arm_probe(struct sensor *s)
{
    struct probe_arming arming = {.armed = s->mounts, .prevent = s->prevent};
    pid_t own[ORDER_PIDS_MAX];
    for (uint32_t i = 0; i < s->role->pids.n; i++)
        own[arming.n_own++] = (pid_t)s->role->pids.pids[i];
    arming.own = own;
    if (s->role->setup.scope_pid > 0) {
        char path[48];
        struct stat st;
        snprintf(path, sizeof(path), "/proc/%d/ns/mnt", s->role->setup.scope_pid);
        if (stat(path, &st) == 0)
            arming.mount_namespace = (uint32_t)st.st_ino;
        else // its process is gone, and with it what was to be guarded
            arming.armed = false;
    }
    int r = probe_arm(s->probe, &arming);
    if (r < 0)
        role_problem(s->role, "the exec check in the kernel could not be switched: %s",
                     strerror(-r));
}

static void tell_filesystem(struct sensor *s, const struct gate_mount *m)
{
    struct control_filesystem row = {.guarded = m->marked};
    snprintf(row.type, sizeof(row.type), "%s", m->type);
    snprintf(row.path, sizeof(row.path), "%s", m->path);
    snprintf(row.reason, sizeof(row.reason), "%s", m->why ? m->why : "");
    (void)role_tell(s->role, TOLD_FILESYSTEM, &row, sizeof(row), -1);
}

static bool contains(const uint64_t *list, size_t n, uint64_t device)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == device)
            return true;
    return false;
}

// Tells the kernel which devices the gate is asked about, and takes back those that are no longer seen: a device number
// can come again with another file system.
static void guard_devices(struct sensor *s, struct told_marked *told)
{
    static uint64_t now[DEVICES_MAX];
    size_t n = 0, count = gate_mounts_count(s->mounts);
    for (size_t i = 0; i < count; i++) {
        const struct gate_mount *m = gate_mounts_at(s->mounts, i);
        tell_filesystem(s, m);
        told->guarded += m->marked;
        told->skipped += !m->marked;
        if (m->marked && n < DEVICES_MAX && !contains(now, n, m->device) &&
            probe_guard(s->fds.guarded, m->device, true) == 0)
            now[n++] = m->device;
    }
    for (size_t i = 0; i < s->n_devices; i++)
        if (!contains(now, n, s->devices[i]))
            (void)probe_guard(s->fds.guarded, s->devices[i], false);
    memcpy(s->devices, now, n * sizeof(*now));
    s->n_devices = n;
}

static void mark_pending(struct sensor *s, int group)
{
    for (size_t i = 0; i < s->n_pending; i++) {
        struct error e = {0};
        int r = gate_mark_device_of(group, s->mounts, (pid_t)s->pending[i].pid,
                                    s->pending[i].device, &e);
        if (r < 0 && r != -ENOENT && r != -EPERM && r != -ESRCH)
            role_problem(
                s->role,
                "a new file system stays unguarded, its programs are judged when they start: %s",
                e.what);
    }
    s->n_pending = 0;
}

// The group is ours for the time of these calls only. The guardian knows while it is.
static int mark(struct sensor *s, int group)
{
    struct told_marked told = {0};
    struct error e = {0};
    s->asked = false;
    atomic_store(&s->role->table->holder[GATE_HOLDER_SENSOR], getpid());
    if (s->mounts && !s->mounts_came) { // asked for by what is protected alone
        sensor_protect_mark(&s->protect, group);
        close(group);
        atomic_store(&s->role->table->holder[GATE_HOLDER_SENSOR], 0);
        return 0;
    }
    if (s->mounts)
        sensor_protect_mounts_changed(&s->protect);
    s->mounts_came = false;
    int r = s->mounts ? gate_mark_new(group, s->mounts, &e)
                      : gate_mark_all(group, s->role->setup.scope_pid, &s->mounts, &e);
    if (r == 0) {
        mark_pending(s, group);
        sensor_protect_mark(&s->protect, group);
    }
    close(group);
    atomic_store(&s->role->table->holder[GATE_HOLDER_SENSOR], 0);
    told.code = r;
    if (r < 0)
        snprintf(told.text, sizeof(told.text), "%.240s", e.what);
    else {
        guard_devices(s, &told);
        arm_probe(s);
        tell_mechanism(s, "gate", CONTROL_WORKS,
                       "every program start on the guarded file systems is asked about", "");
    }
    return role_tell(s->role, TOLD_MARKED, &told, sizeof(told), -1);
}

static void disarm(struct sensor *s)
{
    if (s->mounts)
        gate_unmark_all(-1, s->mounts); // the marks go with the group; this frees the list
    s->mounts = NULL;
    sensor_protect_disarm(&s->protect);
    s->asked = false;
    for (size_t i = 0; i < s->n_devices; i++)
        (void)probe_guard(s->fds.guarded, s->devices[i], false);
    s->n_devices = 0;
    arm_probe(s);
}

// ---- messages

static int look_again(struct sensor *s, const struct sensor_device *device)
{
    if (!s->mounts)
        return 0;
    if (device && s->n_pending < PENDING_MAX)
        s->pending[s->n_pending++] = *device;
    s->mounts_came = true;
    return ask_group(s);
}

static int engine_message(struct sensor *s, struct link_message *m)
{
    if (m->type == SENSOR_LEND_GROUP && m->n_fds == 1) {
        m->n_fds = 0;
        return mark(s, m->fds[0]);
    }
    link_message_done(m);
    const struct sensor_flags *flags = link_body(m, struct sensor_flags);
    const struct sensor_address *a = link_body(m, struct sensor_address);
    const struct sensor_budget *budget = link_body(m, struct sensor_budget);
    if (m->type == SENSOR_FLAGS && flags)
        sensor_orders_flags(&s->orders, flags);
    else if ((m->type == SENSOR_DENY_ADDRESS || m->type == SENSOR_ALLOW_ADDRESS) && a)
        address(s, a, DENIED_BY_NAME, m->type == SENSOR_DENY_ADDRESS);
    else if (m->type == SENSOR_BUDGET && budget && budget->share)
        probe_bulk_limit(s->probe, budget->share);
    else if (m->type == SENSOR_MOUNTS)
        return look_again(s, link_body(m, struct sensor_device));
    else
        role_problem(s->role, "an order of the engine was not understood (type %u)", m->type);
    return 0;
}

static void lose_engine(struct sensor *s)
{
    close(s->role->given[GIVE_PEER_ENGINE]);
    s->role->given[GIVE_PEER_ENGINE] = -1; // the parent gives the next engine's
    s->asked = false;
}

static int parent_message(struct sensor *s, const struct link_message *m)
{
    const struct order_mode *mode = link_body(m, struct order_mode);
    switch (m->type) {
    case ORDER_MAKE_GROUP:
        s->prevent = true;
        return make_group(s);
    case ORDER_ARM:
        s->prevent = true;
        s->asked = false;
        s->mounts_came = true;
        return ask_group(s);
    case ORDER_MODE:
        s->prevent = mode && mode->prevent;
        if (!s->prevent)
            disarm(s);
        return 0;
    case ORDER_PIDS:
        arm_probe(s);
        return 0;
    default:
        return 0;
    }
}

// Returns the exit status, or -1 to go on.
static int look(struct sensor *s, struct pollfd p[5])
{
    static struct link_message m;
    int r;
    if (p[4].revents) {
        while ((r = link_receive(s->role->given[GIVE_PEER_RESPOND], &m, 0)) == 1) {
            link_message_done(&m);
            sensor_orders_respond(&s->orders, &m);
        }
        if (r != -EAGAIN) {
            close(s->role->given[GIVE_PEER_RESPOND]);
            s->role->given[GIVE_PEER_RESPOND] = -1; // the parent gives the next one's
        }
    }
    if (p[1].revents) {
        while ((r = link_receive(s->role->given[GIVE_PEER_ENGINE], &m, 0)) == 1)
            if (engine_message(s, &m) < 0)
                break;
        if (r != 1 && r != -EAGAIN)
            lose_engine(s);
    }
    if (p[2].revents)
        s->mounts_came = true;
    bool wanted = sensor_protect_look(&s->protect);
    if ((wanted || s->mounts_came) && s->mounts && ask_group(s) < 0)
        lose_engine(s);
    if (!p[0].revents)
        return -1;
    r = role_receive(s->role, &m, 0);
    if (r == -EAGAIN)
        return -1;
    if (r <= 0)
        return r == 0 ? 0 : 1;
    return parent_message(s, &m) < 0 ? 1 : -1;
}

// One a process: loaded by sensor_prepare(), used by sensor_role().
static struct sensor the_sensor;

int sensor_prepare(struct role_context *context)
{
    the_sensor.role = context;
    the_sensor.prevent = context->setup.prevent;
    int r = start(&the_sensor);
    if (r == 0)
        r = sensor_protect_start(&the_sensor.protect, context, &the_sensor.fds);
    return r;
}

int sensor_role(struct role_context *context)
{
    struct sensor *s = &the_sensor;
    int status = role_tell(context, TOLD_READY, NULL, 0, -1) < 0 ? 1 : -1;
    while (status < 0) {
        struct pollfd p[] = {{.fd = context->parent, .events = POLLIN},
                             {.fd = context->given[GIVE_PEER_ENGINE], .events = POLLIN},
                             {.fd = s->mounts ? gate_mounts_fd(s->mounts) : -1, .events = POLLPRI},
                             {.fd = sensor_protect_fd(&s->protect), .events = POLLIN},
                             {.fd = context->given[GIVE_PEER_RESPOND], .events = POLLIN}};
        poll(p, 5, BEAT_MS);
        role_beat(context);
        status = look(s, p);
    }
    s->orders.contain = contain_free(s->orders.contain);
    s->probe = probe_free(s->probe);
    return status;
}
