// SPDX-License-Identifier: Apache-2.0
// The running daemon: what each role may do as the kernel says it, who holds the gate, what a role's death does, what is
// left at the end. In a private mount namespace; the rest of the machine is not asked about.
#include "agent.h"
#include "agent/role_table.h"
#include <dirent.h>
#include <linux/bpf.h>
#include <sys/fanotify.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

static uint64_t number(const char *text, const char *name, int base)
{
    const char *at = strstr(text, name);
    assert_non_null(at);
    return strtoull(at + strlen(name), NULL, base);
}

static void read_all(const char *path, char *ret, size_t size)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);
    ret[n > 0 ? n : 0] = 0;
}

static bool is_running(const struct control_status *s, const void *context)
{
    (void)context;
    for (uint32_t i = 0; i < s->n_roles; i++)
        if (s->roles[i].state != CONTROL_ROLE_RUNNING)
            return false;
    return s->n_roles == ROLE_UPLINK; // not enrolled: test_uplink.c has the other case
}

static bool is_armed(const struct control_status *s, const void *context)
{
    return is_running(s, context) && s->armed;
}

struct replaced {
    enum role role;
    int32_t pid;
};
static bool is_replaced(const struct control_status *s, const void *context)
{
    const struct replaced *r = context;
    return is_armed(s, NULL) && s->roles[r->role].pid != r->pid;
}

// ---- the table

static void check_task(const char *path, enum role role)
{
    char text[4096];
    const struct os_sandbox *s = &role_spec(role)->sandbox;
    read_all(path, text, sizeof(text));
    char uids[80];
    snprintf(uids, sizeof(uids), "Uid:\t%u\t%u\t%u\t%u\n", s->uid, s->uid, s->uid, s->uid);
    assert_non_null(strstr(text, uids));
    assert_int_equal(number(text, "NoNewPrivs:\t", 10), 1);
    assert_int_equal(number(text, "CapInh:\t", 16), 0);
    assert_int_equal(number(text, "CapAmb:\t", 16), 0);
    if (role == ROLE_PARENT) {
        assert_int_equal(number(text, "CapEff:\t", 16), role_parent_effective());
        assert_int_equal(number(text, "CapPrm:\t", 16) & ~role_parent_permitted(), 0);
        return;
    }
    snprintf(uids, sizeof(uids), "Gid:\t%u\t%u\t%u\t%u\n", s->uid, s->uid, s->uid, s->uid);
    assert_non_null(strstr(text, uids));
    assert_non_null(strstr(text, "Groups:\t \n"));
    assert_int_equal(number(text, "CapEff:\t", 16), s->capabilities);
    assert_int_equal(number(text, "CapPrm:\t", 16), s->capabilities);
    assert_int_equal(number(text, "CapBnd:\t", 16), 0);
    assert_int_equal(number(text, "Seccomp:\t", 10), 2);
}

// Every thread: capabilities and filters are theirs, not the process's.
static void check_role(const struct control_status *s, enum role role)
{
    char path[300];
    snprintf(path, sizeof(path), "/proc/%d/task", s->roles[role].pid);
    DIR *tasks = opendir(path);
    assert_non_null(tasks);
    int n = 0;
    for (struct dirent *d; (d = readdir(tasks));) {
        if (d->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "/proc/%d/task/%s/status", s->roles[role].pid, d->d_name);
        check_task(path, role);
        n++;
    }
    closedir(tasks);
    assert_true(n >= 1);
}

// A notification group, by which files are watched, holds nobody up.
static bool is_gate(const char *text)
{
    const char *group = strstr(text, "fanotify flags:");
    return group && strtoul(group + strlen("fanotify flags:"), NULL, 16) & FAN_CLASS_CONTENT;
}

static bool holds_gate(pid_t pid)
{
    char path[300], text[4096];
    bool holds = false;
    snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
    DIR *fds = opendir(path);
    for (struct dirent *d; fds && (d = readdir(fds));) {
        snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", pid, d->d_name);
        read_all(path, text, sizeof(text));
        holds |= is_gate(text);
    }
    if (fds)
        closedir(fds);
    return holds;
}

static bool is_disarmed(const struct control_status *s, const void *context)
{
    char path[64];
    for (uint32_t i = 0; i < s->n_roles; i++) {
        snprintf(path, sizeof(path), "/proc/%d/exe", s->roles[i].pid);
        if (holds_gate(s->roles[i].pid) || access(path, F_OK) < 0) // the warden may just have ended
            return false;
    }
    return is_running(s, context) && !s->armed && s->mode == CONTROL_DETECT;
}

static void check_table(const struct control_status *s, bool prevent)
{
    for (enum role role = ROLE_PARENT; role < ROLE_UPLINK; role++) {
        check_role(s, role);
        bool holder = prevent && (role == ROLE_ENGINE || role == ROLE_WARDEN);
        assert_int_equal(holds_gate(s->roles[role].pid), holder);
    }
}

static void test_roles_have_what_the_table_says_in_detect_mode(void **state)
{
    (void)state;
    static struct control_status s;
    struct agent a;
    agent_start(&a, "detect");
    agent_wait(&a, "not all roles run", is_running, NULL, &s);
    assert_false(s.armed);
    assert_int_equal(s.engine.rules, 1);
    check_table(&s, false);
    assert_int_equal(agent_exec(&a, "/bin/echo", AGENT_WORD), 0); // seen, not refused
    assert_int_equal(agent_end(&a, SIGTERM), 0);
}

static void test_roles_have_what_the_table_says_in_prevent_mode(void **state)
{
    (void)state;
    static struct control_status s;
    struct agent a;
    agent_start(&a, "prevent");
    agent_wait(&a, "not armed", is_armed, NULL, &s);
    check_table(&s, true);
    assert_true(s.n_guarded > 0 && s.scope_pid == a.namespace_pid);
    assert_int_equal(agent_exec(&a, "/bin/true", "ordinary"), 0);
    assert_int_equal(agent_exec(&a, "/bin/echo", AGENT_WORD), -EPERM);
    assert_int_equal(agent_end(&a, SIGTERM), 0);
}

// ---- deaths

static void test_each_role_killed_or_stopped_is_replaced_and_armed_again(void **state)
{
    (void)state;
    static const int ends[] = {SIGKILL, SIGSTOP};
    static struct control_status s;
    struct agent a;
    agent_start(&a, "prevent");
    agent_wait(&a, "not armed", is_armed, NULL, &s);
    for (unsigned i = 0; i < 2; i++)
        for (enum role role = ROLE_PARENT + 1; role < ROLE_UPLINK; role++) {
            struct replaced r = {role, s.roles[role].pid};
            assert_int_equal(kill(r.pid, ends[i]), 0);
            assert_int_equal(agent_exec(&a, "/bin/true", "while it is gone"), 0);
            agent_wait(&a, "a lost role was not replaced", is_replaced, &r, &s);
            assert_int_equal(agent_exec(&a, "/bin/true", "again"), 0);
            assert_int_equal(agent_exec(&a, "/bin/echo", AGENT_WORD), -EPERM);
            check_table(&s, true);
        }
    assert_int_equal(agent_end(&a, SIGTERM), 0);
}

static void test_both_holders_killed_lets_go_and_arms_anew(void **state)
{
    (void)state;
    static struct control_status s;
    struct agent a;
    agent_start(&a, "prevent");
    agent_wait(&a, "not armed", is_armed, NULL, &s);
    struct replaced engine = {ROLE_ENGINE, s.roles[ROLE_ENGINE].pid},
                    warden = {ROLE_WARDEN, s.roles[ROLE_WARDEN].pid};
    kill(engine.pid, SIGKILL);
    kill(warden.pid, SIGKILL);
    assert_int_equal(agent_exec(&a, "/bin/true", "nobody answers"), 0);
    agent_wait(&a, "the engine was not replaced", is_replaced, &engine, &s);
    agent_wait(&a, "the warden was not replaced", is_replaced, &warden, &s);
    assert_int_equal(agent_exec(&a, "/bin/echo", AGENT_WORD), -EPERM);
    assert_int_equal(agent_end(&a, SIGTERM), 0);
}

static void test_parent_killed_takes_all_along(void **state)
{
    (void)state;
    static struct control_status s;
    struct agent a;
    agent_start(&a, "prevent");
    agent_wait(&a, "not armed", is_armed, NULL, &s);
    kill(a.pid, SIGKILL);
    assert_int_equal(agent_exec(&a, "/bin/true", "nobody answers"), 0);
    for (enum role role = ROLE_PARENT + 1; role < ROLE_UPLINK; role++)
        for (int i = 0; kill(s.roles[role].pid, 0) == 0; i++) {
            assert_true(i < 200);
            poll(NULL, 0, 50);
        }
    assert_int_equal(agent_exec(&a, "/bin/echo", AGENT_WORD), 0);
    assert_int_equal(agent_end(&a, 0), 200);
}

static void test_everything_stopped_is_let_go_by_the_guardian(void **state)
{
    (void)state;
    static struct control_status s;
    struct agent a;
    agent_start(&a, "prevent");
    agent_wait(&a, "not armed", is_armed, NULL, &s);
    struct replaced engine = {ROLE_ENGINE, s.roles[ROLE_ENGINE].pid},
                    warden = {ROLE_WARDEN, s.roles[ROLE_WARDEN].pid};
    kill(a.pid, SIGSTOP);
    kill(s.roles[ROLE_SENSOR].pid, SIGSTOP);
    kill(s.roles[ROLE_RESPOND].pid, SIGSTOP);
    kill(warden.pid, SIGSTOP);
    kill(engine.pid, SIGSTOP);
    assert_int_equal(agent_exec(&a, "/bin/true", "nobody answers"), 0);
    kill(a.pid, SIGCONT);
    agent_wait(&a, "the engine was not replaced", is_replaced, &engine, &s);
    agent_wait(&a, "the warden was not replaced", is_replaced, &warden, &s);
    assert_int_equal(agent_exec(&a, "/bin/echo", AGENT_WORD), -EPERM);
    assert_int_equal(agent_end(&a, SIGTERM), 0);
}

// ---- modes

static void test_mode_is_switched_there_and_back(void **state)
{
    (void)state;
    static struct control_status s;
    struct agent a;
    agent_start(&a, "detect");
    agent_wait(&a, "not all roles run", is_running, NULL, &s);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(agent_call(&a, CONTROL_SET_MODE, CONTROL_PREVENT, NULL), 0);
        agent_wait(&a, "not armed", is_armed, NULL, &s);
        assert_int_equal(agent_exec(&a, "/bin/echo", AGENT_WORD), -EPERM);
        assert_int_equal(agent_call(&a, CONTROL_SET_MODE, CONTROL_DETECT, NULL), 0);
        agent_wait(&a, "not disarmed", is_disarmed, NULL, &s);
        check_table(&s, false);
        assert_int_equal(agent_exec(&a, "/bin/echo", AGENT_WORD), 0);
    }
    assert_int_equal(agent_call(&a, CONTROL_RELOAD, 0, NULL), 0);
    assert_int_equal(agent_call(&a, CONTROL_STOP, 0, NULL), 0);
    assert_int_equal(agent_end(&a, 0), 0);
}

// What systemd would hear: one datagram each.
static void expect_word(int fd, const char *word)
{
    char text[512] = "";
    struct pollfd p = {.fd = fd, .events = POLLIN};
    for (int i = 0; i < 1000 && !strstr(text, word); i++) {
        assert_int_equal(poll(&p, 1, 60000), 1);
        ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
        text[n > 0 ? n : 0] = 0;
    }
    assert_non_null(strstr(text, word));
}

static void test_service_manager_hears_of_start_life_and_stop(void **state)
{
    (void)state;
    struct agent a;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/tiercel-notify-%d", getpid());
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    agent_start(&a, "prevent");
    unsetenv("NOTIFY_SOCKET");
    expect_word(fd, "READY=1\nSTATUS=prevent: the gate is armed");
    expect_word(fd, "WATCHDOG=1");
    kill(a.pid, SIGTERM);
    expect_word(fd, "STOPPING=1");
    assert_int_equal(agent_end(&a, 0), 0);
    close(fd);
    unlink(address.sun_path);
}

// ---- nothing left

// Numbers of the BPF links that a process holds. They are never used again by the kernel.
static size_t links_of(pid_t pid, uint32_t *ret, size_t max)
{
    char path[300], text[4096];
    size_t n = 0;
    snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
    DIR *fds = opendir(path);
    for (struct dirent *d; fds && n < max && (d = readdir(fds));) {
        snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", pid, d->d_name);
        read_all(path, text, sizeof(text));
        if (strstr(text, "link_id:\t"))
            ret[n++] = (uint32_t)number(text, "link_id:\t", 10);
    }
    if (fds)
        closedir(fds);
    return n;
}

static bool link_exists(uint32_t id)
{
    union bpf_attr attr = {.link_id = id};
    int fd = (int)syscall(SYS_bpf, BPF_LINK_GET_FD_BY_ID, &attr, sizeof(attr));
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void test_end_leaves_nothing_behind(void **state)
{
    (void)state;
    static struct control_status s;
    struct agent a;
    char run[160];
    struct stat st;
    uint32_t links[32];
    agent_start(&a, "prevent");
    agent_wait(&a, "not armed", is_armed, NULL, &s);
    agent_path(&a, "run", run);
    size_t n = links_of(s.roles[ROLE_SENSOR].pid, links, 32);
    assert_true(n > 0 && link_exists(links[0]));
    kill(a.pid, SIGINT);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)a.pid, &info, WEXITED | WNOWAIT), 0);
    for (enum role role = ROLE_PARENT + 1; role < ROLE_UPLINK; role++)
        assert_int_equal(kill(s.roles[role].pid, 0), -1);
    for (size_t i = 0; i < n; i++)
        for (int j = 0; link_exists(links[i]); j++) { // the kernel frees them a grace period later
            assert_true(j < 200);
            poll(NULL, 0, 50);
        }
    assert_int_equal(stat(run, &st), -1);
    assert_int_equal(agent_exec(&a, "/bin/echo", AGENT_WORD), 0);
    assert_int_equal(agent_end(&a, 0), 0);
}

// ---- starts that must fail

static int run_daemon(const struct agent *a, char *const argv[], uid_t uid, char *output,
                      size_t size)
{
    char log[160];
    int status;
    agent_path(a, "other", log);
    pid_t pid = agent_spawn(argv, log, uid);
    waitpid(pid, &status, 0);
    read_all(log, output, size);
    unlink(log);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

static void test_starts_that_cannot_be_say_why(void **state)
{
    (void)state;
    static struct control_status s;
    struct agent a;
    char run[160], text[1024], config[160];
    agent_start(&a, "detect");
    agent_wait(&a, "not all roles run", is_running, NULL, &s);
    agent_path(&a, "run", run);
    agent_path(&a, "tiercel.yml", config);
    char *second[] = {"tierceld", "--run-dir", run, "--state", a.folder, NULL};
    assert_int_equal(run_daemon(&a, second, 0, text, sizeof(text)), 3);
    assert_non_null(strstr(text, "another agent is running"));
    assert_int_equal(agent_call(&a, CONTROL_STATUS, 0, &s), 0); // the first one still answers
    chmod(a.folder, 0777);
    assert_int_equal(run_daemon(&a, second, 65534, text, sizeof(text)), 1);
    assert_non_null(strstr(text, "root"));
    char *wrong[] = {"tierceld", "--mode", "protect", NULL};
    assert_int_equal(run_daemon(&a, wrong, 0, text, sizeof(text)), 2);
    assert_non_null(strstr(text, "prevent or detect"));
    char *by_hand[] = {"tierceld", "-x", "warden", NULL};
    assert_int_equal(run_daemon(&a, by_hand, 0, text, sizeof(text)), 2);
    _cleanup_fclose_ FILE *f = fopen(config, "we");
    assert_true(fputs("mode: detect\nrulez: /srv\n", f) >= 0);
    fflush(f);
    char *typo[] = {"tierceld", "--config", config, NULL};
    assert_int_equal(run_daemon(&a, typo, 0, text, sizeof(text)), 2);
    assert_non_null(strstr(text, "tiercel.yml:2:1"));
    char *absent[] = {"tierceld", "--config", "/nowhere/tiercel.yml", NULL};
    assert_int_equal(run_daemon(&a, absent, 0, text, sizeof(text)), 2);
    assert_non_null(strstr(text, "/nowhere/tiercel.yml"));
    assert_int_equal(agent_end(&a, SIGTERM), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roles_have_what_the_table_says_in_detect_mode),
        cmocka_unit_test(test_roles_have_what_the_table_says_in_prevent_mode),
        cmocka_unit_test(test_each_role_killed_or_stopped_is_replaced_and_armed_again),
        cmocka_unit_test(test_both_holders_killed_lets_go_and_arms_anew),
        cmocka_unit_test(test_parent_killed_takes_all_along),
        cmocka_unit_test(test_everything_stopped_is_let_go_by_the_guardian),
        cmocka_unit_test(test_mode_is_switched_there_and_back),
        cmocka_unit_test(test_service_manager_hears_of_start_life_and_stop),
        cmocka_unit_test(test_end_leaves_nothing_behind),
        cmocka_unit_test(test_starts_that_cannot_be_say_why),
    };
    if (geteuid() != 0)
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
