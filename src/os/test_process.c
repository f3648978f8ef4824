// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "os/process.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_name_with_parentheses_does_not_shift_the_fields(void **state)
{
    (void)state;
    char text[] = "77 (a) R 1 (b) S 5 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 1234 99 88 1 2 3";
    struct os_process p;
    assert_int_equal(os_process_parse(text, &p), 0);
    assert_int_equal(p.state, 'S');
    assert_int_equal(p.parent, 5);
    assert_false(p.kernel_thread);
    assert_int_equal(p.start_ns, 1234 * OS_START_STEP_NS);
}

static void test_text_that_is_no_stat_is_refused(void **state)
{
    (void)state;
    struct os_process p;
    const char *bad[] = {"",
                         "1",
                         "1 (a",
                         "1 (a)",
                         "1 (a) S",
                         "1 (a) S x",
                         "1 (a) S 1 1 1 0 -1 4 1",
                         "1 (a) S 1 1 1 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 18446744073709551615 1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char text[128];
        snprintf(text, sizeof(text), "%s", bad[i]);
        assert_int_equal(os_process_parse(text, &p), -EBADMSG);
    }
}

static void test_self_kernel_thread_and_nobody(void **state)
{
    (void)state;
    struct os_process p;
    assert_int_equal(os_process_read(getpid(), &p), 0);
    assert_int_equal(p.parent, getppid());
    assert_int_equal(p.state, 'R');
    assert_true(p.start_ns > 0);
    if (os_process_read(2, &p) == 0 && p.parent == 0)
        assert_true(p.kernel_thread);
    pid_t gone = fork();
    if (gone == 0)
        _exit(0);
    waitpid(gone, NULL, 0);
    assert_int_equal(os_process_read(gone, &p), -ESRCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name_with_parentheses_does_not_shift_the_fields),
        cmocka_unit_test(test_text_that_is_no_stat_is_refused),
        cmocka_unit_test(test_self_kernel_thread_and_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
