// SPDX-License-Identifier: Apache-2.0
// The exec check: what is not what was judged never runs, and what is always does.
#include "fixture.h"

#include <bpf/bpf.h>

static char *no_environment[] = {NULL};

static void arm(struct fixture *f, bool prevent)
{
    struct probe_arming arming = {
        .armed = true, .prevent = prevent, .mount_namespace = f->mount_namespace};
    assert_int_equal(probe_arm(f->probe, &arming), 0);
}

// The device as the kernel's file systems are numbered, which stat does not always tell.
static dev_t device_of(const char *path)
{
    _cleanup_fclose_ FILE *file = fopen("/proc/self/mountinfo", "re");
    char line[4096], where[2048], wanted[64];
    _cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
    unsigned mount_id = 0, id, high, low;

    snprintf(wanted, sizeof wanted, "/proc/self/fdinfo/%d", fd);
    _cleanup_fclose_ FILE *info = fopen(wanted, "re");
    while (info && fgets(line, sizeof line, info))
        sscanf(line, "mnt_id: %u", &mount_id);
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "%u %*u %u:%u %2047s", &id, &high, &low, where) == 4 && id == mount_id)
            return makedev(high, low);
    fail_msg("%s: its mount is not in mountinfo", path);
    return 0;
}

static int check_setup(void **state)
{
    struct fixture *f;

    if (fixture_setup(state))
        return -1;
    f = *state;
    assert_int_equal(probe_guard(f->fds.guarded, device_of(f->marker), true), 0);
    assert_int_equal(probe_guard(f->fds.guarded, device_of("/tmp"), true), 0);
    arm(f, true);
    return 0;
}

static void assert_honest_runs(struct fixture *f, struct child *c)
{
    struct judged j = judge(c->argv, c->envp);

    c->judged = &j;
    run(f, c);
    if (!c->ran || was_killed(c))
        fail_msg("an honest exec of %s with %s did not run: status 0x%x", c->path, c->argv[0],
                 c->status);
    struct decoded *d = find(f, RECORD_EXEC, c->pid, 0);
    assert_non_null(d);
    assert_true(d->event->exec->judged);
    assert_int_equal(d->flags & (EXEC_HASH_DIFFERS | EXEC_HASH_UNREAD | EXEC_UNGUARDED |
                                 EXEC_UNJUDGED | EXEC_KILLED),
                     0);
}

static void assert_other_is_killed(struct fixture *f, struct child *c, char *const *judged_argv)
{
    struct judged j = judge(judged_argv, c->envp);

    c->judged = &j;
    run(f, c);
    assert_false(c->ran);
    assert_true(was_killed(c));
    struct decoded *d = find(f, RECORD_EXEC, c->pid, 0);
    assert_non_null(d);
    assert_true(d->event->exec->hash_differs);
    assert_true(d->flags & EXEC_KILLED);
    assert_false(d->event->exec->judged);
}

static void test_check_argv_of_all_kinds(void **state)
{
    struct fixture *f = *state;
    char *plain[] = {"marker", "-a", "b c", NULL}, *odd[] = {"", "\xff\n", "", NULL},
         *none[] = {NULL};
    char *empty[] = {"", NULL}, *more[] = {"marker", "-a", "b c", "", NULL},
         *joined[] = {"marker", "-a b c", NULL};
    char **honest[] = {plain, odd, none, empty, more, joined};

    for (size_t i = 0; i < sizeof honest / sizeof *honest; i++) {
        for (size_t k = 0; k < sizeof honest / sizeof *honest; k++) {
            struct child c = {.path = f->marker, .argv = honest[i], .envp = no_environment};
            bool same = i == k || (honest[i] == none && honest[k] == empty) ||
                        (honest[i] == empty && honest[k] == none);
            if (same)
                assert_honest_runs(f, &c);
            else
                assert_other_is_killed(f, &c, honest[k]);
        }
    }
}

static void test_check_argv_of_many_lengths(void **state)
{
    struct fixture *f = *state;
    char text[2100];
    char *argv[] = {"m", text, NULL};

    // Around every border of a word and of the kernel's chunks of 512 bytes.
    for (size_t n = 490; n < 540; n++) {
        memset(text, 'x', n);
        text[n] = 0;
        struct child c = {.path = f->marker, .argv = argv, .envp = no_environment};
        assert_honest_runs(f, &c);
    }
    for (size_t n = 1000; n < 1060; n += 7) {
        memset(text, 'x', n);
        text[n] = 0;
        struct child c = {.path = f->marker, .argv = argv, .envp = no_environment};
        assert_honest_runs(f, &c);
    }
}

static char **two_megabytes(void)
{
    enum { STRINGS = 20, EACH = 104000 };
    char **argv = calloc(STRINGS + 1, sizeof *argv);

    for (int i = 0; i < STRINGS; i++) {
        argv[i] = malloc(EACH + 1);
        memset(argv[i], 'a' + i, EACH);
        argv[i][EACH] = 0;
    }
    return argv;
}

static void free_strings(char **argv)
{
    for (size_t i = 0; argv[i]; i++)
        free(argv[i]);
    free(argv);
}

static void test_check_two_megabytes_of_argv(void **state)
{
    struct fixture *f = *state;
    char **argv = two_megabytes(), **other = two_megabytes();
    struct child c = {.path = f->marker, .argv = argv, .envp = no_environment};

    other[19][103999] = '!';
    assert_honest_runs(f, &c);
    assert_other_is_killed(f, &c, other);
    free_strings(argv);
    free_strings(other);
}

static void test_check_exec_by_another_thread(void **state)
{
    struct fixture *f = *state;
    char *argv[] = {"marker", "a", NULL}, *other[] = {"marker", "b", NULL};
    struct child c = {
        .path = f->marker, .argv = argv, .envp = no_environment, .other_thread = true};

    assert_honest_runs(f, &c);
    assert_other_is_killed(f, &c, other);
}

static void test_check_32_bit_program(void **state)
{
    struct fixture *f = *state;
    char *argv[] = {"marker", "a", NULL}, *other[] = {"marker", "b", NULL};
    struct child c = {.path = f->marker_i386, .argv = argv, .envp = no_environment};

    run(f, &c);
    if (WIFEXITED(c.status) && WEXITSTATUS(c.status) == 100 + ENOEXEC)
        skip();
    assert_honest_runs(f, &c);
    assert_other_is_killed(f, &c, other);
}

static void make_script(struct fixture *f, const char *name, const char *interpreter,
                        const char *argument, char ret[128])
{
    char text[4300];

    snprintf(ret, 128, "%s/%s", f->folder, name);
    snprintf(text, sizeof text, "#!%s%s%s\n", interpreter, argument ? " " : "",
             argument ? argument : "");
    write_file(ret, text, 0755);
}

static void test_check_scripts(void **state)
{
    struct fixture *f = *state;
    char plain[128], with[128], nested[128];
    char *argv[] = {"anything", "one", "", "two", NULL}, *alone[] = {"x", NULL}, *none[] = {NULL};
    char **honest[] = {argv, alone, none};
    char *scripts[] = {plain, with, nested};

    make_script(f, "plain", f->marker, NULL, plain);
    make_script(f, "with", f->marker, "-e a b", with);
    make_script(f, "nested", with, "deep", nested);
    for (size_t s = 0; s < 3; s++) {
        for (size_t i = 0; i < 3; i++) {
            struct child c = {.path = scripts[s], .argv = honest[i], .envp = no_environment};
            assert_honest_runs(f, &c);
            c.other_thread = true;
            assert_honest_runs(f, &c);
        }
    }
    for (size_t s = 0; s < 3; s++) {
        char *inserted[] = {"x", "evil", "one", "", "two", NULL},
             *again[] = {"x", scripts[s], "one", "", "two", NULL};
        char *shorter[] = {"x", "one", "", NULL}, *other[] = {"x", "one", "", "twp", NULL};
        char *merged[] = {"x", "one", "\ntwo", NULL},
             *shifted[] = {"x", "anything", "one", "", "two", NULL};
        char **runs[] = {inserted, again, shorter, other, merged, shifted, alone, none};
        for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
            struct child c = {.path = scripts[s], .argv = runs[i], .envp = no_environment};
            assert_other_is_killed(f, &c, argv);
        }
        // Judged without arguments, run with some: an empty tail fits the end of anything.
        struct child c = {.path = scripts[s], .argv = argv, .envp = no_environment};
        assert_other_is_killed(f, &c, alone);
    }
    unlink(plain);
    unlink(with);
    unlink(nested);
}

static void test_check_script_by_descriptor(void **state)
{
    struct fixture *f = *state;
    char script[128];
    char *argv[] = {"x", "one", NULL}, *other[] = {"x", "two", NULL};

    make_script(f, "descriptor", f->marker, NULL, script);
    struct child c = {.fd = open(script, O_RDONLY), .argv = argv, .envp = no_environment};
    assert_true(c.fd >= 0);
    assert_honest_runs(f, &c);
    assert_other_is_killed(f, &c, other);
    close(c.fd);
    unlink(script);
}

// Formats that the host has registered interpreters for; with P the kernel keeps argv[0].
static void test_check_registered_formats(void **state)
{
    struct fixture *f = *state;
    char path[128], file[160], text[4300];
    char *argv[] = {"zero", "one", "two", NULL}, *other[] = {"zero", "one", "three", NULL},
         *alone[] = {"zero", NULL};
    char *inserted[] = {"zero", "evil", "one", "two", NULL},
         *first[] = {"evil", "one", "two", NULL};
    bool mounted;

    snprintf(path, sizeof path, "%s/formats", f->folder);
    assert_int_equal(mkdir(path, 0755), 0);
    mounted = mount("none", path, "binfmt_misc", 0, NULL) == 0;
    if (!mounted) {
        rmdir(path);
        skip();
    }
    const char *const kinds[] = {"", "P", "O"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(file, sizeof file, "%s/register", path);
        snprintf(text, sizeof text, ":tierceltest:M::TIERCELTEST::%s:%s", f->marker, kinds[i]);
        int out = open(file, O_WRONLY | O_CLOEXEC);
        assert_true(out >= 0);
        assert_int_equal(write(out, text, strlen(text)), strlen(text));
        close(out);
        snprintf(file, sizeof file, "%s/program", f->folder);
        write_file(file, "TIERCELTEST", 0755);
        struct child c = {.path = file, .argv = argv, .envp = no_environment};
        assert_honest_runs(f, &c);
        assert_other_is_killed(f, &c, other);
        assert_other_is_killed(f, &c, alone);
        assert_other_is_killed(f, &c, inserted);
        if (kinds[i][0] == 'P')
            assert_other_is_killed(f, &c, first);
        c.argv = alone;
        assert_honest_runs(f, &c);
        unlink(file);
        snprintf(file, sizeof file, "%s/tierceltest", path);
        out = open(file, O_WRONLY | O_CLOEXEC);
        assert_int_equal(write(out, "-1", 2), 2);
        close(out);
    }
    umount2(path, MNT_DETACH);
    rmdir(path);
}

static void test_check_environment(void **state)
{
    struct fixture *f = *state;
    char *argv[] = {"marker", NULL};
    char *harmless[] = {"HOME=/", "TERM=x", NULL}, *listed[] = {"HOME=/", "LD_PRELOAD=/x.so", NULL};
    char *other_listed[] = {"HOME=/", "LD_PRELOAD=/y.so", NULL};
    struct child c = {.path = f->marker, .argv = argv, .envp = listed};
    struct judged j;

    assert_honest_runs(f, &c);
    // Nothing that loads code: counted, and it runs.
    j = judge(argv, listed);
    c = (struct child){.path = f->marker, .argv = argv, .envp = harmless, .judged = &j};
    run(f, &c);
    assert_true(c.ran);
    assert_true(find(f, RECORD_EXEC, c.pid, 0)->flags & EXEC_ENVIRONMENT_DIFFERS);
    // LD_PRELOAD came, or changed, after it was judged.
    char **before[] = {harmless, other_listed};
    for (size_t i = 0; i < 2; i++) {
        j = judge(argv, before[i]);
        c = (struct child){.path = f->marker, .argv = argv, .envp = listed, .judged = &j};
        run(f, &c);
        assert_false(c.ran);
        assert_true(was_killed(&c));
        assert_true(find(f, RECORD_EXEC, c.pid, 0)->flags & EXEC_ENVIRONMENT_DIFFERS);
    }
    // Where the gate did not judge the environment it is not compared.
    j.flags = 0;
    run(f, &c);
    assert_true(c.ran);
}

static void test_check_listed_variable_behind_many(void **state)
{
    struct fixture *f = *state;
    enum { MANY = 3000, LONG = 5000 };
    char *argv[] = {"marker", NULL};
    char **envp = calloc(MANY + 3, sizeof *envp), *harmless[] = {NULL};
    char *text = malloc(LONG + 1);
    struct judged j = judge(argv, harmless);

    memset(text, 'A', LONG);
    text[LONG] = 0;
    envp[0] = text; // longer than what is looked at in one go
    for (int i = 1; i <= MANY; i++)
        envp[i] = "";
    envp[MANY + 1] = "BASH_ENV=/tmp/x";
    struct child c = {.path = f->marker, .argv = argv, .envp = envp, .judged = &j};
    run(f, &c);
    assert_false(c.ran);
    assert_true(was_killed(&c));
    struct decoded *d = find(f, RECORD_EXEC, c.pid, 0);
    assert_int_equal(d->event->process->n_environment, 1);
    c.judged = NULL;
    assert_honest_runs(f, &c);
    free(text);
    free(envp);
}

static void test_check_not_judged_is_reported_and_runs(void **state)
{
    struct fixture *f = *state;
    char *argv[] = {"marker", NULL};
    struct child c = {.path = f->marker, .argv = argv, .envp = no_environment};

    run(f, &c);
    assert_true(c.ran);
    assert_true(find(f, RECORD_EXEC, c.pid, 0)->flags & EXEC_UNJUDGED);
}

// A verdict is of a file: what was judged of another one with the same arguments says nothing of this.
static void test_check_verdict_of_another_file(void **state)
{
    struct fixture *f = *state;
    char *argv[] = {"marker", NULL};
    struct judged j = judge(argv, no_environment);
    struct stat st;
    struct child c = {.path = f->marker, .argv = argv, .envp = no_environment, .judged = &j};

    assert_int_equal(stat(f->marker, &st), 0);
    j.inode = st.st_ino;
    run(f, &c);
    assert_true(c.ran);
    assert_true(find(f, RECORD_EXEC, c.pid, 0)->event->exec->judged);
    j.inode++;
    run(f, &c);
    assert_true(c.ran); // not of a service: user space judges
    assert_true(find(f, RECORD_EXEC, c.pid, 0)->flags & EXEC_UNJUDGED);
    c.flags = FLAG_SERVICE;
    run(f, &c);
    assert_false(c.ran);
    assert_true(was_killed(&c));
}

static void test_check_verdict_is_used_once_and_grows_old(void **state)
{
    struct fixture *f = *state;
    char *argv[] = {"marker", NULL}, *other[] = {"other", NULL};
    struct judged j = judge(other, no_environment);
    struct probe_arming short_lived = {.armed = true,
                                       .prevent = true,
                                       .mount_namespace = f->mount_namespace,
                                       .judged_lifetime_ns = 1};
    struct child c = {.path = f->marker, .argv = argv, .envp = no_environment, .judged = &j};
    struct judged left;

    run(f, &c);
    assert_true(was_killed(&c));
    assert_int_equal(bpf_map_lookup_elem(f->fds.judged, &c.pid, &left), -ENOENT);
    assert_int_equal(probe_arm(f->probe, &short_lived), 0);
    run(f, &c); // of an exec that failed before: says nothing about this one
    assert_true(c.ran);
    assert_true(find(f, RECORD_EXEC, c.pid, 0)->flags & EXEC_UNJUDGED);
    arm(f, true);
}

static void test_check_verdict_of_a_thread_that_ended_is_forgotten(void **state)
{
    struct fixture *f = *state;
    char *argv[] = {"x", NULL};
    struct judged j = judge(argv, no_environment), left;
    int hold[2];

    assert_int_equal(pipe(hold), 0);
    pid_t child = fork();
    if (child == 0) {
        char c;
        close(hold[1]);
        _exit(read(hold[0], &c, 1) == 0 ? 0 : 1);
    }
    assert_int_equal(probe_judged_set(f->fds.judged, child, &j), 0);
    assert_int_equal(bpf_map_lookup_elem(f->fds.judged, &child, &left), 0);
    close(hold[0]);
    close(hold[1]);
    waitpid(child, NULL, 0);
    assert_int_equal(bpf_map_lookup_elem(f->fds.judged, &child, &left), -ENOENT);
}

static void test_check_memory_file(void **state)
{
    struct fixture *f = *state;
    char *argv[] = {"x", NULL};
    _cleanup_close_ int memory = (int)syscall(SYS_memfd_create, "x", 1u /* MFD_CLOEXEC */);
    struct child c = {.fd = memory, .argv = argv, .envp = no_environment};

    copy_to(memory, f->marker);
    run(f, &c);
    assert_true(c.ran); // not of a service: user space judges
    assert_true(find(f, RECORD_EXEC, c.pid, 0)->event->exec->unguarded);
    c.flags = FLAG_SERVICE;
    run(f, &c);
    assert_false(c.ran);
    assert_true(was_killed(&c));
    struct decoded *d = find(f, RECORD_EXEC, c.pid, 0);
    assert_true(d->event->exec->unguarded);
    assert_true(d->flags & EXEC_KILLED);
    arm(f, false);
    run(f, &c);
    arm(f, true);
    assert_true(c.ran); // in detect mode nothing is killed for its device
}

static void test_check_unguarded_device(void **state)
{
    struct fixture *f = *state;
    char path[128], program[160];
    char *argv[] = {"x", NULL};
    struct judged j =
        judge(no_environment, no_environment); // stale, and of something else: must not matter

    snprintf(path, sizeof path, "%s/mount", f->folder);
    snprintf(program, sizeof program, "%s/program", path);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(mount("none", path, "tmpfs", 0, NULL), 0);
    int out = open(program, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    copy_to(out, f->marker);
    close(out);
    struct child c = {.path = program, .argv = argv, .envp = no_environment, .judged = &j};
    run(f, &c);
    assert_true(c.ran);
    assert_true(find(f, RECORD_EXEC, c.pid, 0)->event->exec->unguarded);
    c.flags = FLAG_SERVICE;
    run(f, &c);
    assert_false(c.ran);
    assert_true(was_killed(&c));
    assert_int_equal(probe_guard(f->fds.guarded, device_of(path), true), 0);
    assert_honest_runs(f, &c);
    assert_int_equal(probe_guard(f->fds.guarded, device_of(path), false), 0);
    umount2(path, MNT_DETACH);
    rmdir(path);
}

static void test_check_leaves_others_alone(void **state)
{
    struct fixture *f = *state;
    char *argv[] = {"marker", NULL}, *other[] = {"other", NULL};
    struct judged j = judge(other, no_environment);
    struct child c = {
        .path = f->marker, .argv = argv, .envp = no_environment, .judged = &j, .flags = FLAG_AGENT};
    struct probe_arming elsewhere = {
        .armed = true, .prevent = true, .mount_namespace = f->mount_namespace + 1};
    struct probe_arming off = {.armed = false};

    run(f, &c);
    assert_true(c.ran); // our own
    c.flags = 0;
    assert_int_equal(probe_arm(f->probe, &elsewhere), 0);
    run(f, &c);
    assert_true(c.ran);
    assert_int_equal(find(f, RECORD_EXEC, c.pid, 0)->flags & (EXEC_UNJUDGED | EXEC_UNGUARDED), 0);
    assert_int_equal(probe_arm(f->probe, &off), 0);
    run(f, &c);
    assert_true(c.ran);
    arm(f, true);
    run(f, &c);
    assert_false(c.ran);
}

static void test_check_counts(void **state)
{
    struct fixture *f = *state;
    char *argv[] = {"marker", NULL}, *other[] = {"other", NULL};
    struct judged j = judge(other, no_environment);
    struct child c = {.path = f->marker, .argv = argv, .envp = no_environment, .judged = &j};
    struct probe_counters *counters;

    assert_int_equal(probe_counters_map(f->fds.counters, &counters), 0);
    struct counters before = probe_counters_sum(counters);
    run(f, &c);
    struct counters after = probe_counters_sum(counters);
    assert_int_equal(after.killed_differs, before.killed_differs + 1);
    assert_true(after.sent[COUNT_EXEC] > before.sent[COUNT_EXEC]);
    assert_int_equal(after.kill_failed, 0);
    probe_counters_unmap(counters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_argv_of_all_kinds),
        cmocka_unit_test(test_check_argv_of_many_lengths),
        cmocka_unit_test(test_check_two_megabytes_of_argv),
        cmocka_unit_test(test_check_exec_by_another_thread),
        cmocka_unit_test(test_check_32_bit_program),
        cmocka_unit_test(test_check_scripts),
        cmocka_unit_test(test_check_script_by_descriptor),
        cmocka_unit_test(test_check_registered_formats),
        cmocka_unit_test(test_check_environment),
        cmocka_unit_test(test_check_listed_variable_behind_many),
        cmocka_unit_test(test_check_not_judged_is_reported_and_runs),
        cmocka_unit_test(test_check_verdict_of_another_file),
        cmocka_unit_test(test_check_verdict_is_used_once_and_grows_old),
        cmocka_unit_test(test_check_verdict_of_a_thread_that_ended_is_forgotten),
        cmocka_unit_test(test_check_memory_file),
        cmocka_unit_test(test_check_unguarded_device),
        cmocka_unit_test(test_check_leaves_others_alone),
        cmocka_unit_test(test_check_counts),
    };
    return cannot_run() ? 77 : cmocka_run_group_tests(tests, check_setup, fixture_teardown);
}
