// SPDX-License-Identifier: Apache-2.0
#include "cli/hunt.h"
#include "store/store_test.h"

static struct sender senders[2];

// Two hosts, 20 batches of 4 events each, in many files.
static int setup_store(void **state)
{
    int r = setup(state);
    struct store *s = open_store(2000, NULL);
    for (uint8_t h = 0; h < 2; h++)
        sender_init(&senders[h], (uint8_t)(h + 1), 0);
    for (size_t i = 0; i < 20; i++)
        for (int h = 0; h < 2; h++) {
            sender_add(&senders[h], 4);
            give(s, &senders[h], i);
        }
    commit(s);
    store_close(s);
    return r;
}

static int teardown_store(void **state)
{
    sender_done(&senders[0]);
    sender_done(&senders[1]);
    return teardown(state);
}

struct seen {
    unsigned n, detections, problems;
    uint8_t host[16];
    uint64_t id;
    char rule[64];
};

static int found(void *context, const uint8_t host[16], Tiercel__Event *event,
                 Tiercel__Detection *detection)
{
    struct seen *seen = context;
    seen->n++;
    seen->id = event->id;
    memcpy(seen->host, host, 16);
    if (detection)
        snprintf(seen->rule, sizeof seen->rule, "%s", detection->rule_title);
    seen->detections += detection != NULL;
    return 0;
}

static void problem(void *context, const struct error *e)
{
    (void)e;
    ((struct seen *)context)->problems++;
}

static void begin(struct hunt *h, struct seen *seen)
{
    *seen = (struct seen){0};
    assert_int_equal(hunt_init(h, NULL), 0);
    h->found = found;
    h->problem = problem;
    h->context = seen;
}

static void test_condition_finds_its_events(void **state)
{
    (void)state;
    struct hunt h;
    struct seen seen;
    begin(&h, &seen);
    assert_int_equal(filter_parse_field(STR("Image=*/p2-7*"), &h.filter.fields[0], NULL), 0);
    h.filter.n_fields = 1;
    assert_int_equal(hunt_run(&h, folder, NULL), 0);
    assert_int_equal(seen.n, 4); // 700 to 703
    assert_int_equal(seen.host[0], 2);
    assert_int_equal(h.events, 160);
    hunt_done(&h);
    begin(&h, &seen); // the same when only programs are unpacked
    assert_int_equal(filter_parse_field(STR("Image=*/p2-7*"), &h.filter.fields[0], NULL), 0);
    h.filter.n_fields = h.filter.n_kinds = 1;
    h.filter.kinds[0] = STR("exec");
    assert_int_equal(hunt_run(&h, folder, NULL), 0);
    assert_true(seen.n == 4 && h.events == 160 && h.kinds == 1ull << 20);
    hunt_done(&h);
    begin(&h, &seen);
    h.filter.n_kinds = 1;
    h.filter.kinds[0] = STR("connect");
    assert_int_equal(hunt_run(&h, folder, NULL), 0);
    assert_true(seen.n == 0 && h.events == 0);
    hunt_done(&h);
}

static void test_value_and_host_pass_over_files(void **state)
{
    (void)state;
    struct hunt h;
    struct seen seen;
    begin(&h, &seen);
    assert_int_equal(hunt_key_add(&h, STORE_PATH, "/bin/p1-302", NULL), 0);
    assert_int_equal(hunt_run(&h, folder, NULL), 0);
    assert_true(seen.n == 1 && seen.id == 302 && seen.host[0] == 1);
    assert_true(h.counts.files_skipped > 1 && h.events < 160);
    hunt_done(&h);
    begin(&h, &seen); // of any type together
    assert_int_equal(hunt_key_add(&h, STORE_DOMAIN, "example.org", NULL), 0);
    assert_int_equal(hunt_key_add(&h, STORE_PATH, "/bin/p1-302", NULL), 0);
    assert_int_equal(hunt_run(&h, folder, NULL), 0);
    assert_int_equal(seen.n, 1);
    hunt_done(&h);
    begin(&h, &seen);
    assert_int_equal(hunt_host_add(&h, "02020202020202020202020202020202", NULL), 0);
    assert_int_equal(hunt_run(&h, folder, NULL), 0);
    assert_int_equal(seen.n, 80);
    assert_int_equal(h.counts.batches_skipped, 20);
    hunt_done(&h);
}

static void test_time_and_limit(void **state)
{
    (void)state;
    struct hunt h;
    struct seen seen;
    begin(&h, &seen);
    h.filter.since_ns = 1000000000 + 1800 * 1000;
    assert_int_equal(hunt_run(&h, folder, NULL), 0);
    assert_int_equal(seen.n, 16);
    assert_true(h.events < 40);
    h.limit = 3;
    h.results = seen.n = 0;
    assert_int_equal(hunt_run(&h, folder, NULL), 1);
    assert_int_equal(seen.n, 3);
    hunt_done(&h);
}

static void test_rules_run_over_what_is_stored(void **state)
{
    (void)state;
    static const char rule[] = "title: Seven\n"
                               "id: 11111111-2222-3333-4444-555555555555\n"
                               "logsource: {product: linux, category: process_creation}\n"
                               "detection:\n"
                               "  a: {Image|endswith: '-701'}\n"
                               "  condition: a\n"
                               "level: low\n";
    struct hunt h;
    struct seen seen;
    struct error e = {0};
    const char *path = path_of("rule.yml");
    FILE *f = fopen(path, "we");
    fputs(rule, f);
    fclose(f);
    begin(&h, &seen);
    assert_int_equal(hunt_rules_add(&h, path, &e), 0);
    assert_int_equal(hunt_rules_ready(&h, &e), 0);
    assert_int_equal(hunt_run(&h, folder, &e), 0);
    assert_true(seen.n == 2 && seen.detections == 2 && seen.id == 701);
    assert_string_equal(seen.rule, "Seven");
    assert_int_equal(h.counts.batches_skipped, 0);
    hunt_done(&h);
    begin(&h, &seen); // of a kind that no batch has: none is decompressed
    f = fopen(path, "we");
    fputs("title: Net\nlogsource: {product: linux, category: network_connection}\n"
          "detection: {a: {DestinationPort: 4444}, condition: a}\nlevel: low\n",
          f);
    fclose(f);
    assert_int_equal(hunt_rules_add(&h, path, &e), 0);
    assert_int_equal(hunt_rules_ready(&h, &e), 0);
    assert_int_equal(hunt_run(&h, folder, &e), 0);
    assert_true(seen.n == 0 && h.events == 0 && h.counts.bytes_done == h.counts.bytes);
    hunt_done(&h);
}

static void test_bad_values_are_refused(void **state)
{
    (void)state;
    struct hunt h;
    struct seen seen;
    struct error e = {0};
    begin(&h, &seen);
    assert_int_equal(hunt_key_add(&h, STORE_HASH, "abc", &e), -EINVAL);
    assert_true(strstr(e.way_out, "64"));
    assert_int_equal(hunt_key_add(&h, STORE_ADDRESS, "1.2.3", &e), -EINVAL);
    assert_int_equal(hunt_host_add(&h, "xy", &e), -EINVAL);
    assert_int_equal(hunt_run(&h, path_of("none"), &e), -ENOENT);
    hunt_done(&h);
}

static void test_damage_is_told_and_passed_over(void **state)
{
    (void)state;
    struct hunt h;
    struct seen seen;
    _cleanup_close_ int fd = open(path_of("events/000000000002.seg"), O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "x", 1, 300), 1);
    begin(&h, &seen);
    assert_int_equal(hunt_run(&h, folder, NULL), 0);
    assert_true(seen.problems == 1 && seen.n > 80 && seen.n < 160);
    hunt_done(&h);
}

#define HUNT(name) cmocka_unit_test_setup_teardown(name, setup_store, teardown_store)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUNT(test_condition_finds_its_events),
        HUNT(test_value_and_host_pass_over_files),
        HUNT(test_time_and_limit),
        HUNT(test_rules_run_over_what_is_stored),
        HUNT(test_bad_values_are_refused),
        HUNT(test_damage_is_told_and_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
