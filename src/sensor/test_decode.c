// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "base/test.h"
#include "sensor/decode.h"

#include <errno.h>
#include <stdlib.h>

static const struct decode_clock clock_ = {1000000000u};

struct made {
    char bytes[8192];
    size_t n;
};

static void begin(struct made *m, const void *fixed, size_t n)
{
    memset(m, 0, sizeof *m);
    memcpy(m->bytes, fixed, n);
    m->n = n;
}

static void add_part(struct made *m, unsigned number, unsigned flags, struct str s)
{
    struct record *r = (struct record *)m->bytes;
    struct record_part part = {(__u16)number, (__u16)flags, (__u32)s.n};

    memcpy(m->bytes + m->n, &part, sizeof part);
    if (s.n)
        memcpy(m->bytes + m->n + sizeof part, s.p, s.n);
    m->n += sizeof part + ((s.n + 7) & ~(size_t)7);
    r->parts++;
    r->bytes = (__u32)m->n;
}

static struct record_exec an_exec(uint32_t flags)
{
    return (struct record_exec){
        .r = {.bytes = sizeof(struct record_exec),
              .kind = RECORD_EXEC,
              .time = 5000000000u,
              .pid = 100,
              .tid = 100,
              .start = 4000000000u},
        .flags = flags,
        .caller_tid = 103,
        .parent_pid = 50,
        .parent_start = 30,
        .file = {.inode = 7,
                 .size = 8,
                 .changed_sec = 1,
                 .changed_nsec = 5,
                 .device = 8u << 20 | 3,
                 .mode = 0100755,
                 .owner = 33,
                 .links = 1},
        .uid = 1,
        .euid = 2,
        .capabilities = 0x100000000u,
        .login_uid = ~0u,
        .ns_mount = 77,
        .cgroup = 9,
        .descriptors = {RECORD_SOCKET, RECORD_NULL, RECORD_CLOSED},
        .name = "sh",
    };
}

#define ASSERT_BYTES(value, text)                                                                  \
    do {                                                                                           \
        assert_int_equal((value).len, sizeof(text) - 1);                                           \
        assert_memory_equal((value).data, text, (value).len);                                      \
    } while (0)

static void test_decode_exec(void **state)
{
    struct record_exec x = an_exec(EXEC_JUDGED | EXEC_OTHER_THREAD);
    _cleanup_arena_ struct arena arena = {0};
    struct decoded d;
    struct made m;

    (void)state;
    begin(&m, &x, sizeof x);
    add_part(&m, PART_ARGV, 0, STR("sh\0-c\0a\nb\xff\0\0"));
    add_part(&m, PART_PATH, 0, STR("dash\0bin\0usr\0"));
    add_part(&m, PART_DIRECTORY, 0, STR_NONE);
    add_part(&m, PART_FILENAME, 0, STR("/bin/sh\0"));
    add_part(&m, PART_CGROUP, 0, STR("x.service\0system.slice\0"));
    add_part(&m, PART_ENVIRONMENT, PART_CUT, STR("LD_PRELOAD=/x\0"));
    assert_int_equal(decode(m.bytes, m.n, &clock_, &arena, &d), 0);
    Tiercel__Process *p = d.event->process;
    assert_int_equal(d.kind, RECORD_EXEC);
    assert_int_equal(d.event->time, 6000000000u);
    assert_int_equal(p->id->pid, 100);
    assert_int_equal(p->id->start, 4000000000u);
    assert_int_equal(p->parent->pid, 50);
    assert_int_equal(p->n_argv, 4);
    ASSERT_BYTES(p->argv[2], "a\nb\xff");
    ASSERT_BYTES(p->argv[3], "");
    ASSERT_BYTES(p->image->path, "/usr/bin/dash");
    ASSERT_BYTES(p->directory, "/");
    ASSERT_BYTES(p->cgroup_path, "/system.slice/x.service");
    assert_int_equal(p->n_environment, 1);
    assert_true(d.environment_cut);
    assert_false(p->argv_cut);
    assert_false(p->has_script);
    assert_int_equal(p->image->device, 8u << 8 | 3);
    assert_int_equal(p->image->changed, 1000000005u);
    assert_int_equal(d.event->exec->file_age, 4999999995u);
    assert_true(d.event->exec->judged);
    assert_int_equal(d.event->exec->replaced_thread->pid, 103);
    assert_int_equal(p->descriptors[0], TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_SOCKET);
    assert_int_equal(p->descriptors[1], TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_NULL);
    assert_int_equal(p->descriptors[2], TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_CLOSED);
    assert_int_equal(p->credentials->login_uid, ~0u);
    assert_int_equal(p->namespaces->mount, 77);
}

static void test_decode_script_path_is_made_absolute(void **state)
{
    struct record_exec x = an_exec(EXEC_SCRIPT);
    _cleanup_arena_ struct arena arena = {0};
    struct decoded d;
    struct made m;

    (void)state;
    begin(&m, &x, sizeof x);
    add_part(&m, PART_FILENAME, 0, STR("./a.sh\0"));
    add_part(&m, PART_INTERPRETER, 0, STR("/bin/sh\0"));
    add_part(&m, PART_DIRECTORY, 0, STR("www\0var\0"));
    assert_int_equal(decode(m.bytes, m.n, &clock_, &arena, &d), 0);
    ASSERT_BYTES(d.event->process->script, "/var/www/a.sh");
    assert_true(str_eq(d.interpreter, STR("/bin/sh")));
}

static void test_decode_memory_file_has_no_folder(void **state)
{
    struct record_exec x = an_exec(EXEC_MEMORY_ONLY | EXEC_DELETED | EXEC_UNGUARDED);
    _cleanup_arena_ struct arena arena = {0};
    struct decoded d;
    struct made m;

    (void)state;
    begin(&m, &x, sizeof x);
    add_part(&m, PART_PATH, 0, STR("memfd:x\0"));
    assert_int_equal(decode(m.bytes, m.n, &clock_, &arena, &d), 0);
    ASSERT_BYTES(d.event->process->image->path, "memfd:x");
    assert_true(d.event->process->image->memory_only);
    assert_true(d.event->process->image->deleted);
    assert_true(d.event->exec->unguarded);
}

static void test_decode_fork_exit_connect(void **state)
{
    struct record_fork f = {{sizeof f, RECORD_FORK, 0, 9, 1, 1, 2}, 8, 5, FLAG_SERVICE};
    struct record_exit x = {{sizeof x, RECORD_EXIT, 0, 9, 1, 1, 2}, 3 << 8, 0};
    struct record_connect c = {.r = {sizeof c, RECORD_CONNECT, 0, 9, 1, 1, 2},
                               .flags = CONNECT_DENIED,
                               .protocol = 6,
                               .destination_port = 443,
                               .rule = 12,
                               .destination = {127, 66, 0, 1},
                               .name = "nc"};
    _cleanup_arena_ struct arena arena = {0};
    struct decoded d;

    (void)state;
    assert_int_equal(decode(&f, sizeof f, &clock_, &arena, &d), 0);
    assert_int_equal(d.event->fork->child->pid, 5);
    assert_int_equal(d.event->fork->child->start, 8);
    assert_int_equal(d.lineage_flags, FLAG_SERVICE);
    assert_int_equal(decode(&x, sizeof x, &clock_, &arena, &d), 0);
    assert_int_equal(d.event->exit->code, 3);
    assert_int_equal(d.event->exit->signal, 0);
    assert_int_equal(d.event->exit->lived, 7);
    x.status = 0x80 | 9;
    assert_int_equal(decode(&x, sizeof x, &clock_, &arena, &d), 0);
    assert_int_equal(d.event->exit->signal, 9);
    assert_int_equal(decode(&c, sizeof c, &clock_, &arena, &d), 0);
    ASSERT_BYTES(d.event->connect->destination->ip, "\x7f\x42\x00\x01");
    assert_int_equal(d.event->connect->destination->port, 443);
    assert_null(d.event->connect->source);
    assert_true(d.event->connect->denied);
    assert_int_equal(d.rule, 12);
}

static void test_decode_refuses_wrong_lengths(void **state)
{
    struct record_exec x = an_exec(0);
    _cleanup_arena_ struct arena arena = {0};
    struct decoded d;
    struct made m, bad;

    (void)state;
    begin(&m, &x, sizeof x);
    add_part(&m, PART_ARGV, 0, STR("sh\0"));
    for (size_t n = 0; n < m.n; n++) {
        bad = m;
        ((struct record *)bad.bytes)->bytes = (__u32)n; // the header agrees, the content does not
        assert_int_equal(decode(bad.bytes, n, &clock_, &arena, &d), -EBADMSG);
    }
    assert_int_equal(decode(m.bytes, m.n - 8, &clock_, &arena, &d), -EBADMSG);
    bad = m;
    ((struct record_part *)(bad.bytes + sizeof x))->bytes = ~0u;
    assert_int_equal(decode(bad.bytes, bad.n, &clock_, &arena, &d), -EBADMSG);
    bad = m;
    ((struct record_part *)(bad.bytes + sizeof x))->number = PART_LAST + 1;
    assert_int_equal(decode(bad.bytes, bad.n, &clock_, &arena, &d), -EBADMSG);
    bad = m;
    ((struct record *)bad.bytes)->kind = 99;
    assert_int_equal(decode(bad.bytes, bad.n, &clock_, &arena, &d), -EBADMSG);
    add_part(&m, PART_ARGV, 0, STR("sh\0"));
    assert_int_equal(decode(m.bytes, m.n, &clock_, &arena, &d), -EBADMSG);
}

static void test_decode_stops_at_the_arena_limit(void **state)
{
    struct record_exec x = an_exec(0);
    _cleanup_free_ struct made *m = malloc(sizeof *m);
    char text[4096];
    struct decoded d;

    (void)state;
    memset(text, 'a', sizeof text);
    begin(m, &x, sizeof x);
    add_part(m, PART_ARGV, 0, (struct str){text, sizeof text});
    for (size_t limit = 64; limit < 4000; limit += 64) {
        _cleanup_arena_ struct arena arena = {.limit = limit};
        assert_int_equal(decode(m->bytes, m->n, &clock_, &arena, &d), -ENOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode_exec),
        cmocka_unit_test(test_decode_script_path_is_made_absolute),
        cmocka_unit_test(test_decode_memory_file_has_no_folder),
        cmocka_unit_test(test_decode_fork_exit_connect),
        cmocka_unit_test(test_decode_refuses_wrong_lengths),
        cmocka_unit_test(test_decode_stops_at_the_arena_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
