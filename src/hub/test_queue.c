// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "base/test.h"
#include "hub/queue.h"
#include <errno.h>
#include <fcntl.h>

static char path[64];

static int setup(void **context)
{
    (void)context;
    snprintf(path, sizeof path, "/tmp/queue-%d", getpid());
    unlink(path);
    return 0;
}

static int teardown(void **context)
{
    (void)context;
    return unlink(path);
}

static void open_queue(struct queue *q, uint64_t limit)
{
    struct error e = {0};
    assert_int_equal(queue_open(path, limit, q, &e), 0);
}

static void assert_peek(struct queue *q, size_t max, const char *wanted, ssize_t n)
{
    _cleanup_buf_ struct buf b = {0};
    assert_int_equal(queue_peek(q, max, 1000, &b), n);
    assert_true(str_eq(buf_str(&b), str_from(wanted)));
}

static void test_queue_keeps_order_over_a_restart(void **context)
{
    (void)context;
    struct queue q;
    open_queue(&q, 4096);
    assert_int_equal(queue_put(&q, STR("one")), 0);
    assert_int_equal(queue_put(&q, STR("two")), 0);
    assert_int_equal(queue_put(&q, STR("three")), 0);
    assert_int_equal(queue_pop(&q, 1, false), 0);
    queue_close(&q);
    open_queue(&q, 4096);
    assert_int_equal(q.items, 2);
    assert_int_equal(q.number, 1);
    assert_peek(&q, 10, "two\nthree\n", 2);
    assert_peek(&q, 1, "two\n", 1);
    assert_int_equal(queue_pop(&q, 2, true), 0);
    assert_int_equal(q.dropped, 2);
    assert_peek(&q, 10, "", 0);
    queue_close(&q);
    open_queue(&q, 4096);
    assert_int_equal(q.dropped, 2);
    assert_int_equal(q.number, 3);
    queue_close(&q);
}

static void test_queue_drops_when_full_and_counts(void **context)
{
    (void)context;
    struct queue q;
    char item[100];
    memset(item, 'x', sizeof item);
    open_queue(&q, 1000);
    unsigned taken = 0;
    for (unsigned i = 0; i < 20; i++) {
        item[0] = (char)('a' + i);
        taken += queue_put(&q, str_bytes(item, sizeof item)) == 0;
    }
    assert_int_equal(taken, 8);
    assert_int_equal(q.dropped, 12);
    assert_int_equal(queue_pop(&q, 5, false), 0);
    item[0] = 'z'; // room is made by moving what waits
    assert_int_equal(queue_put(&q, str_bytes(item, sizeof item)), 0);
    _cleanup_buf_ struct buf b = {0};
    assert_int_equal(queue_peek(&q, 10, 10000, &b), 4);
    assert_int_equal(b.p[0], 'f');
    assert_int_equal(b.p[3 * 101], 'z');
    queue_close(&q);
    open_queue(&q, 1000);
    assert_int_equal(q.items, 4);
    queue_close(&q);
}

static void test_queue_cuts_a_torn_item(void **context)
{
    (void)context;
    struct queue q;
    open_queue(&q, 4096);
    assert_int_equal(queue_put(&q, STR("whole")), 0);
    assert_int_equal(queue_put(&q, STR("torn in the middle")), 0);
    uint64_t size = q.size;
    queue_close(&q);
    assert_int_equal(truncate(path, (off_t)size - 3), 0);
    open_queue(&q, 4096);
    assert_peek(&q, 10, "whole\n", 1);
    queue_close(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_queue_keeps_order_over_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_drops_when_full_and_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_cuts_a_torn_item, setup, teardown),
    };
    return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
