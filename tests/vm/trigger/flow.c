// SPDX-License-Identifier: Apache-2.0
// Connections whose bytes this program knows to the byte: IPv4, IPv6, UDP; half-closed, reset, left unread; a socket
// used by a child, and one passed to it. Also bind, listen and accept.
#include "account.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct pair {
    int listener, client, server;
    char client_port[8], server_port[8];
    const char *ip;
};

static void port_of(int fd, char out[8])
{
    struct sockaddr_in6 a; // the port lies at the same place in both families
    socklen_t n = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &n))
        account_failed("getsockname");
    snprintf(out, 8, "%u", ntohs(a.sin6_port));
}

static struct pair open_pair(int family)
{
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    struct sockaddr *a = family == AF_INET ? (struct sockaddr *)&four : (struct sockaddr *)&six;
    socklen_t n = family == AF_INET ? sizeof four : sizeof six;
    struct pair p = {.ip = family == AF_INET ? "127.66.0.21" : "::1"};

    inet_pton(AF_INET, "127.66.0.21", &four.sin_addr);
    p.listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    p.client = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(p.listener, a, n) || listen(p.listener, 4) || getsockname(p.listener, a, &n) ||
        connect(p.client, a, n) || (p.server = accept(p.listener, NULL, NULL)) < 0)
        account_failed("a connection on loopback");
    port_of(p.client, p.client_port);
    port_of(p.server, p.server_port);
    return p;
}

static void send_bytes(int fd, size_t n)
{
    static const char text[65536];
    while (n) {
        ssize_t sent = send(fd, text, n < sizeof text ? n : sizeof text, MSG_NOSIGNAL);
        if (sent <= 0)
            account_failed("send");
        n -= (size_t)sent;
    }
}

static void receive_bytes(int fd, size_t n)
{
    static char text[65536];
    while (n) {
        ssize_t got = recv(fd, text, n < sizeof text ? n : sizeof text, 0);
        if (got <= 0)
            account_failed("recv");
        n -= (size_t)got;
    }
}

static void close_pair(struct pair *p)
{
    close(p->client);
    close(p->server);
    close(p->listener);
}

static void say_flow(const struct pair *p, const char *protocol, uint64_t out, uint64_t in)
{
    account("flow", "ProcessId", account_pid(), "Protocol", protocol, "SourcePort", p->client_port,
            "DestinationIp", p->ip, "DestinationPort", p->server_port, "Initiated", "true",
            "BytesSent", account_number(out), "BytesReceived", account_number(in), NULL);
    account("flow", "ProcessId", account_pid(), "Protocol", protocol, "SourcePort", p->server_port,
            "DestinationPort", p->client_port, "Initiated", "", "BytesSent", account_number(in),
            "BytesReceived", account_number(out), NULL);
}

static void exchange(int family)
{
    struct pair p = open_pair(family);
    send_bytes(p.client, 54321);
    receive_bytes(p.server, 54321);
    send_bytes(p.server, 1234);
    receive_bytes(p.client, 1234);
    close_pair(&p);
    say_flow(&p, "tcp", 54321, 1234);
    account("socket", "SocketAction", "listen", "SourcePort", p.server_port, "ProcessId",
            account_pid(), NULL);
    account("socket", "SocketAction", "accept", "SourcePort", p.server_port, "DestinationPort",
            p.client_port, "ProcessId", account_pid(), NULL);
    account("connect", "DestinationIp", p.ip, "DestinationPort", p.server_port, "ProcessId",
            account_pid(), NULL);
}

static void half_closed(void)
{
    struct pair p = open_pair(AF_INET);
    send_bytes(p.client, 10);
    shutdown(p.client, SHUT_WR);
    receive_bytes(p.server, 10);
    send_bytes(p.server, 20000);
    receive_bytes(p.client, 20000);
    close_pair(&p);
    say_flow(&p, "tcp", 10, 20000);
}

static void reset(void)
{
    struct linger now = {.l_onoff = 1};
    struct pair p = open_pair(AF_INET);
    send_bytes(p.client, 4444);
    receive_bytes(p.server, 4444);
    setsockopt(p.client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close_pair(&p);
    say_flow(&p, "tcp", 4444, 0);
}

static void left_unread(void)
{
    struct pair p = open_pair(AF_INET);
    send_bytes(p.client, 3000);
    receive_bytes(p.server, 1);
    close_pair(&p);
    say_flow(&p, "tcp", 3000, 0);
}

static void large(void)
{
    enum { LARGE = 5000001 };
    struct pair p = open_pair(AF_INET);
    pid_t child = fork();
    if (child == 0) {
        receive_bytes(p.server, LARGE);
        _exit(0);
    }
    send_bytes(p.client, LARGE);
    waitpid(child, NULL, 0);
    close_pair(&p);
    account("flow", "ProcessId", account_pid(), "SourcePort", p.client_port, "BytesSent",
            account_number(LARGE), "BytesReceived", "0", NULL);
    account("flow", "SourcePort", p.server_port, "BytesSent", "0", "BytesReceived",
            account_number(LARGE), NULL);
}

// The child inherits the socket and alone sends over it.
static void inherited(void)
{
    struct pair p = open_pair(AF_INET);
    pid_t child = fork();
    if (child == 0) {
        send_bytes(p.client, 777);
        _exit(0);
    }
    receive_bytes(p.server, 777);
    waitpid(child, NULL, 0);
    close_pair(&p);
    say_flow(&p, "tcp", 777, 0);
}

static void datagrams(void)
{
    struct pair p = {.ip = "127.66.0.22"};
    struct sockaddr_in a = {.sin_family = AF_INET}, from;
    socklen_t n = sizeof a;
    inet_pton(AF_INET, p.ip, &a.sin_addr);
    p.server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    p.client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    p.listener = -1;
    if (bind(p.server, (struct sockaddr *)&a, n) ||
        getsockname(p.server, (struct sockaddr *)&a, &n))
        account_failed("bind");
    for (int i = 0; i < 3; i++) {
        char text[500] = {0};
        if (sendto(p.client, text, 500, 0, (struct sockaddr *)&a, sizeof a) != 500 ||
            recvfrom(p.server, text, sizeof text, 0, (struct sockaddr *)&from, &n) != 500)
            account_failed("a datagram");
    }
    port_of(p.client, p.client_port);
    port_of(p.server, p.server_port);
    close(p.client);
    close(p.server);
    say_flow(&p, "udp", 1500, 0);
    account("socket", "SocketAction", "bind", "SourcePort", p.server_port, "SourceIp", p.ip,
            "Protocol", "udp", NULL);
}

int main(void)
{
    int six = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    bool has_six = six >= 0 && bind(six, (struct sockaddr *)&a, sizeof a) == 0;
    close(six);
    exchange(AF_INET);
    if (has_six)
        exchange(AF_INET6);
    half_closed();
    reset();
    left_unread();
    large();
    inherited();
    datagrams();
    return 0;
}
