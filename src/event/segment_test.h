// SPDX-License-Identifier: Apache-2.0
// For tests of segments and of the journal: a folder of their own, and batches that say which they are.
#pragma once
#include "base/cleanup.h"
#include "base/test.h"
#include "event/segment_format.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

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
__attribute__((unused)) static unsigned read_all(int fd, uint64_t first, int *ret_end,
                                                 uint64_t *ret_offset, struct error *e)
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
