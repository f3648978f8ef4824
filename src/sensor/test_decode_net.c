// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "base/test.h"
#include "sensor/decode.h"

#include <errno.h>

#define ASSERT_BYTES(value, text)                                                                  \
    do {                                                                                           \
        assert_int_equal((value).len, sizeof(text) - 1);                                           \
        assert_memory_equal((value).data, text, (value).len);                                      \
    } while (0)

static const struct decode_clock clock_ = {1000000000u};

struct made_flow {
    struct record_flow f;
    struct record_part part;
    struct record_share shares[FLOW_SHARES];
};

static struct made_flow a_flow(void)
{
    return (struct made_flow){
        .f = {.r = {.bytes = sizeof(struct record_flow),
                    .kind = RECORD_FLOW,
                    .time = 9000,
                    .pid = 10,
                    .tid = 10,
                    .start = 5},
              .flags = SOCKET_INITIATED | SOCKET_OVER,
              .protocol = 6,
              .local_port = 40000,
              .remote_port = 443,
              .cookie = 77,
              .began = 4000,
              .sent = 1u << 31,
              .received = 5000000000u,
              .local = {127, 0, 0, 1},
              .remote = {127, 66, 0, 1},
              .name = "curl"},
        .part = {.number = PART_SHARES, .bytes = FLOW_SHARES * sizeof(struct record_share)}};
}

static void test_flow(void **state)
{
    _cleanup_arena_ struct arena arena = {0};
    struct made_flow m = a_flow();
    struct decoded d;

    (void)state;
    assert_int_equal(decode(&m, sizeof m.f, &clock_, &arena, &d), 0);
    Tiercel__Flow *flow = d.event->flow;
    assert_int_equal(d.event->kind_case, TIERCEL__EVENT__KIND_FLOW);
    assert_int_equal(flow->sent, 1u << 31);
    assert_int_equal(flow->received, 5000000000u);
    assert_int_equal(flow->lasted, 5000);
    assert_int_equal(flow->cookie, 77);
    assert_true(flow->has_initiated && flow->initiated);
    assert_false(flow->has_began_before || flow->has_packets_sent);
    ASSERT_BYTES(flow->remote->ip, "\x7f\x42\x00\x01");
    ASSERT_BYTES(d.event->process->name, "curl");
    assert_int_equal(flow->n_shares, 0);
}

static void test_flow_of_nobody(void **state)
{
    _cleanup_arena_ struct arena arena = {0};
    struct made_flow m = a_flow();
    struct decoded d;

    (void)state;
    m.f.r.pid = m.f.r.tid = 0;
    m.f.flags = SOCKET_BEFORE | SOCKET_OVER;
    m.f.began = 0;
    assert_int_equal(decode(&m, sizeof m.f, &clock_, &arena, &d), 0);
    assert_null(d.event->process);
    assert_true(d.event->flow->began_before);
    assert_false(d.event->flow->has_initiated || d.event->flow->has_lasted);
}

static void test_shares_of_one_process_are_one(void **state)
{
    _cleanup_arena_ struct arena arena = {0};
    struct made_flow m = a_flow();
    struct decoded d;

    (void)state;
    m.f.r.parts = 1;
    m.f.r.bytes = sizeof m;
    m.shares[0] = (struct record_share){.pid = 10, .start = 5, .sent = 1};
    m.shares[1] = (struct record_share){.pid = 11, .start = 6, .sent = 2, .received = 4};
    m.shares[2] = (struct record_share){.pid = 11, .start = 6, .sent = 3};
    assert_int_equal(decode(&m, sizeof m, &clock_, &arena, &d), 0);
    Tiercel__Flow *flow = d.event->flow;
    assert_int_equal(flow->n_shares, 2);
    assert_int_equal(flow->shares[1]->process->pid, 11);
    assert_int_equal(flow->shares[1]->sent, 5);
    assert_int_equal(flow->shares[1]->received, 4);
}

static void test_shares_that_are_none(void **state)
{
    struct made_flow m = a_flow();
    struct decoded d;

    (void)state;
    m.f.r.parts = 1;
    m.f.r.bytes = sizeof m;
    m.part.number = PART_ARGV;
    _cleanup_arena_ struct arena arena = {0};
    assert_int_equal(decode(&m, sizeof m, &clock_, &arena, &d), 0);
    assert_int_equal(d.event->flow->n_shares, 0);
    m.part.bytes++;
    assert_int_equal(decode(&m, sizeof m, &clock_, &arena, &d), -EBADMSG);
    struct {
        struct made_flow m;
        struct record_share more;
    } long_one = {.m = a_flow()};
    long_one.m.f.r.parts = 1;
    long_one.m.f.r.bytes = sizeof long_one;
    long_one.m.part.bytes = (FLOW_SHARES + 1) * sizeof(struct record_share);
    long_one.m.shares[0].pid = 1;
    assert_int_equal(decode(&long_one, sizeof long_one, &clock_, &arena, &d), 0);
    assert_int_equal(d.event->flow->n_shares, 0);
}

static void test_sockets(void **state)
{
    _cleanup_arena_ struct arena arena = {0};
    struct record_socket s = {.r = {.bytes = sizeof s, .kind = RECORD_LISTENER, .pid = 3, .tid = 3},
                              .flags = SOCKET_INET6,
                              .action = RECORD_ACCEPT,
                              .protocol = 6,
                              .local_port = 22,
                              .remote_port = 50000,
                              .cookie = 9,
                              .local = {[15] = 1},
                              .remote = {[15] = 2},
                              .name = "sshd"};
    struct decoded d;

    (void)state;
    assert_int_equal(decode(&s, sizeof s, &clock_, &arena, &d), 0);
    assert_int_equal(d.event->socket->action, TIERCEL__SOCKET__ACTION__ACCEPT);
    assert_int_equal(d.event->socket->local->ip.len, 16);
    assert_int_equal(d.event->socket->remote->ip.data[15], 2);
    assert_int_equal(d.event->socket->remote->port, 50000);
    s.action = RECORD_LISTEN;
    assert_int_equal(decode(&s, sizeof s, &clock_, &arena, &d), 0);
    assert_null(d.event->socket->remote);
    s.action = 99;
    assert_int_equal(decode(&s, sizeof s, &clock_, &arena, &d), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flow),
        cmocka_unit_test(test_flow_of_nobody),
        cmocka_unit_test(test_shares_of_one_process_are_one),
        cmocka_unit_test(test_shares_that_are_none),
        cmocka_unit_test(test_sockets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
