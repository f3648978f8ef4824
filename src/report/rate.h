// SPDX-License-Identifier: Apache-2.0
// Two rates compared: events per sensor-day before and after a date. Given the sum of both counts, one of them is binomial,
// so the ratio has an exact interval (Przyborowski and Wilenski 1940; Clopper-Pearson on the share). Pure functions. What
// they cannot see is said by rate_power() (a fall that would have been missed) and rate_dispersion() (counts that vary more
// than independent events would, which makes every exact interval here too narrow).
#pragma once
#include "report/exact.h"

#include <stdbool.h>
#include <stddef.h>

#define RATE_COUNT_MAX 1000000
#define RATE_POWER_COUNT_MAX 10000 // rate_power() walks all counts that can occur
#define RATE_EXPOSURE_MAX 1e12     // sensor-days

struct rate_window {
    uint64_t count;
    double exposure; // sensor-days, above 0
};

struct rate_ratio {
    bool known;                     // false: no event in either window, nothing can be said
    double ratio;                   // after / before; INFINITY when nothing was before
    struct exact_interval interval; // high may be INFINITY
    double p;                       // two-sided, twice the smaller tail: agrees with the interval
};

struct rate_ratio rate_compare(struct rate_window before, struct rate_window after, double alpha);

// "A fall smaller than this could not have been seen": the smallest fall, as a share (0.6: to 40 % of the rate before),
// that rate_compare() at alpha would find with the given power, when the rate before is as counted. Above 1: no fall at
// all, not even to nothing, would be found that often. NAN when nothing was counted before or too much.
double rate_power(struct rate_window before, double exposure_after, double alpha, double power);

// Are counts of n units (weeks, clients) as even as independent events would be? Pearson's chi-square against one common
// rate. factor above 1 with a small p: over-dispersed. factor is NAN with fewer than 2 units or no event.
struct rate_dispersion {
    double factor; // chi-square / degrees of freedom
    double p;
};
struct rate_dispersion rate_dispersion(const struct rate_window *units, size_t n);
