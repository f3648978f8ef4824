// SPDX-License-Identifier: Apache-2.0
// Security records into events; with a folder as argument, writes them there for the fuzz corpus.
#include "base/cleanup.h"
#include "base/test.h"
#include "sensor/decode.h"

#include <errno.h>

static const struct decode_clock clock_ = {1000000000u};

struct made {
    _Alignas(8) char bytes[1024];
    size_t n;
};

// The common part of a record, of process 9 that began at 2.
static struct record_security common(unsigned kind, size_t bytes, unsigned flags)
{
    struct record_security s = {.r = {(__u32)bytes, (__u16)kind, 0, 9, 1, 1, 2},
                                .flags = flags,
                                .lineage_flags = FLAG_SERVICE,
                                .name = "actor"};
    return s;
}

static void add_part(struct made *m, unsigned number, unsigned flags, struct str s)
{
    struct record *r = (struct record *)m->bytes;
    struct record_part part = {(__u16)number, (__u16)flags, (__u32)s.n};

    memcpy(m->bytes + m->n, &part, sizeof part);
    memset(m->bytes + m->n + sizeof part, 0, (s.n + 7) & ~(size_t)7);
    memcpy(m->bytes + m->n + sizeof part, s.p, s.n);
    m->n += sizeof part + ((s.n + 7) & ~(size_t)7);
    r->parts++;
    r->bytes = (__u32)m->n;
}

static void make(struct made *m, const void *fixed, size_t n)
{
    memset(m, 0, sizeof *m);
    memcpy(m->bytes, fixed, n);
    m->n = n;
}

static void make_credentials(struct made *m)
{
    struct record_credentials c = {common(RECORD_CREDENTIALS, sizeof c, SECURITY_UNEXPLAINED),
                                   .capabilities = {0, 0x1ff},
                                   .gained = 0x1ff,
                                   .uid = {1000, 0},
                                   .gid = {1001, 1},
                                   .euid = {1002, 2},
                                   .egid = {1003, 3}};
    c.s.repeated = 7;
    make(m, &c, sizeof c);
}

static void make_access(struct made *m)
{
    struct record_access a = {
        common(RECORD_ACCESS, sizeof a, SECURITY_DENIED | SECURITY_OTHER_USER), .way = ACCESS_WRITE,
        .target = {.start = 77, .pid = 5, .uid = 33, .name = "nginx"}};
    make(m, &a, sizeof a);
}

static void make_module(struct made *m)
{
    struct record_module r = {common(RECORD_MODULE, sizeof r, SECURITY_FROM_FILE), .taints = 4096,
                              .file = {.inode = 12, .device = 8u << 20 | 1, .mode = 0100644},
                              .module = "dummy"};
    make(m, &r, sizeof r);
    add_part(m, PART_PATH, 0, STR("dummy.ko\0lib\0"));
}

static void make_bpf(struct made *m)
{
    struct record_bpf p = {common(RECORD_BPF, sizeof p, 0), .type = 29, .program = "deny_all",
                           .function = "bpf_lsm_file_open"};
    make(m, &p, sizeof p);
}

static void make_mount(struct made *m)
{
    struct record_mount r = {common(RECORD_MOUNT, sizeof r, 0), .action = MOUNT_MOVED,
                             .flags = 8192};
    make(m, &r, sizeof r);
    add_part(m, PART_PATH, 0, STR("b\0mnt\0"));
    add_part(m, PART_OLD_PATH, 0, STR("a\0mnt\0"));
    add_part(m, PART_FILENAME, 0, STR("some\0"));
    add_part(m, PART_TYPE, 0, STR("tmpfs\0"));
}

static void make_namespaces(struct made *m)
{
    struct record_namespaces n = {common(RECORD_NAMESPACES, sizeof n, SECURITY_LATE),
                                  .old = {1, 2, 3, 4, 5, 6, 7}, .new_ = {1, 2, 3, 14, 5, 6, 7}};
    make(m, &n, sizeof n);
}

static void make_signal(struct made *m)
{
    struct record_signal g = {common(RECORD_SIGNAL, sizeof g, SECURITY_OTHER_USER), .number = 9,
                              .target = {.start = 78, .pid = 6, .name = "tierceld"}};
    make(m, &g, sizeof g);
}

static const struct {
    const char *name;
    void (*make)(struct made *m);
} all[] = {{"credentials", make_credentials},
           {"access", make_access},
           {"module", make_module},
           {"bpf", make_bpf},
           {"mount", make_mount},
           {"namespaces", make_namespaces},
           {"signal", make_signal}};

static Tiercel__Event *decoded(void (*fill)(struct made *), struct arena *arena,
                               struct decoded *ret)
{
    struct made m;

    fill(&m);
    assert_int_equal(decode(m.bytes, m.n, &clock_, arena, ret), 0);
    assert_int_equal(ret->event->process->id->pid, 1);
    assert_int_equal(ret->lineage_flags, FLAG_SERVICE);
    return ret->event;
}

static bool is(ProtobufCBinaryData b, const char *text)
{
    return b.len == strlen(text) && !memcmp(b.data, text, b.len);
}

static void test_decode_credentials_and_namespaces(void **state)
{
    _cleanup_arena_ struct arena arena = {0};
    struct decoded d;
    Tiercel__CredentialChange *c = decoded(make_credentials, &arena, &d)->credentials;

    (void)state;
    assert_int_equal(c->old->uid, 1000);
    assert_int_equal(c->old->gid, 1001);
    assert_int_equal(c->new_->euid, 2);
    assert_int_equal(c->new_->egid, 3);
    assert_int_equal(c->new_->capabilities, 0x1ff);
    assert_int_equal(c->gained, 0x1ff);
    assert_true(c->unexplained);
    assert_false(c->late);
    assert_int_equal(c->repeated, 7);
    Tiercel__NamespaceChange *n = decoded(make_namespaces, &arena, &d)->namespaces;
    assert_int_equal(n->old->user, 4);
    assert_int_equal(n->new_->user, 14);
    assert_int_equal(n->new_->cgroup, 7);
    assert_true(n->late);
    assert_false(n->has_repeated);
}

static void test_decode_access_and_signal_name_their_target(void **state)
{
    _cleanup_arena_ struct arena arena = {0};
    struct decoded d;
    Tiercel__ProcessAccess *a = decoded(make_access, &arena, &d)->access;

    (void)state;
    assert_int_equal(a->way, TIERCEL__PROCESS_ACCESS__WAY__WRITE_MEMORY);
    assert_int_equal(a->target->id->pid, 5);
    assert_int_equal(a->target->id->start, 77);
    assert_true(is(a->target->name, "nginx"));
    assert_true(a->denied && a->other_user && d.denied);
    Tiercel__Signal *g = decoded(make_signal, &arena, &d)->signal;
    assert_int_equal(g->number, 9);
    assert_int_equal(g->target->id->pid, 6);
    assert_true(g->other_user && !g->denied && !d.denied);
}

static void test_decode_module_program_and_mount(void **state)
{
    _cleanup_arena_ struct arena arena = {0};
    struct decoded d;
    Tiercel__ModuleLoad *m = decoded(make_module, &arena, &d)->module;

    (void)state;
    assert_true(is(m->name, "dummy") && is(m->file->path, "/lib/dummy.ko"));
    assert_int_equal(m->file->inode, 12);
    assert_int_equal(m->taints, 4096);
    Tiercel__BpfLoad *p = decoded(make_bpf, &arena, &d)->bpf;
    assert_int_equal(p->type, 29);
    assert_true(is(p->name, "deny_all") && is(p->function, "bpf_lsm_file_open"));
    Tiercel__Mount *t = decoded(make_mount, &arena, &d)->mount;
    assert_int_equal(t->action, TIERCEL__MOUNT__ACTION__MOVE);
    assert_true(is(t->target, "/mnt/b") && is(t->source, "/mnt/a") && is(t->type, "tmpfs"));
    assert_false(t->path_cut);
}

static void test_decode_security_refuses_wrong_lengths_and_small_arenas(void **state)
{
    struct decoded d;
    struct made m;

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        all[i].make(&m);
        size_t whole = m.n;
        for (size_t n = 0; n < whole; n++) {
            _cleanup_arena_ struct arena arena = {0};
            ((struct record *)m.bytes)->bytes = (__u32)n;
            assert_int_equal(decode(m.bytes, n, &clock_, &arena, &d), -EBADMSG);
        }
        ((struct record *)m.bytes)->bytes = (__u32)whole;
        for (size_t limit = 16; limit < 512; limit += 16) {
            _cleanup_arena_ struct arena arena = {.limit = limit};
            assert_int_equal(decode(m.bytes, whole, &clock_, &arena, &d), -ENOMEM);
        }
    }
}

static int write_corpus(const char *folder)
{
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char path[4096];
        struct made m;
        all[i].make(&m);
        snprintf(path, sizeof path, "%s/%s", folder, all[i].name);
        _cleanup_fclose_ FILE *file = fopen(path, "we");
        if (!file || fwrite(m.bytes, 1, m.n, file) != m.n)
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode_credentials_and_namespaces),
        cmocka_unit_test(test_decode_access_and_signal_name_their_target),
        cmocka_unit_test(test_decode_module_program_and_mount),
        cmocka_unit_test(test_decode_security_refuses_wrong_lengths_and_small_arenas),
    };
    if (argc > 1)
        return write_corpus(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
