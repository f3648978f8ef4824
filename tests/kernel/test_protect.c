// SPDX-License-Identifier: Apache-2.0
// Opens of protected data through the gate, in a private mount namespace: marks on one folder there and nothing else.
// The rig's judge denies the user 1000. Under --whole-host (in a guest) whole file systems are marked for execs beside it.
#include "sensor/protect.h"
#include "tests/kernel/gate_rig.h"
#include <linux/io_uring.h>
#include <pthread.h>

static struct rig rig;
static bool whole_host;
static struct protect_settings settings;
static struct protect_marks *marks;
static struct protect_group group;
static const struct protect_sink sink = {.put = protect_put_mark, .context = &group, .deep = true};

// Everything that waits to be marked is marked.
static void follow(void)
{
    protect_marks_follow(marks);
    for (int i = 0; i < 1000 && protect_marks_put(marks, &sink) > 0; i++)
        ;
}

static void make_folder(const char *name)
{
    char path[160];
    snprintf(path, sizeof path, "/proc/%d/root%s/%s", rig.inmate > 0 ? rig.inmate : getpid(),
             rig.folder, name);
    assert_int_equal(mkdir(path, 0777), 0);
    chmod(path, 0777);
}

static int start(void **state)
{
    char path[96];
    struct error e = {0};
    (void)state;
    rig = (struct rig){.deadline_ms = 500, .whole_host = whole_host};
    rig_start(&rig, 100);
    make_folder("data");
    make_folder("data/sub");
    make_folder("free");
    rig_write(&rig, "data/f", "formula", 7, 0666);
    rig_write(&rig, "data/sub/f", "formula", 7, 0666);
    rig_write(&rig, "free/f", "menu", 4, 0666);
    snprintf(path, sizeof path, "%s/data", rig.folder);
    settings = (struct protect_settings){0};
    assert_int_equal(protect_add_folder(&settings, str_from(path), &e), 0);
    assert_int_equal(protect_marks_new(&settings, rig.inmate, &marks), 0);
    group = (struct protect_group){rig.group, FAN_OPEN_PERM};
    follow();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    marks = protect_marks_free(marks);
    rig_stop(&rig);
    return 0;
}

// ---- what a caller does: its exit status is the errno, 0 when it could read

static void as_user(void)
{
    if (setresgid(1000, 1000, 1000) < 0 || setresuid(1000, 1000, 1000) < 0)
        _exit(123);
}

static int read_it(int fd)
{
    char text[16];
    return fd < 0 ? errno : read(fd, text, sizeof text) > 0 ? 0 : 124;
}

static void root_reads(struct rig *r, void *name)
{
    (void)r;
    _exit(read_it(open(name, O_RDONLY)));
}

static void user_reads(struct rig *r, void *name)
{
    as_user();
    root_reads(r, name);
}

static int user(const char *name)
{
    return rig_run(&rig, user_reads, (void *)name).code;
}

static int root(const char *name)
{
    return rig_run(&rig, root_reads, (void *)name).code;
}

static void shell(struct rig *r, void *command)
{
    (void)r;
    execl("/bin/sh", "sh", "-ec", (char *)command, (char *)NULL);
    _exit(errno);
}

static void run(const char *command)
{
    assert_int_equal(rig_run(&rig, shell, (void *)command).code, 0);
}

static void test_an_open_is_denied_before_it_is_one(void **state)
{
    (void)state;
    uint32_t opens = rig.seen->opens;
    assert_int_equal(user("free/f"), 0);
    assert_int_equal(rig.seen->opens, opens); // the cost falls on protected files alone
    assert_int_equal(user("data/f"), EPERM);
    assert_int_equal(user("data/sub/f"), EPERM);
    assert_non_null(strstr(rig.seen->path, "/data/sub/f"));
    assert_int_equal(root("data/f"), 0);
    assert_int_equal(rig_count(&rig, GATE_OPENS_DENIED), 2);
    struct protect_counts c = protect_marks_counts(marks);
    assert_int_equal(c.folders, 2);
    assert_int_equal(c.files, whole_host ? c.files : 2);
    assert_int_equal(c.refused, 0);
}

static void test_a_program_in_a_protected_folder(void **state)
{
    (void)state;
    rig_copy(&rig, "/proc/self/exe", "data/payload");
    follow();
    assert_int_equal(RIG_EXEC(&rig, "./data/payload", "-").code, RIG_PAYLOAD_EXIT);
    assert_true(rig.seen->part[GATE_ELF_LOADER] > 0); // the open between did not break the chain
}

static void user_runs(struct rig *r, void *argv)
{
    as_user();
    rig_exec_argv(r, argv);
}

static void test_a_user_runs_a_program_in_a_protected_folder(void **state)
{
    (void)state;
    rig_copy(&rig, "/proc/self/exe", "data/payload");
    follow();
    char *argv[] = {"./data/payload", "-", NULL};
    assert_int_equal(rig_run(&rig, user_runs, argv).code, EPERM);
}

// ---- other names of the same file

static void test_a_symlink_and_a_path_with_dots(void **state)
{
    (void)state;
    run("ln -s ../data/f free/link");
    assert_int_equal(user("free/link"), EPERM);
    assert_int_equal(user("free/../data/./sub/../f"), EPERM);
}

static void test_a_hard_link(void **state)
{
    (void)state;
    run("ln data/f free/hard");
    assert_int_equal(user("free/hard"), EPERM);
}

static void test_a_file_that_is_moved_away(void **state)
{
    (void)state;
    run("mv data/f free/moved; mv data/sub free/sub");
    assert_int_equal(user("free/moved"), EPERM);
    assert_int_equal(user("free/sub/f"), EPERM);
}

static void through_a_bind_mount(struct rig *r, void *unused)
{
    (void)r, (void)unused;
    if (unshare(CLONE_NEWNS) < 0 || mount("data", "free", NULL, MS_BIND, NULL) < 0)
        _exit(125);
    as_user();
    _exit(read_it(open("free/f", O_RDONLY)));
}

static void test_a_bind_mount_in_another_namespace(void **state)
{
    (void)state;
    assert_int_equal(rig_run(&rig, through_a_bind_mount, NULL).code, EPERM);
}

static void through_a_chroot(struct rig *r, void *unused)
{
    (void)r, (void)unused;
    if (chroot("data") < 0 || chdir("/") < 0)
        _exit(125);
    as_user();
    _exit(read_it(open("/f", O_RDONLY)));
}

static void test_a_chroot(void **state)
{
    (void)state;
    assert_int_equal(rig_run(&rig, through_a_chroot, NULL).code, EPERM);
}

static void reopened(struct rig *r, void *unused)
{
    char name[64];
    (void)r, (void)unused;
    as_user();
    int path = open("data/f", O_PATH); // gives nothing to read
    if (path < 0)
        _exit(125);
    snprintf(name, sizeof name, "/proc/self/fd/%d", path);
    _exit(read_it(open(name, O_RDONLY)));
}

static void test_a_path_descriptor_opened_again(void **state)
{
    (void)state;
    assert_int_equal(rig_run(&rig, reopened, NULL).code, EPERM);
}

static void through_proc(struct rig *r, void *unused)
{
    char name[160];
    (void)unused;
    snprintf(name, sizeof name, "/proc/self/root%s/data/f", r->folder);
    as_user();
    _exit(read_it(open(name, O_RDONLY)));
}

static void test_the_root_of_a_process(void **state)
{
    (void)state;
    assert_int_equal(rig_run(&rig, through_proc, NULL).code, EPERM);
}

// One openat by io_uring, without a library.
static void by_io_uring(struct rig *r, void *name)
{
    struct io_uring_params p = {0};
    (void)r;
    as_user();
    int ring = (int)syscall(SYS_io_uring_setup, 4, &p);
    if (ring < 0)
        _exit(126);
    size_t bytes = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
    char *rings = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring,
                       IORING_OFF_SQ_RING);
    struct io_uring_sqe *sqe = mmap(NULL, p.sq_entries * sizeof *sqe, PROT_READ | PROT_WRITE,
                                    MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
    if (rings == MAP_FAILED || (void *)sqe == MAP_FAILED)
        _exit(126);
    *sqe = (struct io_uring_sqe){.opcode = IORING_OP_OPENAT,
                                 .fd = AT_FDCWD,
                                 .addr = (uint64_t)(uintptr_t)name,
                                 .open_flags = O_RDONLY};
    ((unsigned *)(void *)(rings + p.sq_off.array))[0] = 0;
    atomic_store((_Atomic unsigned *)(void *)(rings + p.sq_off.tail), 1);
    if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
        _exit(126);
    int got = ((struct io_uring_cqe *)(void *)(rings + p.cq_off.cqes))[0].res;
    _exit(got < 0 ? -got : 0);
}

static void test_io_uring(void **state)
{
    (void)state;
    int code = rig_run(&rig, by_io_uring, "free/f").code;
    if (code == 126)
        skip();
    assert_int_equal(code, 0);
    assert_int_equal(rig_run(&rig, by_io_uring, "data/f").code, EPERM);
}

// ---- what comes and goes

static void test_what_is_new_is_marked_as_it_comes(void **state)
{
    (void)state;
    run("mkdir -p data/new/below; echo x >data/new/below/f; echo x >data/late; chmod -R a+rX data");
    assert_int_equal(user("data/late"), EPERM); // the folder's mark, before anybody has looked
    follow();
    assert_int_equal(user("data/new/below/f"), EPERM);
    run("ln data/late free/late; ln data/new/below/f free/deep");
    assert_int_equal(user("free/late"), EPERM);
    assert_int_equal(user("free/deep"), EPERM);
}

static void test_what_is_moved_in(void **state)
{
    (void)state;
    run("mkdir -p free/a/b; echo x >free/a/b/f; echo x >free/g; chmod -R a+rX free; mv free/a "
        "free/g data/");
    follow();
    assert_int_equal(user("data/g"), EPERM);
    assert_int_equal(user("data/a/b/f"), EPERM);
}

static void test_the_folder_itself_is_replaced(void **state)
{
    (void)state;
    run("mv data old; mkdir data; echo x >data/f; chmod -R a+rX data");
    follow();
    assert_int_equal(user("data/f"), EPERM);
    assert_int_equal(user("old/f"), EPERM);
}

static void test_a_folder_that_is_declared_before_it_is_there(void **state)
{
    char path[96];
    struct error e = {0};
    (void)state;
    snprintf(path, sizeof path, "%s/later", rig.folder);
    marks = protect_marks_free(marks);
    assert_int_equal(protect_add_folder(&settings, str_from(path), &e), 0);
    assert_int_equal(protect_marks_new(&settings, rig.inmate, &marks), 0);
    follow();
    assert_true(protect_marks_counts(marks).absent >= 1);
    run("mkdir later; echo x >later/f; chmod -R a+rX later");
    follow();
    assert_int_equal(user("later/f"), EPERM);
}

static void test_a_mount_below(void **state)
{
    (void)state;
    if (whole_host)
        skip(); // nothing in this test's own namespace can be mounted there for others to see
    run("mount -t tmpfs t data/sub; echo x >data/sub/f; chmod -R a+rX data/sub");
    protect_marks_again(marks);
    follow();
    assert_int_equal(user("data/sub/f"), EPERM);
}

static void opens_a_pipe(struct rig *r, void *name)
{
    (void)r;
    int fd = open(name, O_RDONLY | O_NONBLOCK);
    _exit(fd < 0 ? errno : 0);
}

static void test_a_named_pipe_keeps_nobody_waiting(void **state)
{
    (void)state;
    run("mkfifo data/pipe");
    follow();
    assert_int_equal(rig_run(&rig, opens_a_pipe, "data/pipe").code, 0);
    assert_int_equal(root("data/f"), 0);
}

// ---- holders

static void test_the_engine_opens_protected_data_in_its_judge(void **state)
{
    (void)state;
    rig_write(&rig, "data/OWN", "x", 1, 0666);
    follow();
    struct rig_result r = rig_run(&rig, root_reads, "data/OWN");
    assert_int_equal(r.code, 0);
    assert_true(rig_count(&rig, GATE_OPENS_OWN) >= 4);
    assert_int_equal(rig_count(&rig, GATE_OVERDUE), 0); // answered by a thread of its own
}

static void test_a_slow_judge_keeps_nobody_past_the_deadline(void **state)
{
    (void)state;
    rig_write(&rig, "data/SLOW", "x", 1, 0666); // itself an open
    uint64_t overdue = rig_count(&rig, GATE_OVERDUE);
    struct rig_result r = rig_run(&rig, root_reads, "data/SLOW");
    assert_int_equal(r.code, 0);
    assert_int_equal(rig_count(&rig, GATE_OVERDUE), overdue + 1);
    assert_int_equal(rig.seen->late, 0);
    r = rig_run(&rig, user_reads,
                "data/SLOW"); // it was open before it was denied: nobody is killed for that
    assert_int_equal(r.code, 0);
    assert_int_equal(rig.seen->late, 0);
}

// ---- a thousand opens while holders die

enum { STORM = 1000, CALLERS = 8 };
struct storm {
    _Atomic uint32_t done, wrong;
    _Atomic uint64_t slowest;
};

static void open_many(struct rig *r, void *with)
{
    struct storm *s = with;
    (void)r;
    for (int i = 0; i < STORM / CALLERS; i++) {
        uint64_t since = gate_now();
        int fd = open("data/f", O_RDONLY);
        uint64_t took = gate_now() - since, slowest = atomic_load(&s->slowest);
        atomic_fetch_add(&s->wrong, fd < 0);
        close(fd);
        while (took > slowest && !atomic_compare_exchange_weak(&s->slowest, &slowest, took))
            ;
        atomic_fetch_add(&s->done, 1);
    }
    _exit(0);
}

// In milliseconds the slowest of a thousand opens, while `signal` hits the engine, the warden, or both.
static unsigned storm(int signal, bool engine, bool warden)
{
    pid_t pid[CALLERS];
    struct storm *s =
        mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(s, MAP_FAILED);
    for (int i = 0; i < CALLERS; i++)
        pid[i] = rig_spawn(&rig, open_many, s);
    for (int i = 0; i < 5000 && atomic_load(&s->done) < STORM / 10; i++)
        rig_sleep(1);
    uint64_t since = gate_now();
    if (signal && engine)
        kill(rig.engine, signal);
    if (signal && warden)
        kill(rig.warden, signal);
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(rig_wait(pid[i], since, 60000).code, 0);
    assert_int_equal(atomic_load(&s->wrong), 0);
    assert_int_equal(atomic_load(&s->done), STORM / CALLERS * CALLERS);
    unsigned ms = (unsigned)(atomic_load(&s->slowest) / 1000000);
    munmap(s, sizeof *s);
    printf("# slowest open %u ms\n", ms);
    assert_int_equal(rig_stuck(), 0);
    return ms;
}

static void test_storm_with_everything_well(void **state)
{
    (void)state;
    assert_in_range(storm(0, false, false), 0, rig.deadline_ms + 1000);
    // On a machine that is too busy the warden answers some.
    assert_true(rig_count(&rig, GATE_OPENS) + rig_count(&rig, GATE_UNREAD_ALLOWED) >= STORM);
}

static void test_storm_engine_killed(void **state)
{
    (void)state;
    assert_in_range(storm(SIGKILL, true, false), 0, rig.deadline_ms + 1000);
}

static void test_storm_engine_stopped(void **state)
{
    (void)state;
    assert_in_range(storm(SIGSTOP, true, false), 0, rig.deadline_ms + 1000);
}

static void test_storm_warden_killed(void **state)
{
    (void)state;
    assert_in_range(storm(SIGKILL, false, true), 0, rig.deadline_ms + 1000);
}

static void test_storm_warden_stopped(void **state)
{
    (void)state;
    assert_in_range(storm(SIGSTOP, false, true), 0, rig.deadline_ms + 1000);
}

static void test_storm_both_killed(void **state)
{
    (void)state;
    close(rig.group); // the test holds it, too
    rig.group = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_in_range(storm(SIGKILL, true, true), 0, rig.deadline_ms + 1000);
}

int main(int argc, char **argv)
{
    rig_maybe_payload(argc, argv);
    if (geteuid() != 0) {
        printf("the gate needs root\n");
        return 77;
    }
    whole_host = argc > 1 && strcmp(argv[1], "--whole-host") == 0;
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(an_open_is_denied_before_it_is_one),
        TEST(a_program_in_a_protected_folder),
        TEST(a_user_runs_a_program_in_a_protected_folder),
        TEST(a_symlink_and_a_path_with_dots),
        TEST(a_hard_link),
        TEST(a_file_that_is_moved_away),
        TEST(a_bind_mount_in_another_namespace),
        TEST(a_chroot),
        TEST(a_path_descriptor_opened_again),
        TEST(the_root_of_a_process),
        TEST(io_uring),
        TEST(what_is_new_is_marked_as_it_comes),
        TEST(what_is_moved_in),
        TEST(the_folder_itself_is_replaced),
        TEST(a_folder_that_is_declared_before_it_is_there),
        TEST(a_mount_below),
        TEST(a_named_pipe_keeps_nobody_waiting),
        TEST(the_engine_opens_protected_data_in_its_judge),
        TEST(a_slow_judge_keeps_nobody_past_the_deadline),
        TEST(storm_with_everything_well),
        TEST(storm_engine_killed),
        TEST(storm_engine_stopped),
        TEST(storm_warden_killed),
        TEST(storm_warden_stopped),
        TEST(storm_both_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
