// SPDX-License-Identifier: Apache-2.0
#include "cli/draw.h"
#include "cli/when.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static struct str bytes_of(ProtobufCBinaryData b)
{
    return str_bytes(b.data, b.len);
}

const char *event_kind(const Tiercel__Event *event)
{
    switch (event->kind_case) {
    case TIERCEL__EVENT__KIND_EXEC:
        return "exec";
    case TIERCEL__EVENT__KIND_FORK:
        return "fork";
    case TIERCEL__EVENT__KIND_EXIT:
        return "exit";
    case TIERCEL__EVENT__KIND_CONNECT:
        return "connect";
    case TIERCEL__EVENT__KIND_FILE:
        return "file";
    case TIERCEL__EVENT__KIND_DNS:
        return "dns";
    case TIERCEL__EVENT__KIND_LOSS:
        return "loss";
    case TIERCEL__EVENT__KIND_AGENT:
        return "agent";
    default:
        return "other";
    }
}

static void address(const Tiercel__Address *a, struct buf *out)
{
    char text[INET6_ADDRSTRLEN] = "?";
    if (!a)
        return;
    if (a->has_ip && (a->ip.len == 4 || a->ip.len == 16))
        inet_ntop(a->ip.len == 4 ? AF_INET : AF_INET6, a->ip.data, text, sizeof text);
    buf_addf(out, a->ip.len == 16 ? "[%s]:%u" : "%s:%u", text, a->port);
}

static void connect_detail(const Tiercel__Event *event, struct buf *out)
{
    const Tiercel__Connect *c = event->connect;
    if (c->denied)
        buf_add_str(out, STR("DENIED "));
    if (c->has_protocol && c->protocol != IPPROTO_TCP && c->protocol != IPPROTO_UDP)
        buf_addf(out, "protocol %u ", c->protocol);
    else if (c->has_protocol)
        buf_add_str(out, c->protocol == IPPROTO_TCP ? STR("tcp ") : STR("udp "));
    buf_add_str(out, STR("to "));
    address(c->destination, out);
    if (c->has_host_name) {
        buf_add_str(out, STR(" ("));
        buf_add_str(out, bytes_of(c->host_name));
        buf_add_char(out, ')');
    }
    buf_add_str(out, STR(" by "));
    process_command(event->process, out);
}

static void file_detail(const Tiercel__FileChange *f, struct buf *out)
{
    const ProtobufCEnumValue *action = protobuf_c_enum_descriptor_get_value(
        &tiercel__file_change__action__descriptor, (int)f->action);
    buf_addf(out, "%s%s ", f->denied ? "DENIED " : "", action ? action->name : "?");
    if (f->has_old_path) {
        buf_add_str(out, bytes_of(f->old_path));
        buf_add_str(out, STR(" -> "));
    }
    if (f->file)
        buf_add_str(out, bytes_of(f->file->path));
}

static void exec_detail(const Tiercel__Event *event, struct buf *out)
{
    const Tiercel__Exec *x = event->exec;
    if (x->denied)
        buf_add_str(out, STR("DENIED "));
    if (x->hash_differs)
        buf_add_str(out, STR("CHANGED AFTER JUDGEMENT "));
    process_command(event->process, out);
    const Tiercel__Process *p = event->process;
    if (p && p->image && (p->image->memory_only || p->image->deleted))
        buf_addf(out, " [%s]", p->image->memory_only ? "memory only" : "deleted file");
}

static void detail(const Tiercel__Event *event, struct buf *out)
{
    switch (event->kind_case) {
    case TIERCEL__EVENT__KIND_EXEC:
        exec_detail(event, out);
        break;
    case TIERCEL__EVENT__KIND_CONNECT:
        connect_detail(event, out);
        break;
    case TIERCEL__EVENT__KIND_FILE:
        file_detail(event->file, out);
        break;
    case TIERCEL__EVENT__KIND_FORK:
        buf_addf(out, "%u from ", event->fork->child ? event->fork->child->pid : 0);
        process_command(event->process, out);
        break;
    case TIERCEL__EVENT__KIND_EXIT:
        if (event->exit->signal)
            buf_addf(out, "signal %u ", event->exit->signal);
        else
            buf_addf(out, "code %u ", event->exit->code);
        process_command(event->process, out);
        break;
    case TIERCEL__EVENT__KIND_DNS:
        buf_add_str(out, bytes_of(event->dns->question));
        break;
    case TIERCEL__EVENT__KIND_LOSS:
        buf_addf(out, "%llu %s not seen: %s", (unsigned long long)event->loss->count,
                 event->loss->class_ ? event->loss->class_ : "events",
                 event->loss->reason ? event->loss->reason : "no reason given");
        break;
    case TIERCEL__EVENT__KIND_AGENT:
        buf_addf(out, "%s %s", event->agent->state ? event->agent->state : "",
                 event->agent->reason ? event->agent->reason : "");
        break;
    default:
        break;
    }
}

static enum style kind_style(const Tiercel__Event *event)
{
    switch (event->kind_case) {
    case TIERCEL__EVENT__KIND_EXEC:
        return event->exec->denied ? STYLE_RED : STYLE_BOLD;
    case TIERCEL__EVENT__KIND_CONNECT:
        return event->connect->denied ? STYLE_RED : STYLE_CYAN;
    case TIERCEL__EVENT__KIND_LOSS:
        return STYLE_MAGENTA;
    default:
        return STYLE_DIM;
    }
}

void draw_event(const struct term *t, const Tiercel__Event *event, uint64_t now_ns, struct buf *out)
{
    const Tiercel__Process *p = event->process;
    _cleanup_buf_ struct buf text = {0}, head = {0}, user = {0};
    when_print_clock(event->time, now_ns, &head);
    buf_addf(&head, "  %-7s ", event_kind(event));
    unsigned column = (unsigned)head.n;
    style_begin(t, kind_style(event), out);
    buf_add_str(out, buf_str(&head));
    style_end(t, kind_style(event), out);
    unsigned used = p && p->has_user ? text_cut(t, bytes_of(p->user), 10, &user) : 0;
    buf_addf(out, "%7u  " STR_FMT "%*s  ", p && p->id ? p->id->pid : 0, STR_ARG(buf_str(&user)),
             (int)(10 - used), "");
    _cleanup_buf_ struct buf role = {0};
    used = p && p->lineage ? text_cut(t, str_from(p->lineage->role), 9, &role) : 0;
    buf_addf(out, STR_FMT "%*s  ", STR_ARG(buf_str(&role)), (int)(9 - used), "");
    column += 7 + 2 + 10 + 2 + 9 + 2;
    detail(event, &text);
    unsigned room = t->width > column + 20 ? t->width - column : 20;
    text_cut(t, buf_str(&text), t->width ? room : 0, out);
    buf_add_char(out, '\n');
}
