// SPDX-License-Identifier: Apache-2.0
// What is reported of processes, field by field against what /proc and stat say.
#include "fixture.h"

#include <sys/socket.h>

static char *no_environment[] = {NULL};

#define ASSERT_TEXT(value, text)                                                                   \
    do {                                                                                           \
        const char *text_ = (text);                                                                \
        assert_int_equal((value).len, strlen(text_));                                              \
        assert_memory_equal((value).data, text_, (value).len);                                     \
    } while (0)

static uint64_t number_in(const char *path, const char *format)
{
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    unsigned long long value = ~0ull;
    char line[512];

    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, format, &value) == 1)
            break;
    return value;
}

static uint32_t inode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return (uint32_t)st.st_ino;
}

static void assert_argv(const Tiercel__Process *p, char *const *argv)
{
    size_t i;

    for (i = 0; argv[i]; i++) {
        assert_true(i < p->n_argv);
        ASSERT_TEXT(p->argv[i], argv[i]);
    }
    assert_int_equal(p->n_argv, i);
}

static void test_exec_argv_of_all_kinds(void **state)
{
    struct fixture *f = *state;
    char *odd[] = {"", "new\nline", "\xff\xfe\x80", "", "tab\t\x1b[31m", "$(x)", "", NULL};
    char *one[] = {"marker", NULL}, *none[] = {NULL}, *empty[] = {"", NULL};
    char **all[] = {odd, one, empty, none};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct child c = {.path = f->marker, .argv = all[i], .envp = no_environment};
        run(f, &c);
        assert_true(c.ran);
        struct decoded *d = find(f, RECORD_EXEC, c.pid, 0);
        assert_non_null(d);
        assert_argv(d->event->process,
                    all[i] == none ? empty : all[i]); // the kernel makes it one empty string
        assert_false(d->event->process->argv_cut);
    }
}

static void test_exec_long_argv_is_cut_and_marked(void **state)
{
    struct fixture *f = *state;
    enum { STRINGS = 20, EACH = 100000 };
    char *argv[STRINGS + 1] = {NULL};

    for (int i = 0; i < STRINGS; i++) {
        argv[i] = malloc(EACH + 1);
        memset(argv[i], 'a' + i, EACH);
        argv[i][EACH] = 0;
    }
    struct child c = {.path = f->marker, .argv = argv, .envp = no_environment};
    run(f, &c);
    assert_true(c.ran);
    struct decoded *d = find(f, RECORD_EXEC, c.pid, 0);
    assert_non_null(d);
    assert_true(d->event->process->argv_cut);
    assert_int_equal(d->event->process->n_argv, 1);
    assert_int_equal(d->event->process->argv[0].len, RECORD_ARGV_BYTES);
    assert_memory_equal(d->event->process->argv[0].data, argv[0], RECORD_ARGV_BYTES);
    for (int i = 0; i < STRINGS; i++)
        free(argv[i]);
}

static void test_exec_file_and_path(void **state)
{
    struct fixture *f = *state;
    char link[128], resolved[4096];
    char *argv[] = {"x", NULL};
    struct stat st;

    assert_non_null(realpath(f->marker, resolved));
    snprintf(link, sizeof link, "%s/link", f->folder);
    assert_int_equal(symlink(f->marker, link), 0);
    assert_int_equal(stat(f->marker, &st), 0);
    struct child c = {.path = link, .argv = argv, .envp = no_environment};
    run(f, &c);
    unlink(link);
    struct decoded *d = find(f, RECORD_EXEC, c.pid, 0);
    assert_non_null(d);
    Tiercel__File *image = d->event->process->image;
    ASSERT_TEXT(image->path, resolved);
    assert_true(str_eq(d->filename, str_from(link)));
    assert_false(d->event->process->has_script);
    assert_false(image->path_cut);
    assert_int_equal(image->inode, st.st_ino);
    assert_int_equal(image->device, st.st_dev);
    assert_int_equal(image->size, st.st_size);
    assert_int_equal(image->mode, st.st_mode);
    assert_int_equal(image->owner, st.st_uid);
    assert_int_equal(image->changed,
                     (uint64_t)st.st_ctim.tv_sec * 1000000000u + (uint64_t)st.st_ctim.tv_nsec);
    assert_false(image->deleted);
    assert_false(image->memory_only);
    ASSERT_TEXT(d->event->process->name, "link");
}

static void enter_folder(void *folder)
{
    if (chdir(folder))
        _exit(98);
}

static void test_exec_process_fields(void **state)
{
    struct fixture *f = *state;
    char *argv[] = {"x", NULL};
    char *envp[] = {"HOME=/",
                    "LD_PRELOAD=/nowhere.so",
                    "LD_PRELOADX=no",
                    "XLD_PRELOAD=no",
                    "BASH_ENV=/e",
                    "LD_LIBRARY_PATH=",
                    "JAVA_TOOL_OPTIONS=-javaagent:x",
                    "ENV",
                    NULL};
    struct child c = {.path = f->marker,
                      .argv = argv,
                      .envp = envp,
                      .prepare = enter_folder,
                      .context = f->folder};
    struct timespec now;

    run(f, &c);
    clock_gettime(CLOCK_REALTIME, &now);
    struct decoded *d = find(f, RECORD_EXEC, c.pid, 0);
    struct decoded *fork_seen = find(f, RECORD_FORK, getpid(), 0);
    assert_non_null(d);
    assert_non_null(fork_seen);
    Tiercel__Process *p = d->event->process;
    ASSERT_TEXT(p->directory, f->folder);
    assert_int_equal(p->n_environment, 4);
    ASSERT_TEXT(p->environment[0], envp[1]);
    ASSERT_TEXT(p->environment[1], envp[4]);
    ASSERT_TEXT(p->environment[2], envp[5]);
    ASSERT_TEXT(p->environment[3], envp[6]);
    assert_int_equal(p->credentials->uid, getuid());
    assert_int_equal(p->credentials->egid, getegid());
    assert_int_equal(p->credentials->capabilities, number_in("/proc/self/status", "CapEff: %llx"));
    if (access("/proc/self/loginuid", F_OK) == 0) {
        assert_int_equal(p->credentials->login_uid, number_in("/proc/self/loginuid", "%llu"));
        assert_int_equal(p->credentials->session, number_in("/proc/self/sessionid", "%llu"));
    }
    assert_int_equal(p->namespaces->pid, inode_of("/proc/self/ns/pid"));
    assert_int_equal(p->namespaces->mount, inode_of("/proc/self/ns/mnt"));
    assert_int_equal(p->namespaces->network, inode_of("/proc/self/ns/net"));
    assert_int_equal(p->namespaces->user, inode_of("/proc/self/ns/user"));
    assert_int_equal(p->namespaces->uts, inode_of("/proc/self/ns/uts"));
    assert_int_equal(p->namespaces->ipc, inode_of("/proc/self/ns/ipc"));
    assert_int_equal(p->namespaces->cgroup, inode_of("/proc/self/ns/cgroup"));
    assert_int_equal(p->parent->pid, getpid());
    assert_int_equal(p->parent->start, fork_seen->event->process->id->start);
    assert_int_equal(p->id->start, fork_seen->event->fork->child->start);
    assert_int_equal(fork_seen->event->fork->child->pid, c.pid);
    // Within two minutes of now, after the start, and not in the future.
    uint64_t wall = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    assert_true(d->event->time <= wall + 1000000000u && d->event->time + 120000000000u > wall);
    assert_true(p->started <= d->event->time);
}

static void test_exec_start_is_the_one_of_proc(void **state)
{
    struct fixture *f = *state;
    unsigned long long ticks = 0;
    char line[1024] = {0};
    _cleanup_fclose_ FILE *file = fopen("/proc/self/stat", "re");

    drain(f);
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    drain(f);
    struct decoded *d = find(f, RECORD_FORK, getpid(), 0);
    assert_non_null(d);
    assert_non_null(fgets(line, sizeof line, file));
    assert_int_equal(
        sscanf(strrchr(line, ')') + 2,
               "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &ticks),
        1);
    assert_int_equal(d->event->process->id->start / 10000000, ticks);
}

static void other_descriptors(void *context)
{
    int pair[2], ends[2];

    (void)context;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || pipe(ends) || dup2(pair[0], 0) < 0 ||
        dup2(ends[1], 1) < 0)
        _exit(98);
    close(2);
}

static void terminal_descriptors(void *context)
{
    int terminal = posix_openpt(O_RDWR | O_NOCTTY), null = open("/dev/null", O_RDWR);

    if (terminal < 0 || null < 0 || dup2(terminal, 0) < 0 || dup2(null, 1) < 0 ||
        dup2(*(int *)context, 2) < 0)
        _exit(98);
}

static void test_exec_descriptors(void **state)
{
    struct fixture *f = *state;
    char *argv[] = {"x", NULL};
    _cleanup_close_ int file = open(f->marker, O_RDONLY | O_CLOEXEC);
    struct child c = {
        .path = f->marker, .argv = argv, .envp = no_environment, .prepare = other_descriptors};

    run(f, &c);
    struct decoded *d = find(f, RECORD_EXEC, c.pid, 0);
    assert_non_null(d);
    assert_int_equal(d->event->process->descriptors[0],
                     TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_SOCKET);
    assert_int_equal(d->event->process->descriptors[1], TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_PIPE);
    assert_int_equal(d->event->process->descriptors[2],
                     TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_CLOSED);
    c.prepare = terminal_descriptors;
    c.context = &file;
    run(f, &c);
    d = find(f, RECORD_EXEC, c.pid, 0);
    assert_non_null(d);
    assert_int_equal(d->event->process->descriptors[0],
                     TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_TERMINAL);
    assert_int_equal(d->event->process->descriptors[1], TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_NULL);
    assert_int_equal(d->event->process->descriptors[2], TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_FILE);
}

static void test_exec_script(void **state)
{
    struct fixture *f = *state;
    char script[128], text[4200], resolved[4096];
    char *argv[] = {"ignored", "one", "two", NULL};

    assert_non_null(realpath(f->marker, resolved));
    snprintf(script, sizeof script, "%s/script", f->folder);
    snprintf(text, sizeof text, "#!%s -x\n", f->marker);
    write_file(script, text, 0755);
    struct child c = {.path = "./script",
                      .argv = argv,
                      .envp = no_environment,
                      .prepare = enter_folder,
                      .context = f->folder};
    run(f, &c);
    unlink(script);
    struct decoded *d = find(f, RECORD_EXEC, c.pid, 0);
    assert_non_null(d);
    char *expected[] = {f->marker, "-x", "./script", "one", "two", NULL};
    assert_argv(d->event->process, expected);
    ASSERT_TEXT(d->event->process->script, script);
    ASSERT_TEXT(d->event->process->image->path, resolved);
    assert_true(str_eq(d->interpreter, str_from(f->marker)));
    assert_true(d->flags & EXEC_SCRIPT);
}

static void test_exec_memory_and_deleted_files(void **state)
{
    struct fixture *f = *state;
    char *argv[] = {"x", NULL};
    char path[128];
    int memory = (int)syscall(SYS_memfd_create, "hidden", 1u /* MFD_CLOEXEC */);

    copy_to(memory, f->marker);
    struct child c = {.fd = memory, .argv = argv, .envp = no_environment};
    run(f, &c);
    close(memory);
    assert_true(c.ran);
    struct decoded *d = find(f, RECORD_EXEC, c.pid, 0);
    assert_non_null(d);
    assert_true(d->event->process->image->memory_only);
    assert_true(d->event->process->image->deleted);
    ASSERT_TEXT(d->event->process->image->path, "memfd:hidden");

    snprintf(path, sizeof path, "%s/deleted", f->folder);
    int out = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    copy_to(out, f->marker);
    close(out);
    c.fd = open(path, O_RDONLY | O_CLOEXEC);
    unlink(path);
    run(f, &c);
    close(c.fd);
    assert_true(c.ran);
    d = find(f, RECORD_EXEC, c.pid, 0);
    assert_non_null(d);
    assert_false(d->event->process->image->memory_only);
    assert_true(d->event->process->image->deleted);
    ASSERT_TEXT(d->event->process->image->path, path);
}

static void test_exec_by_another_thread(void **state)
{
    struct fixture *f = *state;
    char *argv[] = {"x", NULL};
    struct child c = {
        .path = f->marker, .argv = argv, .envp = no_environment, .other_thread = true};

    run(f, &c);
    assert_true(c.ran);
    assert_int_not_equal(c.tid, c.pid);
    struct decoded *d = find(f, RECORD_EXEC, c.pid, 0),
                   *fork_seen = find(f, RECORD_FORK, getpid(), 0);
    assert_non_null(d);
    assert_non_null(fork_seen);
    assert_true(d->flags & EXEC_OTHER_THREAD);
    assert_int_equal(d->event->exec->replaced_thread->pid, c.tid);
    assert_int_equal(d->event->process->id->start, fork_seen->event->fork->child->start);
    // The leader's end is not the process's end.
    assert_non_null(find(f, RECORD_EXIT, c.pid, 0));
    assert_null(find(f, RECORD_EXIT, c.pid, 1));
}

static void test_exec_of_a_32_bit_program(void **state)
{
    struct fixture *f = *state;
    char *argv[] = {"thirty", "two", NULL};
    struct child c = {.path = f->marker_i386, .argv = argv, .envp = no_environment};

    run(f, &c);
    if (WIFEXITED(c.status) && WEXITSTATUS(c.status) == 100 + ENOEXEC)
        skip();
    assert_true(c.ran);
    struct decoded *d = find(f, RECORD_EXEC, c.pid, 0);
    assert_non_null(d);
    assert_true(d->flags & EXEC_COMPAT);
    assert_argv(d->event->process, argv);
}

static void enter_root(void *folder)
{
    if (chroot(folder) || chdir("/inside"))
        _exit(98);
}

static void test_exec_path_is_seen_from_the_task_root(void **state)
{
    struct fixture *f = *state;
    char *argv[] = {"x", NULL};
    char path[128];

    snprintf(path, sizeof path, "%s/inside", f->folder);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(mount("none", path, "tmpfs", 0, NULL), 0);
    snprintf(path, sizeof path, "%s/inside/program", f->folder);
    int out = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    copy_to(out, f->marker);
    close(out);
    struct child c = {.path = "program",
                      .argv = argv,
                      .envp = no_environment,
                      .prepare = enter_root,
                      .context = f->folder};
    run(f, &c);
    struct decoded *d = find(f, RECORD_EXEC, c.pid, 0);
    snprintf(path, sizeof path, "%s/inside", f->folder);
    umount2(path, MNT_DETACH);
    rmdir(path);
    assert_true(c.ran);
    assert_non_null(d);
    ASSERT_TEXT(d->event->process->image->path, "/inside/program");
    ASSERT_TEXT(d->event->process->directory, "/inside");
}

static void test_exit_code_and_signal(void **state)
{
    struct fixture *f = *state;

    drain(f);
    pid_t plain = fork();
    if (plain == 0)
        _exit(42);
    waitpid(plain, NULL, 0);
    pid_t killed = fork();
    if (killed == 0)
        for (;;)
            pause();
    kill(killed, SIGTERM);
    waitpid(killed, NULL, 0);
    drain(f);
    struct decoded *d = find(f, RECORD_EXIT, plain, 0);
    assert_non_null(d);
    assert_int_equal(d->event->exit->code, 42);
    assert_int_equal(d->event->exit->signal, 0);
    assert_true(d->event->exit->has_lived);
    d = find(f, RECORD_EXIT, killed, 0);
    assert_non_null(d);
    assert_int_equal(d->event->exit->signal, SIGTERM);
}

static int exit_thread(void *argument)
{
    (void)argument;
    syscall(SYS_exit, 0);
    return 0;
}

static int linger_thread(void *argument)
{
    struct timespec moment = {0, 1000000};

    (void)argument;
    nanosleep(&moment, NULL);
    syscall(SYS_exit, 0);
    return 0;
}

static void test_exit_is_reported_once_for_all_threads(void **state)
{
    static char stacks[3][16384] __attribute__((aligned(16)));
    const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
    struct fixture *f = *state;
    enum { TIMES = 300 };
    pid_t pids[TIMES];

    drain(f);
    for (int i = 0; i < TIMES; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            for (int k = 0; k < 3; k++)
                clone(i & 1 ? exit_thread : linger_thread, stacks[k] + sizeof stacks[k], flags,
                      NULL);
            if (i & 2)
                syscall(SYS_exit, 5); // the leader alone, often before the others
            _exit(5);
        }
        waitpid(pids[i], NULL, 0);
    }
    drain(f);
    for (int i = 0; i < TIMES; i++) {
        struct decoded *d = find(f, RECORD_EXIT, pids[i], 0);
        assert_non_null(d);
        if (!(i & 2)) // while a leader exits alone its code may not be known yet to the last thread
            assert_int_equal(d->event->exit->code, 5);
        assert_null(find(f, RECORD_EXIT, pids[i], 1));
    }
}

static void test_flags_are_inherited_and_end_with_the_process(void **state)
{
    struct fixture *f = *state;
    char *script_argv[] = {"sh", "-c", "(exit 3) & wait; exit 0", NULL};
    struct child c = {.path = "/bin/sh",
                      .argv = script_argv,
                      .envp = no_environment,
                      .flags = FLAG_SERVICE | FLAG_FLAGGED,
                      .other_thread = true}; // the flags must outlive the leader
    uint32_t left = 1;

    run(f, &c);
    struct decoded *d = find(f, RECORD_EXEC, c.pid, 0),
                   *grandchild = find(f, RECORD_FORK, c.pid, 0);
    assert_non_null(d);
    assert_int_equal(d->lineage_flags, FLAG_SERVICE | FLAG_FLAGGED);
    assert_non_null(grandchild);
    assert_int_equal(grandchild->lineage_flags, FLAG_SERVICE | FLAG_FLAGGED);
    assert_int_equal(
        probe_flags_get(f->fds.flags, (pid_t)grandchild->event->fork->child->pid, &left), 0);
    assert_int_equal(left, 0);
    assert_int_equal(probe_flags_get(f->fds.flags, c.pid, &left), 0);
    assert_int_equal(left, 0);
}

static void test_flags_of_a_process_that_has_gone(void **state)
{
    struct fixture *f = *state;
    uint32_t left = 1;
    pid_t child = fork();

    if (child == 0)
        _exit(0);
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    waitpid(child, NULL, 0);
    assert_int_equal(probe_flags_set(f->fds.flags, child, pidfd, FLAG_CONTAINED), -ESRCH);
    assert_int_equal(probe_flags_get(f->fds.flags, child, &left), 0);
    assert_int_equal(left, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exec_argv_of_all_kinds),
        cmocka_unit_test(test_exec_long_argv_is_cut_and_marked),
        cmocka_unit_test(test_exec_file_and_path),
        cmocka_unit_test(test_exec_process_fields),
        cmocka_unit_test(test_exec_start_is_the_one_of_proc),
        cmocka_unit_test(test_exec_descriptors),
        cmocka_unit_test(test_exec_script),
        cmocka_unit_test(test_exec_memory_and_deleted_files),
        cmocka_unit_test(test_exec_by_another_thread),
        cmocka_unit_test(test_exec_of_a_32_bit_program),
        cmocka_unit_test(test_exec_path_is_seen_from_the_task_root),
        cmocka_unit_test(test_exit_code_and_signal),
        cmocka_unit_test(test_exit_is_reported_once_for_all_threads),
        cmocka_unit_test(test_flags_are_inherited_and_end_with_the_process),
        cmocka_unit_test(test_flags_of_a_process_that_has_gone),
    };
    return cannot_run() ? 77 : cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
