// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"

#include "agent/thrift.h"
#include <stdlib.h>
#include <string.h>

#define SECOND 1000000000ull
enum { LONG = 30000, MANY = 400 };

struct line {
    Tiercel__Event event;
    Tiercel__Process process;
    ProtobufCBinaryData argv[3];
};

static char text[LONG];

static void line_init(struct line *l, size_t bytes)
{
    tiercel__event__init(&l->event);
    tiercel__process__init(&l->process);
    l->argv[0] = (ProtobufCBinaryData){4, (uint8_t *)text};
    l->argv[1] = (ProtobufCBinaryData){bytes, (uint8_t *)text};
    l->argv[2] = (ProtobufCBinaryData){1, (uint8_t *)text};
    l->process.argv = l->argv;
    l->process.n_argv = 3;
    l->event.process = &l->process;
}

static size_t spend(struct thrift *t, struct line *lines, size_t n, size_t bytes, uint64_t now)
{
    Tiercel__Batch batch = TIERCEL__BATCH__INIT;
    Tiercel__Event *events[MANY];
    for (size_t i = 0; i < n; i++) {
        line_init(&lines[i], bytes);
        events[i] = &lines[i].event;
    }
    batch.events = events;
    batch.n_events = n;
    return thrift_batch(t, &batch, now);
}

static size_t bytes_of(const struct line *l)
{
    size_t n = 0;
    for (size_t i = 0; i < l->process.n_argv; i++)
        n += l->process.argv[i].len + 1;
    return n;
}

static void test_few_are_kept_whole_and_a_flood_is_cut(void **state)
{
    (void)state;
    struct thrift t = {0};
    static struct line lines[MANY];
    assert_int_equal(spend(&t, lines, 20, LONG, SECOND), 0);
    assert_int_equal(bytes_of(&lines[19]), LONG + 8);
    assert_false(lines[19].process.argv_cut);
    size_t cut = spend(&t, lines, MANY, LONG, SECOND);
    assert_in_range(cut, MANY - THRIFT_BURST / (LONG - THRIFT_FREE), MANY - 1);
    const struct line *last = &lines[MANY - 1];
    assert_true(last->process.argv_cut);
    assert_in_range(bytes_of(last), THRIFT_FREE - 1, THRIFT_FREE + 1);
    assert_int_equal(last->process.n_argv, 2);
}

static void test_short_ones_are_never_cut(void **state)
{
    (void)state;
    struct thrift t = {.spent = THRIFT_BURST, .last_ns = SECOND};
    static struct line lines[MANY];
    assert_int_equal(spend(&t, lines, MANY, THRIFT_FREE - 8, SECOND), 0);
    assert_false(lines[0].process.argv_cut);
    assert_int_equal(lines[0].process.n_argv, 3);
}

static void test_the_budget_comes_back_with_time(void **state)
{
    (void)state;
    struct thrift t = {.spent = THRIFT_BURST, .last_ns = SECOND};
    static struct line lines[1];
    assert_int_equal(spend(&t, lines, 1, LONG, SECOND), 1);
    assert_int_equal(spend(&t, lines, 1, LONG, 2 * SECOND), 0);
    assert_int_equal(spend(&t, lines, 1, LONG, 2 * SECOND), 1);
    t.last_ns = 9 * SECOND; // a clock that went back earns nothing
    assert_int_equal(spend(&t, lines, 1, LONG, 2 * SECOND), 1);
    assert_int_equal(spend(&t, lines, 1, LONG, 100000 * SECOND), 0);
}

static void test_detections_and_their_trees_count(void **state)
{
    (void)state;
    struct thrift t = {.spent = THRIFT_BURST, .last_ns = SECOND};
    static struct line lines[2];
    line_init(&lines[0], LONG);
    line_init(&lines[1], LONG);
    Tiercel__Batch batch = TIERCEL__BATCH__INIT;
    Tiercel__Detection d = TIERCEL__DETECTION__INIT, *detections[] = {&d};
    Tiercel__Event *events[] = {&lines[0].event};
    Tiercel__Process *tree[] = {&lines[1].process};
    d.events = events;
    d.tree = tree;
    d.n_events = d.n_tree = 1;
    batch.detections = detections;
    batch.n_detections = 1;
    assert_int_equal(thrift_batch(&t, &batch, SECOND), 2);
    assert_true(lines[0].process.argv_cut && lines[1].process.argv_cut);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_few_are_kept_whole_and_a_flood_is_cut),
        cmocka_unit_test(test_short_ones_are_never_cut),
        cmocka_unit_test(test_the_budget_comes_back_with_time),
        cmocka_unit_test(test_detections_and_their_trees_count),
    };
    memset(text, 'a', sizeof text);
    return cmocka_run_group_tests_name("thrift", tests, NULL, NULL);
}
