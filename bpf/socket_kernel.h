// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The kernel's structures of sockets, as in tiercel_kernel.h: only the fields that our programs use.
#pragma once
#include "tiercel_kernel.h"

#define AF_INET 2
#define AF_INET6 10
#define MSG_PEEK 2
#define MSG_ERRQUEUE 0x2000
#define SOCK_DONE 1 // number of the bit of skc_flags that tcp_fin() sets

enum {
    TCP_ESTABLISHED = 1,
    TCP_SYN_SENT = 2,
    TCP_SYN_RECV = 3,
    TCP_CLOSE = 7,
    TCP_LISTEN = 10,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct in6_addr___socket {
    union {
        u32 u6_addr32[4];
    } in6_u;
};

struct sock_common {
    u32 skc_daddr, skc_rcv_saddr;
    u16 skc_dport, skc_num;
    unsigned short skc_family;
    unsigned long skc_flags;
    struct in6_addr___socket skc_v6_daddr, skc_v6_rcv_saddr;
};

typedef struct {
    int owned;
} socket_lock_t;

struct sock {
    struct sock_common __sk_common;
    socket_lock_t sk_lock;
    u16 sk_protocol;
};

struct socket {
    struct sock *sk;
};

struct inet_sock {
    struct sock sk;
    u16 inet_sport;
};

struct inet_connection_sock {
    struct inet_sock icsk_inet;
};

struct tcp_sock {
    struct inet_connection_sock inet_conn;
    u64 bytes_sent, bytes_retrans, bytes_received;
};

struct msghdr;
struct page;
struct pipe_inode_info;
struct proto_accept_arg;
struct sk_buff;

struct bpf_iter_meta;
struct bpf_iter__task_file {
    struct bpf_iter_meta *meta;
    struct task_struct *task;
    u32 fd;
    struct file *file;
};

#pragma clang attribute pop
