// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Sockets that wait for others, and flows: who opened a connection, who used it, and how many bytes went each way.
//
// TCP's totals are the kernel's own counts, read once, when the connection is over; nothing runs per packet. What each
// process sent and received is added up from what its system calls returned. UDP has only the latter: told when the
// socket is closed, and of a socket that goes on when it was silent for a minute or five minutes have passed.
#include "socket.bpf.h"

#define UDP_SILENT_NS (60ull * 1000000000)
#define UDP_ACCOUNT_NS (300ull * 1000000000)

static __always_inline struct socket_state *state_new(void *sk)
{
    struct socket_state *s = bpf_sk_storage_get(&sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);

    if (!s)
        COUNT(sockets_full);
    return s;
}

static __always_inline bool used_by(const struct record_share *s, u32 pid, u64 start)
{
    return s->pid == pid && (s->start == start || !s->start);
}

// The share of this process, NULL where four others have theirs.
static __always_inline struct record_share *share_of(struct socket_state *s, u32 pid, u64 start)
{
#pragma unroll
    for (int i = 0; i < (int)FLOW_SHARES; i++) {
        struct record_share *share = &s->shares[i];
        if (used_by(share, pid, start))
            return share;
        if (!share->pid && __sync_val_compare_and_swap(&share->pid, 0, pid) == 0) {
            share->start = start;
            return share;
        }
        if (used_by(share, pid, start)) // another thread was quicker
            return share;
    }
    return NULL;
}

static __always_inline void owner_set(struct socket_state *s)
{
    struct task_struct *task = current_task();

    s->shares[0].pid = task->tgid;
    s->shares[0].start = leader_start(task);
    bpf_get_current_comm(s->name, sizeof s->name);
}

// Both addresses as they are told; SOCKET_INET6 where they are IPv6.
static __always_inline u32 addresses(struct sock *sk, u8 local[16], u8 remote[16])
{
    struct sock_common *c = &sk->__sk_common;
    u64 *from = (u64 *)local, *to = (u64 *)remote;
    if (c->skc_family == AF_INET6) {
        u32 *six = (u32 *)remote;
        bpf_core_read(remote, 16, &c->skc_v6_daddr);
        bpf_core_read(local, 16, &c->skc_v6_rcv_saddr);
        if (six[0] || six[1] || six[2] != bpf_htonl(0xffff))
            return SOCKET_INET6;
    }
    from[0] = c->skc_rcv_saddr;
    to[0] = c->skc_daddr;
    from[1] = to[1] = 0;
    return 0;
}
// ---- bind, listen, accept

static __always_inline void tell_bound(struct bpf_sock *ctx, const u32 ip[4], u32 socket_flags)
{
    struct record_socket r = {};

    head_of_current(&r.r, RECORD_LISTENER, sizeof r);
    r.flags = socket_flags;
    r.action = RECORD_BIND;
    r.protocol = ctx->protocol;
    r.local_port = ctx->src_port;
    r.cookie = bpf_get_socket_cookie(ctx);
    __builtin_memcpy(r.local, ip, 16);
    bpf_get_current_comm(r.name, sizeof r.name);
    send_bulk(&r, sizeof r, COUNT_SOCKET);
}

SEC("cgroup/post_bind4")
int on_bound4(struct bpf_sock *ctx)
{
    u32 ip[4] = {ctx->src_ip4};

    if (bulk_allowed(COUNT_SOCKET))
        tell_bound(ctx, ip, 0);
    return 1;
}

SEC("cgroup/post_bind6")
int on_bound6(struct bpf_sock *ctx)
{
    u32 ip[4] = {ctx->src_ip6[0], ctx->src_ip6[1], ctx->src_ip6[2], ctx->src_ip6[3]};
    u32 inet6 = SOCKET_INET6;

    if (!ip[0] && !ip[1] && ip[2] == bpf_htonl(0xffff)) {
        ip[0] = ip[3];
        ip[2] = ip[3] = inet6 = 0;
    }
    if (bulk_allowed(COUNT_SOCKET))
        tell_bound(ctx, ip, inet6);
    return 1;
}

static __always_inline void tell_socket(struct sock *sk, u32 action)
{
    struct record_socket r = {};

    if (!bulk_allowed(COUNT_SOCKET))
        return;
    head_of_current(&r.r, RECORD_LISTENER, sizeof r);
    r.flags = addresses(sk, r.local, r.remote);
    r.action = action;
    r.protocol = sk->sk_protocol;
    r.local_port = sk->__sk_common.skc_num;
    r.remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
    r.cookie = bpf_get_socket_cookie(sk);
    bpf_get_current_comm(r.name, sizeof r.name);
    send_bulk(&r, sizeof r, COUNT_SOCKET);
}

// Until then the listener's owner stood for it. One of several threads is the first.
static __always_inline bool claim(struct socket_state *s)
{
    if (!(s->flags & SOCKET_UNCLAIMED) ||
        !(__sync_fetch_and_and(&s->flags, ~SOCKET_UNCLAIMED) & SOCKET_UNCLAIMED))
        return false;
    owner_set(s);
    return true;
}

static __always_inline void accepted(struct sock *sk)
{
    struct socket_state *s = bpf_sk_storage_get(&sockets, sk, NULL, 0);

    if (s && claim(s))
        tell_socket(sk, RECORD_ACCEPT);
}

SEC("?fexit/inet_csk_accept")
int BPF_PROG(on_accept, struct sock *sk, struct proto_accept_arg *argument, struct sock *got)
{
    if (got)
        accepted(got);
    return 0;
}

SEC("?fexit/inet_csk_accept")
int BPF_PROG(on_accept_until_6_9, struct sock *sk, int accept_flags, int *error, bool kernel,
             struct sock *got)
{
    if (got)
        accepted(got);
    return 0;
}

// ---- flows

#include "flow_tell.bpf.h"

static __always_inline void tcp_opened(struct sock *sk)
{
    struct socket_state *s = state_new(sk);

    if (!s)
        return;
    __builtin_memset(s, 0, sizeof *s); // a socket may connect again
    s->began = bpf_ktime_get_boot_ns();
    s->flags = SOCKET_INITIATED;
    owner_set(s);
}

static __always_inline void tcp_arrived(struct sock *sk)
{
    struct socket_state *s = state_new(sk); // a clone of the listener's, where that has one

    if (!s)
        return;
    s->began = bpf_ktime_get_boot_ns();
    s->flags = SOCKET_ACCEPTED | SOCKET_UNCLAIMED;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, struct sock *sk, int before, int after)
{
    struct socket_state *s;

    if (sk->sk_protocol != IPPROTO_TCP)
        return 0;
    switch (after) {
    case TCP_SYN_SENT: // in connect(), or sendmsg() with TCP Fast Open
        tcp_opened(sk);
        break;
    case TCP_LISTEN: // in listen()
        s = state_new(sk);
        if (s) {
            __builtin_memset(s, 0, sizeof *s);
            owner_set(s);
        }
        tell_socket(sk, RECORD_LISTEN);
        break;
    case TCP_SYN_RECV:
        if (before == TCP_LISTEN)
            tcp_arrived(sk);
        break;
    case TCP_CLOSE:
        if (before == TCP_CLOSE || before == TCP_LISTEN || before == TCP_SYN_SENT ||
            before == TCP_SYN_RECV)
            break;
        s = bpf_sk_storage_get(&sockets, sk, NULL, 0);
        if (!s) {
            s = state_new(sk);
            if (s)
                s->flags = SOCKET_BEFORE;
        }
        if (s) {
            if (sk->sk_lock.owned)
                claim(s);
            tcp_over(sk, s);
        }
        break;
    case TCP_ESTABLISHED:
        break;
    default: // shutdown or close: by a process only while it holds the socket
        if (sk->sk_lock.owned && (s = bpf_sk_storage_get(&sockets, sk, NULL, 0)))
            claim(s);
    }
    return 0;
}

// ---- what each process sent and received

static __always_inline void udp_account(struct sock *sk, struct socket_state *s, bool over)
{
    struct flow_message m = {};

    flow_of(&m, s, true);
    m.f.protocol = IPPROTO_UDP;
    m.f.local_port = s->local_port;
    __builtin_memcpy(m.f.local, s->local, 16);
    if (!(s->flags & SOCKET_SEVERAL)) {
        m.f.remote_port = s->remote_port;
        __builtin_memcpy(m.f.remote, s->remote, 16);
    }
    m.f.sent = m.f.others_sent;
    m.f.received = m.f.others_received;
#pragma unroll
    for (int i = 0; i < (int)FLOW_SHARES; i++) {
        m.f.sent += m.shares[i].sent;
        m.f.received += m.shares[i].received;
    }
    if (over)
        m.f.flags |= SOCKET_OVER;
    m.f.cookie = bpf_get_socket_cookie(sk);
    send_flow(&m, s->shares[0].pid);
}

static __always_inline void udp_used(struct sock *sk, struct socket_state *s, bool sent)
{
    u64 now = bpf_ktime_get_boot_ns(), began = s->began;
    u8 local[16], remote[16];
    u32 inet6;

    if (!began) {
        s->began = began = now;
        s->last = now;
        if (!(s->flags & SOCKET_BEFORE)) {
            __sync_fetch_and_or(&s->flags, sent ? SOCKET_INITIATED : SOCKET_ACCEPTED);
            owner_set(s);
        }
    }
    inet6 = addresses(sk, local, remote);
    s->local_port = sk->__sk_common.skc_num;
    __builtin_memcpy(s->local, local, 16);
    if (sk->__sk_common.skc_dport)
        remote_is(s, remote, bpf_ntohs(sk->__sk_common.skc_dport), inet6);
    if ((now - s->last > UDP_SILENT_NS || now - began > UDP_ACCOUNT_NS) &&
        __sync_val_compare_and_swap(&s->began, began, now) == began)
        udp_account(sk, s, false);
    s->last = now;
    if (sent)
        __sync_fetch_and_add(&s->packets_sent, 1);
    else
        __sync_fetch_and_add(&s->packets_received, 1);
}

static __always_inline void used(struct sock *sk, long bytes, bool sent)
{
    u32 family = sk->__sk_common.skc_family, protocol = sk->sk_protocol;
    struct task_struct *task = current_task();
    struct record_share *share;
    struct socket_state *s;

    if (family != AF_INET && family != AF_INET6)
        return;
    if (protocol != IPPROTO_UDP && (protocol != IPPROTO_TCP || bytes <= 0))
        return;
    if (bytes < 0)
        return;
    s = state_new(sk);
    if (!s)
        return;
    if (protocol == IPPROTO_UDP)
        udp_used(sk, s, sent);
    else if (!s->began && !s->flags) { // it was open before the agent
        s->flags = SOCKET_BEFORE;
        owner_set(s);
    } else if (claim(s)) {
        tell_socket(sk, RECORD_ACCEPT);
    }
    share = share_of(s, task->tgid, leader_start(task));
    if (share)
        __sync_fetch_and_add(sent ? &share->sent : &share->received, (u64)bytes);
    else
        __sync_fetch_and_add(sent ? &s->others_sent : &s->others_received, (u64)bytes);
}

SEC("?tp_btf/sock_send_length")
int BPF_PROG(on_sent, struct sock *sk, int bytes, int message_flags)
{
    used(sk, bytes, true);
    return 0;
}

SEC("?tp_btf/sock_recv_length")
int BPF_PROG(on_received, struct sock *sk, int bytes, int message_flags)
{
    if (!(message_flags & (MSG_PEEK | MSG_ERRQUEUE)))
        used(sk, bytes, false);
    return 0;
}

// Before 6.3 there are no such tracepoints.
#define SENT(function)                                                                             \
    SEC("?fexit/" #function)                                                                       \
    int BPF_PROG(on_##function, struct sock *sk, struct msghdr *message, unsigned long size,       \
                 int bytes)                                                                        \
    {                                                                                              \
        used(sk, bytes, true);                                                                     \
        return 0;                                                                                  \
    }
#define SENT_PAGE(function)                                                                        \
    SEC("?fexit/" #function)                                                                       \
    int BPF_PROG(on_##function, struct sock *sk, struct page *page, int offset,                    \
                 unsigned long size, int page_flags, int bytes)                                    \
    {                                                                                              \
        used(sk, bytes, true);                                                                     \
        return 0;                                                                                  \
    }
#define RECEIVED(function)                                                                         \
    SEC("?fexit/" #function)                                                                       \
    int BPF_PROG(on_##function, struct sock *sk, struct msghdr *message, unsigned long size,       \
                 int message_flags, int *length, int bytes)                                        \
    {                                                                                              \
        if (!(message_flags & (MSG_PEEK | MSG_ERRQUEUE)))                                          \
            used(sk, bytes, false);                                                                \
        return 0;                                                                                  \
    }

SENT(tcp_sendmsg)
SENT(udp_sendmsg)
SENT(udpv6_sendmsg)
SENT_PAGE(tcp_sendpage)
RECEIVED(tcp_recvmsg)
RECEIVED(udp_recvmsg)
RECEIVED(udpv6_recvmsg)

// No tracepoint has what splice() takes out of a connection.
SEC("?fexit/tcp_splice_read")
int BPF_PROG(on_splice, struct socket *socket, long long *position, struct pipe_inode_info *pipe,
             unsigned long length, unsigned int splice_flags, long bytes)
{
    struct sock *sk = socket->sk;

    if (sk)
        used(sk, bytes, false);
    return 0;
}

// Of a datagram socket without a fixed peer; before its bytes are counted.
static __always_inline void remote_told(struct bpf_sock_addr *ctx, u32 ip[4], u32 inet6)
{
    struct bpf_sock *sk = ctx->sk;
    struct socket_state *s;

    if (!sk || ctx->protocol != IPPROTO_UDP || !(s = state_new(sk)))
        return;
    if (inet6 && !ip[0] && !ip[1] && ip[2] == bpf_htonl(0xffff)) {
        ip[0] = ip[3];
        ip[2] = ip[3] = inet6 = 0;
    }
    remote_is(s, (u8 *)ip, bpf_ntohs(ctx->user_port), inet6);
}

SEC("cgroup/sendmsg4")
int on_send_to4(struct bpf_sock_addr *ctx)
{
    u32 ip[4] = {ctx->user_ip4};
    remote_told(ctx, ip, 0);
    return 1;
}

SEC("cgroup/sendmsg6")
int on_send_to6(struct bpf_sock_addr *ctx)
{
    u32 ip[4] = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]};
    remote_told(ctx, ip, SOCKET_INET6);
    return 1;
}

SEC("cgroup/recvmsg4")
int on_received_from4(struct bpf_sock_addr *ctx)
{
    u32 ip[4] = {ctx->user_ip4};
    remote_told(ctx, ip, 0);
    return 1;
}

SEC("cgroup/recvmsg6")
int on_received_from6(struct bpf_sock_addr *ctx)
{
    u32 ip[4] = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]};
    remote_told(ctx, ip, SOCKET_INET6);
    return 1;
}

SEC("cgroup/sock_release")
int on_release(struct bpf_sock *ctx)
{
    struct socket_state *s;

    if (ctx->protocol != IPPROTO_UDP)
        return 1;
    s = bpf_sk_storage_get(&sockets, ctx, NULL, 0);
    if (s && s->began)
        udp_account((struct sock *)ctx, s, true);
    return 1;
}

// ---- what is open when the agent starts: once, by the loader

SEC("iter/task_file")
int open_sockets(struct bpf_iter__task_file *ctx)
{
    struct task_struct *task = ctx->task;
    struct file *file = ctx->file;
    struct socket_state *s;
    struct socket *socket;
    struct sock *sk;

    if (!task || !file)
        return 0;
    socket = bpf_sock_from_file(file);
    if (!socket || !(sk = socket->sk))
        return 0;
    if (sk->__sk_common.skc_family != AF_INET && sk->__sk_common.skc_family != AF_INET6)
        return 0;
    if (sk->sk_protocol != IPPROTO_TCP && sk->sk_protocol != IPPROTO_UDP)
        return 0;
    s = bpf_sk_storage_get(&sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
    if (!s || s->shares[0].pid)
        return 0;
    s->flags |= SOCKET_BEFORE;
    s->shares[0].pid = task->tgid;
    s->shares[0].start = leader_start(task);
    bpf_probe_read_kernel_str(s->name, sizeof s->name, task->comm);
    return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
