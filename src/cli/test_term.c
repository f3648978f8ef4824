// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "cli/table.h"
#include "cli/term.h"

#include <locale.h>

static const struct term plain = {.utf8 = true};
static const struct term narrow = {.utf8 = true, .terminal = true, .width = 40};
static const struct term coloured = {.utf8 = true, .terminal = true, .colour = true, .width = 40};

static void assert_shown(struct str s, const char *expected)
{
    struct buf b = {0};
    text_escape(s, &b);
    buf_add_char(&b, 0);
    assert_string_equal(b.p, expected);
    buf_done(&b);
}

static void test_hostile_bytes_are_escaped(void **state)
{
    (void)state;
    assert_shown(STR("a\033[2Jb"), "a\\x1b[2Jb");
    assert_shown(STR("a\nb\tc\rd"), "a\\nb\\tc\\rd");
    assert_shown(STR("a\0b\x7f"), "a\\x00b\\x7f");
    assert_shown(STR("\xc2\x9b"
                     "31m"),
                 "\\u{9B}31m");                                   // C1 "CSI"
    assert_shown(STR("gpj.\xe2\x80\xae.sh"), "gpj.\\u{202E}.sh"); // right-to-left override
    assert_shown(STR("\xe2\x81\xa6x\xe2\x81\xa9"), "\\u{2066}x\\u{2069}");
    assert_shown(STR("ls\xe2\x80\x8b"), "ls\\u{200B}");  // zero width
    assert_shown(STR("\xf3\xa0\x81\xa1"), "\\u{E0061}"); // tag character
    assert_shown(STR("\xff\xfe"), "\\xff\\xfe");
    assert_shown(STR("\xc0\xaf"), "\\xc0\\xaf");          // overlong slash
    assert_shown(STR("\xed\xa0\x80"), "\\xed\\xa0\\x80"); // surrogate
    assert_shown(STR("\xe2\x82"), "\\xe2\\x82");          // cut short
    assert_shown(STR("Grüße 東京 €"), "Grüße 東京 €");
}

static void assert_cut(const struct term *t, struct str s, unsigned columns, const char *expected)
{
    struct buf b = {0};
    unsigned used = text_cut(t, s, columns, &b);
    assert_true(columns == 0 || used <= columns);
    buf_add_char(&b, 0);
    assert_string_equal(b.p, expected);
    buf_done(&b);
}

static void test_cut_to_columns(void **state)
{
    (void)state;
    struct term ascii = plain;
    ascii.utf8 = false;
    assert_cut(&plain, STR("abcdef"), 0, "abcdef");
    assert_cut(&plain, STR("abcdef"), 6, "abcdef");
    assert_cut(&plain, STR("abcdef"), 5, "abcd…");
    assert_cut(&ascii, STR("abcdef"), 5, "abcd~");
    assert_cut(&plain, STR("東京都"), 5, "東京…"); // two columns each
    assert_cut(&plain, STR("東京都"), 4, "東…");
    assert_cut(&plain, STR("ab\ncd"), 4, "ab…"); // never half an escape
}

static void test_argv_is_quoted_as_typed(void **state)
{
    (void)state;
    struct buf b = {0};
    const struct str argv[] = {STR("sh"), STR("-c"), STR("id; echo 'x'"), STR(""), STR("a=b")};
    text_argv(argv, 5, &b);
    buf_add_char(&b, 0);
    assert_string_equal(b.p, "sh -c 'id; echo '\\''x'\\''' '' a=b");
    buf_done(&b);
}

static void assert_table(const struct term *t, const char *expected)
{
    static const struct column columns[] = {{"name", 8, false}, {"n", 0, true}, {"what", 0, false}};
    struct table table;
    struct buf b = {0};
    table_init(&table, columns, 3);
    table_add(&table, STYLE_RED, STR("short"));
    table_addf(&table, STYLE_PLAIN, "%d", 7);
    table_add(&table, STYLE_PLAIN, STR("a few words that do not fit in one line"));
    table_add(&table, STYLE_PLAIN, STR("much longer"));
    table_addf(&table, STYLE_PLAIN, "%d", 1234);
    table_add(&table, STYLE_PLAIN, STR("x\n"));
    table_print(&table, t, 0, &b);
    buf_add_char(&b, 0);
    assert_string_equal(b.p, expected);
    buf_done(&b);
    table_done(&table);
}

static void test_table_fits_the_terminal(void **state)
{
    (void)state;
    assert_table(&narrow, "name         n  what\n"
                          "short        7  a few words that do not\n"
                          "                fit in one line\n"
                          "much lo…  1234  x\\n\n");
}

static void test_table_in_a_pipe_is_not_cut(void **state)
{
    (void)state;
    assert_table(&plain, "name            n  what\n"
                         "short           7  a few words that do not fit in one line\n"
                         "much longer  1234  x\\n\n");
}

static void test_colour_only_where_wanted(void **state)
{
    (void)state;
    struct buf b = {0};
    style_text(&narrow, STYLE_RED, "x", &b);
    style_text(&coloured, STYLE_RED, "x", &b);
    buf_add_char(&b, 0);
    assert_string_equal(b.p, "x\033[31mx\033[0m");
    buf_done(&b);
}

static void test_file_is_no_terminal(void **state)
{
    (void)state;
    FILE *f = tmpfile();
    struct term t = term_of(f);
    assert_false(t.terminal);
    assert_false(t.colour);
    assert_int_equal(t.width, 0);
    fclose(f);
}

int main(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile_bytes_are_escaped),
        cmocka_unit_test(test_cut_to_columns),
        cmocka_unit_test(test_argv_is_quoted_as_typed),
        cmocka_unit_test(test_table_fits_the_terminal),
        cmocka_unit_test(test_table_in_a_pipe_is_not_cut),
        cmocka_unit_test(test_colour_only_where_wanted),
        cmocka_unit_test(test_file_is_no_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
