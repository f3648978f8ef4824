// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "base/test.h"
#include "intel/pattern.h"

#include <ctype.h>
#include <errno.h>

// The text without white space outside quotes: what may differ between what was read and what is printed.
static void squeeze(struct str s, struct buf *out)
{
    bool in = false;
    for (size_t i = 0; i < s.n; i++) {
        if (in && s.p[i] == '\\' && i + 1 < s.n)
            buf_add_char(out, s.p[i++]);
        else if (s.p[i] == '\'')
            in = !in;
        if (in || !isspace((unsigned char)s.p[i]))
            buf_add_char(out, s.p[i]);
    }
}

static void same(struct str text)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_buf_ struct buf printed = {0}, a = {0}, b = {0}, again = {0};
    struct pattern *p = NULL;
    struct error e = {0};
    if (pattern_parse(&arena, text, &p, &e))
        fail_msg("%s: " STR_FMT, e.what, STR_ARG(text));
    pattern_print(p, &printed);
    squeeze(text, &a);
    squeeze(buf_str(&printed), &b);
    if (!str_eq(buf_str(&a), buf_str(&b)))
        fail_msg(STR_FMT "\n" STR_FMT, STR_ARG(a), STR_ARG(b));
    assert_int_equal(pattern_parse(&arena, buf_str(&printed), &p, &e), 0);
    pattern_print(p, &again);
    assert_true(str_eq(buf_str(&printed), buf_str(&again)));
}

static int refused(const char *text, const char *what)
{
    _cleanup_arena_ struct arena arena = {0};
    struct pattern *p = NULL;
    struct error e = {0};
    int r = pattern_parse(&arena, str_from(text), &p, &e);
    if (!strstr(e.what, what))
        fail_msg("'%s' of %s", e.what, text);
    return r;
}

static void test_whole_grammar_prints_back(void **state)
{
    (void)state;
    same(STR("[a:b = 'x'] OR [a:b = 'y'] AND [a:c = 1] FOLLOWEDBY [EXISTS a:d[0].'e f']"));
    same(STR("(([a:b > 1.5] WITHIN 5 SECONDS) REPEATS 2 TIMES) START t'2015-09-25T00:00:00Z' STOP "
             "t'2015-10-19T00:00:00.000Z'"));
    same(STR("[a:b NOT IN ('x', 'y', h'0aff', b'YQ==', true, -3)]"));
    same(STR("[(a:b LIKE 'it\\'s%' OR a-b:c_ref.d ISSUPERSET '127.66.0.0/16') AND a:b <> 3]"));
    same(STR("[a:b = 'x]' OR a:b MATCHES 'AND [']"));
}

static void test_precedence_is_and_or_followed_by(void **state)
{
    (void)state;
    _cleanup_arena_ struct arena arena = {0};
    struct pattern *p = NULL;
    pattern_parse(&arena, STR("[a:b=1] OR [a:b=2] AND [a:b=3] FOLLOWEDBY [a:b=4]"), &p, NULL);
    assert_int_equal(p->type, PATTERN_FOLLOWED_BY);
    assert_int_equal(p->first->type, PATTERN_OR);
    assert_int_equal(p->first->first->next->type, PATTERN_AND);
}

static void test_wrong_patterns_are_refused_with_the_column(void **state)
{
    (void)state;
    assert_int_equal(refused("", "column 1"), -EINVAL);
    assert_int_equal(refused("[a:b = 'x'", "column 11: ']'"), -EINVAL);
    assert_int_equal(refused("[a:b = 'x", "not closed"), -EINVAL);
    assert_int_equal(refused("[a:b 'x']", "operator"), -EINVAL);
    assert_int_equal(refused("[a = 'x']", "type:property"), -EINVAL);
    assert_int_equal(refused("[a:b LIKE 3]", "quoted text"), -EINVAL);
    assert_int_equal(refused("[a:b = h'abc']", "no such constant"), -EINVAL);
    assert_int_equal(refused("[a:b = 1] WITHIN 3", "SECONDS"), -EINVAL);
    assert_int_equal(refused("[a:b = 1] START t'x' STOP t'y'", "no such"), -EINVAL);
    assert_int_equal(refused("[a:b = 1] [a:b = 2]", "nothing more"), -EINVAL);
}

static void test_a_nul_byte_is_refused(void **state)
{
    (void)state;
    _cleanup_arena_ struct arena arena = {0};
    struct pattern *p = NULL;
    assert_int_equal(
        pattern_parse(&arena,
                      STR("[a:b=1] START t'2015-09-26T00:00:\0\0Z' STOP t'2015-10-19T00:00:00Z'"),
                      &p, NULL),
        -EINVAL);
}

static void test_deep_and_long_patterns_are_refused(void **state)
{
    (void)state;
    static char deep[60001];
    memset(deep, '(', 60000);
    assert_int_equal(refused(deep, "64 brackets"), -EFBIG);
    _cleanup_buf_ struct buf wide = {0};
    buf_addf(&wide, "[a:b IN (1");
    for (int i = 0; i < 5000; i++)
        buf_addf(&wide, ",1");
    buf_addf(&wide, ")]%c", 0);
    assert_int_equal(refused(wide.p, "4096 parts"), -EFBIG);
}

static int joined(void *context, const struct pattern *c, const struct pattern_constant *constant)
{
    _cleanup_arena_ struct arena arena = {0};
    struct str text = pattern_constant_text(&arena, constant);
    assert_int_equal(c->type, PATTERN_COMPARISON);
    buf_addf(context, STR_FMT ";", STR_ARG(text));
    return 0;
}

static void test_equal_strings_are_found_without_their_quotes(void **state)
{
    (void)state;
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_buf_ struct buf out = {0};
    struct pattern *p = NULL;
    pattern_parse(&arena, STR("[a:b='it\\'s' OR a:c!='n'] AND [a:b IN ('y','z') OR a:d NOT = 'n']"),
                  &p, NULL);
    assert_int_equal(pattern_equals(p, joined, &out), 0);
    assert_true(str_eq(buf_str(&out), STR("it's;y;z;")));
}

// Lines of a public file; of a table the last column, from the first '[' or '('.
static unsigned lines(const char *path, unsigned header)
{
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    _cleanup_free_ char *line = NULL;
    size_t cap = 0;
    unsigned n = 0;
    ssize_t got;
    if (!f) {
        print_message("%s is not here\n", path);
        skip();
    }
    while ((got = getline(&line, &cap, f)) > 0) {
        char *tab = strrchr(line, '\t');
        struct str text = str_trim(str_from(tab ? tab + 1 : line));
        if (header) {
            header--;
            continue;
        }
        if (text.n && ++n)
            same(text);
    }
    return n;
}

static void test_patterns_of_the_standard_print_back(void **state)
{
    (void)state;
    assert_int_equal(lines("../shared/data/stix/pattern-spec-examples.txt", 0), 23);
}

static void test_real_patterns_print_back(void **state)
{
    (void)state;
    assert_int_equal(lines("../shared/data/labelled/unit42_patterns.tsv", 1), 4567);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_grammar_prints_back),
        cmocka_unit_test(test_precedence_is_and_or_followed_by),
        cmocka_unit_test(test_wrong_patterns_are_refused_with_the_column),
        cmocka_unit_test(test_a_nul_byte_is_refused),
        cmocka_unit_test(test_deep_and_long_patterns_are_refused),
        cmocka_unit_test(test_equal_strings_are_found_without_their_quotes),
        cmocka_unit_test(test_patterns_of_the_standard_print_back),
        cmocka_unit_test(test_real_patterns_print_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
