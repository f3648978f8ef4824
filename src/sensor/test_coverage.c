// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "sensor/coverage.h"

#define ALL (~0ull)

static void test_coverage_every_kind_is_seen_by_something_or_says_what_is_missing(void **state)
{
    (void)state;
    for (size_t i = 0; i < coverage_kinds(); i++) {
        struct coverage all = coverage_of(i, ALL), none = coverage_of(i, 0);
        assert_true(all.seen[0]);
        assert_string_equal(none.seen, "");
        assert_string_equal(none.denied, "");
        assert_true(none.limit[0]);
        assert_true(strlen(all.limit) + 1 < sizeof all.limit);
        assert_true(strlen(all.denied) + 1 < sizeof all.denied);
    }
}

static void test_coverage_names_each_kind_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < coverage_kinds(); i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(coverage_of(i, ALL).kind, coverage_of(j, ALL).kind);
}

static size_t kind(const char *name)
{
    size_t i = 0;
    while (i < coverage_kinds() && strcmp(coverage_of(i, ALL).kind, name) != 0)
        i++;
    assert_true(i < coverage_kinds());
    return i;
}

static void test_coverage_denies_only_in_prevent_mode_and_by_what_works(void **state)
{
    (void)state;
    uint64_t works = coverage_bit(STR("process events")) | coverage_bit(STR("exec signal"));
    struct coverage c = coverage_of(kind("exec"), works);
    assert_string_equal(c.seen, "tracepoints");
    assert_string_equal(c.denied, "");
    assert_non_null(strstr(c.limit, "detect mode"));
    c = coverage_of(kind("exec"), works | COVERAGE_PREVENT);
    assert_string_equal(c.denied, "exec signal");
    c = coverage_of(kind("exec"), works | coverage_bit(STR("gate")) | COVERAGE_PREVENT);
    assert_string_equal(c.denied, "gate, exec signal");
}

static void test_coverage_says_what_is_refused_in_detect_mode_too(void **state)
{
    (void)state;
    uint64_t works = coverage_bit(STR("network deny"));
    struct coverage detect = coverage_of(kind("connect"), works);
    struct coverage prevent = coverage_of(kind("connect"), works | COVERAGE_PREVENT);
    assert_string_equal(detect.denied, prevent.denied);
    assert_non_null(strstr(detect.limit, "configuration"));
    assert_null(strstr(prevent.limit, "configuration"));
}

static void test_coverage_knows_the_rows_of_doctor(void **state)
{
    (void)state;
    assert_true(coverage_bit(STR("gate")) == coverage_bit(STR("the gate")));
    assert_int_equal(coverage_bit(STR("LSM")), 0);
    assert_true(coverage_knows(STR("LSM")));
    assert_false(coverage_knows(STR("no such row")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coverage_every_kind_is_seen_by_something_or_says_what_is_missing),
        cmocka_unit_test(test_coverage_names_each_kind_once),
        cmocka_unit_test(test_coverage_denies_only_in_prevent_mode_and_by_what_works),
        cmocka_unit_test(test_coverage_says_what_is_refused_in_detect_mode_too),
        cmocka_unit_test(test_coverage_knows_the_rows_of_doctor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
