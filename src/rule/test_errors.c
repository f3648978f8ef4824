// SPDX-License-Identifier: Apache-2.0
#include "rule/test_record.h"

#include <errno.h>

// `item` stands in line 4, column 9.
static void item_refused(const char *item, int code, const char *message)
{
    struct buf b = {0};
    buf_addf(&b, "title: t\nlogsource: {}\ndetection:\n    s: {%s}\n    condition: s\n", item);
    buf_add_char(&b, 0);
    test_refused(b.p, code, message);
    buf_done(&b);
}

#define RULE "title: t\nlogsource: {}\ndetection: {s: {F: a}, condition: s}\n"

static void test_malformed_documents_are_refused(void **state)
{
    (void)state;
    test_refused("", -EINVAL, "no rule in the file");
    test_refused("---\n---\n", -EINVAL, "no rule in the file");
    test_refused("- a\n", -EINVAL, "1:1: a rule must be a map");
    test_refused("a: [\n", -EINVAL, "2:1: ");
    test_refused("a: \xff\n", -EINVAL, "not UTF-8");
    test_refused("a: 1\nb: 2\na: 3\n", -EINVAL, "3:1: key 'a' is given twice, first in line 1");
    test_refused("a: *x\n", -EINVAL, "1:4: alias without an anchor");
    test_refused("a: &x [*x]\n", -EINVAL, "alias without an anchor");
    test_refused("a: &x {b: c}\nd: {<<: *x}\n", -ENOTSUP, "2:5: merge keys");
    test_refused("[a, b]: c\n", -EINVAL, "a key must be a text");
    test_refused("title: t\n", -EINVAL, "1:1: 'logsource' is missing");
    test_refused("logsource: {}\n", -EINVAL, "'title' is missing");
    test_refused("title: t\nlogsource: {}\n", -EINVAL, "'detection' is missing");
    test_refused("title: t\nlogsource: {}\ndetection: {s: {a: b}}\n", -EINVAL,
                 "3:12: 'condition' is missing");
    test_refused(RULE "level: hihg\n", -EINVAL, "4:8: unknown level 'hihg'; did you mean 'high'?");
    test_refused(RULE "tags: {a: b}\n", -EINVAL, "4:7: 'tags' must be a list");
    test_refused(RULE "---\n" RULE "level: none\n", -EINVAL, "8:8: unknown level");
    test_refused("title: t\nlogsource: {}\ndetection: {s: {F: a}, condition: s, timeframe: 5m}\n",
                 -ENOTSUP, "3:38: 'timeframe' is obsolete");
    test_refused(RULE "filter: {}\n", -ENOTSUP, "4:9: filter documents");
}

static void test_own_keys_are_checked(void **state)
{
    (void)state;
    test_refused(RULE "tiercel: {acton: detect}\n", -EINVAL,
                 "4:11: unknown key 'acton' under 'tiercel'; did you mean 'action'?");
    test_refused(RULE "tiercel: {action: block}\n", -EINVAL, "4:19: unknown action 'block'");
    test_refused(RULE "tiercel: {kill: all}\n", -EINVAL, "4:17: unknown kill 'all'");
    test_refused(RULE "tiercel: prevent\n", -EINVAL, "'tiercel' must be a map");
    struct rule_set *set =
        test_set(RULE "tiercel: {action: prevent, kill: lineage}\nmine: {a: b}\n");
    assert_int_equal(rule_set_get(set, 0)->action, RULE_PREVENT);
    assert_true(rule_set_get(set, 0)->kill_lineage);
    rule_set_free(set);
    set = test_set(RULE);
    assert_int_equal(rule_set_get(set, 0)->action, RULE_DETECT);
    assert_false(rule_set_get(set, 0)->kill_lineage);
    rule_set_free(set);
}

static void test_bad_selections_are_refused(void **state)
{
    (void)state;
    item_refused("", -EINVAL, "4:8: an empty selection");
    item_refused("F: []", -EINVAL, "4:12: an empty list");
    item_refused("F: {a: b}", -EINVAL, "4:12: a value must be a text");
    item_refused("F: [a, [b]]", -EINVAL, "4:16: a value must be a text");
    item_refused("F: 99999999999999999999", -EINVAL, "4:12: '99999999999999999999' is too large");
    item_refused("'': 5, '|all': [a, null]", -EINVAL, "a keyword cannot be null");
    test_refused("title: t\nlogsource: {}\ndetection: {s: [[a]], condition: s}\n", -EINVAL,
                 "a list in a list");
    test_refused("title: t\nlogsource: {}\ndetection: {s: , condition: s}\n", -EINVAL,
                 "3:16: a keyword cannot be null");
}

static void test_bad_modifiers_are_refused_with_their_column(void **state)
{
    (void)state;
    item_refused("F|contians: a", -EINVAL,
                 "4:11: unknown modifier 'contians'; did you mean 'contains'?");
    item_refused("'F|contains|contians': a", -EINVAL, "4:21: unknown modifier");
    item_refused("'F|': a", -EINVAL, "unknown modifier ''");
    item_refused("F|contains|re: a", -EINVAL, "4:20: modifier 're' must come before");
    item_refused("F|re|contains: a", -EINVAL, "cannot follow 're'");
    item_refused("F|re|base64: a", -EINVAL, "the value is no text any more");
    item_refused("F|re|cidr: a", -EINVAL, "cannot follow another modifier that changes the type");
    item_refused("F|i: a", -EINVAL, "modifier 'i' must follow 're'");
    item_refused("F|re|i|ignorecase: a", -EINVAL, "modifier 'ignorecase' is given twice");
    item_refused("F|re|cased: a", -EINVAL, "modifier 'cased' applies to texts");
    item_refused("F|cased|re: a", -EINVAL, "modifier 'cased' applies to texts");
    item_refused("F|all|contains|all: [a, b]", -EINVAL, "modifier 'all' is given twice");
    item_refused("F|contains|all: a", -EINVAL, "4:9: modifier 'all' needs a list");
    item_refused("F|expand: '%a%'", -ENOTSUP, "4:11: modifier 'expand'");
    item_refused("F|lt: a", -EINVAL, "4:15: 'a': a comparison takes a whole number");
    item_refused("F|lt: '5'", -EINVAL, "write it without quotes");
    item_refused("F|lt: 1.5", -EINVAL, "takes a whole number");
    item_refused("F|lt|contains: 5", -EINVAL, "no text any more");
    item_refused("F|hour: 24", -EINVAL, "24 is not between 0 and 23");
    item_refused("F|exists: 1", -EINVAL, "'exists' takes true or false");
    item_refused("F|exists: [true]", -EINVAL, "'exists' takes true or false");
    item_refused("F|exists: 'true'", -EINVAL, "'exists' takes true or false");
    item_refused("F|contains: null", -EINVAL, "null takes no modifiers");
    item_refused("F|cidr: 10.0.0.1/8", -EINVAL, "4:17: '10.0.0.1/8': has bits set behind");
    item_refused("F|cidr: 10.0.0.0/33", -EINVAL, "the prefix must be 0 to 32");
    item_refused("F|cidr: ten", -EINVAL, "not an address block");
    item_refused("F|base64: 'a*'", -EINVAL, "it has wildcards");
    item_refused("F|wide: \"\\xff\\u0080\", F|contains|base64: a", -EINVAL, "it has wildcards");
    item_refused("'|cidr': 10.0.0.0/8", -EINVAL, "keywords (no field name) take texts");
    item_refused("F|contains|windash: ' -a -b -c -d -e'", -E2BIG, "too long or too many");
}

static void test_bad_regular_expressions_are_refused_with_their_column(void **state)
{
    (void)state;
    item_refused("F|re: 'a(b'", -EINVAL, "4:19: regular expression: missing closing parenthesis");
    item_refused("F|re: '[z-a]'", -EINVAL, "regular expression: range out of order");
    item_refused("F|re: '(*UTF)a'", -EINVAL, "regular expression: ");
    item_refused("F|re: \"a\\0b\"", -EINVAL, "regular expression: ");
    struct buf b = {0};
    buf_addf(&b, "F|re: '%04097d'", 1);
    buf_add_char(&b, 0);
    item_refused(b.p, -E2BIG, "4:15: a regular expression of more than 4,096 bytes");
    buf_reset(&b);
    buf_addf(&b, "F|re: '%0200d%0200d'", 1, 2);
    for (size_t i = 7; i < 207; i++)
        b.p[i] = '(', b.p[i + 200] = ')';
    buf_add_char(&b, 0);
    item_refused(b.p, -EINVAL, "regular expression: ");
    buf_done(&b);
}

static bool image_only(void *context, struct str category, struct str service, struct str field,
                       const char **ret_nearest)
{
    (void)context, (void)service;
    *ret_nearest = "Image";
    return str_eq(category, STR("process_creation")) && str_eq(field, STR("Image"));
}

static void test_unknown_fields_are_refused_with_the_nearest_name(void **state)
{
    (void)state;
    const struct rule_options options = {image_only, NULL};
    struct rule_set *set = NULL;
    struct error e = {0};
    assert_int_equal(rule_set_new(&options, &set), 0);
    const char *good = "title: t\nlogsource: {category: process_creation}\n"
                       "detection: {s: {Image: a}, condition: s}\n";
    const char *bad = "title: t\nlogsource: {category: process_creation}\n"
                      "detection: {s: {Imgae|contains: a}, condition: s}\n";
    assert_int_equal(rule_set_add(set, str_from(good), "a", &e), 0);
    assert_int_equal(rule_set_add(set, str_from(bad), "b", &e), -EINVAL);
    assert_string_equal(e.what, "unknown field 'Imgae' in process_creation");
    assert_string_equal(e.way_out, "did you mean 'Image'?");
    assert_int_equal(e.line, 3);
    assert_int_equal(e.column, 17);
    assert_int_equal(rule_set_count(set), 1);
    rule_set_free(set);
}

static void test_files_have_limits(void **state)
{
    (void)state;
    struct buf b = {0};
    for (int i = 0; i < 40; i++)
        buf_addf(&b, "[");
    buf_add_char(&b, 0);
    test_refused(b.p, -E2BIG, "nested deeper than 32 levels");
    buf_reset(&b);
    buf_addf(&b, "title: &t t\nx: [");
    for (int i = 0; i < 65; i++)
        buf_addf(&b, "*t, ");
    buf_addf(&b, "]\n%c", 0);
    test_refused(b.p, -E2BIG, "more than 64 aliases");
    buf_reset(&b);
    buf_addf(&b, "title: t\nlogsource: {}\ndetection:\n    condition: s\n    s: {F: [");
    for (int i = 0; i < 10001; i++)
        buf_addf(&b, "%d, ", i);
    buf_addf(&b, "]}\n%c", 0);
    test_refused(b.p, -E2BIG, "more than 10,000 values");
    buf_reset(&b);
    // Aliases multiply what is written: the values count, not the bytes.
    buf_addf(&b, "title: t\nlogsource: {}\ndetection:\n    condition: s\n    s:\n    - F: &l [");
    for (int i = 0; i < 500; i++)
        buf_addf(&b, "%d, ", i);
    buf_addf(&b, "]\n");
    for (int i = 0; i < 30; i++)
        buf_addf(&b, "    - G%d: *l\n", i);
    buf_add_char(&b, 0);
    test_refused(b.p, -E2BIG, "more than 10,000 values");
    buf_reset(&b);
    memset(buf_room(&b, (1 << 20) + 2), '#', (1 << 20) + 1);
    b.p[(1 << 20) + 1] = 0;
    test_refused(b.p, -E2BIG, "more than the limit of 1 MiB");
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed_documents_are_refused),
        cmocka_unit_test(test_own_keys_are_checked),
        cmocka_unit_test(test_bad_selections_are_refused),
        cmocka_unit_test(test_bad_modifiers_are_refused_with_their_column),
        cmocka_unit_test(test_bad_regular_expressions_are_refused_with_their_column),
        cmocka_unit_test(test_unknown_fields_are_refused_with_the_nearest_name),
        cmocka_unit_test(test_files_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
