// SPDX-License-Identifier: Apache-2.0
#include "agent/parent.h"
#include "agent/mode.h"
#include "agent/role_table.h"
#include "base/cleanup.h"
#include "os/memory.h"
#include "os/notify.h"
#include "os/process.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define SECOND_NS 1000000000ull
#define SEGMENT_BYTES (16u << 20)
#define CGROUP2_MAGIC 0x63677270
#define EXIT_RUNNING 3 // another agent is

// ---- saying

void parent_say(const char *format, ...)
{
    char text[1200] = "tierceld: ";
    va_list args;
    va_start(args, format);
    vsnprintf(text + 10, sizeof(text) - 12, format, args);
    va_end(args);
    size_t n = strlen(text);
    if (text[n - 1] != '\n')
        text[n++] = '\n';
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&p, 1, 0) == 1 && p.revents & POLLOUT) // a stopped terminal must not stop us
        (void)!write(STDERR_FILENO, text, n);
}

void parent_why(struct parent *p, const char *format, ...)
{
    char text[384];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = '?';
    memcpy(p->status->why, text, sizeof(text));
    parent_say("%s", text);
}

void parent_state(struct parent *p, const char *state, const char *format, ...)
{
    struct order_state order = {0};
    snprintf(order.state, sizeof(order.state), "%s", state);
    va_list args;
    va_start(args, format);
    vsnprintf(order.reason, sizeof(order.reason), format, args);
    va_end(args);
    if (child_begun(&p->children[ROLE_ENGINE]))
        child_send(p, ROLE_ENGINE, ORDER_STATE, &order, sizeof(order));
    else if (p->n_states < PARENT_STATES)
        p->states[p->n_states++] = order;
}

// ---- messages of the roles

static void take_probe(struct parent *p, struct link_message *m)
{
    const struct order_give *give = link_body(m, struct order_give);
    if (!give || m->n_fds != 1 || give->number >= GIVE_PROBE_COUNT)
        return;
    int *slot = &p->probes[give->number];
    m->n_fds = 0;
    if (*slot >= 0)
        close(*slot);
    *slot = m->fds[0];
    if (child_begun(&p->children[ROLE_ENGINE])) // a sensor started anew, with rings of its own
        child_give(p, ROLE_ENGINE, GIVE_PROBE, give->number, *slot);
}

static void take_mechanism(struct parent *p, const struct control_mechanism *row)
{
    struct control_status *s = p->status;
    if (!row)
        return;
    uint32_t i = 0;
    while (i < s->n_mechanisms && strncmp(s->mechanisms[i].name, row->name, sizeof(row->name)) != 0)
        i++;
    if (i == CONTROL_MECHANISMS)
        return;
    s->mechanisms[i] = *row;
    if (i == s->n_mechanisms)
        s->n_mechanisms++;
}

static void take_ready(struct parent *p, enum role role)
{
    struct child *c = &p->children[role];
    if (c->state != CHILD_STARTING)
        return;
    c->state = CHILD_RUNNING;
    c->since_ns = os_monotonic_ns();
    c->was_ready = true;
    p->arming.since_ns = c->since_ns;
    if (role == ROLE_ENGINE)
        parent_say("%s: %llu rules in use", p->arming.wanted ? "judging" : "detect mode",
                   (unsigned long long)c->page->engine.rules);
}

static void handle(struct parent *p, enum role role, struct link_message *m)
{
    const struct told_problem *problem = link_body(m, struct told_problem);
    switch (m->type) {
    case TOLD_HELLO:
        if (p->children[role].state == CHILD_EXECUTING && child_hello(p, role) < 0)
            child_kill(p, role, "could not be told what to do");
        break;
    case TOLD_READY:
        take_ready(p, role);
        break;
    case TOLD_PROBLEM:
        if (problem)
            parent_why(p, "%s: %.*s", role_name(role), (int)sizeof(problem->text) - 1,
                       problem->text);
        break;
    case TOLD_PROBE:
        if (role == ROLE_SENSOR)
            take_probe(p, m);
        break;
    case TOLD_MECHANISM:
        if (role == ROLE_SENSOR || role == ROLE_ENGINE)
            take_mechanism(p, link_body(m, struct control_mechanism));
        break;
    case TOLD_NEXT_SEGMENT:
        if (role == ROLE_ENGINE)
            segments_next(p, link_body(m, struct told_segment));
        break;
    case TOLD_WANT_SEGMENT:
        if (role == ROLE_UPLINK)
            segments_lend(p, link_body(m, struct told_segment));
        break;
    case TOLD_RESPONSE:
        if (role == ROLE_RESPOND)
            serve_response(p, link_body(m, struct told_response));
        break;
    case TOLD_CUT_SEGMENT:
        if (role == ROLE_ENGINE)
            segments_cut(p, link_body(m, struct told_segment));
        break;
    default:
        arming_told(p, role, m);
    }
}

void parent_hear(struct parent *p, enum role role)
{
    static struct link_message m;
    struct child *c = &p->children[role];
    for (int i = 0; i < 64 && c->channel >= 0; i++) { // then the others' turn
        int r = link_receive(c->channel, &m, 0);
        if (r == -EAGAIN)
            return;
        if (r <= 0) { // it is ending, or speaks another language: the rest comes with its death
            close(c->channel);
            c->channel = -1;
            if (c->pid > 0 && r < 0)
                child_kill(p, role, "speaks another language");
            return;
        }
        handle(p, role, &m);
        link_message_done(&m);
    }
}

// The engine waits for the sensor's rings.
static void release_engine(struct parent *p)
{
    struct child *engine = &p->children[ROLE_ENGINE];
    if (engine->state == CHILD_WAITING && p->children[ROLE_SENSOR].state == CHILD_RUNNING &&
        child_hello(p, ROLE_ENGINE) < 0)
        child_kill(p, ROLE_ENGINE, "could not be told what to do");
}

// ---- the service manager

static void report(struct parent *p)
{
    const struct arming *a = &p->arming;
    bool done =
        p->children[ROLE_ENGINE].state == CHILD_RUNNING && (a->armed || !a->wanted || a->refused);
    if (!p->reported && done && !p->stopping) {
        p->reported = true;
        (void)os_notify(a->armed ? "READY=1\nSTATUS=prevent: the gate is armed"
                                 : "READY=1\nSTATUS=detect");
    }
    (void)os_notify("WATCHDOG=1");
}

// ---- the loop

void parent_stop(struct parent *p)
{
    if (p->stopping)
        return;
    p->stopping = 1;
    p->stopping_ns = os_monotonic_ns();
    (void)os_notify("STOPPING=1");
    parent_state(p, "stopping", "asked to stop");
    if (child_begun(&p->children[ROLE_ENGINE]))
        child_send(p, ROLE_ENGINE, ORDER_STOP, NULL,
                   0); // stops the gate, drains, writes, syncs, ends
    else
        child_end(p, ROLE_ENGINE);
}

// The engine first, while the warden frees what still waits; then all others. True: nobody is left.
static bool stopped(struct parent *p)
{
    uint64_t since = os_monotonic_ns() - p->stopping_ns;
    bool left = false;
    if (p->stopping == 1 && (!p->children[ROLE_ENGINE].pid || since > 4 * SECOND_NS)) {
        p->stopping = 2;
        for (enum role role = ROLE_PARENT + 1; role < ROLE_COUNT; role++)
            child_end(p, role);
    }
    for (enum role role = ROLE_PARENT + 1; role < ROLE_COUNT; role++)
        left |= p->children[role].pid > 0;
    return p->stopping == 2 && !left;
}

static void take_signals(struct parent *p)
{
    struct signalfd_siginfo s;
    while (read(p->signals, &s, sizeof(s)) == sizeof(s)) {
        if (s.ssi_signo == SIGHUP) {
            if (child_begun(&p->children[ROLE_ENGINE]))
                child_send(p, ROLE_ENGINE, ORDER_RELOAD, NULL, 0);
        } else if (s.ssi_signo != SIGCHLD) {
            parent_stop(p);
        }
    }
}

void parent_errors(struct parent *p, enum role role)
{
    struct child *c = &p->children[role];
    char text[512];
    ssize_t n = c->errors < 0 ? -1 : read(c->errors, text, sizeof(text) - 1);
    if (n < 0)
        return;
    if (n == 0) {
        close(c->errors);
        c->errors = -1;
        return;
    }
    for (ssize_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ' && text[i] != '\n')
            text[i] = '?';
    text[n] = 0;
    parent_say("%s wrote: %s", role_name(role), text);
}

static void turn(struct parent *p)
{
    struct pollfd fds[2 + 2 * ROLE_COUNT + PARENT_CALLERS];
    nfds_t n = 2 + 2 * ROLE_COUNT;
    fds[0] = (struct pollfd){.fd = p->signals, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = p->listener, .events = POLLIN};
    for (unsigned i = 0; i < ROLE_COUNT; i++) {
        fds[2 + 2 * i] = (struct pollfd){.fd = p->children[i].channel, .events = POLLIN};
        fds[3 + 2 * i] = (struct pollfd){.fd = p->children[i].errors, .events = POLLIN};
    }
    for (unsigned i = 0; i < PARENT_CALLERS; i++)
        fds[n++] = (struct pollfd){.fd = p->callers[i], .events = POLLIN};
    if (poll(fds, n, p->stopping ? 20 : PARENT_TICK_MS) > 0) {
        if (fds[0].revents)
            take_signals(p);
        for (enum role role = ROLE_PARENT + 1; role < ROLE_COUNT; role++) {
            if (fds[2 + 2 * role].revents)
                parent_hear(p, role);
            if (fds[3 + 2 * role].revents)
                parent_errors(p, role);
        }
        if (fds[1].revents)
            serve_accept(p);
        for (unsigned i = 0; i < PARENT_CALLERS; i++)
            if (fds[2 + 2 * ROLE_COUNT + i].revents &&
                p->callers[i] == fds[2 + 2 * ROLE_COUNT + i].fd)
                serve_caller(p, i);
    }
    if (child_reap(p))
        p->tick_ns = 0; // look after the others now, not with the next tick
}

static void loop(struct parent *p)
{
    for (;;) {
        turn(p);
        release_engine(p);
        arming_step(p);
        covered_tell(p);
        uint64_t now = os_monotonic_ns();
        if (now - p->tick_ns >= PARENT_TICK_MS * 1000000ull) {
            // After a pause of our own (a suspended machine) everybody looks silent: give them a turn first.
            if (!p->tick_ns || now - p->tick_ns < 2 * SECOND_NS)
                child_watch(p);
            enrolled_watch(p);
            arming_watch(p);
            report(p);
            p->tick_ns = now;
        }
        if (p->stopping && stopped(p))
            return;
    }
}

// ---- start

static int open_run_folder(struct parent *p, struct error *e)
{
    const char *run = p->config.run;
    if (mkdir(run, 0750) < 0 && errno != EEXIST) {
        error_set(e, -errno, "the folder %s cannot be made: %s", run, strerror(errno));
        error_way_out(e, "name another with --run-dir");
        return -errno;
    }
    p->run_folder = open(run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->run_folder < 0)
        return error_set(e, -errno, "the folder %s cannot be opened: %s", run, strerror(errno));
    if (flock(p->run_folder, LOCK_EX | LOCK_NB) < 0) {
        int r = -errno;
        error_set(e, r, "another agent is running already (it holds %s)", run);
        error_way_out(e, "`tiercel status` shows it, `tiercel stop` ends it");
        return r;
    }
    return 0;
}

static int open_signals(struct parent *p)
{
    sigset_t set;
    sigemptyset(&set);
    static const int taken[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT};
    for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++)
        sigaddset(&set, taken[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    p->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return p->signals < 0 ? -errno : 0;
}

// A control group beside the agent's, so that freezing the agent's does not freeze the guardian.
static void make_guardian_group(struct parent *p)
{
    static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    struct statfs fs;
    for (size_t i = 0; i < sizeof(roots) / sizeof(*roots); i++) {
        if (statfs(roots[i], &fs) < 0 || fs.f_type != CGROUP2_MAGIC)
            continue;
        snprintf(p->guardian_group, sizeof(p->guardian_group), "%s/tiercel-guardian", roots[i]);
        if (mkdir(p->guardian_group, 0755) == 0 || errno == EEXIST)
            return;
    }
    p->guardian_group[0] = 0;
    parent_why(p, "the guardian shares the agent's control group: no cgroup2 that can be written");
}

static bool switched_off(void)
{
    char text[4096] = "";
    _cleanup_close_ int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    struct str rest = str_trim(str_bytes(text, n > 0 ? (size_t)n : 0)), word;
    while (str_split(&rest, ' ', &word))
        if (str_eq(word, STR("tiercel.off")))
            return true;
    return false;
}

static int fill_setup(struct parent *p, int32_t scope_pid)
{
    const struct config *c = &p->config;
    struct role_setup *s = &p->setup;
    s->deadline_ms = c->deadline_ms;
    s->cpu_percent = c->cpu_percent;
    s->memory_bytes = c->memory_bytes;
    s->scope_pid = scope_pid;
    s->gate_workers = 4;
    s->journal_bytes = c->journal_bytes;
    s->segment_bytes = c->journal_bytes / 8 < SEGMENT_BYTES ? c->journal_bytes / 8 : SEGMENT_BYTES;
    s->n_deny = c->n_deny;
    memcpy(s->deny, c->deny, sizeof(s->deny));
    memcpy(s->web_roots, c->web_roots, sizeof(s->web_roots));
    s->quarantine_bytes = c->quarantine_bytes;
    s->n_allow = c->n_allow;
    memcpy(s->allow, c->allow, sizeof(s->allow));
    memcpy(s->run, c->run, sizeof(s->run));
    memcpy(s->rules, c->rules, sizeof(s->rules));
    memcpy(s->exceptions, c->exceptions, sizeof(s->exceptions));
    memcpy(s->state, c->state, sizeof(s->state));
    return getrandom(s->hash_key, sizeof(s->hash_key), 0) == sizeof(s->hash_key) ? 0 : -EIO;
}

static int protect_self(struct error *e)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    (void)setpriority(PRIO_PROCESS, 0,
                      -15); // what it watches must not look silent because it came late
    if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_set(e, -errno, "prctl: %s", strerror(errno));
    return os_capabilities_limit(role_parent_permitted(), role_parent_effective(), e);
}

static int prepare(struct parent *p, int32_t scope_pid, struct error *e)
{
    char path[108];
    int r = open_run_folder(p, e);
    if (r < 0)
        return r;
    if ((r = segments_open(&p->segments, p->config.state, p->config.journal_bytes, e)) < 0)
        return r;
    if ((r = gate_table_create(&p->table_fd)) < 0 ||
        (r = gate_table_map(p->table_fd, &p->table)) < 0 ||
        (r = protect_share(&p->config.protect, &p->protect_fd)) < 0 || (r = open_signals(p)) < 0 ||
        (r = fill_setup(p, scope_pid)) < 0)
        return error_set(e, r, "the agent cannot be prepared: %s", strerror(-r));
    atomic_store(&p->table->deadline_ms, p->config.deadline_ms);
    snprintf(path, sizeof(path), "%s/control.sock", p->config.run);
    p->listener = control_listen(path, e);
    if (p->listener < 0)
        return p->listener;
    make_guardian_group(p);
    if (!p->config.mode_given && (r = mode_read(p->config.state, &p->config.prevent)) < 0)
        parent_why(p, "%s/mode cannot be used, the configuration's mode is: %s", p->config.state,
                   strerror(-r));
    p->arming.wanted = p->config.prevent;
    if (p->config.prevent && switched_off()) {
        p->arming.refused = true;
        parent_why(p, "detect mode: tiercel.off is on the kernel's command line");
    }
    return protect_self(e);
}

static void clean_up(struct parent *p)
{
    char path[108];
    snprintf(path, sizeof(path), "%s/control.sock", p->config.run);
    if (p->listener >= 0)
        unlink(path);
    if (p->guardian_group[0])
        rmdir(p->guardian_group);
    if (p->run_folder >= 0)
        rmdir(p->config.run); // stays when somebody else has something there
}

int parent_run(const struct config *config, int32_t scope_pid)
{
    static struct parent p;
    static struct control_status status;
    static struct control_filesystem filesystems[CONTROL_FILESYSTEMS];
    struct error e = {0};
    if (geteuid() != 0) {
        fprintf(stderr, "tierceld: the agent must be started by root; try: sudo tierceld\n");
        return 1;
    }
    close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
    p.config = *config;
    p.status = &status;
    p.filesystems = filesystems;
    p.run_folder = p.listener = p.signals = -1;
    for (unsigned i = 0; i < PARENT_CALLERS; i++)
        p.callers[i] = -1;
    for (unsigned i = 0; i < GIVE_PROBE_COUNT; i++)
        p.probes[i] = -1;
    for (unsigned i = 0; i < ROLE_COUNT; i++)
        p.children[i].channel = p.children[i].errors = -1;
    status.started_ns = os_wall_ns();
    int r = prepare(&p, scope_pid, &e);
    if (r < 0) {
        fputs("tierceld: ", stderr);
        error_print(&e, stderr);
        fputc('\n', stderr);
        if (r != -EWOULDBLOCK)
            clean_up(&p);
        return r == -EWOULDBLOCK ? EXIT_RUNNING : 1;
    }
    parent_state(&p, "started", "version %s, %s mode", TIERCEL_VERSION,
                 p.config.prevent ? "prevent" : "detect");
    p.tick_ns = os_monotonic_ns();
    enrolled_watch(&p);
    child_watch(&p); // starts all
    os_memory_give_back();
    loop(&p);
    clean_up(&p);
    return p.exit_status;
}
