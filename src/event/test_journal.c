// SPDX-License-Identifier: Apache-2.0
#include "event/segment_test.h"

// ---- folders

static void test_journal_names(void **state)
{
    (void)state;
    static const char *const others[] = {"1.seg",
                                         "00000000001.seg",
                                         "000000000001.seg~",
                                         "000000000000.seg",
                                         "0000000000001.seg",
                                         "x.seg",
                                         ".seg",
                                         "99999999999999999999999.seg"};
    uint64_t *numbers = NULL;
    size_t n = 9;
    char name[32];
    assert_int_equal(journal_name(42, name), 16);
    assert_string_equal(name, "000000000042.seg");
    assert_int_equal(journal_name(UINT64_MAX, name), 24);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        close(openat(folder_fd, others[i], O_WRONLY | O_CREAT, 0600));
    assert_int_equal(journal_list(folder_fd, &numbers, &n), 0);
    assert_int_equal(n, 0);
    free(numbers);
    close(open_number(1234567890123, O_CREAT | O_WRONLY));
    close(open_number(3, O_CREAT | O_WRONLY));
    assert_int_equal(journal_list(folder_fd, &numbers, &n), 0);
    assert_int_equal(n, 2);
    assert_true(numbers[0] == 3 && numbers[1] == 1234567890123);
    free(numbers);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(unlinkat(folder_fd, others[i], 0), 0);
    assert_int_equal(journal_list(-1, &numbers, &n), -EBADF);
}

static void test_journal_empty_folder(void **state)
{
    (void)state;
    struct journal_end end;
    uint64_t batches = 9;
    assert_int_equal(journal_verify(folder_fd, &batches, NULL), 0);
    assert_int_equal(batches, 0);
    assert_int_equal(journal_end(folder_fd, &end, NULL), 0);
    assert_true(end.number == 1 && end.sequence == 0 && end.size == 0 && end.torn == 0);
    assert_memory_equal(end.last, zero, 32);
}

static void test_journal_chain_over_files(void **state)
{
    (void)state;
    uint8_t last[32] = {0}, third[32];
    struct journal_end end;
    struct error e = {0};
    uint64_t batches;
    write_file(1, 0, 2, last, NULL);
    write_file(2, 2, 2, last, NULL);
    write_file(3, 4, 2, last, NULL);
    memcpy(third, last, 32);
    close(open_number(4, O_CREAT | O_WRONLY)); // rotated, nothing written yet
    assert_int_equal(journal_verify(folder_fd, &batches, &e), 0);
    assert_int_equal(batches, 6);
    assert_string_equal(e.what, "");
    assert_int_equal(journal_end(folder_fd, &end, NULL), 0);
    assert_true(end.number == 4 && end.size == 0 && end.sequence == 6);
    assert_memory_equal(end.last, third, 32);

    // retention: the first is taken as given, and that is said
    unlinkat(folder_fd, "000000000001.seg", 0);
    assert_int_equal(journal_verify(folder_fd, &batches, &e), 0);
    assert_int_equal(batches, 4);
    assert_non_null(strstr(e.what, "before 000000000002.seg"));
    // a hole is none
    unlinkat(folder_fd, "000000000003.seg", 0);
    assert_int_equal(journal_verify(folder_fd, &batches, &e), -ENOENT);
    assert_string_equal(e.file, "000000000003.seg");
}

static void test_journal_replaced_file(void **state)
{
    (void)state;
    uint8_t last[32] = {0}, other[32] = {0};
    struct error e = {0};
    uint64_t batches;
    write_file(1, 0, 2, last, NULL);
    write_file(2, 2, 2, other, NULL); // begins a chain of its own
    assert_int_equal(journal_verify(folder_fd, &batches, &e), -EBADMSG);
    assert_string_equal(e.file, "000000000002.seg");
    unlinkat(folder_fd, "000000000002.seg", 0);
    write_file(2, 3, 2, last, NULL); // leaves a number out
    assert_int_equal(journal_verify(folder_fd, &batches, &e), -EBADMSG);
    assert_non_null(strstr(e.what, "batch 3 follows batch 1"));
    unlinkat(folder_fd, "000000000001.seg", 0);
    assert_int_equal(symlinkat("000000000002.seg", folder_fd, "000000000001.seg"), 0);
    assert_int_equal(journal_verify(folder_fd, &batches, &e), -ELOOP);
    unlinkat(folder_fd, "000000000001.seg", 0);
    assert_int_equal(mkfifoat(folder_fd, "000000000001.seg", 0600), 0);
    assert_int_equal(journal_verify(folder_fd, &batches, &e), -EBADMSG);
}

// ---- after a crash

// kill -9 at any moment: the file ends anywhere in its last batch.
static void test_journal_cut_anywhere_loses_only_the_last_batch(void **state)
{
    (void)state;
    uint8_t last[32] = {0}, second[32];
    uint64_t ends[3];
    write_file(1, 0, 2, last, ends);
    memcpy(second, last, 32);
    write_file(1, 2, 1, last, ends + 2);
    for (uint64_t cut = ends[2]; cut-- > ends[1];) {
        struct journal_end end;
        struct error e = {0};
        uint64_t offset, batches = 99;
        int answer;
        _cleanup_close_ int fd = open_number(1, O_RDWR);
        assert_int_equal(ftruncate(fd, (off_t)cut), 0);
        assert_int_equal(read_all(fd, 0, &answer, &offset, NULL), 2);
        assert_int_equal(answer, 0);
        assert_true(offset == ends[1]);
        int r = journal_verify(folder_fd, &batches, &e);
        assert_int_equal(r, cut == ends[1] ? 0 : -EBADMSG);
        assert_true(r == 0 ||
                    (strstr(e.what, "unfinished") && strcmp(e.file, "000000000001.seg") == 0));
        assert_int_equal(journal_end(folder_fd, &end, &e), 0);
        assert_true(end.number == 1 && end.size == ends[1] && end.torn == cut - ends[1]);
        assert_true(end.sequence == 2 && end.to_ns == 1000002);
        assert_memory_equal(end.last, second, 32);
    }
    // what the parent then does, and the chain holds
    memcpy(last, second, 32);
    write_file(1, 2, 3, last, NULL);
    uint64_t batches;
    assert_int_equal(journal_verify(folder_fd, &batches, NULL), 0);
    assert_int_equal(batches, 5);
}

// Power cut: the size was written, the bytes were not.
static void test_journal_tail_of_zeros_is_torn(void **state)
{
    (void)state;
    uint8_t last[32] = {0};
    struct journal_end end;
    uint64_t ends[2];
    write_file(1, 0, 2, last, ends);
    for (unsigned k = 0; k < 2; k++) {
        _cleanup_close_ int fd = open_number(1, O_RDWR);
        uint64_t keep = k ? ends[0] + sizeof(struct segment_header) + 5 : ends[1];
        assert_int_equal(ftruncate(fd, (off_t)keep), 0);
        assert_int_equal(ftruncate(fd, (off_t)ends[1] + 4096), 0);
        assert_int_equal(journal_end(folder_fd, &end, NULL), 0);
        assert_true(end.number == 1 && end.size == ends[1 - k] && end.sequence == 2 - k);
        assert_true(end.torn == ends[1] + 4096 - end.size);
    }
}

// Damage with good batches behind it is evidence: it is not cut off.
static void test_journal_damage_in_the_middle_is_left_alone(void **state)
{
    (void)state;
    uint8_t last[32] = {0};
    struct journal_end end;
    struct error e = {0};
    uint64_t ends[4], batches;
    write_file(1, 0, 4, last, ends);
    {
        _cleanup_close_ int fd = open_number(1, O_RDWR);
        assert_int_equal(pwrite(fd, "\0\0\0", 3, (off_t)ends[0] + 150), 3);
    }
    assert_int_equal(journal_end(folder_fd, &end, &e), 1);
    assert_true(end.number == 2 && end.size == 0 && end.torn == 0 && end.sequence == 4);
    assert_memory_equal(end.last, last, 32);
    assert_string_equal(e.file, "000000000001.seg");
    char place[32];
    snprintf(place, sizeof place, "at byte %llu ", (unsigned long long)ends[0]);
    assert_non_null(strstr(e.what, place));
    write_file(2, 4, 1, last, NULL);
    assert_int_equal(journal_end(folder_fd, &end, NULL), 0);
    assert_true(end.number == 2 && end.sequence == 5);
    assert_int_equal(journal_verify(folder_fd, &batches, &e), -EBADMSG);
    assert_string_equal(e.file, "000000000001.seg");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_journal_names),
        TEST(test_journal_empty_folder),
        TEST(test_journal_chain_over_files),
        TEST(test_journal_replaced_file),
        TEST(test_journal_cut_anywhere_loses_only_the_last_batch),
        TEST(test_journal_tail_of_zeros_is_torn),
        TEST(test_journal_damage_in_the_middle_is_left_alone),
    };
    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
