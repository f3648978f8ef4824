// SPDX-License-Identifier: Apache-2.0
#include "agent/role.h"
#include "agent/role_table.h"
#include "base/cleanup.h"
#include "os/memory.h"
#include "os/process.h"
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define CHANNEL 3

static const struct {
    const char *name;
    int (*run)(struct role_context *context);
} roles[ROLE_COUNT] = {
    [ROLE_PARENT] = {"parent", NULL},           [ROLE_SENSOR] = {"sensor", sensor_role},
    [ROLE_ENGINE] = {"engine", engine_role},    [ROLE_WARDEN] = {"warden", warden_role},
    [ROLE_RESPOND] = {"respond", respond_role}, [ROLE_GUARDIAN] = {"guardian", guardian_role},
    [ROLE_UPLINK] = {"uplink", uplink_role},
};

const char *role_name(enum role role)
{
    return roles[role].name;
}

void role_beat(struct role_context *context)
{
    if (context->page)
        atomic_store_explicit(&context->page->beat_ns, os_monotonic_ns(), memory_order_relaxed);
}

int role_tell(struct role_context *context, enum told type, const void *body, uint32_t size, int fd)
{
    return link_send(context->parent, type, body, size, &fd, fd >= 0 ? 1 : 0, 1);
}

void role_problem(struct role_context *context, const char *format, ...)
{
    struct told_problem problem = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(problem.text, sizeof(problem.text), format, args);
    va_end(args);
    (void)role_tell(context, TOLD_PROBLEM, &problem, sizeof(problem), -1);
}

static void replace(int *slot, int fd)
{
    if (*slot >= 0)
        close(*slot);
    *slot = fd;
}

static int take_given(struct role_context *context, struct link_message *m)
{
    const struct order_give *give = link_body(m, struct order_give);
    if (!give || m->n_fds != 1 || give->what >= GIVE_COUNT ||
        (give->what == GIVE_PROBE && give->number >= ROLE_PROBES_MAX)) {
        link_message_done(m);
        return -EBADMSG;
    }
    m->n_fds = 0;
    replace(give->what == GIVE_PROBE ? &context->probes[give->number] : &context->given[give->what],
            m->fds[0]);
    return 1;
}

int role_receive(struct role_context *context, struct link_message *ret, int wait)
{
    int r = link_receive(context->parent, ret, wait);
    if (r <= 0)
        return r;
    if (ret->type == ORDER_GIVE)
        return take_given(context, ret);
    link_message_done(ret);
    if (ret->type == ORDER_PIDS) {
        const struct order_pids *pids = link_body(ret, struct order_pids);
        if (!pids || pids->n > ORDER_PIDS_MAX)
            return -EBADMSG;
        context->pids = *pids;
    }
    return 1;
}

// HELLO, then everything up to BEGIN. The page is mapped when it comes.
static int collect(struct role_context *context)
{
    static struct link_message m;
    bool setup = false;
    int r = role_tell(context, TOLD_HELLO, NULL, 0, -1);
    while (r >= 0 && (r = role_receive(context, &m, 1)) == 1) {
        if (m.type == ORDER_BEGIN)
            return setup && context->page ? 0 : -EPROTO;
        const struct role_setup *got =
            m.type == ORDER_SETUP ? link_body(&m, struct role_setup) : NULL;
        if (got) {
            context->setup = *got;
            setup = true;
        }
        if (context->given[GIVE_PAGE] >= 0 && !context->page) {
            void *p = mmap(NULL, sizeof(struct role_page), PROT_READ | PROT_WRITE, MAP_SHARED,
                           context->given[GIVE_PAGE], 0);
            if (p == MAP_FAILED)
                return -errno;
            context->page = p;
        }
    }
    return r == 0 ? -EPIPE : r;
}

// The parent speaks over the channel; signals from a terminal or a service manager are its business.
static void ignore_signals(void)
{
    static const int ignored[] = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT,
                                  SIGPIPE, SIGUSR1, SIGUSR2, SIGTSTP};
    for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
        signal(ignored[i], SIG_IGN);
}

// What needs the privileges that are about to go.
static int prepare(struct role_context *context)
{
    int r = 0;
    if (context->role == ROLE_ENGINE) // maps the table itself
        return engine_prepare(context);
    if (context->role == ROLE_UPLINK)
        return uplink_prepare(context);
    if (context->given[GIVE_TABLE] >= 0)
        r = gate_table_map(context->given[GIVE_TABLE], &context->table);
    if (r < 0 || context->role == ROLE_RESPOND)
        return r;
    if (!context->table)
        return -EPROTO;
    return context->role == ROLE_WARDEN   ? warden_prepare(context)
           : context->role == ROLE_SENSOR ? sensor_prepare(context)
                                          : 0;
}

static int enter(struct role_context *context)
{
    const struct os_sandbox *sandbox = &role_spec(context->role)->sandbox;
    struct error e = {0};
    char weaker[160];
    pid_t parent = getppid();
    if (!sandbox->lock_memory) // those who answer whatever happens keep what they touched
        os_memory_give_back();
    int r = os_sandbox_enter(sandbox, weaker, &e);
    if (r < 0) {
        role_problem(context, "%s; %s", e.what, e.way_out);
        return r;
    }
    if (getppid() != parent) // it died before the kernel was told to end us with it
        return -EPIPE;
    if (weaker[0])
        role_problem(context, "%s runs with less: %s", sandbox->name, weaker);
    return 0;
}

int role_main(const char *name)
{
    static struct role_context context = {.parent = CHANNEL};
    for (unsigned i = 0; i < GIVE_COUNT; i++)
        context.given[i] = -1;
    for (unsigned i = 0; i < ROLE_PROBES_MAX; i++)
        context.probes[i] = -1;
    for (unsigned i = ROLE_PARENT + 1; i < ROLE_COUNT; i++)
        if (strcmp(name, roles[i].name) == 0)
            context.role = i;
    if (context.role == ROLE_PARENT) {
        fprintf(stderr, "tierceld: there is no role '%s'\n", name);
        return 2;
    }
    ignore_signals();
    int r = collect(&context);
    if (r == -EPIPE) // the agent ended meanwhile, and said why
        return 2;
    if (r < 0) {
        fprintf(stderr, "tierceld: role %s is started by the agent itself, not by hand (%s)\n",
                name, strerror(-r));
        return 2;
    }
    if (prepare(&context) < 0 || enter(&context) < 0)
        return 1;
    role_beat(&context);
    return roles[context.role].run(&context);
}
