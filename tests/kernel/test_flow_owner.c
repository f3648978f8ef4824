// SPDX-License-Identifier: Apache-2.0
// Whose a flow is: who used an inherited or a passed socket, who opened and accepted, what is open before the agent.
#include "flow_rig.h"

static const Tiercel__FlowShare *share(const Tiercel__Flow *flow, pid_t pid)
{
    for (size_t i = 0; i < flow->n_shares; i++)
        if (flow->shares[i]->process->pid == (uint32_t)pid)
            return flow->shares[i];
    fail_msg("process %d has no share of %zu", pid, flow->n_shares);
    return NULL;
}

static void test_inherited_socket_is_shared(void **state)
{
    struct fixture *f = *state;
    drain(f);
    struct pair p = pair_open(AF_INET);
    send_all(p.client, 11);
    pid_t child = fork();
    if (child == 0) {
        send_all(p.client, 2200);
        receive_all(p.client, 33);
        _exit(0);
    }
    receive_all(p.server, 2211);
    send_all(p.server, 33);
    waitpid(child, NULL, 0);
    close(p.client);
    close(p.server);
    close(p.listener);
    Tiercel__Event *e = await_flow(f, p.client_port, p.server_port);
    assert_flow(e, 2211, 33);
    assert_int_equal(e->process->id->pid, getpid());
    assert_int_equal(e->flow->n_shares, 2);
    assert_int_equal(share(e->flow, getpid())->sent, 11);
    assert_int_equal(share(e->flow, getpid())->received, 0);
    assert_int_equal(share(e->flow, child)->sent, 2200);
    assert_int_equal(share(e->flow, child)->received, 33);
}

static void pass(int channel, int fd)
{
    char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec v = {&byte, 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    assert_int_equal(sendmsg(channel, &m, 0), 1);
}

static int passed(int channel)
{
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec v = {&byte, 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int fd = -1;

    if (recvmsg(channel, &m, 0) == 1 && CMSG_FIRSTHDR(&m))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    return fd;
}

// Opened here, used only by a process that got it over a Unix socket and outlives our descriptor.
static void test_passed_socket_is_attributed(void **state)
{
    struct fixture *f = *state;
    int channel[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel), 0);
    pid_t child = fork();
    if (child == 0) {
        int fd = passed(channel[1]);
        send_all(fd, 31337);
        receive_all(fd, 5);
        _exit(0);
    }
    drain(f);
    struct pair p = pair_open(AF_INET);
    pass(channel[0], p.client);
    close(p.client);
    receive_all(p.server, 31337);
    send_all(p.server, 5);
    waitpid(child, NULL, 0);
    close(p.server);
    close(p.listener);
    close(channel[0]);
    close(channel[1]);
    Tiercel__Event *e = await_flow(f, p.client_port, p.server_port);
    assert_flow(e, 31337, 5);
    assert_int_equal(e->process->id->pid, getpid());
    assert_int_equal(share(e->flow, child)->sent, 31337);
    assert_int_equal(share(e->flow, child)->received, 5);
    assert_int_equal(share(e->flow, getpid())->sent, 0);
}

static void test_more_processes_than_shares_are_in_the_total(void **state)
{
    struct fixture *f = *state;
    drain(f);
    struct pair p = pair_open(AF_INET);
    for (unsigned i = 1; i <= 6; i++) {
        pid_t child = fork();
        if (child == 0) {
            send_all(p.client, i);
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
    receive_all(p.server, 21);
    close(p.client);
    close(p.server);
    close(p.listener);
    Tiercel__Flow *flow = await_flow(f, p.client_port, p.server_port)->flow;
    uint64_t told = 0;
    assert_int_equal(flow->sent, 21);
    assert_int_equal(flow->n_shares, FLOW_SHARES);
    for (size_t i = 0; i < flow->n_shares; i++)
        told += flow->shares[i]->sent;
    assert_int_equal(told, 0 + 1 + 2 + 3); // the opener, and the first three of six
}

static struct decoded *socket_event(struct fixture *f, unsigned action, uint16_t port)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->kept[i].kind == RECORD_LISTENER &&
            (unsigned)f->kept[i].event->socket->action == action &&
            f->kept[i].event->socket->local->port == port)
            return &f->kept[i];
    fail_msg("no event of action %u on port %u", action, port);
    return NULL;
}

static void test_bind_listen_accept(void **state)
{
    struct fixture *f = *state;
    drain(f);
    struct pair p = pair_open(AF_INET);
    send_all(p.client, 1);
    receive_all(p.server, 1);
    close_and_compare(f, &p, 1, 0);
    const Tiercel__Event *bound = socket_event(f, RECORD_BIND, p.server_port)->event;
    assert_int_equal(bound->process->id->pid, getpid());
    assert_memory_equal(bound->socket->local->ip.data, "\x7f\x42\x00\x07", 4);
    assert_int_equal(bound->socket->protocol, IPPROTO_TCP);
    assert_int_equal(socket_event(f, RECORD_LISTEN, p.server_port)->event->process->id->pid,
                     getpid());
    const Tiercel__Event *got = socket_event(f, RECORD_ACCEPT, p.server_port)->event;
    assert_int_equal(got->process->id->pid, getpid());
    assert_int_equal(got->socket->remote->port, p.client_port);
    assert_int_equal(got->socket->cookie,
                     await_flow(f, p.server_port, p.client_port)->flow->cookie);
    assert_int_equal(bound->socket->cookie,
                     socket_event(f, RECORD_LISTEN, p.server_port)->event->socket->cookie);
}

// ---- open before the agent

static struct pair before;

static int flow_setup(void **state)
{
    before = pair_open(AF_INET);
    send_all(before.client, 1000);
    receive_all(before.server, 1000);
    return fixture_setup(state);
}

static void test_open_before_the_agent(void **state)
{
    struct fixture *f = *state;
    struct pair p = before;
    must_work(f, "flows");
    drain(f);
    send_all(p.client, 500);
    receive_all(p.server, 500);
    send_all(p.server, 25);
    receive_all(p.client, 25);
    close(p.client);
    close(p.server);
    Tiercel__Event *e = await_flow(f, p.client_port, p.server_port);
    assert_flow(e, 1500, 25);
    assert_true(e->flow->began_before);
    assert_false(e->flow->has_initiated);
    assert_false(e->flow->has_lasted);
    assert_int_equal(e->process->id->pid, getpid());
    // The listener is older, too: what comes by it now is not.
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&p.address, p.length), 0);
    int server = accept4(p.listener, NULL, NULL, SOCK_CLOEXEC);
    uint16_t port = port_of(client);
    close(client);
    close(server);
    close(p.listener);
    e = await_flow(f, p.server_port, port);
    assert_false(e->flow->began_before);
    assert_true(e->flow->has_initiated && !e->flow->initiated);
    assert_int_equal(e->process->id->pid, getpid());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_before_the_agent),
        cmocka_unit_test(test_inherited_socket_is_shared),
        cmocka_unit_test(test_passed_socket_is_attributed),
        cmocka_unit_test(test_more_processes_than_shares_are_in_the_total),
        cmocka_unit_test(test_bind_listen_accept),
    };

    if (cannot_run())
        return 77;
    return cmocka_run_group_tests(tests, flow_setup, fixture_teardown);
}
