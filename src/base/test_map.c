// SPDX-License-Identifier: Apache-2.0
#include "base/map.h"
#include "base/test.h"

#include <errno.h>

static void test_map_finds_what_was_put_after_removals(void **state)
{
    (void)state;
    static uint64_t keys[5000];
    struct map m = {0};
    for (uint64_t i = 0; i < 5000; i++) {
        keys[i] = i * 64; // many share their low bits
        assert_int_equal(map_put(&m, MAP_KEY(keys[i]), &keys[i]), 0);
    }
    for (uint64_t i = 0; i < 5000; i += 3)
        assert_ptr_equal(map_remove(&m, MAP_KEY(keys[i])), &keys[i]);
    for (uint64_t i = 0; i < 5000; i++)
        assert_ptr_equal(map_get(&m, MAP_KEY(keys[i])), i % 3 ? &keys[i] : NULL);
    map_done(&m);
}

static void test_map_refuses_and_counts_beyond_its_quota(void **state)
{
    (void)state;
    struct map m = {.quota = 2};
    assert_int_equal(map_put(&m, STR("a"), &m), 0);
    assert_int_equal(map_put(&m, STR("b"), &m), 0);
    assert_int_equal(map_put(&m, STR("c"), &m), -ENOSPC);
    assert_int_equal(map_put(&m, STR("b"), &m), 0);
    assert_int_equal(m.refused, 1);
    map_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map_finds_what_was_put_after_removals),
        cmocka_unit_test(test_map_refuses_and_counts_beyond_its_quota),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
