// SPDX-License-Identifier: Apache-2.0
#include "link/control.h"
#include "base/cleanup.h"
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#define SHORT_REPLY offsetof(struct control_reply, status)

static int address_of(const char *path, struct sockaddr_un *ret)
{
    if (strlen(path) >= sizeof(ret->sun_path))
        return -ENAMETOOLONG;
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(ret->sun_path, path, strlen(path) + 1);
    return 0;
}

static int connect_failed(const char *path, int r, struct error *e)
{
    if (r == -ENOENT || r == -ECONNREFUSED) {
        error_set(e, -ENOENT, "no agent is running (nobody answers at %s)", path);
        error_way_out(e, "start it with `systemctl start tierceld` or `make run`");
        return -ENOENT;
    }
    if (r == -EACCES || r == -EPERM) {
        error_set(e, -EACCES, "only root may ask the agent (%s)", path);
        error_way_out(e, "run this as root");
        return -EACCES;
    }
    return error_set(e, r, "cannot reach the agent at %s: %s", path, strerror(-r));
}

static int read_reply(int fd, struct control_reply *ret, struct error *e)
{
    ssize_t n = recv(fd, ret, sizeof(*ret), 0);
    if (n < 0 && errno == ECONNRESET) // told once, before what it sent ahead of closing
        n = recv(fd, ret, sizeof(*ret), 0);
    if (n < 0) {
        int r = errno == EAGAIN ? -ETIMEDOUT : -errno;
        return error_set(e, r, "the agent did not answer: %s", strerror(-r));
    }
    if (n == 0)
        return error_set(e, -EPIPE, "the agent closed the connection without an answer");
    bool whole = (size_t)n == sizeof(*ret) || ((size_t)n == SHORT_REPLY && !ret->has_status);
    if ((size_t)n < SHORT_REPLY || ret->version != CONTROL_VERSION || !whole) {
        error_set(e, -EPROTO, "the running agent is another version than this program");
        error_way_out(e, "restart the agent: `systemctl restart tierceld`");
        return -EPROTO;
    }
    ret->what[sizeof(ret->what) - 1] = 0;
    ret->response.what[sizeof(ret->response.what) - 1] = 0;
    if (ret->code < 0)
        return error_set(e, ret->code, "%s", ret->what);
    return 0;
}

int control_call(const char *socket_path, const struct control_request *request,
                 struct control_reply *ret, struct error *e)
{
    struct sockaddr_un address;
    int r = address_of(socket_path, &address);
    if (r < 0)
        return error_set(e, r, "the path of the control socket is too long: %s", socket_path);
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set(e, -errno, "cannot make a socket: %s", strerror(errno));
    bool long_work = request->verb == CONTROL_RESPOND || request->verb == CONTROL_UNDO;
    struct timeval limit = {.tv_sec = long_work ? 120 : 5};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return connect_failed(socket_path, -errno, e);
    struct control_request copy = *request;
    copy.version = CONTROL_VERSION;
    // A server that refuses us has answered before we asked: read its answer also when sending fails.
    (void)send(fd, &copy, sizeof(copy), MSG_NOSIGNAL);
    memset(ret, 0, SHORT_REPLY);
    return read_reply(fd, ret, e);
}

int control_listen(const char *socket_path, struct error *e)
{
    struct sockaddr_un address;
    int r = address_of(socket_path, &address);
    if (r < 0)
        return error_set(e, r, "the path of the control socket is too long: %s", socket_path);
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_set(e, -errno, "cannot make a socket: %s", strerror(errno));
    if (unlink(socket_path) < 0 && errno != ENOENT)
        return error_set(e, -errno, "cannot replace %s: %s", socket_path, strerror(errno));
    mode_t old = umask(0177);
    r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
    umask(old);
    if (r < 0)
        return error_set(e, r, "cannot make %s: %s", socket_path, strerror(-r));
    if (listen(fd, 8) < 0)
        return error_set(e, -errno, "cannot listen at %s: %s", socket_path, strerror(errno));
    return TAKE_FD(fd);
}

static void refuse(int fd, int code, const char *what)
{
    struct {
        uint32_t version;
        int32_t code;
        char what[256];
        uint32_t has_status, has_response;
        struct response_result response;
    } reply = {.version = CONTROL_VERSION, .code = code};
    _Static_assert(sizeof(reply) == SHORT_REPLY, "the short reply is the head of the long one");
    strncpy(reply.what, what, sizeof(reply.what) - 1);
    (void)send(fd, &reply, sizeof(reply), MSG_NOSIGNAL | MSG_DONTWAIT);
}

int control_accept(int listener)
{
    _cleanup_close_ int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return -errno;
    struct ucred caller;
    socklen_t size = sizeof(caller);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &caller, &size) < 0 || caller.uid != 0) {
        refuse(fd, -EACCES, "only root may ask the agent");
        return -EACCES;
    }
    return TAKE_FD(fd);
}

int control_receive(int fd, struct control_request *ret)
{
    struct control_request request;
    ssize_t n = recv(fd, &request, sizeof(request), MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0)
        return errno == ECONNRESET ? 0 : -errno;
    if (n == 0)
        return 0;
    if (n != sizeof(request) || request.version != CONTROL_VERSION ||
        request.verb >= CONTROL_VERBS) {
        refuse(fd, -EPROTO, "the running agent is another version than this program");
        return -EPROTO;
    }
    *ret = request;
    return 1;
}

int control_answer(int fd, const struct control_reply *reply)
{
    size_t size = reply->has_status ? sizeof(*reply) : SHORT_REPLY;
    return send(fd, reply, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}
