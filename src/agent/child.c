// SPDX-License-Identifier: Apache-2.0
// A role's process: started by fork and exec (never vfork: that would wait for an exec which the gate may hold), spoken to
// only after it said hello, watched, ended, started again.
#include "agent/parent.h"
#include "agent/role_table.h"
#include "base/cleanup.h"
#include "os/process.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define SECOND_NS 1000000000ull
#define START_LIMIT_NS (110 * SECOND_NS) // emulated machines load programs slowly
#define HELLO_LIMIT_NS (10 * SECOND_NS)
#define YOUNG_NS (5 * SECOND_NS) // who dies younger has failed to start
#define FAILURES_WITHIN_NS (60 * SECOND_NS)
#define REST_NS (10 * SECOND_NS) // after three failed starts
#define GATE_SILENT_NS SECOND_NS

static int make_page(struct child *c)
{
    if (!c->page) {
        c->page_fd = memfd_create("role", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (c->page_fd < 0 || ftruncate(c->page_fd, sizeof(*c->page)) < 0 ||
            fcntl(c->page_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
            return -errno;
        void *page =
            mmap(NULL, sizeof(*c->page), PROT_READ | PROT_WRITE, MAP_SHARED, c->page_fd, 0);
        if (page == MAP_FAILED)
            return -errno;
        c->page = page;
    }
    memset(c->page, 0, sizeof(*c->page));
    return 0;
}

// Between fork and exec. High copies first, so that no dup2 falls on a descriptor still needed.
static void become(const char *role, int channel, int errors)
{
    char *argv[] = {"tierceld", "-x", (char *)(uintptr_t)role, NULL};
    char *environment[] = {"LANG=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    sigset_t none;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    channel = fcntl(channel, F_DUPFD_CLOEXEC, 16);
    errors = fcntl(errors, F_DUPFD_CLOEXEC, 16);
    null = fcntl(null, F_DUPFD_CLOEXEC, 16);
    if (setsid() < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(errors, 2) < 0 ||
        dup2(channel, 3) < 0)
        _exit(71);
    close_range(4, ~0u, CLOSE_RANGE_CLOEXEC);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve("/proc/self/exe", argv, environment);
    _exit(72);
}

static void enter_guardian_group(struct parent *p, pid_t pid)
{
    char path[128], text[16];
    if (!p->guardian_group[0])
        return;
    snprintf(path, sizeof(path), "%s/cgroup.procs", p->guardian_group);
    snprintf(text, sizeof(text), "%d", pid);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        parent_why(p, "the guardian shares the agent's control group: %s: %s", path,
                   strerror(errno));
}

int child_start(struct parent *p, enum role role)
{
    struct child *c = &p->children[role];
    int pair[2], errors[2];
    int r = make_page(c);
    if (r < 0 || (r = link_pair(pair)) < 0)
        return r;
    if (pipe2(errors, O_CLOEXEC | O_NONBLOCK) < 0) {
        close(pair[0]);
        close(pair[1]);
        return -errno;
    }
    pid_t pid = fork();
    if (pid == 0)
        become(role_name(role), pair[1], errors[1]);
    r = pid < 0 ? -errno : 0;
    close(pair[1]);
    close(errors[1]);
    if (r < 0) {
        close(pair[0]);
        close(errors[0]);
        return r;
    }
    if (role == ROLE_GUARDIAN)
        enter_guardian_group(p, pid);
    c->state = CHILD_EXECUTING;
    c->pid = pid;
    c->channel = pair[0];
    c->errors = errors[0];
    c->since_ns = os_monotonic_ns();
    c->starts++;
    return 0;
}

int child_send(struct parent *p, enum role role, enum order order, const void *body, uint32_t size)
{
    struct child *c = &p->children[role];
    int r = link_send(c->channel, order, body, size, NULL, 0, 0);
    if (r == -EAGAIN) // hundreds of messages unread: it does not work any more
        child_kill(p, role, "does not take its orders");
    return r;
}

int child_give(struct parent *p, enum role role, enum give what, uint64_t number, int fd)
{
    struct order_give give = {.what = what, .number = (uint32_t)number, .number64 = number};
    int r = link_send(p->children[role].channel, ORDER_GIVE, &give, sizeof(give), &fd, 1, 0);
    if (r == -EAGAIN)
        child_kill(p, role, "does not take its orders");
    return r;
}

// ---- beginning

static void tell_pids(struct parent *p)
{
    static const enum role who[] = {ROLE_SENSOR, ROLE_ENGINE, ROLE_RESPOND};
    struct order_pids pids = {.n = 1, .pids = {(uint32_t)getpid()}};
    for (enum role role = ROLE_PARENT + 1; role < ROLE_COUNT; role++)
        if (p->children[role].pid)
            pids.pids[pids.n++] = (uint32_t)p->children[role].pid;
    for (size_t i = 0; i < sizeof(who) / sizeof(*who); i++)
        if (child_begun(&p->children[who[i]]))
            child_send(p, who[i], ORDER_PIDS, &pids, sizeof(pids));
}

// A fresh channel between two that order and answer, as soon as both are there.
static enum give peer_of(enum role role)
{
    return role == ROLE_ENGINE   ? GIVE_PEER_ENGINE
           : role == ROLE_SENSOR ? GIVE_PEER_SENSOR
           : role == ROLE_UPLINK ? GIVE_PEER_UPLINK
                                 : GIVE_PEER_RESPOND;
}

static void connect_pair(struct parent *p, enum role a, enum role b)
{
    int pair[2];
    if (!child_begun(&p->children[a]) || !child_begun(&p->children[b]) || link_pair(pair) < 0)
        return;
    child_give(p, a, peer_of(b), 0, pair[0]);
    child_give(p, b, peer_of(a), 0, pair[1]);
    close(pair[0]);
    close(pair[1]);
}

static void send_states(struct parent *p)
{
    for (unsigned i = 0; i < p->n_states; i++)
        child_send(p, ROLE_ENGINE, ORDER_STATE, &p->states[i], sizeof(p->states[i]));
    p->n_states = 0;
}

int child_hello(struct parent *p, enum role role)
{
    struct child *c = &p->children[role];
    bool engine = role == ROLE_ENGINE;
    if (engine && p->probes[GIVE_PROBE_NEEDED - 1] < 0) {
        c->state =
            CHILD_WAITING; // its start reads the processes, which must not be before the rings
        return 0;
    }
    p->setup.prevent = p->arming.wanted && !p->arming.refused;
    int r = child_send(p, role, ORDER_SETUP, &p->setup, sizeof(p->setup));
    if (r == 0)
        r = child_give(p, role, GIVE_PAGE, 0, c->page_fd);
    if (r == 0 && role == ROLE_UPLINK)
        r = enrolled_give(p);
    if (r == 0 && role != ROLE_RESPOND && role != ROLE_UPLINK)
        r = child_give(p, role, GIVE_TABLE, 0, p->table_fd);
    if (r == 0 && (engine || role == ROLE_SENSOR))
        r = child_give(p, role, GIVE_PROTECT, 0, p->protect_fd);
    for (unsigned i = 0; r == 0 && engine && i < GIVE_PROBE_COUNT; i++)
        if (p->probes[i] >= 0)
            r = child_give(p, role, GIVE_PROBE, i, p->probes[i]);
    if (r == 0)
        r = child_send(p, role, ORDER_BEGIN, NULL, 0);
    if (r < 0)
        return r;
    c->state = CHILD_STARTING;
    c->since_ns = os_monotonic_ns();
    if (engine) {
        p->segments.cut_allowed = true;
        p->covered_told = 0;
    }
    if (engine || role == ROLE_SENSOR)
        connect_pair(p, ROLE_ENGINE, ROLE_SENSOR);
    if (engine || role == ROLE_RESPOND)
        connect_pair(p, ROLE_ENGINE, ROLE_RESPOND);
    if (role == ROLE_SENSOR || role == ROLE_RESPOND)
        connect_pair(p, ROLE_SENSOR, ROLE_RESPOND);
    if (role == ROLE_UPLINK || role == ROLE_RESPOND)
        connect_pair(p, ROLE_UPLINK, ROLE_RESPOND);
    if (engine)
        send_states(p);
    tell_pids(p);
    return 0;
}

// ---- ending

void child_kill(struct parent *p, enum role role, const char *why)
{
    struct child *c = &p->children[role];
    if (c->pid <= 0)
        return;
    if (c->state != CHILD_ENDING)
        parent_why(p, "%s %s: it is ended and started again", role_name(role), why);
    kill(c->pid, SIGKILL);
}

void child_end(struct parent *p, enum role role)
{
    struct child *c = &p->children[role];
    if (c->pid <= 0 || c->state == CHILD_ENDING)
        return;
    c->state = CHILD_ENDING;
    c->since_ns = os_monotonic_ns();
    if (c->channel >= 0)
        close(c->channel);
    c->channel = -1;
}

static void release(struct child *c)
{
    if (c->channel >= 0)
        close(c->channel);
    if (c->errors >= 0)
        close(c->errors);
    c->channel = c->errors = -1;
    c->pid = 0;
    c->state = CHILD_DOWN;
}

// Three failed starts within a minute: rest before the next, and no prevention with a part that does not hold.
static void count_failure(struct parent *p, enum role role, uint64_t now, const char *how)
{
    struct child *c = &p->children[role];
    memmove(c->failed_ns, c->failed_ns + 1, 2 * sizeof(*c->failed_ns));
    c->failed_ns[2] = now;
    bool often = c->failed_ns[0] && now - c->failed_ns[0] < FAILURES_WITHIN_NS;
    c->not_before_ns = now + (often ? REST_NS : SECOND_NS / 5);
    if (!often)
        return;
    memset(c->failed_ns, 0, sizeof(c->failed_ns));
    if (!c->was_ready && (role == ROLE_SENSOR || role == ROLE_ENGINE)) {
        parent_say("the %s could not be started three times (%s): the agent ends", role_name(role),
                   how);
        p->exit_status = 1;
        parent_stop(p);
    } else if (role == ROLE_ENGINE || role == ROLE_WARDEN || role == ROLE_SENSOR) {
        arming_give_up(p, "the %s failed to start three times within a minute", role_name(role));
    }
}

static void gone(struct parent *p, enum role role, int status)
{
    struct child *c = &p->children[role];
    uint64_t now = os_monotonic_ns();
    char how[64];
    if (WIFSIGNALED(status))
        snprintf(how, sizeof(how), "killed by signal %d", WTERMSIG(status));
    else
        snprintf(how, sizeof(how), "exit status %d", WEXITSTATUS(status));
    bool wanted = c->state == CHILD_ENDING || p->stopping ||
                  (WIFEXITED(status) && WEXITSTATUS(status) == ROLE_EXIT_AGAIN);
    bool young = c->state != CHILD_RUNNING || now - c->since_ns < YOUNG_NS;
    parent_hear(p, role); // what it said last
    parent_errors(p, role);
    release(c);
    c->not_before_ns = 0;
    if (role == ROLE_ENGINE)
        gate_table_engine_gone(p->table);
    if (role == ROLE_WARDEN)
        atomic_store(&p->table->holder[GATE_HOLDER_WARDEN], 0);
    if (role == ROLE_SENSOR)
        atomic_store(&p->table->holder[GATE_HOLDER_SENSOR], 0);
    arming_lost(p, role);
    if (role == ROLE_RESPOND)
        serve_respond_lost(p);
    if (wanted)
        return;
    parent_say("the %s is gone (%s)", role_name(role), how);
    parent_state(p, "role", "%s gone: %s", role_name(role), how);
    if (young)
        count_failure(p, role, now, how);
}

bool child_reap(struct parent *p)
{
    bool any = false;
    for (enum role role = ROLE_PARENT + 1; role < ROLE_COUNT; role++) {
        int status;
        pid_t pid = p->children[role].pid;
        if (pid > 0 && waitpid(pid, &status, WNOHANG) == pid) {
            gone(p, role, status);
            any = true;
        }
    }
    return any;
}

// ---- watching

static bool stopped(pid_t pid)
{
    struct os_process process;
    return os_process_read(pid, &process) == 0 && (process.state == 'T' || process.state == 't');
}

static uint64_t age(uint64_t now, uint64_t beat)
{
    return beat && now > beat ? now - beat : 0;
}

static const char *sickness(struct parent *p, enum role role, uint64_t now)
{
    const struct child *c = &p->children[role];
    uint64_t silent_ns = role_spec(role)->silent_ms * 1000000ull;
    if (stopped(c->pid))
        return "was stopped";
    if (c->state == CHILD_EXECUTING)
        return now - c->since_ns > HELLO_LIMIT_NS ? "does not say hello" : NULL;
    if (c->state == CHILD_STARTING)
        return now - c->since_ns > START_LIMIT_NS ? "does not get ready" : NULL;
    if (c->state != CHILD_RUNNING)
        return NULL;
    if (silent_ns && age(now, atomic_load(&c->page->beat_ns)) > silent_ns)
        return "gives no sign of life";
    if (role == ROLE_ENGINE && gate_table_restart_wanted(p->table))
        return "has too many stuck readers";
    if ((role == ROLE_ENGINE && p->arming.gate_ready &&
         age(now, p->table->engine_beat) > GATE_SILENT_NS) ||
        (role == ROLE_WARDEN && p->arming.warden_ready &&
         age(now, p->table->warden_beat) > GATE_SILENT_NS))
        return "does not serve the gate";
    return NULL;
}

void child_watch(struct parent *p)
{
    uint64_t now = os_monotonic_ns();
    for (enum role role = ROLE_PARENT + 1; role < ROLE_COUNT; role++) {
        struct child *c = &p->children[role];
        if (c->pid > 0) {
            const char *why = c->state == CHILD_ENDING ? NULL : sickness(p, role, now);
            if (why)
                child_kill(p, role, why);
            else if (c->state == CHILD_ENDING && now - c->since_ns > 2 * SECOND_NS)
                kill(c->pid, SIGKILL);
        } else if (!p->stopping && now >= c->not_before_ns &&
                   (role != ROLE_UPLINK || enrolled(p)) && child_start(p, role) < 0) {
            c->not_before_ns = now + SECOND_NS;
        }
    }
}
