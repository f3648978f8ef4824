// SPDX-License-Identifier: Apache-2.0
#include "rule/test_record.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

static const char two_rules[] = "title: one\n"
                                "id: id-1\n"
                                "level: high\n"
                                "tags: [attack.t1059, attack.execution]\n"
                                "falsepositives: [Builds]\n"
                                "logsource: {product: linux, category: process_creation}\n"
                                "detection:\n"
                                "    shell: {Image|endswith: [/sh, /bash]}\n"
                                "    port: {Port|gte: 5}\n"
                                "    args:\n"
                                "        CommandLine|contains|all:\n"
                                "            - ' -c '\n"
                                "            - whoami\n"
                                "    filter: {User: root}\n"
                                "    condition: (shell and args or port) and not filter\n"
                                "---\n"
                                "title: two\n"
                                "id: id-2\n"
                                "logsource: {product: linux, service: auditd}\n"
                                "detection: {s: {Image: /bin/id}, condition: s}\n";

static void test_rules_keep_their_description(void **state)
{
    (void)state;
    struct rule_set *set = test_set(two_rules);
    assert_int_equal(rule_set_count(set), 2);
    const struct rule *r = rule_set_get(set, 0);
    assert_true(str_eq(r->title, STR("one")) && str_eq(r->id, STR("id-1")));
    assert_true(str_eq(r->level_name, STR("high")) && r->level == RULE_HIGH);
    assert_int_equal(r->n_tags, 2);
    assert_true(str_eq(r->tags[1], STR("attack.execution")));
    assert_true(str_eq(r->falsepositives[0], STR("Builds")));
    assert_true(str_eq(r->file, STR("f.yml")));
    assert_int_equal(rule_set_get(set, 1)->level, RULE_MEDIUM);
    assert_null(rule_set_get(set, 2));
    rule_set_free(set);
}

static void test_a_match_tells_selections_values_patterns_and_lines(void **state)
{
    (void)state;
    struct rule_set *set = test_set(two_rules);
    static const struct str argv[] = {{"x", 1}, {"sh -c WHOAMI", 12}};
    const struct test_field fields[] = {
        TEXT_FIELD("Image", "/bin/sh"),
        {"CommandLine", {.type = RULE_LIST, .list = argv, .n = 2}},
        NUMBER_FIELD("Port", 7),
    };
    struct test_record context = {set, fields, 3};
    struct rule_record record = {test_get, test_each, &context};
    struct rule_scratch *scratch = NULL;
    struct arena arena = {0};
    const struct rule_match *m;
    size_t n;
    int route = rule_set_route(set, STR("linux"), STR("process_creation"), STR_NONE);
    assert_int_equal(rule_scratch_new(set, &scratch), 0);
    assert_int_equal(rule_match(set, scratch, route, &record, &arena, &m, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_ptr_equal(m->rule, rule_set_get(set, 0));
    assert_int_equal(m->n_identifiers, 3);
    assert_true(str_eq(m->identifiers[0], STR("shell")));
    assert_true(str_eq(m->identifiers[1], STR("args")));
    assert_true(str_eq(m->identifiers[2], STR("port")));
    assert_int_equal(m->n_hits, 4);
    assert_true(str_eq(m->hits[0].field, STR("Image")));
    assert_true(str_eq(m->hits[0].value, STR("/bin/sh")));
    assert_true(str_eq(m->hits[0].pattern, STR("Image|endswith: /sh")));
    assert_int_equal(m->hits[0].line, 8);
    assert_true(str_eq(m->hits[2].value, STR("sh -c WHOAMI")));
    assert_true(str_eq(m->hits[2].pattern, STR("CommandLine|contains|all: whoami")));
    assert_int_equal(m->hits[2].line, 13);
    assert_true(str_eq(m->hits[3].value, STR("7")));
    rule_scratch_free(scratch);
    arena_done(&arena);
    rule_set_free(set);
}

static void test_a_match_of_a_list_tells_the_text_that_matched(void **state)
{
    (void)state;
    struct rule_set *set = test_rule("    s: {Argv: id, Argv|neq: never}\n    condition: s\n");
    static const struct str long_list[] = {{"a", 1}, {"b", 1}, {"never", 5}},
                            list[] = {{"x", 1}, {"ID", 2}};
    const struct test_field fields[] = {{"Argv", {.type = RULE_LIST, .list = long_list, .n = 3}},
                                        {"Argv", {.type = RULE_LIST, .list = list, .n = 2}}};
    struct rule_scratch *scratch = NULL;
    struct arena arena = {0};
    const struct rule_match *m;
    size_t n;
    int route = rule_set_route(set, STR_NONE, STR_NONE, STR_NONE);
    assert_int_equal(rule_scratch_new(set, &scratch), 0);
    for (size_t i = 0; i < 2; i++) { // what the first record left behind is not told of the second
        struct test_record context = {set, &fields[i], 1};
        struct rule_record record = {test_get, test_each, &context};
        assert_int_equal(rule_match(set, scratch, route, &record, &arena, &m, &n, NULL), 0);
        assert_int_equal(n, i);
    }
    assert_int_equal(m->n_hits, 2);
    assert_true(str_eq(m->hits[0].value, STR("ID")));
    assert_true(str_eq(m->hits[1].value, STR("x")));
    assert_true(str_eq(m->hits[1].pattern, STR("Argv|neq: never")));
    rule_scratch_free(scratch);
    arena_done(&arena);
    rule_set_free(set);
}

static size_t matches_of(struct rule_set *set, struct rule_scratch *scratch, int route,
                         const struct test_field *fields, size_t n_fields, unsigned *ret_limits)
{
    struct test_record context = {set, fields, n_fields};
    struct rule_record record = {test_get, test_each, &context};
    struct arena arena = {0};
    const struct rule_match *m;
    size_t n;
    assert_int_equal(rule_match(set, scratch, route, &record, &arena, &m, &n, ret_limits), 0);
    arena_done(&arena);
    return n;
}

static void test_routes_choose_rules_by_log_source(void **state)
{
    (void)state;
    struct rule_set *set = test_set(two_rules);
    struct rule_scratch *scratch = NULL;
    assert_int_equal(rule_scratch_new(set, &scratch), 0);
    const struct test_field id = TEXT_FIELD("Image", "/bin/id");
    const struct test_field port = NUMBER_FIELD("Port", 9);
    int process = rule_set_route(set, STR("linux"), STR("process_creation"), STR("auditd"));
    int audit = rule_set_route(set, STR("linux"), STR_NONE, STR("auditd"));
    int windows = rule_set_route(set, STR("windows"), STR("process_creation"), STR("auditd"));
    assert_int_equal(rule_set_route(set, STR("linux"), STR_NONE, STR("auditd")), audit);
    assert_int_equal(matches_of(set, scratch, process, &id, 1, NULL), 1);
    assert_int_equal(matches_of(set, scratch, process, &port, 1, NULL), 1);
    assert_int_equal(matches_of(set, scratch, audit, &id, 1, NULL), 1);
    assert_int_equal(matches_of(set, scratch, audit, &port, 1, NULL), 0);
    assert_int_equal(matches_of(set, scratch, windows, &id, 1, NULL), 0);
    rule_scratch_free(scratch);
    rule_set_free(set);
}

static void test_a_file_is_added_whole_or_not_at_all(void **state)
{
    (void)state;
    struct rule_set *set = NULL;
    struct error e = {0};
    assert_int_equal(rule_set_new(NULL, &set), 0);
    assert_int_equal(rule_set_add(set, str_from(two_rules), "a.yml", &e), 0);
    size_t fields = rule_set_fields(set);
    const char *half = "title: good\nid: id-3\nlogsource: {}\n"
                       "detection: {s: {New: a}, condition: s}\n---\ntitle: bad\n";
    assert_int_equal(rule_set_add(set, str_from(half), "b.yml", &e), -EINVAL);
    assert_int_equal(rule_set_count(set), 2);
    assert_int_equal(rule_set_fields(set), fields);
    assert_int_equal(rule_set_add(set, str_from(two_rules), "c.yml", &e), -EINVAL);
    assert_string_equal(e.what, "id 'id-1' is used already, by a.yml:1");
    assert_int_equal(rule_set_count(set), 2);
    assert_int_equal(rule_set_compile(set, &e), 0);
    assert_int_equal(rule_set_add(set, STR("title: t\n"), "d.yml", &e), -EINVAL);
    rule_set_free(set);
}

static void test_the_hash_depends_on_texts_and_not_on_their_order(void **state)
{
    (void)state;
    const char *texts[] = {"title: a\nlogsource: {}\ndetection: {s: {F: a}, condition: s}\n",
                           "title: b\nlogsource: {}\ndetection: {s: {F: a}, condition: s}\n"};
    uint8_t hash[3][32];
    for (size_t i = 0; i < 3; i++) {
        struct rule_set *set = NULL;
        assert_int_equal(rule_set_new(NULL, &set), 0);
        assert_int_equal(rule_set_add(set, str_from(texts[i == 1]), "a", NULL), 0);
        if (i < 2)
            assert_int_equal(rule_set_add(set, str_from(texts[i == 0]), "b", NULL), 0);
        rule_set_hash(set, hash[i]);
        rule_set_free(set);
    }
    assert_memory_equal(hash[0], hash[1], 32);
    assert_memory_not_equal(hash[0], hash[2], 32);
}

static void test_a_long_value_is_searched_to_its_end(void **state)
{
    (void)state;
    struct rule_set *set = test_rule("    s: {F|contains: needle}\n"
                                     "    t: {F|re: 'nee+dle$'}\n"
                                     "    u: {F: '*a*needle'}\n"
                                     "    condition: all of them\n");
    size_t n = (size_t)6 << 20;
    char *text = malloc(n);
    memset(text, 'a', n);
    struct test_field field = {"F", {.type = RULE_TEXT, .text = {text, n}}};
    assert_int_equal(test_count(set, &field, 1, NULL), 0);
    memcpy(text + n - 6, "NEEDLE", 6);
    assert_int_equal(test_count(set, &field, 1, NULL), 0);
    memcpy(text + n - 6, "needle", 6);
    assert_int_equal(test_count(set, &field, 1, NULL), 1);
    free(text);
    rule_set_free(set);
}

static void test_a_regex_bomb_ends_and_is_counted(void **state)
{
    (void)state;
    char *text = malloc(100001);
    memset(text, 'a', 100000);
    text[99999] = 'b';
    text[100000] = 0;
    struct test_field field = {"F", {.type = RULE_TEXT, .text = {text, 100000}}};
    unsigned limits = 0;
    // vectorscan has no bombs: this one is simply answered
    struct rule_set *set = test_rule(ITEM("F|re: '(a+)+$'"));
    assert_int_equal(test_count(set, &field, 1, &limits), 0);
    assert_int_equal(limits, 0);
    text[99999] = 'a';
    assert_int_equal(test_count(set, &field, 1, &limits), 1);
    rule_set_free(set);
    // look-ahead needs PCRE2, which backtracks: its budget ends
    text[99999] = 'b';
    static const char *const bombs[] = {"'(.*)*(?=z)'", "'(?=.*x)(?=.*y)a'", "'(?=a*?q)a'"};
    for (size_t i = 0; i < 3; i++) {
        char item[100];
        snprintf(item, sizeof item, "    s: {F|re: %s}\n    condition: s\n", bombs[i]);
        set = test_rule(item);
        assert_int_equal(test_count(set, &field, 1, &limits), 0);
        assert_int_equal(limits, 1);
        rule_set_free(set);
    }
    free(text);
}

struct worker {
    struct rule_set *set;
    int route;
    size_t matches;
};

static void *match_many(void *context)
{
    struct worker *w = context;
    struct rule_scratch *scratch = NULL;
    if (rule_scratch_new(w->set, &scratch) < 0)
        return NULL;
    const struct test_field hit[] = {TEXT_FIELD("Image", "/bin/sh"),
                                     TEXT_FIELD("CommandLine", "sh -c whoami")};
    const struct test_field miss[] = {TEXT_FIELD("Image", "/bin/sh")};
    for (int i = 0; i < 2000; i++) {
        w->matches += matches_of(w->set, scratch, w->route, hit, 2, NULL);
        w->matches += matches_of(w->set, scratch, w->route, miss, 1, NULL);
    }
    rule_scratch_free(scratch);
    return NULL;
}

static void test_threads_share_a_compiled_set(void **state)
{
    (void)state;
    struct rule_set *set = test_set(two_rules);
    int route = rule_set_route(set, STR("linux"), STR("process_creation"), STR_NONE);
    struct worker workers[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        workers[i] = (struct worker){set, route, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, match_many, &workers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].matches, 2000);
    }
    rule_set_free(set);
}

// The candidate index must not lose a rule: each shape of condition, with and without its strings.
static void test_rules_without_a_necessary_string_are_always_evaluated(void **state)
{
    (void)state;
    assert_true(MATCHES("    a: {F: x}\n    condition: not a\n", TEXT_FIELD("G", "")));
    assert_true(
        MATCHES("    a: {F: x}\n    b: {G: y}\n    condition: a or not b\n", TEXT_FIELD("G", "z")));
    assert_true(MATCHES("    a: {F: x}\n    b: {G: y}\n    condition: not (a and b)\n",
                        TEXT_FIELD("F", "x")));
    assert_true(MATCHES("    a: {F: x}\n    b: {G: y}\n    condition: not (not a or not b)\n",
                        TEXT_FIELD("F", "x"), TEXT_FIELD("G", "y")));
    assert_true(
        MATCHES("    a: {F: x}\n    b: {G|gt: 1}\n    condition: a or b\n", NUMBER_FIELD("G", 2)));
    assert_true(MATCHES("    a: {F: x, H: null}\n    condition: a\n", TEXT_FIELD("F", "x")));
    assert_true(MATCHES("    a: [{F: x}, {G: '*'}]\n    condition: a\n", TEXT_FIELD("G", "")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_keep_their_description),
        cmocka_unit_test(test_a_match_tells_selections_values_patterns_and_lines),
        cmocka_unit_test(test_a_match_of_a_list_tells_the_text_that_matched),
        cmocka_unit_test(test_routes_choose_rules_by_log_source),
        cmocka_unit_test(test_a_file_is_added_whole_or_not_at_all),
        cmocka_unit_test(test_the_hash_depends_on_texts_and_not_on_their_order),
        cmocka_unit_test(test_a_long_value_is_searched_to_its_end),
        cmocka_unit_test(test_a_regex_bomb_ends_and_is_counted),
        cmocka_unit_test(test_threads_share_a_compiled_set),
        cmocka_unit_test(test_rules_without_a_necessary_string_are_always_evaluated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
