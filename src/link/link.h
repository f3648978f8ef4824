// SPDX-License-Identifier: Apache-2.0
// Channels between roles: SOCK_SEQPACKET, one typed message a packet, descriptors passed beside it. Fixed-size bodies
// only: nothing is parsed. Both ends are the same file of one build, so a message may change in any commit.
#pragma once
#include <stddef.h>
#include <stdint.h>

#define LINK_BODY_MAX 4096
#define LINK_FDS_MAX 8

struct link_message {
    uint32_t type; // each pair of roles has its own enum, in agent/order.h
    uint32_t size; // of body
    int fds[LINK_FDS_MAX];
    unsigned n_fds;
    _Alignas(16) unsigned char body[LINK_BODY_MAX];
};

int link_pair(int ret[2]); // close-on-exec, non-blocking off
// 0 or negative errno; -EAGAIN when the peer's queue is full and `wait` is false.
int link_send(int fd, uint32_t type, const void *body, uint32_t size, const int *fds,
              unsigned n_fds, int wait);
// 1 a message; 0 the peer is gone; negative errno (-EAGAIN: nothing yet; -EBADMSG: not one of ours). Descriptors received
// are the caller's, close-on-exec: those it does not take out of ret->fds it closes with link_message_done().
int link_receive(int fd, struct link_message *ret, int wait);
void link_message_done(struct link_message *m);

// The body as a type; NULL when the sizes differ.
#define link_body(m, type)                                                                         \
    ((m)->size == sizeof(type) ? (const type *)(const void *)(m)->body : (const type *)NULL)
