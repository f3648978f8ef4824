// SPDX-License-Identifier: Apache-2.0
// What services may not do is refused where LSM works, is told as refused, and others may.
#include "security_rig.h"

static int debug_own_child(struct fixture *f, void *context)
{
    pid_t child = fork();
    (void)f;
    (void)context;
    if (child == 0)
        for (;;)
            pause();
    int r = ptrace(PTRACE_SEIZE, child, NULL, NULL) != 0;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return r;
}

static void test_service_reaches_into_nobody_else(void **state)
{
    struct fixture *f = *state;
    NEEDS(f, "security deny");
    uid_t user = 1000, root = 0;
    pid_t other = sleeper(f, &user), agent = sleeper(f, &root), pid;
    const Tiercel__Event *e;

    arm(f, true, agent);
    for (int way = ACCESS_ATTACH; way <= ACCESS_DESCRIPTOR; way++) {
        struct reach r = {.target = way & 1 ? other : agent, .way = way, .expect = EPERM};
        pid = act_as(f, reach_into, &r, FLAG_SERVICE);
        e = event_of(f, RECORD_ACCESS, pid, 0);
        assert_non_null(e);
        assert_int_equal(count(f, RECORD_ACCESS, pid), 1);
        assert_int_equal(e->access->way, way);
        assert_true(e->access->denied);
        assert_true(find(f, RECORD_ACCESS, pid, 0)->denied);
        r.expect = 0;
        pid = act(f, reach_into, &r); // who is no service may
        assert_false(event_of(f, RECORD_ACCESS, pid, 0)->access->denied);
    }
    pid = act_as(f, debug_own_child, NULL, FLAG_SERVICE);
    assert_int_equal(count(f, RECORD_ACCESS, pid), 1);
    assert_false(event_of(f, RECORD_ACCESS, pid, 0)->access->denied);
    arm(f, false, 0);
    struct reach r = {.target = other, .way = ACCESS_ATTACH};
    act_as(f, reach_into, &r, FLAG_SERVICE); // detect mode refuses nothing
    end(other);
    end(agent);
}

static void test_service_does_not_end_the_agent(void **state)
{
    struct fixture *f = *state;
    NEEDS(f, "security deny");
    uid_t root = 0;
    pid_t agent = sleeper(f, &root), pid;
    struct shot s = {.target = agent, .number = SIGKILL, .expect = EPERM};

    arm(f, true, agent);
    pid = act_as(f, shoot, &s, FLAG_SERVICE);
    assert_int_equal(count(f, RECORD_SIGNAL, pid), 1);
    assert_true(event_of(f, RECORD_SIGNAL, pid, 0)->signal->denied);
    arm(f, false, 0);
    end(agent);
}

static int insert_module(struct fixture *f, void *context)
{
    _cleanup_close_ int fd = open("/bin/true", O_RDONLY | O_CLOEXEC);
    static char image[64];
    (void)f;
    (void)context;
    return result(syscall(SYS_finit_module, fd, "", 0), EPERM) ||
           result(syscall(SYS_init_module, image, sizeof image, ""), EPERM);
}

static void test_service_loads_nothing_into_the_kernel(void **state)
{
    struct fixture *f = *state;
    int refused = EPERM;
    const Tiercel__Event *e;
    pid_t pid;

    NEEDS(f, "security deny");
    arm(f, true, 0);
    pid = act_as(f, load_program, &refused, FLAG_SERVICE);
    e = event_of(f, RECORD_BPF, pid, 0);
    assert_non_null(e);
    assert_true(e->bpf->denied);
    assert_int_equal(e->bpf->type, BPF_PROG_TYPE_SOCKET_FILTER);
    pid = act_as(f, insert_module, NULL, FLAG_SERVICE);
    assert_true(event_of(f, RECORD_MODULE, pid, 0)->module->denied);
    assert_int_equal(count(f, RECORD_MODULE, pid), 1); // the second is folded
    arm(f, false, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_service_reaches_into_nobody_else),
        cmocka_unit_test(test_service_does_not_end_the_agent),
        cmocka_unit_test(test_service_loads_nothing_into_the_kernel),
    };

    if (cannot_run())
        return 77;
    return cmocka_run_group_tests(tests, security_setup, fixture_teardown);
}
