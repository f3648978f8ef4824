// SPDX-License-Identifier: Apache-2.0
// Who holds the gate, and when it is armed. The way up: the sensor makes the group and gives it away; warden and engine
// take it; the warden answers; the engine answers and proves it by its self-test; the sensor, with the group lent by the
// engine, sets the marks. While one of the two holders lives the kernel keeps the group and its marks; a new engine
// gets the descriptor from the warden and a new warden from the engine. The parent only passes it on, never keeps it, and
// never sends it to a process that may still stand in its exec.
#include "agent/parent.h"
#include "base/cleanup.h"
#include "os/process.h"
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define STEP_LIMIT_NS (30 * 1000000000ull) // for the whole way up; emulated machines are slow
#define SLOW_SELF_TESTS 2

static struct child *child(struct parent *p, enum role role)
{
    return &p->children[role];
}

static bool somebody_holds(struct parent *p)
{
    return child(p, ROLE_ENGINE)->holds || child(p, ROLE_WARDEN)->holds;
}

static void set_armed(struct parent *p, bool armed)
{
    struct arming *a = &p->arming;
    if (a->armed == armed)
        return;
    a->armed = armed;
    a->armed_wall_ns = armed ? os_wall_ns() : 0;
    if (armed) {
        const struct control_status *s = p->status;
        parent_say("armed: %u mounts guarded, %u not", s->n_guarded,
                   s->n_filesystems + s->filesystems_left_out - s->n_guarded);
        parent_state(p, "armed", "%u mounts guarded", s->n_guarded);
    } else {
        parent_say("disarmed");
        parent_state(p, "disarmed", "the gate no longer answers");
    }
}

// What is armed: an engine that judges, and marks. A missing warden is made good in the background. For the guardian
// it is enough that marks may exist and somebody holds the group.
static void look(struct parent *p)
{
    struct arming *a = &p->arming;
    set_armed(p, a->gate_ready && a->marked && !a->disarming);
    gate_table_arm(p->table, somebody_holds(p) && (a->marked || a->arm_sent || a->disarming));
}

static void take_down(struct parent *p)
{
    struct arming *a = &p->arming;
    struct order_mode detect = {0};
    if (child_begun(child(p, ROLE_SENSOR)))
        child_send(p, ROLE_SENSOR, ORDER_MODE, &detect, sizeof(detect));
    if (child_begun(child(p, ROLE_ENGINE))) {
        child_send(p, ROLE_ENGINE, ORDER_MODE, &detect, sizeof(detect));
        if (child(p, ROLE_ENGINE)->holds)
            child_send(p, ROLE_ENGINE, ORDER_DISARM, NULL, 0);
    }
    a->group_asked = a->arm_sent = a->marked = a->gate_ready = false;
    a->lending = ROLE_PARENT;
    a->disarming = somebody_holds(p);
    a->since_ns = os_monotonic_ns();
    look(p);
}

void arming_give_up(struct parent *p, const char *format, ...)
{
    struct arming *a = &p->arming;
    char why[320];
    if (!a->wanted || a->refused)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof(why), format, args);
    va_end(args);
    a->refused = true;
    parent_why(p, "detect mode: %s", why);
    parent_state(p, "mode", "detect, because %.180s", why);
    take_down(p);
}

void arming_want(struct parent *p, bool prevent)
{
    struct arming *a = &p->arming;
    struct order_mode mode = {.prevent = prevent};
    bool was = a->wanted && !a->refused;
    a->wanted = prevent;
    a->refused = false;
    if (was == prevent)
        return;
    parent_state(p, "mode", "%s, asked for by root", prevent ? "prevent" : "detect");
    parent_say("%s mode was asked for", prevent ? "prevent" : "detect");
    if (!prevent)
        return take_down(p);
    p->status->why[0] = 0;
    a->since_ns = os_monotonic_ns();
    if (a->gate_used && child(p, ROLE_ENGINE)->state == CHILD_RUNNING) {
        child_send(p, ROLE_ENGINE, ORDER_STOP, NULL,
                   0); // its self-test can be made once in its life
        child(p, ROLE_ENGINE)->state = CHILD_ENDING;
        child(p, ROLE_ENGINE)->since_ns = a->since_ns;
    } else if (child_begun(child(p, ROLE_ENGINE))) {
        child_send(p, ROLE_ENGINE, ORDER_MODE, &mode, sizeof(mode));
    }
}

// ---- steps

static void share(struct parent *p, enum role from)
{
    enum role to = from == ROLE_WARDEN ? ROLE_ENGINE : ROLE_WARDEN;
    struct arming *a = &p->arming;
    if (child(p, to)->holds || child(p, to)->state != CHILD_RUNNING || a->lending != ROLE_PARENT)
        return;
    if (child_send(p, from, ORDER_LEND_GROUP, NULL, 0) == 0)
        a->lending = from;
}

static void make_group(struct parent *p)
{
    static const enum role needed[] = {ROLE_SENSOR, ROLE_WARDEN, ROLE_ENGINE, ROLE_GUARDIAN};
    struct arming *a = &p->arming;
    for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++)
        if (child(p, needed[i])->state != CHILD_RUNNING)
            return;
    if (!a->group_asked && child_send(p, ROLE_SENSOR, ORDER_MAKE_GROUP, NULL, 0) == 0)
        a->group_asked = true;
}

void arming_step(struct parent *p)
{
    struct arming *a = &p->arming;
    if (p->stopping)
        return;
    if (a->disarming &&
        !child(p, ROLE_ENGINE)->holds) // the engine first: the warden frees what still waits
        child_end(p, ROLE_WARDEN);
    if (a->disarming || !a->wanted || a->refused)
        return;
    if (!somebody_holds(p))
        return make_group(p);
    if (child(p, ROLE_WARDEN)->holds)
        share(p, ROLE_WARDEN);
    if (child(p, ROLE_ENGINE)->holds)
        share(p, ROLE_ENGINE);
    bool ready = a->gate_ready && a->warden_ready && child(p, ROLE_SENSOR)->state == CHILD_RUNNING;
    if (ready && !a->arm_sent && child_send(p, ROLE_SENSOR, ORDER_ARM, NULL, 0) == 0) {
        a->arm_sent = true;
        look(p);
    }
}

// ---- messages

static void give_group(struct parent *p, enum role to, int group)
{
    if (child(p, to)->holds || child(p, to)->state != CHILD_RUNNING)
        return;
    if (child_give(p, to, GIVE_GROUP, 0, group) == 0)
        child(p, to)->holds = true;
    if (to == ROLE_ENGINE)
        p->arming.gate_used = true;
}

// Made by the sensor or lent by a holder. Never kept here.
static void take_group(struct parent *p, enum role from, struct link_message *m)
{
    struct arming *a = &p->arming;
    if (m->n_fds != 1)
        return;
    m->n_fds = 0;
    _cleanup_close_ int group = m->fds[0];
    if (a->disarming || a->refused || !a->wanted)
        return;
    if (from == ROLE_SENSOR && somebody_holds(p)) // a second one: an answer to a question long gone
        return;
    if (from != ROLE_SENSOR && a->lending == from)
        a->lending = ROLE_PARENT;
    give_group(p, ROLE_WARDEN, group);
    give_group(p, ROLE_ENGINE, group);
}

static void take_gate(struct parent *p, const struct told_gate *told)
{
    if (!told || p->arming.disarming || !child(p, ROLE_ENGINE)->holds)
        return;
    // On a machine that is starting up or overloaded the test may have come too late; twice it is made again, which takes
    // a new engine with a child of its own.
    if (told->code == -ETIMEDOUT && p->arming.slow_self_tests++ < SLOW_SELF_TESTS)
        return child_kill(p, ROLE_ENGINE, "did not get the gate's self-test done in time");
    if (told->code < 0)
        return arming_give_up(p, "the gate does not work: %.250s", told->text);
    p->arming.gate_ready = true;
    p->arming.slow_self_tests = 0;
    look(p);
}

static void take_marked(struct parent *p, const struct told_marked *told)
{
    struct arming *a = &p->arming;
    if (!told || a->disarming)
        return;
    uint32_t n = p->n_filesystems;
    if (told->code < 0)
        return arming_give_up(p, "nothing could be marked: %.240s", told->text);
    memcpy(p->status->filesystems, p->filesystems, n * sizeof(*p->filesystems));
    p->status->n_filesystems = n;
    p->status->filesystems_left_out = p->filesystems_left_out;
    p->status->n_guarded = told->guarded;
    if (told->guarded == 0)
        return arming_give_up(p, "there is no file system that may be marked");
    a->marked = true;
    look(p);
    p->n_filesystems = p->filesystems_left_out = 0; // rows of the next marking begin anew
}

static void take_filesystem(struct parent *p, const struct control_filesystem *row)
{
    if (!row)
        return;
    if (p->n_filesystems == CONTROL_FILESYSTEMS)
        p->filesystems_left_out++;
    else
        p->filesystems[p->n_filesystems++] = *row;
}

void arming_told(struct parent *p, enum role role, struct link_message *m)
{
    switch (m->type) {
    case TOLD_GROUP:
        take_group(p, role, m);
        break;
    case TOLD_HOLDS:
        p->arming.warden_ready = role == ROLE_WARDEN && !p->arming.disarming;
        break;
    case TOLD_GATE:
        take_gate(p, role == ROLE_ENGINE ? link_body(m, struct told_gate) : NULL);
        break;
    case TOLD_DISARMED:
        if (role == ROLE_ENGINE)
            child(p, ROLE_ENGINE)->holds = false;
        break;
    case TOLD_MARKED:
        take_marked(p, role == ROLE_SENSOR ? link_body(m, struct told_marked) : NULL);
        break;
    case TOLD_FILESYSTEM:
        take_filesystem(p, role == ROLE_SENSOR ? link_body(m, struct control_filesystem) : NULL);
        break;
    default:
        break;
    }
}

// ---- deaths

void arming_lost(struct parent *p, enum role role)
{
    struct arming *a = &p->arming;
    child(p, role)->holds = false;
    if (a->lending == role)
        a->lending = ROLE_PARENT;
    if (role == ROLE_ENGINE)
        a->gate_ready = a->gate_used = false;
    if (role == ROLE_WARDEN)
        a->warden_ready = false;
    if (role == ROLE_SENSOR) {
        a->group_asked = somebody_holds(p);
        a->arm_sent = false; // a new one must learn the mounts; the marks stand
        p->n_filesystems = p->filesystems_left_out = 0;
    }
    if (role == ROLE_ENGINE && !a->marked)
        a->arm_sent = false;  // the sensor's request for the group died with it
    if (!somebody_holds(p)) { // the kernel has let everything go
        a->group_asked = a->arm_sent = a->marked = a->disarming = false;
        a->lending = ROLE_PARENT;
    }
    a->since_ns = os_monotonic_ns();
    look(p);
}

void arming_watch(struct parent *p)
{
    struct arming *a = &p->arming;
    uint64_t since = os_monotonic_ns() - a->since_ns;
    if (a->disarming && since > 2 * 1000000000ull)
        child_kill(p, child(p, ROLE_ENGINE)->holds ? ROLE_ENGINE : ROLE_WARDEN,
                   "does not let the gate go");
    if (a->wanted && !a->refused && !a->armed && !a->disarming && since > STEP_LIMIT_NS &&
        !p->stopping && child(p, ROLE_ENGINE)->state == CHILD_RUNNING)
        arming_give_up(p, "the gate could not be armed within %llu s",
                       STEP_LIMIT_NS / 1000000000ull);
}
