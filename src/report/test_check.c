// SPDX-License-Identifier: Apache-2.0
// Sentences with what must be found in each: tests/report/*.tsv. A sentence is refused as it should be when the refusal
// that the corpus names is found in it; one that may be said must have none.
#include "base/test.h"

#include "base/cleanup.h"
#include "report/check.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentences_the_rules_were_written_with),
        cmocka_unit_test(test_sentences_written_after_the_rules),
    };
    return cmocka_run_group_tests(tests, make, done);
}
