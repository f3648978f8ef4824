// SPDX-License-Identifier: Apache-2.0
#include "event/segment_test.h"
#include "link/spool.h"

#define ROOM ((size_t)64 << 10)
#define ALL 1000000u

static const uint8_t fixed[32] = "a hash that no record ever had";

static struct spool *open_spool(size_t record_max)
{
    struct spool *s = NULL;
    struct spool_source source = {&folder_fd, spool_folder_open};
    assert_int_equal(spool_new(&source, record_max, &s), 0);
    return s;
}

static struct spool *from_begin(void)
{
    struct spool *s = open_spool(ROOM);
    assert_int_equal(spool_seek(s, 0, NULL, NULL), SPOOL_SAME);
    return s;
}

// Bytes of a file from `from` on.
static size_t bytes_of(uint64_t number, uint64_t from, uint8_t *ret)
{
    _cleanup_close_ int fd = open_number(number, O_RDONLY);
    ssize_t n = pread(fd, ret, ROOM, (off_t)from);
    assert_true(n >= 0);
    return (size_t)n;
}

static void expect_nothing(struct spool *s)
{
    struct spool_part part;
    static uint8_t got[ROOM];
    assert_int_equal(spool_read(s, got, ROOM, ALL, &part, NULL), 0);
}

// One read must give records first .. next - 1.
static void expect(struct spool *s, uint64_t first, uint64_t next, uint64_t missing)
{
    struct spool_part part;
    static uint8_t got[ROOM];
    assert_int_equal(spool_read(s, got, ROOM, ALL, &part, NULL), 1);
    assert_int_equal(part.first, first);
    assert_int_equal(part.next, next);
    assert_int_equal(part.missing, missing);
}

static void damage(uint64_t number, uint64_t at)
{
    _cleanup_close_ int fd = open_number(number, O_RDWR);
    uint8_t c;
    assert_int_equal(pread(fd, &c, 1, (off_t)at), 1);
    c ^= 0x55;
    assert_int_equal(pwrite(fd, &c, 1, (off_t)at), 1);
}

static void append(uint64_t number, const void *p, size_t n)
{
    _cleanup_close_ int fd = open_number(number, O_WRONLY | O_APPEND | O_CREAT);
    assert_int_equal(write(fd, p, n), n);
}

static void delete (uint64_t number)
{
    char name[32];
    journal_name(number, name);
    assert_int_equal(unlinkat(folder_fd, name, 0), 0);
}

static void test_records_come_byte_for_byte(void **state)
{
    (void)state;
    static uint8_t all[2 * ROOM], got[ROOM];
    uint8_t last[32] = {0};
    struct spool_part part;
    write_file(1, 0, 5, last, NULL);
    write_file(2, 5, 4, last, NULL);
    size_t n = bytes_of(1, 0, all);
    n += bytes_of(2, 0, all + n);
    struct spool *s = from_begin();
    assert_int_equal(spool_read(s, got, ROOM, ALL, &part, NULL), 1);
    assert_int_equal(part.bytes, n);
    assert_memory_equal(got, all, n);
    assert_int_equal(part.first, 0);
    assert_int_equal(part.next, 9);
    assert_int_equal(part.records, 9);
    assert_int_equal(part.events, 27);
    assert_int_equal(part.to_ns, 8000002);
    assert_memory_equal(part.last, last, 32);
    assert_false(part.more);
    assert_int_equal(spool_file(s), 2);
    expect_nothing(s);
    spool_free(s);
}

static void test_sizes_and_numbers_of_events_are_kept(void **state)
{
    (void)state;
    static uint8_t all[ROOM], got[ROOM];
    uint8_t last[32] = {0};
    uint64_t ends[10];
    struct spool_part part;
    write_file(1, 0, 10, last, ends);
    bytes_of(1, 0, all);
    struct spool *s = from_begin();
    // Two fit, the third would be one byte too much; one is taken whatever the limit.
    assert_int_equal(spool_read(s, got, ends[2] - 1, ALL, &part, NULL), 1);
    assert_int_equal(part.records, 2);
    assert_true(part.more);
    assert_int_equal(spool_read(s, got, 1, ALL, &part, NULL), 1);
    assert_int_equal(part.first, 2);
    assert_int_equal(part.next, 3);
    assert_memory_equal(got, all + ends[1], part.bytes);
    assert_int_equal(spool_read(s, got, ROOM, 7, &part, NULL), 1); // of three events each
    assert_int_equal(part.next, 5);
    assert_int_equal(spool_read(s, got, ROOM, ALL, &part, NULL), 1);
    assert_int_equal(part.next, 10);
    assert_false(part.more);
    spool_free(s);
}

static void test_number_of_records_has_a_limit(void **state)
{
    (void)state;
    static uint8_t got[1 << 20];
    uint8_t last[32] = {0};
    struct spool_part part;
    write_file(1, 0, SPOOL_RECORDS_MAX + 3, last, NULL);
    struct spool *s = open_spool(sizeof got);
    assert_int_equal(spool_read(s, got, sizeof got, ALL, &part, NULL), 1);
    assert_int_equal(part.records, SPOOL_RECORDS_MAX);
    assert_true(part.more);
    assert_int_equal(spool_read(s, got, sizeof got, ALL, &part, NULL), 1);
    assert_int_equal(part.records, 3);
    spool_free(s);
}

static void test_growing_file_is_followed(void **state)
{
    (void)state;
    static uint8_t all[ROOM];
    uint8_t last[32] = {0};
    uint64_t ends[3];
    struct spool *s = from_begin();
    expect_nothing(s); // no file yet
    size_t n = write_file(7, 0, 3, last, ends);
    bytes_of(7, 0, all);
    delete (7);
    append(1, all, ends[0]);
    expect(s, 0, 1, 0);
    append(1, all + ends[0], 20); // a header that is being written
    expect_nothing(s);
    append(1, all + ends[0] + 20, ends[1] - ends[0] - 21); // all but one byte
    expect_nothing(s);
    append(1, all + ends[1] - 1, n - ends[1] + 1);
    expect(s, 1, 3, 0);
    assert_int_equal(spool_counts(s)->damaged, 0);
    spool_free(s);
}

static void test_old_file_may_grow_until_the_new_one_has_bytes(void **state)
{
    (void)state;
    uint8_t last[32] = {0};
    write_file(1, 0, 2, last, NULL);
    struct spool *s = from_begin();
    expect(s, 0, 2, 0);
    close(open_number(2, O_WRONLY | O_CREAT));
    expect_nothing(s);
    write_file(1, 2, 2, last, NULL);
    expect(s, 2, 4, 0);
    write_file(1, 4, 1, last, NULL);
    write_file(2, 5, 2, last, NULL);
    expect(s, 4, 7, 0);
    assert_int_equal(spool_file(s), 2);
    spool_free(s);
}

static void test_seek_finds_the_place_and_compares_the_chain(void **state)
{
    (void)state;
    uint8_t last[32] = {0}, four[32];
    write_file(1, 0, 3, last, NULL);
    write_file(2, 3, 2, last, NULL);
    memcpy(four, last, 32); // of record 4, the last of its file
    write_file(3, 5, 3, last, NULL);
    struct spool *s = open_spool(ROOM);
    assert_int_equal(spool_seek(s, 5, four, NULL), SPOOL_SAME);
    expect(s, 5, 8, 0);
    assert_int_equal(spool_seek(s, 8, last, NULL), SPOOL_SAME);
    expect_nothing(s);
    assert_int_equal(spool_seek(s, 4, fixed, NULL), SPOOL_OTHER);
    expect(s, 4, 8, 0);
    assert_int_equal(spool_seek(s, 9, last, NULL), SPOOL_SHORT);
    expect_nothing(s);
    assert_int_equal(spool_seek(s, 2, NULL, NULL), SPOOL_SAME);
    expect(s, 2, 8, 0);
    spool_free(s);
}

static void test_deleted_files_are_a_counted_gap(void **state)
{
    (void)state;
    uint8_t last[32] = {0}, two[32];
    write_file(1, 0, 3, last, NULL);
    memcpy(two, last, 32);
    write_file(2, 3, 4, last, NULL);
    write_file(3, 7, 2, last, NULL);
    delete (1);
    delete (2);
    struct spool *s = open_spool(ROOM);
    assert_int_equal(spool_seek(s, 3, two, NULL), SPOOL_UNKNOWN);
    expect(s, 7, 9, 4);
    assert_int_equal(spool_counts(s)->missing, 4);
    // And one that goes while we wait at the end of the one before.
    write_file(4, 9, 1, last, NULL);
    write_file(5, 10, 1, last, NULL);
    delete (4);
    expect(s, 10, 11, 1);
    spool_free(s);
}

static void test_file_deleted_while_it_is_read_is_read_to_its_end(void **state)
{
    (void)state;
    static uint8_t got[ROOM];
    uint8_t last[32] = {0};
    struct spool_part part;
    write_file(1, 0, 4, last, NULL);
    write_file(2, 4, 1, last, NULL);
    struct spool *s = from_begin();
    assert_int_equal(spool_read(s, got, 1, ALL, &part, NULL), 1);
    delete (1);
    expect(s, 1, 5, 0);
    spool_free(s);
}

static void test_damage_costs_only_what_it_touched(void **state)
{
    (void)state;
    uint8_t last[32] = {0};
    uint64_t ends[6];
    write_file(1, 0, 6, last, ends);
    write_file(2, 6, 1, last, NULL);
    damage(1, ends[1] + 100); // a header
    damage(1, ends[4] - 1);   // a body
    struct spool *s = from_begin();
    expect(s, 0, 7, 2);
    assert_int_equal(spool_counts(s)->damaged, 2);
    assert_int_equal(spool_counts(s)->missing, 2);
    spool_free(s);
}

static void test_unreadable_end_waits_for_more_and_then_goes_on(void **state)
{
    (void)state;
    uint8_t last[32] = {0};
    uint64_t ends[3];
    write_file(1, 0, 3, last, ends);
    damage(1, ends[1] + 3); // its magic
    struct spool *s = from_begin();
    expect(s, 0, 2, 0);
    expect_nothing(s);
    write_file(1, 3, 1, last, NULL);
    expect(s, 3, 4, 1);
    append(1, "TIERCEL\n torn for ever", 22);
    expect_nothing(s);
    write_file(2, 4, 2, last, NULL);
    expect(s, 4, 6, 0);
    assert_int_equal(spool_counts(s)->damaged, 1);
    spool_free(s);
}

static void test_record_that_no_hub_takes_is_left_out(void **state)
{
    (void)state;
    uint8_t last[32] = {0};
    uint64_t ends[3];
    struct segment_writer w;
    write_file(1, 0, 1, last, ends);
    int fd = open_number(1, O_WRONLY | O_APPEND);
    assert_int_equal(segment_writer_init(&w, fd, last, 1), 0);
    assert_int_equal(segment_append(&w, batch_new(1, 400)), 0);
    memcpy(last, w.last, 32);
    assert_true(w.size - ends[0] > ends[0]);
    segment_writer_done(&w);
    write_file(1, 2, 1, last, NULL);
    struct spool *s = open_spool(ends[0] + 40);
    expect(s, 0, 1, 0); // and no more, for that is all that a request may have
    expect(s, 2, 3, 1);
    assert_int_equal(spool_counts(s)->too_large, 1);
    spool_free(s);
}

static int refuse(void *context, uint64_t from, uint64_t *ret_number)
{
    (void)context, (void)from, (void)ret_number;
    return -EACCES;
}

static void test_files_that_cannot_be_opened_are_an_error(void **state)
{
    (void)state;
    struct spool *s = NULL;
    struct spool_part part;
    struct error e = {0};
    uint8_t got[8];
    assert_int_equal(spool_new(&(struct spool_source){.open = refuse}, 8, &s), 0);
    assert_int_equal(spool_seek(s, 0, NULL, &e), -EACCES);
    assert_int_equal(spool_read(s, got, 8, 1, &part, &e), -EACCES);
    assert_non_null(strstr(e.what, "journal"));
    spool_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_records_come_byte_for_byte),
        TEST(test_sizes_and_numbers_of_events_are_kept),
        TEST(test_number_of_records_has_a_limit),
        TEST(test_growing_file_is_followed),
        TEST(test_old_file_may_grow_until_the_new_one_has_bytes),
        TEST(test_seek_finds_the_place_and_compares_the_chain),
        TEST(test_deleted_files_are_a_counted_gap),
        TEST(test_file_deleted_while_it_is_read_is_read_to_its_end),
        TEST(test_damage_costs_only_what_it_touched),
        TEST(test_unreadable_end_waits_for_more_and_then_goes_on),
        TEST(test_record_that_no_hub_takes_is_left_out),
        TEST(test_files_that_cannot_be_opened_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
