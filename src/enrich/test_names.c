// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "enrich/names.h"

#include <stdio.h>
#include <stdlib.h>

#define SECOND 1000000000ull

struct fixture {
    struct names *names;
    struct arena arena;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    return f ? names_new(&f->names) : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    names_free(f->names);
    arena_done(&f->arena);
    free(f);
    return 0;
}

static Tiercel__Event *event_of(struct fixture *f, unsigned pid, const char *container,
                                uint64_t time)
{
    Tiercel__Event *e = arena_new(&f->arena, Tiercel__Event);
    tiercel__event__init(e);
    e->time = time;
    if (pid) {
        e->process = arena_new(&f->arena, Tiercel__Process);
        tiercel__process__init(e->process);
        e->process->id = arena_new(&f->arena, Tiercel__ProcessId);
        tiercel__process_id__init(e->process->id);
        e->process->id->pid = pid;
        e->process->container = (char *)container;
    }
    return e;
}

static void answer(struct fixture *f, unsigned pid, const char *container, const char *name,
                   const char *address, uint32_t ttl, uint64_t time)
{
    Tiercel__Event *e = event_of(f, pid, container, time);
    Tiercel__Dns *dns = arena_new(&f->arena, Tiercel__Dns);
    tiercel__dns__init(dns);
    e->kind_case = TIERCEL__EVENT__KIND_DNS;
    e->dns = dns;
    dns->answered = true;
    dns->question = (ProtobufCBinaryData){strlen(name), (uint8_t *)name};
    dns->ttl = ttl;
    dns->answers = arena_array(&f->arena, ProtobufCBinaryData, 2);
    dns->answers[0] = (ProtobufCBinaryData){9, (uint8_t *)"cdn.other"};
    dns->answers[1] = (ProtobufCBinaryData){strlen(address), (uint8_t *)address};
    dns->n_answers = 2;
    names_take(f->names, e, &f->arena);
}

static struct str connected(struct fixture *f, unsigned pid, const char *container, const char *ip,
                            uint64_t time)
{
    Tiercel__Event *e = event_of(f, pid, container, time);
    e->kind_case = TIERCEL__EVENT__KIND_CONNECT;
    e->connect = arena_new(&f->arena, Tiercel__Connect);
    tiercel__connect__init(e->connect);
    e->connect->destination = arena_new(&f->arena, Tiercel__Address);
    tiercel__address__init(e->connect->destination);
    e->connect->destination->ip = (ProtobufCBinaryData){4, (uint8_t *)ip};
    names_take(f->names, e, &f->arena);
    assert_int_equal(e->connect->has_host_name, e->connect->host_name.len > 0);
    return (struct str){(char *)e->connect->host_name.data, e->connect->host_name.len};
}

#define ASSERT_NAME(s, text) assert_true(str_eq(s, STR(text)))

static void test_own_answer_comes_first(void **state)
{
    struct fixture *f = *state;
    answer(f, 7, NULL, "one.test", "127.66.0.1", 60, SECOND);
    answer(f, 8, NULL, "two.test", "127.66.0.1", 60, 2 * SECOND);
    ASSERT_NAME(connected(f, 7, NULL, "\x7f\x42\0\1", 3 * SECOND), "one.test");
    ASSERT_NAME(connected(f, 8, NULL, "\x7f\x42\0\1", 3 * SECOND), "two.test");
    ASSERT_NAME(connected(f, 9, NULL, "\x7f\x42\0\1", 3 * SECOND), "two.test"); // the host's last
    assert_int_equal(connected(f, 7, NULL, "\x7f\x42\0\2", 3 * SECOND).n, 0);
}

static void test_containers_are_apart(void **state)
{
    struct fixture *f = *state;
    answer(f, 7, "aaaa", "in.test", "127.66.0.1", 60, SECOND);
    ASSERT_NAME(connected(f, 8, "aaaa", "\x7f\x42\0\1", SECOND), "in.test");
    assert_int_equal(connected(f, 9, "bbbb", "\x7f\x42\0\1", SECOND).n, 0);
    assert_int_equal(connected(f, 9, NULL, "\x7f\x42\0\1", SECOND).n, 0);
    answer(f, 0, NULL, "nobody.test", "127.66.0.3", 60, SECOND); // who asked is not known
    ASSERT_NAME(connected(f, 9, NULL, "\x7f\x42\0\3", SECOND), "nobody.test");
}

static void test_names_have_their_time(void **state)
{
    struct fixture *f = *state;
    answer(f, 7, NULL, "short.test", "127.66.0.1", 1, 100 * SECOND);
    assert_int_equal(connected(f, 7, NULL, "\x7f\x42\0\1", 99 * SECOND).n, 0);
    ASSERT_NAME(connected(f, 7, NULL, "\x7f\x42\0\1", 189 * SECOND), "short.test");
    assert_int_equal(connected(f, 7, NULL, "\x7f\x42\0\1", 191 * SECOND).n, 0);
    answer(f, 7, NULL, "late.test", "127.66.0.1", ~0u, 200 * SECOND);
    assert_int_equal(connected(f, 7, NULL, "\x7f\x42\0\1", 90000 * SECOND).n, 0);
}

static Tiercel__Flow *flow(struct fixture *f, bool initiated, uint64_t lasted, uint64_t time)
{
    Tiercel__Event *e = event_of(f, 7, NULL, time);
    e->kind_case = TIERCEL__EVENT__KIND_FLOW;
    e->flow = arena_new(&f->arena, Tiercel__Flow);
    tiercel__flow__init(e->flow);
    e->flow->has_initiated = true;
    e->flow->initiated = initiated;
    e->flow->lasted = lasted;
    e->flow->remote = arena_new(&f->arena, Tiercel__Address);
    tiercel__address__init(e->flow->remote);
    e->flow->remote->ip = (ProtobufCBinaryData){4, (uint8_t *)"\x7f\x42\0\1"};
    names_take(f->names, e, &f->arena);
    return e->flow;
}

static void test_a_flow_has_the_name_of_its_beginning(void **state)
{
    struct fixture *f = *state;
    answer(f, 7, NULL, "long.test", "127.66.0.1", 60, SECOND);
    assert_int_equal(flow(f, true, 9000 * SECOND, 9002 * SECOND)->host_name.len, 9);
    assert_int_equal(flow(f, true, SECOND, 9002 * SECOND)->host_name.len, 0);
    assert_int_equal(flow(f, false, SECOND, 3 * SECOND)->host_name.len, 0); // it came to us
}

static void count(void *context, struct str ip, uint64_t until)
{
    assert_true(ip.n == 4 && until > 0);
    ++*(unsigned *)context;
}

static void test_addresses_of_a_domain(void **state)
{
    struct fixture *f = *state;
    unsigned n = 0;
    answer(f, 7, NULL, "a.evil.test", "127.66.0.1", 60, SECOND);
    answer(f, 8, NULL, "EVIL.test", "127.66.0.2", 60, SECOND);
    answer(f, 8, NULL, "notevil.test", "127.66.0.3", 60, SECOND);
    names_of_domain(f->names, STR("evil.test"), 2 * SECOND, count, &n);
    assert_int_equal(n, 2);
    names_of_domain(f->names, STR("evil.test"), 90 * SECOND, count, &n);
    assert_int_equal(n, 2); // none that is current
}

static void test_the_table_is_bounded(void **state)
{
    struct fixture *f = *state;
    char ip[16];
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(ip, sizeof ip, "127.66.%u.%u", i >> 8, i & 255);
        answer(f, 0, NULL, "many.test", ip, 60, SECOND);
    }
    assert_int_equal(names_stats(f->names).known, 4096);
    assert_int_equal(names_stats(f->names).replaced, 5000 - 4096);
    assert_int_equal(connected(f, 1, NULL, "\x7f\x42\0\1", SECOND).n, 0);
    ASSERT_NAME(connected(f, 1, NULL, "\x7f\x42\x13\1", SECOND), "many.test");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_own_answer_comes_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_containers_are_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_have_their_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_flow_has_the_name_of_its_beginning, setup, teardown),
        cmocka_unit_test_setup_teardown(test_addresses_of_a_domain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_table_is_bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
