// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "cli/command.h"
#include "cli/nearest.h"

#include <errno.h>
#include <time.h>

static const struct option options[] = {
    {"follow", 'f', OPTION_FLAG, NULL, "go on", NULL, false},
    {"limit", 'n', OPTION_NUMBER, "N", "how many", NULL, false},
    {"since", 's', OPTION_TIME, "TIME", "not older", NULL, false},
    {"for", 0, OPTION_DURATION, "TIME", "how long", NULL, false},
    {"mode", 0, OPTION_CHOICE, "MODE", "which", "detect prevent", false},
    {"image", 'i', OPTION_TEXT, "GLOB", "program", NULL, true},
    {0},
};
static const struct command command = {
    .name = "trial", .arguments = "[WORD [WORD]]", .options = options, .max_args = 2};

static int parse(struct args *args, struct error *e, int argc, const char *const *argv)
{
    *args = (struct args){0};
    *e = (struct error){0};
    return args_parse(&command, argc, (char *const *)argv, args, e);
}
#define PARSE(...)                                                                                 \
    parse(&args, &e, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),                \
          (const char *[]){__VA_ARGS__})

static void test_forms_of_options(void **state)
{
    (void)state;
    struct args args;
    struct error e;
    assert_int_equal(
        PARSE("-fn5", "one", "--image=a b", "-i", "c", "--mode", "prevent", "--", "--two"), 0);
    assert_true(args_has(&args, "follow"));
    assert_int_equal(args_number(&args, "limit", 1), 5);
    assert_string_equal(args_text(&args, "mode", ""), "prevent");
    size_t position = 0;
    assert_string_equal(args_each(&args, "image", &position), "a b");
    assert_string_equal(args_each(&args, "image", &position), "c");
    assert_null(args_each(&args, "image", &position));
    assert_int_equal(args.n_words, 2);
    assert_string_equal(args.words[0], "one");
    assert_string_equal(args.words[1], "--two");
    assert_false(args_has(&args, "for"));
    assert_int_equal(args_duration(&args, "for", 7), 7);
    args_done(&args);
}

static void test_a_lone_dash_is_a_word(void **state)
{
    (void)state;
    struct args args;
    struct error e;
    assert_int_equal(PARSE("-"), 0);
    assert_int_equal(args.n_words, 1);
    args_done(&args);
}

static void test_unknown_option_offers_the_nearest(void **state)
{
    (void)state;
    struct args args;
    struct error e;
    assert_int_equal(PARSE("--folow"), -EINVAL);
    assert_string_equal(e.what, "unknown option '--folow'");
    assert_string_equal(e.way_out, "did you mean '--follow'?");
    assert_int_equal(PARSE("--zzzzzz"), -EINVAL);
    assert_string_equal(e.way_out, "'tiercel help trial' lists its options");
    assert_int_equal(PARSE("-x"), -EINVAL);
    assert_string_equal(e.what, "unknown option '-x'");
}

static void test_bad_values_are_refused(void **state)
{
    (void)state;
    struct args args;
    struct error e;
    const char *bad[][2] = {
        {"--limit", "-1"},      {"--limit", "1x"}, {"--limit", "99999999999999999999"},
        {"--since", "someday"}, {"--for", "5y"},   {"--mode", "on"},
        {"--mode", ""},         {"--image", ""}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(PARSE(bad[i][0], bad[i][1]), -EINVAL);
        assert_true(e.way_out[0]);
    }
    assert_int_equal(PARSE("--limit"), -EINVAL);
    assert_string_equal(e.what, "--limit needs a value");
    assert_int_equal(PARSE("--follow=1"), -EINVAL);
    assert_int_equal(PARSE("-n", "1", "--limit=2"), -EINVAL);
    assert_string_equal(e.what, "--limit is given twice");
}

static void test_number_of_words(void **state)
{
    (void)state;
    struct args args;
    struct error e;
    assert_int_equal(PARSE("a", "b", "c"), -EINVAL);
    assert_string_equal(e.what, "trial: 'c' is one argument too many");
    assert_int_equal(PARSE("a", "b", "c", "--help"), 0); // who asks for help gets it
    assert_true(args.help);
    args_done(&args);
}

static void test_distance_of_words(void **state)
{
    (void)state;
    unsigned d;
    assert_int_equal(nearest_distance(STR("events"), STR("events")), 0);
    assert_int_equal(nearest_distance(STR("evnets"), STR("events")), 1); // one swap
    assert_int_equal(nearest_distance(STR("EVENT"), STR("events")), 1);
    assert_int_equal(nearest_distance(STR(""), STR("abc")), 3);
    assert_true(nearest_offers(STR("detect"), STR("detections"), &d));
    assert_false(nearest_offers(STR("stop"), STR("events"), &d));
    char word[64];
    memset(word, 'a', sizeof word);
    assert_int_equal(nearest_distance(str_bytes(word, sizeof word), STR("a")), UINT32_MAX);
}

static void test_every_command_is_complete(void **state)
{
    (void)state;
    for (const struct command *const *c = cli_commands; *c; c++) {
        assert_non_null((*c)->summary);
        assert_non_null((*c)->group);
        assert_non_null(strstr("run look decide rules publish other", (*c)->group));
        assert_true(((*c)->run != NULL) != ((*c)->subcommands != NULL));
        for (const struct option *o = (*c)->options; o && o->name; o++) {
            assert_true((o->kind == OPTION_FLAG) == (o->argument == NULL));
            assert_true((o->kind == OPTION_CHOICE) == (o->values != NULL));
            for (const struct option *other = o + 1; other->name; other++) {
                assert_string_not_equal(o->name, other->name);
                assert_false(o->letter && o->letter == other->letter);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms_of_options),
        cmocka_unit_test(test_a_lone_dash_is_a_word),
        cmocka_unit_test(test_unknown_option_offers_the_nearest),
        cmocka_unit_test(test_bad_values_are_refused),
        cmocka_unit_test(test_number_of_words),
        cmocka_unit_test(test_distance_of_words),
        cmocka_unit_test(test_every_command_is_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
