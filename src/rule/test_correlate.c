// SPDX-License-Identifier: Apache-2.0
#include "rule/test_record.h"

#include <errno.h>
#include <stdlib.h>

#define BASE(name_)                                                                                \
    "title: " name_ "\nname: " name_ "\nlogsource: {}\ndetection: {s: {F: " name_                  \
    "}, condition: s}\n---\n"
#define BASES BASE("a") BASE("b") BASE("c")
#define SECOND ((uint64_t)1000000000)

struct bench {
    struct rule_set *set;
    struct rule_correlator *correlator;
    struct arena arena;
    uint64_t events;
    const struct rule_fired *fired;
    size_t n;
};

static void bench_start(struct bench *b, const char *correlation)
{
    struct buf text = {0};
    buf_addf(&text, BASES "title: t\n%s", correlation);
    buf_add_char(&text, 0);
    *b = (struct bench){.set = test_set(text.p)};
    buf_done(&text);
    assert_int_equal(rule_correlator_new(b->set, &b->correlator), 0);
}

static void bench_end(struct bench *b)
{
    rule_correlator_free(b->correlator);
    rule_set_free(b->set);
    arena_done(&b->arena);
}

// Feeds an event that rule `which` matched; group and value may be NULL for absent. Returns how many fired.
static size_t feed(struct bench *b, char which, uint64_t second, const char *group,
                   const char *value)
{
    struct test_field fields[2] = {
        {"G", {.type = group ? RULE_TEXT : RULE_ABSENT, .text = str_from(group)}},
        {"V", {.type = value ? RULE_TEXT : RULE_ABSENT, .text = str_from(value)}},
    };
    struct test_record context = {b->set, fields, 2};
    struct rule_record record = {test_get, test_each, &context};
    struct rule_match match = {.rule = rule_set_get(b->set, (size_t)(which - 'a'))};
    assert_int_equal(rule_correlate(b->correlator, &match, &record, second * SECOND, ++b->events,
                                    &b->arena, &b->fired, &b->n),
                     0);
    return b->n;
}

static void test_event_count_fires_within_the_timespan_and_group(void **state)
{
    (void)state;
    struct bench b;
    bench_start(&b, "correlation: {type: event_count, rules: [a, b], group-by: [G], timespan: 1m,"
                    " condition: {gte: 3}}\n");
    assert_int_equal(feed(&b, 'a', 0, "x", NULL), 0);
    assert_int_equal(feed(&b, 'b', 1, "x", NULL), 0);
    assert_int_equal(feed(&b, 'a', 2, "y", NULL), 0);
    assert_int_equal(feed(&b, 'c', 3, "x", NULL), 0);  // not named
    assert_int_equal(feed(&b, 'a', 4, NULL, NULL), 0); // without its group
    assert_int_equal(feed(&b, 'a', 61, "x", NULL), 0); // the first is too old by now
    assert_int_equal(feed(&b, 'a', 61, "x", NULL), 1);
    assert_ptr_equal(b.fired->rule, rule_set_get(b.set, 3));
    assert_int_equal(b.fired->n, 3);
    assert_int_equal(b.fired->event_ids[0], 2);
    assert_int_equal(b.fired->event_ids[1], 6);
    assert_int_equal(b.fired->event_ids[2], 7);
    bench_end(&b);
}

static void test_a_correlation_fires_once_in_its_timespan(void **state)
{
    (void)state;
    struct bench b;
    bench_start(&b, "correlation: {type: event_count, rules: [a], group-by: [G], timespan: 10s,"
                    " condition: {gte: 2}}\n");
    assert_int_equal(feed(&b, 'a', 0, "x", NULL), 0);
    assert_int_equal(feed(&b, 'a', 1, "x", NULL), 1);
    for (uint64_t t = 2; t < 11; t++)
        assert_int_equal(feed(&b, 'a', t, "x", NULL), 0);
    assert_int_equal(feed(&b, 'a', 11, "x", NULL), 1);
    assert_int_equal(feed(&b, 'a', 11, "y", NULL), 0);
    assert_int_equal(feed(&b, 'a', 11, "y", NULL), 1); // another group
    bench_end(&b);
}

static void test_value_count_counts_different_values(void **state)
{
    (void)state;
    struct bench b;
    bench_start(&b, "correlation: {type: value_count, rules: [a], group-by: [G], timespan: 60s,"
                    " condition: {field: V, gt: 2}}\n");
    assert_int_equal(feed(&b, 'a', 0, "x", "1"), 0);
    assert_int_equal(feed(&b, 'a', 1, "x", "1"), 0);
    assert_int_equal(feed(&b, 'a', 2, "x", "2"), 0);
    assert_int_equal(feed(&b, 'a', 3, "x", NULL), 0);
    assert_int_equal(feed(&b, 'a', 4, "x", "1"), 0);
    assert_int_equal(feed(&b, 'a', 61, "x", "3"), 1); // "1" was seen anew at 4
    assert_int_equal(b.fired->n, 3);
    assert_int_equal(b.fired->event_ids[0], 3);
    assert_int_equal(b.fired->event_ids[1], 5);
    bench_end(&b);
}

static void test_temporal_needs_every_rule_in_any_order(void **state)
{
    (void)state;
    struct bench b;
    bench_start(&b,
                "correlation: {type: temporal, rules: [a, b, c], group-by: [G], timespan: 5s}\n");
    assert_int_equal(feed(&b, 'c', 0, "x", NULL), 0);
    assert_int_equal(feed(&b, 'a', 3, "x", NULL), 0);
    assert_int_equal(feed(&b, 'a', 4, "x", NULL), 0);
    assert_int_equal(feed(&b, 'b', 6, "x", NULL), 0); // c is too old
    assert_int_equal(feed(&b, 'c', 7, "x", NULL), 1);
    assert_int_equal(b.fired->n, 3);
    bench_end(&b);
    bench_start(&b, "correlation: {type: temporal, rules: [a, b, c], group-by: [G], timespan: 5s,"
                    " condition: {gte: 2}}\n");
    assert_int_equal(feed(&b, 'c', 0, "x", NULL), 0);
    assert_int_equal(feed(&b, 'c', 1, "x", NULL), 0);
    assert_int_equal(feed(&b, 'a', 2, "x", NULL), 1);
    bench_end(&b);
}

static void test_temporal_ordered_needs_the_order(void **state)
{
    (void)state;
    struct bench b;
    bench_start(&b, "correlation: {type: temporal_ordered, rules: [a, b, c], group-by: [G],"
                    " timespan: 10s}\n");
    assert_int_equal(feed(&b, 'b', 0, "x", NULL), 0);
    assert_int_equal(feed(&b, 'a', 1, "x", NULL), 0);
    assert_int_equal(feed(&b, 'c', 2, "x", NULL), 0);
    assert_int_equal(feed(&b, 'b', 3, "x", NULL), 0);
    assert_int_equal(feed(&b, 'a', 4, "x", NULL), 0); // a newer beginning does not undo a, b
    assert_int_equal(feed(&b, 'c', 5, "y", NULL), 0);
    assert_int_equal(feed(&b, 'c', 11, "x", NULL), 1);
    assert_int_equal(b.fired->event_ids[0], 2);
    assert_int_equal(b.fired->event_ids[1], 4);
    assert_int_equal(b.fired->event_ids[2], 7);
    assert_int_equal(feed(&b, 'a', 30, "x", NULL), 0);
    assert_int_equal(feed(&b, 'b', 31, "x", NULL), 0);
    assert_int_equal(feed(&b, 'c', 41, "x", NULL), 0); // longer than the timespan
    bench_end(&b);
}

static void test_correlations_may_be_chained_and_support_is_silent(void **state)
{
    (void)state;
    struct bench b;
    bench_start(&b, "name: many\ncorrelation: {type: event_count, rules: [a], group-by: [G],"
                    " timespan: 1m, condition: {gte: 2}}\n---\ntitle: u\ncorrelation: {type:"
                    " temporal_ordered, rules: [many, b], group-by: [G], timespan: 1m}\n");
    assert_true(rule_set_get(b.set, 0)->support);
    assert_false(rule_set_get(b.set, 2)->support);
    assert_true(rule_set_get(b.set, 3)->support);
    assert_int_equal(feed(&b, 'a', 0, "x", NULL), 0);
    assert_int_equal(feed(&b, 'a', 1, "x", NULL), 0);
    assert_int_equal(feed(&b, 'b', 2, "x", NULL), 1);
    assert_ptr_equal(b.fired->rule, rule_set_get(b.set, 4));
    bench_end(&b);
    bench_start(&b, "generate: true\ncorrelation: {type: event_count, rules: [a], group-by: [G],"
                    " timespan: 1m, condition: {gte: 2}}\n");
    assert_false(rule_set_get(b.set, 0)->support);
    bench_end(&b);
}

static void test_aliases_join_different_fields(void **state)
{
    (void)state;
    struct bench b;
    bench_start(&b, "correlation: {type: temporal, rules: [a, b], group-by: [who], timespan: 1m,"
                    " aliases: {who: {a: G, b: V}}}\n");
    assert_int_equal(feed(&b, 'a', 0, "x", "-"), 0);
    assert_int_equal(feed(&b, 'b', 0, "x", "y"), 0);
    assert_int_equal(feed(&b, 'b', 1, "-", "x"), 1);
    bench_end(&b);
}

static void test_state_is_bounded_and_what_is_refused_is_counted(void **state)
{
    (void)state;
    struct bench b;
    char group[32];
    bench_start(&b, "correlation: {type: event_count, rules: [a], group-by: [G], timespan: 1h,"
                    " condition: {gte: 2}}\n");
    for (unsigned i = 0; i < 70000; i++) {
        snprintf(group, sizeof group, "%u", i);
        assert_int_equal(feed(&b, 'a', 0, group, NULL), 0);
    }
    assert_int_equal(rule_correlator_refused(b.correlator), 70000 - 65536);
    assert_int_equal(feed(&b, 'a', 1, "5", NULL), 1);          // known groups go on
    assert_int_equal(feed(&b, 'a', 2 * 3600, "new", NULL), 0); // old groups make room
    assert_int_equal(feed(&b, 'a', 2 * 3600, "new", NULL), 1);
    bench_end(&b);
}

#define CORRELATION(rest) BASES "title: t\ncorrelation: {" rest "}\n"

static void test_bad_correlations_are_refused(void **state)
{
    (void)state;
    test_refused(CORRELATION("type: event_cuont"), -EINVAL, "did you mean 'event_count'?");
    test_refused(CORRELATION("type: value_sum"), -ENOTSUP, "type 'value_sum' are not supported");
    test_refused(CORRELATION("type: temporal"), -EINVAL, "'rules' is missing");
    test_refused(CORRELATION("type: temporal, rules: [a, a]"), -EINVAL, "named twice");
    test_refused(CORRELATION("type: temporal, rules: [a]"), -EINVAL, "'timespan' is missing");
    test_refused(CORRELATION("type: temporal, rules: [a], timespan: 5"), -EINVAL,
                 "for example 90s");
    test_refused(CORRELATION("type: temporal, rules: [a], timespan: 999d"), -E2BIG, "366 days");
    test_refused(CORRELATION("type: event_count, rules: [a], timespan: 5s"), -EINVAL,
                 "'condition' is missing");
    test_refused(CORRELATION("type: event_count, rules: [a], timespan: 5s, condition: {lt: 5}"),
                 -ENOTSUP, "without a least count");
    test_refused(
        CORRELATION("type: event_count, rules: [a], timespan: 5s, condition: {gt: 5, lt: 5}"),
        -EINVAL, "no count can be within");
    test_refused(CORRELATION("type: event_count, rules: [a], timespan: 5s, condition: {gt: 50000}"),
                 -E2BIG, "more than 10,000");
    test_refused(CORRELATION("type: value_count, rules: [a], timespan: 5s, condition: {gt: 5}"),
                 -EINVAL, "needs 'field'");
    test_refused(CORRELATION("type: temporal, rules: [a], timespan: 5s, group-by: [w],"
                             " aliases: {w: {b: G}}"),
                 -EINVAL, "names no field for rule 'a'");
    test_refused(
        CORRELATION("type: temporal, rules: [a], timespan: 5s") "tiercel: {action: prevent}\n",
        -EINVAL, "cannot prevent");
}

static void test_correlations_over_missing_rules_or_themselves_do_not_compile(void **state)
{
    (void)state;
    const char *texts[] = {
        CORRELATION("type: temporal, rules: [a, d], timespan: 5s"),
        BASES "title: t\nname: t\ncorrelation: {type: temporal, rules: [a, u], timespan: 5s}\n---\n"
              "title: u\nname: u\ncorrelation: {type: temporal, rules: [a, t], timespan: 5s}\n"};
    const char *what[] = {"rule 'd' is not in the set", "the correlation counts itself"};
    for (size_t i = 0; i < 2; i++) {
        struct rule_set *set = NULL;
        struct error e = {0};
        assert_int_equal(rule_set_new(NULL, &set), 0);
        assert_int_equal(rule_set_add(set, str_from(texts[i]), "f.yml", &e), 0);
        assert_int_equal(rule_set_compile(set, &e), -EINVAL);
        assert_non_null(strstr(e.what, what[i]));
        assert_string_equal(e.file, "f.yml");
        assert_true(e.line > 12);
        rule_set_free(set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_event_count_fires_within_the_timespan_and_group),
        cmocka_unit_test(test_a_correlation_fires_once_in_its_timespan),
        cmocka_unit_test(test_value_count_counts_different_values),
        cmocka_unit_test(test_temporal_needs_every_rule_in_any_order),
        cmocka_unit_test(test_temporal_ordered_needs_the_order),
        cmocka_unit_test(test_correlations_may_be_chained_and_support_is_silent),
        cmocka_unit_test(test_aliases_join_different_fields),
        cmocka_unit_test(test_state_is_bounded_and_what_is_refused_is_counted),
        cmocka_unit_test(test_bad_correlations_are_refused),
        cmocka_unit_test(test_correlations_over_missing_rules_or_themselves_do_not_compile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
