// SPDX-License-Identifier: Apache-2.0
// Clients with a common adversary: the operator sees who, each client at most that there were others, and never a name, an
// address or a number of theirs.
#include "attempt/attempt.h"
#include "base/cleanup.h"
#include "base/test.h"
#include "hub/campaigns.h"
#include "store/attempts.h"
#include "store/registry.h"

#include <stdio.h>
#include <sys/stat.h>

#define CLIENTS 8

static char folder[64];

static char *path_of(const char *format, unsigned i)
{
    static char path[160];
    int n = snprintf(path, sizeof path, "%s/", folder);
    snprintf(path + n, sizeof path - (size_t)n, format, i);
    return path;
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/campaigns-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    return mkdtemp(folder) ? mkdir(path_of("clients", 0), 0700) : -1;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CLIENTS; i++) {
        unlink(path_of("clients/secret-%u/attempts.db", i));
        rmdir(path_of("clients/secret-%u", i));
    }
    rmdir(path_of("clients", 0));
    unlink(path_of("hub.db", 0));
    return rmdir(folder);
}

static void add_client(struct registry *registry, unsigned i, unsigned shared)
{
    char name[32], json[96];
    struct store_attempts *s = NULL;
    const uint64_t id = (i + 1) * 0x1111111111111111u;
    static const uint8_t host[1][16] = {{1}};
    struct store_means means = {.kind = ATTEMPT_ADDRESS, .text = "203.0.113.9"};
    means.value[10] = means.value[11] = 0xff;
    memcpy(means.value + 12, (uint8_t[]){203, 0, 113, i < shared ? 9 : (uint8_t)(50 + i)}, 4);
    snprintf(name, sizeof name, "secret-%u", i);
    snprintf(json, sizeof json, "{}");
    assert_int_equal(registry_client_add(registry, name, i < 6 ? "steel" : "law", 1, NULL), 0);
    assert_int_equal(mkdir(path_of("clients/secret-%u", i), 0700), 0);
    assert_int_equal(store_attempts_open(path_of("clients/secret-%u", i), true, &s, NULL), 0);
    struct store_attempt one = {.id = id,
                                .begin_ns = 100 + i,
                                .end_ns = 200,
                                .n_detections = 1,
                                .names = &id,
                                .n_hosts = 1,
                                .hosts = host,
                                .means = &means,
                                .n_means = 1,
                                .json = str_from(json)};
    assert_int_equal(store_attempts_begin(s, false, NULL), 0);
    assert_int_equal(store_attempts_put(s, &one, NULL), 0);
    assert_int_equal(store_attempts_end(s, STR("{}"), NULL), 0);
    store_attempts_close(s);
}

// What client 0 and client 7 are told when the first `shared` of eight clients met the same address.
static void with(unsigned shared, const char *first, const char *last)
{
    struct registry *registry = NULL;
    struct hub_campaigns *c = NULL;
    _cleanup_buf_ struct buf told = {0}, other = {0}, foreign = {0};
    assert_int_equal(registry_open(path_of("hub.db", 0), true, &registry, NULL), 0);
    for (unsigned i = 0; i < CLIENTS; i++)
        add_client(registry, i, shared);
    assert_int_equal(hub_campaigns_read(folder, registry, &c, NULL), 0);
    assert_int_equal(campaigns_count(hub_campaigns(c)), shared > 1);
    hub_campaigns_elsewhere(c, "secret-0", 0x1111111111111111u, &told);
    hub_campaigns_elsewhere(c, "secret-7", 8 * 0x1111111111111111u, &other);
    hub_campaigns_elsewhere(c, "secret-7", 0x1111111111111111u, &foreign); // not its attempt
    assert_true(str_eq(buf_str(&told), str_from(first)));
    assert_true(str_eq(buf_str(&other), str_from(last)));
    assert_int_equal(foreign.n, 0);
    hub_campaigns_free(c);
    registry_close(registry);
}

static void test_few_others_are_not_told_of(void **state)
{
    (void)state;
    with(5, "", "");
}

static void test_others_are_counted_in_steps_and_never_named(void **state)
{
    (void)state;
    with(6, "Also seen at at least 5 other clients, among them of: steel.", "");
}

static void test_a_sector_with_few_is_not_named(void **state)
{
    (void)state;
    // Client 7 is of the law, one of two: of those it is told of six are of steel.
    with(8, "Also seen at at least 5 other clients, among them of: steel.",
         "Also seen at at least 5 other clients, among them of: steel.");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_few_others_are_not_told_of),
        TEST(test_others_are_counted_in_steps_and_never_named),
        TEST(test_a_sector_with_few_is_not_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
