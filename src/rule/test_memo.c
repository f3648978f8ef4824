// SPDX-License-Identifier: Apache-2.0
#include "rule/memo.h"
#include "rule/test_record.h"

#include <stdlib.h>

static void test_only_the_same_text_is_found(void **state)
{
    (void)state;
    struct rule_memo *memo = NULL;
    const uint64_t bits[2] = {5, 1ull << 63}, zero[2] = {0};
    assert_int_equal(rule_memo_new(2, &memo), 0);
    assert_null(rule_memo_find(memo, STR("")));
    uint64_t *place = rule_memo_place(memo, STR("/bin/sh"));
    assert_memory_equal(place, zero, sizeof zero);
    memcpy(place, bits, sizeof bits);
    const uint64_t *found = rule_memo_find(memo, STR("/bin/sh"));
    assert_non_null(found);
    assert_memory_equal(found, bits, sizeof bits);
    assert_null(rule_memo_find(memo, STR("/bin/s")));
    assert_null(rule_memo_find(memo, STR("/bin/sH")));
    rule_memo_place(memo, STR_NONE);
    assert_non_null(rule_memo_find(memo, STR("")));
    rule_memo_forget(memo, STR("/bin/s"));
    assert_non_null(rule_memo_find(memo, STR("/bin/sh")));
    rule_memo_forget(memo, STR("/bin/sh"));
    assert_null(rule_memo_find(memo, STR("/bin/sh")));
    rule_memo_free(memo);
}

static void test_a_newer_text_replaces_and_a_long_one_is_not_kept(void **state)
{
    (void)state;
    struct rule_memo *memo = NULL;
    char text[4096];
    assert_int_equal(rule_memo_new(1, &memo), 0);
    for (uint64_t i = 0; i < 1000; i++) {
        struct str s = {
            text, (size_t)snprintf(text, sizeof text, "/usr/bin/%llu", (unsigned long long)i)};
        *rule_memo_place(memo, s) = i;
        assert_int_equal(*rule_memo_find(memo, s), i);
    }
    for (uint64_t i = 0; i < 1000; i++) {
        struct str s = {
            text, (size_t)snprintf(text, sizeof text, "/usr/bin/%llu", (unsigned long long)i)};
        const uint64_t *found = rule_memo_find(memo, s);
        assert_true(!found || *found == i);
    }
    memset(text, 'a', sizeof text);
    assert_int_equal(*rule_memo_place(memo, (struct str){text, sizeof text}), 0);
    assert_null(rule_memo_find(memo, (struct str){text, sizeof text}));
    rule_memo_free(memo);
}

static size_t matched(struct rule_set *set, struct rule_scratch *scratch,
                      const struct test_field *fields, char *ret)
{
    struct test_record context = {set, fields, 2};
    struct rule_record record = {test_get, test_each, &context};
    struct arena arena = {0};
    const struct rule_match *matches;
    size_t n;
    assert_int_equal(rule_match(set, scratch, 0, &record, &arena, &matches, &n, NULL), 0);
    *ret = 0;
    for (size_t i = 0; i < n; i++) {
        strncat(ret, matches[i].rule->title.p, matches[i].rule->title.n);
        for (size_t j = 0; j < matches[i].n_hits; j++)
            strncat(ret, matches[i].hits[j].value.p, matches[i].hits[j].value.n);
    }
    arena_done(&arena);
    return n;
}

// What one scratch says after any history is what a new one says that knows nothing.
static void test_matches_are_those_of_a_scratch_without_history(void **state)
{
    (void)state;
    static const char *const images[] = {"/bin/sh", "/bin/bash", "/usr/bin/id", "", "/BIN/SH"};
    static const char *const lines[] = {"sh -c id", "id", "bash -i", "cat /etc/shadow", "sh -c ID"};
    struct rule_set *set = test_set(
        "title: a\nlogsource: {}\ndetection:\n  s: {Image|endswith: [/sh, /bash], "
        "CommandLine|contains: "
        "id}\n  condition: s\n---\ntitle: b\nlogsource: {}\ndetection:\n  s: {CommandLine|re: "
        "'^(sh|bash) -[ci]'}\n  t: {Image|endswith: /id}\n  condition: s and not t\n---\n"
        "title: c\nlogsource: {}\ndetection:\n  s: {CommandLine|contains|cased: ID}\n  k: "
        "[shadow]\n"
        "  condition: s or k\n");
    struct rule_scratch *old = NULL, *fresh = NULL;
    size_t total = 0;
    assert_int_equal(rule_set_route(set, STR("linux"), STR("process_creation"), STR_NONE), 0);
    assert_int_equal(rule_scratch_new(set, &old), 0);
    for (size_t i = 0; i < 400; i++) {
        const char *image = images[i % 5], *line = lines[i / 5 * 7 % 25 / 5];
        const struct test_field fields[] = {
            {"Image", {.type = RULE_TEXT, .text = str_from(image)}},
            {"CommandLine", {.type = RULE_TEXT, .text = str_from(line)}}};
        char with[1024], without[1024];
        assert_int_equal(rule_scratch_new(set, &fresh), 0);
        size_t n = matched(set, old, fields, with);
        assert_int_equal(n, matched(set, fresh, fields, without));
        assert_string_equal(with, without);
        fresh = rule_scratch_free(fresh);
        total += n;
    }
    assert_true(total > 100);
    rule_scratch_free(old);
    rule_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_same_text_is_found),
        cmocka_unit_test(test_a_newer_text_replaces_and_a_long_one_is_not_kept),
        cmocka_unit_test(test_matches_are_those_of_a_scratch_without_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
