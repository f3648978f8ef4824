// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "base/test.h"
#include "link/control.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[64];

// Answers one caller as the parent does, then leaves.
static pid_t serve(int listener, int code)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    alarm(10);
    struct pollfd p = {.fd = listener, .events = POLLIN};
    poll(&p, 1, -1);
    int fd = control_accept(listener);
    if (fd < 0)
        _exit(fd == -EACCES ? 0 : 1);
    p.fd = fd;
    poll(&p, 1, -1);
    struct control_request request;
    int r = control_receive(fd, &request);
    if (r != 1)
        _exit(r == -EPROTO ? 0 : 2);
    static struct control_reply reply = {.version = CONTROL_VERSION};
    reply.code = code;
    snprintf(reply.what, sizeof(reply.what), "%s", code ? "the gate could not be armed" : "");
    reply.has_status = code == 0 && request.verb == CONTROL_STATUS;
    reply.status.armed = 1;
    _exit(control_answer(fd, &reply) == 0 ? 0 : 3);
}

static int finish(pid_t pid)
{
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_status_and_refusal_reach_the_caller(void **state)
{
    (void)state;
    struct error e = {0};
    static struct control_reply reply;
    if (geteuid() != 0)
        skip();
    int listener = control_listen(path, &e);
    assert_true(listener >= 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    struct control_request request = {.verb = CONTROL_STATUS};
    pid_t pid = serve(listener, 0);
    assert_int_equal(control_call(path, &request, &reply, &e), 0);
    assert_true(reply.has_status && reply.status.armed);
    assert_int_equal(finish(pid), 0);
    pid = serve(listener, -EIO);
    assert_int_equal(control_call(path, &request, &reply, &e), -EIO);
    assert_string_equal(e.what, "the gate could not be armed");
    assert_int_equal(finish(pid), 0);
    close(listener);
    assert_int_equal(control_call(path, &request, &reply, &e), -ENOENT);
    assert_non_null(strstr(e.what, "no agent is running"));
}

static void test_callers_who_are_not_root_are_told(void **state)
{
    (void)state;
    struct error e = {0};
    if (geteuid() != 0)
        skip();
    int listener = control_listen(path, &e);
    assert_true(listener >= 0);
    chmod(path, 0666); // so that only the peer's uid stands in the way
    pid_t pid = serve(listener, 0);
    pid_t caller = fork();
    if (caller == 0) {
        static struct control_reply reply;
        struct control_request request = {.verb = CONTROL_STOP};
        if (setuid(65534) < 0)
            _exit(9);
        _exit(control_call(path, &request, &reply, &e) == -EACCES && strstr(e.what, "only root")
                  ? 0
                  : 1);
    }
    assert_int_equal(finish(caller), 0);
    assert_int_equal(finish(pid), 0);
    close(listener);
}

static void test_another_build_is_told(void **state)
{
    (void)state;
    struct error e = {0};
    if (geteuid() != 0)
        skip();
    int listener = control_listen(path, &e);
    assert_true(listener >= 0);
    pid_t pid = serve(listener, 0);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(fd, "hello", 5, 0), 5);
    static struct control_reply reply;
    assert_true(recv(fd, &reply, sizeof(reply), 0) > 0);
    assert_int_equal(reply.code, -EPROTO);
    close(fd);
    assert_int_equal(finish(pid), 0);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_and_refusal_reach_the_caller),
        cmocka_unit_test(test_callers_who_are_not_root_are_told),
        cmocka_unit_test(test_another_build_is_told),
    };
    snprintf(path, sizeof(path), "/tmp/tiercel-control-%d.sock", getpid());
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return r;
}
