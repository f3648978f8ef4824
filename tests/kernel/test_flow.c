// SPDX-License-Identifier: Apache-2.0
// Flows: the bytes told are the bytes sent, to the byte, and every flow is told or counted.
#include "flow_rig.h"

static bool has_inet6(void)
{
    socklen_t length;
    struct sockaddr_storage a = loopback(AF_INET6, &length);
    _cleanup_close_ int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd >= 0 && !bind(fd, (struct sockaddr *)&a, length);
}

static void exchange(struct fixture *f, int family)
{
    drain(f);
    struct pair p = pair_open(family);
    send_all(p.client, 12345);
    receive_all(p.server, 12345);
    send_all(p.server, 678);
    receive_all(p.client, 678);
    close_and_compare(f, &p, 12345, 678);
    Tiercel__Flow *flow = await_flow(f, p.client_port, p.server_port)->flow;
    assert_int_equal(flow->protocol, IPPROTO_TCP);
    assert_int_equal(flow->local->ip.len, family == AF_INET ? 4 : 16);
    if (family == AF_INET)
        assert_memory_equal(flow->remote->ip.data, "\x7f\x42\x00\x07", 4);
    else
        assert_memory_equal(flow->remote->ip.data, &in6addr_loopback, 16);
}

static void test_bytes_are_exact(void **state)
{
    exchange(*state, AF_INET);
}

static void test_bytes_are_exact_inet6(void **state)
{
    if (!has_inet6())
        skip();
    exchange(*state, AF_INET6);
}

static void test_nothing_sent_is_zero(void **state)
{
    struct fixture *f = *state;
    drain(f);
    struct pair p = pair_open(AF_INET);
    close_and_compare(f, &p, 0, 0);
}

// More than 4 GiB would take too long; enough for many windows, and both ways at once.
static void test_large_transfers_are_exact(void **state)
{
    struct fixture *f = *state;
    enum { LARGE = 24 << 20 };
    drain(f);
    struct pair p = pair_open(AF_INET);
    pid_t child = fork();
    if (child == 0) {
        receive_all(p.server, LARGE + 1);
        _exit(0);
    }
    send_all(p.client, LARGE + 1);
    waitpid(child, NULL, 0);
    close(p.client);
    close(p.server);
    close(p.listener);
    assert_flow(await_flow(f, p.client_port, p.server_port), LARGE + 1, 0);
    assert_flow(await_flow(f, p.server_port, p.client_port), 0, LARGE + 1);
}

static void test_half_closed(void **state)
{
    struct fixture *f = *state;
    drain(f);
    struct pair p = pair_open(AF_INET);
    send_all(p.client, 100);
    assert_int_equal(shutdown(p.client, SHUT_WR), 0);
    receive_all(p.server, 100);
    send_all(p.server, 70001);
    close(p.server);
    receive_all(p.client, 70001);
    close_and_compare(f, &p, 100, 70001); // the closed descriptor is closed again: no harm here
}

static void test_reset(void **state)
{
    struct fixture *f = *state;
    struct linger now = {.l_onoff = 1};
    drain(f);
    struct pair p = pair_open(AF_INET);
    send_all(p.client, 4000);
    receive_all(p.server, 4000);
    assert_int_equal(setsockopt(p.client, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close_and_compare(f, &p, 4000, 0);
}

// What nobody read has arrived all the same.
static void test_unread_bytes_have_arrived(void **state)
{
    struct fixture *f = *state;
    char few[10];
    drain(f);
    struct pair p = pair_open(AF_INET);
    send_all(p.client, 5000);
    receive_all(p.server, 1000);
    assert_int_equal(recv(p.server, few, sizeof few, MSG_PEEK), sizeof few);
    close(p.server); // with unread data: a reset
    Tiercel__Event *server = await_flow(f, p.server_port, p.client_port);
    assert_flow(server, 0, 5000);
    close(p.client);
    close(p.listener);
    assert_flow(await_flow(f, p.client_port, p.server_port), 5000, 0);
}

// ---- UDP

static void udp_exchange(struct fixture *f, int family, bool connected)
{
    socklen_t length;
    struct sockaddr_storage a = loopback(family, &length), from;
    socklen_t from_length = sizeof from;
    char text[4096] = {0};
    int server = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int client = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    drain(f);
    assert_int_equal(bind(server, (struct sockaddr *)&a, length), 0);
    assert_int_equal(getsockname(server, (struct sockaddr *)&a, &length), 0);
    if (connected)
        assert_int_equal(connect(client, (struct sockaddr *)&a, length), 0);
    for (unsigned i = 1; i <= 5; i++) {
        ssize_t n = connected ? send(client, text, 100 * i, 0)
                              : sendto(client, text, 100 * i, 0, (struct sockaddr *)&a, length);
        assert_int_equal(n, 100 * i);
        assert_int_equal(
            recvfrom(server, text, sizeof text, 0, (struct sockaddr *)&from, &from_length),
            100 * i);
    }
    assert_int_equal(sendto(server, text, 7, 0, (struct sockaddr *)&from, from_length), 7);
    assert_int_equal(recv(client, text, sizeof text, 0), 7);
    uint16_t client_port = port_of(client), server_port = port_of(server);
    close(client);
    close(server);
    Tiercel__Event *e = await_flow(f, client_port, server_port);
    assert_flow(e, 1500, 7);
    assert_int_equal(e->flow->protocol, IPPROTO_UDP);
    assert_int_equal(e->flow->packets_sent, 5);
    assert_int_equal(e->flow->packets_received, 1);
    assert_true(e->flow->initiated);
    assert_int_equal(e->flow->remote->ip.len, family == AF_INET ? 4 : 16);
    assert_int_equal(e->process->id->pid, getpid());
    e = await_flow(f, server_port, client_port);
    assert_flow(e, 7, 1500);
    assert_false(e->flow->initiated);
}

static void test_udp_bytes_are_exact(void **state)
{
    udp_exchange(*state, AF_INET, true);
    udp_exchange(*state, AF_INET, false);
    if (has_inet6()) {
        udp_exchange(*state, AF_INET6, true);
        udp_exchange(*state, AF_INET6, false);
    }
}

// The bytes are exact; to whom they went is said to be unknown.
static void test_udp_to_several_has_no_remote(void **state)
{
    struct fixture *f = *state;
    int client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    drain(f);
    for (unsigned i = 1; i <= 3; i++) {
        struct sockaddr_in to = {.sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)(50000 + i)),
                                 .sin_addr.s_addr = htonl(0x7f420008)};
        assert_int_equal(sendto(client, "12345", 5, 0, (struct sockaddr *)&to, sizeof to), 5);
    }
    uint16_t port = port_of(client);
    close(client);
    assert_flow(await_flow(f, port, 0), 15, 0);
}

// ---- over a pair of devices between two network namespaces that this test makes

struct side {
    int up[2], down[2];
    pid_t pid;
};

static void say(int fd)
{
    if (write(fd, "x", 1) != 1)
        _exit(90);
}

static void hear(int fd)
{
    char c;
    if (read(fd, &c, 1) != 1)
        _exit(91);
}

static int tcp_over_devices(bool serve)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(4242),
                            .sin_addr.s_addr = htonl(0x0a420001)}; // 10.66.0.1
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (serve)
        return bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 1) ? -1 : fd;
    for (int i = 0; connect(fd, (struct sockaddr *)&a, sizeof a); i++) {
        if (i == 50)
            return -1;
        usleep(100000);
    }
    return fd;
}

static void devices_server(struct side *s)
{
    char command[256];
    if (unshare(CLONE_NEWNET))
        _exit(77);
    hear(s->down[0]);
    int peer;
    if (read(s->down[0], &peer, sizeof peer) != sizeof peer)
        _exit(92);
    snprintf(command, sizeof command,
             "ip link add t0 type veth peer name t1 && ip link set t1 netns %d &&"
             " ip addr add 10.66.0.1/24 dev t0 && ip link set t0 up",
             peer);
    if (system(command))
        _exit(77);
    int listener = tcp_over_devices(true);
    say(s->up[1]);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    receive_all(fd, 3000017);
    send_all(fd, 1234567);
    _exit(0);
}

static void devices_client(struct side *s)
{
    if (unshare(CLONE_NEWNET))
        _exit(77);
    say(s->up[1]);
    hear(s->down[0]);
    if (system("ip addr add 10.66.0.2/24 dev t1 && ip link set t1 up"))
        _exit(77);
    int fd = tcp_over_devices(false);
    if (fd < 0)
        _exit(93);
    send_all(fd, 3000017);
    receive_all(fd, 1234567);
    _exit(0);
}

static void side_start(struct side *s, void (*run_side)(struct side *))
{
    assert_int_equal(pipe2(s->up, O_CLOEXEC), 0);
    assert_int_equal(pipe2(s->down, O_CLOEXEC), 0);
    s->pid = fork();
    if (s->pid == 0) {
        close(s->up[0]);
        close(s->down[1]);
        run_side(s);
    }
    close(s->up[1]);
    close(s->down[0]);
}

static int side_end(struct side *s)
{
    int status;
    waitpid(s->pid, &status, 0);
    close(s->up[0]);
    close(s->down[1]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_across_network_namespaces(void **state)
{
    struct fixture *f = *state;
    struct side server, client;
    char c;

    drain(f);
    side_start(&client, devices_client);
    side_start(&server, devices_server);
    bool ready = read(client.up[0], &c, 1) == 1 && write(server.down[1], "x", 1) == 1 &&
                 write(server.down[1], &client.pid, sizeof(int)) == sizeof(int) &&
                 read(server.up[0], &c, 1) == 1 && write(client.down[1], "x", 1) == 1;
    if (!ready) { // its end is told below
        close(client.down[1]);
        client.down[1] = -1;
    }
    int server_end = side_end(&server);
    if (server_end == 77)
        kill(client.pid, SIGKILL);
    int client_end = side_end(&client);
    if (server_end == 77 || client_end == 77)
        skip();
    assert_int_equal(server_end, 0);
    assert_int_equal(client_end, 0);
    Tiercel__Event *to = NULL;
    for (int i = 0; i < 200 && !to; i++, usleep(20000)) {
        assert_true(ring_drain(f->bulk, KEPT, keep, f) >= 0);
        for (size_t k = 0; k < f->n; k++)
            if (f->kept[k].kind == RECORD_FLOW && f->kept[k].event->process &&
                f->kept[k].event->process->id->pid == (uint32_t)client.pid)
                to = f->kept[k].event;
    }
    assert_non_null(to);
    assert_flow(to, 3000017, 1234567);
    assert_memory_equal(to->flow->remote->ip.data, "\x0a\x42\x00\x01", 4);
    assert_memory_equal(to->flow->local->ip.data, "\x0a\x42\x00\x02", 4);
    Tiercel__Event *from = await_flow(f, 4242, (uint16_t)to->flow->local->port);
    assert_flow(from, 1234567, 3000017);
    assert_int_equal(from->process->id->pid, server.pid);
}

// ---- many

static void test_every_flow_is_told_or_counted(void **state)
{
    struct fixture *f = *state;
    enum { MANY = 6000 };
    struct probe_counters *counters;
    socklen_t length;
    struct sockaddr_storage a = loopback(AF_INET, &length);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(listener, (struct sockaddr *)&a, length), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &length), 0);
    drain(f);
    assert_int_equal(probe_counters_map(f->fds.counters, &counters), 0);
    struct counters was = probe_counters_sum(counters);
    for (unsigned i = 0; i < MANY; i++) {
        int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(client, (struct sockaddr *)&a, length), 0);
        int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        send_all(client, 10);
        receive_all(server, 10);
        close(client);
        close(server);
    }
    uint16_t port = port_of(listener);
    close(listener);
    usleep(100000);
    drain(f);
    struct counters now = probe_counters_sum(counters);
    probe_counters_unmap(counters);
    uint64_t told = 0, sent = 0, received = 0;
    for (size_t i = 0; i < f->n; i++) {
        const Tiercel__Flow *flow = f->kept[i].event->flow;
        if (f->kept[i].kind != RECORD_FLOW ||
            (flow->local->port != port && flow->remote->port != port))
            continue;
        told++;
        sent += flow->sent;
        received += flow->received;
    }
    uint64_t missed = now.lost[COUNT_FLOW] - was.lost[COUNT_FLOW] + now.throttled[COUNT_FLOW] -
                      was.throttled[COUNT_FLOW];
    assert_true(missed > 0); // the ring is smaller than this
    assert_true(told > 0);
    assert_in_range(told + missed, 2 * MANY, 2 * MANY + 50); // others use this machine, too
    assert_in_range(sent + now.untold_sent - was.untold_sent, 10 * MANY, 10 * MANY + 100000);
    assert_in_range(received + now.untold_received - was.untold_received, 10 * MANY,
                    10 * MANY + 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_are_exact),
        cmocka_unit_test(test_bytes_are_exact_inet6),
        cmocka_unit_test(test_nothing_sent_is_zero),
        cmocka_unit_test(test_large_transfers_are_exact),
        cmocka_unit_test(test_half_closed),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_unread_bytes_have_arrived),
        cmocka_unit_test(test_udp_bytes_are_exact),
        cmocka_unit_test(test_udp_to_several_has_no_remote),
        cmocka_unit_test(test_across_network_namespaces),
        cmocka_unit_test(test_every_flow_is_told_or_counted),
    };

    if (cannot_run())
        return 77;
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
