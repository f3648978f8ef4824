// SPDX-License-Identifier: Apache-2.0
// Answers on the control socket. What is not kept as rows is put together here, at the moment it is asked for.
#include "agent/mode.h"
#include "agent/parent.h"
#include "agent/role_table.h"
#include "os/process.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void fill_roles(const struct parent *p, struct control_status *s)
{
    uint64_t now = os_monotonic_ns();
    s->n_roles = enrolled(p) ? ROLE_COUNT : ROLE_UPLINK;
    _Static_assert(ROLE_COUNT <= CONTROL_ROLES, "a row each");
    for (enum role role = ROLE_PARENT; role < s->n_roles; role++) {
        const struct child *c = &p->children[role];
        struct control_role *row = &s->roles[role];
        *row = (struct control_role){.uid = role_spec(role)->sandbox.uid, .pid = c->pid};
        snprintf(row->name, sizeof(row->name), "%s", role_name(role));
        if (role == ROLE_PARENT) {
            row->pid = getpid();
            row->state = CONTROL_ROLE_RUNNING;
            continue;
        }
        row->state = c->state == CHILD_DOWN      ? CONTROL_ROLE_DOWN
                     : c->state == CHILD_RUNNING ? CONTROL_ROLE_RUNNING
                                                 : CONTROL_ROLE_STARTING;
        row->restarts = c->starts ? c->starts - 1 : 0;
        uint64_t beat = c->page ? atomic_load(&c->page->beat_ns) : 0;
        row->beat_age_ms = beat && now > beat ? (uint32_t)((now - beat) / 1000000) : 0;
    }
}

static void fill_gate(const struct gate_table *t, struct control_gate *g)
{
    *g = (struct control_gate){
        .asked = gate_table_count(t, GATE_QUESTIONS) + gate_table_count(t, GATE_UNREAD_ALLOWED),
        .allowed = gate_table_count(t, GATE_ALLOWED),
        .denied = gate_table_count(t, GATE_DENIED),
        .overdue = gate_table_count(t, GATE_OVERDUE),
        .late_denied = gate_table_count(t, GATE_LATE_DENIED),
        .unanswerable = gate_table_count(t, GATE_FAULTED) + gate_table_count(t, GATE_STUCK),
        .by_warden = gate_table_count(t, GATE_UNREAD_ALLOWED),
        .no_engine = gate_table_count(t, GATE_SWEPT),
    };
}

static void fill(struct parent *p, struct control_status *s)
{
    const struct arming *a = &p->arming;
    snprintf(s->version, sizeof(s->version), "%s", TIERCEL_VERSION);
    s->mode = a->wanted && !a->refused ? CONTROL_PREVENT : CONTROL_DETECT;
    s->wanted = a->wanted ? CONTROL_PREVENT : CONTROL_DETECT;
    s->armed = a->armed;
    s->armed_ns = a->armed_wall_ns;
    s->scope_pid = p->setup.scope_pid;
    s->deadline_ms = p->setup.deadline_ms;
    segments_look(&p->segments);
    s->journal_bytes = p->segments.bytes;
    s->journal_bound = p->segments.bound;
    s->journal_first = p->segments.first;
    s->journal_last = p->segments.last;
    s->journal_deleted = p->segments.deleted;
    snprintf(s->journal, sizeof(s->journal), "%.200s/journal", p->setup.state);
    snprintf(s->rules, sizeof(s->rules), "%.255s", p->setup.rules);
    const struct role_page *page = p->children[ROLE_ENGINE].page;
    if (page)
        s->engine = page->engine;
    const struct role_page *uplink = p->children[ROLE_UPLINK].page;
    s->enrolled = enrolled(p);
    s->uplink = enrolled(p) && uplink ? uplink->uplink : (struct control_uplink){0};
    s->uplink.hub[sizeof(s->uplink.hub) - 1] = 0;
    s->uplink.client[sizeof(s->uplink.client) - 1] = 0;
    s->uplink.why[sizeof(s->uplink.why) - 1] = 0;
    s->journal_unsent = p->segments.unsent;
    s->engine.problem[sizeof(s->engine.problem) - 1] = 0;
    s->engine.rules_version[sizeof(s->engine.rules_version) - 1] = 0;
    s->works = covered_works(p);
    fill_roles(p, s);
    fill_gate(p->table, &s->gate);
}

// To respond, unread; the caller is answered when respond has.
static int pass_on(struct parent *p, unsigned i, const struct control_request *request)
{
    static struct order_respond order;
    uint32_t number = ++p->orders ? p->orders : ++p->orders;
    struct order_undo undo = {i, number, request->id, request->only_try, 0};
    if (p->children[ROLE_RESPOND].state != CHILD_RUNNING)
        return -EAGAIN;
    order.caller = i;
    order.number = number;
    order.order = request->order;
    int r = request->verb == CONTROL_UNDO
                ? child_send(p, ROLE_RESPOND, ORDER_UNDO, &undo, sizeof(undo))
                : child_send(p, ROLE_RESPOND, ORDER_RESPOND, &order, sizeof(order));
    p->waits_for[i] = r == 0 ? number : 0;
    return r;
}

void serve_response(struct parent *p, const struct told_response *told)
{
    static struct control_reply reply;
    if (!told || told->caller >= PARENT_CALLERS || !told->number ||
        p->waits_for[told->caller] != told->number)
        return; // the caller has left
    memset(&reply, 0, offsetof(struct control_reply, status));
    reply.version = CONTROL_VERSION;
    reply.has_response = 1;
    reply.response = told->result;
    p->waits_for[told->caller] = 0;
    (void)control_answer(p->callers[told->caller], &reply);
}

void serve_respond_lost(struct parent *p)
{
    static struct control_reply reply;
    for (unsigned i = 0; i < PARENT_CALLERS; i++) {
        if (!p->waits_for[i])
            continue;
        memset(&reply, 0, offsetof(struct control_reply, status));
        reply.version = CONTROL_VERSION;
        reply.code = -EINTR;
        snprintf(reply.what, sizeof(reply.what),
                 "the role that responds ended meanwhile and is started again; it finishes what it "
                 "began, or takes it back: see `tiercel respond list`");
        p->waits_for[i] = 0;
        (void)control_answer(p->callers[i], &reply);
    }
}

static void answer(struct parent *p, unsigned i, const struct control_request *request)
{
    static struct control_reply reply; // large
    int fd = p->callers[i];
    memset(&reply, 0, offsetof(struct control_reply, status));
    reply.version = CONTROL_VERSION;
    switch ((enum control_verb)request->verb) {
    case CONTROL_STATUS:
        fill(p, p->status);
        reply.status = *p->status;
        reply.has_status = 1;
        break;
    case CONTROL_STOP:
        parent_say("stop was asked for");
        parent_stop(p);
        break;
    case CONTROL_SET_MODE:
        if (request->mode > CONTROL_PREVENT) {
            reply.code = -EINVAL;
            snprintf(reply.what, sizeof(reply.what), "there is no such mode");
        } else {
            bool prevent = request->mode == CONTROL_PREVENT;
            int r = p->config.mode_given ? 0 : mode_write(p->setup.state, prevent);
            if (r < 0)
                parent_why(p, "the mode holds until the next start only: %s/mode: %s",
                           p->setup.state, strerror(-r));
            arming_want(p, prevent);
        }
        break;
    case CONTROL_RELOAD:
        reply.code = p->children[ROLE_ENGINE].state == CHILD_RUNNING
                         ? child_send(p, ROLE_ENGINE, ORDER_RELOAD, NULL, 0)
                         : -EAGAIN;
        if (reply.code < 0)
            snprintf(reply.what, sizeof(reply.what),
                     "the engine is not running just now; try again");
        break;
    case CONTROL_RESPOND:
    case CONTROL_UNDO:
        reply.code = p->waits_for[i] ? -EBUSY : pass_on(p, i, request);
        if (reply.code == 0)
            return;
        snprintf(reply.what, sizeof(reply.what),
                 "the role that responds is not running just now; try again");
        break;
    case CONTROL_VERBS:
        break;
    }
    (void)control_answer(fd, &reply);
}

void serve_accept(struct parent *p)
{
    int fd = control_accept(p->listener);
    if (fd < 0)
        return;
    for (unsigned i = 0; i < PARENT_CALLERS; i++)
        if (p->callers[i] < 0) {
            p->callers[i] = fd;
            return;
        }
    close(fd); // all places taken: the caller tries again
}

void serve_caller(struct parent *p, unsigned i)
{
    struct control_request request;
    int r = control_receive(p->callers[i], &request);
    if (r == -EAGAIN)
        return;
    if (r == 1)
        return answer(p, i, &request);
    close(p->callers[i]);
    p->callers[i] = -1;
    p->waits_for[i] = 0;
}
