// SPDX-License-Identifier: Apache-2.0
#include "rule/factor.h"
#include "rule/regex.h"
#include "rule/set.h"
#include "rule/test_record.h"

#include <errno.h>

// All factors as one text: ^ start, $ end or newline, . end, ! sure, = in this case.
static void factors_are(const char *expression, unsigned flags, const char *expected)
{
    struct arena arena = {0};
    struct rule_factor *list;
    size_t n;
    char told[2048] = "";
    int r = rule_factors(&arena, str_from(expression), flags, &list, &n);
    if (r < 0)
        snprintf(told, sizeof told, "%s", r == -ENOENT ? "none" : strerror(-r));
    for (size_t i = 0, at = 0; r == 0 && i < n; i++) {
        unsigned f = list[i].flags;
        at += (size_t)snprintf(told + at, sizeof told - at, "%s%s%s" STR_FMT "%s%s", i ? " " : "",
                               f & RULE_FACTOR_SURE ? "!" : "", f & RULE_FACTOR_START ? "^" : "",
                               STR_ARG(list[i].text),
                               f & RULE_FACTOR_NEWLINE ? "$"
                               : f & RULE_FACTOR_END   ? "."
                                                       : "",
                               f & RULE_FACTOR_CASED ? "=" : "");
    }
    arena_done(&arena);
    if (strcmp(told, expected) != 0)
        fail_msg("%s: %s, expected %s", expression, told, expected);
}

static void test_plain_text_is_the_answer(void **state)
{
    (void)state;
    factors_are("/bin/sh", 0, "!/bin/sh=");
    factors_are("\\A/Bin/sh\\z", RULE_FLAG_NOCASE, "!^/bin/sh.");
    factors_are("(?i)^/BIN$", 0, "!^/bin$");
    factors_are("(?:^|\\.)(?:a1|b2\\.org)$", 0, "!^a1$= !^b2.org$= !.a1$= !.b2.org$=");
    factors_are("/g?shadow-?$", 0, "!/shadow$= !/shadow-$= !/gshadow$= !/gshadow-$=");
    factors_are("ab{2}[cd]\\x2f", 0, "!abbc/= !abbd/=");
}

static void test_what_is_around_text_is_a_reason_to_ask(void **state)
{
    (void)state;
    factors_are("/(?:python|node)[0-9.]*$", 0, "/python /node");
    factors_are("\\bcurl\\b.*\\|\\s*sh\\b", 0, "curl");
    factors_are("(?:rm|mv)\\s[^;]*_History", 0, "_history");
    factors_are("a(?!b)cd", 0, "acd");
    factors_are("a?+bc", 0, "bc abc");
    factors_are("(?P<q>[\"'])xyz(?P=q)", 0, "\"xyz 'xyz");
    factors_are("^x(?:ab)+$", 0, "^xab");
    factors_are("^start$", RULE_FLAG_MULTILINE, "start");
    factors_are("\\d{3}~$", 0, "~$");
}

static void test_what_says_too_little_or_is_not_understood_has_none(void **state)
{
    (void)state;
    const char *none[] = {
        "",           "[a-z]+",       "\\d{24}",   "ab|[0-9]+",   "^[^.]{40,}\\.", "^$",
        "(?x)a b c",  "abc(?i:def)",  "\\Qabc\\E", "(?|abc|def)", "\\p{L}abc",     "[[:alpha:]]abc",
        "a{,3}bcdef", "\\x{61}bcdef", "abc(?#x)",  "\\cAabcde",   "(*ANY)abcd",    "a"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        factors_are(none[i], 0, "none");
}

static void test_a_bomb_has_none(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct rule_factor *list;
    size_t n;
    char text[4001] = {0};
    for (size_t i = 0; i < 4000; i += 5)
        memcpy(text + i, "[abc]", 5);
    int r = rule_factors(&arena, str_from(text), 0, &list, &n);
    assert_true(r == -ENOENT || (r == 0 && n <= 256));
    memset(text, '(', 2000);
    memset(text + 2000, ')', 2000);
    assert_int_equal(rule_factors(&arena, str_from(text), 0, &list, &n), -ENOENT);
    arena_done(&arena);
}

static int matches(const struct rule_set *set, struct rule_scratch *scratch, struct str text)
{
    const struct test_field field = {"F", {.type = RULE_TEXT, .text = text}};
    struct test_record context = {set, &field, 1};
    struct rule_record record = {test_get, test_each, &context};
    struct arena arena = {0};
    const struct rule_match *list;
    size_t n;
    unsigned limits;
    assert_int_equal(rule_match(set, scratch, 0, &record, &arena, &list, &n, &limits), 0);
    arena_done(&arena);
    assert_int_equal(limits, 0);
    return (int)n;
}

// Finding by factors is the same as asking PCRE2 alone.
static void test_the_same_is_found_as_without_factors(void **state)
{
    (void)state;
    static const char *const expressions[] = {
        "/(?:sh|bash)$",
        "^/(?:usr/)?s?bin/",
        "\\.(?:php[3-8s]?|jsp)$",
        "(?i)/(?:GIT|Vi)[^/]*$",
        "^(?:ab|cd)?e$|f\\z",
        "\\bid\\b",
        "(?:^|[\\s;])nc\\s",
        "a(?:b|)c{2,3}d?$",
        "(?:x|y){2}z",
        "id_rsa(?!\\.pub)",
        "(?P<q>['\"])a(?P=q)",
        "\\Aab\\Z",
        "-[oO]\\s*/tmp",
        "a\\n$",
        "^a^b|q$",
        "(?:a|b)*ab",
        "a+?bb",
        "[^a]bc|\\x41bc",
        "(ab|c)(?:d(?:e|f))?g",
        "tail$",
        "\\.(?:so|dll)(?:\\.|$)",
    };
    static const char *const texts[] = {
        "",
        "/bin/sh",
        "/bin/bash",
        "/bin/bash\n",
        "/bin/bash\n\n",
        "/usr/sbin/x",
        "/usr/bin/",
        "x/bin/",
        "a.php",
        "a.php7",
        "a.phps\n",
        "a.php9",
        "a.JSP",
        "a.jsp",
        "/x/git-upload",
        "/vim",
        "/vi/x",
        "e",
        "abe",
        "abef",
        "cde",
        "f",
        "abf\n",
        "id",
        "-id-",
        "grid",
        "x;id",
        "nc x",
        ";nc x",
        "xnc x",
        "acc",
        "abccd",
        "abcccd\n",
        "acccc",
        "xyz",
        "xxz",
        "yxz",
        "xz",
        "id_rsa",
        "id_rsa.pub",
        "id_rsa.pub id_rsa",
        "'a'",
        "'a\"",
        "\"a\"",
        "ab",
        "ab\n",
        "ab\n\n",
        "-o/tmp",
        "-O  /tmp",
        "-x /tmp",
        "a\n",
        "a\n\n",
        "ab",
        "q",
        "q\n",
        "aab",
        "bab",
        "ba",
        "abb",
        "aabb",
        "bb",
        "Abc",
        "abc",
        "xbc",
        "abg",
        "cdeg",
        "abdfg",
        "abdg",
        "tail",
        "tail\n",
        "tail\r\n",
        "tailx",
        "x.so",
        "x.so.1",
        "x.soo",
        "x.dll\n",
        "X.DLL",
    };
    enum { TEXTS = sizeof texts / sizeof *texts };
    struct rule_regex_scratch *scratch = NULL;
    assert_int_equal(rule_regex_scratch_new(&scratch), 0);
    for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++) {
        struct buf b = {0};
        pcre2_code *code = NULL;
        assert_int_equal(rule_regex_compile(str_from(expressions[i]), 0, &code), 0);
        buf_addf(&b,
                 "title: t\nlogsource: {}\ndetection:\n    s:\n        F|re: |-\n            %s\n"
                 "    condition: s\n",
                 expressions[i]);
        buf_add_char(&b, 0);
        struct rule_set *set = test_set(b.p);
        struct rule_scratch *kept = NULL;
        assert_int_equal(rule_set_route(set, STR_NONE, STR_NONE, STR_NONE), 0);
        assert_int_equal(rule_scratch_new(set, &kept), 0);
        for (size_t j = 0; j < 2 * TEXTS; j++) { // the second time it is remembered
            struct str text = str_from(texts[j / 2]);
            int expected = rule_regex_match(code, scratch, text, RULE_REGEX_BUDGET);
            if (matches(set, kept, text) != expected)
                fail_msg("%s on '%s': expected %d", expressions[i], text.p, expected);
        }
        rule_scratch_free(kept);
        rule_set_free(set);
        pcre2_code_free(code);
        buf_done(&b);
    }
    rule_regex_scratch_free(scratch);
}

// PCRE2 alone would end at its budget.
static void test_a_text_made_to_take_long_is_answered_all_the_same(void **state)
{
    (void)state;
    struct rule_set *set = test_set("title: t\nlogsource: {}\ndetection:\n"
                                    "    s:\n        F|re: abc(?:a+)+(?:a+)+z\n    condition: s\n");
    struct rule_scratch *scratch = NULL;
    char text[3000];
    memset(text, 'a', sizeof text);
    memcpy(text, "abc", 3);
    memcpy(text + sizeof text - 2, "bz", 2);
    assert_int_equal(rule_set_route(set, STR_NONE, STR_NONE, STR_NONE), 0);
    assert_int_equal(rule_scratch_new(set, &scratch), 0);
    assert_int_equal(matches(set, scratch, (struct str){text, sizeof text}), 0);
    text[sizeof text - 2] = 'a';
    assert_int_equal(matches(set, scratch, (struct str){text, sizeof text}), 1);
    rule_scratch_free(scratch);
    rule_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_text_is_the_answer),
        cmocka_unit_test(test_what_is_around_text_is_a_reason_to_ask),
        cmocka_unit_test(test_what_says_too_little_or_is_not_understood_has_none),
        cmocka_unit_test(test_a_bomb_has_none),
        cmocka_unit_test(test_the_same_is_found_as_without_factors),
        cmocka_unit_test(test_a_text_made_to_take_long_is_answered_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
