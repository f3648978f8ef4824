// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "bpf/argv_hash.h"

// From the authors' reference implementation (vectors.h, 64 bits): key 00..0f, input 00..n-1.
static const struct {
    size_t n;
    uint64_t value;
} vectors[] = {
    {0, 0x726fdb47dd0e0e31u},  {1, 0x74f839c593dc67fdu},  {2, 0x0d6c8009d9a94f5au},
    {3, 0x85676696d7fb7e2du},  {7, 0xab0200f58b01d137u},  {8, 0x93f5f5799a932462u},
    {15, 0xa129ca6149be45e5u}, {63, 0x958a324ceb064572u},
};

static void key_and_input(uint8_t key[16], uint8_t input[64])
{
    for (unsigned i = 0; i < 16; i++)
        key[i] = (uint8_t)i;
    for (unsigned i = 0; i < 64; i++)
        input[i] = (uint8_t)i;
}

static void test_argv_hash_is_siphash(void **state)
{
    uint8_t key[16], input[64];
    struct argv_hash h;

    (void)state;
    key_and_input(key, input);
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        argv_hash_init(&h, key);
        argv_hash_add(&h, input, vectors[i].n);
        assert_int_equal(argv_hash_value(&h), vectors[i].value);
    }
}

static void test_argv_hash_does_not_depend_on_pieces(void **state)
{
    uint8_t key[16], input[64];

    (void)state;
    key_and_input(key, input);
    for (size_t cut = 0; cut <= 63; cut++) {
        for (size_t second = cut; second <= 63; second++) {
            struct argv_hash h;
            argv_hash_init(&h, key);
            argv_hash_add(&h, input, cut);
            argv_hash_add(&h, input + cut, second - cut);
            argv_hash_add(&h, input + second, 63 - second);
            assert_int_equal(argv_hash_value(&h), 0x958a324ceb064572u);
        }
    }
}

static void test_argv_hash_value_can_be_asked_midway(void **state)
{
    uint8_t key[16], input[64];
    struct argv_hash h;

    (void)state;
    key_and_input(key, input);
    argv_hash_init(&h, key);
    argv_hash_add(&h, input, 7);
    assert_int_equal(argv_hash_value(&h), 0xab0200f58b01d137u);
    argv_hash_add(&h, input + 7, 1);
    assert_int_equal(argv_hash_value(&h), 0x93f5f5799a932462u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_argv_hash_is_siphash),
        cmocka_unit_test(test_argv_hash_does_not_depend_on_pieces),
        cmocka_unit_test(test_argv_hash_value_can_be_asked_midway),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
