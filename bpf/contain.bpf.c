// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A contained host: IP packets of its sockets pass only over loopback and to or from allowed addresses, until a time that
// the programs look at themselves. On the root of the cgroup-2 hierarchy, attached only while it is contained, pinned.
// What else passes, so that the allowed addresses stay reachable: IPv6 neighbour discovery, DHCP to the local segment.
// Not seen here: ARP and packets of AF_PACKET and AF_XDP sockets, what is forwarded for others.
#include "contain.h"
#include "tiercel_kernel.h"

#include <bpf/bpf_endian.h>

#define REFUSE 0
#define PASS 1
#define LOOPBACK_INDEX 1
#define IPV4 0x0800
#define IPV6 0x86dd
#define UDP 17
#define ICMP6 58

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, struct contain_state);
} contain_state SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, CONTAIN_ALLOWED);
    __type(key, struct contain_key4);
    __type(value, u8);
} contain_allow4 SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, CONTAIN_ALLOWED);
    __type(key, struct contain_key6);
    __type(value, u8);
} contain_allow6 SEC(".maps");

static __always_inline bool over(void)
{
    u32 zero = 0;
    struct contain_state *s = bpf_map_lookup_elem(&contain_state, &zero);

    return !s || bpf_ktime_get_boot_ns() >= s->until;
}

static __always_inline bool allowed4(u32 ip)
{
    struct contain_key4 key = {.bits = 32};

    __builtin_memcpy(key.ip, &ip, 4);
    return (ip & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000) ||
           bpf_map_lookup_elem(&contain_allow4, &key);
}

static __always_inline bool allowed6(const u32 ip[4])
{
    struct contain_key6 key = {.bits = 128};

    if (!ip[0] && !ip[1]) {
        if (!ip[2] && ip[3] == bpf_htonl(1))
            return true;
        if (ip[2] == bpf_htonl(0xffff))
            return allowed4(ip[3]);
    }
    __builtin_memcpy(key.ip, ip, 16);
    return bpf_map_lookup_elem(&contain_allow6, &key);
}

struct ip4 { // the header's first 20 bytes
    u8 version_length, service;
    u16 total, id, fragment;
    u8 ttl, protocol;
    u16 check;
    u32 source, destination;
};
struct ip6 {
    u32 version_flow;
    u16 payload;
    u8 next, hops;
    u32 source[4], destination[4];
};
struct ports {
    u16 source, destination;
};

static __always_inline bool lease4(struct __sk_buff *skb, const struct ip4 *ip, bool out)
{
    struct ports p;

    if (ip->protocol != UDP || ip->fragment & bpf_htons(0x3fff) ||
        bpf_skb_load_bytes(skb, (ip->version_length & 15) * 4, &p, sizeof p) < 0)
        return false;
    return out ? p.destination == bpf_htons(67) && ip->destination == 0xffffffff
               : p.source == bpf_htons(67) && p.destination == bpf_htons(68);
}

// Neighbour and router discovery, never from beyond the segment: 255 hops are left. DHCPv6 to the segment's servers.
static __always_inline bool segment6(struct __sk_buff *skb, const struct ip6 *ip, bool out)
{
    struct ports p;
    u8 type;

    if (ip->next == ICMP6)
        return ip->hops == 255 && bpf_skb_load_bytes(skb, sizeof *ip, &type, 1) == 0 &&
               type >= 133 && type <= 137;
    if (ip->next != UDP || bpf_skb_load_bytes(skb, sizeof *ip, &p, sizeof p) < 0)
        return false;
    return out ? p.destination == bpf_htons(547) && ip->destination[0] == bpf_htonl(0xff020000) &&
                     !ip->destination[1] && !ip->destination[2] &&
                     ip->destination[3] == bpf_htonl(0x00010002)
               : p.source == bpf_htons(547) && p.destination == bpf_htons(546);
}

static __always_inline int packet(struct __sk_buff *skb, bool out)
{
    if (over() || skb->ifindex == LOOPBACK_INDEX)
        return PASS;
    if (skb->protocol == bpf_htons(IPV4)) {
        struct ip4 ip;
        if (bpf_skb_load_bytes(skb, 0, &ip, sizeof ip) < 0)
            return REFUSE;
        return allowed4(out ? ip.destination : ip.source) || lease4(skb, &ip, out) ? PASS : REFUSE;
    }
    if (skb->protocol == bpf_htons(IPV6)) {
        struct ip6 ip;
        if (bpf_skb_load_bytes(skb, 0, &ip, sizeof ip) < 0)
            return REFUSE;
        return allowed6(out ? ip.destination : ip.source) || segment6(skb, &ip, out) ? PASS
                                                                                     : REFUSE;
    }
    return REFUSE;
}

SEC("cgroup_skb/egress")
int contain_out(struct __sk_buff *skb)
{
    return packet(skb, true);
}

SEC("cgroup_skb/ingress")
int contain_in(struct __sk_buff *skb)
{
    return packet(skb, false);
}

// The same said at once, where a packet that is dropped would be tried again for minutes.
static __always_inline int address4(struct bpf_sock_addr *ctx)
{
    return over() || allowed4(ctx->user_ip4) || ctx->user_ip4 == 0xffffffff ? PASS : REFUSE;
}

static __always_inline int address6(struct bpf_sock_addr *ctx)
{
    u32 ip[4] = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]};
    bool multicast = (ip[0] & bpf_htonl(0xff000000)) == bpf_htonl(0xff000000);

    return over() || allowed6(ip) || multicast ? PASS : REFUSE;
}

SEC("cgroup/connect4")
int contain_connect4(struct bpf_sock_addr *ctx)
{
    return address4(ctx);
}

SEC("cgroup/connect6")
int contain_connect6(struct bpf_sock_addr *ctx)
{
    return address6(ctx);
}

SEC("cgroup/sendmsg4")
int contain_send4(struct bpf_sock_addr *ctx)
{
    return address4(ctx);
}

SEC("cgroup/sendmsg6")
int contain_send6(struct bpf_sock_addr *ctx)
{
    return address6(ctx);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
