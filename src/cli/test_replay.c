// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "base/test.h"
#include "cli/exceptions.h"
#include "cli/replay.h"
#include "cli/rulefiles.h"

#include <errno.h>
#include <sys/stat.h>

static char folder[64];

static const char rule[] =
    "title: Shell below a web server\nid: 3f0c3a52-3a7e-4d1e-9f0b-0c7a6d1f2b11\nstatus: "
    "experimental\n"
    "description: for this test\nauthor: nobody\ndate: 2026-11-23\nlogsource:\n    product: "
    "linux\n    category: "
    "process_creation\ndetection:\n    shell:\n        Image|endswith: '/sh'\n    condition: "
    "shell\nlevel: high\n"
    "tags: [attack.execution, attack.t1059.004]\ntiercel: {action: prevent}\n";

#define EXEC(id, image)                                                                            \
    "{\"id\":" id ",\"time\":\"2026-11-23T16:00:0" id                                              \
    ".000000000Z\",\"process\":{\"id\":{\"pid\":1" id ",\"start\":" id                             \
    "},\"image\":{\"path\":\"" image "\"},\"argv\":[\"" image "\",\"-c\",\"id\"]},\"exec\":{}}\n"

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    _cleanup_fclose_ FILE *f = fopen(path_of(name), "w");
    assert_non_null(f);
    fputs(text, f);
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/cli-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(folder) || mkdir(path_of("rules"), 0755) < 0)
        return -1;
    write_file("rules/shell.yml", rule);
    write_file("rules/shell.test.yml", "not a rule");
    write_file("events.json", EXEC("1", "/bin/ls") "\n" EXEC("2", "/bin/sh"));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    static const char *const names[] = {"rules/shell.yml", "rules/shell.test.yml",
                                        "rules",           "events.json",
                                        "broken.json",     "exceptions.yml"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        remove(path_of(names[i]));
    return rmdir(folder);
}

struct seen {
    unsigned n;
    uint64_t event;
    Tiercel__Action wanted;
};

static void see(void *context, const Tiercel__Detection *d, const Tiercel__Verdict *v)
{
    struct seen *s = context;
    s->n++;
    s->event = d->events[0]->id;
    s->wanted = v->wanted;
}

static void no_problem(void *context, const struct error *e)
{
    (void)context;
    fail_msg("%s: %s", e->file, e->what);
}

static void test_replay_of_json_lines(void **state)
{
    (void)state;
    struct replay *r = NULL;
    struct error e = {0};
    struct seen seen = {0};
    char rules[128];
    snprintf(rules, sizeof rules, "%s", path_of("rules"));
    assert_int_equal(replay_new(rules, NULL, no_problem, NULL, &r, &e), 0);
    r->detection = see;
    r->context = &seen;
    assert_int_equal(replay_file(r, path_of("events.json"), &e), 0);
    assert_int_equal(r->n_events, 2);
    assert_int_equal(r->n_prevented, 1);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.event, 2);
    assert_int_equal(seen.wanted, TIERCEL__ACTION__ACTION_DENY);
    replay_free(r);
}

static void test_replay_names_the_broken_line(void **state)
{
    (void)state;
    struct replay *r = NULL;
    struct error e = {0};
    char rules[128];
    snprintf(rules, sizeof rules, "%s", path_of("rules"));
    write_file("broken.json", EXEC("1", "/bin/ls") "{\"id\":\"x\"}\n");
    assert_int_equal(replay_new(rules, NULL, no_problem, NULL, &r, &e), 0);
    assert_true(replay_file(r, path_of("broken.json"), &e) < 0);
    assert_int_equal(e.line, 2);
    assert_true(e.column > 1);
    assert_int_equal(replay_file(r, path_of("absent.json"), &e), -ENOENT);
    replay_free(r);
}

static void test_rule_files_leave_out_examples(void **state)
{
    (void)state;
    _cleanup_rulefiles_ struct rulefiles files = {0};
    struct error e = {0};
    assert_int_equal(rulefiles_collect(path_of("rules"), &files, &e), 0);
    assert_int_equal(files.n, 1);
    assert_int_equal(rulefiles_collect("/nonexistent", &files, &e), -ENOENT);
}

static void test_unknown_field_is_an_error_with_its_place(void **state)
{
    (void)state;
    struct rule_options options = rulefiles_options();
    struct rule_set *set = NULL;
    struct error e = {0};
    const char *text =
        "title: x\nlogsource: {product: linux, category: process_creation}\ndetection:\n    a:\n"
        "        Imagee: x\n    condition: a\n";
    assert_int_equal(rule_set_new(&options, &set), 0);
    assert_int_equal(rule_set_add(set, str_from(text), "x.yml", &e), -EINVAL);
    assert_int_equal(e.line, 5);
    assert_non_null(strstr(e.way_out, "Image"));
    rule_set_free(set);
}

static void test_field_of_a_foreign_log_source_is_accepted(void **state)
{
    (void)state;
    struct rule_options options = rulefiles_options();
    struct rule_set *set = NULL;
    struct error e = {0};
    const char *text = "title: x\nlogsource: {product: linux, service: auditd}\ndetection:\n    "
                       "a:\n        a0: x\n"
                       "    condition: a\n";
    assert_int_equal(rule_set_new(&options, &set), 0);
    assert_int_equal(rule_set_add(set, str_from(text), "x.yml", &e), 0);
    rule_set_free(set);
}

#define ENTRY(id)                                                                                  \
    "- id: " id                                                                                    \
    "\n  rule: r1\n  argv: [/bin/sh]\n  expires: 2030-01-01T00:00:00Z\n  reason: why\n  who: me\n"

static void test_exceptions_are_added_whole_or_not_at_all(void **state)
{
    (void)state;
    struct error e = {0};
    struct stat before, after;
    assert_int_equal(exceptions_add(path_of("exceptions.yml"), STR(ENTRY("one")), &e), 0);
    assert_int_equal(exceptions_add(path_of("exceptions.yml"), STR(ENTRY("two")), &e), 0);
    assert_int_equal(stat(path_of("exceptions.yml"), &before), 0);
    assert_true(exceptions_add(path_of("exceptions.yml"), STR("- nonsense: [\n"), &e) < 0);
    assert_true(e.what[0]);
    assert_int_equal(stat(path_of("exceptions.yml"), &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(before.st_size, 2 * strlen(ENTRY("one")));
    assert_int_equal(stat(path_of("exceptions.yml.new"), &after), -1);
}

static void test_a_broken_exceptions_file_is_left_alone(void **state)
{
    (void)state;
    struct error e = {0};
    write_file("exceptions.yml", "broken: [\n");
    assert_true(exceptions_add(path_of("exceptions.yml"), STR(ENTRY("one")), &e) < 0);
    assert_true(e.way_out[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replay_of_json_lines),
        cmocka_unit_test(test_replay_names_the_broken_line),
        cmocka_unit_test(test_rule_files_leave_out_examples),
        cmocka_unit_test(test_unknown_field_is_an_error_with_its_place),
        cmocka_unit_test(test_field_of_a_foreign_log_source_is_accepted),
        cmocka_unit_test(test_exceptions_are_added_whole_or_not_at_all),
        cmocka_unit_test(test_a_broken_exceptions_file_is_left_alone),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
