// SPDX-License-Identifier: Apache-2.0
// The writer dies, the power fails, files are tampered with.
#include "store/store_test.h"

#include <signal.h>
#include <sys/wait.h>

#define FILE_BYTES 3000
#define HOSTS 3
#define ROUNDS 40
#define SEED 20261123

static struct sender senders[HOSTS];

static void senders_init(unsigned n)
{
    for (uint8_t h = 0; h < HOSTS; h++) {
        sender_init(&senders[h], (uint8_t)(h + 1), 0);
        for (unsigned i = 0; i < n; i++)
            sender_add(&senders[h], 1 + (i + h) % 4);
    }
}

static void senders_done(void)
{
    for (int h = 0; h < HOSTS; h++)
        sender_done(&senders[h]);
}

// Every record up to what is wanted next is there once, and the chain stands.
static void assert_all_there(struct store *s)
{
    unsigned counts[SENDER_MAX];
    for (int h = 0; h < HOSTS; h++) {
        uint64_t next = next_of(s, &senders[h]);
        assert_int_equal(count_records(&senders[h], counts), next);
        for (uint64_t i = 0; i < next; i++)
            assert_int_equal(counts[i], 1);
    }
    assert_verified();
}

// Groups of up to four records of random hosts, from where the store is. Says in `acked` what was committed.
static void feed(struct store *s, unsigned *seed, volatile uint64_t acked[HOSTS], unsigned groups)
{
    for (unsigned g = 0; g < groups; g++) {
        struct store_record group[4];
        uint64_t next[HOSTS];
        for (int h = 0; h < HOSTS; h++)
            next[h] = next_of(s, &senders[h]);
        size_t n = 0;
        for (unsigned i = 1 + (unsigned)rand_r(seed) % 4; i > 0; i--) {
            int h = rand_r(seed) % HOSTS;
            if (next[h] < senders[h].n)
                group[n++] = sender_record(&senders[h], next[h]++);
        }
        if (store_append(s, group, n, 1000 + g, NULL) < 0)
            _exit(3);
        if (rand_r(seed) % 3 == 0) {
            if (store_commit(s, NULL) < 0)
                _exit(4);
            for (int h = 0; h < HOSTS; h++)
                acked[h] = next_of(s, &senders[h]);
        }
    }
}

static void test_killed_at_any_time_nothing_acknowledged_is_lost(void **state)
{
    (void)state;
    unsigned seed = SEED;
    uint64_t *acked = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    senders_init(SENDER_MAX);
    for (int round = 0; round < ROUNDS; round++) {
        unsigned delay = (unsigned)rand_r(&seed) % 20000, child_seed = (unsigned)rand_r(&seed);
        pid_t child = fork();
        if (child == 0) {
            struct store *s = NULL;
            const struct store_options options = {FILE_BYTES};
            if (store_open(folder, &options, &s, NULL, NULL) < 0)
                _exit(2);
            feed(s, &child_seed, acked, 100000);
            pause();
        }
        usleep(delay);
        kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status)); // it did not end by itself
        struct store *s = open_store(FILE_BYTES, NULL);
        for (int h = 0; h < HOSTS; h++)
            assert_true(next_of(s, &senders[h]) >= acked[h]);
        if (access(path_of("events/000000000001.seg"), F_OK) == 0)
            assert_all_there(s);
        store_close(s);
    }
    munmap(acked, 4096);
    senders_done();
}

// ---- power loss: what was not synced is gone, torn or zero; the catalogue may be of an earlier moment

static void copy_file(const char *from, const char *to)
{
    _cleanup_close_ int in = open(from, O_RDONLY | O_CLOEXEC);
    _cleanup_close_ int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char bytes[4096];
    ssize_t n;
    assert_true(in >= 0 && out >= 0);
    while ((n = read(in, bytes, sizeof bytes)) > 0)
        assert_int_equal(write(out, bytes, (size_t)n), n);
}

static uint64_t size_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return (uint64_t)st.st_size;
}

static void test_power_loss_leaves_all_that_was_synced(void **state)
{
    (void)state;
    unsigned seed = SEED;
    uint64_t acked[HOSTS];
    senders_init(60);
    struct store *s = open_store(1 << 20, NULL);
    feed(s, &seed, acked, 6);
    commit(s);
    store_close(s);
    copy_file(path_of("state.db"), path_of("state.old")); // the catalogue of then
    const char *tail = path_of("events/000000000001.seg");
    s = open_store(1 << 20, NULL);
    feed(s, &seed, acked, 6);
    commit(s);
    uint64_t synced = size_of(tail);
    for (int h = 0; h < HOSTS; h++)
        acked[h] = next_of(s, &senders[h]);
    for (int h = 0; h < HOSTS; h++)
        for (size_t i = acked[h]; i < acked[h] + 4; i++)
            give(s, &senders[h], i);
    store_close(s);
    uint64_t all = size_of(tail);
    assert_true(all > synced + 500);
    copy_file(tail, path_of("tail.full"));
    for (int try = 0; try < 60; try++) {
        uint64_t cut = synced + (uint64_t)rand_r(&seed) % (all - synced + 1);
        uint64_t zero = synced + (uint64_t)rand_r(&seed) % (all - synced + 1);
        copy_file(path_of("state.old"), path_of("state.db"));
        copy_file(path_of("tail.full"), tail);
        if (try % 2) { // a hole of zeros, and good records behind it
            _cleanup_close_ int fd = open(tail, O_WRONLY | O_CLOEXEC);
            char zeros[64] = {0};
            assert_true(pwrite(fd, zeros, sizeof zeros, (off_t)zero) > 0);
        } else {
            assert_int_equal(truncate(tail, (off_t)cut), 0);
        }
        struct store_opened opened;
        s = open_store(1 << 20, &opened);
        for (int h = 0; h < HOSTS; h++) {
            assert_true(next_of(s, &senders[h]) >= acked[h]);
            for (size_t i = next_of(s, &senders[h]); i < acked[h] + 6; i++)
                assert_int_equal(give(s, &senders[h], i), STORE_NEW);
        }
        commit(s);
        assert_true(!opened.rebuilt);
        assert_all_there(s);
        store_close(s);
        unlink(path_of("events/000000000002.seg"));
    }
    senders_done();
}

static void fill_files(unsigned n)
{
    unsigned seed = SEED;
    uint64_t acked[HOSTS];
    senders_init(n);
    struct store *s = open_store(FILE_BYTES, NULL);
    feed(s, &seed, acked, n);
    commit(s);
    store_close(s);
}

static void test_synced_data_that_is_gone_is_asked_for_again(void **state)
{
    (void)state;
    fill_files(40);
    DIR *dir = opendir(path_of("events"));
    unsigned files = 0;
    for (struct dirent *d; (d = readdir(dir));)
        files += d->d_name[0] != '.';
    closedir(dir);
    char name[64];
    snprintf(name, sizeof name, "events/%012u.seg", files);
    const char *tail = path_of(name);
    assert_int_equal(truncate(tail, (off_t)size_of(tail) - 5), 0);
    struct store_opened opened;
    struct store *s = open_store(FILE_BYTES, &opened);
    assert_true(opened.rebuilt && opened.cut > 0);
    assert_all_there(s);
    store_close(s);
    senders_done();
}

static void test_catalogue_that_is_gone_is_made_anew(void **state)
{
    (void)state;
    fill_files(60);
    struct store *s = open_store(FILE_BYTES, NULL);
    struct store_totals before, after;
    store_totals(s, &before);
    store_close(s);
    empty(folder);
    struct store_opened opened;
    s = open_store(FILE_BYTES, &opened);
    store_totals(s, &after);
    assert_true(opened.rebuilt && opened.records == before.batches);
    assert_memory_equal(&before, &after, sizeof before);
    assert_all_there(s);
    store_close(s);
    senders_done();
}

// ---- what verify names

static void assert_broken(const char *file, const char *what)
{
    struct store_verified v;
    struct error e = {0};
    assert_int_equal(store_verify(folder, &v, &e), -EBADMSG);
    if (!strstr(e.what, file) || !strstr(e.what, what))
        print_message("%s\n", e.what);
    assert_true(strstr(e.what, file) && strstr(e.what, what));
}

static void test_verify_names_the_first_broken_place(void **state)
{
    (void)state;
    fill_files(80);
    const char *second = path_of("events/000000000002.seg"), *copy = path_of("copy");
    struct segment_info info;
    char bytes[8192];
    copy_file(second, copy);
    uint64_t size = size_of(second);
    assert_verified();

    _cleanup_close_ int fd = open(second, O_RDWR | O_CLOEXEC);
    assert_true(pread(fd, bytes, sizeof bytes, 0) == (ssize_t)size);
    bytes[300] ^= 1;
    assert_int_equal(pwrite(fd, bytes + 300, 1, 300), 1);
    assert_broken("events/000000000002.seg", "check differs");

    ssize_t first = segment_record_measure(bytes, size, &info, NULL); // one taken out
    copy_file(copy, second);
    bytes[300] ^= 1;
    assert_int_equal(pwrite(fd, bytes + first, size - (size_t)first, 0),
                     (ssize_t)(size - (size_t)first));
    assert_int_equal(ftruncate(fd, (off_t)(size - (size_t)first)), 0);
    assert_broken("events/000000000002.seg", "end is missing");

    copy_file(copy, second); // one twice
    assert_int_equal(pwrite(fd, bytes, (size_t)first, (off_t)size), first);
    assert_broken("events/000000000002.seg", "behind the file's end");

    copy_file(copy, second);
    assert_verified();
    unlink(second);
    assert_broken("events/000000000002.seg", "missing");
    senders_done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_killed_at_any_time_nothing_acknowledged_is_lost),
        TEST(test_power_loss_leaves_all_that_was_synced),
        TEST(test_synced_data_that_is_gone_is_asked_for_again),
        TEST(test_catalogue_that_is_gone_is_made_anew),
        TEST(test_verify_names_the_first_broken_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
