// SPDX-License-Identifier: Apache-2.0
// The gate on this machine, in a private mount namespace: only that namespace's mounts are marked.
#include "tests/kernel/gate_rig.h"
#include <elf.h>
#include <pthread.h>

#define PAYLOAD "./payload"

static struct rig rig;
static bool whole_host;

static int start(void **state)
{
    (void)state;
    rig = (struct rig){.deadline_ms = 500,
                       .whole_host = whole_host}; // sanitizers and emulation are slow
    rig_start(&rig, 100);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    rig_stop(&rig);
    return 0;
}

static void test_denied_program_never_begins(void **state)
{
    (void)state;
    assert_int_equal(RIG_EXEC(&rig, PAYLOAD, "good").code, RIG_PAYLOAD_EXIT);
    assert_true(rig_exists(&rig, "good"));
    assert_int_equal(RIG_EXEC(&rig, PAYLOAD, "marker", "EVIL").code, EPERM);
    assert_false(rig_exists(&rig, "marker"));
    assert_int_equal(rig_count(&rig, GATE_DENIED) >= 1, 1);
    assert_int_equal(rig.seen->self_test, 1);
}

static void *exec_in_thread(void *argv)
{
    rig_exec_argv(NULL, argv);
    return NULL;
}

static void exec_by_thread(struct rig *r, void *argv)
{
    pthread_t id;
    (void)r;
    pthread_create(&id, NULL, exec_in_thread, argv);
    pthread_join(id, NULL);
}

static void test_thread_that_is_not_the_leader(void **state)
{
    (void)state;
    char *good[] = {PAYLOAD, "good", NULL}, *evil[] = {PAYLOAD, "marker", "EVIL", NULL};
    assert_int_equal(rig_run(&rig, exec_by_thread, good).code, RIG_PAYLOAD_EXIT);
    assert_int_equal(rig_run(&rig, exec_by_thread, evil).code, EPERM);
    assert_false(rig_exists(&rig, "marker"));
}

static void test_script_and_its_interpreter(void **state)
{
    (void)state;
    const char text[] = "#! /bin/sh -e\nexec ./payload good\nexit 3\n";
    rig_write(&rig, "script", text, sizeof text - 1, 0755);
    uint32_t before = rig.seen->part[GATE_SCRIPT_INTERPRETER];
    assert_int_equal(RIG_EXEC(&rig, "./script", "-").code, RIG_PAYLOAD_EXIT);
    assert_true(rig.seen->part[GATE_SCRIPT_INTERPRETER] > before);
    assert_true(rig.seen->part[GATE_ELF_LOADER] > 0);
    assert_string_equal(rig.seen->script, "/bin/sh -e");
    assert_int_equal(RIG_EXEC(&rig, "./script", "EVIL").code, EPERM);
    const char hostile[] = "#!./EVIL\n";
    rig_write(&rig, "hostile", hostile, sizeof hostile - 1, 0755);
    assert_int_equal(RIG_EXEC(&rig, "./hostile", "marker2").code, EPERM);
    assert_false(rig_exists(&rig, "marker2"));
}

static void test_hostile_elf_interpreter(void **state)
{
    (void)state;
    struct {
        Elf64_Ehdr h;
        Elf64_Phdr p[2];
        char interpreter[8];
    } file = {.h = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                    .e_type = ET_EXEC,
                    .e_machine = EM_X86_64,
                    .e_version = EV_CURRENT,
                    .e_entry = 0x400000,
                    .e_phoff = sizeof(Elf64_Ehdr),
                    .e_ehsize = sizeof(Elf64_Ehdr),
                    .e_phentsize = sizeof(Elf64_Phdr),
                    .e_phnum = 2},
              .p = {{.p_type = PT_INTERP,
                     .p_offset = sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr),
                     .p_filesz = 7,
                     .p_memsz = 7},
                    {.p_type = PT_LOAD,
                     .p_vaddr = 0x400000,
                     .p_filesz = sizeof file,
                     .p_memsz = 4096,
                     .p_flags = PF_R | PF_X,
                     .p_align = 4096}},
              .interpreter = "./EVIL"};
    rig_write(&rig, "elf", &file, sizeof file, 0755);
    uint32_t before = rig.seen->part[GATE_ELF_LOADER];
    assert_int_not_equal(RIG_EXEC(&rig, "./elf", "marker").code, RIG_PAYLOAD_EXIT);
    assert_false(rig_exists(&rig, "marker"));
    assert_int_equal(rig.seen->part[GATE_ELF_LOADER], before + 1);
    assert_non_null(strstr(rig.seen->path, "/EVIL"));
}

static void test_loader_run_directly(void **state)
{
    (void)state;
    char *loader = "/lib64/ld-linux-x86-64.so.2";
    uint32_t before = rig.seen->loader_runs;
    assert_int_equal(RIG_EXEC(&rig, loader, "--preload", "", PAYLOAD, "good").code,
                     RIG_PAYLOAD_EXIT);
    assert_int_equal(rig.seen->loader_runs, before + 1);
    assert_string_equal(rig.seen->target, PAYLOAD);
    assert_int_equal(RIG_EXEC(&rig, loader, "./EVIL", "marker").code, EPERM);
    assert_false(rig_exists(&rig, "marker"));
    assert_int_equal(RIG_EXEC(&rig, loader, "--library-path", "/lib", "./EVIL", "marker").code,
                     EPERM);
}

static void failed_exec_before(struct rig *r, void *with)
{
    char *argv[] = {"payload", "good", NULL}, *none[] = {NULL};
    (void)r, (void)with;
    execve("./names-nothing", argv, none); // asks, is allowed, then finds no interpreter
    execve("./payload", argv, none);
    _exit(errno);
}

// What a failed exec leaves behind may not make the next program pass for an interpreter.
static void test_failed_exec_leaves_no_part_behind(void **state)
{
    (void)state;
    const char text[] = "#!/nonexistent/interpreter\n";
    rig_write(&rig, "names-nothing", text, sizeof text - 1, 0755);
    uint32_t before = rig.seen->part[GATE_SCRIPT_INTERPRETER], files = rig.seen->part[GATE_FILE];
    assert_int_equal(rig_run(&rig, failed_exec_before, NULL).code, RIG_PAYLOAD_EXIT);
    assert_int_equal(rig.seen->part[GATE_SCRIPT_INTERPRETER], before);
    assert_int_equal(rig.seen->part[GATE_FILE], files + 2);
}

static void failed_elf_before(struct rig *r, void *with)
{
    char *argv[] = {"payload", "./payload", "good", NULL}, *none[] = {NULL};
    (void)r, (void)with;
    execve("./not-a-program", argv,
           none); // asks, is allowed, and is no program: its loader is never opened
    execve("/lib64/ld-linux-x86-64.so.2", argv, none);
    _exit(errno);
}

// The loader passes for the failed program's own here, and nothing user space can see tells otherwise. So what the
// kernel compares with is still the program's: by its inode the loader is not what was judged.
static void test_loader_after_a_failed_program_is_not_what_was_judged(void **state)
{
    (void)state;
    struct {
        Elf64_Ehdr h;
        Elf64_Phdr p;
        char interpreter[32];
    } file = {.h = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                    .e_type = ET_REL,
                    .e_machine = EM_X86_64,
                    .e_version = EV_CURRENT,
                    .e_phoff = sizeof(Elf64_Ehdr),
                    .e_ehsize = sizeof(Elf64_Ehdr),
                    .e_phentsize = sizeof(Elf64_Phdr),
                    .e_phnum = 1},
              .p = {.p_type = PT_INTERP,
                    .p_offset = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr),
                    .p_filesz = sizeof "/lib64/ld-linux-x86-64.so.2",
                    .p_memsz = sizeof "/lib64/ld-linux-x86-64.so.2"},
              .interpreter = "/lib64/ld-linux-x86-64.so.2"};
    struct stat loader;
    rig_write(&rig, "not-a-program", &file, sizeof file, 0755);
    assert_int_equal(stat(file.interpreter, &loader), 0);
    uint32_t before = rig.seen->n_hashes;
    assert_int_equal(rig_run(&rig, failed_elf_before, NULL).code, RIG_PAYLOAD_EXIT);
    assert_true(rig.seen->n_hashes > before);
    for (uint32_t i = before; i < rig.seen->n_hashes; i++)
        assert_int_not_equal(rig.seen->hash[i % RIG_JUDGED].inode, loader.st_ino);
}

static void execveat_empty(struct rig *r, void *argv)
{
    char *none[] = {NULL};
    (void)r;
    int fd = open(PAYLOAD, O_PATH);
    syscall(SYS_execveat, fd, "", argv, none, AT_EMPTY_PATH);
    _exit(errno);
}

static void test_execveat_of_an_empty_path(void **state)
{
    (void)state;
    char *good[] = {"payload", "good", NULL}, *evil[] = {"payload", "marker", "EVIL", NULL};
    assert_int_equal(rig_run(&rig, execveat_empty, good).code, RIG_PAYLOAD_EXIT);
    assert_int_equal(rig_run(&rig, execveat_empty, evil).code, EPERM);
    assert_false(rig_exists(&rig, "marker"));
}

static void exec_memfd(struct rig *r, void *argv)
{
    char *none[] = {NULL}, bytes[65536];
    (void)r;
    int from = open(PAYLOAD, O_RDONLY), fd = memfd_create("x", 0);
    for (ssize_t n; (n = read(from, bytes, sizeof bytes)) > 0;)
        if (write(fd, bytes, (size_t)n) != n)
            _exit(118);
    syscall(SYS_execveat, fd, "", argv, none, AT_EMPTY_PATH);
    _exit(errno);
}

// Not asked, as doc/gate.md says: such programs are judged at sched_process_exec. Their loader is asked about.
static void test_memfd_is_judged_by_its_loader_only(void **state)
{
    (void)state;
    char *good[] = {"payload", "good", NULL};
    uint32_t files = rig.seen->judged;
    assert_int_equal(rig_run(&rig, exec_memfd, good).code, RIG_PAYLOAD_EXIT);
    assert_int_equal(rig.seen->judged, files + 1);
}

static void exec_no_argv(struct rig *r, void *with)
{
    char *none[] = {NULL};
    (void)r;
    syscall(SYS_execve, PAYLOAD, with ? none : NULL, NULL);
    _exit(errno);
}

static void test_no_argument_at_all(void **state)
{
    (void)state;
    // Not the payload then: it runs as the test program and is stopped by its own guard (exit status 3).
    uint32_t before = rig.seen->n_hashes;
    assert_int_equal(rig_run(&rig, exec_no_argv, NULL).code, 3);
    assert_true(rig.seen->n_hashes > before);
    assert_int_equal(rig.seen->hash[before].full, rig_hash("", 1));
    assert_int_equal(rig.seen->hash[before].tail, rig_hash("", 0));
    assert_int_equal(rig.seen->hash[before].environment, rig_hash("", 0));
    assert_int_equal(rig_run(&rig, exec_no_argv, "").code, 3);
}

static void exec_bad_pointer(struct rig *r, void *with)
{
    char *argv[] = {PAYLOAD, "marker", with, NULL}, *none[] = {NULL};
    (void)r;
    execve(PAYLOAD, argv, none);
    _exit(errno);
}

static void test_argv_that_cannot_be_read(void **state)
{
    (void)state;
    uint64_t before = rig_count(&rig, GATE_FAULTED);
    int code = rig_run(&rig, exec_bad_pointer, (void *)8).code;
    // 6.1 copies argv before it asks and refuses itself; later kernels ask first.
    assert_true(code == EPERM || code == EFAULT || code == -SIGKILL);
    if (code != EFAULT)
        assert_int_equal(rig_count(&rig, GATE_FAULTED), before + 1);
    assert_false(rig_exists(&rig, "marker"));
}

static void exec_long(struct rig *r, void *last)
{
    enum { WORDS = 40000, BYTES = 50 };
    struct rlimit stack = {32 << 20, 32 << 20};
    (void)r;
    char **argv = calloc(WORDS + 4, sizeof *argv), *none[] = {NULL};
    char *word = malloc(BYTES + 1);
    memset(word, 'x', BYTES);
    word[BYTES] = 0;
    argv[0] = PAYLOAD;
    argv[1] = "long";
    for (int i = 2; i < WORDS + 2; i++)
        argv[i] = word;
    argv[WORDS + 2] = last;
    setrlimit(RLIMIT_STACK, &stack);
    execve(PAYLOAD, argv, none);
    _exit(errno);
}

static void test_two_megabytes_of_argv(void **state)
{
    (void)state;
    assert_int_equal(rig_run(&rig, exec_long, "harmless").code, RIG_PAYLOAD_EXIT);
    assert_int_equal(rig.seen->argc, 40003);
    assert_int_equal(rig_run(&rig, exec_long, "EVIL").code, EPERM);
}

static void exec_preload(struct rig *r, void *variable)
{
    char *argv[] = {PAYLOAD, "preloaded", NULL},
         *environment[] = {"HOME=/", variable, "X=EVIL", NULL};
    (void)r;
    execve(PAYLOAD, argv, environment);
    _exit(errno);
}

static void test_listed_environment_is_seen(void **state)
{
    (void)state;
    assert_int_equal(rig_run(&rig, exec_preload, "LD_PRELOAD=./EVIL.so").code, EPERM);
    assert_false(rig_exists(&rig, "preloaded"));
    assert_string_equal(rig.seen->environment, "LD_PRELOAD=./EVIL.so");
    // A variable that is not listed is hashed and not handed over.
    assert_int_equal(rig_run(&rig, exec_preload, "LD_PRELOADED=./EVIL.so").code, RIG_PAYLOAD_EXIT);
}

static void test_honest_argv_hashes_as_the_kernel_lays_it(void **state)
{
    (void)state;
    static const char line[] = "./payload\0hash\0\0a b\nc";
    static const char environment[] = "PATH=/usr/bin:/bin";
    uint32_t before = rig.seen->n_hashes;
    assert_int_equal(RIG_EXEC(&rig, PAYLOAD, "hash", "", "a b\nc").code, RIG_PAYLOAD_EXIT);
    uint32_t after = rig.seen->n_hashes;
    assert_true(after > before);
    for (uint32_t i = before; i < after; i++) {
        assert_int_equal(rig.seen->hash[i].full, rig_hash(line, sizeof line));
        assert_int_equal(rig.seen->hash[i].tail, rig_hash(line + 10, sizeof line - 10));
        assert_int_equal(rig.seen->hash[i].environment, rig_hash(environment, sizeof environment));
    }
}

static void test_missed_deadline_ends_only_the_waiting(void **state)
{
    (void)state;
    uint32_t before = rig.seen->late;
    uint64_t overdue = rig_count(&rig, GATE_OVERDUE);
    struct rig_result got = RIG_EXEC(&rig, PAYLOAD, "-", "SLOW");
    assert_int_not_equal(got.code, RIG_TIMEOUT);
    assert_true(rig_count(&rig, GATE_OVERDUE) > overdue);
    for (int i = 0; i < 200 && rig.seen->late == before; i++)
        rig_sleep(10);
    assert_true(rig.seen->late > before);
    assert_string_equal(rig.seen->why, "denied after the deadline");
}

// ---- facts about the kernel that the design rests on

// A second group that asks about the payload alone.
static int second_group(char path[static 128])
{
    struct error e = {0};
    int group = gate_group_create(&e);
    assert_true(group >= 0);
    snprintf(path, 128, "/proc/%d/root%s/payload", rig.inmate > 0 ? rig.inmate : getpid(),
             rig.folder);
    assert_int_equal(gate_mark_file(group, path, &e), 0);
    return group;
}

static int read_event(int group, struct fanotify_event_metadata *ret)
{
    struct pollfd p = {.fd = group, .events = POLLIN};
    if (poll(&p, 1, 5000) != 1)
        return -ETIMEDOUT;
    return read(group, ret, sizeof *ret) == sizeof *ret ? 0 : -errno;
}

// So the warden can free what a dead engine had read, by the numbers alone.
static void test_any_holder_may_answer_by_number(void **state)
{
    (void)state;
    char path[128], *argv[] = {PAYLOAD, "-", NULL};
    int group = second_group(path), pair[2], number = -1;
    assert_int_equal(pipe(pair), 0);
    uint64_t since = gate_now();
    pid_t pid = rig_spawn(&rig, rig_exec_argv, argv), reader = fork();
    if (reader == 0) {
        struct fanotify_event_metadata event = {0};
        int r = read_event(group, &event);
        number = r < 0 ? r : event.fd;
        _exit(write(pair[1], &number, sizeof number) != sizeof number);
    }
    assert_int_equal(read(pair[0], &number, sizeof number), sizeof number);
    rig_wait(reader, gate_now(), 5000);
    assert_true(number >= 0);
    assert_int_equal(gate_answer(group, number + 1, true), -ENOENT);
    assert_int_equal(gate_answer(group, number, true), 0);
    assert_int_equal(gate_answer(group, number, true), -ENOENT);
    assert_int_equal(rig_wait(pid, since, 5000).code, RIG_PAYLOAD_EXIT);
    close(pair[0]), close(pair[1]), close(group);
}

// So the engine must always have room for a descriptor.
static void test_a_read_without_room_for_a_descriptor_denies(void **state)
{
    (void)state;
    char path[128], *argv[] = {PAYLOAD, "marker", NULL};
    int group = second_group(path);
    uint64_t since = gate_now();
    pid_t pid = rig_spawn(&rig, rig_exec_argv, argv), reader = fork();
    if (reader == 0) {
        struct fanotify_event_metadata event = {0};
        struct rlimit none = {1, 1024}; // poll() takes one; every free number is above
        setrlimit(RLIMIT_NOFILE, &none);
        _exit(-read_event(group, &event));
    }
    int code = rig_wait(reader, gate_now(), 6000).code;
    assert_int_equal(rig_wait(pid, since, 6000).code, EPERM);
    assert_int_equal(code, EMFILE);
    close(group);
}

static void test_outside_the_namespace_nothing_is_asked(void **state)
{
    (void)state;
    if (rig.whole_host)
        skip();
    uint64_t before = rig_count(&rig, GATE_QUESTIONS);
    pid_t pid = fork();
    if (pid == 0) {
        char *none[] = {NULL};
        execve("/bin/true", (char *[]){"true", "EVIL", NULL}, none);
        _exit(1);
    }
    assert_int_equal(rig_wait(pid, gate_now(), 5000).code, 0);
    assert_int_equal(rig_count(&rig, GATE_QUESTIONS), before);
}

int main(int argc, char **argv)
{
    rig_maybe_payload(argc, argv);
    if (!argv[0] || !argv[0][0] || strcmp(argv[0], PAYLOAD) == 0)
        return 3;
    whole_host = argc == 2 && strcmp(argv[1], "--whole-host") == 0; // for a machine of its own only
    if (geteuid() != 0) {
        printf("the gate needs root\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_denied_program_never_begins),
        cmocka_unit_test(test_thread_that_is_not_the_leader),
        cmocka_unit_test(test_script_and_its_interpreter),
        cmocka_unit_test(test_hostile_elf_interpreter),
        cmocka_unit_test(test_loader_run_directly),
        cmocka_unit_test(test_failed_exec_leaves_no_part_behind),
        cmocka_unit_test(test_loader_after_a_failed_program_is_not_what_was_judged),
        cmocka_unit_test(test_execveat_of_an_empty_path),
        cmocka_unit_test(test_memfd_is_judged_by_its_loader_only),
        cmocka_unit_test(test_no_argument_at_all),
        cmocka_unit_test(test_argv_that_cannot_be_read),
        cmocka_unit_test(test_two_megabytes_of_argv),
        cmocka_unit_test(test_listed_environment_is_seen),
        cmocka_unit_test(test_honest_argv_hashes_as_the_kernel_lays_it),
        cmocka_unit_test(test_missed_deadline_ends_only_the_waiting),
        cmocka_unit_test(test_any_holder_may_answer_by_number),
        cmocka_unit_test(test_a_read_without_room_for_a_descriptor_denies),
        cmocka_unit_test(test_outside_the_namespace_nothing_is_asked),
    };
    return cmocka_run_group_tests_name("gate", tests, start, stop);
}
