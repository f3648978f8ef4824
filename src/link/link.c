// SPDX-License-Identifier: Apache-2.0
#include "link/link.h"
#include "base/cleanup.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct header {
    uint32_t type, size;
};
#define CONTROL_SPACE CMSG_SPACE(sizeof(int) * LINK_FDS_MAX)

int link_pair(int ret[2])
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    ret[0] = pair[0];
    ret[1] = pair[1];
    return 0;
}

int link_send(int fd, uint32_t type, const void *body, uint32_t size, const int *fds,
              unsigned n_fds, int wait)
{
    if (size > LINK_BODY_MAX || n_fds > LINK_FDS_MAX)
        return -EMSGSIZE;
    struct header header = {type, size};
    struct iovec parts[2] = {{&header, sizeof(header)}, {(void *)(uintptr_t)body, size}};
    _Alignas(struct cmsghdr) char control[CONTROL_SPACE] = {0};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = size ? 2 : 1};
    if (n_fds) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
    }
    ssize_t n;
    do
        n = sendmsg(fd, &message, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

// Descriptors beyond LINK_FDS_MAX cannot arrive: the kernel drops what has no room (MSG_CTRUNC).
static void take_fds(struct msghdr *message, struct link_message *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (m->n_fds < LINK_FDS_MAX)
                m->fds[m->n_fds++] = fd;
            else
                close(fd);
        }
    }
}

void link_message_done(struct link_message *m)
{
    while (m->n_fds)
        close(m->fds[--m->n_fds]);
}

int link_receive(int fd, struct link_message *ret, int wait)
{
    struct header header = {0};
    struct iovec parts[2] = {{&header, sizeof(header)}, {ret->body, sizeof(ret->body)}};
    _Alignas(struct cmsghdr) char control[CONTROL_SPACE];
    struct msghdr message = {.msg_iov = parts,
                             .msg_iovlen = 2,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    ssize_t n;
    do
        n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == ECONNRESET ? 0 : -errno;
    ret->n_fds = 0;
    take_fds(&message, ret);
    if (n == 0 && !ret->n_fds)
        return 0;
    if ((size_t)n < sizeof(header) || (size_t)n - sizeof(header) != header.size ||
        message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        link_message_done(ret);
        return -EBADMSG;
    }
    ret->type = header.type;
    ret->size = header.size;
    return 1;
}
