// SPDX-License-Identifier: Apache-2.0
#include "rule/test_record.h"

static void test_text_is_the_whole_value_in_any_case(void **state)
{
    (void)state;
    assert_true(MATCHES(ITEM("Image: /bin/Sh"), TEXT_FIELD("Image", "/BIN/sH")));
    assert_false(MATCHES(ITEM("Image: /bin/sh"), TEXT_FIELD("Image", "/bin/sh2")));
    assert_false(MATCHES(ITEM("Image: /bin/sh"), TEXT_FIELD("Image", "/usr/bin/sh")));
    assert_false(MATCHES(ITEM("Image: /bin/sh"), TEXT_FIELD("Image", "/bin/sh\n")));
    assert_false(MATCHES(ITEM("Image: /bin/sh"), TEXT_FIELD("Other", "/bin/sh")));
    assert_true(MATCHES(ITEM("Image|cased: /bin/Sh"), TEXT_FIELD("Image", "/bin/Sh")));
    assert_false(MATCHES(ITEM("Image|cased: /bin/Sh"), TEXT_FIELD("Image", "/bin/sh")));
}

static void test_text_holds_bytes_of_any_kind(void **state)
{
    (void)state;
    assert_true(
        MATCHES(ITEM("F: 'a.b[c]+$^(x|y){2}\\d'"), TEXT_FIELD("F", "a.b[c]+$^(x|y){2}\\d")));
    assert_true(MATCHES(ITEM("F|contains: 'b'"), TEXT_FIELD("F", "a\0b\xff\n")));
    assert_true(MATCHES(ITEM("F: \"a\\0b\\n\""), TEXT_FIELD("F", "A\0B\n")));
    assert_true(MATCHES(ITEM("F: 'größe*'"), TEXT_FIELD("F", "größen")));
}

static void test_wildcards_and_their_escapes(void **state)
{
    (void)state;
    assert_true(MATCHES(ITEM("F: 'a*c'"), TEXT_FIELD("F", "abbb\nc")));
    assert_true(MATCHES(ITEM("F: 'a*c'"), TEXT_FIELD("F", "ac")));
    assert_false(MATCHES(ITEM("F: 'a*c'"), TEXT_FIELD("F", "acd")));
    assert_true(MATCHES(ITEM("F: 'a?c'"), TEXT_FIELD("F", "abc")));
    assert_true(MATCHES(ITEM("F: 'a?c'"), TEXT_FIELD("F", "aéc")));
    assert_false(MATCHES(ITEM("F: 'a?c'"), TEXT_FIELD("F", "ac")));
    assert_true(MATCHES(ITEM("F: 'a\\*c'"), TEXT_FIELD("F", "a*c")));
    assert_false(MATCHES(ITEM("F: 'a\\*c'"), TEXT_FIELD("F", "abc")));
    assert_true(MATCHES(ITEM("F: 'a\\?c'"), TEXT_FIELD("F", "a?c")));
    assert_true(MATCHES(ITEM("F: 'a\\\\*'"), TEXT_FIELD("F", "a\\bcd")));
    assert_true(MATCHES(ITEM("F: 'a\\\\\\*'"), TEXT_FIELD("F", "a\\*")));
    assert_false(MATCHES(ITEM("F: 'a\\\\\\*'"), TEXT_FIELD("F", "a\\b")));
    assert_true(MATCHES(ITEM("F: 'a\\b'"), TEXT_FIELD("F", "a\\b")));
    assert_true(MATCHES(ITEM("F: 'a\\\\b'"), TEXT_FIELD("F", "a\\b")));
    assert_true(MATCHES(ITEM("F: 'a\\\\\\b'"), TEXT_FIELD("F", "a\\\\b")));
    assert_true(MATCHES(ITEM("F: 'a\\\\\\\\b'"), TEXT_FIELD("F", "a\\\\b")));
    assert_true(MATCHES(ITEM("F: '*'"), TEXT_FIELD("F", "")));
    assert_false(MATCHES(ITEM("F: '*'"), TEXT_FIELD("G", "")));
    assert_false(MATCHES(ITEM("F: '?*'"), TEXT_FIELD("F", "")));
}

static void test_ends_and_parts(void **state)
{
    (void)state;
    assert_true(MATCHES(ITEM("F|startswith: ab"), TEXT_FIELD("F", "ABc")));
    assert_false(MATCHES(ITEM("F|startswith: ab"), TEXT_FIELD("F", "cab")));
    assert_true(MATCHES(ITEM("F|endswith: ab"), TEXT_FIELD("F", "cab")));
    assert_false(MATCHES(ITEM("F|endswith: ab"), TEXT_FIELD("F", "cab\n")));
    assert_true(MATCHES(ITEM("F|contains: ab"), TEXT_FIELD("F", "cabd")));
    assert_true(MATCHES(ITEM("F|contains: 'a*b'"), TEXT_FIELD("F", "c a x b d")));
    assert_true(MATCHES(ITEM("F|contains|cased: Ab"), TEXT_FIELD("F", "xAb")));
    assert_false(MATCHES(ITEM("F|contains|cased: Ab"), TEXT_FIELD("F", "xab")));
    assert_true(MATCHES(ITEM("F|contains: ''"), TEXT_FIELD("F", "")));
    assert_true(MATCHES(ITEM("F|contains: 4444"), TEXT_FIELD("F", "nc -p 4444")));
}

static void test_lists_are_or_and_all_makes_them_and(void **state)
{
    (void)state;
    assert_true(MATCHES(ITEM("F|contains: [a, b]"), TEXT_FIELD("F", "xb")));
    assert_false(MATCHES(ITEM("F|contains|all: [a, b]"), TEXT_FIELD("F", "xb")));
    assert_true(MATCHES(ITEM("F|contains|all: [a, b]"), TEXT_FIELD("F", "bxa")));
    assert_true(MATCHES(ITEM("F: a, G: b"), TEXT_FIELD("F", "a"), TEXT_FIELD("G", "b")));
    assert_false(MATCHES(ITEM("F: a, G: b"), TEXT_FIELD("F", "a"), TEXT_FIELD("G", "c")));
    const char *maps = "    s: [{F: a}, {F: b, G: c}]\n    condition: s\n";
    assert_true(MATCHES(maps, TEXT_FIELD("F", "a")));
    assert_false(MATCHES(maps, TEXT_FIELD("F", "b")));
    assert_true(MATCHES(maps, TEXT_FIELD("F", "b"), TEXT_FIELD("G", "c")));
}

static void test_a_list_field_is_true_where_any_text_is(void **state)
{
    (void)state;
    static const struct str argv[] = {{"sh", 2}, {"-c", 2}, {"id", 2}};
    struct test_field field = {"Argv", {.type = RULE_LIST, .list = argv, .n = 3}};
    assert_true(MATCHES(ITEM("Argv: -c"), field));
    assert_true(MATCHES(ITEM("Argv|all: [-c, id]"), field));
    assert_false(MATCHES(ITEM("Argv: 'sh -c'"), field));
    assert_false(MATCHES(ITEM("Argv|neq: id"), field));
    struct test_field none = {"Argv", {.type = RULE_LIST}};
    assert_false(MATCHES(ITEM("Argv: '*i*'"), none));
    assert_true(MATCHES(ITEM("Argv|exists: true"), none));
}

static void test_null_empty_and_existence(void **state)
{
    (void)state;
    assert_true(MATCHES(ITEM("F: null"), TEXT_FIELD("G", "")));
    assert_false(MATCHES(ITEM("F: null"), TEXT_FIELD("F", "")));
    assert_true(MATCHES(ITEM("F: ''"), TEXT_FIELD("F", "")));
    assert_false(MATCHES(ITEM("F: ''"), TEXT_FIELD("F", "x")));
    assert_false(MATCHES(ITEM("F: ''"), TEXT_FIELD("G", "")));
    assert_true(MATCHES(ITEM("F: [null, '']"), TEXT_FIELD("G", "")));
    assert_true(MATCHES(ITEM("F|exists: true"), TEXT_FIELD("F", "")));
    assert_false(MATCHES(ITEM("F|exists: true"), TEXT_FIELD("G", "")));
    assert_true(MATCHES(ITEM("F|exists: false"), TEXT_FIELD("G", "")));
}

static void test_numbers_and_bools(void **state)
{
    (void)state;
    assert_true(MATCHES(ITEM("F: 22"), NUMBER_FIELD("F", 22)));
    assert_true(MATCHES(ITEM("F: 22"), TEXT_FIELD("F", "22")));
    assert_true(MATCHES(ITEM("F: 0x16"), NUMBER_FIELD("F", 22)));
    assert_true(MATCHES(ITEM("F: '22'"), NUMBER_FIELD("F", 22)));
    assert_true(MATCHES(ITEM("F: -1"), NUMBER_FIELD("F", -1)));
    assert_true(MATCHES(ITEM("F|startswith: 2"), NUMBER_FIELD("F", 22)));
    assert_false(MATCHES(ITEM("F: 2"), NUMBER_FIELD("F", 22)));
    assert_true(MATCHES(ITEM("F: 0644"), TEXT_FIELD("F", "0644")));
    assert_true(MATCHES(ITEM("F: true"), TEXT_FIELD("F", "True")));
    assert_true(MATCHES(ITEM("F|gt: 5"), NUMBER_FIELD("F", 6)));
    assert_false(MATCHES(ITEM("F|gt: 5"), NUMBER_FIELD("F", 5)));
    assert_true(MATCHES(ITEM("F|gte: 5"), TEXT_FIELD("F", "5")));
    assert_true(MATCHES(ITEM("F|lt: 5"), NUMBER_FIELD("F", -6)));
    assert_true(MATCHES(ITEM("F|lte: 5"), NUMBER_FIELD("F", 5)));
    assert_false(MATCHES(ITEM("F|lt: 5"), TEXT_FIELD("F", "few")));
    assert_false(MATCHES(ITEM("F|lt: 5"), TEXT_FIELD("G", "1")));
}

static void test_not_with_absent_field_is_true(void **state)
{
    (void)state;
    const char *filtered = "    s: {F: a}\n    filter: {G: b}\n    condition: s and not filter\n";
    assert_true(MATCHES(filtered, TEXT_FIELD("F", "a")));
    assert_true(MATCHES(filtered, TEXT_FIELD("F", "a"), TEXT_FIELD("G", "c")));
    assert_false(MATCHES(filtered, TEXT_FIELD("F", "a"), TEXT_FIELD("G", "b")));
    assert_true(MATCHES(ITEM("F|neq: a"), TEXT_FIELD("G", "a")));
    assert_true(MATCHES(ITEM("F|neq: a"), TEXT_FIELD("F", "b")));
    assert_false(MATCHES(ITEM("F|neq: a"), TEXT_FIELD("F", "A")));
    assert_false(MATCHES(ITEM("F|neq: [a, b]"), TEXT_FIELD("F", "b")));
    assert_true(MATCHES(ITEM("F|neq: 5"), NUMBER_FIELD("F", 6)));
    assert_false(MATCHES(ITEM("F|neq: a, F|exists: true"), TEXT_FIELD("G", "a")));
}

static void test_keywords_search_the_whole_record(void **state)
{
    (void)state;
    const char *any = "    k: [evil, 'a*z']\n    condition: k\n";
    assert_true(MATCHES(any, TEXT_FIELD("F", "x"), TEXT_FIELD("G", "an EVIL one")));
    assert_true(MATCHES(any, TEXT_FIELD("F", "xx abcz xx")));
    assert_false(MATCHES(any, TEXT_FIELD("F", "ev"), TEXT_FIELD("G", "il")));
    const char *all = "    k: {'|all': [one, two]}\n    condition: k\n";
    assert_true(MATCHES(all, TEXT_FIELD("F", "one"), TEXT_FIELD("G", "two")));
    assert_false(MATCHES(all, TEXT_FIELD("F", "one")));
    assert_true(MATCHES("    k: {'|re': '^o.e$'}\n    condition: k\n", TEXT_FIELD("F", "one")));
    assert_true(MATCHES("    k: evil\n    condition: k\n", TEXT_FIELD("F", "evil")));
}

static void test_regular_expressions_search_with_case(void **state)
{
    (void)state;
    assert_true(MATCHES(ITEM("F|re: 'b+c'"), TEXT_FIELD("F", "abbcd")));
    assert_false(MATCHES(ITEM("F|re: 'B+c'"), TEXT_FIELD("F", "abbcd")));
    assert_true(MATCHES(ITEM("F|re|i: 'B+c'"), TEXT_FIELD("F", "abbcd")));
    assert_true(MATCHES(ITEM("F|re|ignorecase: 'B+c'"), TEXT_FIELD("F", "abbcd")));
    assert_false(MATCHES(ITEM("F|re: '^b$'"), TEXT_FIELD("F", "a\nb\nc")));
    assert_true(MATCHES(ITEM("F|re|m: '^b$'"), TEXT_FIELD("F", "a\nb\nc")));
    assert_false(MATCHES(ITEM("F|re: 'a.b'"), TEXT_FIELD("F", "a\nb")));
    assert_true(MATCHES(ITEM("F|re|s: 'a.b'"), TEXT_FIELD("F", "a\nb")));
    assert_true(MATCHES(ITEM("F|re|i|m|s: '^A.b$'"), TEXT_FIELD("F", "x\na\nb\ny")));
    assert_true(MATCHES(ITEM("F|re: ''"), TEXT_FIELD("F", "")));
    assert_true(MATCHES(ITEM("F|re|all: ['a', 'b']"), TEXT_FIELD("F", "ba")));
    assert_false(MATCHES(ITEM("F|re: 'a'"), TEXT_FIELD("G", "a")));
}

static void test_regular_expressions_that_vectorscan_refuses_work_too(void **state)
{
    (void)state;
    assert_true(MATCHES(ITEM("F|re: '(.)\\1'"), TEXT_FIELD("F", "abb")));
    assert_false(MATCHES(ITEM("F|re: '(.)\\1'"), TEXT_FIELD("F", "aba")));
    assert_true(MATCHES(ITEM("F|re: 'foo(?!bar)'"), TEXT_FIELD("F", "foobaz")));
    assert_false(MATCHES(ITEM("F|re: 'foo(?!bar)'"), TEXT_FIELD("F", "foobar")));
    assert_true(MATCHES(ITEM("F|re: '(?<=x)y'"), TEXT_FIELD("F", "xy")));
    const char *not = "    s: {F|re: 'foo(?!bar)'}\n    condition: not s\n";
    assert_true(MATCHES(not, TEXT_FIELD("F", "foobar")));
    assert_false(MATCHES(not, TEXT_FIELD("F", "foo")));
    assert_true(MATCHES("    k: {'|re': '(.)\\1'}\n    condition: k\n", TEXT_FIELD("F", "x"),
                        TEXT_FIELD("G", "yy")));
}

static void test_addresses(void **state)
{
    (void)state;
    assert_true(MATCHES(ITEM("F|cidr: 10.0.0.0/8"), TEXT_FIELD("F", "10.255.0.1")));
    assert_false(MATCHES(ITEM("F|cidr: 10.0.0.0/8"), TEXT_FIELD("F", "11.0.0.1")));
    assert_true(MATCHES(ITEM("F|cidr: 172.16.0.0/12"), TEXT_FIELD("F", "172.31.0.1")));
    assert_false(MATCHES(ITEM("F|cidr: 172.16.0.0/12"), TEXT_FIELD("F", "172.32.0.1")));
    assert_true(MATCHES(ITEM("F|cidr: 10.0.0.0/8"), TEXT_FIELD("F", "::ffff:10.0.0.1")));
    assert_true(MATCHES(ITEM("F|cidr: 'fe80::/10'"), TEXT_FIELD("F", "fe81::1")));
    assert_false(MATCHES(ITEM("F|cidr: 'fe80::/10'"), TEXT_FIELD("F", "10.0.0.1")));
    assert_true(MATCHES(ITEM("F|cidr: 0.0.0.0/0"), TEXT_FIELD("F", "10.0.0.1")));
    assert_false(MATCHES(ITEM("F|cidr: 0.0.0.0/0"), TEXT_FIELD("F", "fe80::1")));
    assert_false(MATCHES(ITEM("F|cidr: 0.0.0.0/0"), TEXT_FIELD("F", "name.example")));
    assert_true(MATCHES(ITEM("F|cidr: [1.2.3.4/32, 1.2.3.5]"), TEXT_FIELD("F", "1.2.3.5")));
}

static void test_field_references(void **state)
{
    (void)state;
    const struct test_field a = TEXT_FIELD("A", "/usr/bin/Sh"), b = TEXT_FIELD("B", "/usr/bin/sh");
    const struct test_field c = TEXT_FIELD("C", "sh");
    assert_true(MATCHES(ITEM("A|fieldref: B"), a, b));
    assert_false(MATCHES(ITEM("A|fieldref|cased: B"), a, b));
    assert_false(MATCHES(ITEM("A|fieldref: C"), a, c));
    assert_true(MATCHES(ITEM("A|fieldref|endswith: C"), a, c));
    assert_true(MATCHES(ITEM("A|endswith|fieldref: C"), a, c));
    assert_false(MATCHES(ITEM("A|fieldref|startswith: C"), a, c));
    assert_true(MATCHES(ITEM("A|fieldref|contains: C"), a, c));
    assert_false(MATCHES(ITEM("C|fieldref|contains: A"), a, c));
    assert_true(MATCHES(ITEM("A|fieldref|neq: C"), a, c));
    assert_false(MATCHES(ITEM("A|fieldref|neq: B"), a, b));
    assert_false(MATCHES(ITEM("A|fieldref: D"), a));
    assert_true(MATCHES(ITEM("A|fieldref|neq: D"), a));
}

static void test_encodings(void **state)
{
    (void)state;
    assert_true(MATCHES(ITEM("F|base64: foobar"), TEXT_FIELD("F", "Zm9vYmFy")));
    assert_true(MATCHES(ITEM("F|base64: fooba"), TEXT_FIELD("F", "Zm9vYmE=")));
    // "http://" at each of the three positions
    assert_true(MATCHES(ITEM("F|base64offset|contains: 'http://'"),
                        TEXT_FIELD("F", "aHR0cDovL2V4YW1wbGU=")));
    assert_true(MATCHES(ITEM("F|base64offset|contains: 'http://'"),
                        TEXT_FIELD("F", "eGh0dHA6Ly9leGFtcGxl")));
    assert_true(MATCHES(ITEM("F|base64offset|contains: 'http://'"),
                        TEXT_FIELD("F", "eHhodHRwOi8vZXhhbXBsZQ==")));
    assert_false(MATCHES(ITEM("F|base64offset|contains: 'http://'"),
                         TEXT_FIELD("F", "aHR0cHM6Ly9leGFtcGxl")));
    assert_true(MATCHES(ITEM("F|wide: cm"), TEXT_FIELD("F", "c\0m\0")));
    assert_true(MATCHES(ITEM("F|utf16le: é"), TEXT_FIELD("F", "\xe9\0")));
    assert_true(MATCHES(ITEM("F|utf16be: cm"), TEXT_FIELD("F", "\0c\0m")));
    assert_true(MATCHES(ITEM("F|utf16: c"), TEXT_FIELD("F", "\xff\xfe"
                                                            "c\0")));
    assert_true(MATCHES(ITEM("F|wide|base64: ping"), TEXT_FIELD("F", "cABpAG4AZwA=")));
    assert_true(MATCHES(ITEM("F|wide|base64offset|contains: whoami"),
                        TEXT_FIELD("F", "-enc dwBoAG8AYQBtAGkA")));
}

static void test_windash_takes_any_dash_at_the_start_of_a_word(void **state)
{
    (void)state;
    const char *rule = ITEM("F|contains|windash: ' -a-b /c'");
    assert_true(MATCHES(rule, TEXT_FIELD("F", "x -a-b /c")));
    assert_true(MATCHES(rule, TEXT_FIELD("F", "x /a-b -c")));
    assert_true(MATCHES(rule, TEXT_FIELD("F", "x –a-b ―c")));
    assert_true(MATCHES(rule, TEXT_FIELD("F", "x —a-b —c")));
    assert_false(MATCHES(rule, TEXT_FIELD("F", "x -a/b /c")));
    assert_true(MATCHES(ITEM("F|windash|contains|all: ['-a', '/b']"), TEXT_FIELD("F", "-b /a")));
}

static void test_parts_of_times(void **state)
{
    (void)state;
    const struct test_field text = TEXT_FIELD("T", "2025-12-29 23:07:27.908");
    const struct test_field seconds = NUMBER_FIELD("T", 1767049647); // the same second
    const struct test_field ns = NUMBER_FIELD("T", 1767049647908000000);
    assert_true(
        MATCHES(ITEM("T|minute: 7, T|hour: 23, T|day: 29, T|month: 12, T|year: 2025"), text));
    assert_true(MATCHES(ITEM("T|minute: 7, T|hour: 23, T|day: 29, T|month: 12"), seconds));
    assert_true(MATCHES(ITEM("T|minute: 7, T|hour: 23, T|day: 29, T|month: 12"), ns));
    assert_true(
        MATCHES(ITEM("T|week: 1"), text)); // ISO 8601: the week of the year's first Thursday
    assert_false(MATCHES(ITEM("T|hour: 22"), text));
    assert_false(MATCHES(ITEM("T|hour: 0"), TEXT_FIELD("T", "2025-12-29")));
    assert_false(MATCHES(ITEM("T|day: 1"), TEXT_FIELD("T", "yesterday")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_is_the_whole_value_in_any_case),
        cmocka_unit_test(test_text_holds_bytes_of_any_kind),
        cmocka_unit_test(test_wildcards_and_their_escapes),
        cmocka_unit_test(test_ends_and_parts),
        cmocka_unit_test(test_lists_are_or_and_all_makes_them_and),
        cmocka_unit_test(test_a_list_field_is_true_where_any_text_is),
        cmocka_unit_test(test_null_empty_and_existence),
        cmocka_unit_test(test_numbers_and_bools),
        cmocka_unit_test(test_not_with_absent_field_is_true),
        cmocka_unit_test(test_keywords_search_the_whole_record),
        cmocka_unit_test(test_regular_expressions_search_with_case),
        cmocka_unit_test(test_regular_expressions_that_vectorscan_refuses_work_too),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_field_references),
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_windash_takes_any_dash_at_the_start_of_a_word),
        cmocka_unit_test(test_parts_of_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
