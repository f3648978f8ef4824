// SPDX-License-Identifier: Apache-2.0
// Records of bpf/record_net.h: sockets, flows, names.
#include "sensor/decode_private.h"

void decode_connect(struct decoder *d, Tiercel__Event *event)
{
    const struct record_connect *c = (const struct record_connect *)d->record;
    size_t length = c->flags & CONNECT_INET6 ? 16 : 4;
    static const uint8_t unknown[16];

    SET(event->process, name,
        decode_bytes(d, (struct str){c->name, strnlen(c->name, sizeof c->name)}));
    MESSAGE(d, event->connect, tiercel__connect);
    event->kind_case = TIERCEL__EVENT__KIND_CONNECT;
    d->out->flags = c->flags;
    d->out->rule = c->rule;
    d->out->denied = (c->flags & CONNECT_DENIED) != 0;
    SET(event->connect, protocol, c->protocol);
    SET(event->connect, denied, (c->flags & CONNECT_DENIED) != 0);
    SET(event->connect, initiated, true);
    MESSAGE(d, event->connect->destination, tiercel__address);
    SET(event->connect->destination, ip,
        decode_bytes(d, (struct str){(const char *)c->destination, length}));
    SET(event->connect->destination, port, c->destination_port);
    if (!c->source_port && !memcmp(c->source, unknown, length))
        return; // the kernel chooses it after we were asked
    MESSAGE(d, event->connect->source, tiercel__address);
    SET(event->connect->source, ip, decode_bytes(d, (struct str){(const char *)c->source, length}));
    SET(event->connect->source, port, c->source_port);
}
