// SPDX-License-Identifier: Apache-2.0
#include "report/rate.h"

#include <math.h>

static double odds(double share)
{
    return share >= 1 ? INFINITY : share / (1 - share);
}

static double twice_smaller_tail(uint64_t k, uint64_t n, double share)
{
    double below = exact_binomial_below(k, n, share);
    double above = k ? 1 - exact_binomial_below(k - 1, n, share) : 1;
    return fmin(1, 2 * fmin(below, above));
}

struct rate_ratio rate_compare(struct rate_window before, struct rate_window after, double alpha)
{
    uint64_t n = before.count + after.count;
    if (n == 0)
        return (struct rate_ratio){false, NAN, {0, INFINITY}, 1};
    double scale = before.exposure / after.exposure;
    struct exact_interval share = exact_binomial(after.count, n, alpha);
    double null = after.exposure / (before.exposure + after.exposure);
    return (struct rate_ratio){
        .known = true,
        .ratio = scale * odds((double)after.count / (double)n),
        .interval = {scale * odds(share.low), scale * odds(share.high)},
        .p = twice_smaller_tail(after.count, n, null),
    };
}

static double poisson(uint64_t k, double mean)
{
    int sign;
    if (mean <= 0)
        return k == 0;
    return exp((double)k * log(mean) - mean - lgamma_r((double)k + 1, &sign));
}

// How often a fall to `ratio` is found. The largest count after that is still a find grows with the count before, so it
// is walked once.
static double found(struct rate_window before, double exposure_after, double ratio, double alpha)
{
    double mean = (double)before.count;
    double after = mean / before.exposure * exposure_after * ratio;
    double null = exposure_after / (before.exposure + exposure_after);
    uint64_t end = (uint64_t)(mean + 10 * sqrt(mean) + 20),
             finds = 0; // counts below this are found
    double sum = 0;
    for (uint64_t x = 0; x <= end; x++) {
        while (finds <= end * 1000 && exact_binomial_below(finds, x + finds, null) <= alpha / 2)
            finds++;
        if (finds)
            sum += poisson(x, mean) * exact_poisson_below(finds - 1, after);
    }
    return sum;
}

double rate_power(struct rate_window before, double exposure_after, double alpha, double power)
{
    if (before.count == 0 || before.count > RATE_POWER_COUNT_MAX ||
        exposure_after > before.exposure * 100)
        return NAN;
    if (found(before, exposure_after, 0, alpha) < power)
        return INFINITY;
    double low = 0, high = 1; // ratios: low is found often enough, high is not
    for (int i = 0; i < 20; i++) {
        double middle = (low + high) / 2;
        if (found(before, exposure_after, middle, alpha) >= power)
            low = middle;
        else
            high = middle;
    }
    return 1 - low;
}

struct rate_dispersion rate_dispersion(const struct rate_window *units, size_t n)
{
    double count = 0, exposure = 0, chi = 0;
    for (size_t i = 0; i < n; i++) {
        count += (double)units[i].count;
        exposure += units[i].exposure;
    }
    if (n < 2 || count <= 0)
        return (struct rate_dispersion){NAN, NAN};
    for (size_t i = 0; i < n; i++) {
        double expected = count * units[i].exposure / exposure;
        chi += pow((double)units[i].count - expected, 2) / expected;
    }
    double freedom = (double)(n - 1);
    return (struct rate_dispersion){chi / freedom, exact_gamma_upper(freedom / 2, chi / 2)};
}
