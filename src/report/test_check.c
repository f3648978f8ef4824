// SPDX-License-Identifier: Apache-2.0
// Sentences with what must be found in each: tests/report/*.tsv. A sentence is refused as it should be when the refusal
// that the corpus names is found in it; one that may be said must have none.
#include "base/test.h"

#include "base/cleanup.h"
#include "report/check.h"

#include <errno.h>
#include <string.h>

static struct report_checker *checker;

static int make(void **state)
{
    (void)state;
    static const struct str clients[] = {{"Aldwin Metals", 13}, {"nordw\xc3\xa4rk", 9}};
    static const struct report_check_options options = {clients, 2};
    return report_checker_new(&options, &checker);
}

static int done(void **state)
{
    (void)state;
    checker = report_checker_free(checker);
    return 0;
}

struct score {
    unsigned right, missed, wrong,
        passed; // of refusals that must be found, of sentences that may be said
};

static void say(const char *what, struct str rules, struct str s, const struct report_checked *c)
{
    print_message("%s: [" STR_FMT "] " STR_FMT "\n", what, STR_ARG(rules), STR_ARG(s));
    for (size_t i = 0; i < c->n; i++)
        print_message("    found " STR_FMT " by '" STR_FMT "'\n", STR_ARG(c->findings[i].rule),
                      STR_ARG(c->findings[i].words));
}

static bool has(const struct report_checked *c, struct str rule)
{
    for (size_t i = 0; i < c->n; i++)
        if (str_eq(c->findings[i].rule, rule))
            return true;
    return false;
}

static void take_line(struct str line, struct score *score)
{
    _cleanup_arena_ struct arena arena = {0};
    struct str rules, rule, all;
    struct report_checked c;
    if (!str_trim(line).n || line.p[0] == '#')
        return;
    assert_true(str_split(&line, '\t', &rules));
    assert_int_equal(report_check(checker, &arena, line, "corpus", &c, NULL), 0);
    assert_int_equal(c.unread, 0);
    if (str_eq(rules, STR("-"))) {
        score->passed += c.n == 0;
        score->wrong += c.n > 0;
        if (c.n)
            say("refused, but may be said", rules, line, &c);
        return;
    }
    all = rules;
    while (str_split(&all, ',', &rule)) {
        score->right += has(&c, rule);
        score->missed += !has(&c, rule);
        if (!has(&c, rule))
            say("missed", rule, line, &c);
    }
}

static struct score score_of(const char *path)
{
    struct score score = {0};
    char line[8192];
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        take_line(str_from(line), &score);
    }
    print_message(
        "%s: recall %.3f (%u of %u), precision %.3f (%u of %u that may be said are refused)\n",
        path, (double)score.right / (score.right + score.missed), score.right,
        score.right + score.missed, (double)score.right / (score.right + score.wrong), score.wrong,
        score.wrong + score.passed);
    return score;
}

static void test_sentences_the_rules_were_written_with(void **state)
{
    (void)state;
    struct score s = score_of("tests/report/sentences.tsv");
    assert_int_equal(s.missed, 0);
    assert_int_equal(s.wrong, 0);
}

static void test_sentences_written_after_the_rules(void **state)
{
    (void)state;
    struct score s = score_of("tests/report/sentences-after.tsv");
    assert_true(s.right * 100 >= (s.right + s.missed) * 80);
    assert_true(s.wrong * 100 <= (s.wrong + s.passed) * 10);
}

static struct report_checked checked(struct arena *arena, const char *text)
{
    struct report_checked c;
    assert_int_equal(report_check(checker, arena, str_from(text), "text", &c, NULL), 0);
    return c;
}

static void test_sentences_know_their_place(void **state)
{
    (void)state;
    _cleanup_arena_ struct arena arena = {0};
    struct report_checked c =
        checked(&arena, "# A title\n\nFirst one, e.g. this. Second\nof two lines at 3.5 h!\n"
                        "```\nNothing was stolen.\n```\n- an item\n<!-- Nothing was\nstolen. -->\n"
                        "A [link](https://x.example/all).\n");
    static const struct {
        const char *text;
        unsigned line, column;
    } want[] = {
        {"A title", 1, 3},
        {"First one, e.g. this.", 3, 1},
        {"Second of two lines at 3.5 h!", 3, 23},
        {"an item", 8, 3},
        {"A [link.", 11, 1},
    };
    assert_int_equal(c.n_sentences, sizeof want / sizeof *want);
    for (size_t i = 0; i < c.n_sentences; i++) {
        assert_true(str_eq(c.sentences[i].text, str_from(want[i].text)));
        assert_int_equal(c.sentences[i].line, want[i].line);
        assert_int_equal(c.sentences[i].column, want[i].column);
    }
    assert_int_equal(c.n, 0);
}

static void test_names_of_clients_are_found_as_words(void **state)
{
    (void)state;
    _cleanup_arena_ struct arena arena = {0};
    struct report_checked c =
        checked(&arena, "We thank ALDWIN METALS. Nordw\xc3\xa4rker is another word.");
    assert_int_equal(c.n, 1);
    assert_int_equal(c.findings[0].sentence, 0);
    assert_true(str_eq(c.findings[0].rule, STR("R2")));
    assert_true(str_eq(c.findings[0].words, STR("ALDWIN METALS")));
}

static void test_what_a_number_lacks_is_named(void **state)
{
    (void)state;
    _cleanup_arena_ struct arena arena = {0};
    struct report_checked c = checked(&arena, "In October 2015 we counted 20 attempts by rule 1.");
    assert_int_equal(c.n, 1);
    assert_true(str_eq(c.findings[0].missing, STR("denominator")));
}

static void test_quotes_and_dashes_do_not_hide(void **state)
{
    (void)state;
    _cleanup_arena_ struct arena arena = {0};
    assert_int_equal(checked(&arena, "The attacks were state\xe2\x80\x91sponsored.").n, 1);
    assert_int_equal(checked(&arena, "No data\xc2\xa0was \xe2\x80\x9cstolen\xe2\x80\x9d.").n, 1);
    assert_int_equal(checked(&arena, "Noth\xc2\xading was\xe2\x80\x8b stolen.").n, 1);
}

static void test_too_large_a_text_is_refused(void **state)
{
    (void)state;
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_free_ char *text = calloc(1, REPORT_TEXT_MAX + 1);
    struct report_checked c;
    struct error e = {0};
    assert_non_null(text);
    memset(text, 'a', REPORT_TEXT_MAX + 1);
    assert_int_equal(
        report_check(checker, &arena, str_bytes(text, REPORT_TEXT_MAX + 1), "t", &c, &e), -E2BIG);
    assert_int_equal(report_check(checker, &arena, str_bytes(text, 100000), "t", &c, &e), 0);
    assert_true(c.n_sentences > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentences_know_their_place),
        cmocka_unit_test(test_names_of_clients_are_found_as_words),
        cmocka_unit_test(test_what_a_number_lacks_is_named),
        cmocka_unit_test(test_quotes_and_dashes_do_not_hide),
        cmocka_unit_test(test_too_large_a_text_is_refused),
        cmocka_unit_test(test_sentences_the_rules_were_written_with),
        cmocka_unit_test(test_sentences_written_after_the_rules),
    };
    return cmocka_run_group_tests(tests, make, done);
}
