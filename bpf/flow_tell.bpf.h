// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A flow that is over, told: a socket that one process used is written into the ring itself, others with the shares of each.
// Part of flow.bpf.c, whose helpers come before.
#pragma once

struct flow_message {
    struct record_flow f;
    struct record_part part;
    struct record_share shares[FLOW_SHARES];
};

static __always_inline void untold(u64 sent, u64 received)
{
    struct counters *row = counters_row();

    if (!row)
        return;
    __sync_fetch_and_add(&row->untold_sent, sent);
    __sync_fetch_and_add(&row->untold_received, received);
}

static __always_inline bool put_flow(struct flow_message *m)
{
    bool shared = m->f.r.parts;
    u32 bytes = shared ? sizeof *m : sizeof m->f;
    u64 how = wakeup(&bulk, RING_BULK_BYTES, bytes, false);

    m->f.r.bytes = bytes;
    return !(shared ? bpf_ringbuf_output(&bulk, m, sizeof *m, how)
                    : bpf_ringbuf_output(&bulk, m, sizeof m->f, how));
}

static __always_inline void send_flow(struct flow_message *m, u32 pid)
{
    bool told = false;

    if (bulk_allowed_for(pid, 0, COUNT_FLOW)) {
        told = put_flow(m);
        if (told)
            COUNT(sent[COUNT_FLOW]);
        else
            COUNT(lost[COUNT_FLOW]);
    }
    if (!told)
        untold(m->f.sent, m->f.received);
}

// Taken out where the socket goes on: what comes meanwhile belongs to the next account.
static __always_inline u64 take(u64 *count, bool out)
{
    return out ? __sync_lock_test_and_set(count, 0) : *count;
}

// Everything but addresses and totals.
static __always_inline void flow_of(struct flow_message *m, struct socket_state *s, bool out)
{
    u64 now = bpf_ktime_get_boot_ns();

    m->f.r.kind = RECORD_FLOW;
    m->f.r.time = now;
    m->f.r.pid = m->f.r.tid = s->shares[0].pid;
    m->f.r.start = s->shares[0].start;
    m->f.flags = s->flags;
    m->f.began = s->began;
    m->f.others_sent = take(&s->others_sent, out);
    m->f.others_received = take(&s->others_received, out);
    m->f.packets_sent = take(&s->packets_sent, out);
    m->f.packets_received = take(&s->packets_received, out);
    __builtin_memcpy(m->f.name, s->name, sizeof m->f.name);
    m->part.number = PART_SHARES;
    m->part.bytes = sizeof m->shares;
#pragma unroll
    for (int i = 0; i < (int)FLOW_SHARES; i++) {
        m->shares[i].pid = s->shares[i].pid;
        m->shares[i].start = s->shares[i].start;
        m->shares[i].sent = take(&s->shares[i].sent, out);
        m->shares[i].received = take(&s->shares[i].received, out);
    }
    m->f.r.parts = m->shares[1].pid != 0;
}

// Of a connection that one process alone used, as most are: made in the ring itself.
static __always_inline bool tell_unshared(struct sock *sk, const struct socket_state *s,
                                          const struct tcp_sock *tcp, u64 now, u64 sent,
                                          u64 received)
{
    u64 how = wakeup(&bulk, RING_BULK_BYTES, sizeof(struct record_flow), false);
    struct record_flow *f = bpf_ringbuf_reserve(&bulk, sizeof *f, 0);

    if (!f)
        return false;
    f->r = (struct record){.bytes = sizeof *f,
                           .kind = RECORD_FLOW,
                           .time = now,
                           .pid = s->shares[0].pid,
                           .tid = s->shares[0].pid,
                           .start = s->shares[0].start};
    f->flags = s->flags | addresses(sk, f->local, f->remote) | SOCKET_OVER;
    f->protocol = IPPROTO_TCP;
    f->local_port = bpf_ntohs(tcp->inet_conn.icsk_inet.inet_sport); // skc_num is gone by now
    f->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
    f->reserved = 0;
    f->reserved2 = 0;
    f->cookie = bpf_get_socket_cookie(sk);
    f->began = s->began;
    f->sent = sent;
    f->received = received;
    f->packets_sent = f->packets_received = 0;
    f->others_sent = s->others_sent;
    f->others_received = s->others_received;
    __builtin_memcpy(f->name, s->name, sizeof f->name);
    bpf_ringbuf_submit(f, how);
    return true;
}

static __always_inline bool tell_shared(struct sock *sk, struct socket_state *s,
                                        const struct tcp_sock *tcp, u64 sent, u64 received)
{
    struct flow_message m = {};

    flow_of(&m, s, false);
    m.f.flags |= addresses(sk, m.f.local, m.f.remote) | SOCKET_OVER;
    m.f.protocol = IPPROTO_TCP;
    m.f.local_port = bpf_ntohs(tcp->inet_conn.icsk_inet.inet_sport);
    m.f.remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
    m.f.cookie = bpf_get_socket_cookie(sk);
    m.f.sent = sent;
    m.f.received = received;
    return put_flow(&m);
}

static __always_inline void tcp_over(struct sock *sk, struct socket_state *s)
{
    struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
    u64 now, sent, received;

    if (!tcp)
        return;
    now = bpf_ktime_get_boot_ns();
    // Neither counts SYN; only what is received counts a FIN, once it is in order.
    sent = tcp->bytes_sent - tcp->bytes_retrans;
    received = tcp->bytes_received - (sk->__sk_common.skc_flags >> SOCK_DONE & 1);
    if (!bulk_allowed_at(now, s->shares[0].pid, 0, COUNT_FLOW)) {
        untold(sent, received);
    } else if (s->shares[1].pid ? tell_shared(sk, s, tcp, sent, received)
                                : tell_unshared(sk, s, tcp, now, sent, received)) {
        COUNT(sent[COUNT_FLOW]);
    } else {
        COUNT(lost[COUNT_FLOW]);
        untold(sent, received);
    }
}
