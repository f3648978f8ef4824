// SPDX-License-Identifier: Apache-2.0
// Exact intervals for counts, and the special functions below them: no normal approximation anywhere, as a report's counts
// are small. Pure functions. Sources: the regularised incomplete beta by its continued fraction (DLMF 8.17.22, evaluated by
// Lentz's method as modified by Thompson and Barnett 1986); the incomplete gamma by series and continued fraction (DLMF
// 8.11.4, 8.9.2); Clopper and Pearson 1934. Tested against published values and by simulation.
#pragma once
#include <stdint.h>

struct exact_interval {
    double low, high;
};

double exact_beta(double a, double b, double x); // I_x(a, b); a, b > 0, 0 <= x <= 1
double exact_gamma_upper(double a, double x);    // Q(a, x); a > 0, x >= 0

// P(X <= k) of n trials with probability p.
double exact_binomial_below(uint64_t k, uint64_t n, double p);
double exact_poisson_below(uint64_t k, double mean);

// Two-sided Clopper-Pearson at 1 - alpha; n of 0 gives 0 to 1.
struct exact_interval exact_binomial(uint64_t k, uint64_t n, double alpha);
// One-sided upper bound on a probability at 1 - alpha: 0 of 20 at 0.05 is 0.139, 0 of 7 is 0.348.
double exact_binomial_upper(uint64_t k, uint64_t n, double alpha);
