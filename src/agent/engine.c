// SPDX-License-Identifier: Apache-2.0
// The engine role: start, messages, and the loop around the kernel's rings.
#include "agent/engine_private.h"

#include "base/cleanup.h"
#include "os/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_EVERY_MS 1000
#define BUSY_MS                                                                                    \
    20 // between looks at the rings while something happens; what must be judged at once wakes us
#define IDLE_MS 100

static const char SELF_TEST_FILE[] = "/bin/true";

// Prepared before the sandbox closes; one engine a process.
static struct engine *the_engine;

void engine_wake(struct engine *e)
{
    uint64_t one = 1;
    if (write(e->wake_fd, &one, sizeof one) < 0)
        return; // the counter is full: the main thread is awake already
}

static void read_id(const char *path, bool uuid, uint8_t ret[16])
{
    char text[64] = {0};
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 32)
        return;
    unsigned n = 0;
    for (const char *p = text; *p && n < 32; p++) {
        if (uuid && *p == '-')
            continue;
        int digit = *p >= '0' && *p <= '9' ? *p - '0' : *p >= 'a' && *p <= 'f' ? *p - 'a' + 10 : 0;
        ret[n / 2] = (uint8_t)(n % 2 ? ret[n / 2] | digit : digit << 4);
        n++;
    }
}

int engine_prepare(struct role_context *context)
{
    struct engine *e = calloc(1, sizeof *e);
    if (!e)
        return -ENOMEM;
    e->role = context;
    e->stats = &context->page->engine;
    e->open = &e->batches[0];
    for (int i = 0; i < 2; i++)
        e->batches[i].arena.limit = BATCH_LIMIT;
    for (int i = 0; i < ENGINE_WORKERS; i++)
        e->judge_arena[i].limit = (size_t)32 << 20; // two forms of the longest command line
    pthread_mutexattr_t inherit;
    pthread_mutexattr_init(&inherit);
    pthread_mutexattr_setprotocol(&inherit, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&e->lock, &inherit);
    pthread_mutexattr_destroy(&inherit);
    e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    e->prevent = context->setup.prevent;
    e->rings_fd = -1;
    read_id("/etc/machine-id", false, e->host);
    read_id("/proc/sys/kernel/random/boot_id", true, e->boot);
    int r = e->wake_fd < 0 ? -errno : gate_table_map(context->given[GIVE_TABLE], &e->table);
    if (r < 0)
        return r;
    r = protect_start(e);
    if (r < 0)
        return r;
    gate_hold(e->table, GATE_HOLDER_ENGINE);
    struct error error = {0};
    r = gate_probe_start(SELF_TEST_FILE, &e->self_test, &error);
    if (r < 0)
        role_problem(context, "the gate's self-test cannot be prepared: %s", error.what);
    the_engine = e;
    return 0;
}

// ---- rules

static void rule_problem(void *context, const struct error *error)
{
    struct engine *e = context;
    char text[480];
    FILE *out = fmemopen(text, sizeof text, "w");
    if (!out)
        return;
    error_print(error, out);
    fclose(out);
    role_problem(e->role, "%s", text);
}

static int load_rules(struct engine *e, struct detect **ret)
{
    struct detect *d = NULL;
    struct error error = {0};
    unsigned problems = 0;
    int r = detect_new(&d);
    if (r < 0)
        return r;
    int n = detect_load(d, e->role->setup.rules, rule_problem, e, &problems);
    if (n < 0 || (r = detect_ready(d, &error)) < 0) {
        role_problem(e->role, "rules in %s: %s", e->role->setup.rules,
                     n < 0 ? strerror(-n) : error.what);
        detect_free(d);
        return n < 0 ? n : r;
    }
    if (e->role->setup.exceptions[0] &&
        (r = detect_load_exceptions(d, e->role->setup.exceptions, &error)) < 0 && r != -ENOENT)
        rule_problem(e, &error);
    e->stats->rules = (uint64_t)n;
    e->stats->rules_refused = problems;
    e->stats->exceptions = detect_exceptions(d);
    *ret = d;
    return 0;
}

// New rules are compiled beside the old ones and change places with them under the lock: no question goes unjudged.
static int use_rules(struct engine *e)
{
    struct detect *fresh = NULL, *old = NULL;
    struct detect_worker *worker = NULL;
    int r = load_rules(e, &fresh);
    if (r == 0)
        r = detect_worker_new(fresh, &worker);
    if (r == 0) {
        pthread_mutex_lock(&e->lock);
        old = e->detect;
        e->detect = fresh;
        fresh = NULL;
        struct detect_worker *before = e->worker;
        e->worker = worker;
        worker = before;
        rule_set_hash(detect_rules(e->detect), e->rules_version);
        for (unsigned i = 0; i < 32; i++)
            snprintf(e->stats->rules_version + 2 * i, 3, "%02x", e->rules_version[i]);
        pthread_mutex_unlock(&e->lock);
    }
    detect_worker_free(worker);
    detect_free(old);
    detect_free(fresh);
    os_memory_give_back(); // the compiler's pages, more than all else that the engine maps
    return r;
}

// ---- the gate

static int gate_up(struct engine *e)
{
    static const struct gate_ops ops = {engine_judge, engine_judged, engine_late,
                                        engine_open,  engine_caller, NULL};
    struct gate_ops mine = ops;
    struct told_gate told = {0};
    struct error error = {0};
    int group = e->role->given[GIVE_GROUP];
    mine.context = e;
    unsigned workers = e->role->setup.gate_workers;
    if (workers == 0 || workers > ENGINE_WORKERS)
        workers = ENGINE_WORKERS;
    int r = gate_start(group, e->table, &mine, workers, e->role->setup.deadline_ms,
                       e->role->setup.hash_key, &e->gate, &error);
    if (r == 0) {
        r = gate_mark_file(group, SELF_TEST_FILE, &error);
        if (r == 0)
            r = gate_self_test(e->gate, &e->self_test, &error);
        gate_unmark_file(group, SELF_TEST_FILE);
        if (r < 0)
            e->gate = gate_stop(e->gate);
    }
    told.code = r;
    snprintf(told.text, sizeof told.text, "%.*s", (int)sizeof told.text - 1,
             r < 0 ? error.what : "self-test passed");
    role_tell(e->role, TOLD_GATE, &told, sizeof told, -1);
    return r;
}

static void gate_down(struct engine *e)
{
    e->gate = gate_stop(e->gate);
    if (e->role->given[GIVE_GROUP] >= 0) {
        close(e->role->given[GIVE_GROUP]);
        e->role->given[GIVE_GROUP] = -1;
    }
}

// ---- messages

static void state(struct engine *e, const struct order_state *s)
{
    pthread_mutex_lock(&e->lock);
    batch_agent_state(e, s->state, s->reason);
    pthread_mutex_unlock(&e->lock);
    journal_wake(e);
}

static void given(struct engine *e, const struct order_give *give)
{
    switch (give->what) {
    case GIVE_GROUP:
        if (e->gate)
            e->gate = gate_stop(e->gate);
        gate_up(e);
        break;
    case GIVE_SEGMENT:
        journal_give(e, give->number64, e->role->given[GIVE_SEGMENT]);
        e->role->given[GIVE_SEGMENT] = -1;
        break;
    case GIVE_PROBE:
        engine_open_probes(e);
        files_given(e);
        break;
    case GIVE_PEER_SENSOR:
        engine_flag_all(e);
        pthread_mutex_lock(&e->lock);
        orders_new_sensor(e);
        pthread_mutex_unlock(&e->lock);
        break;
    default:
        break;
    }
}

static void parent_message(struct engine *e, const struct link_message *m)
{
    switch ((enum order)m->type) {
    case ORDER_GIVE:
        given(e, (const struct order_give *)m->body);
        break;
    case ORDER_LEND_GROUP:
        if (e->role->given[GIVE_GROUP] >= 0)
            role_tell(e->role, TOLD_GROUP, NULL, 0, e->role->given[GIVE_GROUP]);
        break;
    case ORDER_DISARM:
        gate_down(e);
        role_tell(e->role, TOLD_DISARMED, NULL, 0, -1);
        break;
    case ORDER_MODE:
        pthread_mutex_lock(&e->lock);
        e->prevent = ((const struct order_mode *)m->body)->prevent;
        pthread_mutex_unlock(&e->lock);
        break;
    case ORDER_COVERAGE:
        journal_coverage(e, ((const struct order_coverage *)m->body)->works);
        break;
    case ORDER_RELOAD:
        use_rules(e);
        break;
    case ORDER_NO_SEGMENT:
        journal_no_segment(e);
        break;
    case ORDER_STATE:
        state(e, (const struct order_state *)m->body);
        break;
    case ORDER_STOP:
        e->stopping = true;
        break;
    default:
        break;
    }
}

static bool parent_messages(struct engine *e)
{
    struct link_message m;
    for (;;) {
        int r = role_receive(e->role, &m, 0);
        if (r == -EAGAIN)
            return true;
        if (r <= 0)
            return false;
        parent_message(e, &m);
    }
}

static void drop_peer(struct engine *e, enum give which)
{
    close(e->role->given[which]);
    e->role->given[which] = -1; // the parent gives a new one with the role's next life
}

static void sensor_messages(struct engine *e)
{
    struct link_message m;
    int peer = e->role->given[GIVE_PEER_SENSOR];
    int r;
    while ((r = link_receive(peer, &m, 0)) == 1) {
        int group = e->role->given[GIVE_GROUP];
        if (m.type == SENSOR_ASKS_GROUP && group >= 0)
            link_send(peer, SENSOR_LEND_GROUP, NULL, 0, &group, 1, 0);
        for (unsigned i = 0; i < m.n_fds; i++)
            close(m.fds[i]);
    }
    if (r != -EAGAIN)
        drop_peer(e, GIVE_PEER_SENSOR);
}

static void respond_messages(struct engine *e)
{
    struct link_message m;
    int r;
    while ((r = link_receive(e->role->given[GIVE_PEER_RESPOND], &m, 0)) == 1)
        orders_message(e, &m);
    if (r != -EAGAIN)
        drop_peer(e, GIVE_PEER_RESPOND);
}

// ---- the loop

static int wait_for_work(struct engine *e, int timeout_ms)
{
    struct pollfd fds[] = {
        {.fd = e->role->parent, .events = POLLIN},
        {.fd = e->wake_fd, .events = POLLIN},
        {.fd = e->role->given[GIVE_PEER_SENSOR], .events = POLLIN},
        {.fd = e->role->given[GIVE_PEER_RESPOND], .events = POLLIN},
        {.fd = e->rings_fd, .events = POLLIN},
    };
    uint64_t ignored;
    int r = poll(fds, sizeof fds / sizeof *fds, timeout_ms);
    if (r < 0)
        return errno == EINTR ? 0 : -errno;
    if (fds[1].revents && read(e->wake_fd, &ignored, sizeof ignored) > 0)
        journal_wake(e);
    struct epoll_event taken[2];
    if (fds[4].revents)
        epoll_wait(e->rings_fd, taken, 2, 0);
    if (fds[2].revents)
        sensor_messages(e);
    if (fds[3].revents)
        respond_messages(e);
    if (fds[0].revents && !parent_messages(e))
        return -EPIPE;
    return 0;
}

static int loop(struct engine *e)
{
    uint64_t looked = 0, seen = e->stats->events;
    int timeout = BUSY_MS, r = 0;
    while (!e->stopping && (r = wait_for_work(e, timeout)) == 0) {
        if (e->structural)
            observe(e);
        facts_look(e);
        timeout = e->stats->events != seen ? BUSY_MS : timeout < IDLE_MS ? timeout + 5 : IDLE_MS;
        seen = e->stats->events;
        role_beat(e->role);
        uint64_t now = e->env.monotonic_ns(&e->env);
        if (now - looked >= (uint64_t)LOOK_EVERY_MS * 1000000) {
            e->clock = decode_clock_now(); // the wall clock may have been set
            observe_counters(e);
            observe_budget(e);
            pthread_mutex_lock(&e->lock);
            orders_look(e);
            pthread_mutex_unlock(&e->lock);
            if (e->flags_behind) {
                engine_flag_all(e);
                pthread_mutex_lock(&e->lock);
                orders_new_sensor(e); // the flag of contained lineages among them
                pthread_mutex_unlock(&e->lock);
            }
            looked = now;
        }
    }
    return r;
}

static int start(struct engine *e)
{
    e->env = env_real(open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (e->env.proc_fd < 0)
        return -errno;
    if (e->role->setup.scope_pid > 0) {
        char name[32];
        struct stat st;
        snprintf(name, sizeof name, "%d/ns/mnt", e->role->setup.scope_pid);
        if (fstatat(e->env.proc_fd, name, &st, 0) < 0)
            return -errno;
        e->scope = (uint32_t)st.st_ino;
    }
    e->clock = decode_clock_now();
    e->budget.cpu_percent = e->role->setup.cpu_percent;
    e->budget.memory = e->role->setup.memory_bytes;
    e->looked_ns = e->open->from_ns = e->env.now_ns(&e->env);
    int r = use_rules(e);
    if (r < 0)
        return r;
    r = names_new(&e->names);
    if (r < 0)
        return r;
    r = tree_new(&e->env, &e->tree);
    if (r < 0)
        return r;
    r = facts_new(e->env.proc_fd, &e->facts);
    if (r < 0)
        role_problem(e->role, "programs' hashes are not known: %s", strerror(-r));
    r = engine_open_probes(e);
    if (r < 0)
        return r;
    // After the rings are open: what starts meanwhile is in them.
    r = tree_seed(e->tree);
    if (r < 0)
        role_problem(e->role, "the processes that run already could not be read: %s", strerror(-r));
    engine_flag_all(e);
    r = journal_start(e);
    int files = r < 0 ? 0 : files_start(e);
    if (files < 0)
        role_problem(e->role, "no folder can be watched: %s", strerror(-files));
    return r;
}

int engine_role(struct role_context *context)
{
    struct engine *e = the_engine;
    int r = start(e);
    if (r < 0) {
        role_problem(context, "the engine cannot start: %s", strerror(-r));
        return 1;
    }
    if (context->given[GIVE_GROUP] >= 0 && !e->gate)
        gate_up(e);
    if (context->given[GIVE_SEGMENT] >= 0)
        given(e, &(struct order_give){.what = GIVE_SEGMENT});
    role_beat(context); // the last one was before the rules were compiled
    role_tell(context, TOLD_READY, NULL, 0, -1);
    r = loop(e);
    bool asked = e->stopping;
    gate_down(e);
    files_stop(e);
    observe(e);
    e->facts = facts_free(e->facts);
    journal_stop(e);
    if (asked)
        role_tell(context, TOLD_STOPPED, NULL, 0, -1);
    return asked ? 0 : 1;
}
