// SPDX-License-Identifier: Apache-2.0
#include "attempt/attempt.h"
#include "attempt/campaign.h"
#include "base/cleanup.h"
#include "base/test.h"

#include <stdio.h>

#define DAY ((uint64_t)24 * 3600 * 1000000000)

static struct campaign_sighting sighting(size_t client, uint64_t attempt, const uint8_t ip[4],
                                         uint64_t at)
{
    struct campaign_sighting s = {.client = client,
                                  .attempt = attempt,
                                  .begin = at,
                                  .end = at + 1,
                                  .kind = ATTEMPT_ADDRESS,
                                  .text = "the address"};
    s.value[10] = s.value[11] = 0xff;
    memcpy(s.value + 12, ip, 4);
    return s;
}

static const uint8_t bad[4] = {203, 0, 113, 1}, other[4] = {203, 0, 113, 2},
                     inside[4] = {10, 0, 0, 5};

static size_t count_of(struct campaign_sighting *all, size_t n)
{
    struct campaigns *c = NULL;
    assert_int_equal(campaigns_join(all, n, &c), 0);
    size_t count = campaigns_count(c);
    campaigns_free(c);
    return count;
}

static void test_shared_address_joins_clients_with_its_reason(void **state)
{
    (void)state;
    struct campaign_sighting all[] = {sighting(0, 10, bad, DAY), sighting(1, 20, bad, 3 * DAY),
                                      sighting(1, 20, other, 3 * DAY),
                                      sighting(2, 30, other, 4 * DAY), sighting(2, 31, inside, 0)};
    struct campaigns *c = NULL;
    assert_int_equal(campaigns_join(all, 5, &c), 0);
    assert_int_equal(campaigns_count(c), 1);
    const struct campaign *one = campaigns_get(c, 0);
    assert_true(one->id == 10 && one->n_members == 3 && one->n_clients == 3);
    assert_int_equal(one->n_reasons, 2);
    assert_true(one->reasons[0].clients == 2 && one->reasons[0].attempts == 2);
    assert_true(one->reasons[0].first == DAY && one->reasons[0].last == 3 * DAY + 1);
    assert_ptr_equal(campaigns_of(c, 2, 30), one);
    assert_null(campaigns_of(c, 2, 31));
    assert_null(campaigns_of(c, 0, 30)); // another client's number
    campaigns_free(c);
}

static void test_what_says_nothing_joins_nothing(void **state)
{
    (void)state;
    struct campaign_sighting private[] = {sighting(0, 10, inside, 0), sighting(1, 20, inside, 0)};
    assert_int_equal(count_of(private, 2), 0);
    struct campaign_sighting one[] = {sighting(0, 10, bad, 0), sighting(0, 20, bad, 0)};
    assert_int_equal(count_of(one, 2), 0); // of one client: the joining of attempts has it
    struct campaign_sighting common[] = {sighting(0, 10, bad, 0), sighting(1, 20, bad, 0)};
    common[0].others = 2;
    assert_int_equal(count_of(common, 2), 1);
    common[0].others = 2;
    common[1].others = 1;
    assert_int_equal(count_of(common, 2), 0);
    struct campaign_sighting old[] = {sighting(0, 10, bad, 0), sighting(1, 20, bad, 200 * DAY)};
    assert_int_equal(count_of(old, 2), 0); // it changed hands
    old[0].kind = old[1].kind = ATTEMPT_CONTENT;
    assert_int_equal(count_of(old, 2), 1);
    old[0].kind = old[1].kind = ATTEMPT_DROPPED;
    assert_int_equal(count_of(old, 2), 0);
}

static void print(struct campaigns *c, struct buf *out)
{
    for (size_t i = 0; i < campaigns_count(c); i++) {
        const struct campaign *one = campaigns_get(c, i);
        buf_addf(out, "%llu %zu %zu:", (unsigned long long)one->id, one->n_clients, one->n_reasons);
        for (size_t k = 0; k < one->n_members; k++)
            buf_addf(out, " %zu/%llu", one->members[k].client,
                     (unsigned long long)one->members[k].attempt);
        buf_add_char(out, '\n');
    }
}

static void test_order_changes_nothing(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf first = {0};
    uint64_t seed = 88172645463325252u;
    struct campaign_sighting all[300];
    for (size_t i = 0; i < 300; i++) {
        const uint8_t ip[4] = {203, 0, 113, (uint8_t)(i * 7 % 90)};
        all[i] = sighting(i % 11, i, ip, i % 13 * DAY);
    }
    for (unsigned round = 0; round < 20; round++) {
        struct campaigns *c = NULL;
        _cleanup_buf_ struct buf again = {0};
        assert_int_equal(campaigns_join(all, 300, &c), 0);
        assert_true(campaigns_count(c) > 5);
        print(c, round ? &again : &first);
        campaigns_free(c);
        if (round)
            assert_true(str_eq(buf_str(&first), buf_str(&again)));
        for (size_t i = 299; i > 0; i--) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            struct campaign_sighting keep = all[i];
            size_t k = seed % (i + 1);
            all[i] = all[k];
            all[k] = keep;
        }
    }
}

// What client 0 is told when `n` others are in it, of which the first `steel` are of that sector.
static void told(size_t n, size_t steel, const char *expected)
{
    struct campaign_sighting all[40];
    const char *sectors[40] = {"bank"};
    struct campaigns *c = NULL;
    _cleanup_buf_ struct buf out = {0};
    for (size_t i = 0; i <= n; i++) {
        all[i] = sighting(i, 100 + i, bad, i);
        sectors[i] = i == 0 ? "bank" : i <= steel ? "steel" : i % 2 ? "bank" : "law";
    }
    assert_int_equal(campaigns_join(all, n + 1, &c), 0);
    campaign_elsewhere(campaigns_of(c, 0, 100), 0, sectors, &out);
    buf_add_char(&out, 0);
    assert_string_equal(out.p, expected);
    campaigns_free(c);
}

static void test_a_client_learns_nothing_of_few_others(void **state)
{
    (void)state;
    told(1, 1, "");
    told(CAMPAIGN_LEAST - 1, CAMPAIGN_LEAST - 1, "");
    told(CAMPAIGN_LEAST, 2, "Also seen at at least 5 other clients.");
    told(CAMPAIGN_LEAST, CAMPAIGN_LEAST,
         "Also seen at at least 5 other clients, among them of: steel.");
    // One more or less does not show, nor a sector with few.
    told(CAMPAIGN_LEAST + 1, CAMPAIGN_LEAST,
         "Also seen at at least 5 other clients, among them of: steel.");
    told(9, 5, "Also seen at at least 5 other clients, among them of: steel.");
    told(20, 6, "Also seen at at least 20 other clients, among them of: bank, law, steel.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared_address_joins_clients_with_its_reason),
        cmocka_unit_test(test_what_says_nothing_joins_nothing),
        cmocka_unit_test(test_order_changes_nothing),
        cmocka_unit_test(test_a_client_learns_nothing_of_few_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
