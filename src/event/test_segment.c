// SPDX-License-Identifier: Apache-2.0
#include "event/segment_test.h"

#include <signal.h>
#include <sys/resource.h>
#include <xxhash.h>
#include <zstd.h>

// ---- one file

static void test_segment_gives_back_what_was_written(void **state)
{
    (void)state;
    uint8_t last[32] = {0}, previous[32] = {0};
    uint64_t size = write_file(1, 0, 5, last, NULL);
    _cleanup_close_ int fd = open_number(1, O_RDONLY);
    struct segment_reader *r;
    struct segment_info info;
    Tiercel__Batch *b;
    assert_int_equal(segment_reader_new(fd, &r), 0);
    for (uint64_t i = 0; i < 5; i++) {
        assert_int_equal(segment_next(r, NULL, NULL, &info, &b, NULL), 1);
        assert_true(is_batch(b, i));
        assert_int_equal(info.n_events, 3);
        assert_true(info.from_ns == 1000000 * i && info.to_ns == 1000000 * i + 2);
        assert_true(info.kinds == (uint64_t)1 << (i % 2 ? 20 : 21));
        assert_memory_equal(info.host, "0123456789abcdef", 16);
        assert_memory_equal(info.previous, previous, 32);
        memcpy(previous, info.hash, 32);
    }
    assert_int_equal(segment_next(r, NULL, NULL, &info, &b, NULL), 0);
    assert_true(segment_offset(r) == size);
    assert_memory_equal(previous, last, 32);
    segment_reader_free(r);
}

static bool skip_forks(void *context, const struct segment_info *info)
{
    (*(unsigned *)context)++;
    return !(info->kinds >> TIERCEL__EVENT__KIND_EXEC & 1);
}

static void test_segment_skips_by_header(void **state)
{
    (void)state;
    uint8_t last[32] = {0};
    unsigned asked = 0;
    write_file(1, 0, 6, last, NULL);
    _cleanup_close_ int fd = open_number(1, O_RDONLY);
    struct segment_reader *r;
    Tiercel__Batch *b;
    assert_int_equal(segment_reader_new(fd, &r), 0);
    for (uint64_t i = 1; i < 6; i += 2) {
        assert_int_equal(segment_next(r, skip_forks, &asked, NULL, &b, NULL), 1);
        assert_true(is_batch(b, i));
    }
    assert_int_equal(segment_next(r, skip_forks, &asked, NULL, &b, NULL), 0);
    assert_int_equal(asked, 6);
    segment_reader_free(r);
}

static bool skip_all(void *context, const struct segment_info *info)
{
    (void)context;
    (void)info;
    return true;
}

// What is not all there is not skipped either: the offset stays at the end of the last whole batch.
static void test_segment_skips_only_whole_batches(void **state)
{
    (void)state;
    uint8_t last[32] = {0};
    uint64_t ends[2];
    struct segment_reader *r;
    Tiercel__Batch *b;
    write_file(1, 0, 2, last, ends);
    _cleanup_close_ int fd = open_number(1, O_RDWR);
    assert_int_equal(ftruncate(fd, (off_t)ends[1] - 1), 0);
    assert_int_equal(segment_reader_new(fd, &r), 0);
    assert_int_equal(segment_next(r, skip_all, NULL, NULL, &b, NULL), 0);
    assert_true(segment_offset(r) == ends[0]);
    segment_reader_free(r);
}

static void test_segment_empty_batch(void **state)
{
    (void)state;
    struct segment_writer w;
    struct segment_info info;
    struct segment_reader *r;
    Tiercel__Batch empty = TIERCEL__BATCH__INIT, *b;
    int fd = open_number(1, O_RDWR | O_CREAT | O_APPEND);
    assert_int_equal(segment_writer_init(&w, fd, zero, 0), 0);
    assert_int_equal(segment_append(&w, &empty), 0);
    assert_int_equal(segment_reader_new(fd, &r), 0);
    assert_int_equal(segment_next(r, NULL, NULL, &info, &b, NULL), 1);
    assert_true(info.from_ns == 0 && info.to_ns == 0 && b->n_events == 0);
    segment_reader_free(r);
    segment_writer_done(&w);
}

// A reader beside the writer: what is not all there yet is no damage, and is read when it is.
static void test_segment_growing_file(void **state)
{
    (void)state;
    uint8_t last[32] = {0};
    uint64_t ends[2];
    write_file(1, 0, 2, last, ends);
    _cleanup_close_ int from = open_number(1, O_RDONLY);
    _cleanup_close_ int to = open_number(2, O_RDWR | O_CREAT);
    char *bytes = arena_alloc(&arena, ends[1]);
    assert_int_equal(pread(from, bytes, ends[1], 0), ends[1]);
    struct segment_reader *r;
    struct segment_info info;
    Tiercel__Batch *b;
    assert_int_equal(segment_reader_new(to, &r), 0);
    for (uint64_t i = 0; i < ends[1]; i++) {
        assert_int_equal(pwrite(to, bytes + i, 1, (off_t)i), 1);
        bool whole = i + 1 == ends[0] || i + 1 == ends[1];
        assert_int_equal(segment_next(r, NULL, NULL, &info, &b, NULL), whole);
        if (whole)
            assert_true(is_batch(b, i + 1 == ends[1]));
    }
    segment_reader_free(r);
}

static void test_segment_newer_format(void **state)
{
    (void)state;
    struct error e = {0};
    struct segment_header h = {0};
    int end;
    uint64_t offset;
    segment_seal(&h, "");
    h.version = SEGMENT_VERSION + 1;
    h.header_check = XXH3_64bits(&h, offsetof(struct segment_header, header_check));
    _cleanup_close_ int fd = open_number(1, O_RDWR | O_CREAT);
    assert_int_equal(write(fd, &h, sizeof h), sizeof h);
    assert_int_equal(read_all(fd, 0, &end, &offset, &e), 0);
    assert_int_equal(end, -ENOTSUP);
    assert_non_null(strstr(e.what, "format 2"));
}

// ---- what goes wrong when writing

static void test_segment_refuses_what_could_not_be_read(void **state)
{
    (void)state;
    struct segment_writer w;
    int fd = open_number(1, O_RDWR | O_CREAT | O_APPEND);
    assert_int_equal(segment_writer_init(&w, fd, zero, 7), 0);
    Tiercel__Batch *b = batch_new(0, 1);
    Tiercel__Process process = TIERCEL__PROCESS__INIT; // without its id
    b->events[0]->process = &process;
    assert_int_equal(segment_append(&w, b), -EINVAL);
    b = batch_new(0, 1);
    b->rules_version = (ProtobufCBinaryData){SEGMENT_BATCH_LIMIT, calloc(1, SEGMENT_BATCH_LIMIT)};
    b->has_rules_version = true;
    assert_int_equal(segment_append(&w, b), -E2BIG);
    free(b->rules_version.data);
    assert_true(w.size == 0 && w.sequence == 7);
    assert_int_equal(segment_append(&w, batch_new(7, 1)), 0);
    segment_writer_done(&w);
}

static void test_segment_full_disk_leaves_whole_batches(void **state)
{
    (void)state;
    struct rlimit before, small;
    uint64_t offset;
    int end;
    struct segment_writer w;
    int fd = open_number(1, O_RDWR | O_CREAT | O_APPEND);
    assert_int_equal(segment_writer_init(&w, fd, zero, 0), 0);
    assert_int_equal(segment_append(&w, batch_new(0, 3)), 0);
    uint64_t good = w.size;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    for (rlim_t room = 0; room < 150; room += 49) { // the write comes up short at several places
        small = (struct rlimit){good + room, before.rlim_max};
        setrlimit(RLIMIT_FSIZE, &small);
        int r = segment_append(&w, batch_new(1, 3));
        setrlimit(RLIMIT_FSIZE, &before);
        assert_int_equal(r, room ? -ENOSPC : -EFBIG);
        assert_int_equal(lseek(fd, 0, SEEK_END), good);
        assert_true(w.size == good && w.sequence == 1);
    }
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(segment_append(&w, batch_new(1, 3)), 0);
    assert_int_equal(read_all(fd, 0, &end, &offset, NULL), 2);
    assert_int_equal(end, 0);
    segment_writer_done(&w);
}

static void test_segment_device_without_room(void **state)
{
    (void)state;
    struct segment_writer w;
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        skip();
    assert_int_equal(segment_writer_init(&w, fd, zero, 0), 0);
    assert_int_equal(segment_append(&w, batch_new(0, 1)), -ENOSPC);
    assert_int_equal(segment_append(&w, batch_new(0, 1)),
                     -ENOSPC); // not broken: nothing was written
    segment_writer_done(&w);
}

// A short write that cannot be cut off: a pipe takes a part and has no end to cut.
static void test_segment_broken_writer_stays_broken(void **state)
{
    (void)state;
    struct segment_writer w;
    int ends[2];
    assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(fcntl(ends[1], F_SETPIPE_SZ, 4096), 4096);
    assert_int_equal(segment_writer_init(&w, ends[1], zero, 0), 0);
    Tiercel__Batch *b = batch_new(0, 1);
    uint8_t *noise = arena_alloc(&arena, 100000); // more than the pipe holds, and does not compress
    uint32_t x = 1;
    for (size_t i = 0; i < 100000; i++)
        noise[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
    b->has_rules_version = true;
    b->rules_version = (ProtobufCBinaryData){100000, noise};
    assert_int_equal(segment_append(&w, b), -EIO);
    assert_true(w.broken);
    assert_int_equal(segment_append(&w, batch_new(0, 1)), -EIO);
    segment_writer_done(&w);
    close(ends[0]);
}

// ---- damage

static void test_segment_every_flipped_byte_is_noticed(void **state)
{
    (void)state;
    uint8_t last[32] = {0};
    uint64_t ends[3];
    write_file(1, 0, 3, last, ends);
    _cleanup_close_ int fd = open_number(1, O_RDWR);
    for (uint64_t i = 0; i < ends[2]; i++) {
        uint8_t byte, other;
        assert_int_equal(pread(fd, &byte, 1, (off_t)i), 1);
        for (unsigned k = 0; k < 3; k++) {
            struct error e = {0};
            uint64_t offset, batches;
            int answer;
            other = k == 0 ? byte ^ 1 : k == 1 ? byte ^ 0x80 : (uint8_t)~byte;
            assert_int_equal(pwrite(fd, &other, 1, (off_t)i), 1);
            unsigned whole = (i >= ends[0]) + (i >= ends[1]);
            assert_int_equal(read_all(fd, 0, &answer, &offset, &e), whole);
            assert_int_equal(answer, -EBADMSG);
            assert_true(offset == (whole ? ends[whole - 1] : 0));
            assert_non_null(strstr(e.what, "damaged"));
            assert_int_equal(journal_verify(folder_fd, &batches, &e), -EBADMSG);
        }
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)i), 1);
    }
}

// Checks are no secret: whoever changes a batch can make them right again, but not the chain.
static void test_segment_changed_and_sealed_batch_breaks_the_chain(void **state)
{
    (void)state;
    uint8_t last[32] = {0};
    uint64_t ends[3], batches, offset;
    struct error e = {0};
    struct segment_header h;
    int answer;
    write_file(1, 0, 3, last, ends);
    _cleanup_close_ int fd = open_number(1, O_RDWR);
    char *body = arena_alloc(&arena, ends[0]);
    assert_int_equal(pread(fd, &h, sizeof h, 0), sizeof h);
    assert_int_equal(pread(fd, body, h.compressed, sizeof h), h.compressed);
    h.host[0] ^= 1;
    segment_seal(&h, body);
    assert_int_equal(pwrite(fd, &h, sizeof h, 0), sizeof h);
    assert_int_equal(read_all(fd, 0, &answer, &offset, &e), 1);
    assert_int_equal(answer, -EBADMSG);
    assert_non_null(strstr(e.what, "does not follow"));
    assert_int_equal(journal_verify(folder_fd, &batches, &e), -EBADMSG);
}

static void seal_and_read(struct segment_header h, const char *body, int wanted, const char *what)
{
    struct error e = {0};
    uint64_t offset;
    int answer;
    _cleanup_close_ int fd = open_number(1, O_RDWR | O_CREAT | O_TRUNC);
    segment_seal(&h, body);
    assert_int_equal(write(fd, &h, sizeof h), sizeof h);
    assert_int_equal(write(fd, body, h.compressed), h.compressed);
    assert_int_equal(read_all(fd, 0, &answer, &offset, &e), 0);
    assert_int_equal(answer, wanted);
    if (!strstr(e.what, what))
        fail_msg("%s", e.what);
}

static void test_segment_sizes_are_not_believed(void **state)
{
    (void)state;
    const struct segment_header h = {.compressed = 9, .packed = 100};
    struct segment_header bad = h;
    seal_and_read(h, "not zstd!", -EBADMSG, "decompressed");
    bad.packed = SEGMENT_BATCH_LIMIT + 1;
    seal_and_read(bad, "not zstd!", -EBADMSG, "sizes that cannot be");
    // a frame of nothing, where 100 bytes were said
    seal_and_read(h, "\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00", -EBADMSG, "decompressed");
    // ... and where none were said, but events were
    bad = h;
    bad.packed = 0;
    bad.n_events = 4;
    seal_and_read(bad, "\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00", -EBADMSG, "belong together");
}

// 16 MiB of events of two bytes each would need a gigabyte: refused at a quarter of that.
static void test_segment_memory_bomb(void **state)
{
    (void)state;
    size_t bound = ZSTD_compressBound(SEGMENT_BATCH_LIMIT);
    uint8_t *plain = malloc(SEGMENT_BATCH_LIMIT);
    char *body = malloc(bound);
    for (size_t i = 0; i < SEGMENT_BATCH_LIMIT; i += 2) {
        plain[i] = 8 << 3 | 2; // Batch.events, a message
        plain[i + 1] = 0;      // of no bytes
    }
    size_t n = ZSTD_compress(body, bound, plain, SEGMENT_BATCH_LIMIT, 1);
    assert_false(ZSTD_isError(n));
    struct segment_header h = {.packed = SEGMENT_BATCH_LIMIT, .compressed = (uint32_t)n};
    seal_and_read(h, body, -EFBIG, "needs more than");
    free(plain);
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_segment_gives_back_what_was_written),
        TEST(test_segment_skips_by_header),
        TEST(test_segment_skips_only_whole_batches),
        TEST(test_segment_empty_batch),
        TEST(test_segment_growing_file),
        TEST(test_segment_newer_format),
        TEST(test_segment_refuses_what_could_not_be_read),
        TEST(test_segment_full_disk_leaves_whole_batches),
        TEST(test_segment_device_without_room),
        TEST(test_segment_broken_writer_stays_broken),
        TEST(test_segment_every_flipped_byte_is_noticed),
        TEST(test_segment_changed_and_sealed_batch_breaks_the_chain),
        TEST(test_segment_sizes_are_not_believed),
        TEST(test_segment_memory_bomb),
    };
    return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}
