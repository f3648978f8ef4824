// SPDX-License-Identifier: Apache-2.0
// Loads the programs, runs children and finds their records. Runs natively and in the guests of tests/vm; the programs
// that it runs lie beside it. Everything happens in a mount namespace of its own, which is also the only one that an
// armed check looks at: the machine's other processes are left alone.
#pragma once
#include "base/test.h"

#include "base/cleanup.h"
#include "bpf/argv_hash.h"
#include "sensor/decode.h"
#include "sensor/probe.h"
#include "sensor/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAYBE_UNUSED __attribute__((unused))

enum { KEPT = 32768, MARKER_FD = 9, HOLD_FD = 8 };

#ifndef FIXTURE_TRIALS
#define FIXTURE_TRIALS false // whether LSM and fentry are tried, which the test then uses
#endif

static const uint8_t hash_key[16] = "0123456789abcdef";

struct fixture {
    struct probe *probe;
    struct probe_fds fds;
    struct ring *structural, *bulk;
    struct arena arena;
    struct decode_clock clock;
    struct decoded kept[KEPT]; // since the last drain()
    size_t n;
    uint32_t mount_namespace;
    char marker[4096], marker_i386[4096];
    char folder[64]; // for files, removed at the end
};

static int keep(void *context, const void *record, size_t bytes)
{
    struct fixture *f = context;

    assert_true(f->n < KEPT);
    assert_int_equal(decode(record, bytes, &f->clock, &f->arena, &f->kept[f->n]), 0);
    f->n++;
    return 0;
}

// Forgets what was kept, and keeps what has come since.
static MAYBE_UNUSED void drain(struct fixture *f)
{
    f->n = 0;
    arena_reset(&f->arena);
    f->clock = decode_clock_now();
    assert_true(ring_drain(f->structural, KEPT, keep, f) >= 0);
    assert_true(ring_drain(f->bulk, KEPT, keep, f) >= 0);
}

// The which-th record of that kind and process, or NULL.
static MAYBE_UNUSED struct decoded *find(struct fixture *f, unsigned kind, pid_t pid,
                                         unsigned which)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->kept[i].kind == kind && f->kept[i].event->process->id->pid == (uint32_t)pid &&
            which-- == 0)
            return &f->kept[i];
    return NULL;
}

struct child {
    const char *path; // NULL: `fd` by execveat with an empty path
    int fd;
    char *const *argv, *const *envp;
    void (*prepare)(void *context); // in the child
    void *context;
    bool other_thread; // exec from a thread that is not the leader
    uint32_t flags;    // FLAG_*
    const struct judged *judged;
    // results
    pid_t pid, tid; // tid: of the thread that calls execve
    int status;
    bool ran; // the marker said so
};

static void child_exec(const struct child *c)
{
    if (c->path)
        execve(c->path, c->argv, c->envp);
    else
        syscall(SYS_execveat, c->fd, "", c->argv, c->envp, AT_EMPTY_PATH);
    _exit(100 + (errno & 63));
}

struct thread_start {
    const struct child *child;
    int say, hear;
};

static void say_and_exec(const struct child *c, int say, int hear)
{
    pid_t tid = (pid_t)syscall(SYS_gettid);
    char go;

    if (write(say, &tid, sizeof tid) != sizeof tid || read(hear, &go, 1) != 1)
        _exit(99);
    child_exec(c);
}

static int thread_main(void *argument)
{
    struct thread_start *start = argument;
    say_and_exec(start->child, start->say, start->hear);
    return 0;
}

static void child_main(const struct child *c, int say, int hear, int marker)
{
    static char stack[65536] __attribute__((aligned(16)));
    struct thread_start start = {c, say, hear};

    if (c->prepare)
        c->prepare(c->context);
    dup2(marker, MARKER_FD);
    if (!c->other_thread)
        say_and_exec(c, say, hear);
    clone(thread_main, stack + sizeof stack,
          CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD, &start);
    for (;;)
        pause();
}

// Starts the child, tells the kernel what is to be told of it, lets it exec and waits for its end.
static MAYBE_UNUSED void run(struct fixture *f, struct child *c)
{
    int up[2], down[2], marker[2];
    char go = 0;

    drain(f);
    assert_int_equal(pipe2(up, O_CLOEXEC), 0);
    assert_int_equal(pipe2(down, O_CLOEXEC), 0);
    assert_int_equal(pipe2(marker, O_CLOEXEC), 0);
    c->pid = fork();
    assert_true(c->pid >= 0);
    if (c->pid == 0)
        child_main(c, up[1], down[0], marker[1]);
    close(up[1]);
    close(down[0]);
    close(marker[1]);
    assert_int_equal(read(up[0], &c->tid, sizeof c->tid), sizeof c->tid);
    if (c->flags)
        assert_int_equal(probe_flags_set(f->fds.flags, c->pid, -1, c->flags), 0);
    if (c->judged)
        assert_int_equal(probe_judged_set(f->fds.judged, c->tid, c->judged), 0);
    assert_int_equal(write(down[1], &go, 1), 1);
    c->ran = read(marker[0], &go, 1) == 1;
    assert_int_equal(waitpid(c->pid, &c->status, 0), c->pid);
    close(up[0]);
    close(down[1]);
    close(marker[0]);
    drain(f);
}

static MAYBE_UNUSED bool was_killed(const struct child *c)
{
    return WIFSIGNALED(c->status) && WTERMSIG(c->status) == SIGKILL;
}

// What the gate would store for this argv and environment.
static MAYBE_UNUSED struct judged judge(char *const *argv, char *const *envp)
{
    struct argv_hash full, tail, environment;
    struct judged j = {.flags = JUDGED_ENVIRONMENT};

    argv_hash_init(&full, hash_key);
    argv_hash_init(&tail, hash_key);
    argv_hash_init(&environment, hash_key);
    if (!argv[0])
        argv_hash_add(&full, "", 1);
    for (size_t i = 0; argv[i]; i++) {
        argv_hash_add(&full, argv[i], strlen(argv[i]) + 1);
        if (i)
            argv_hash_add(&tail, argv[i], strlen(argv[i]) + 1);
    }
    for (size_t i = 0; envp[i]; i++)
        argv_hash_add(&environment, envp[i], strlen(envp[i]) + 1);
    j.full = argv_hash_value(&full);
    j.tail = argv_hash_value(&tail);
    j.tail_bytes = (uint32_t)tail.bytes;
    j.environment = argv_hash_value(&environment);
    return j;
}

static MAYBE_UNUSED void write_file(const char *path, const char *text, mode_t mode)
{
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
}

static MAYBE_UNUSED void copy_to(int out, const char *from)
{
    _cleanup_close_ int in = open(from, O_RDONLY | O_CLOEXEC);
    char buffer[65536];
    ssize_t n;

    assert_true(in >= 0);
    while ((n = read(in, buffer, sizeof buffer)) > 0)
        assert_int_equal(write(out, buffer, (size_t)n), n);
}

// The program beside this one, under its name in a guest or in the build folder.
static void find_helper(const char *name, char ret[4096])
{
    char self[2048] = {0};
    char *slash;

    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    slash = strrchr(self, '/');
    *slash = 0;
    snprintf(ret, 4096, "%s/%s", self, name);
    if (access(ret, X_OK))
        snprintf(ret, 4096, "%s/vm-kernel-%s", self, name);
    if (access(ret, X_OK))
        fail_msg("%s is missing", ret);
}

static MAYBE_UNUSED int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct error e = {0};
    struct stat st;

    assert_non_null(f);
    find_helper("marker", f->marker);
    find_helper("marker_i386", f->marker_i386);
    assert_int_equal(unshare(CLONE_NEWNS), 0);
    assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    assert_int_equal(stat("/proc/self/ns/mnt", &st), 0);
    f->mount_namespace = (uint32_t)st.st_ino;
    if (probe_new(&(struct probe_options){.hash_key = hash_key, .without_trials = !FIXTURE_TRIALS},
                  &f->probe, &e) < 0) {
        error_print(&e, stderr);
        fputc('\n', stderr);
        return -1;
    }
    f->fds = probe_fds(f->probe);
    assert_int_equal(ring_open(f->fds.structural, RING_STRUCTURAL_BYTES, &f->structural), 0);
    assert_int_equal(ring_open(f->fds.bulk, RING_BULK_BYTES, &f->bulk), 0);
    snprintf(f->folder, sizeof f->folder, "/tmp/tiercel-test-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    *state = f;
    return 0;
}

static MAYBE_UNUSED void must_work(struct fixture *f, const char *mechanism)
{
    const struct probe_mechanism *m;
    size_t n = probe_mechanisms(f->probe, &m);

    for (size_t i = 0; i < n; i++)
        if (!strcmp(m[i].name, mechanism) && m[i].state != PROBE_WORKS)
            fail_msg("%s: %s", mechanism, m[i].reason);
}

static MAYBE_UNUSED int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    if (!f)
        return 0;
    ring_close(f->structural);
    ring_close(f->bulk);
    probe_free(f->probe);
    rmdir(f->folder);
    arena_done(&f->arena);
    free(f);
    return 0;
}

// For main(): the whole program is skipped where it cannot run.
static MAYBE_UNUSED bool cannot_run(void)
{
    if (geteuid() != 0) {
        fprintf(stderr, "skipped: needs root\n");
        return true;
    }
    return false;
}
