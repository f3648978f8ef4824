// SPDX-License-Identifier: Apache-2.0
#include "agent/budget.h"
#include "base/test.h"

#define S 1000000000ull

static void test_within_nothing_changes(void **state)
{
    (void)state;
    struct budget b = {.cpu_percent = 50, .memory = 1000};
    for (int i = 0; i < 100; i++)
        assert_false(budget_look(&b, S * 45 / 100, S, 900));
    assert_int_equal(b.share, 1);
}

static void test_a_short_burst_is_let_be(void **state)
{
    (void)state;
    struct budget b = {.cpu_percent = 50};
    for (int i = 0; i < 10; i++)
        budget_look(&b, S / 10, S, 0);
    assert_false(budget_look(&b, S, S, 0));
    assert_false(budget_look(&b, S / 10, S, 0));
}

static void test_over_it_goes_down_and_comes_back(void **state)
{
    (void)state;
    struct budget b = {.cpu_percent = 50};
    int looks = 0;
    for (; b.share < 16; looks++)
        budget_look(&b, S, S, 0);
    assert_in_range(looks, 5, 10);
    for (int i = 0; i < 50; i++)
        budget_look(&b, S, S, 0);
    assert_int_equal(b.share, BUDGET_SHARE_MAX);
    for (looks = 0; b.share > 1 && looks < 1000; looks++)
        budget_look(&b, 0, S, 0);
    assert_int_equal(b.share, 1);
    assert_in_range(looks, 50, 70); // slower than it went down
    assert_false(budget_look(&b, 0, S, 0));
}

static void test_memory_alone_is_enough(void **state)
{
    (void)state;
    struct budget b = {.memory = 1000};
    assert_true(budget_look(&b, 0, S, 1001));
    assert_int_equal(b.share, 2);
    assert_false(budget_look(&b, 0, S, 1000)); // not over, no room either
}

static void test_without_limits_and_without_time(void **state)
{
    (void)state;
    struct budget b = {0};
    assert_false(budget_look(&b, 100 * S, S, UINT64_MAX));
    assert_false(budget_look(&b, 100 * S, 0, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_within_nothing_changes),
        cmocka_unit_test(test_a_short_burst_is_let_be),
        cmocka_unit_test(test_over_it_goes_down_and_comes_back),
        cmocka_unit_test(test_memory_alone_is_enough),
        cmocka_unit_test(test_without_limits_and_without_time),
    };
    return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
