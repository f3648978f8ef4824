// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "store/orders.h"
#include "store/registry.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64], file[96];
static struct registry *r;
static struct orders *o;
static uint8_t one[16] = {1}, two[16] = {2};

static int sign(void *context, const char *client, uint8_t ret[32])
{
    (void)context, (void)client;
    memset(ret, 7, 32);
    return 0;
}

static int enrol(const uint8_t host[16])
{
    struct error e = {0};
    struct registry_key key = {.id = {host[0]}, .uses = 1, .expires_ns = 100};
    struct registry_enrolment n = {.key_id = {host[0]}, .now = 2, .sign = sign};
    memcpy(n.host, host, 16);
    int code = registry_key_add(r, "acme", &key, 1, &e);
    return code < 0 ? code : registry_enrol(r, &n, &e);
}

static int setup(void **state)
{
    (void)state;
    struct error e = {0};
    snprintf(folder, sizeof folder, "/tmp/orders-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(file, sizeof file, "%s/hub.db", folder);
    return registry_open(file, true, &r, &e) < 0 || registry_client_add(r, "acme", "", 1, &e) ||
           registry_client_add(r, "other", "", 1, &e) || enrol(one) || enrol(two) ||
           orders_open(file, &o, &e);
}

static int teardown(void **state)
{
    char line[128];
    (void)state;
    o = orders_close(o);
    r = registry_close(r);
    snprintf(line, sizeof line, "rm -rf %s", folder);
    return system(line);
}

static int make(void *context, uint64_t sequence, struct buf *ret, struct error *e)
{
    (void)e;
    if (context)
        return error_set(e, -EINVAL, "none");
    buf_addf(ret, "payload %llu", (unsigned long long)sequence);
    return 0;
}

static int add(const char *client, const uint8_t *host, uint64_t now, uint64_t expires,
               uint64_t *ret)
{
    struct error e = {0};
    struct orders_new n = {.client = client,
                           .what = "block",
                           .by = "me",
                           .host = host,
                           .now_ns = now,
                           .expires_ns = expires,
                           .make = make};
    return orders_add(o, &n, ret, &e);
}

static void sign_all(void)
{
    struct orders_unsigned u;
    while (orders_next_unsigned(o, &u) == 1) {
        char text[64];
        int n =
            snprintf(text, sizeof text, "signed %s %llu", u.client, (unsigned long long)u.sequence);
        assert_int_equal(orders_put_envelope(o, u.client, u.sequence, str_bytes(text, (size_t)n)),
                         0);
        assert_true(u.payload.n > 8);
        buf_done(&u.payload);
    }
}

// The sequence of what this host gets next; 0 nothing.
static uint64_t next(const char *client, const uint8_t host[16], uint64_t now)
{
    uint8_t envelope[ORDERS_ENVELOPE_MAX];
    uint64_t sequence = 0;
    size_t n = 0;
    return orders_next(o, client, host, now, &sequence, envelope, &n) == 1 && n > 0 ? sequence : 0;
}

static int answer(const char *client, const uint8_t host[16], uint64_t sequence)
{
    struct orders_result result = {.sequence = sequence, .state = 1, .time_ns = 5, .code = -3};
    memcpy(result.host, host, 16);
    strcpy(result.what, "done");
    return orders_result(o, client, &result);
}

static void test_a_host_gets_its_orders_in_turn_until_it_answers(void **state)
{
    (void)state;
    uint64_t a, b, c;
    assert_int_equal(add("acme", one, 10, 1000, &a), 0);
    assert_int_equal(next("acme", one, 10), 0); // not signed
    assert_int_equal(add("acme", NULL, 10, 1000, &b), 0);
    assert_int_equal(add("other", NULL, 10, 1000, &c), 0);
    assert_int_equal(b, a + 1);
    assert_int_equal(c, 1); // each client counts for itself
    sign_all();
    assert_int_equal(next("acme", one, 11), a);
    assert_int_equal(next("acme", one, 11), a);
    assert_int_equal(next("acme", two, 11), b); // not the other host's
    assert_int_equal(answer("acme", two, a), -ENOENT);
    assert_int_equal(answer("other", one, b), -ENOENT);
    assert_int_equal(answer("acme", one, a), 0);
    assert_int_equal(next("acme", one, 11), b);
    assert_int_equal(answer("acme", one, b), 0);
    assert_int_equal(next("acme", one, 11), 0);
    assert_int_equal(next("acme", two, 11), b);
    assert_int_equal(next("acme", two, 1000), 0); // over
    assert_int_equal(next("other", two, 11), c);
}

static void test_a_signed_order_is_not_signed_again(void **state)
{
    (void)state;
    uint64_t a;
    assert_int_equal(add("acme", one, 20, 900, &a), 0);
    assert_int_equal(orders_put_envelope(o, "acme", a, STR("first")), 0);
    assert_int_equal(orders_put_envelope(o, "acme", a, STR("second")), -ENOENT);
    assert_int_equal(answer("acme", one, a), 0);
}

static void test_nobody_is_ordered_who_is_not_there(void **state)
{
    (void)state;
    struct error e = {0};
    uint8_t third[16] = {3};
    uint64_t a = 77;
    assert_int_equal(add("nobody", NULL, 10, 1000, &a), -ENOENT);
    assert_int_equal(add("acme", third, 10, 1000, &a), -ENOENT);
    assert_int_equal(add("other", one, 10, 1000, &a), -ENOENT);
    assert_int_equal(registry_host_revoke(r, "acme", two, 10, &e), 0);
    assert_int_equal(add("acme", two, 10, 1000, &a), -ENOENT);
    assert_int_equal(a, 77);
}

static void test_numbers_are_never_given_twice(void **state)
{
    (void)state;
    struct error e = {0};
    uint64_t a, b, c;
    assert_int_equal(add("acme", one, 10, 20, &a), 0);
    struct orders_new bad = {.client = "acme",
                             .what = "",
                             .by = "",
                             .now_ns = 10,
                             .expires_ns = 20,
                             .make = make,
                             .context = &e};
    assert_int_equal(orders_add(o, &bad, &c, &e), -EINVAL);
    assert_int_equal(add("acme", one, 10 + 2 * ORDERS_KEPT_NS, 20 + 2 * ORDERS_KEPT_NS, &b), 0);
    assert_int_equal(b, a + 1); // the old ones were deleted
    assert_int_equal(answer("acme", one, a - 1), -ENOENT);
    assert_int_equal(answer("acme", one, a), 0); // the newest of them stayed
}

static int collect(void *context, const struct orders_row *row)
{
    uint64_t *sum = context;
    assert_string_equal(row->what, "block");
    assert_string_equal(row->by, "me");
    sum[0]++;
    sum[1] += row->answers;
    return 0;
}

static int collect_result(void *context, const struct orders_result *result)
{
    assert_string_equal(result->what, "done");
    assert_int_equal(result->code, -3);
    assert_memory_equal(result->host, one, 16);
    ++*(int *)context;
    return 0;
}

static void test_what_became_of_them_is_shown(void **state)
{
    (void)state;
    uint64_t a, sum[2] = {0};
    int n = 0;
    uint64_t far = 4 * ORDERS_KEPT_NS;
    assert_int_equal(add("acme", one, far, far + 9, &a), 0);
    assert_int_equal(answer("acme", one, a), 0);
    assert_int_equal(answer("acme", one, a), 0);
    assert_int_equal(orders_each(o, "acme", 1, collect, sum), 0);
    assert_int_equal(sum[0], 1);
    assert_int_equal(sum[1], 1);
    assert_int_equal(orders_results_each(o, "acme", a, collect_result, &n), 0);
    assert_int_equal(n, 1);
}

static void test_a_change_of_another_is_noticed(void **state)
{
    (void)state;
    struct error e = {0};
    struct orders *other = NULL, *mine = o;
    uint64_t a;
    (void)orders_changed(o);
    assert_false(orders_changed(o));
    assert_int_equal(orders_open(file, &other, &e), 0);
    o = other;
    int code = add("acme", one, 10, 1000, &a);
    o = mine;
    assert_int_equal(code, 0);
    assert_true(orders_changed(o));
    assert_false(orders_changed(o));
    orders_close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_host_gets_its_orders_in_turn_until_it_answers),
        cmocka_unit_test(test_a_signed_order_is_not_signed_again),
        cmocka_unit_test(test_nobody_is_ordered_who_is_not_there),
        cmocka_unit_test(test_numbers_are_never_given_twice),
        cmocka_unit_test(test_what_became_of_them_is_shown),
        cmocka_unit_test(test_a_change_of_another_is_noticed),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
