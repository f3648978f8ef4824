// SPDX-License-Identifier: Apache-2.0
// For tests of the store: a folder of its own, and hosts whose journals are made in memory.
#pragma once
#include "base/cleanup.h"
#include "base/test.h"
#include "store/private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SENDER_MAX 512 // records of one host

static char folder[64];
static struct arena arena;

struct sender { // a host's journal
    uint8_t id[16];
    int fd;
    struct segment_writer w;
    uint64_t offset[SENDER_MAX + 1];
    char *bytes;
    size_t n;
};

static Tiercel__Event *event_of(Tiercel__Batch *b, const struct sender *s, uint64_t number)
{
    Tiercel__Event *e = b->events[b->n_events++] = arena_new(&arena, Tiercel__Event);
    tiercel__event__init(e);
    e->has_id = e->has_time = true;
    e->id = number;
    e->time = 1000000000 + number * 1000;
    e->process = arena_new(&arena, Tiercel__Process);
    tiercel__process__init(e->process);
    e->process->id = arena_new(&arena, Tiercel__ProcessId);
    tiercel__process_id__init(e->process->id);
    e->process->id->pid = 1 + (uint32_t)number;
    e->process->image = arena_new(&arena, Tiercel__File);
    tiercel__file__init(e->process->image);
    char path[64];
    struct str text = str_bytes(path, (size_t)snprintf(path, sizeof path, "/bin/p%u-%llu", s->id[0],
                                                       (unsigned long long)number));
    text = arena_str(&arena, text);
    e->process->image->has_path = true;
    e->process->image->path = (ProtobufCBinaryData){text.n, (uint8_t *)text.p};
    e->kind_case = TIERCEL__EVENT__KIND_EXEC;
    e->exec = arena_new(&arena, Tiercel__Exec);
    tiercel__exec__init(e->exec);
    return e;
}

// One more record in the host's journal.
static void sender_add(struct sender *s, unsigned n_events)
{
    Tiercel__Batch b;
    arena_reset(&arena);
    tiercel__batch__init(&b);
    b.events = arena_array(&arena, Tiercel__Event *, n_events + 1);
    b.has_host = true;
    b.host = (ProtobufCBinaryData){16, s->id};
    for (unsigned i = 0; i < n_events; i++)
        event_of(&b, s, s->w.sequence * 100 + i);
    assert_true(s->n < SENDER_MAX);
    s->offset[s->n++] = s->w.size;
    assert_int_equal(segment_append(&s->w, &b), 0);
    s->offset[s->n] = s->w.size;
}

static void sender_init(struct sender *s, uint8_t id, uint64_t sequence)
{
    static const uint8_t zero[32];
    *s = (struct sender){0};
    memset(s->id, id, sizeof s->id);
    s->fd = memfd_create("sender", MFD_CLOEXEC);
    s->bytes = mmap(NULL, 4 << 20, PROT_READ, MAP_SHARED, s->fd, 0);
    assert_int_equal(segment_writer_init(&s->w, s->fd, zero, sequence), 0);
}

static void sender_done(struct sender *s)
{
    munmap(s->bytes, 4 << 20);
    segment_writer_done(&s->w);
}

static struct str sender_bytes(const struct sender *s, size_t i)
{
    return str_bytes(s->bytes + s->offset[i], (size_t)(s->offset[i + 1] - s->offset[i]));
}

static struct store_record sender_record(const struct sender *s, size_t i)
{
    return (struct store_record){.bytes = sender_bytes(s, i), .host = s->id};
}

static enum store_result give(struct store *s, const struct sender *from, size_t i)
{
    struct store_record record = sender_record(from, i);
    struct error e = {0};
    int r = store_append(s, &record, 1, 5000, &e);
    if (r < 0)
        print_message("%s\n", e.what);
    assert_int_equal(r, 0);
    return record.result;
}

static struct store *open_store(uint64_t file_bytes, struct store_opened *ret)
{
    const struct store_options options = {file_bytes};
    struct store *s = NULL;
    struct error e = {0};
    int r = store_open(folder, &options, &s, ret, &e);
    if (r < 0)
        print_message("%s\n", e.what);
    assert_int_equal(r, 0);
    return s;
}

static void commit(struct store *s)
{
    struct error e = {0};
    int r = store_commit(s, &e);
    if (r < 0)
        print_message("%s\n", e.what);
    assert_int_equal(r, 0);
}

__attribute__((unused)) static void assert_verified(void)
{
    struct store_verified v;
    struct error e = {0};
    int r = store_verify(folder, &v, &e);
    if (r < 0)
        print_message("%s\n", e.what);
    assert_int_equal(r, 0);
}

__attribute__((unused)) static uint64_t next_of(const struct store *s, const struct sender *from)
{
    struct store_chain chain;
    store_next(s, from->id, &chain);
    return chain.next;
}

// How often each record of the host can be read; returns how many there are in all.
__attribute__((unused)) static size_t count_records(const struct sender *from,
                                                    unsigned counts[SENDER_MAX])
{
    uint8_t one[1][16];
    memcpy(one[0], from->id, 16);
    const struct store_filter filter = {.hosts = one, .n_hosts = 1};
    struct store_walk *w;
    struct segment_info info;
    struct str record;
    struct error e = {0};
    size_t n = 0;
    memset(counts, 0, SENDER_MAX * sizeof *counts);
    assert_int_equal(store_walk_new(folder, &filter, &w, &e), 0);
    while (store_walk_next(w, &info, &record, &e) == 1) {
        assert_true(info.sequence < SENDER_MAX);
        assert_true(str_eq(record, sender_bytes(from, info.sequence)));
        counts[info.sequence]++;
        n++;
    }
    store_walk_free(w);
    return n;
}

static char *path_of(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, 128, "%s/%s", folder, name);
    return path;
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/store-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static void empty(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *d;
    while (dir && (d = readdir(dir)))
        if (d->d_name[0] != '.')
            unlinkat(dirfd(dir), d->d_name, 0);
    if (dir)
        closedir(dir);
}

static int teardown(void **state)
{
    (void)state;
    empty(path_of("events"));
    rmdir(path_of("events"));
    empty(folder);
    arena_done(&arena);
    return rmdir(folder);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
