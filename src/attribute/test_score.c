// SPDX-License-Identifier: Apache-2.0
#include "attribute/attribute.h"
#include "base/test.h"

#include <math.h>

static const char lines[] =
    "{\"id\":\"1\",\"actor\":\"A\",\"software\":[\"own\",\"public\"],\"techniques\":[\"T1059.004\"]"
    ","
    "\"indicators\":[{\"host\":\"127.66.1.1\"},{\"host\":\"c2.example.net\"}],\"references\":["
    "\"r1\"]}\n"
    "{\"id\":\"2\",\"actor\":\"B\",\"software\":[\"public\",\"bees\"],\"techniques\":[\"T1003\"]}\n"
    "{\"id\":\"3\",\"actor\":\"C\",\"software\":[\"public\"],\"techniques\":[\"T1003\"]}\n"
    "{\"id\":\"4\",\"actor\":\"A\",\"indicators\":[{\"host\":\"127.66.1.1\"}],\"references\":["
    "\"r1\"]}\n"
    "not json\n";

static struct attribute_result result;

static void score(struct intel *k, const char *software, const char *host)
{
    static const struct attribute_view all;
    struct intel_value *values[2];
    size_t n = 0;
    if (software)
        values[n++] = intel_value(k, INTEL_SOFTWARE, str_from(software));
    if (host)
        values[n++] = intel_value(k, INTEL_HOST, str_from(host));
    assert_int_equal(attribute_score(k, values, n, &all, &result), 0);
    attribute_done(&result);
}

// A world of so many others that a match is no accident.
static void others(struct intel *k)
{
    for (int i = 0; i < 200; i++) {
        char name[32];
        snprintf(name, sizeof name, "other%d", i);
        struct intel_adversary *a = intel_adversary_add(k, str_from(name), str_from(name));
        struct intel_value *v = intel_value(k, INTEL_SOFTWARE, str_from(name));
        assert_int_equal(intel_fact_add(k, a->number, v, 0, 0), 0);
    }
}

static void test_score_adds_up_and_names_by_infrastructure(void **state)
{
    (void)state;
    struct intel k;
    assert_int_equal(intel_init(&k), 0);
    assert_int_equal(intel_load_cases(&k, str_from(lines), true, NULL), 0);
    assert_int_equal(k.skipped, 1);
    others(&k);
    score(&k, "own", "127.66.1.1");
    assert_true(result.named);
    assert_string_equal(k.adversaries[result.top[0].adversary]->id.p, "A");
    double sum = result.top[0].prior;
    for (uint32_t i = 0; i < result.n_items; i++)
        sum += result.items[i].weight;
    assert_true(fabs(sum - result.top[0].score) < 1e-9);
    intel_done(&k);
}

static void test_score_shared_tools_name_nobody(void **state)
{
    (void)state;
    struct intel k;
    assert_int_equal(intel_init(&k), 0);
    assert_int_equal(intel_load_cases(&k, str_from(lines), true, NULL), 0);
    others(&k);
    score(&k, "public", NULL);
    assert_false(result.named);
    score(&k, NULL, "127.66.200.9");
    assert_false(result.named);
    intel_done(&k);
}

static void test_score_planted_tool_never_above_low(void **state)
{
    (void)state;
    struct intel k;
    assert_int_equal(intel_init(&k), 0);
    assert_int_equal(intel_load_cases(&k, str_from(lines), true, NULL), 0);
    others(&k);
    score(&k, "bees", "127.66.1.1");
    bool b = str_eq(k.adversaries[result.top[0].adversary]->id, STR("B"));
    assert_false(b && result.moderate);
    assert_string_equal(k.adversaries[result.without[ATTRIBUTE_SOFTWARE]]->id.p, "A");
    score(&k, "bees", NULL);
    assert_false(result.moderate);
    intel_done(&k);
}

static void test_bench_leaves_out_what_shares_a_reference(void **state)
{
    (void)state;
    struct intel k;
    struct attribute_bench b;
    assert_int_equal(intel_init(&k), 0);
    assert_int_equal(intel_load_cases(&k, str_from(lines), true, NULL), 0);
    assert_int_equal(attribute_bench(&k, 0, &b), 0);
    assert_int_equal(b.n, 4);
    assert_int_equal(b.top1, 0); // nobody is left to be found
    intel_done(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_score_adds_up_and_names_by_infrastructure),
        cmocka_unit_test(test_score_shared_tools_name_nobody),
        cmocka_unit_test(test_score_planted_tool_never_above_low),
        cmocka_unit_test(test_bench_leaves_out_what_shares_a_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
