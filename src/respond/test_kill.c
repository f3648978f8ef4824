// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "os/process.h"
#include "respond/respond.h"
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct respond_target sleeper(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    struct os_process p;
    assert_int_equal(os_process_read(pid, &p), 0);
    return (struct respond_target){(uint32_t)pid, p.start_ns};
}

static void end(struct respond_target t)
{
    kill((pid_t)t.pid, SIGKILL);
    waitpid((pid_t)t.pid, NULL, 0);
}

static void test_target_dies_and_is_gone_the_second_time(void **state)
{
    (void)state;
    struct respond_target t = sleeper();
    t.start_ns += 3; // the kernel's records are finer than /proc
    assert_int_equal(respond_kill(t, NULL, 0), 0);
    int status;
    assert_int_equal(waitpid((pid_t)t.pid, &status, 0), (int)t.pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(respond_kill(t, NULL, 0), -ESRCH);
}

static void test_stopped_target_dies_too(void **state)
{
    (void)state;
    struct respond_target t = sleeper();
    kill((pid_t)t.pid, SIGSTOP);
    assert_int_equal(respond_kill(t, NULL, 0), 0);
    int status;
    waitpid((pid_t)t.pid, &status, 0);
    assert_true(WIFSIGNALED(status));
}

static void test_zombie_is_gone(void **state)
{
    (void)state;
    struct respond_target t = sleeper();
    kill((pid_t)t.pid, SIGKILL);
    siginfo_t info;
    waitid(P_PID, t.pid, &info, WEXITED | WNOWAIT);
    assert_int_equal(respond_kill(t, NULL, 0), -ESRCH);
    end(t);
}

static void test_another_process_with_the_pid_lives(void **state)
{
    (void)state;
    struct respond_target t = sleeper(), other = t;
    other.start_ns -= OS_START_STEP_NS;
    assert_int_equal(respond_kill(other, NULL, 0), -ESTALE);
    assert_int_equal(kill((pid_t)t.pid, 0), 0);
    end(t);
}

static void test_init_kernel_threads_and_the_agent_are_refused(void **state)
{
    (void)state;
    struct os_process p;
    struct respond_target t = sleeper();
    uint32_t agent[2] = {1234567, t.pid};
    assert_int_equal(respond_kill(t, agent, 2), -EPERM);
    assert_int_equal(kill((pid_t)t.pid, 0), 0);
    end(t);
    assert_int_equal(os_process_read(1, &p), 0);
    assert_int_equal(respond_kill((struct respond_target){1, p.start_ns}, NULL, 0), -EPERM);
    assert_int_equal(respond_kill((struct respond_target){0, 0}, NULL, 0), -EPERM);
    assert_int_equal(respond_kill((struct respond_target){UINT32_MAX, 0}, NULL, 0), -EPERM);
    assert_int_equal(os_process_read(getpid(), &p), 0);
    assert_int_equal(respond_kill((struct respond_target){(uint32_t)getpid(), p.start_ns}, NULL, 0),
                     -EPERM);
    if (os_process_read(2, &p) == 0 && p.kernel_thread)
        assert_int_equal(respond_kill((struct respond_target){2, p.start_ns}, NULL, 0), -EPERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_target_dies_and_is_gone_the_second_time),
        cmocka_unit_test(test_stopped_target_dies_too),
        cmocka_unit_test(test_zombie_is_gone),
        cmocka_unit_test(test_another_process_with_the_pid_lives),
        cmocka_unit_test(test_init_kernel_threads_and_the_agent_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
