// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "os/notify.h"
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int listener(const char *name, size_t n)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path, name, n);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(
        bind(fd, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)),
        0);
    return fd;
}

static void assert_told(int fd, const char *expected)
{
    char text[128] = "";
    assert_int_equal(recv(fd, text, sizeof text - 1, 0), strlen(expected));
    assert_string_equal(text, expected);
}

static void test_tells_a_socket_in_a_folder(void **state)
{
    char path[64];
    (void)state;
    snprintf(path, sizeof path, "/tmp/test-notify-%d", getpid());
    int fd = listener(path, strlen(path));
    setenv("NOTIFY_SOCKET", path, 1);
    assert_int_equal(os_notify("READY=1\nSTATUS=well"), 0);
    assert_told(fd, "READY=1\nSTATUS=well");
    close(fd);
    assert_int_equal(os_notify("READY=1"), -ECONNREFUSED);
    unlink(path);
    assert_int_equal(os_notify("READY=1"), -ENOENT);
}

static void test_tells_a_socket_without_a_file(void **state)
{
    char name[64];
    (void)state;
    snprintf(name, sizeof name, "@test-notify-%d", getpid());
    setenv("NOTIFY_SOCKET", name, 1);
    size_t n = strlen(name);
    name[0] = 0;
    int fd = listener(name, n);
    assert_int_equal(os_notify("WATCHDOG=1"), 0);
    assert_told(fd, "WATCHDOG=1");
    close(fd);
}

static void test_says_when_nobody_listens_or_the_name_is_none(void **state)
{
    char name[256];
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(os_notify("READY=1"), 1);
    setenv("NOTIFY_SOCKET", "vsock:2:1234", 1);
    assert_int_equal(os_notify("READY=1"), -EINVAL);
    memset(name, '/', sizeof name);
    name[sizeof name - 1] = 0;
    setenv("NOTIFY_SOCKET", name, 1);
    assert_int_equal(os_notify("READY=1"), -EINVAL);
}

static void test_a_full_socket_is_not_waited_for(void **state)
{
    char name[64];
    int r = 0;
    (void)state;
    snprintf(name, sizeof name, "@test-notify-full-%d", getpid());
    setenv("NOTIFY_SOCKET", name, 1);
    size_t n = strlen(name);
    name[0] = 0;
    int fd = listener(name, n);
    for (int i = 0; r == 0 && i < 100000; i++)
        r = os_notify("WATCHDOG=1");
    assert_int_equal(r, -EAGAIN);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tells_a_socket_in_a_folder),
        cmocka_unit_test(test_tells_a_socket_without_a_file),
        cmocka_unit_test(test_says_when_nobody_listens_or_the_name_is_none),
        cmocka_unit_test(test_a_full_socket_is_not_waited_for),
    };
    return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
