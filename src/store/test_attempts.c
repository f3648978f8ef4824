// SPDX-License-Identifier: Apache-2.0
#include "store/attempts.h"
#include "store/store_test.h"

static struct store_attempts *reopen(struct store_attempts *s)
{
    struct error e = {0};
    store_attempts_close(s);
    s = NULL;
    assert_int_equal(store_attempts_open(folder, true, &s, &e), 0);
    return s;
}

struct given {
    uint64_t names[8];
    size_t n;
    const char *json;
    uint64_t at;
};

static const uint8_t host[1][16] = {{7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7}};

static void run_of(struct store_attempts *s, bool quick, const struct given *all, size_t n)
{
    struct error e = {0};
    const struct store_means means = {.kind = 1, .value = {1, 2, 3}, .text = "x"};
    assert_int_equal(store_attempts_begin(s, quick, &e), 0);
    for (size_t i = 0; i < n; i++) {
        struct store_attempt one = {.id = all[i].names[0],
                                    .begin_ns = all[i].at,
                                    .end_ns = all[i].at + 10,
                                    .n_detections = (uint32_t)all[i].n,
                                    .names = all[i].names,
                                    .n_hosts = 1,
                                    .hosts = host,
                                    .seen_from_ns = all[i].at,
                                    .seen_to_ns = all[i].at + 10,
                                    .means = &means,
                                    .n_means = 1,
                                    .json = str_from(all[i].json)};
        assert_int_equal(store_attempts_put(s, &one, &e), 0);
    }
    assert_int_equal(store_attempts_end(s, STR("{}"), &e), 0);
}

static int told(void *context, const struct store_attempt *one)
{
    buf_addf(context, "%llx:" STR_FMT "%s ", (unsigned long long)one->id, STR_ARG(one->json),
             one->quick ? "?" : "");
    return 0;
}

static void assert_all(struct store_attempts *s, const char *expected)
{
    _cleanup_buf_ struct buf out = {0};
    assert_int_equal(store_attempts_each(s, 0, 0, told, &out, NULL), 0);
    buf_add_char(&out, 0);
    assert_string_equal(out.p, expected);
}

#define A 0xaaaa000000000001
#define B 0xbbbb000000000001

static void test_a_whole_run_replaces_what_was_there(void **state)
{
    (void)state;
    struct store_attempts *s = reopen(NULL);
    const struct given first[] = {{{A, A + 1}, 2, "a", 100}, {{B}, 1, "b", 200}};
    run_of(s, false, first, 2);
    assert_all(s, "bbbb000000000001:b aaaa000000000001:a ");
    run_of(s, false, first, 2); // doubles nothing
    s = reopen(s);
    assert_all(s, "bbbb000000000001:b aaaa000000000001:a ");
    const struct given joined[] = {{{A, A + 1, B}, 3, "ab", 100}};
    run_of(s, false, joined, 1);
    assert_all(s, "aaaa000000000001:ab ");
    uint64_t id = 0;
    assert_int_equal(store_attempts_find(s, STR("bbbb"), &id, NULL), 0); // by any detection in it
    assert_true(id == A);
    assert_int_equal(store_attempts_find(s, STR("cccc"), &id, NULL), -ESRCH);
    assert_int_equal(store_attempts_find(s, STR("' OR 1"), &id, NULL), -ESRCH);
    store_attempts_close(s);
}

static void test_a_run_that_fails_leaves_what_was_there(void **state)
{
    (void)state;
    struct error e = {0};
    struct store_attempts *s = reopen(NULL);
    const struct given first[] = {{{A}, 1, "a", 100}};
    const struct store_attempt other = {.id = B, .names = &first[0].names[0], .json = STR("b")};
    run_of(s, false, first, 1);
    assert_int_equal(store_attempts_begin(s, false, &e), 0);
    assert_int_equal(store_attempts_put(s, &other, &e), 0);
    s = reopen(s); // as after kill -9
    assert_all(s, "aaaa000000000001:a ");
    store_attempts_close(s);
}

static void test_a_quick_look_only_adds(void **state)
{
    (void)state;
    struct store_attempts *s = reopen(NULL);
    const struct given whole[] = {{{A, A + 1}, 2, "a", 100}};
    run_of(s, false, whole, 1);
    // It sees the end of A without its beginning, and B.
    const struct given newest[] = {{{A + 1, A + 2}, 2, "part", 150}, {{B}, 1, "b", 200}};
    run_of(s, true, newest, 2);
    assert_all(s, "bbbb000000000001:b? aaaa000000000001:a? ");
    uint64_t id = 0;
    assert_int_equal(store_attempts_find(s, STR("aaaa000000000003"), &id, NULL), 0);
    assert_true(id == A);
    const struct given all[] = {{{A, A + 1, A + 2}, 3, "aa", 100}, {{B}, 1, "b", 200}};
    run_of(s, false, all, 2);
    assert_all(s, "bbbb000000000001:b aaaa000000000001:aa ");
    store_attempts_close(s);
}

static void test_times_beyond_any_clock_hide_nothing(void **state)
{
    (void)state;
    struct store_attempts *s = reopen(NULL);
    const struct given never[] = {{{A}, 1, "a", UINT64_MAX - 100}};
    run_of(s, false, never, 1);
    assert_all(s, "aaaa000000000001:a ");
    run_of(s, false, NULL, 0);
    assert_all(s, "");
    store_attempts_close(s);
}

// A host that says it is next year must not stop what is told of this year, once retention takes its data.
static void test_retention_seals_by_the_clock_of_the_hub(void **state)
{
    (void)state;
    struct sender a;
    uint64_t files;
    sender_init(&a, 7, 0);
    struct store *s = open_store(2000, NULL);
    for (unsigned i = 0; i < 60; i++) {
        sender_add(&a, 10);
        assert_int_equal(give(s, &a, i), STORE_NEW); // at 5,000 by the hub's clock
        commit(s);
    }
    struct store_attempts *attempts = reopen(NULL);
    assert_int_equal(store_retain(s, 0, 6000, &files, NULL), 0);
    assert_true(files > 1);
    const struct given one[] = {{{A}, 1, "a", 6000}}, more[] = {{{A, B}, 2, "ab", 6000}};
    run_of(attempts, false, one, 1);
    run_of(attempts, false, more, 1);
    assert_all(attempts, "aaaa000000000001:ab ");
    store_attempts_close(attempts);
    store_close(s);
    sender_done(&a);
}

static void test_changes_by_hand_are_only_added_to(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf text = {0};
    uint64_t n = 0;
    struct store_attempts *s = reopen(NULL);
    assert_int_equal(store_attempts_change(s, STR("one\n"), NULL), 0);
    assert_int_equal(store_attempts_change(s, STR("two\n"), NULL), 0);
    run_of(s, false, NULL, 0);
    s = reopen(s);
    assert_int_equal(store_attempts_changes(s, &text, &n, NULL), 0);
    assert_true(n == 2 && str_eq(buf_str(&text), STR("one\ntwo\n")));
    store_attempts_close(s);
}

static void test_retention_keeps_evidence_and_seals(void **state)
{
    (void)state;
    struct sender a;
    struct store_news news;
    struct store_position position = {0};
    uint64_t files;
    sender_init(&a, 7, 0);
    struct store *s = open_store(2000, NULL);
    for (unsigned i = 0; i < 60; i++) {
        sender_add(&a, 10);
        struct store_record record = sender_record(&a, i);
        assert_int_equal(store_append(s, &record, 1, 1000000000 + i * 100000, NULL), 0);
        commit(s);
    }
    struct store_attempts *attempts = reopen(NULL);
    // Batch 10 is of 1,000 us and some.
    const struct given one[] = {{{A}, 1, "a", 1000000000 + 1000 * 1000}};
    run_of(attempts, false, one, 1);
    assert_int_equal(store_retain(s, 0, 6000, &files, NULL), 0);
    assert_true(files > 1);
    run_of(attempts, false, NULL, 0); // data are gone that it was told from
    assert_all(attempts, "aaaa000000000001:a ");
    store_attempts_close(attempts);
    store_close(s);
    assert_int_equal(store_news(folder, &position, &news, NULL), 0);
    assert_true(news.batches > 0 && news.batches < 60 && news.events == news.batches * 10);
    struct store_walk *w = NULL;
    const struct store_filter around = {.from_ns = 1000000000 + 1000 * 1000,
                                        .to_ns = 1000000000 + 1001 * 1000};
    struct segment_info info;
    struct str record;
    assert_int_equal(store_walk_new(folder, &around, &w, NULL), 0);
    assert_int_equal(store_walk_next(w, &info, &record, NULL), 1);
    assert_true(info.sequence == 10);
    store_walk_free(w);
    sender_done(&a);
}

static void test_news_are_what_came_since(void **state)
{
    (void)state;
    struct sender a;
    struct store_news news;
    struct store_position position = {0};
    sender_init(&a, 7, 0);
    struct store *s = open_store(2000, NULL);
    for (unsigned i = 0, last = 0; i < 30; i++) {
        sender_add(&a, 3);
        give(s, &a, i);
        commit(s);
        if (i % 7)
            continue;
        assert_int_equal(store_news(folder, &position, &news, NULL), 0);
        assert_true(news.batches == i + 1 - last && news.events == 3 * news.batches);
        last = i + 1;
    }
    store_close(s);
    sender_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_whole_run_replaces_what_was_there),
        TEST(test_a_run_that_fails_leaves_what_was_there),
        TEST(test_a_quick_look_only_adds),
        TEST(test_changes_by_hand_are_only_added_to),
        TEST(test_retention_keeps_evidence_and_seals),
        TEST(test_times_beyond_any_clock_hide_nothing),
        TEST(test_retention_seals_by_the_clock_of_the_hub),
        TEST(test_news_are_what_came_since),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
