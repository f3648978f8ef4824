// SPDX-License-Identifier: Apache-2.0
#include "rule/test_record.h"

#include <errno.h>

#define SELECTIONS "    a: {F: '*a*'}\n    b1: {F: '*b*'}\n    b2: {F: '*c*'}\n    _x: {F: '*x*'}\n"

// The letters of `text` are the selections that are true.
static bool holds(const char *condition, const char *text)
{
    struct buf b = {0};
    buf_addf(&b, SELECTIONS "    condition: %s\n", condition);
    buf_add_char(&b, 0);
    struct test_field field = {"F", {.type = RULE_TEXT, .text = str_from(text)}};
    bool result = test_matches_n(b.p, &field, 1);
    buf_done(&b);
    return result;
}

static void refused(const char *condition, int code, const char *message)
{
    struct buf b = {0};
    buf_addf(&b, "title: t\nlogsource: {}\ndetection:\n" SELECTIONS "    condition: %s\n",
             condition);
    buf_add_char(&b, 0);
    test_refused(b.p, code, message);
    buf_done(&b);
}

static void test_condition_binds_not_before_and_before_or(void **state)
{
    (void)state;
    assert_true(holds("a or b1 and b2", "a"));
    assert_false(holds("a or b1 and b2", "b"));
    assert_true(holds("a or b1 and b2", "bc"));
    assert_false(holds("(a or b1) and b2", "a"));
    assert_true(holds("not a and b1", "b"));
    assert_false(holds("not a and b1", ""));
    assert_true(holds("not (a and b1)", "b"));
    assert_true(holds("not not a", "a"));
    assert_true(holds("not a", ""));
    assert_true(holds("not a or b1", "ab"));
}

static void test_condition_of_counts_selections(void **state)
{
    (void)state;
    assert_true(holds("1 of b*", "c"));
    assert_true(holds("any of b*", "b"));
    assert_false(holds("1 of b*", "a"));
    assert_false(holds("all of b*", "b"));
    assert_true(holds("all of b*", "bc"));
    assert_true(holds("1 of *1", "b"));
    assert_false(holds("1 of *1", "c"));
    assert_true(holds("all of them", "abc"));
    assert_false(holds("1 of them", "x")); // _x is left out
    assert_true(holds("_x", "x"));
    assert_true(holds("a and not 1 of b*", "a"));
    assert_false(holds("a and not 1 of b*", "ac"));
    assert_true(holds("1 of b1", "b"));
    assert_true(holds("  a\n      and b1", "ab"));
}

static void test_condition_list_is_or(void **state)
{
    (void)state;
    assert_true(holds("[a, b1 and b2]", "a"));
    assert_true(holds("[a, b1 and b2]", "bc"));
    assert_false(holds("[a, b1 and b2]", "b"));
}

static void test_condition_errors_have_a_column(void **state)
{
    (void)state;
    refused("a and c", -EINVAL, "8:22: the condition names 'c', which is not defined");
    refused("a and b3", -EINVAL, "did you mean 'b1'?");
    refused("'a and b3'", -EINVAL, "8:23: ");
    refused("a AND b1", -EINVAL, "8:18: ");
    refused("NOT a", -EINVAL, "operators are written in small letters");
    refused("2 of b*", -ENOTSUP, "8:16: 'N of'");
    refused("1 of c*", -EINVAL, "8:21: no selection has such a name");
    refused("1 of", -EINVAL, "'of' needs");
    refused("a and", -EINVAL, "8:21: the condition ends");
    refused("(a or b1", -EINVAL, "')' is missing");
    refused("a)", -EINVAL, "8:17: expected 'and', 'or'");
    refused("a b1", -EINVAL, "8:18: expected 'and', 'or'");
    refused("and a", -EINVAL, "8:16: expected a selection here");
    refused("a | count() > 5", -ENOTSUP, "obsolete; write a correlation rule");
    refused("a near b1", -ENOTSUP, "'near' in a condition is obsolete");
    refused("a & b1", -EINVAL, "8:18: unexpected character");
    refused("''", -EINVAL, "the condition ends");
    refused("", -EINVAL, "a condition must be a text");
    refused("[]", -EINVAL, "an empty condition");
    refused("{a: b}", -EINVAL, "a condition must be a text");
}

static void test_condition_has_limits(void **state)
{
    (void)state;
    struct buf b = {0};
    for (int i = 0; i < 100; i++)
        buf_add_char(&b, '(');
    buf_add_char(&b, 0);
    refused(b.p, -E2BIG, "nested deeper");
    buf_reset(&b);
    for (int i = 0; i < 100; i++)
        buf_addf(&b, "not ");
    buf_addf(&b, "a%c", 0);
    refused(b.p, -E2BIG, "nested deeper");
    buf_reset(&b);
    for (int i = 0; i < 600; i++)
        buf_addf(&b, "a or ");
    buf_addf(&b, "a%c", 0);
    refused(b.p, -E2BIG, "more than 1,000 words");
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_condition_binds_not_before_and_before_or),
        cmocka_unit_test(test_condition_of_counts_selections),
        cmocka_unit_test(test_condition_list_is_or),
        cmocka_unit_test(test_condition_errors_have_a_column),
        cmocka_unit_test(test_condition_has_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
