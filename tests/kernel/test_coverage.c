// SPDX-License-Identifier: Apache-2.0
// Every row that the probe gives to `doctor` is known to the coverage of kinds, or to decide nothing about any.
#include "base/test.h"
#include "sensor/coverage.h"
#include "sensor/probe.h"
#include <unistd.h>

static void test_coverage_knows_every_mechanism_of_the_probe(void **state)
{
    (void)state;
    static const uint8_t key[16];
    struct probe_options options = {.hash_key = key, .without_trials = true};
    const struct probe_mechanism *rows;
    struct probe *probe;
    struct error e = {0};
    if (geteuid() != 0)
        skip();
    if (probe_new(&options, &probe, &e) < 0)
        fail_msg("%s", e.what);
    size_t n = probe_mechanisms(probe, &rows);
    for (size_t i = 0; i < n; i++)
        if (!coverage_knows(str_from(rows[i].name)))
            fail_msg("'%s': a line in sensor/coverage.h, or in coverage.c's `others`",
                     rows[i].name);
    assert_true(n > 4);
    probe_free(probe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coverage_knows_every_mechanism_of_the_probe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
