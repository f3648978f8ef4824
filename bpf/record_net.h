// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Records about sockets, flows and names: written by connect.bpf.c, flow.bpf.c and dns.bpf.c, read by
// src/sensor/decode_net.c.
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
    __u16 protocol, source_port, destination_port, reserved; // ports in host order
    __u32 rule;                       // of the denying prefix, as it was given
    __u8 source[16], destination[16]; // IPv4: the first 4 bytes, network order
    char name[16];
};
_Static_assert(sizeof(struct record_connect) == 96, "connect");
