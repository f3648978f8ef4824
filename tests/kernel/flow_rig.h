// SPDX-License-Identifier: Apache-2.0
// Connections for the tests of flows: a pair of connected sockets on 127.66.0.7 or ::1, bytes through them, and the flow
// that was told of them. Includes fixture.h; fentry is tried, and used where it works.
#pragma once
#define FIXTURE_TRIALS true
#include "fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

struct pair {
    int listener, client, server;
    socklen_t length;
    struct sockaddr_storage address;
    uint16_t client_port, server_port;
};

static inline uint16_t port_of(int fd)
{
    struct sockaddr_storage a = {0};
    socklen_t length = sizeof a;

    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &length), 0);
    return ntohs(a.ss_family == AF_INET ? ((struct sockaddr_in *)&a)->sin_port
                                        : ((struct sockaddr_in6 *)&a)->sin6_port);
}

static inline struct sockaddr_storage loopback(int family, socklen_t *ret_length)
{
    struct sockaddr_storage a = {.ss_family = (sa_family_t)family};

    if (family == AF_INET)
        ((struct sockaddr_in *)&a)->sin_addr.s_addr = htonl(0x7f420007); // 127.66.0.7
    else
        ((struct sockaddr_in6 *)&a)->sin6_addr = in6addr_loopback;
    *ret_length =
        family == AF_INET ? sizeof(struct sockaddr_in) : (socklen_t)sizeof(struct sockaddr_in6);
    return a;
}

static inline struct pair pair_open(int family)
{
    struct pair p = {0};

    p.address = loopback(family, &p.length);
    p.listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p.listener, (struct sockaddr *)&p.address, p.length), 0);
    assert_int_equal(listen(p.listener, 8), 0);
    assert_int_equal(getsockname(p.listener, (struct sockaddr *)&p.address, &p.length), 0);
    p.client = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(p.client, (struct sockaddr *)&p.address, p.length), 0);
    p.server = accept4(p.listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(p.server >= 0);
    p.client_port = port_of(p.client);
    p.server_port = port_of(p.server);
    return p;
}

static inline void send_all(int fd, size_t bytes)
{
    static const char text[65536];

    while (bytes) {
        ssize_t n = send(fd, text, bytes < sizeof text ? bytes : sizeof text, MSG_NOSIGNAL);
        assert_true(n > 0);
        bytes -= (size_t)n;
    }
}

static inline void receive_all(int fd, size_t bytes)
{
    static char text[65536];

    while (bytes) {
        ssize_t n = recv(fd, text, bytes < sizeof text ? bytes : sizeof text, 0);
        assert_true(n > 0);
        bytes -= (size_t)n;
    }
}

// A flow of that protocol with these local and remote ports, or NULL.
static inline Tiercel__Event *flow_of(struct fixture *f, uint16_t local, uint16_t remote)
{
    for (size_t i = 0; i < f->n; i++) {
        Tiercel__Event *e = f->kept[i].event;
        if (f->kept[i].kind == RECORD_FLOW && e->flow->local && e->flow->local->port == local &&
            (e->flow->remote ? e->flow->remote->port : 0) == remote)
            return e;
    }
    return NULL;
}

// The last acknowledgements may still be on their way.
static inline Tiercel__Event *await_flow(struct fixture *f, uint16_t local, uint16_t remote)
{
    for (int i = 0; i < 200; i++) {
        Tiercel__Event *e;
        size_t before = f->n;
        assert_true(ring_drain(f->structural, KEPT, keep, f) >= 0);
        assert_true(ring_drain(f->bulk, KEPT, keep, f) >= 0);
        if ((i == 0 || f->n > before) && (e = flow_of(f, local, remote)))
            return e;
        usleep(20000);
    }
    fail_msg("no flow from port %u to %u", local, remote);
    return NULL;
}

#define assert_flow(e, out, in)                                                                    \
    do {                                                                                           \
        assert_int_equal((e)->flow->sent, out);                                                    \
        assert_int_equal((e)->flow->received, in);                                                 \
    } while (0)

// Client first; both flows are told, each with the other's bytes.
static inline void close_and_compare(struct fixture *f, struct pair *p, uint64_t to_server,
                                     uint64_t to_client)
{
    close(p->client);
    close(p->server);
    close(p->listener);
    Tiercel__Event *client = await_flow(f, p->client_port, p->server_port);
    assert_flow(client, to_server, to_client);
    assert_true(client->flow->initiated);
    assert_int_equal(client->process->id->pid, getpid());
    Tiercel__Event *server = await_flow(f, p->server_port, p->client_port);
    assert_flow(server, to_client, to_server);
    assert_false(server->flow->initiated);
    assert_int_equal(server->process->id->pid, getpid());
    assert_int_equal(client->flow->n_shares, 0);
    assert_true(client->flow->has_lasted && client->flow->has_cookie);
    assert_true(client->flow->cookie != server->flow->cookie);
}
