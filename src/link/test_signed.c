// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "base/test.h"
#include "link/signed.h"
#include <errno.h>
#include <string.h>

#define NOW 1000000000000000000ull
#define MINUTE 60000000000ull

static uint8_t public_key[32], secret[64];
static struct signed_trust trust;

static int setup(void **context)
{
    (void)context;
    uint8_t seed[32] = {7};
    memcpy(trust.magic, SIGNED_TRUST_MAGIC, 8);
    memset(trust.host, 0xab, 16);
    strcpy(trust.client, "acme");
    int r = signed_key(seed, public_key, secret);
    memcpy(trust.key, public_key, 32);
    return r;
}

static struct signed_order block(uint64_t sequence)
{
    struct signed_order o = {
        .client = "acme", .sequence = sequence, .issued_ns = NOW, .expires_ns = NOW + 10 * MINUTE};
    memset(o.host, 0xab, 16);
    o.response = (struct response_order){.action = RESPONSE_BLOCK_ADDRESS,
                                         .lasts_ns = 3600000000000ull,
                                         .n_addresses = 1,
                                         .addresses = {{{127, 66, 0, 9}, 4, 32, {0}}}};
    signed_by(sequence, o.response.by);
    return o;
}

static void seal(const struct signed_order *o, struct buf *to)
{
    _cleanup_buf_ struct buf payload = {0};
    assert_int_equal(signed_pack(o, &payload), 0);
    assert_int_equal(signed_seal(buf_str(&payload), secret, to), 0);
}

static int open_it(const struct buf *b, uint64_t last, uint64_t now, struct signed_order *ret)
{
    struct error e = {0};
    int r = signed_open(buf_str(b), &trust, last, now, ret, &e);
    assert_true(r == 0 || e.what[0]);
    return r;
}

static void test_an_order_arrives_as_it_was_given(void **context)
{
    (void)context;
    struct signed_order given = block(5), got = {0};
    _cleanup_buf_ struct buf b = {0};
    seal(&given, &b);
    assert_int_equal(open_it(&b, 4, NOW + MINUTE, &got), 0);
    assert_memory_equal(&given, &got, sizeof got);

    struct signed_order all = block(6);
    all.all = 1;
    memset(all.host, 0, 16);
    all.response = (struct response_order){.action = RESPONSE_QUARANTINE};
    memset(all.response.text, 'x', 2400);
    all.response.text[0] = '/';
    signed_by(6, all.response.by);
    b.n = 0;
    seal(&all, &b);
    assert_true(b.n <= SIGNED_MAX);
    assert_int_equal(open_it(&b, 5, NOW, &got), 0);
    assert_memory_equal(&all, &got, sizeof got);

    struct signed_order undo = block(7);
    undo.undoes = 5;
    memset(&undo.response, 0, sizeof undo.response);
    b.n = 0;
    seal(&undo, &b);
    assert_int_equal(open_it(&b, 6, NOW, &got), 0);
    assert_memory_equal(&undo, &got, sizeof got);
}

static void test_every_altered_bit_is_refused(void **context)
{
    (void)context;
    struct signed_order given = block(5), got = {.sequence = 99};
    _cleanup_buf_ struct buf b = {0};
    seal(&given, &b);
    unsigned taken = 0;
    for (size_t i = 0; i < b.n; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            ((uint8_t *)b.p)[i] ^= (uint8_t)(1u << bit);
            int r = open_it(&b, 4, NOW, &got);
            ((uint8_t *)b.p)[i] ^= (uint8_t)(1u << bit);
            if (r == 0) // only the name of the key, which is for words, may differ
                taken += memcmp(&given, &got, sizeof got) != 0;
        }
    assert_int_equal(taken, 0);
    for (size_t n = 0; n < b.n - 10; n++) {
        struct buf cut = {.p = b.p, .n = n};
        assert_true(open_it(&cut, 4, NOW, &got) < 0);
    }
}

static void test_another_key_is_refused(void **context)
{
    (void)context;
    uint8_t seed[32] = {8}, other_public[32], other[64];
    struct signed_order o = block(5), got;
    _cleanup_buf_ struct buf payload = {0}, b = {0};
    assert_int_equal(signed_key(seed, other_public, other), 0);
    assert_int_equal(signed_pack(&o, &payload), 0);
    assert_int_equal(signed_seal(buf_str(&payload), other, &b), 0);
    assert_int_equal(open_it(&b, 0, NOW, &got), -EKEYREJECTED);
}

static void test_replayed_orders_are_refused_and_named(void **context)
{
    (void)context;
    struct signed_order o = block(5), got = {0};
    _cleanup_buf_ struct buf b = {0};
    seal(&o, &b);
    assert_int_equal(open_it(&b, 5, NOW, &got), -EALREADY);
    assert_int_equal(got.sequence, 5);
    assert_int_equal(open_it(&b, 6, NOW, &got), -EALREADY);
}

static void test_orders_of_another_client_host_or_time_are_refused(void **context)
{
    (void)context;
    struct signed_order o = block(5), got;
    _cleanup_buf_ struct buf b = {0};
    seal(&o, &b);
    assert_int_equal(open_it(&b, 4, NOW + 10 * MINUTE, &got), -ETIME);
    assert_int_equal(open_it(&b, 4, NOW - 6 * MINUTE, &got), -ETIME);
    assert_int_equal(open_it(&b, 4, NOW - 4 * MINUTE, &got), 0);
    b.n = 0;
    strcpy(o.client, "acme2");
    seal(&o, &b);
    assert_int_equal(open_it(&b, 4, NOW, &got), -EPERM);
    b.n = 0;
    strcpy(o.client, "acme");
    o.host[15] ^= 1;
    seal(&o, &b);
    assert_int_equal(open_it(&b, 4, NOW, &got), -EPERM);
}

static void test_what_is_no_good_order_is_not_made(void **context)
{
    (void)context;
    _cleanup_buf_ struct buf b = {0};
    struct signed_order o = block(0);
    assert_int_equal(signed_pack(&o, &b), -EINVAL); // no sequence
    o = block(1);
    o.expires_ns = o.issued_ns + SIGNED_LIFE_NS + 1;
    assert_int_equal(signed_pack(&o, &b), -EINVAL);
    o = block(1);
    o.response.action = RESPONSE_ACTIONS;
    assert_int_equal(signed_pack(&o, &b), -EINVAL);
    o = block(3);
    o.undoes = 3;
    memset(&o.response, 0, sizeof o.response);
    assert_int_equal(signed_pack(&o, &b), -EINVAL); // itself
    o = block(1);
    memset(&o.client, 'x', sizeof o.client);
    assert_int_equal(signed_pack(&o, &b), -EINVAL);
    o = block(3);
    o.undoes = 2; // and something to do as well
    assert_int_equal(signed_pack(&o, &b), -EINVAL);
    assert_int_equal(b.n, 0);
}

static void test_a_host_without_its_hubs_key_takes_nothing(void **context)
{
    (void)context;
    struct signed_order o = block(5), got;
    struct signed_trust none = {0};
    struct error e = {0};
    _cleanup_buf_ struct buf b = {0};
    seal(&o, &b);
    assert_int_equal(signed_open(buf_str(&b), &none, 0, NOW, &got, &e), -EBADMSG);
    assert_string_equal(e.way_out, "enrol it again");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_order_arrives_as_it_was_given),
        cmocka_unit_test(test_every_altered_bit_is_refused),
        cmocka_unit_test(test_another_key_is_refused),
        cmocka_unit_test(test_replayed_orders_are_refused_and_named),
        cmocka_unit_test(test_orders_of_another_client_host_or_time_are_refused),
        cmocka_unit_test(test_what_is_no_good_order_is_not_made),
        cmocka_unit_test(test_a_host_without_its_hubs_key_takes_nothing),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
