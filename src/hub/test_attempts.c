// SPDX-License-Identifier: Apache-2.0
// Attempts at the hub: whatever order the records of a client's hosts come in, late, twice, between restarts and runs, what
// is stored in the end is what the joining says of all of them at once, to the byte.
#include "attempt/known_test.h"
#include "base/cleanup.h"
#include "event/segment_format.h"
#include "hub/attempts.h"
#include "hub/attempts_show.h"
#include "store/attempts.h"
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define HOSTS 3
#define BYTES ((size_t)64 << 20)

struct sender { // a host's journal
    uint8_t id[16];
    char *bytes;
    size_t offset[BATCHES_MAX + 1], n, sent;
};

static char folder[64];
static struct sender senders[HOSTS];

static void empty(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s%s", folder, name);
    DIR *dir = opendir(path);
    for (struct dirent *d; dir && (d = readdir(dir));)
        if (d->d_name[0] != '.')
            unlinkat(dirfd(dir), d->d_name, 0);
    if (dir)
        closedir(dir);
}

static void empty_all(void)
{
    char path[128];
    empty("/events");
    snprintf(path, sizeof path, "%s/events", folder);
    rmdir(path);
    empty("");
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/attempts-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static void forget_senders(void)
{
    for (size_t i = 0; i < HOSTS; i++)
        if (senders[i].bytes)
            munmap(senders[i].bytes, BYTES);
    memset(senders, 0, sizeof senders);
}

static int teardown(void **state)
{
    (void)state;
    forget_senders();
    empty_all();
    return rmdir(folder);
}

// Each host writes its batches into a journal of its own, in the order in which they were made.
static void write_journals(const struct world *w)
{
    static const uint8_t zero[32];
    forget_senders();
    for (uint8_t host = 1; host <= HOSTS; host++) {
        struct sender *s = &senders[host - 1];
        struct segment_writer writer;
        int fd = memfd_create("sender", MFD_CLOEXEC);
        assert_int_equal(segment_writer_init(&writer, fd, zero, 0), 0);
        s->id[0] = host;
        for (size_t i = 0; i < w->n; i++) {
            if (w->batches[i]->host.data[0] != host)
                continue;
            assert_int_equal(segment_append(&writer, w->batches[i]), 0);
            s->offset[++s->n] = writer.size;
        }
        s->bytes = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
        assert_true(s->bytes != MAP_FAILED && writer.size < BYTES);
        segment_writer_done(&writer);
    }
}

static struct store *open_store(void)
{
    const struct store_options options = {.file_bytes = 64 << 10};
    struct store *s = NULL;
    assert_int_equal(store_open(folder, &options, &s, NULL, NULL), 0);
    return s;
}

static void give(struct store *s, const struct sender *from, size_t i)
{
    struct store_record record = {
        .bytes = str_bytes(from->bytes + from->offset[i], from->offset[i + 1] - from->offset[i]),
        .host = from->id};
    assert_int_equal(store_append(s, &record, 1, 5000, NULL), 0);
    assert_true(record.result != STORE_DAMAGED);
}

static void run_join(uint64_t from_ns)
{
    const struct hub_join how = {.from_ns = from_ns};
    struct error e = {0};
    int r = hub_attempts_join(folder, &how, NULL, &e);
    if (r < 0)
        print_message("%s\n", e.what);
    assert_int_equal(r, 0);
}

// A host at a time, some records; some come again; some runs, quick looks and restarts between.
static void deliver(struct truth *t)
{
    struct store *s = open_store();
    size_t left = 0, late = next(&t->seed) % HOSTS, asleep = 3 * BATCHES_MAX / 4;
    for (size_t i = 0; i < HOSTS; i++)
        left += senders[i].n;
    for (size_t all = left; left;) {
        size_t h = next(&t->seed) % HOSTS, n = 1 + next(&t->seed) % 40;
        struct sender *from = &senders[h];
        if (h == late && all - left < asleep && left > from->n - from->sent)
            continue; // offline until the others have sent all they have
        if (from->sent && next(&t->seed) % 4 == 0) {
            size_t back = next(&t->seed) % (from->sent < 20 ? from->sent : 20);
            for (size_t i = from->sent - back; i < from->sent; i++)
                give(s, from, i);
        }
        for (; n && from->sent < from->n; n--, left--)
            give(s, from, from->sent++);
        assert_int_equal(store_commit(s, NULL), 0);
        uint64_t what = next(&t->seed) % 64;
        if (what == 0)
            run_join(0);
        else if (what == 1)
            run_join(T0 + next(&t->seed) % 5000 * SECOND);
        else if (what == 2) {
            store_close(s);
            s = open_store();
        }
    }
    store_close(s);
}

static int add_row(void *context, const struct store_attempt *one)
{
    assert_false(one->quick);
    buf_add_str(context, one->json);
    return 0;
}

static int by_text(const void *p, const void *q)
{
    return strcmp(*(char *const *)p, *(char *const *)q);
}

// Lines in order of their text: the rows come newest first, the library tells oldest first.
static void sort_lines(struct buf *text)
{
    char *lines[LABELS * 2], *line, *rest = NULL;
    size_t n = 0;
    struct buf sorted = {0};
    buf_add_char(text, 0);
    for (line = strtok_r(text->p, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        assert_true(n < sizeof lines / sizeof *lines);
        lines[n++] = line;
    }
    qsort(lines, n, sizeof *lines, by_text);
    for (size_t i = 0; i < n; i++)
        buf_addf(&sorted, "%s\n", lines[i]);
    buf_done(text);
    *text = sorted;
}

static void stored(struct buf *out)
{
    struct store_attempts *s = NULL;
    assert_int_equal(store_attempts_open(folder, false, &s, NULL), 0);
    assert_int_equal(store_attempts_each(s, 0, 0, add_row, out, NULL), 0);
    store_attempts_close(s);
    sort_lines(out);
}

static void test_any_order_of_arrival_gives_the_same_bytes(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 6; seed++) {
        _cleanup_buf_ struct buf expected = {0}, found = {0};
        struct truth *t = client(seed % 3 + 1);
        t->seed = 0x9e3779b97f4a7c15u * seed;
        struct attempts *a = wall(&t->w);
        assert_int_equal(attempts_count(a), t->labels);
        print_all(a, &expected);
        attempts_free(a);
        sort_lines(&expected);
        write_journals(&t->w);
        deliver(t);
        run_join(0);
        stored(&found);
        if (found.n != expected.n || memcmp(found.p, expected.p, found.n) != 0)
            fail_msg("other attempts with seed %u", seed);
        run_join(0); // doubles nothing
        buf_reset(&found);
        stored(&found);
        assert_true(found.n == expected.n && memcmp(found.p, expected.p, found.n) == 0);
        client_free(t);
        empty_all();
    }
}

static json_t *story_of(uint64_t name)
{
    _cleanup_buf_ struct buf json = {0};
    struct store_attempts *s = NULL;
    char id[17];
    uint64_t found = 0;
    snprintf(id, sizeof id, "%016llx", (unsigned long long)name);
    assert_int_equal(store_attempts_open(folder, false, &s, NULL), 0);
    assert_int_equal(store_attempts_find(s, str_from(id), &found, NULL), 0);
    assert_int_equal(store_attempts_get(s, found, add_row, &json, NULL), 0);
    store_attempts_close(s);
    json_t *o = json_loadb(json.p, json.n, 0, NULL);
    assert_non_null(o);
    return o;
}

static const char *said(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

static uint64_t name_of_label(const struct truth *t, unsigned label)
{
    size_t i = 0;
    while (t->label[i] != label)
        i++;
    return t->names[i];
}

// Of what a host did while its records were lost nothing is known: it is said, and the outcome does not claim otherwise.
static void test_gap_of_records_makes_the_outcome_unknown(void **state)
{
    (void)state;
    struct truth *t = client(1);
    write_journals(&t->w);
    for (int pass = 0; pass < 2; pass++) {
        struct store *s = open_store();
        for (size_t h = 0; h < HOSTS; h++)
            for (size_t i = 0; i < senders[h].n; i++) {
                // The refused ones are host 1's records 3 to 5, seconds apart: without the middle one.
                if (pass == 1 && h == 0 && i == 4)
                    continue;
                give(s, &senders[h], i);
            }
        assert_int_equal(store_commit(s, NULL), 0);
        store_close(s);
        run_join(0);
        json_t *o = story_of(name_of_label(t, 1));
        assert_string_equal(said(o, "stopped"), "stopped before execution");
        if (pass == 0) {
            assert_string_equal(said(o, "outcome"), "stopped before execution");
            empty_all();
        } else {
            assert_true(strncmp(said(o, "outcome"), "unknown", 7) == 0);
            assert_non_null(strstr(said(o, "not_seen"), "(1 records lost)"));
        }
        json_decref(o);
    }
    client_free(t);
}

static void test_story_and_table_fit_100_columns_and_are_escaped(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf out = {0};
    struct truth *t = client(1);
    ran(t, t->labels++, wbatch(&t->w, 1, 90000), 7000, 7000,
        "sh -c '\033]0;owned\a' \xe2\x80\xae " // and long
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        false);
    write_journals(&t->w);
    deliver(t);
    run_join(0);
    for (unsigned label = 0; label < t->labels; label += label ? t->labels - 2 : 1) {
        json_t *o = story_of(name_of_label(t, label));
        attempts_show_head(&out);
        attempts_show_row(o, true, &out);
        attempts_show_story("acme", o, false, &out);
        json_decref(o);
    }
    buf_add_char(&out, 0);
    assert_int_equal(out.failed, 0);
    assert_null(strchr(out.p, '\033'));
    assert_null(strstr(out.p, "\xe2\x80\xae"));
    assert_non_null(strstr(out.p, "data left"));
    assert_non_null(strstr(out.p, "same host, same address 203.0.113.1"));
    assert_non_null(strstr(out.p, "/srv/research/formula"));
    for (char *line = out.p, *end; (end = strchr(line, '\n')); line = end + 1)
        if (end - line > SHOW_WIDTH)
            fail_msg("%d columns: %.*s", (int)(end - line), (int)(end - line), line);
    client_free(t);
}

static int at_once(void *context)
{
    (void)context;
    return -ECANCELED;
}

static void test_run_that_is_ended_changes_nothing(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf before = {0}, after = {0};
    struct truth *t = client(1);
    struct error e = {0};
    const struct hub_join ended = {.between = at_once};
    write_journals(&t->w);
    deliver(t);
    run_join(0);
    stored(&before);
    assert_int_equal(hub_attempts_join(folder, &ended, NULL, &e), -ECANCELED);
    stored(&after);
    assert_true(before.n == after.n && before.n > 0);
    assert_memory_equal(before.p, after.p, after.n);
    client_free(t);
}

struct kept {
    uint64_t from, to;
};

static int widest(void *context, const uint8_t id[16], uint64_t from, uint64_t to)
{
    struct kept *k = context;
    (void)id;
    k->from = from < k->from ? from : k->from;
    k->to = to > k->to ? to : k->to;
    return 0;
}

static void test_a_host_that_lies_about_times_keeps_no_more(void **state)
{
    (void)state;
    struct truth *t = client(1);
    struct store_attempts *s = NULL;
    struct kept kept = {UINT64_MAX, 0};
    Tiercel__Batch *b = wbatch(&t->w, 1, 95000);
    ran(t, t->labels++, b, 7000, 7000, "sh", false);
    wexec(&t->w, b, wprocess(&t->w, 7001, 7000, "long ago"), false)->time = 1;
    wexec(&t->w, b, wprocess(&t->w, 7002, 7000, "never"), false)->time = UINT64_MAX / 4;
    write_journals(&t->w);
    deliver(t);
    run_join(0);
    assert_int_equal(store_attempts_open(folder, false, &s, NULL), 0);
    assert_int_equal(store_attempts_evidence(s, widest, &kept, NULL), 0);
    store_attempts_close(s);
    assert_true(kept.from >= T0 - ATTEMPT_QUIET_NS && kept.from <= T0 + 100000 * SECOND);
    assert_true(kept.to <= T0 + 300000 * SECOND + ATTEMPT_QUIET_NS);
    client_free(t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_any_order_of_arrival_gives_the_same_bytes),
        TEST(test_gap_of_records_makes_the_outcome_unknown),
        TEST(test_story_and_table_fit_100_columns_and_are_escaped),
        TEST(test_run_that_is_ended_changes_nothing),
        TEST(test_a_host_that_lies_about_times_keeps_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
