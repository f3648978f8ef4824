// SPDX-License-Identifier: Apache-2.0
// Security events: each act of a child is one record with the right fields, and what only looks is none. Where functions
// cannot be traced the late records are checked instead.
#include "security_rig.h"

static bool traced; // functions can be: fentry works

static int events_setup(void **state)
{
    int r = security_setup(state);

    traced = !r && works(*state, "fentry");
    return r;
}

static uint64_t folded(const struct fixture *f)
{
    struct probe_counters *counters;
    uint64_t n;

    assert_int_equal(probe_counters_map(f->fds.counters, &counters), 0);
    n = probe_counters_sum(counters).security_folded;
    probe_counters_unmap(counters);
    return n;
}

// ---- credentials

static int become_another(struct fixture *f, void *context)
{
    (void)f;
    (void)context;
    return syscall(SYS_setresgid, 1001, 1002, 1002) || syscall(SYS_setresuid, 1000, 1000, 1000);
}

static void test_change_of_user_is_told_with_old_and_new(void **state)
{
    struct fixture *f = *state;
    pid_t pid = act(f, become_another, NULL);
    unsigned last = traced ? 1 : 0;
    const Tiercel__Event *first = event_of(f, RECORD_CREDENTIALS, pid, 0),
                         *e = event_of(f, RECORD_CREDENTIALS, pid, last);

    assert_int_equal(count(f, RECORD_CREDENTIALS, pid), last + 1);
    assert_int_equal(first->credentials->old->uid, 0);
    assert_int_equal(first->credentials->old->gid, 0);
    assert_int_equal(first->credentials->new_->gid, 1001);
    assert_int_equal(first->credentials->new_->egid, 1002);
    assert_int_equal(e->credentials->old->euid, 0);
    assert_int_equal(e->credentials->new_->uid, 1000);
    assert_int_equal(e->credentials->new_->euid, 1000);
    assert_true(e->credentials->old->capabilities != 0);
    assert_int_equal(e->credentials->new_->capabilities, 0);
    assert_int_equal(e->credentials->gained, 0);
    assert_int_equal(e->credentials->late, !traced);
    assert_false(e->credentials->unexplained);
    assert_true(e->process->has_name);
}

static int capabilities_set(uint32_t effective, uint32_t permitted)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{effective, permitted, 0}, {0, 0, 0}};
    return (int)syscall(SYS_capset, &header, data);
}

static int lower_and_raise(struct fixture *f, void *context)
{
    uint32_t both = 1u << CAP_CHOWN | 1u << CAP_KILL;
    (void)f;
    (void)context;
    return capabilities_set(1u << CAP_KILL, both) || capabilities_set(both, both);
}

static void test_gained_capability_is_told(void **state)
{
    struct fixture *f = *state;
    const Tiercel__Event *e;
    pid_t pid;

    NEEDS(f, "credential events");
    pid = act(f, lower_and_raise, NULL);
    assert_int_equal(count(f, RECORD_CREDENTIALS, pid), 1); // giving up is not told
    e = event_of(f, RECORD_CREDENTIALS, pid, 0);
    assert_int_equal(e->credentials->gained, 1u << CAP_CHOWN);
    assert_int_equal(e->credentials->old->capabilities, 1u << CAP_KILL);
    assert_false(e->credentials->unexplained);
}

static int run_set_uid(struct fixture *f, void *context)
{
    char *argv[] = {context, NULL}, *none[] = {NULL};
    (void)f;
    if (syscall(SYS_setresuid, 1000, 1000, 1000))
        return 2;
    execve(context, argv, none);
    return 3;
}

static void test_set_uid_program_is_left_to_its_exec(void **state)
{
    struct fixture *f = *state;
    const Tiercel__Event *e;
    char path[128];
    pid_t pid;

    snprintf(path, sizeof path, "%s/set-uid", f->folder);
    {
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
        assert_true(fd >= 0);
        copy_to(fd, "/bin/true");
        assert_int_equal(fchmod(fd, 04755), 0);
    }
    pid = act(f, run_set_uid, path);
    unlink(path);
    assert_int_equal(event_of(f, RECORD_EXEC, pid, 0)->process->credentials->euid, 0);
    assert_int_equal(count(f, RECORD_CREDENTIALS, pid), 1);
    e = event_of(f, RECORD_CREDENTIALS, pid, 0);
    assert_int_equal(e->credentials->new_->euid, 1000);
}

static int flip(struct fixture *f, void *context)
{
    (void)f;
    for (int i = 0; i < 100; i++)
        if (syscall(SYS_setresuid, -1, 1, -1) || syscall(SYS_setresuid, -1, 0, -1))
            return 1;
    usleep(1100000); // until the second of the first is over
    *(volatile int *)context = 1;
    return (int)syscall(SYS_setresuid, -1, 1, -1);
}

static void test_repeats_are_folded_and_counted(void **state)
{
    struct fixture *f = *state;
    uint64_t before = folded(f), repeated = 0;
    unsigned n;
    int context = 0;
    pid_t pid;

    NEEDS(f, "credential events");
    pid = act(f, flip, &context);
    n = count(f, RECORD_CREDENTIALS, pid);
    assert_true(n >= 3 && n < 20); // a slow machine takes more than one second
    for (unsigned i = 0; i < n; i++)
        repeated += event_of(f, RECORD_CREDENTIALS, pid, i)->credentials->repeated;
    assert_int_equal(folded(f) - before + n, 201);
    assert_true(repeated > 0 && repeated <= folded(f) - before);
}

static int map_named(const char *name)
{
    struct bpf_map_info info;
    uint32_t id = 0, length;

    while (!bpf_map_get_next_id(id, &id)) {
        int fd = bpf_map_get_fd_by_id(id);
        length = sizeof info;
        memset(&info, 0, sizeof info);
        if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &length) && !strcmp(info.name, name))
            return fd;
        if (fd >= 0)
            close(fd);
    }
    return -ENOENT;
}

static int wait_and_end(struct fixture *f, void *context)
{
    char c;
    (void)f;
    return read(((int *)context)[0], &c, 1) != 1;
}

// The map of what was last seen is told that the child was an ordinary user without capabilities: that it is root when
// it ends is what an exploit looks like.
static void test_root_from_nowhere_is_unexplained(void **state)
{
    struct fixture *f = *state;
    struct {
        uint64_t start, effective, permitted;
        uint32_t uid, gid, euid, egid, suid, level, namespaces[NAMESPACES], reserved;
    } seen;
    const Tiercel__Event *e;
    int channel[2], fd, status;
    uint32_t key;
    pid_t pid;

    if (traced)
        skip(); // only the late programs have such a map; the judgement is the same function
    fd = map_named("seen");
    assert_true(fd >= 0);
    assert_int_equal(pipe2(channel, O_CLOEXEC), 0);
    drain(f);
    pid = begin(f, wait_and_end, channel, 0);
    key = (uint32_t)pid;
    assert_int_equal(bpf_map_lookup_elem(fd, &key, &seen), 0);
    seen.uid = seen.euid = seen.suid = 1000;
    seen.effective = 0;
    assert_int_equal(bpf_map_update_elem(fd, &key, &seen, BPF_EXIST), 0);
    close(fd);
    assert_int_equal(write(channel[1], "", 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(channel[0]);
    close(channel[1]);
    drain(f);
    e = event_of(f, RECORD_CREDENTIALS, pid, 0);
    assert_non_null(e);
    assert_true(e->credentials->unexplained);
    assert_true(e->credentials->late);
    assert_int_equal(e->credentials->old->uid, 1000);
    assert_int_equal(e->credentials->new_->euid, 0);
    assert_true(e->credentials->gained != 0);
}

// ---- namespaces

static int leave_names(struct fixture *f, void *context)
{
    _cleanup_close_ int home = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
    (void)f;
    (void)context;
    return unshare(CLONE_NEWUTS) || setns(home, CLONE_NEWUTS) || unshare(CLONE_NEWNET);
}

static void test_namespaces_are_told_with_old_and_new(void **state)
{
    struct fixture *f = *state;
    const Tiercel__NamespaceChange *a, *b;
    struct stat st;
    pid_t pid = act(f, leave_names, NULL);

    assert_int_equal(stat("/proc/self/ns/uts", &st), 0);
    assert_int_equal(count(f, RECORD_NAMESPACES, pid), traced ? 2 : 1);
    a = event_of(f, RECORD_NAMESPACES, pid, 0)->namespaces;
    assert_int_equal(a->old->uts, st.st_ino);
    assert_int_equal(a->new_->user, a->old->user);
    assert_int_equal(a->late, !traced);
    if (traced) { // going back changes the same namespace within the second: folded into the first
        assert_true(a->new_->uts != a->old->uts);
        assert_int_equal(a->new_->network, a->old->network);
    }
    b = event_of(f, RECORD_NAMESPACES, pid, traced ? 1 : 0)->namespaces;
    assert_true(b->new_->network != b->old->network);
    assert_int_equal(b->new_->uts, st.st_ino);
    assert_int_equal(b->new_->mount, f->mount_namespace);
}

static int own_users(struct fixture *f, void *context)
{
    (void)f;
    (void)context;
    return syscall(SYS_setresuid, 1000, 1000, 1000) || unshare(CLONE_NEWUSER);
}

static void test_user_namespace_is_no_gain(void **state)
{
    struct fixture *f = *state;
    pid_t pid = act(f, own_users, NULL);
    const Tiercel__Event *e = event_of(f, RECORD_NAMESPACES, pid, 0);

    assert_non_null(e);
    assert_true(e->namespaces->new_->user != e->namespaces->old->user);
    assert_int_equal(count(f, RECORD_CREDENTIALS, pid), 1); // of the change of user
    assert_int_equal(event_of(f, RECORD_CREDENTIALS, pid, 0)->credentials->new_->uid, 1000);
    assert_false(event_of(f, RECORD_CREDENTIALS, pid, 0)->credentials->unexplained);
}

// ---- other processes

static void test_reaching_into_a_process_is_told(void **state)
{
    struct fixture *f = *state;
    static const struct {
        int way;
        bool proc;
    } ways[] = {{ACCESS_ATTACH, false}, {ACCESS_READ, false}, {ACCESS_WRITE, false},
                {ACCESS_READ, true},    {ACCESS_WRITE, true}, {ACCESS_DESCRIPTOR, false}};
    uid_t users[] = {0, 1000};

    NEEDS(f, "ptrace events");
    for (size_t u = 0; u < 2; u++) {
        pid_t target = sleeper(f, &users[u]);
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
            struct reach r = {.target = target, .way = ways[i].way, .proc = ways[i].proc};
            pid_t pid = act(f, reach_into, &r);
            const Tiercel__Event *e = event_of(f, RECORD_ACCESS, pid, 0);
            if (!e)
                fail_msg("way %d%s was not told", r.way, r.proc ? " by /proc" : "");
            assert_int_equal(count(f, RECORD_ACCESS, pid), 1);
            assert_int_equal(e->access->way, ways[i].way);
            assert_int_equal(e->access->target->id->pid, target);
            assert_true(e->access->target->id->start > 0);
            assert_int_equal(e->access->other_user, u == 1);
            assert_false(e->access->denied);
        }
        struct reach looks = {.target = target, .way = 10};
        assert_int_equal(count(f, RECORD_ACCESS, act(f, reach_into, &looks)), 0);
        end(target);
    }
}

// ---- signals

static void test_ending_another_users_process_is_told(void **state)
{
    struct fixture *f = *state;
    NEEDS(f, "signal events");
    uid_t user = 1000, root = 0;
    pid_t other = sleeper(f, &user), same = sleeper(f, &root), pid;
    struct shot s = {.target = other, .number = SIGSTOP};
    const Tiercel__Event *e;

    pid = act(f, shoot, &s);
    assert_int_equal(count(f, RECORD_SIGNAL, pid), 1);
    e = event_of(f, RECORD_SIGNAL, pid, 0);
    assert_int_equal(e->signal->number, SIGSTOP);
    assert_int_equal(e->signal->target->id->pid, other);
    assert_true(e->signal->other_user);
    assert_false(e->signal->denied);
    s.target = same;
    s.number = SIGTERM;
    assert_int_equal(count(f, RECORD_SIGNAL, act(f, shoot, &s)), 0);
    waitpid(same, NULL, 0);
    s.target = other;
    s.number = SIGCONT;
    assert_int_equal(count(f, RECORD_SIGNAL, act(f, shoot, &s)), 0);
    s.number = SIGKILL;
    pid = act(f, shoot, &s);
    assert_int_equal(event_of(f, RECORD_SIGNAL, pid, 0)->signal->number, SIGKILL);
    waitpid(other, NULL, 0);
}

static void test_any_signal_to_the_agent_is_told(void **state)
{
    struct fixture *f = *state;
    uid_t root = 0;
    pid_t agent = sleeper(f, &root), pid;
    struct shot s = {.target = agent, .number = SIGWINCH};

    arm(f, false, agent);
    pid = act(f, shoot, &s);
    assert_int_equal(count(f, RECORD_SIGNAL, pid), 1);
    assert_int_equal(event_of(f, RECORD_SIGNAL, pid, 0)->signal->number, SIGWINCH);
    assert_false(event_of(f, RECORD_SIGNAL, pid, 0)->signal->other_user);
    arm(f, false, 0);
    end(agent);
}

// ---- mounts

static int mount_much(struct fixture *f, void *context)
{
    char a[128], b[128];
    int fs, made;

    (void)context;
    snprintf(a, sizeof a, "%s/a", f->folder);
    snprintf(b, sizeof b, "%s/b", f->folder);
    if (unshare(CLONE_NEWNS) || mkdir(a, 0755) || mkdir(b, 0755) ||
        mount("some", a, "tmpfs", MS_NOSUID, NULL) || mount(a, b, NULL, MS_BIND, NULL) ||
        mount(NULL, b, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) || umount2(b, MNT_DETACH) ||
        mount(NULL, a, NULL, MS_PRIVATE, NULL) || mount(a, b, NULL, MS_MOVE, NULL) || umount2(b, 0))
        return 1;
    fs = (int)syscall(SYS_fsopen, "tmpfs", 0);
    if (fs < 0 || syscall(SYS_fsconfig, fs, 6 /* create */, NULL, NULL, 0))
        return 2;
    made = (int)syscall(SYS_fsmount, fs, 0, 0);
    if (made < 0 || syscall(SYS_move_mount, made, "", AT_FDCWD, a, 4 /* from is a descriptor */))
        return 3;
    close(made);
    close(fs);
    return umount2(a, 0) || rmdir(a) || rmdir(b);
}

static void expect_mount(struct fixture *f, pid_t pid, unsigned which, int action, const char *name,
                         const char *type)
{
    const Tiercel__Event *e = event_of(f, RECORD_MOUNT, pid, which);
    char path[128];

    snprintf(path, sizeof path, "%s/%s", f->folder, name);
    if (!e)
        fail_msg("mount %u was not told", which);
    assert_int_equal(e->mount->action, action);
    assert_int_equal(e->mount->target.len, strlen(path));
    assert_memory_equal(e->mount->target.data, path, strlen(path));
    assert_false(e->mount->path_cut);
    assert_int_equal(e->mount->has_type, type != NULL);
    if (type)
        assert_memory_equal(e->mount->type.data, type, strlen(type));
}

static void test_mounts_are_told_with_point_source_and_type(void **state)
{
    struct fixture *f = *state;
    const Tiercel__Event *e;
    char path[128];
    pid_t pid;

    NEEDS(f, "mount events");
    pid = act(f, mount_much, NULL);
    snprintf(path, sizeof path, "%s/a", f->folder);
    expect_mount(f, pid, 0, MOUNT_NEW, "a", "tmpfs");
    e = event_of(f, RECORD_MOUNT, pid, 0);
    assert_memory_equal(e->mount->source.data, "some", 4);
    assert_int_equal(e->mount->flags, MS_NOSUID);
    expect_mount(f, pid, 1, MOUNT_NEW, "b", NULL);
    e = event_of(f, RECORD_MOUNT, pid, 1);
    assert_memory_equal(e->mount->source.data, path, strlen(path));
    expect_mount(f, pid, 2, MOUNT_CHANGED, "b", NULL);
    expect_mount(f, pid, 3, MOUNT_GONE, "b", "tmpfs");
    expect_mount(f, pid, 4, MOUNT_MOVED, "b", NULL);
    expect_mount(f, pid, 5, MOUNT_NEW, "a", "tmpfs"); // the second time "b" goes is folded
    expect_mount(f, pid, 6, MOUNT_GONE, "a", "tmpfs");
    assert_int_equal(count(f, RECORD_MOUNT, pid), 7);
}

// ---- programs and modules

static void test_loaded_program_is_told(void **state)
{
    struct fixture *f = *state;
    const Tiercel__Event *e;
    int none = 0;
    pid_t pid;

    NEEDS(f, "bpf events");
    pid = act(f, load_program, &none);
    assert_int_equal(count(f, RECORD_BPF, pid), 1);
    e = event_of(f, RECORD_BPF, pid, 0);
    assert_int_equal(e->bpf->type, BPF_PROG_TYPE_SOCKET_FILTER);
    assert_int_equal(e->bpf->name.len, 4);
    assert_memory_equal(e->bpf->name.data, "tiny", 4);
    assert_false(e->bpf->denied);
}

static int run_modprobe(struct fixture *f, void *context)
{
    char *const *argv = context;
    (void)f;
    execv("/sbin/modprobe", argv);
    return 3;
}

static void test_module_is_told_with_its_file(void **state)
{
    struct fixture *f = *state;
    char *in[] = {(char *)"modprobe", (char *)"dummy", NULL};
    char *out[] = {(char *)"modprobe", (char *)"-r", (char *)"dummy", NULL};
    const Tiercel__Event *e;
    struct stat st;
    char path[4096];
    pid_t pid;

    NEEDS(f, "module events");
    if (!getenv("VM_KERNEL"))
        skip(); // not on somebody's machine
    pid = act(f, run_modprobe, in);
    assert_int_equal(count(f, RECORD_MODULE, pid), 1);
    e = event_of(f, RECORD_MODULE, pid, 0);
    assert_memory_equal(e->module->name.data, "dummy", 5);
    assert_false(e->module->unloaded);
    assert_non_null(e->module->file);
    assert_true(e->module->file->path.len > 8);
    snprintf(path, sizeof path, "%.*s", (int)e->module->file->path.len,
             (const char *)e->module->file->path.data);
    assert_non_null(strstr(path, "/drivers/net/dummy.ko"));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(e->module->file->inode, st.st_ino);
    pid = act(f, run_modprobe, out);
    assert_int_equal(count(f, RECORD_MODULE, pid), 1);
    assert_true(event_of(f, RECORD_MODULE, pid, 0)->module->unloaded);
}

static void test_what_works_is_said(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"credential events", "ptrace events", "module events",
                                        "bpf events",        "mount events",  "namespace events",
                                        "signal events",     "security deny"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct probe_mechanism *m = mechanism(f, names[i]);
        printf("# %s: %d (%s) %s\n", m->name, m->state, m->reason, m->instead);
        assert_true(m->reason[0] && strlen(m->reason) <= 160 && strlen(m->name) <= 27);
        assert_int_equal(m->state == PROBE_WORKS, i == 6   ? true
                                                  : i == 7 ? works(f, "LSM")
                                                           : traced);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_works_is_said),
        cmocka_unit_test(test_change_of_user_is_told_with_old_and_new),
        cmocka_unit_test(test_gained_capability_is_told),
        cmocka_unit_test(test_set_uid_program_is_left_to_its_exec),
        cmocka_unit_test(test_repeats_are_folded_and_counted),
        cmocka_unit_test(test_root_from_nowhere_is_unexplained),
        cmocka_unit_test(test_namespaces_are_told_with_old_and_new),
        cmocka_unit_test(test_user_namespace_is_no_gain),
        cmocka_unit_test(test_reaching_into_a_process_is_told),
        cmocka_unit_test(test_ending_another_users_process_is_told),
        cmocka_unit_test(test_any_signal_to_the_agent_is_told),
        cmocka_unit_test(test_mounts_are_told_with_point_source_and_type),
        cmocka_unit_test(test_loaded_program_is_told),
        cmocka_unit_test(test_module_is_told_with_its_file),
    };

    if (cannot_run())
        return 77;
    return cmocka_run_group_tests(tests, events_setup, fixture_teardown);
}
