// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Records about sockets, flows and names: written by connect.bpf.c, flow.bpf.c and dns.bpf.c, read by
// src/sensor/decode_net.c. Addresses: IPv4 in the first 4 bytes, network order; ports in host order. IPv4 inside of IPv6
// sockets is told as IPv4.
#pragma once
#include "record_base.h"

enum {
    CONNECT_DENIED = 1,
    CONNECT_INET6 = 2,
    CONNECT_SEND = 4 /* sendmsg of an unconnected socket */,
    CONNECT_CONTAINED = 8 /* denied because its lineage is contained */
};

struct record_connect {
    struct record r;
    __u32 flags;
    __u16 protocol, source_port, destination_port, reserved;
    __u32 rule; // of the denying prefix, as it was given
    __u64 cookie;
    __u8 source[16], destination[16];
    char name[16];
};

enum record_socket_action { // the same numbers as in schema/tiercel.proto
    RECORD_BIND,
    RECORD_LISTEN,
    RECORD_ACCEPT,
};

struct record_socket {
    struct record r;
    __u32 flags; // SOCKET_INET6
    __u16 action, protocol, local_port, remote_port;
    __u32 reserved;
    __u64 cookie;
    __u8 local[16], remote[16];
    char name[16];
};

enum { // of sockets and flows; also kept with the socket
    SOCKET_INET6 = 1,
    SOCKET_INITIATED = 2,
    SOCKET_ACCEPTED = 4,
    SOCKET_BEFORE = 8, // open before the agent
    SOCKET_UNCLAIMED =
        16, // accepted, and no process has used it yet: the listener's owner stands for it
    SOCKET_REMOTE = 32,    // UDP: .remote is known
    SOCKET_SEVERAL = 64,   // UDP: with more than one remote address
    SOCKET_OVER = 128,     // UDP: closed; else this is an account of a socket that goes on
    SOCKET_UNSHARED = 256, // more processes than FLOW_SHARES used it: .others
};

#define FLOW_SHARES 4u // processes told apart on one socket
struct record_share {
    __u64 start;
    __u32 pid, reserved;
    __u64 sent, received; // as its system calls returned
};

// r is the process that opened or accepted it; pid 0: nobody knows. Then, where anybody but r's process used it, one
// part: PART_SHARES, FLOW_SHARES times struct record_share.
struct record_flow {
    struct record r;
    __u32 flags;
    __u16 protocol, local_port, remote_port, reserved;
    __u32 reserved2;
    __u64 cookie;
    __u64 began; // CLOCK_BOOTTIME
    __u64 sent, received;
    __u64 packets_sent, packets_received;
    __u64 others_sent, others_received; // of those beyond FLOW_SHARES
    __u8 local[16], remote[16];
    char name[16];
};

enum { DNS_ANSWER = 1, DNS_INET6 = 2 };
#define DNS_MESSAGE_BYTES 512u // of a message; the rest is cut and marked
struct record_dns {            // then one part: PART_MESSAGE
    struct record r;
    __u32 flags;
    __u16 local_port, reserved;
    __u64 cookie;
    __u8 server[16];
    char name[16];
};

_Static_assert(sizeof(struct record_connect) == 104, "connect");
_Static_assert(sizeof(struct record_socket) == 104, "socket");
_Static_assert(sizeof(struct record_share) == 32, "share");
_Static_assert(sizeof(struct record_flow) == 160, "flow");
_Static_assert(sizeof(struct record_dns) == 80, "dns");
