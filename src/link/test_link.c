// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "base/test.h"
#include "link/link.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

struct body {
    uint64_t number;
    char text[24];
};

static void test_message_arrives_whole_with_its_descriptors(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(link_pair(pair), 0);
    int file = memfd_create("x", MFD_CLOEXEC);
    assert_int_equal(write(file, "hello", 5), 5);
    struct body body = {42, "answer"};
    assert_int_equal(link_send(pair[0], 7, &body, sizeof(body), &file, 1, 1), 0);
    close(file);
    struct link_message m;
    assert_int_equal(link_receive(pair[1], &m, 1), 1);
    assert_int_equal(m.type, 7);
    const struct body *got = link_body(&m, struct body);
    assert_non_null(got);
    assert_int_equal(got->number, 42);
    assert_null(link_body(&m, uint32_t));
    assert_int_equal(m.n_fds, 1);
    char text[6] = {0};
    assert_int_equal(pread(m.fds[0], text, 5, 0), 5);
    assert_string_equal(text, "hello");
    assert_true(fcntl(m.fds[0], F_GETFD) & FD_CLOEXEC);
    int kept = m.fds[0];
    link_message_done(&m);
    assert_int_equal(fcntl(kept, F_GETFD), -1);
    close(pair[0]);
    close(pair[1]);
}

static void test_nothing_yet_is_not_the_end(void **state)
{
    (void)state;
    int pair[2];
    struct link_message m;
    assert_int_equal(link_pair(pair), 0);
    assert_int_equal(link_receive(pair[1], &m, 0), -EAGAIN);
    close(pair[0]);
    assert_int_equal(link_receive(pair[1], &m, 0), 0);
    assert_int_equal(link_send(pair[1], 1, NULL, 0, NULL, 0, 0), -EPIPE);
    close(pair[1]);
}

static void test_full_queue_is_told(void **state)
{
    (void)state;
    int pair[2], r = 0;
    char body[LINK_BODY_MAX] = {0};
    assert_int_equal(link_pair(pair), 0);
    for (int i = 0; i < 10000 && r == 0; i++)
        r = link_send(pair[0], 1, body, sizeof(body), NULL, 0, 0);
    assert_int_equal(r, -EAGAIN);
    close(pair[0]);
    close(pair[1]);
}

static void test_foreign_packets_are_refused(void **state)
{
    (void)state;
    int pair[2];
    struct link_message m;
    assert_int_equal(link_pair(pair), 0);
    assert_int_equal(send(pair[0], "abc", 3, 0), 3);
    assert_int_equal(link_receive(pair[1], &m, 1), -EBADMSG);
    uint32_t lies[3] = {1, 400, 0};
    assert_int_equal(send(pair[0], lies, sizeof(lies), 0), sizeof(lies));
    assert_int_equal(link_receive(pair[1], &m, 1), -EBADMSG);
    char large[LINK_BODY_MAX + 64] = {0};
    assert_int_equal(send(pair[0], large, sizeof(large), 0), sizeof(large));
    assert_int_equal(link_receive(pair[1], &m, 1), -EBADMSG);
    assert_int_equal(link_send(pair[0], 1, large, sizeof(large), NULL, 0, 1), -EMSGSIZE);
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message_arrives_whole_with_its_descriptors),
        cmocka_unit_test(test_nothing_yet_is_not_the_end),
        cmocka_unit_test(test_full_queue_is_told),
        cmocka_unit_test(test_foreign_packets_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
