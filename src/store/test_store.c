// SPDX-License-Identifier: Apache-2.0
#include "store/store_test.h"

static void test_takes_new_knows_known_tells_gaps(void **state)
{
    (void)state;
    struct sender a, b;
    struct store *s = open_store(0, NULL);
    sender_init(&a, 1, 0);
    sender_init(&b, 2, 0);
    for (int i = 0; i < 5; i++) {
        sender_add(&a, 3);
        sender_add(&b, 2);
    }
    struct store_record group[] = {sender_record(&a, 0), sender_record(&b, 0), sender_record(&a, 1),
                                   sender_record(&a, 1), sender_record(&a, 3)};
    assert_int_equal(store_append(s, group, 5, 7000, NULL), 0);
    const enum store_result want[] = {STORE_NEW, STORE_NEW, STORE_NEW, STORE_KNOWN, STORE_GAP};
    for (int i = 0; i < 5; i++)
        assert_int_equal(group[i].result, want[i]);
    commit(s);
    struct store_chain chain;
    store_next(s, a.id, &chain);
    assert_true(chain.next == 4 && chain.at_ns == 7000);
    assert_memory_equal(chain.last, group[4].info.hash, 32);
    assert_int_equal(next_of(s, &b), 1);
    assert_int_equal(give(s, &a, 2), STORE_KNOWN); // late: it is a gap for good
    store_close(s);
    s = open_store(0, NULL);
    assert_int_equal(next_of(s, &a), 4);
    assert_int_equal(give(s, &a, 4), STORE_NEW);
    commit(s);
    struct store_totals t;
    store_totals(s, &t);
    assert_true(t.batches == 5 && t.events == 14 && t.hosts == 2 && t.gaps == 1 && t.files == 1);
    store_close(s);
    assert_verified();
    sender_done(&a);
    sender_done(&b);
}

static int keep_gap(void *context, const struct store_gap *gap)
{
    *(struct store_gap *)context = *gap;
    return 0;
}

static void test_gap_has_its_sequences_and_time(void **state)
{
    (void)state;
    struct sender a;
    struct store_gap gap = {0};
    struct store *s = open_store(0, NULL);
    sender_init(&a, 1, 0);
    for (int i = 0; i < 6; i++)
        sender_add(&a, 1);
    give(s, &a, 0);
    give(s, &a, 4);
    for (int committed = 0; committed < 2; committed++) {
        memset(&gap, 0, sizeof gap);
        assert_int_equal(store_gaps(s, a.id, 0, 0, keep_gap, &gap, NULL), 0);
        assert_true(gap.from == 1 && gap.to == 3 && !gap.restarted && gap.found_ns == 5000);
        assert_true(gap.from_ns == 1000000000 && gap.to_ns == 1000000000 + 400 * 1000);
        memset(&gap, 0, sizeof gap);
        assert_int_equal(store_gaps(s, a.id, gap.to_ns + 2000000000, 0, keep_gap, &gap, NULL), 0);
        assert_int_equal(gap.to, 0);
        commit(s);
    }
    store_close(s);
    sender_done(&a);
}

static void test_other_journal_of_a_host_is_not_taken_for_known(void **state)
{
    (void)state;
    struct sender a, again;
    struct store *s = open_store(0, NULL);
    sender_init(&a, 1, 0);
    sender_init(&again, 1, 0);
    for (int i = 0; i < 30; i++) {
        sender_add(&a, 2);
        sender_add(&again, 3);
    }
    for (size_t i = 0; i < 30; i++)
        assert_int_equal(give(s, &a, i), STORE_NEW);
    assert_int_equal(give(s, &a, 0), STORE_KNOWN);
    assert_int_equal(give(s, &a, 29), STORE_KNOWN);
    assert_int_equal(give(s, &again, 0), STORE_RESTARTED);
    for (size_t i = 1; i < 30; i++)
        assert_int_equal(give(s, &again, i), STORE_NEW);
    assert_int_equal(give(s, &again, 28), STORE_KNOWN);
    assert_int_equal(give(s, &a, 28),
                     STORE_RESTARTED); // another one with a number that is remembered
    commit(s);
    store_close(s);
    assert_verified();
    sender_done(&a);
    sender_done(&again);
}

static void test_refuses_what_is_damaged_or_of_another_host(void **state)
{
    (void)state;
    struct sender a, b;
    char copy[4096];
    struct store *s = open_store(0, NULL);
    sender_init(&a, 1, 0);
    sender_init(&b, 2, 0);
    sender_add(&a, 3);
    sender_add(&b, 3);
    struct str good = sender_bytes(&a, 0);
    for (size_t at = 0; at < good.n; at += 7) {
        memcpy(copy, good.p, good.n);
        copy[at] ^= 1;
        struct store_record r = {.bytes = str_bytes(copy, good.n)};
        assert_int_equal(store_append(s, &r, 1, 1, NULL), 0);
        assert_int_equal(r.result, STORE_DAMAGED);
        assert_true(r.why[0]);
    }
    struct store_record r = {.bytes = str_bytes(good.p, good.n - 1)};
    assert_int_equal(store_append(s, &r, 1, 1, NULL), 0);
    assert_int_equal(r.result, STORE_DAMAGED);
    r = (struct store_record){.bytes = good, .host = b.id};
    assert_int_equal(store_append(s, &r, 1, 1, NULL), 0);
    assert_int_equal(r.result, STORE_DAMAGED);
    assert_string_equal(r.why, "it is of another host");
    assert_int_equal(next_of(s, &a), 0);
    store_close(s);
    sender_done(&a);
    sender_done(&b);
}

static void test_split_cuts_a_body(void **state)
{
    (void)state;
    struct sender a;
    struct store_record records[4];
    size_t good;
    sender_init(&a, 1, 0);
    for (int i = 0; i < 3; i++)
        sender_add(&a, 2);
    struct str body = str_bytes(a.bytes, (size_t)a.w.size);
    assert_int_equal(store_split(body, records, 4, &good, NULL), 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(str_eq(records[i].bytes, sender_bytes(&a, i)));
    assert_int_equal(store_split(body, records, 2, &good, NULL), -E2BIG);
    body.n--;
    assert_int_equal(store_split(body, records, 4, &good, NULL), -EBADMSG);
    assert_int_equal(good, 2);
    assert_int_equal(store_split(STR_NONE, records, 4, &good, NULL), 0);
    assert_int_equal(store_split(STR("nonsense"), records, 4, &good, NULL), -EBADMSG);
    sender_done(&a);
}

static void test_full_disk_takes_nothing_of_a_group(void **state)
{
    (void)state;
    struct sender a;
    struct store *s = open_store(0, NULL);
    sender_init(&a, 1, 0);
    for (int i = 0; i < 4; i++)
        sender_add(&a, 40);
    assert_int_equal(give(s, &a, 0), STORE_NEW);
    // A device that is always full stands for the disk.
    int tail = s->tail.fd, full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    s->tail.fd = full;
    struct store_record group[] = {sender_record(&a, 1), sender_record(&a, 2)};
    struct error e = {0};
    assert_int_equal(store_append(s, group, 2, 1, &e), -ENOSPC);
    assert_true(e.what[0]);
    s->tail.fd = tail;
    s->broken = false; // a device cannot be cut, a file can
    close(full);
    assert_int_equal(next_of(s, &a), 1);
    for (size_t i = 1; i < 4; i++)
        assert_int_equal(give(s, &a, i), STORE_NEW);
    commit(s);
    store_close(s);
    assert_verified();
    sender_done(&a);
}

static void test_one_writer_at_a_time(void **state)
{
    (void)state;
    struct store *s = open_store(0, NULL), *second;
    struct error e = {0};
    assert_int_equal(store_open(folder, NULL, &second, NULL, &e), -EBUSY);
    assert_true(strstr(e.what, "another process"));
    store_close(s);
    store_close(open_store(0, NULL));
}

// ---- reading

static size_t walked(const struct store_filter *f, struct store_walk_counts *ret)
{
    struct store_walk *w;
    struct segment_info info;
    struct str record;
    size_t n = 0;
    assert_int_equal(store_walk_new(folder, f, &w, NULL), 0);
    while (store_walk_next(w, &info, &record, NULL) == 1)
        n++;
    *ret = *store_walk_counts(w);
    store_walk_free(w);
    return n;
}

static void test_walk_passes_over_what_cannot_match(void **state)
{
    (void)state;
    struct sender a, b;
    struct store_walk_counts c;
    struct store *s = open_store(2000, NULL);
    sender_init(&a, 1, 0);
    sender_init(&b, 2, 0);
    for (size_t i = 0; i < 40; i++) {
        sender_add(&a, 5);
        give(s, &a, i);
        if (i < 10) {
            sender_add(&b, 5);
            give(s, &b, i);
        }
        commit(s);
    }
    store_close(s);
    assert_int_equal(walked(&(struct store_filter){0}, &c), 50);
    assert_true(c.files > 5 && c.files_skipped == 0 && c.bytes == c.bytes_done && c.batches == 50);
    uint8_t host[1][16];
    memcpy(host[0], b.id, 16);
    assert_int_equal(walked(&(struct store_filter){.hosts = host, .n_hosts = 1}, &c), 10);
    assert_true(c.files_skipped > 2 && c.bytes == c.bytes_done);
    struct store_filter late = {.from_ns = 1000000000 + 3500 * 1000};
    assert_int_equal(walked(&late, &c), 5);
    assert_true(c.files_skipped > 2 && c.batches_skipped < 10);
    uint64_t key = store_key(STORE_PATH, STR("/bin/p1-1702"));
    assert_true(walked(&(struct store_filter){.keys = &key, .n_keys = 1}, &c) > 0);
    assert_true(c.files_skipped + 3 >= c.files); // the one that has it, and the open one
    assert_int_equal(walked(&(struct store_filter){.kinds = 1ull << 23}, &c), 0);
    assert_int_equal(walked(&(struct store_filter){.detections = true}, &c), 0);
    sender_done(&a);
    sender_done(&b);
}

static void test_walk_without_catalogue_and_over_one_file(void **state)
{
    (void)state;
    struct sender a;
    struct store_walk_counts c;
    struct store_walk *w;
    struct segment_info info;
    struct str record;
    struct error e = {0};
    struct store *s = open_store(2000, NULL);
    sender_init(&a, 1, 0);
    for (size_t i = 0; i < 20; i++) {
        sender_add(&a, 5);
        give(s, &a, i);
    }
    commit(s);
    store_close(s);
    unlink(path_of("state.db"));
    unlink(path_of("state.db-wal"));
    unlink(path_of("state.db-shm"));
    assert_int_equal(walked(&(struct store_filter){0}, &c), 20);
    const char *one = path_of("events/000000000002.seg");
    assert_int_equal(store_walk_new(one, &(struct store_filter){0}, &w, NULL), 0);
    assert_int_equal(store_walk_next(w, &info, &record, NULL), 1);
    store_walk_free(w);
    int fd = open(one, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "x", 1, 400), 1);
    close(fd);
    assert_int_equal(store_walk_new(one, &(struct store_filter){0}, &w, NULL), 0);
    int r;
    while ((r = store_walk_next(w, &info, &record, &e)) == 1)
        ;
    assert_int_equal(r, 2);
    assert_true(strstr(e.what, "damaged at byte"));
    assert_int_equal(store_walk_next(w, &info, &record, &e), 0);
    assert_int_equal(store_walk_counts(w)->damaged, 1);
    store_walk_free(w);
    assert_int_equal(store_walk_new(path_of("none"), &(struct store_filter){0}, &w, &e), -ENOENT);
    sender_done(&a);
}

// ---- keeping

static void test_retention_by_age_and_size_spares_evidence(void **state)
{
    (void)state;
    struct sender a;
    struct store_totals t, before;
    uint64_t files;
    struct store *s = open_store(2000, NULL);
    sender_init(&a, 1, 0);
    for (size_t i = 0; i < 60; i++) {
        sender_add(&a, 5);
        struct store_record r = sender_record(&a, i);
        assert_int_equal(store_append(s, &r, 1, 1000 + i, NULL), 0);
        commit(s);
    }
    store_totals(s, &before);
    assert_int_equal(store_keep(s, a.id, 1000000000 + 1000 * 1000, 1000000000 + 1001 * 1000, NULL),
                     0);
    assert_int_equal(store_retain(s, 1030, 0, &files, NULL), 0);
    store_totals(s, &t);
    assert_true(files >= 2 && t.files + files == before.files && t.bytes < before.bytes);
    assert_int_equal(store_retain(s, 0, 6000, &files, NULL), 0);
    store_totals(s, &t);
    assert_true(files > 1 && t.bytes < 9000);
    assert_int_equal(store_retain(s, 1, 0, &files, NULL), 0);
    assert_int_equal(files, 0);
    store_close(s);
    unsigned counts[SENDER_MAX];
    count_records(&a, counts);
    assert_int_equal(counts[10], 1); // the evidence
    assert_int_equal(counts[3], 0);
    assert_int_equal(counts[59], 1);
    assert_verified();
    s = open_store(2000, NULL);
    assert_int_equal(next_of(s, &a), 60);
    store_close(s);
    sender_done(&a);
}

static int add_note(void *context, struct str key, struct str value)
{
    buf_addf(context, STR_FMT "=" STR_FMT ";", STR_ARG(key), STR_ARG(value));
    return 0;
}

static void test_notes(void **state)
{
    (void)state;
    struct buf out = {0};
    struct store *s = open_store(0, NULL);
    assert_int_equal(store_note_put(s, "attempt", STR("b"), STR("2"), NULL), 0);
    assert_int_equal(store_note_put(s, "attempt", STR("a"), STR("1"), NULL), 0);
    assert_int_equal(store_note_put(s, "other", STR("a"), STR("x"), NULL), 0);
    assert_int_equal(store_note_each(s, "attempt", add_note, &out, NULL), 0);
    assert_true(str_eq(buf_str(&out), STR("a=1;b=2;")));
    commit(s);
    assert_int_equal(store_note_put(s, "attempt", STR("a"), STR_NONE, NULL), 0);
    store_close(s); // not committed
    s = open_store(0, NULL);
    buf_reset(&out);
    assert_int_equal(store_note_each(s, "attempt", add_note, &out, NULL), 0);
    assert_true(str_eq(buf_str(&out), STR("a=1;b=2;")));
    struct str big = {out.p, ((size_t)1 << 20) + 1};
    assert_int_equal(store_note_put(s, "attempt", STR("c"), big, NULL), -E2BIG);
    store_close(s);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_takes_new_knows_known_tells_gaps),
        TEST(test_gap_has_its_sequences_and_time),
        TEST(test_other_journal_of_a_host_is_not_taken_for_known),
        TEST(test_refuses_what_is_damaged_or_of_another_host),
        TEST(test_split_cuts_a_body),
        TEST(test_full_disk_takes_nothing_of_a_group),
        TEST(test_one_writer_at_a_time),
        TEST(test_walk_passes_over_what_cannot_match),
        TEST(test_walk_without_catalogue_and_over_one_file),
        TEST(test_retention_by_age_and_size_spares_evidence),
        TEST(test_notes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
