// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "base/test.h"
#include "event/segment_format.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <xxhash.h>

static const uint8_t zero[32];
static struct arena arena;
static char folder[64];
static int folder_fd = -1;

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/segment-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(folder))
        return -1;
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder_fd < 0;
}

static int teardown(void **state)
{
    (void)state;
    uint64_t *numbers = NULL;
    size_t n = 0;
    char name[32];
    if (journal_list(folder_fd, &numbers, &n) == 0)
        for (size_t i = 0; i < n; i++) {
            journal_name(numbers[i], name);
            unlinkat(folder_fd, name, 0);
        }
    free(numbers);
    close(folder_fd);
    arena_done(&arena);
    return rmdir(folder);
}

// ---- batches that say which they are

static Tiercel__Batch *batch_new(uint64_t which, size_t n_events)
{
    Tiercel__Batch *b = arena_new(&arena, Tiercel__Batch);
    tiercel__batch__init(b);
    b->events = arena_array(&arena, Tiercel__Event *, n_events);
    b->n_events = n_events;
    b->has_host = true;
    b->host = (ProtobufCBinaryData){16, (uint8_t *)"0123456789abcdef"};
    for (size_t i = 0; i < n_events; i++) {
        Tiercel__Event *e = b->events[i] = arena_new(&arena, Tiercel__Event);
        tiercel__event__init(e);
        e->has_id = e->has_time = true;
        e->id = which * 1000 + i;
        e->time = 1000000 * which + i;
        e->kind_case = which % 2 ? TIERCEL__EVENT__KIND_EXEC : TIERCEL__EVENT__KIND_FORK;
        if (which % 2) {
            e->exec = arena_new(&arena, Tiercel__Exec);
            tiercel__exec__init(e->exec);
        } else {
            e->fork = arena_new(&arena, Tiercel__Fork);
            tiercel__fork__init(e->fork);
        }
    }
    return b;
}

static bool is_batch(const Tiercel__Batch *b, uint64_t which)
{
    bool good = b->has_sequence && b->sequence == which;
    for (size_t i = 0; i < b->n_events; i++)
        good = good && b->events[i]->id == which * 1000 + i;
    return good;
}

static int open_number(uint64_t number, int flags)
{
    char name[32];
    journal_name(number, name);
    return openat(folder_fd, name, flags | O_CLOEXEC, 0600);
}

// Writes batches first .. first + n - 1 into a file, going on from *last; returns its size.
static uint64_t write_file(uint64_t number, uint64_t first, unsigned n, uint8_t last[32],
                           uint64_t *ret_ends)
{
    struct segment_writer w;
    int fd = open_number(number, O_WRONLY | O_CREAT | O_APPEND);
    assert_true(fd >= 0);
    assert_int_equal(segment_writer_init(&w, fd, last, first), 0);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(segment_append(&w, batch_new(first + i, 3)), 0);
        if (ret_ends)
            ret_ends[i] = w.size;
    }
    assert_int_equal(segment_sync(&w), 0);
    uint64_t size = w.size;
    memcpy(last, w.last, 32);
    segment_writer_done(&w);
    return size;
}

// Reads to the end; every batch must be one that was written, in order. Returns how many; *ret_end is the last answer.
static unsigned read_all(int fd, uint64_t first, int *ret_end, uint64_t *ret_offset,
                         struct error *e)
{
    struct segment_reader *r;
    struct segment_info info;
    Tiercel__Batch *b;
    unsigned n = 0;
    assert_int_equal(segment_reader_new(fd, &r), 0);
    while ((*ret_end = segment_next(r, NULL, NULL, &info, &b, e)) > 0) {
        assert_true(is_batch(b, first + n));
        assert_true(info.sequence == first + n);
        n++;
    }
    *ret_offset = segment_offset(r);
    segment_reader_free(r);
    return n;
}

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

// kill -9 at any moment: the file ends anywhere in its last batch.
static void test_segment_cut_anywhere_loses_only_the_last_batch(void **state)
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
static void test_segment_tail_of_zeros_is_torn(void **state)
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

// Damage with good batches behind it is evidence: it is not cut off.
static void test_segment_damage_in_the_middle_is_left_alone(void **state)
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
    seal_and_read(bad, "not zstd!", -EBADMSG, "cannot be");
    // a frame of nothing, where 100 bytes were said
    seal_and_read(h, "\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00", -EBADMSG, "decompressed");
    // ... and where none were said, but events were
    bad = h;
    bad.packed = 0;
    bad.n_events = 4;
    seal_and_read(bad, "\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00", -EBADMSG, "belong together");
}

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_segment_gives_back_what_was_written),
        TEST(test_segment_skips_by_header),
        TEST(test_segment_empty_batch),
        TEST(test_segment_growing_file),
        TEST(test_segment_newer_format),
        TEST(test_segment_refuses_what_could_not_be_read),
        TEST(test_segment_full_disk_leaves_whole_batches),
        TEST(test_segment_device_without_room),
        TEST(test_segment_broken_writer_stays_broken),
        TEST(test_segment_cut_anywhere_loses_only_the_last_batch),
        TEST(test_segment_tail_of_zeros_is_torn),
        TEST(test_segment_every_flipped_byte_is_noticed),
        TEST(test_segment_damage_in_the_middle_is_left_alone),
        TEST(test_segment_changed_and_sealed_batch_breaks_the_chain),
        TEST(test_segment_sizes_are_not_believed),
        TEST(test_journal_names),
        TEST(test_journal_empty_folder),
        TEST(test_journal_chain_over_files),
        TEST(test_journal_replaced_file),
    };
    return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}
