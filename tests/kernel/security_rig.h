// SPDX-License-Identifier: Apache-2.0
// Children that act, for the tests of security events: one that changes user and sleeps, and what others do to it; each
// act is a child of its own, of which records are found by its number. Includes fixture.h.
#pragma once
#include "fixture.h"

#include <bpf/bpf.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

static inline const struct probe_mechanism *mechanism(const struct fixture *f, const char *name)
{
    const struct probe_mechanism *m;
    size_t n = probe_mechanisms(f->probe, &m);

    for (size_t i = 0; i < n; i++)
        if (!strcmp(m[i].name, name))
            return &m[i];
    fail_msg("no mechanism %s", name);
    return NULL;
}

static inline bool works(const struct fixture *f, const char *name)
{
    return mechanism(f, name)->state == PROBE_WORKS;
}

#define NEEDS(f, name)                                                                             \
    do {                                                                                           \
        if (!works(f, name))                                                                       \
            skip();                                                                                \
    } while (0)

static inline int security_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct error e = {0};
    struct stat st;

    assert_non_null(f);
    assert_int_equal(unshare(CLONE_NEWNS), 0);
    assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    assert_int_equal(stat("/proc/self/ns/mnt", &st), 0);
    f->mount_namespace = (uint32_t)st.st_ino;
    if (probe_new(&(struct probe_options){.hash_key = hash_key}, &f->probe, &e) < 0) {
        error_print(&e, stderr);
        return -1;
    }
    f->fds = probe_fds(f->probe);
    assert_int_equal(ring_open(f->fds.structural, RING_STRUCTURAL_BYTES, &f->structural), 0);
    assert_int_equal(ring_open(f->fds.bulk, RING_BULK_BYTES, &f->bulk), 0);
    snprintf(f->folder, sizeof f->folder, "/tmp/tiercel-test-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    assert_int_equal(chmod(f->folder, 0755), 0);
    *state = f;
    return 0;
}

typedef int child_work(struct fixture *f, void *context); // its exit status

static inline pid_t begin(struct fixture *f, child_work *work, void *context, uint32_t lineage)
{
    int go[2];
    char c = 0;
    pid_t pid;

    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (read(go[0], &c, 1) != 1)
            _exit(99);
        _exit(work(f, context));
    }
    if (lineage)
        assert_int_equal(probe_flags_set(f->fds.flags, pid, -1, lineage), 0);
    assert_int_equal(write(go[1], &c, 1), 1);
    close(go[0]);
    close(go[1]);
    return pid;
}

static inline pid_t act_as(struct fixture *f, child_work *work, void *context, uint32_t lineage)
{
    int status;
    pid_t pid;

    drain(f);
    pid = begin(f, work, context, lineage);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    drain(f);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        fail_msg("the child ended with wait status 0x%x", (unsigned)status);
    return pid;
}

static inline pid_t act(struct fixture *f, child_work *work, void *context)
{
    return act_as(f, work, context, 0);
}

static inline const Tiercel__Event *event_of(struct fixture *f, unsigned kind, pid_t pid,
                                             unsigned which)
{
    struct decoded *d = find(f, kind, pid, which);
    return d ? d->event : NULL;
}

static inline unsigned count(struct fixture *f, unsigned kind, pid_t pid)
{
    unsigned n = 0;
    while (find(f, kind, pid, n))
        n++;
    return n;
}

// ---- other processes

static inline int sleep_as_user(struct fixture *f, void *context)
{
    uid_t uid = *(uid_t *)context;
    (void)f;
    if (uid && syscall(SYS_setresuid, uid, uid, uid))
        return 1;
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    for (;;)
        pause();
}

struct reach {
    pid_t target;
    int way;    // enum record_access_way; 10: only looks
    bool proc;  // through /proc/PID/mem
    int expect; // errno
};

static inline int result(long r, int expect)
{
    int got = r < 0 ? errno : 0;
    return got == expect ? 0 : 100 + got;
}

static inline int look_only(pid_t target)
{
    static const char *const names[] = {"environ", "maps", "status", "stat", "cmdline", "auxv"};
    char path[64], buffer[256];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "/proc/%d/%s", target, names[i]);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, buffer, sizeof buffer) < 0)
            return 1;
    }
    return 0;
}

static inline int reach_into(struct fixture *f, void *context)
{
    const struct reach *r = context;
    static char here[16];
    struct iovec local = {here, sizeof here}, remote = {here, sizeof here};
    char path[64];

    (void)f;
    snprintf(path, sizeof path, "/proc/%d/mem", r->target);
    if (r->way == 10)
        return look_only(r->target);
    if (r->proc)
        return result(open(path, r->way == ACCESS_WRITE ? O_RDWR : O_RDONLY), r->expect);
    if (r->way == ACCESS_READ)
        return result(process_vm_readv(r->target, &local, 1, &remote, 1, 0), r->expect);
    if (r->way == ACCESS_WRITE)
        return result(process_vm_writev(r->target, &local, 1, &remote, 1, 0), r->expect);
    if (r->way == ACCESS_DESCRIPTOR) {
        int fd = (int)syscall(SYS_pidfd_open, r->target, 0);
        return result(syscall(SYS_pidfd_getfd, fd, 0, 0), r->expect);
    }
    return result(ptrace(PTRACE_SEIZE, r->target, NULL, NULL), r->expect);
}

static inline void end(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static inline pid_t sleeper(struct fixture *f, uid_t *uid)
{
    pid_t pid = begin(f, sleep_as_user, uid, 0);
    char path[64], text[4096];

    snprintf(path, sizeof path, "/proc/%d/status", pid);
    for (;;) { // until it is who it will be
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = read(fd, text, sizeof text - 1);
        char *line;
        assert_true(n > 0);
        text[n] = 0;
        line = strstr(text, "\nUid:");
        if (strstr(text, "State:\tS") && line && strtoul(line + 5, NULL, 10) == *uid)
            return pid;
        usleep(1000);
    }
}

// ---- signals

struct shot {
    pid_t target;
    int number, expect;
};

static inline int shoot(struct fixture *f, void *context)
{
    const struct shot *s = context;
    (void)f;
    return result(kill(s->target, s->number), s->expect);
}

static inline void arm(struct fixture *f, bool prevent, pid_t own)
{
    struct probe_arming arming = {.armed = prevent,
                                  .prevent = prevent,
                                  .mount_namespace = f->mount_namespace,
                                  .own = &own,
                                  .n_own = own ? 1 : 0};
    assert_int_equal(probe_arm(f->probe, &arming), 0);
}

// ---- programs

static inline int load_program(struct fixture *f, void *context)
{
    struct bpf_insn exit_0[] = {{.code = 0xb7 /* r0 = 0 */}, {.code = 0x95 /* exit */}};
    int fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "tiny", "GPL", exit_0, 2, NULL), again;
    struct bpf_prog_info info = {0};
    uint32_t length = sizeof info;

    (void)f;
    if (result(fd, *(int *)context))
        return 1;
    if (fd < 0)
        return 0;
    if (bpf_obj_get_info_by_fd(fd, &info, &length))
        return 2;
    again = bpf_prog_get_fd_by_id(info.id); // opens one: no load
    return again < 0;
}
