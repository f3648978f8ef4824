// SPDX-License-Identifier: Apache-2.0
// Published values, identities, and a simulation with a fixed seed: exact intervals cover at least what they promise.
#include "base/test.h"

#include "report/rate.h"

#include <math.h>

static void near(double a, double b, double within)
{
    if (!(fabs(a - b) <= within))
        fail_msg("%.9g is not %.9g", a, b);
}

static void test_special_functions_agree_with_closed_forms(void **state)
{
    (void)state;
    near(exact_beta(1, 1, 0.3), 0.3, 1e-14);
    near(exact_beta(2, 3, 0.5), 0.6875, 1e-14);
    near(exact_beta(1, 200, 0.01), 1 - pow(0.99, 200), 1e-13);
    near(exact_beta(0.5, 0.5, 0.25), 2 / M_PI * asin(0.5), 1e-13);
    near(exact_gamma_upper(1, 2.5), exp(-2.5), 1e-14);
    near(exact_gamma_upper(0.5, 4), erfc(2), 1e-14);
    near(exact_poisson_below(2, 3), exp(-3) * 8.5, 1e-14);
    near(exact_binomial_below(1, 3, 0.5), 0.5, 1e-14);
}

static void test_zero_of_twenty_attempts_and_of_seven_clients(void **state)
{
    (void)state;
    near(exact_binomial_upper(0, 20, 0.05), 1 - pow(0.05, 1.0 / 20), 1e-12);
    near(exact_binomial_upper(0, 20, 0.05), 0.139, 0.0005);
    near(exact_binomial_upper(0, 7, 0.05), 0.348, 0.0005);
    near(exact_binomial_upper(0, 0, 0.05), 1, 0);
    struct exact_interval i = exact_binomial(5, 10, 0.05);
    near(i.low, 0.1871, 0.00005); // Clopper and Pearson's own table: 0.187 to 0.813
    near(i.high, 0.8129, 0.00005);
}

static void test_ratio_of_2_in_17877_to_9_in_16660(void **state)
{
    (void)state;
    struct rate_ratio r =
        rate_compare((struct rate_window){9, 16660}, (struct rate_window){2, 17877}, 0.05);
    near(r.ratio, 0.207, 0.0005);
    near(r.interval.low, 0.0218, 0.00005);
    near(r.interval.high, 1.0005, 0.00005);
    near(r.p, 0.0501, 0.00005);
}

static void test_ratio_of_30_before_and_20_after_in_equal_windows(void **state)
{
    (void)state;
    struct rate_ratio r =
        rate_compare((struct rate_window){30, 24}, (struct rate_window){20, 24}, 0.05);
    near(r.ratio, 0.67, 0.005);
    near(r.interval.low, 0.36, 0.005);
    near(r.interval.high, 1.21, 0.005);
}

static void test_ratio_without_events_is_not_known(void **state)
{
    (void)state;
    struct rate_window none = {0, 10}, some = {4, 10};
    assert_false(rate_compare(none, none, 0.05).known);
    assert_true(isinf(rate_compare(none, some, 0.05).interval.high));
    assert_true(rate_compare(some, none, 0.05).interval.low == 0);
    near(rate_compare(some, none, 0.05).ratio, 0, 0);
}

static uint64_t next(uint64_t *seed) // splitmix64
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t draw(uint64_t *seed, double mean)
{
    double p = exp(-mean), left = (double)(next(seed) >> 11) * 0x1p-53;
    uint64_t k = 0;
    for (; left > p && k < 1000; k++) {
        left -= p;
        p *= mean / (double)(k + 1);
    }
    return k;
}

static void test_intervals_cover_at_least_what_they_promise(void **state)
{
    (void)state;
    static const double cases[][2] = {{5, 5}, {9, 2}, {30, 20}, {3, 8}};
    enum { RUNS = 10000 };
    uint64_t seed = 20150925;
    for (size_t c = 0; c < sizeof(cases) / sizeof(*cases); c++) {
        unsigned covered = 0;
        for (unsigned i = 0; i < RUNS; i++) {
            struct rate_window before = {draw(&seed, cases[c][0]), 100};
            struct rate_window after = {draw(&seed, cases[c][1]), 50};
            struct rate_ratio r = rate_compare(before, after, 0.05);
            double truth = cases[c][1] / 50 / (cases[c][0] / 100);
            covered += r.interval.low <= truth && truth <= r.interval.high;
        }
        print_message("means %g and %g: %u of %u covered\n", cases[c][0], cases[c][1], covered,
                      (unsigned)RUNS);
        double error = 3 * sqrt(0.95 * 0.05 / RUNS);
        assert_true(covered >= (0.95 - error) * RUNS);
        assert_true(covered < RUNS); // intervals that say nothing would cover always
    }
}

static void test_power_is_what_a_simulation_finds(void **state)
{
    (void)state;
    struct rate_window before = {30, 100};
    double fall = rate_power(before, 100, 0.05, 0.8);
    assert_true(fall > 0.4 && fall < 0.8);
    assert_true(isinf(rate_power((struct rate_window){3, 100}, 100, 0.05, 0.8)));
    assert_true(isnan(rate_power((struct rate_window){0, 100}, 100, 0.05, 0.8)));
    enum { RUNS = 10000 };
    unsigned finds = 0;
    uint64_t seed = 7;
    for (unsigned i = 0; i < RUNS; i++) {
        struct rate_window b = {draw(&seed, 30), 100}, a = {draw(&seed, 30 * (1 - fall)), 100};
        struct rate_ratio r = rate_compare(b, a, 0.05);
        finds += r.known && r.p <= 0.05 && r.ratio < 1;
    }
    near((double)finds / RUNS, 0.8, 3 * sqrt(0.8 * 0.2 / RUNS));
}

static void test_bursts_are_over_dispersed_and_even_counts_are_not(void **state)
{
    (void)state;
    static const struct rate_window even[] = {{4, 7}, {5, 7}, {3, 7}, {4, 7}};
    static const struct rate_window bursts[] = {{0, 7}, {15, 7}, {0, 7}, {1, 7}};
    assert_true(rate_dispersion(even, 4).p > 0.5);
    struct rate_dispersion d = rate_dispersion(bursts, 4);
    near(d.factor, (16 + 121 + 16 + 9) / 4.0 / 3, 1e-12);
    assert_true(d.p < 0.001);
    assert_true(isnan(rate_dispersion(even, 1).factor));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_special_functions_agree_with_closed_forms),
        cmocka_unit_test(test_zero_of_twenty_attempts_and_of_seven_clients),
        cmocka_unit_test(test_ratio_of_2_in_17877_to_9_in_16660),
        cmocka_unit_test(test_ratio_of_30_before_and_20_after_in_equal_windows),
        cmocka_unit_test(test_ratio_without_events_is_not_known),
        cmocka_unit_test(test_intervals_cover_at_least_what_they_promise),
        cmocka_unit_test(test_power_is_what_a_simulation_finds),
        cmocka_unit_test(test_bursts_are_over_dispersed_and_even_counts_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
