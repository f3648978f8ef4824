// SPDX-License-Identifier: Apache-2.0
#include "report/exact.h"

#include <float.h>
#include <math.h>

#define STEPS 100000 // of a continued fraction or series; far above what counts of a report need
#define HALVINGS 100 // of an interval within 0 to 1: below what a double resolves
#define TINY 1e-300

static double log_gamma(double x)
{
    int sign; // lgamma() would write a global
    return lgamma_r(x, &sign);
}

// Lentz's method takes a denominator of 0 for something tiny.
static double away_from_zero(double x)
{
    return fabs(x) < TINY ? TINY : x;
}

static double beta_fraction(double a, double b, double x)
{
    double c = 1, d = 1 / away_from_zero(1 - (a + b) * x / (a + 1)), h = d;
    for (int i = 1; i < STEPS; i++) {
        double m = i, even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 / away_from_zero(1 + even * d);
        c = away_from_zero(1 + even / c);
        h *= c * d;
        d = 1 / away_from_zero(1 + odd * d);
        c = away_from_zero(1 + odd / c);
        h *= c * d;
        if (fabs(c * d - 1) < 4 * DBL_EPSILON)
            break;
    }
    return h;
}

double exact_beta(double a, double b, double x)
{
    if (x <= 0)
        return 0;
    if (x >= 1)
        return 1;
    double front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log1p(-x));
    // The fraction converges quickly on this side of the mean only.
    if (x < (a + 1) / (a + b + 2))
        return front * beta_fraction(a, b, x) / a;
    return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double exact_gamma_upper(double a, double x)
{
    if (x <= 0)
        return 1;
    double front = exp(a * log(x) - x - log_gamma(a));
    if (x < a + 1) {
        double term = 1 / a, sum = term;
        for (int i = 1; i < STEPS && term > sum * DBL_EPSILON; i++) {
            term *= x / (a + i);
            sum += term;
        }
        return 1 - front * sum;
    }
    double b = x + 1 - a, c = 1 / TINY, d = 1 / away_from_zero(b), h = d;
    for (int i = 1; i < STEPS; i++) {
        double n = -i * (i - a);
        b += 2;
        d = 1 / away_from_zero(n * d + b);
        c = away_from_zero(b + n / c);
        h *= c * d;
        if (fabs(c * d - 1) < 4 * DBL_EPSILON)
            break;
    }
    return front * h;
}

double exact_binomial_below(uint64_t k, uint64_t n, double p)
{
    return k >= n ? 1 : exact_beta((double)(n - k), (double)k + 1, 1 - p);
}

double exact_poisson_below(uint64_t k, double mean)
{
    return exact_gamma_upper((double)k + 1, mean);
}

// The x at which I_x(a, b) is q: it grows with x.
static double beta_inverse(double a, double b, double q)
{
    double low = 0, high = 1;
    for (int i = 0; i < HALVINGS; i++) {
        double middle = (low + high) / 2;
        if (exact_beta(a, b, middle) < q)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

double exact_binomial_upper(uint64_t k, uint64_t n, double alpha)
{
    return k >= n ? 1 : beta_inverse((double)k + 1, (double)(n - k), 1 - alpha);
}

struct exact_interval exact_binomial(uint64_t k, uint64_t n, double alpha)
{
    double low = k == 0 || n == 0 ? 0 : beta_inverse((double)k, (double)(n - k) + 1, alpha / 2);
    return (struct exact_interval){low, exact_binomial_upper(k, n, alpha / 2)};
}
