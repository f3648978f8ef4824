// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "respond/store.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/tiercel-store-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    char command[100];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static struct response *add(struct store *s, uint32_t action)
{
    struct response *r = store_new(s);
    assert_non_null(r);
    r->order.action = action;
    r->order.n_addresses = action == RESPONSE_BLOCK_ADDRESS;
    r->order.addresses[0] = (struct response_address){.bytes = 4, .prefix = 32};
    assert_int_equal(store_write(s, r), 0);
    return r;
}

static void test_last_state_of_each_is_what_counts(void **state)
{
    struct store s, again;
    struct error e = {0};
    (void)state;
    assert_int_equal(store_load(folder, &s, &e), 0);
    add(&s, RESPONSE_CONTAIN_HOST);
    struct response *r = add(&s, RESPONSE_KILL);
    r->state = RESPONSE_APPLIED;
    assert_int_equal(store_write(&s, r), 0);
    store_done(&s);
    assert_int_equal(store_read(folder, &again, &e), 0);
    assert_int_equal(again.n, 2);
    assert_int_equal(again.list[0].state, RESPONSE_PLANNED);
    assert_int_equal(again.list[1].state, RESPONSE_APPLIED);
    assert_int_equal(store_n_active(&again), 1);
    assert_int_equal(again.damaged, 0);
    store_done(&again);
}

static void test_torn_record_is_none_and_its_room_is_used_again(void **state)
{
    struct store s;
    struct error e = {0};
    char path[100];
    (void)state;
    assert_int_equal(store_load(folder, &s, &e), 0);
    add(&s, RESPONSE_CONTAIN_HOST);
    add(&s, RESPONSE_KILL);
    store_done(&s);
    snprintf(path, sizeof path, "%s/responses/journal", folder);
    int fd = open(path, O_RDWR);
    char zeros[2000] = {0};
    assert_int_equal(pwrite(fd, zeros, sizeof zeros, STORE_SLOT + 1000), sizeof zeros);
    close(fd);
    assert_int_equal(store_load(folder, &s, &e), 0);
    // What was torn was all zeros there, or is seen by its checksum.
    assert_true(s.n == 1 ? s.damaged == 1 : s.n == 2);
    size_t slots = s.slots;
    assert_true(slots == s.n);
    store_done(&s);
}

static void test_journal_goes_on_when_it_is_full(void **state)
{
    struct store s, again;
    struct error e = {0};
    (void)state;
    assert_int_equal(store_load(folder, &s, &e), 0);
    struct response *first = add(&s, RESPONSE_CONTAIN_HOST);
    first->state = RESPONSE_APPLIED;
    assert_int_equal(store_write(&s, first), 0);
    for (int i = 0; i < 3000; i++) {
        struct response *r = add(&s, RESPONSE_KILL);
        r->state = RESPONSE_APPLIED;
        assert_int_equal(store_write(&s, r), 0);
    }
    assert_true(s.n <= STORE_FINISHED_KEPT + 3);
    store_done(&s);
    assert_int_equal(store_read(folder, &again, &e), 0);
    assert_int_equal(again.last_id, 3001);
    assert_non_null(store_find(&again, 1)); // what is in force stays, however old
    assert_non_null(store_find(&again, 3001));
    store_done(&again);
}

static void test_too_many_in_force_are_refused(void **state)
{
    struct store s;
    struct error e = {0};
    (void)state;
    assert_int_equal(store_load(folder, &s, &e), 0);
    for (unsigned i = 0; i < STORE_ACTIVE_MAX; i++)
        add(&s, RESPONSE_BLOCK_ADDRESS);
    assert_null(store_new(&s));
    store_done(&s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_last_state_of_each_is_what_counts),
        TEST(test_torn_record_is_none_and_its_room_is_used_again),
        TEST(test_journal_goes_on_when_it_is_full),
        TEST(test_too_many_in_force_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
