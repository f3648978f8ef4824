// SPDX-License-Identifier: Apache-2.0
// A small machine around the gate for tests: engine, warden and guardian as processes of their own, a judge that denies
// what says EVIL, and children that exec. Natively it lives in a private mount namespace and only that one's mounts are
// marked; in a guest (GATE_WHOLE_HOST) file systems are. A killer ends everything after its time.
#pragma once
#include "base/test.h"

#include "bpf/argv_hash.h"
#include "sensor/gate_table.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RIG_JUDGED = 65536, RIG_PAYLOAD_EXIT = 7, RIG_TIMEOUT = -1000 };

// What engine processes tell the test, in memory that all share.
struct rig_seen {
    _Atomic uint32_t opens, opens_denied;
    _Atomic uint32_t judged, denied, late, part[3], loader_runs, compat, listed, unread_judged;
    _Atomic int ready; // of the engine: 1, or negative errno
    _Atomic int self_test;
    char why[128], target[256], environment[256], script[256], path[256];
    _Atomic uint32_t argc; // the most
    _Atomic uint32_t n_hashes;
    struct {
        pid_t tid;
        uint64_t full, tail, environment, inode;
    } hash[RIG_JUDGED];
    _Atomic uint32_t n_times;
    uint32_t time_ns[RIG_JUDGED]; // from the read of a question to its judge
};

struct rig {
    struct gate_table *table;
    struct rig_seen *seen;
    int memfd, group, namespace; // namespace: -1 for the whole host
    struct gate_mounts *mounts;
    pid_t engine, warden, guardian, inmate, killer;
    int warden_channel, guardian_channel;
    bool whole_host, drop_ptrace;
    uint32_t deadline_ms;
    char folder[64];
};

static const uint8_t rig_key[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static inline void rig_sleep(unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

static inline uint64_t rig_hash(const void *p, size_t n)
{
    struct argv_hash h;
    argv_hash_init(&h, rig_key);
    argv_hash_add(&h, p, n);
    return argv_hash_value(&h);
}

// ---- the judge

static void rig_note(char out[], size_t size, struct str s)
{
    size_t n = s.n < size - 1 ? s.n : size - 1;
    memcpy(out, s.p, n);
    out[n] = 0;
}

static bool rig_judge(void *context, unsigned worker, const struct gate_question *q)
{
    struct rig_seen *seen = ((struct rig *)context)->seen;
    bool evil = str_find(q->path, STR("EVIL")) >= 0 || str_find(q->target, STR("EVIL")) >= 0;
    bool slow = false;

    (void)worker;
    uint32_t i = atomic_fetch_add(&seen->n_times, 1) % RIG_JUDGED;
    seen->time_ns[i] = (uint32_t)(gate_now() - q->asked_ns);
    atomic_fetch_add(&seen->part[q->part], 1);
    if (q->argc > atomic_load(&seen->argc)) // on a whole host others exec, too
        atomic_store(&seen->argc, (uint32_t)q->argc);
    if (q->unread)
        atomic_fetch_add(&seen->unread_judged, 1);
    if (q->compat)
        atomic_fetch_add(&seen->compat, 1);
    if (q->loader_run) {
        atomic_fetch_add(&seen->loader_runs, 1);
        rig_note(seen->target, sizeof seen->target, q->target);
    }
    if (q->n_environment) {
        atomic_fetch_add(&seen->listed, 1);
        rig_note(seen->environment, sizeof seen->environment, q->environment[0]);
    }
    if (q->script.n)
        rig_note(seen->script, sizeof seen->script, q->script);
    for (size_t k = 0; k < q->argc; k++) {
        evil |= str_find(q->argv[k], STR("EVIL")) >= 0;
        slow |= str_eq(q->argv[k], STR("SLOW"));
    }
    for (size_t k = 0; k < q->n_environment; k++)
        evil |= str_find(q->environment[k], STR("EVIL")) >= 0;
    if (slow)
        rig_sleep(((struct rig *)context)->deadline_ms + 150);
    atomic_fetch_add(&seen->judged, 1);
    if (evil || slow) {
        rig_note(seen->path, sizeof seen->path, q->path);
        atomic_fetch_add(&seen->denied, 1);
    }
    return !evil && !slow;
}

// Denies opens by the user 1000, and takes long when the file's name says so.
static inline bool rig_open(void *context, unsigned worker, const struct gate_question *q)
{
    struct rig_seen *seen = ((struct rig *)context)->seen;
    char name[32];
    struct stat st = {0};
    (void)worker;
    snprintf(name, sizeof name, "/proc/%d", q->tid);
    bool deny = stat(name, &st) == 0 && st.st_uid == 1000;
    atomic_fetch_add(&seen->opens, 1);
    rig_note(seen->path, sizeof seen->path, q->path);
    if (str_find(q->path, STR("SLOW")) >= 0)
        rig_sleep(((struct rig *)context)->deadline_ms + 150);
    if (str_find(q->path, STR("OWN")) >=
        0) // a holder asks for what it holds itself, with a judge's slot in hand
        for (int i = 0; i < 4; i++) {
            snprintf(name, sizeof name, "/proc/self/fd/%d", q->fd);
            close(open(name, O_RDONLY | O_CLOEXEC));
        }
    if (deny)
        atomic_fetch_add(&seen->opens_denied, 1);
    return !deny;
}

static int rig_judged(void *context, const struct gate_question *q, uint64_t full, uint64_t tail,
                      uint32_t tail_bytes, uint64_t environment)
{
    struct rig_seen *seen = ((struct rig *)context)->seen;
    uint32_t i = atomic_load(&seen->n_hashes) % RIG_JUDGED;
    (void)tail_bytes;
    seen->hash[i].tid = q->tid;
    seen->hash[i].inode = q->inode;
    seen->hash[i].full = full;
    seen->hash[i].tail = tail;
    seen->hash[i].environment = environment;
    atomic_fetch_add(&seen->n_hashes, 1);
    return 0;
}

static void rig_late(void *context, const struct gate_question *q, const char *why)
{
    struct rig_seen *seen = ((struct rig *)context)->seen;
    rig_note(seen->why, sizeof seen->why, str_from(why));
    kill(q->pid, SIGKILL);
    atomic_fetch_add(&seen->late, 1);
}

// ---- processes

static void rig_drop_ptrace(void)
{
    struct {
        uint32_t version;
        int pid;
    } header = {.version = 0x20080522};
    struct {
        uint32_t effective, permitted, inheritable;
    } set[2];
    syscall(SYS_capget, &header, set);
    set[0].effective &= ~(1u << 19); // CAP_SYS_PTRACE
    set[0].permitted &= ~(1u << 19);
    syscall(SYS_capset, &header, set);
}

static void rig_engine_main(struct rig *r)
{
    struct gate *g;
    struct error e = {0};
    struct gate_probe probe = {0};
    struct gate_ops ops = {rig_judge, rig_judged, rig_late, rig_open, NULL, r};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int got = gate_probe_start("/proc/self/exe", &probe, &e);
    if (got == 0)
        got = gate_hold(r->table, GATE_HOLDER_ENGINE);
    if (r->drop_ptrace)
        rig_drop_ptrace();
    if (got == 0)
        got = gate_start(r->group, r->table, &ops, 4, r->deadline_ms, rig_key, &g, &e);
    if (got == 0 && atomic_load(&r->seen->self_test) == 0) {
        gate_mark_file(r->group, "/proc/self/exe", &e);
        got = gate_self_test(g, &probe, &e);
        gate_unmark_file(r->group, "/proc/self/exe");
        atomic_store(&r->seen->self_test, got < 0 ? got : 1);
    }
    gate_probe_done(&probe);
    if (got < 0)
        error_print(&e, stderr);
    atomic_store(&r->seen->ready, got < 0 ? got : 1);
    for (;;)
        pause();
}

static void rig_engine(struct rig *r)
{
    atomic_store(&r->seen->ready, 0);
    r->engine = fork();
    assert_true(r->engine >= 0);
    if (r->engine == 0)
        rig_engine_main(r);
    for (int i = 0; i < 1000 && !atomic_load(&r->seen->ready); i++)
        rig_sleep(10);
}

static void rig_warden(struct rig *r)
{
    int pair[2];
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    r->warden = fork();
    assert_true(r->warden >= 0);
    if (r->warden == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(pair[1]);
        gate_hold(r->table, GATE_HOLDER_WARDEN);
        _exit(gate_warden_run(r->group, r->table, pair[0]) < 0);
    }
    close(pair[0]);
    r->warden_channel = pair[1];
    for (int i = 0; i < 1000 && !atomic_load(&r->table->warden_beat); i++)
        rig_sleep(10);
}

static inline void rig_guardian(struct rig *r)
{
    int pair[2];
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    r->guardian = fork();
    assert_true(r->guardian >= 0);
    if (r->guardian == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(pair[1]);
        close(r->group);
        _exit(gate_guardian_run(r->table, pair[0]) < 0);
    }
    close(pair[0]);
    r->guardian_channel = pair[1];
}

// Ends the whole rig when a test hangs: nothing on the machine may wait for longer.
static void rig_killer(struct rig *r, unsigned seconds)
{
    pid_t parent = getpid();
    r->killer = fork();
    assert_true(r->killer >= 0);
    if (r->killer)
        return;
    close(r->group);
    for (unsigned i = 0; i < seconds * 10; i++) {
        rig_sleep(100);
        if (getppid() != parent)
            break;
    }
    for (int i = 0; i < GATE_HOLDERS; i++)
        if (atomic_load(&r->table->holder[i]) > 0)
            kill(atomic_load(&r->table->holder[i]), SIGKILL);
    if (getppid() == parent)
        kill(parent, SIGKILL);
    _exit(1);
}

// A mount namespace of its own with a tmpfs in `folder`; on the whole host just the tmpfs.
static void rig_inmate(struct rig *r)
{
    char name[64];
    int pair[2];
    char byte;

    if (r->whole_host) {
        assert_int_equal(mount("gate", r->folder, "tmpfs", 0, "mode=755"), 0);
        return;
    }
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    r->inmate = fork();
    assert_true(r->inmate >= 0);
    if (r->inmate == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        bool good =
            unshare(CLONE_NEWNS) == 0 && mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
            mount("gate", r->folder, "tmpfs", 0, "mode=755") == 0 && write(pair[1], "x", 1) == 1;
        close(pair[1]);
        while (good)
            pause();
        _exit(1);
    }
    close(pair[1]);
    assert_int_equal(read(pair[0], &byte, 1), 1);
    close(pair[0]);
    snprintf(name, sizeof name, "/proc/%d/ns/mnt", r->inmate);
    r->namespace = open(name, O_RDONLY | O_CLOEXEC);
    assert_true(r->namespace >= 0);
}

// ---- children

struct rig_result {
    int code; // exit status, -signal, or RIG_TIMEOUT
    uint64_t ms;
};

static pid_t rig_spawn(struct rig *r, void (*run)(struct rig *, void *), void *with)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid)
        return pid;
    close(r->group);
    r->group = -1;
    if (r->namespace >= 0 && setns(r->namespace, CLONE_NEWNS) < 0)
        _exit(120);
    if (chdir(r->folder) < 0)
        _exit(121);
    run(r, with);
    _exit(122);
}

static struct rig_result rig_wait(pid_t pid, uint64_t since, unsigned timeout_ms)
{
    struct rig_result result = {RIG_TIMEOUT, 0};
    int status;
    for (;;) {
        pid_t got = waitpid(pid, &status, WNOHANG);
        result.ms = (gate_now() - since) / 1000000;
        if (got == pid) {
            result.code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
            return result;
        }
        if (result.ms > timeout_ms)
            break;
        rig_sleep(1);
    }
    kill(pid, SIGKILL);
    return result;
}

static struct rig_result rig_run(struct rig *r, void (*run)(struct rig *, void *), void *with)
{
    uint64_t since = gate_now();
    return rig_wait(rig_spawn(r, run, with), since, 8000);
}

static void rig_exec_argv(struct rig *r, void *argv)
{
    char *environment[] = {"PATH=/usr/bin:/bin", NULL};
    char **words = argv;
    (void)r;
    execve(words[0], words, environment);
    _exit(errno);
}

#define RIG_EXEC(r, ...) rig_run((r), rig_exec_argv, (char *[]){__VA_ARGS__, NULL})

static inline bool rig_exists(struct rig *r, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/%d/root%s/%s", r->inmate > 0 ? r->inmate : getpid(),
             r->folder, name);
    return access(path, F_OK) == 0;
}

static void rig_write(struct rig *r, const char *name, const void *bytes, size_t n, mode_t mode)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/%d/root%s/%s", r->inmate > 0 ? r->inmate : getpid(),
             r->folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    fchmod(fd, mode);
    close(fd);
}

static void rig_copy(struct rig *r, const char *from, const char *name)
{
    struct stat st;
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    assert_ptr_not_equal(p, MAP_FAILED);
    rig_write(r, name, p, (size_t)st.st_size, 0755);
    munmap(p, (size_t)st.st_size);
    close(fd);
}

// ---- the whole

static void rig_end(pid_t *pid)
{
    if (*pid > 0) {
        kill(*pid, SIGKILL);
        waitpid(*pid, NULL, 0);
    }
    *pid = 0;
}

static void rig_start(struct rig *r, unsigned seconds)
{
    struct error e = {0};
    if (!r->deadline_ms)
        r->deadline_ms = 50;
    r->namespace = -1;
    r->warden_channel = r->guardian_channel = -1;
    strcpy(r->folder, "/tmp/gate-test-XXXXXX");
    assert_non_null(mkdtemp(r->folder));
    chmod(r->folder, 0755);
    r->seen =
        mmap(NULL, sizeof *r->seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(r->seen, MAP_FAILED);
    assert_int_equal(gate_table_create(&r->memfd), 0);
    assert_int_equal(gate_table_map(r->memfd, &r->table), 0);
    rig_inmate(r);
    rig_copy(r, "/proc/self/exe", "payload");
    rig_copy(r, "/proc/self/exe", "EVIL");
    r->group = gate_group_create(&e);
    if (r->group < 0)
        error_print(&e, stderr);
    assert_true(r->group >= 0);
    rig_killer(r, seconds);
    rig_warden(r);
    rig_engine(r);
    if (r->drop_ptrace)
        return;
    // As the parent does: on an overloaded emulator the warden may take the engine for dead while it starts.
    for (int tries = 0; tries < 2 && atomic_load(&r->seen->ready) < 0; tries++) {
        rig_end(&r->engine);
        gate_table_engine_gone(r->table);
        atomic_store(&r->seen->self_test, 0);
        rig_engine(r);
    }
    assert_int_equal(atomic_load(&r->seen->ready), 1);
    int got = gate_mark_all(r->group, r->inmate, &r->mounts, &e);
    if (got < 0)
        error_print(&e, stderr);
    assert_int_equal(got, 0);
    gate_table_arm(r->table, true);
}

static void rig_stop(struct rig *r)
{
    gate_unmark_all(r->group, r->mounts);
    close(r->group);
    if (r->guardian_channel >= 0)
        close(r->guardian_channel);
    if (r->warden_channel >= 0)
        close(r->warden_channel);
    rig_end(&r->guardian);
    rig_end(&r->engine);
    rig_end(&r->warden);
    rig_end(&r->killer);
    rig_end(&r->inmate);
    if (r->whole_host)
        umount2(r->folder, MNT_DETACH);
    if (r->namespace >= 0)
        close(r->namespace);
    rmdir(r->folder);
    gate_table_unmap(r->table);
    close(r->memfd);
    munmap(r->seen, sizeof *r->seen);
}

static inline uint64_t rig_count(const struct rig *r, enum gate_counter c)
{
    return gate_table_count(r->table, c);
}

static inline bool rig_sleeps_deeply(int pid)
{
    char name[32], text[512], *state;
    snprintf(name, sizeof name, "/proc/%d/stat", pid);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0 || (text[n] = 0, state = strrchr(text, ')')) == NULL || state[2] != 'D')
        return false;
    int session = 0;
    return sscanf(state + 4, "%*d %*d %d", &session) == 1 && session == getsid(0);
}

// Processes of this test's session that sleep uninterruptibly in every look for two seconds: what a gate that hangs leaves
// behind. Who waits for a disk now and then is not stuck, and another test beside this one may hold its own on purpose.
static inline unsigned rig_stuck(void)
{
    enum { LOOKED_AT = 256 };
    int pids[LOOKED_AT];
    unsigned n = 0;
    struct dirent *x;
    DIR *d = opendir("/proc");
    while (d && (x = readdir(d)) && n < LOOKED_AT)
        if (x->d_name[0] >= '1' && x->d_name[0] <= '9' && rig_sleeps_deeply(atoi(x->d_name)))
            pids[n++] = atoi(x->d_name);
    if (d)
        closedir(d);
    for (int tries = 0; n && tries < 20; tries++) {
        rig_sleep(100);
        unsigned left = 0;
        for (unsigned i = 0; i < n; i++)
            if (rig_sleeps_deeply(pids[i]))
                pids[left++] = pids[i];
        n = left;
    }
    return n;
}

// main() of every test program begins with this: a copy of it is the program that the tests try to run.
static inline void rig_maybe_payload(int argc, char **argv)
{
    if (argc < 2 || (strcmp(argv[0], "payload") != 0 && !strstr(argv[0], "/payload") &&
                     !strstr(argv[0], "EVIL")))
        return;
    if (strcmp(argv[1], "-") != 0) {
        int fd = open(argv[1], O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd >= 0) {
            char text[4096];
            int own = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
            ssize_t n = read(own, text, sizeof text);
            if (n > 0 && write(fd, text, (size_t)n) < 0)
                _exit(119);
        }
    }
    _exit(RIG_PAYLOAD_EXIT);
}
