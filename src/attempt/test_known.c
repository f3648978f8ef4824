// SPDX-License-Identifier: Apache-2.0
// Known intrusions of three clients among thousands of other detections: exactly these come out; and whatever order
// batches arrive in, however often, it is the same to the byte.
#include "attempt/known_test.h"

static void test_known_intrusions_come_out_exactly(void **state)
{
    (void)state;
    size_t detections = 0, items = 0;
    for (unsigned c = 1; c <= 3; c++) {
        struct truth *t = client(c);
        struct attempts *a = wall(&t->w);
        bool seen[LABELS] = {0};
        assert_int_equal(attempts_refused(a), 0);
        assert_int_equal(attempts_count(a), t->labels);
        size_t n = 0;
        for (size_t i = 0; i < attempts_count(a); i++) {
            const struct attempt *one = attempts_get(a, i);
            unsigned label = label_of(t, attempts_detection(a, one->detections[0])->name);
            assert_false(seen[label]);
            seen[label] = true;
            for (size_t k = 0; k < one->n_detections; k++)
                assert_int_equal(label_of(t, attempts_detection(a, one->detections[k])->name),
                                 label);
            n += one->n_detections;
            if (label == 0)
                assert_int_equal(one->outcome, ATTEMPT_LEFT);
            if (label == 1)
                assert_int_equal(one->outcome, ATTEMPT_STOPPED_BEFORE);
            if (label == 3)
                assert_true(one->campaign != one->id);
        }
        assert_int_equal(n, t->n);
        detections += n;
        items += attempts_count(a);
        attempts_free(a);
        client_free(t);
    }
    assert_true(detections > 10000);
    assert_true(items * 50 <= detections); // at least 98 % fewer to look at
}

// Shuffled; one in four twice; one in eight late, behind all others.
static size_t deal(struct truth *t, size_t *order)
{
    size_t n = 0;
    for (size_t i = 0; i < t->w.n; i++) {
        order[n++] = i;
        if (next(&t->seed) % 4 == 0)
            order[n++] = i;
    }
    for (size_t i = n; i > 1; i--) {
        size_t k = next(&t->seed) % i, keep = order[i - 1];
        order[i - 1] = order[k];
        order[k] = keep;
    }
    for (size_t i = 0, end = n; i < end; i++)
        if (next(&t->seed) % 8 == 0) {
            size_t late = order[i];
            memmove(&order[i], &order[i + 1], (n - i - 1) * sizeof *order);
            order[n - 1] = late;
            end--;
        }
    return n;
}

static void test_order_and_repetition_change_nothing(void **state)
{
    (void)state;
    struct truth *t = client(1);
    size_t *order = calloc(2 * t->w.n, sizeof *order);
    struct buf first = {0}, again = {0};
    // Each kind of loss and of coverage, and evidence beyond what is kept.
    for (unsigned i = 0; i < 40; i++) {
        Tiercel__Batch *b = wbatch(&t->w, 1, 1001 + i);
        char path[32], address[32];
        snprintf(path, sizeof path, "/srv/%u", i);
        snprintf(address, sizeof address, "192.0.2.%u", i);
        wread(&t->w, b, wprocess(&t->w, 101, 100, "cat"), path);
        wconnect(&t->w, b, wprocess(&t->w, 101, 100, "cat"), address, 80);
        wflow(&t->w, b, wprocess(&t->w, 101, 100, "cat"), true, "10.0.0.1", address, i);
        wlost(&t->w, (uint8_t)(1 + i % 3), 1000 + i, i % 2 ? "flow" : "structural", i);
    }
    wcoverage(&t->w, wbatch(&t->w, 1, 1500), "flow", "");
    struct attempts *a = wall(&t->w);
    print_all(a, &first);
    attempts_free(a);
    for (unsigned i = 0; i < 12; i++) {
        a = wread_all(&t->w, order, deal(t, order), "");
        buf_reset(&again);
        print_all(a, &again);
        attempts_free(a);
        assert_int_equal(again.n, first.n);
        assert_memory_equal(again.p, first.p, first.n);
    }
    buf_done(&first);
    buf_done(&again);
    free(order);
    client_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_intrusions_come_out_exactly),
        cmocka_unit_test(test_order_and_repetition_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
