// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A contained lineage's sockets, also those that were connected before: nothing is sent, received or accepted but with
// allowed addresses. What it connects to anew is connect.bpf.c's. Needs LSM programs. While nothing is contained each
// hook costs one load.
#include "maps.bpf.h"
#include "socket_kernel.h"

#include <bpf/bpf_endian.h>

#define EPERM 1
#define UNIX 1
#define INET 2
#define INET6 10
#define NETLINK 16
#define ALGORITHMS 38

volatile __u32 any_contained;

struct { // connect.bpf.c's
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 65536);
    __type(key, struct net_prefix4);
    __type(value, struct net_policy);
} net4 SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 65536);
    __type(key, struct net_prefix6);
    __type(value, struct net_policy);
} net6 SEC(".maps");

static __always_inline bool contained(void)
{
    return any_contained && flags_of(bpf_get_current_pid_tgid() >> 32) & FLAG_CONTAINED;
}

static __always_inline bool allowed4(u32 ip)
{
    struct net_prefix4 key = {.bits = 32};
    struct net_policy *policy;

    __builtin_memcpy(key.ip, &ip, 4);
    policy = bpf_map_lookup_elem(&net4, &key);
    return policy && policy->action == NET_ALLOW;
}

static __always_inline bool allowed6(const u32 ip[4])
{
    struct net_prefix6 key = {.bits = 128};
    struct net_policy *policy;

    if (!ip[0] && !ip[1] && ip[2] == bpf_htonl(0xffff))
        return allowed4(ip[3]);
    __builtin_memcpy(key.ip, ip, 16);
    policy = bpf_map_lookup_elem(&net6, &key);
    return policy && policy->action == NET_ALLOW;
}

// 0: pass. A datagram socket without a peer names it with each message: the cgroup programs look at that.
static __always_inline int flow(struct socket *sock, bool sends)
{
    struct sock *sk = sock->sk;
    u16 family;
    u32 ip[4];

    if (!sk)
        return 0;
    family = sk->__sk_common.skc_family;
    if (family == UNIX || family == NETLINK || family == ALGORITHMS)
        return 0;
    if (family == INET) {
        u32 peer = sk->__sk_common.skc_daddr;
        return (!peer && sends) || (peer && allowed4(peer)) ? 0 : -EPERM;
    }
    if (family != INET6)
        return -EPERM;
    BPF_CORE_READ_INTO(&ip, sk, __sk_common.skc_v6_daddr);
    if (!ip[0] && !ip[1] && !ip[2] && !ip[3])
        return sends ? 0 : -EPERM;
    return allowed6(ip) ? 0 : -EPERM;
}

SEC("lsm/socket_sendmsg")
int BPF_PROG(lineage_send, struct socket *sock, struct msghdr *msg, int size, int ret)
{
    return ret || !contained() ? ret : flow(sock, true);
}

SEC("lsm/socket_recvmsg")
int BPF_PROG(lineage_receive, struct socket *sock, struct msghdr *msg, int size, int flags, int ret)
{
    return ret || !contained() ? ret : flow(sock, false);
}

SEC("lsm/socket_accept")
int BPF_PROG(lineage_accept, struct socket *sock, struct socket *newsock, int ret)
{
    struct sock *sk = sock->sk;

    return ret || !sk || sk->__sk_common.skc_family == UNIX || !contained() ? ret : -EPERM;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
