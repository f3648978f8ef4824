// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "cli/when.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define S ((uint64_t)1000000000)
#define NOW ((uint64_t)1795449600 * S) // 2026-11-23 16:00:00 UTC

static uint64_t duration(const char *s)
{
    uint64_t ns = 1;
    return when_duration(str_from(s), &ns) == 0 ? ns : UINT64_MAX;
}

static uint64_t seconds(const char *s)
{
    uint64_t ns = 1;
    return when_time(str_from(s), NOW, &ns) == 0 ? ns / S : UINT64_MAX;
}

static void test_durations(void **state)
{
    (void)state;
    assert_int_equal(duration("30"), 30 * S);
    assert_int_equal(duration("30s"), 30 * S);
    assert_int_equal(duration("10m"), 600 * S);
    assert_int_equal(duration("7d"), 7 * 86400 * S);
    assert_int_equal(duration("2w"), 14 * 86400 * S);
    const char *bad[] = {"", "s", "7y", "-1s", "1.5h", "9999999999w", "1 d", "d7"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(duration(bad[i]), UINT64_MAX);
}

static void test_times(void **state)
{
    (void)state;
    assert_int_equal(seconds("now"), NOW / S);
    assert_int_equal(seconds("10m"), NOW / S - 600);
    assert_int_equal(seconds("15:30"), NOW / S - 1800);
    assert_int_equal(seconds("15:30:05"), NOW / S - 1795);
    assert_int_equal(seconds("16:30"), NOW / S + 1800 - 86400); // later than now: yesterday's
    assert_int_equal(seconds("today"), NOW / S - 16 * 3600);
    assert_int_equal(seconds("yesterday"), NOW / S - 40 * 3600);
    assert_int_equal(seconds("2026-11-23"), NOW / S - 16 * 3600);
    assert_int_equal(seconds("2026-11-23T15:30"), NOW / S - 1800);
    assert_int_equal(seconds("2026-11-23 15:30:05"), NOW / S - 1795);
    assert_int_equal(seconds("2026-11-23T15:30Z"), NOW / S - 1800);
}

static void test_bad_times(void **state)
{
    (void)state;
    const char *bad[] = {"",
                         "25:00",
                         "12:60",
                         "12:30:61",
                         "2026-13-01",
                         "2026-02-31",
                         "2026-11",
                         "noon",
                         "12:",
                         "2026-11-23T",
                         "2026-11-23T15:30Zx",
                         "1969-01-01",
                         "15:30 ",
                         "2026-11-23T15:30:05:07",
                         "99999999999999999999999999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(seconds(bad[i]), UINT64_MAX);
    uint64_t ns;
    assert_int_equal(when_time(STR("15:30\0"), NOW, &ns), -EINVAL);
}

static void assert_duration(uint64_t ns, const char *expected)
{
    struct buf b = {0};
    when_print_duration(ns, &b);
    buf_add_char(&b, 0);
    assert_string_equal(b.p, expected);
    buf_done(&b);
}

static void test_printed_durations(void **state)
{
    (void)state;
    assert_duration(7, "7 ns");
    assert_duration(27300, "27 µs");
    assert_duration(1300000, "1.3 ms");
    assert_duration(4 * S, "4 s");
    assert_duration(300 * S, "5 min");
    assert_duration(3 * 3600 * S, "3 h");
    assert_duration(72 * 3600 * S, "3 days");
}

static void test_printed_times(void **state)
{
    (void)state;
    struct buf b = {0};
    when_print_clock(NOW, NOW + S, &b);
    buf_add_char(&b, '|');
    when_print_clock(NOW - 86400 * S, NOW, &b);
    buf_add_char(&b, '|');
    when_print_full(NOW + 123456789, &b);
    buf_add_char(&b, 0);
    assert_string_equal(b.p, "16:00:00|11-22 16:00:00|2026-11-23 16:00:00.123 +0000");
    buf_done(&b);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    tzset();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations),     cmocka_unit_test(test_times),
        cmocka_unit_test(test_bad_times),     cmocka_unit_test(test_printed_durations),
        cmocka_unit_test(test_printed_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
