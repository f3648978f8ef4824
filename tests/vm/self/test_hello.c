// SPDX-License-Identifier: Apache-2.0
// Shows that a suite's cmocka program reaches the guest with the libraries it needs.
#include <unistd.h>

#include "base/test.h"

static void test_vm_runs_as_root(void **state)
{
    (void)state;
    assert_int_equal(getuid(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vm_runs_as_root)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
