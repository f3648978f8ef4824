// SPDX-License-Identifier: Apache-2.0
// Files: what the programs on kernel functions report of them.
#include "file_fixture.h"

static void test_mechanisms_are_as_the_kernel_was_booted(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mechanism(f, "file events"), PROBE_WORKS);
    assert_int_equal(mechanism(f, "file deny"), lsm_is_on() ? PROBE_WORKS : PROBE_REFUSED);
    assert_int_equal(mechanism(f, "exec deny"), lsm_is_on() ? PROBE_WORKS : PROBE_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mechanisms_are_as_the_kernel_was_booted),
    };
    return cmocka_run_group_tests(tests, file_setup, file_teardown);
}
