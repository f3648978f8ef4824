// SPDX-License-Identifier: Apache-2.0
// Records of bpf/record_net.h: connections, sockets, flows. Names: decode_dns.c.
#include "sensor/decode_private.h"

static ProtobufCBinaryData name_of(struct decoder *d, const char name[16])
{
    return decode_bytes(d, (struct str){name, strnlen(name, 16)});
}

Tiercel__Address *decode_address(struct decoder *d, const uint8_t ip[16], uint16_t port, bool inet6)
{
    static const uint8_t unknown[16];
    size_t length = inet6 ? 16 : 4;
    Tiercel__Address *a;

    if (!port && !memcmp(ip, unknown, length))
        return NULL;
    a = arena_alloc(d->arena, sizeof *a);
    if (!a) {
        d->refused = true;
        return NULL;
    }
    tiercel__address__init(a);
    SET(a, ip, decode_bytes(d, (struct str){(const char *)ip, length}));
    SET(a, port, port);
    return a;
}

void decode_connect(struct decoder *d, Tiercel__Event *event)
{
    const struct record_connect *c = (const struct record_connect *)d->record;
    bool inet6 = (c->flags & CONNECT_INET6) != 0;

    SET(event->process, name, name_of(d, c->name));
    MESSAGE(d, event->connect, tiercel__connect);
    event->kind_case = TIERCEL__EVENT__KIND_CONNECT;
    d->out->flags = c->flags;
    d->out->rule = c->rule;
    d->out->denied = (c->flags & CONNECT_DENIED) != 0;
    SET(event->connect, protocol, c->protocol);
    SET(event->connect, denied, (c->flags & CONNECT_DENIED) != 0);
    SET(event->connect, initiated, true);
    if (c->cookie)
        SET(event->connect, cookie, c->cookie);
    MESSAGE(d, event->connect->destination, tiercel__address);
    SET(event->connect->destination, ip,
        decode_bytes(d, (struct str){(const char *)c->destination, inet6 ? 16 : 4}));
    SET(event->connect->destination, port, c->destination_port);
    // Unbound: the kernel chooses it after we were asked.
    event->connect->source = decode_address(d, c->source, c->source_port, inet6);
}

void decode_socket(struct decoder *d, Tiercel__Event *event)
{
    const struct record_socket *s = (const struct record_socket *)d->record;
    bool inet6 = (s->flags & SOCKET_INET6) != 0;

    SET(event->process, name, name_of(d, s->name));
    MESSAGE(d, event->socket, tiercel__socket);
    event->kind_case = TIERCEL__EVENT__KIND_SOCKET;
    d->bad = s->action > RECORD_ACCEPT;
    d->out->flags = s->flags;
    SET(event->socket, action, (Tiercel__Socket__Action)s->action);
    SET(event->socket, protocol, s->protocol);
    if (s->cookie)
        SET(event->socket, cookie, s->cookie);
    MESSAGE(d, event->socket->local, tiercel__address);
    SET(event->socket->local, ip,
        decode_bytes(d, (struct str){(const char *)s->local, inet6 ? 16 : 4}));
    SET(event->socket->local, port, s->local_port);
    if (s->action == RECORD_ACCEPT)
        event->socket->remote = decode_address(d, s->remote, s->remote_port, inet6);
}

void decode_flow(struct decoder *d, Tiercel__Event *event)
{
    const struct record_flow *f = (const struct record_flow *)d->record;
    bool inet6 = (f->flags & SOCKET_INET6) != 0;
    Tiercel__Flow *flow;

    if (f->r.pid)
        SET(event->process, name, name_of(d, f->name));
    else
        event->process = NULL; // it was open before the agent, and no process had it
    MESSAGE(d, flow, tiercel__flow);
    event->flow = flow;
    event->kind_case = TIERCEL__EVENT__KIND_FLOW;
    d->out->flags = f->flags;
    flow->local = decode_address(d, f->local, f->local_port, inet6);
    flow->remote = decode_address(d, f->remote, f->remote_port, inet6);
    SET(flow, protocol, f->protocol);
    if (f->flags & (SOCKET_INITIATED | SOCKET_ACCEPTED))
        SET(flow, initiated, (f->flags & SOCKET_INITIATED) != 0);
    SET(flow, sent, f->sent);
    SET(flow, received, f->received);
    if (f->began && f->r.time >= f->began)
        SET(flow, lasted, f->r.time - f->began);
    if (f->cookie)
        SET(flow, cookie, f->cookie);
    if (f->flags & SOCKET_BEFORE)
        SET(flow, began_before, true);
    if (f->packets_sent || f->packets_received) {
        SET(flow, packets_sent, f->packets_sent);
        SET(flow, packets_received, f->packets_received);
    }
}

// Two shares of one process, made by two of its threads at the same moment, become one.
static Tiercel__FlowShare *share_of(Tiercel__Flow *flow, const struct record_share *s)
{
    for (size_t i = 0; i < flow->n_shares; i++)
        if (flow->shares[i]->process->pid == s->pid && flow->shares[i]->process->start == s->start)
            return flow->shares[i];
    return NULL;
}

void decode_flow_part(struct decoder *d, unsigned number, unsigned part_flags, struct str s)
{
    Tiercel__Flow *flow = d->out->event->flow;
    size_t n = s.n / sizeof(struct record_share);

    (void)part_flags;
    if (number != PART_SHARES || n > FLOW_SHARES)
        return;
    flow->shares = arena_array(d->arena, Tiercel__FlowShare *, FLOW_SHARES);
    if (!flow->shares) {
        d->refused = true;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct record_share share;
        Tiercel__FlowShare *out;
        memcpy(&share, s.p + i * sizeof share, sizeof share);
        if (!share.pid)
            continue;
        out = share_of(flow, &share);
        if (!out) {
            MESSAGE(d, out, tiercel__flow_share);
            out->process = decode_process_id(d, share.pid, share.start);
            if (!out->process)
                return;
            flow->shares[flow->n_shares++] = out;
        }
        SET(out, sent, out->sent + share.sent);
        SET(out, received, out->received + share.received);
    }
}
