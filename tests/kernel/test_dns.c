// SPDX-License-Identifier: Apache-2.0
// Questions to name servers and their answers, of a responder on 127.66.0.53 that this test is.
#define FIXTURE_TRIALS true
#include "fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static const uint8_t question[] = {0x12, 0x34, 1,   0, 0,   1,   0,   0,   0, 0, 0, 0, 4, 'e',
                                   'v',  'i',  'l', 4, 't', 'e', 's', 't', 0, 0, 1, 0, 1};
static const uint8_t answer[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 77, 0, 4, 127, 66, 0, 9};

static int server(struct sockaddr_in *ret)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    *ret = (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(53),
                                .sin_addr.s_addr = htonl(0x7f420035)}; // 127.66.0.53
    assert_int_equal(bind(fd, (struct sockaddr *)ret, sizeof *ret), 0);
    return fd;
}

static struct decoded *dns_of(struct fixture *f, pid_t pid, unsigned which)
{
    drain(f);
    struct decoded *d = find(f, RECORD_DNS, pid, which);
    if (!d)
        fail_msg("no DNS record %u of process %d", which, pid);
    return d;
}

// A child asks, this process answers: the answer is told of who asked.
static void ask(struct fixture *f, const uint8_t *message, size_t bytes, bool connected,
                pid_t *ret_asker)
{
    struct sockaddr_in at, from;
    socklen_t length = sizeof from;
    uint8_t got[2048], reply[sizeof question + sizeof answer];
    int fd = server(&at);

    drain(f);
    pid_t child = fork();
    if (child == 0) {
        int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (connected && (connect(s, (struct sockaddr *)&at, sizeof at) ||
                          send(s, message, bytes, 0) != (ssize_t)bytes))
            _exit(1);
        if (!connected &&
            sendto(s, message, bytes, 0, (struct sockaddr *)&at, sizeof at) != (ssize_t)bytes)
            _exit(1);
        _exit(recv(s, got, sizeof got, 0) == sizeof reply ? 0 : 2);
    }
    assert_int_equal(recvfrom(fd, got, sizeof got, 0, (struct sockaddr *)&from, &length), bytes);
    memcpy(reply, question, sizeof question);
    memcpy(reply + sizeof question, answer, sizeof answer);
    reply[2] |= 0x80;
    reply[7] = 1;
    assert_int_equal(sendto(fd, reply, sizeof reply, 0, (struct sockaddr *)&from, sizeof from),
                     sizeof reply);
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    close(fd);
    *ret_asker = child;
}

static void test_question_and_answer(void **state)
{
    struct fixture *f = *state;
    must_work(f, "DNS");
    for (int connected = 0; connected < 2; connected++) {
        pid_t asker;
        ask(f, question, sizeof question, connected, &asker);
        const Tiercel__Dns *q = dns_of(f, asker, 0)->event->dns;
        assert_int_equal(q->question.len, 9);
        assert_memory_equal(q->question.data, "evil.test", 9);
        assert_int_equal(q->type, 1);
        assert_int_equal(q->number, 0x1234);
        assert_false(q->answered || q->truncated);
        assert_memory_equal(q->server->ip.data, "\x7f\x42\x00\x35", 4);
        assert_int_equal(q->server->port, 53);
        const Tiercel__Dns *a = find(f, RECORD_DNS, asker, 1)->event->dns;
        assert_true(a->answered);
        assert_false(a->truncated);
        assert_int_equal(a->code, 0);
        assert_int_equal(a->ttl, 77);
        assert_int_equal(a->n_answers, 1);
        assert_int_equal(a->answers[0].len, 10);
        assert_memory_equal(a->answers[0].data, "127.66.0.9", 10);
        assert_null(
            find(f, RECORD_DNS, asker, 2)); // what the server receives and sends is the same again
        assert_null(find(f, RECORD_DNS, getpid(), 0));
    }
}

static void test_long_message_is_cut_and_said(void **state)
{
    struct fixture *f = *state;
    uint8_t large[1400] = {0};
    pid_t asker;
    memcpy(large, question, sizeof question);
    ask(f, large, sizeof large, true, &asker);
    const Tiercel__Dns *q = dns_of(f, asker, 0)->event->dns;
    assert_true(q->truncated);
    assert_memory_equal(q->question.data, "evil.test", 9);
}

static void test_what_is_no_name_service_is_said(void **state)
{
    struct fixture *f = *state;
    pid_t asker;
    ask(f, (const uint8_t *)"this goes over port 53 and is no question", 41, true, &asker);
    const Tiercel__Dns *q = dns_of(f, asker, 0)->event->dns;
    assert_true(q->truncated);
    assert_false(q->has_question);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_question_and_answer),
        cmocka_unit_test(test_long_message_is_cut_and_said),
        cmocka_unit_test(test_what_is_no_name_service_is_said),
    };

    if (cannot_run())
        return 77;
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
