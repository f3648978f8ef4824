// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "base/test.h"
#include "sensor/decode.h"

#include <errno.h>
#include <stdlib.h>

static const struct decode_clock clock_ = {1000000000u};

struct made {
    char bytes[4096];
    size_t n;
};

static struct record_file_change a_change(unsigned action, unsigned change_flags)
{
    return (struct record_file_change){
        .r = {.kind = RECORD_FILE, .time = 5000000000u, .pid = 100, .tid = 101, .start = 4},
        .action = (__u16)action,
        .flags = (__u16)change_flags,
        .watch = WATCH_WEB,
        .old_mode = 0100644,
        .lineage_flags = FLAG_SERVICE,
        .file = {.inode = 7,
                 .size = 8,
                 .device = 8u << 20 | 3,
                 .mode = 0100755,
                 .owner = 33,
                 .links = 1},
        .name = "php-fpm"};
}

static void begin(struct made *m, const struct record_file_change *c)
{
    memset(m, 0, sizeof *m);
    memcpy(m->bytes, c, sizeof *c);
    m->n = sizeof *c;
    ((struct record *)m->bytes)->bytes = (__u32)m->n;
}

static void add_part(struct made *m, unsigned number, unsigned flags, const char *bytes, size_t n)
{
    struct record *r = (struct record *)m->bytes;
    struct record_part part = {(__u16)number, (__u16)flags, (__u32)n};

    memcpy(m->bytes + m->n, &part, sizeof part);
    memcpy(m->bytes + m->n + sizeof part, bytes, n);
    m->n += sizeof part + ((n + 7) & ~(size_t)7);
    r->parts++;
    r->bytes = (__u32)m->n;
}

// Of exactly its size, so that a read beyond it is seen.
static int decode_exact(const void *bytes, size_t n, struct arena *arena, struct decoded *ret)
{
    _cleanup_free_ char *copy = malloc(n ? n : 1);

    assert_non_null(copy);
    memcpy(copy, bytes, n);
    return decode(copy, n, &clock_, arena, ret);
}

#define ASSERT_BYTES(bytes_, text)                                                                 \
    do {                                                                                           \
        assert_int_equal((bytes_).len, sizeof(text) - 1);                                          \
        assert_memory_equal((bytes_).data, text, sizeof(text) - 1);                                \
    } while (0)
#define PART(m, number, flags, text) add_part(m, number, flags, text, sizeof(text))

static void test_decode_rename(void **state)
{
    _cleanup_arena_ struct arena arena = {0};
    struct record_file_change c = a_change(FILE_RENAME, FILE_EXECUTABLE);
    struct decoded d;
    struct made m;

    (void)state;
    c.repeated = 3;
    begin(&m, &c);
    PART(&m, PART_PATH, 0, "b\0www\0var");
    PART(&m, PART_OLD_PATH, 0, "a\0tmp");
    assert_int_equal(decode_exact(m.bytes, m.n, &arena, &d), 0);
    const Tiercel__FileChange *f = d.event->file;
    assert_int_equal(d.event->kind_case, TIERCEL__EVENT__KIND_FILE);
    assert_int_equal(d.lineage_flags, FLAG_SERVICE);
    assert_int_equal(d.event->process->id->pid, 100);
    ASSERT_BYTES(d.event->process->name, "php-fpm");
    assert_int_equal(f->action, TIERCEL__FILE_CHANGE__ACTION__RENAME);
    ASSERT_BYTES(f->file->path, "/var/www/b");
    ASSERT_BYTES(f->old_path, "/tmp/a");
    assert_int_equal(f->file->device, 8 << 8 | 3);
    assert_int_equal(f->file->inode, 7);
    assert_string_equal(f->watch, "web");
    assert_true(f->executable);
    assert_false(f->folder);
    assert_false(f->denied);
    assert_false(f->protected_);
    assert_false(f->has_old_mode);
    assert_int_equal(f->repeated, 3);
    assert_false(d.denied);
    assert_false(d.idle);
}

static void test_decode_denied_read_of_protected_data(void **state)
{
    _cleanup_arena_ struct arena arena = {0};
    struct record_file_change c = a_change(FILE_READ, FILE_DENIED | FILE_PROTECTED);
    struct decoded d;
    struct made m;

    (void)state;
    c.rule = 77;
    c.watch = WATCH_PROTECTED;
    begin(&m, &c);
    PART(&m, PART_PATH, PART_CUT, "shadow\0etc");
    assert_int_equal(decode_exact(m.bytes, m.n, &arena, &d), 0);
    assert_true(d.denied);
    assert_int_equal(d.rule, 77);
    assert_true(d.event->file->denied);
    assert_true(d.event->file->protected_);
    assert_true(d.event->file->file->path_cut);
    assert_string_equal(d.event->file->watch, "protected");
}

static void test_decode_mode_and_attributes(void **state)
{
    _cleanup_arena_ struct arena arena = {0};
    struct record_file_change c = a_change(FILE_MODE, 0);
    struct decoded d;
    struct made m;

    (void)state;
    begin(&m, &c);
    assert_int_equal(decode_exact(m.bytes, m.n, &arena, &d), 0);
    assert_int_equal(d.event->file->old_mode, 0100644);
    assert_false(d.event->file->file->has_path);
    c = a_change(FILE_ATTRIBUTE, FILE_OWNER);
    begin(&m, &c);
    assert_int_equal(decode_exact(m.bytes, m.n, &arena, &d), 0);
    assert_string_equal(d.event->file->attribute, "owner");
    c = a_change(FILE_WRITE, FILE_SHORTER);
    begin(&m, &c);
    assert_int_equal(decode_exact(m.bytes, m.n, &arena, &d), 0);
    assert_string_equal(d.event->file->attribute, "shorter");
    c = a_change(FILE_ATTRIBUTE, 0);
    begin(&m, &c);
    PART(&m, PART_ATTRIBUTE, 0, "security.capability");
    assert_int_equal(decode_exact(m.bytes, m.n, &arena, &d), 0);
    assert_string_equal(d.event->file->attribute, "security.capability");
    begin(&m, &c);
    PART(&m, PART_ATTRIBUTE, 0, "user.\xff\n"); // a string of the schema is plain text
    assert_int_equal(decode_exact(m.bytes, m.n, &arena, &d), 0);
    assert_string_equal(d.event->file->attribute, "user.");
}

static void test_decode_names_in_a_home(void **state)
{
    _cleanup_arena_ struct arena arena = {0};
    struct record_file_change c = a_change(FILE_RENAME, FILE_BY_NAME);
    struct decoded d;
    struct made m;

    (void)state;
    begin(&m, &c);
    PART(&m, PART_PATH, 0, ".cache\0user\0home");
    assert_int_equal(decode_exact(m.bytes, m.n, &arena, &d), 0);
    assert_true(d.idle);
    PART(&m, PART_OLD_PATH, 0, ".bashrc\0user\0home");
    assert_int_equal(decode_exact(m.bytes, m.n, &arena, &d), 0);
    assert_false(d.idle);
}

static void test_decode_unknown_numbers_and_broken_records(void **state)
{
    _cleanup_arena_ struct arena arena = {0};
    struct record_file_change c = a_change(4711, 0xffff);
    struct decoded d;
    struct made m;

    (void)state;
    c.watch = 4711;
    begin(&m, &c);
    PART(&m, PART_PATH, 0, "f");
    assert_int_equal(decode_exact(m.bytes, m.n, &arena, &d), 0);
    assert_string_equal(d.event->file->watch, "elsewhere");
    for (size_t n = 0; n < m.n; n++)
        assert_int_equal(decode_exact(m.bytes, n, &arena, &d), -EBADMSG);
    PART(&m, PART_PATH, 0, "twice");
    assert_int_equal(decode_exact(m.bytes, m.n, &arena, &d), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode_rename),
        cmocka_unit_test(test_decode_denied_read_of_protected_data),
        cmocka_unit_test(test_decode_mode_and_attributes),
        cmocka_unit_test(test_decode_names_in_a_home),
        cmocka_unit_test(test_decode_unknown_numbers_and_broken_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
