// SPDX-License-Identifier: Apache-2.0
// The whole agent over the whole machine, and everything that could leave a program start waiting: its roles killed,
// stopped, frozen, memory that nobody fills, file systems that do not answer, load. Every start ends within its bound,
// the agent is armed again, and nothing stays stuck.
#include "whole_agent.h"

static void killed(const char *name)
{
    struct blow b = {.roles = {name}, .signal = SIGKILL};
    unsigned slowest = storm(STORM, &b);
    char what[64];
    snprintf(what, sizeof what, "%s killed", name);
    after(what, &b, slowest, BOUND);
}

static void stopped(const char *name)
{
    struct blow b = {.roles = {name}, .signal = SIGSTOP};
    unsigned slowest = storm(STORM, &b);
    char what[64];
    snprintf(what, sizeof what, "%s stopped", name);
    after(what, &b, slowest, BOUND);
}

#define ROLE_TESTS(name)                                                                           \
    static void test_##name##_killed(void **state)                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        killed(#name);                                                                             \
    }                                                                                              \
    static void test_##name##_stopped(void **state)                                                \
    {                                                                                              \
        (void)state;                                                                               \
        stopped(#name);                                                                            \
    }
ROLE_TESTS(engine)
ROLE_TESTS(warden)
ROLE_TESTS(sensor)
ROLE_TESTS(respond)
ROLE_TESTS(guardian)

static void test_storm_with_everything_well(void **state)
{
    (void)state;
    unsigned slowest = storm(1000, NULL);
    look();
    printf("# 1000 starts: slowest %u ms; %lu asked, %lu overdue, %lu by the warden\n", slowest,
           reply.status.gate.asked, reply.status.gate.overdue, reply.status.gate.by_warden);
    assert_in_range(slowest, 0, BOUND);
    assert_true(look() && reply.status.armed);
    assert_refuses();
    assert_nothing_stuck();
}

static void test_engine_and_warden_stopped(void **state)
{
    (void)state;
    struct blow b = {.roles = {"engine", "warden"}, .signal = SIGSTOP};
    after("engine and warden stopped", &b, storm(STORM, &b), GUARDIAN_BOUND);
}

// Judging goes on; the service manager's watchdog would end it.
static void test_parent_stopped(void **state)
{
    (void)state;
    struct blow b = {.roles = {"parent"}, .signal = SIGSTOP};
    unsigned slowest = storm(STORM, &b);
    assert_refuses();
    kill(b.hit[0], SIGCONT);
    printf("# parent stopped: slowest start %u ms, judged all the time\n", slowest);
    assert_in_range(slowest, 0, BOUND);
    armed_again(now_ms(), NULL, 0);
}

static void test_all_but_the_guardian_stopped(void **state)
{
    (void)state;
    // The parent first: it ends at once who stops.
    struct blow b = {.roles = {"parent", "engine", "warden", "sensor", "respond"},
                     .signal = SIGSTOP};
    unsigned slowest = storm(STORM, &b);
    kill(b.hit[0], SIGCONT);
    b.hit[0] = 0; // goes on
    b.at = now_ms();
    after("all but the guardian stopped", &b, slowest, GUARDIAN_BOUND);
}

static void test_frozen_control_group(void **state)
{
    (void)state;
    struct blow b = {.freeze = CGROUP "/cgroup.freeze"};
    unsigned slowest = storm(STORM, &b);
    put(CGROUP "/cgroup.freeze", "0");
    b.at = now_ms();
    after("frozen control group", &b, slowest, GUARDIAN_BOUND);
}

static void test_everything_stopped_and_a_watchdog(void **state)
{
    (void)state;
    struct blow b = {.roles = {"parent", "guardian", "engine", "warden", "sensor", "respond"},
                     .signal = SIGSTOP};
    int fired = watchdog.fired;
    watchdog.n = 0;
    for (int i = 0; i < ROLES; i++)
        watchdog.pids[watchdog.n++] = role(b.roles[i]);
    watchdog.on = true;
    unsigned slowest = storm(STORM, &b);
    assert_int_equal(watchdog.fired, fired + 1);
    assert_int_equal(finish(agent, 10000), -SIGKILL);
    printf("# everything stopped, watchdog of %d ms: slowest start %u ms\n", WATCHDOG_MS, slowest);
    assert_in_range(slowest, 0, (WATCHDOG_MS + 1000) * SLOW);
    begin_agent();
    assert_refuses();
    assert_nothing_stuck();
}

static void test_everything_killed_and_started_again(void **state)
{
    (void)state;
    struct blow b = {.roles = {"parent", "engine", "warden", "sensor", "respond", "guardian"},
                     .signal = SIGKILL};
    unsigned slowest = storm(STORM, &b);
    assert_int_equal(finish(agent, 10000), -SIGKILL);
    printf("# everything killed: slowest start %u ms\n", slowest);
    assert_in_range(slowest, 0, BOUND);
    begin_agent();
    assert_refuses();
}

static void test_parent_killed(void **state)
{
    (void)state;
    struct blow b = {.roles = {"parent"}, .signal = SIGKILL};
    unsigned slowest = storm(STORM, &b);
    assert_int_equal(finish(agent, 10000), -SIGKILL);
    printf("# parent killed: slowest start %u ms\n", slowest);
    assert_in_range(slowest, 0, BOUND);
    begin_agent();
    assert_refuses();
}

static void test_second_agent_is_refused(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        execl("/usr/sbin/tierceld", "tierceld", "--mode", "prevent", (char *)NULL);
        _exit(99);
    }
    assert_int_equal(finish(pid, 20000), 3);
    assert_true(look() && reply.status.armed);
}

// ---- load

static void hogs(int n)
{
    pid_t group = 0;
    for (int i = 0; i < n; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (volatile unsigned x = 0;; x++)
                ;
        }
        group = group ? group : pid;
        setpgid(pid, group);
    }
    // The starts must run at all to be measured: what is bounded is the wait, not their share of a CPU.
    struct sched_param fifo = {.sched_priority = 1};
    sched_setscheduler(0, SCHED_FIFO, &fifo);
    unsigned slowest = storm(40, NULL);
    assert_refuses();
    sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){0});
    kill(-group, SIGKILL);
    for (int i = 0; i < n; i++)
        waitpid(-group, NULL, 0);
    unsigned again = armed_again(now_ms(), NULL, 0);
    printf("# %d hogs: slowest start %u ms, whole %u ms after their end\n", n, slowest, again);
    assert_in_range(slowest, 0, BOUND);
    assert_nothing_stuck();
}

static void test_a_hundred_hogs(void **state)
{
    (void)state;
    hogs(100);
}

// ---- hostile memory and file systems

static pid_t behind_page(void *page)
{
    char *argv[] = {"payload", "/tmp/m/behind", page, NULL}, *none[] = {NULL};
    execve(PAYLOAD, argv, none);
    _exit(errno == EPERM ? 1 : 2);
}

static pid_t behind_userfaultfd(void)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    struct uffdio_api api = {.api = UFFD_API};
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_register range = {.range = {(uintptr_t)page, 4096},
                                    .mode = UFFDIO_REGISTER_MODE_MISSING};
    if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0 || ioctl(fd, UFFDIO_REGISTER, &range) < 0)
        _exit(77);
    return behind_page(page);
}

static pid_t behind_fuse(const char *folder)
{
    char name[160];
    pid_t pid = fork();
    if (pid)
        return pid;
    snprintf(name, sizeof name, "%s/argument", folder);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    char *page = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    if (page == MAP_FAILED)
        _exit(78);
    return behind_page(page);
}

// On 6.1 the kernel copies argv before it asks and waits for the page itself, as it would without us: -1000.
static void assert_refused_or_waits(const char *what, int code)
{
    struct stat st;
    printf("# argv behind %s: %s\n", what,
           code == -1000 ? "the kernel waits for it before it asks" : "denied");
    assert_true(code == 1 || code == -SIGKILL || code == -1000);
    assert_int_not_equal(stat("/tmp/m/behind", &st), 0);
}

static void test_argv_behind_userfaultfd(void **state)
{
    (void)state;
    pid_t pid = behind_userfaultfd();
    assert_in_range(storm(30, NULL), 0, BOUND);
    assert_refused_or_waits("userfaultfd", finish(pid, BOUND));
    assert_refuses();
    assert_nothing_stuck();
}

static void test_argv_behind_fuse_and_a_sleeping_daemon(void **state)
{
    struct fuse f;
    (void)state;
    fuse_start(&f, "/mnt", -1);
    pid_t pid = behind_fuse(f.path);
    assert_in_range(storm(30, NULL), 0, BOUND);
    int code = finish(pid, BOUND);
    kill(f.daemon, SIGSTOP); // from here on nobody answers for it
    assert_in_range(storm(30, NULL), 0, BOUND);
    assert_refuses();
    bool named = false;
    look();
    for (uint32_t i = 0; i < reply.status.n_filesystems; i++) {
        const struct control_filesystem *row = &reply.status.filesystems[i];
        named |= strcmp(row->path, f.path) == 0 && !row->guarded && row->reason[0];
    }
    kill(f.daemon, SIGCONT);
    fuse_end(&f);
    assert_refused_or_waits("FUSE", code);
    assert_true(named);
    armed_again(now_ms(), NULL, 0);
    assert_nothing_stuck();
}

static void test_pipe_core_pattern_and_a_crashing_engine(void **state)
{
    (void)state;
    struct blow b = {.roles = {"engine"}, .signal = SIGSEGV};
    put("/proc/sys/kernel/core_pattern", "|/bin/true %p");
    unsigned slowest = storm(STORM, &b);
    put("/proc/sys/kernel/core_pattern", "core");
    after("engine crashed, pipe core_pattern", &b, slowest, BOUND);
}

// ----

static int begin_all(void **state)
{
    pthread_t thread;
    (void)state;
    mkdir(CGROUP, 0755);
    pthread_create(&thread, NULL, watch, NULL);
    begin_agent();
    return 0;
}

static int end_all(void **state)
{
    (void)state;
    kill(agent, SIGTERM);
    return finish(agent, 20000);
}

static int fresh(void **state)
{
    (void)state;
    armed_again(now_ms(), NULL, 0);
    uint64_t age = now_ms() - engine_since;
    if (age < YOUNG)
        rest((int)(YOUNG - age));
    return 0;
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
#define TEST(name) cmocka_unit_test_setup(name, fresh)
    const struct CMUnitTest tests[] = {
        TEST(test_storm_with_everything_well),
        TEST(test_second_agent_is_refused),
        TEST(test_engine_killed),
        TEST(test_engine_stopped),
        TEST(test_warden_killed),
        TEST(test_warden_stopped),
        TEST(test_sensor_killed),
        TEST(test_sensor_stopped),
        TEST(test_respond_killed),
        TEST(test_respond_stopped),
        TEST(test_guardian_killed),
        TEST(test_guardian_stopped),
        TEST(test_parent_stopped),
        TEST(test_engine_and_warden_stopped),
        TEST(test_all_but_the_guardian_stopped),
        TEST(test_frozen_control_group),
        TEST(test_argv_behind_userfaultfd),
        TEST(test_argv_behind_fuse_and_a_sleeping_daemon),
        TEST(test_pipe_core_pattern_and_a_crashing_engine),
        TEST(test_a_hundred_hogs),
        TEST(test_everything_stopped_and_a_watchdog),
        TEST(test_parent_killed),
        TEST(test_everything_killed_and_started_again),
    };
    return cmocka_run_group_tests_name("agent_hang", tests, begin_all, end_all);
}
