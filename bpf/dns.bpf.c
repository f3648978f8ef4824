// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Questions to name servers and their answers, as they go over the wire: UDP, port 53. cgroup programs on the root of the
// cgroup-2 hierarchy; they run for every packet, and for all but a few end at the first comparison. Read in user space.
#include "socket.bpf.h"

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define DNS_PORT 53
#define DNS_HEADER 12

struct dns_message {
    struct record_dns d;
    struct record_part part;
    u8 bytes[DNS_MESSAGE_BYTES];
};

struct { // a packet that comes in may interrupt one that goes out: each has its own
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 2);
    __type(key, u32);
    __type(value, struct dns_message);
} dns_scratch SEC(".maps");

struct udp_header {
    u16 source, destination, length, sum;
};

// Who asks: in sendmsg() the current process, which is remembered for the answer.
static __always_inline bool asked_by(struct dns_message *m, struct bpf_sock *sk, bool answer)
{
    struct socket_state *s =
        bpf_sk_storage_get(&sockets, sk, NULL, answer ? 0 : BPF_SK_STORAGE_GET_F_CREATE);

    if (answer) {
        m->d.r.pid = m->d.r.tid = s ? s->shares[0].pid : 0;
        m->d.r.start = s ? s->shares[0].start : 0;
        if (s)
            __builtin_memcpy(m->d.name, s->name, sizeof m->d.name);
        return bulk_allowed_for(m->d.r.pid, 0, COUNT_DNS);
    }
    head_of_current(&m->d.r, RECORD_DNS, 0);
    // Before 6.13 there is no bpf_get_current_comm() for packets.
    bpf_probe_read_kernel_str(m->d.name, sizeof m->d.name, current_task()->comm);
    if (!s)
        COUNT(sockets_full);
    else if (!s->shares[0].pid) {
        s->shares[0].pid = m->d.r.pid;
        s->shares[0].start = m->d.r.start;
        __builtin_memcpy(s->name, m->d.name, sizeof s->name);
    }
    return bulk_allowed_for(m->d.r.pid, 0, COUNT_DNS);
}

static __always_inline void tell(struct __sk_buff *skb, const struct udp_header *udp, u32 offset,
                                 u32 ip_offset, bool answer)
{
    u32 which = answer, inet6 = skb->protocol == bpf_htons(ETH_P_IPV6);
    struct dns_message *m = bpf_map_lookup_elem(&dns_scratch, &which);
    struct bpf_sock *sk = skb->sk;
    u32 bytes = skb->len - offset;

    if (!m || !sk || skb->len < offset + DNS_HEADER || !(sk = bpf_sk_fullsock(sk)))
        return;
    __builtin_memset(&m->d, 0, sizeof m->d);
    if (!asked_by(m, sk, answer))
        return;
    m->d.r.kind = RECORD_DNS;
    m->d.r.parts = 1;
    m->d.r.time = bpf_ktime_get_boot_ns();
    m->d.flags = (answer ? DNS_ANSWER : 0) | (inet6 ? DNS_INET6 : 0);
    m->d.local_port = bpf_ntohs(answer ? udp->destination : udp->source);
    m->d.cookie = bpf_get_socket_cookie(skb);
    if (inet6 ? bpf_skb_load_bytes(skb, ip_offset, m->d.server, 16)
              : bpf_skb_load_bytes(skb, ip_offset, m->d.server, 4))
        return;
    m->part.number = PART_MESSAGE;
    m->part.flags = bytes > DNS_MESSAGE_BYTES ? PART_CUT : 0;
    if (bytes > DNS_MESSAGE_BYTES)
        bytes = DNS_MESSAGE_BYTES;
    asm volatile("" : "+r"(bytes)); // so that the check below is the one the verifier sees
    if (bytes < DNS_HEADER || bytes > DNS_MESSAGE_BYTES ||
        bpf_skb_load_bytes(skb, offset, m->bytes, bytes))
        return;
    m->part.bytes = bytes;
    bytes = sizeof m->d + sizeof m->part + ((bytes + 7) & ~7u);
    m->d.r.bytes = bytes;
    if (bytes <= sizeof *m)
        send_bulk(m, bytes, COUNT_DNS);
}

static __always_inline void look(struct __sk_buff *skb, bool answer)
{
    u8 *data = (u8 *)(long)skb->data, *end = (u8 *)(long)skb->data_end;
    u32 offset, ip_offset;
    struct udp_header udp;

    if (data + 20 > end)
        return;
    if (skb->protocol == bpf_htons(ETH_P_IP)) {
        if (data[9] != IPPROTO_UDP)
            return;
        offset = (data[0] & 15u) * 4;
        ip_offset = answer ? 12 : 16;
    } else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
        if (data[6] != IPPROTO_UDP)
            return;
        offset = 40;
        ip_offset = answer ? 8 : 24;
    } else {
        return;
    }
    if (bpf_skb_load_bytes(skb, offset, &udp, sizeof udp) ||
        (answer ? udp.source : udp.destination) != bpf_htons(DNS_PORT))
        return;
    tell(skb, &udp, offset + sizeof udp, ip_offset, answer);
}

SEC("cgroup_skb/egress")
int on_question(struct __sk_buff *skb)
{
    look(skb, false);
    return 1;
}

SEC("cgroup_skb/ingress")
int on_answer(struct __sk_buff *skb)
{
    look(skb, true);
    return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
