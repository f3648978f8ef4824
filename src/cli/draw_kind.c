// SPDX-License-Identifier: Apache-2.0
// What one event says of its kind: the text behind pid, user and lineage in a line of `tiercel events`.
// To add a kind: a word in kinds[] below and, where it has more than that to say, a function.
#include "cli/draw_kind.h"
#include "cli/draw.h"
#include "cli/when.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>

static struct str bytes_of(ProtobufCBinaryData b)
{
    return str_bytes(b.data, b.len);
}

static void add_name(ProtobufCBinaryData b, struct buf *out)
{
    buf_add_str(out, b.len ? bytes_of(b) : STR("?"));
}

static void add_by(const Tiercel__Event *event, struct buf *out)
{
    if (!event->process)
        return;
    buf_add_str(out, STR(" by "));
    process_command(event->process, out);
}

static void add_word(const ProtobufCEnumDescriptor *type, int value, struct buf *out)
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(type, value);
    for (const char *p = v ? v->name : "?"; *p; p++)
        buf_add_char(out, *p == '_' ? ' ' : (char)tolower((unsigned char)*p));
}

static void add_address(const Tiercel__Address *a, struct buf *out)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    char text[INET6_ADDRSTRLEN] = "?";
    bool six = a && a->has_ip && a->ip.len == 16;
    if (!a)
        return;
    if (six && memcmp(a->ip.data, mapped, sizeof mapped) == 0) {
        inet_ntop(AF_INET, a->ip.data + 12, text, sizeof text);
        six = false;
    } else if (six || (a->has_ip && a->ip.len == 4)) {
        inet_ntop(six ? AF_INET6 : AF_INET, a->ip.data, text, sizeof text);
    }
    buf_addf(out, six ? "[%s]:%u" : "%s:%u", text, a->port);
}

static void add_protocol(uint32_t protocol, struct buf *out)
{
    if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP)
        buf_add_str(out, protocol == IPPROTO_TCP ? STR("tcp ") : STR("udp "));
    else
        buf_addf(out, "protocol %u ", protocol);
}

static void add_host(bool has, ProtobufCBinaryData name, struct buf *out)
{
    if (!has)
        return;
    buf_add_str(out, STR(" ("));
    buf_add_str(out, bytes_of(name));
    buf_add_char(out, ')');
}

static void add_bytes(uint64_t n, struct buf *out)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double value = (double)n / 1024;
    size_t unit = 0;
    if (n < 1024) {
        buf_addf(out, "%llu B", (unsigned long long)n);
        return;
    }
    while (value >= 1024 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1024;
        unit++;
    }
    buf_addf(out, "%.1f %s", value, units[unit]);
}

// "812 /usr/sbin/sshd (root)"
static void add_target(const Tiercel__Process *p, struct buf *out)
{
    struct str image = process_image(p);
    if (!p) {
        buf_add_str(out, STR("?"));
        return;
    }
    buf_addf(out, "%u", p->id ? p->id->pid : 0);
    if (image.n || p->has_name) {
        buf_add_char(out, ' ');
        buf_add_str(out, image.n ? image : bytes_of(p->name));
    }
    add_host(p->has_user, p->user, out);
}

static void exec_detail(const Tiercel__Event *event, struct buf *out)
{
    const Tiercel__Process *p = event->process;
    if (event->exec->hash_differs)
        buf_add_str(out, STR("CHANGED AFTER JUDGEMENT "));
    process_command(p, out);
    if (p && p->image && (p->image->memory_only || p->image->deleted))
        buf_addf(out, " [%s]", p->image->memory_only ? "memory only" : "deleted file");
}

static void fork_detail(const Tiercel__Event *event, struct buf *out)
{
    buf_addf(out, "%u from ", event->fork->child ? event->fork->child->pid : 0);
    process_command(event->process, out);
}

static void exit_detail(const Tiercel__Event *event, struct buf *out)
{
    if (event->exit->signal)
        buf_addf(out, "signal %u ", event->exit->signal);
    else
        buf_addf(out, "code %u ", event->exit->code);
    process_command(event->process, out);
}

static void connect_detail(const Tiercel__Event *event, struct buf *out)
{
    const Tiercel__Connect *c = event->connect;
    if (c->has_protocol)
        add_protocol(c->protocol, out);
    buf_add_str(out, STR("to "));
    add_address(c->destination, out);
    add_host(c->has_host_name, c->host_name, out);
    add_by(event, out);
}

static void file_detail(const Tiercel__Event *event, struct buf *out)
{
    const Tiercel__FileChange *f = event->file;
    const ProtobufCEnumValue *action = protobuf_c_enum_descriptor_get_value(
        &tiercel__file_change__action__descriptor, (int)f->action);
    buf_addf(out, "%s ", action ? action->name : "?");
    if (f->has_old_path) {
        buf_add_str(out, bytes_of(f->old_path));
        buf_add_str(out, STR(" -> "));
    }
    if (f->file)
        add_name(f->file->path, out);
    if (f->has_old_mode && f->file)
        buf_addf(out, " %04o -> %04o", f->old_mode & 07777, f->file->mode & 07777);
    if (f->attribute) {
        buf_add_char(out, ' ');
        buf_add_str(out, str_from(f->attribute));
    }
    if (f->protected_)
        buf_add_str(out, STR(" [protected]"));
    if (f->repeated)
        buf_addf(out, " [%llu times more]", (unsigned long long)f->repeated);
    add_by(event, out);
}

static void dns_type(uint32_t type, struct buf *out)
{
    static const struct {
        uint32_t type;
        const char *name;
    } types[] = {{1, "A"},    {2, "NS"},    {5, "CNAME"},  {6, "SOA"},   {10, "NULL"},
                 {12, "PTR"}, {15, "MX"},   {16, "TXT"},   {28, "AAAA"}, {33, "SRV"},
                 {43, "DS"},  {64, "SVCB"}, {65, "HTTPS"}, {255, "ANY"}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].type == type) {
            buf_addf(out, " %s", types[i].name);
            return;
        }
    buf_addf(out, " type %u", type);
}

static void dns_detail(const Tiercel__Event *event, struct buf *out)
{
    const Tiercel__Dns *d = event->dns;
    static const char *const codes[] = {[1] = "question not understood",
                                        [2] = "server failed",
                                        [3] = "no such name",
                                        [4] = "not known to the server",
                                        [5] = "refused by the server"};
    add_name(d->question, out);
    if (d->has_type)
        dns_type(d->type, out);
    if (d->answered || d->n_answers)
        buf_add_str(out, STR(" -> "));
    for (size_t i = 0; i < d->n_answers; i++) {
        buf_add_str(out, i ? STR(", ") : STR(""));
        buf_add_str(out, bytes_of(d->answers[i]));
    }
    if (d->answered && d->code && d->code < sizeof codes / sizeof *codes)
        buf_add_str(out, str_from(codes[d->code]));
    else if (d->answered && d->code)
        buf_addf(out, "code %u", d->code);
    else if (d->answered && !d->n_answers)
        buf_add_str(out, STR("nothing"));
    add_by(event, out);
}

static void socket_detail(const Tiercel__Event *event, struct buf *out)
{
    const Tiercel__Socket *s = event->socket;
    add_word(&tiercel__socket__action__descriptor, (int)s->action, out);
    buf_add_char(out, ' ');
    if (s->has_protocol)
        add_protocol(s->protocol, out);
    add_address(s->local, out);
    if (s->remote) {
        buf_add_str(out, STR(" from "));
        add_address(s->remote, out);
    }
    add_by(event, out);
}

static void flow_detail(const Tiercel__Event *event, struct buf *out)
{
    const Tiercel__Flow *f = event->flow;
    if (f->has_protocol)
        add_protocol(f->protocol, out);
    add_address(f->local, out);
    buf_add_str(out, !f->has_initiated ? STR(" <-> ") : f->initiated ? STR(" -> ") : STR(" <- "));
    add_address(f->remote, out);
    add_host(f->has_host_name, f->host_name, out);
    buf_add_str(out, STR(" sent "));
    add_bytes(f->sent, out);
    buf_add_str(out, STR(" received "));
    add_bytes(f->received, out);
    if (f->has_lasted) {
        buf_add_str(out, STR(" in "));
        when_print_duration(f->lasted, out);
    }
    add_by(event, out);
}

// Linux capability numbers, 0 to 40.
static void add_capabilities(uint64_t bits, struct buf *out)
{
    static const char *const names[] = {"chown",
                                        "dac_override",
                                        "dac_read_search",
                                        "fowner",
                                        "fsetid",
                                        "kill",
                                        "setgid",
                                        "setuid",
                                        "setpcap",
                                        "linux_immutable",
                                        "net_bind",
                                        "net_broadcast",
                                        "net_admin",
                                        "net_raw",
                                        "ipc_lock",
                                        "ipc_owner",
                                        "sys_module",
                                        "sys_rawio",
                                        "sys_chroot",
                                        "sys_ptrace",
                                        "sys_pacct",
                                        "sys_admin",
                                        "sys_boot",
                                        "sys_nice",
                                        "sys_resource",
                                        "sys_time",
                                        "sys_tty_config",
                                        "mknod",
                                        "lease",
                                        "audit_write",
                                        "audit_control",
                                        "setfcap",
                                        "mac_override",
                                        "mac_admin",
                                        "syslog",
                                        "wake_alarm",
                                        "block_suspend",
                                        "audit_read",
                                        "perfmon",
                                        "bpf",
                                        "checkpoint_restore"};
    const unsigned n = sizeof names / sizeof *names;
    const uint64_t all = (UINT64_C(1) << n) - 1;
    bool any = false;
    if ((bits & all) == all) {
        buf_add_str(out, STR("every capability"));
        return;
    }
    for (unsigned i = 0; i < 64; i++) {
        if (!(bits >> i & 1))
            continue;
        buf_add_str(out, any ? STR(" ") : STR(""));
        if (i < n)
            buf_addf(out, "%s", names[i]);
        else
            buf_addf(out, "capability %u", i);
        any = true;
    }
}

static void credentials_detail(const Tiercel__Event *event, struct buf *out)
{
    const Tiercel__CredentialChange *c = event->credentials;
    const Tiercel__Credentials *a = c->old, *b = c->new_;
    if (a && b && a->uid != b->uid)
        buf_addf(out, "uid %u -> %u ", a->uid, b->uid);
    if (a && b && a->euid != b->euid)
        buf_addf(out, "euid %u -> %u ", a->euid, b->euid);
    if (a && b && a->egid != b->egid)
        buf_addf(out, "egid %u -> %u ", a->egid, b->egid);
    if (c->gained) {
        buf_add_str(out, STR("gained "));
        add_capabilities(c->gained, out);
        buf_add_char(out, ' ');
    }
    if (c->late)
        buf_add_str(out, STR("[noticed late] "));
    buf_add_str(out, STR("by "));
    process_command(event->process, out);
}

static void access_detail(const Tiercel__Event *event, struct buf *out)
{
    static const char *const ways[] = {
        [TIERCEL__PROCESS_ACCESS__WAY__ATTACH] = "attach to ",
        [TIERCEL__PROCESS_ACCESS__WAY__READ_MEMORY] = "read memory of ",
        [TIERCEL__PROCESS_ACCESS__WAY__WRITE_MEMORY] = "write memory of ",
        [TIERCEL__PROCESS_ACCESS__WAY__DESCRIPTOR] = "take a descriptor of ",
    };
    unsigned way = (unsigned)event->access->way;
    buf_add_str(out, str_from(way < sizeof ways / sizeof *ways ? ways[way] : "reach into "));
    add_target(event->access->target, out);
    add_by(event, out);
}

static void module_detail(const Tiercel__Event *event, struct buf *out)
{
    const Tiercel__ModuleLoad *m = event->module;
    buf_add_str(out, m->unloaded ? STR("unload ") : STR("load "));
    add_name(m->name, out);
    if (m->file && m->file->has_path) {
        buf_add_str(out, STR(" from "));
        buf_add_str(out, bytes_of(m->file->path));
    }
    add_by(event, out);
}

// enum bpf_prog_type of the kernel, whose numbers never change.
static void bpf_detail(const Tiercel__Event *event, struct buf *out)
{
    static const char *const types[] = {"unspecified",
                                        "socket filter",
                                        "kprobe",
                                        "sched cls",
                                        "sched act",
                                        "tracepoint",
                                        "xdp",
                                        "perf event",
                                        "cgroup skb",
                                        "cgroup sock",
                                        "lwt in",
                                        "lwt out",
                                        "lwt xmit",
                                        "sock ops",
                                        "sk skb",
                                        "cgroup device",
                                        "sk msg",
                                        "raw tracepoint",
                                        "cgroup sock addr",
                                        "lwt seg6local",
                                        "lirc mode2",
                                        "sk reuseport",
                                        "flow dissector",
                                        "cgroup sysctl",
                                        "raw tracepoint writable",
                                        "cgroup sockopt",
                                        "tracing",
                                        "struct ops",
                                        "ext",
                                        "lsm",
                                        "sk lookup",
                                        "syscall",
                                        "netfilter"};
    const Tiercel__BpfLoad *b = event->bpf;
    buf_add_str(out, STR("load "));
    if (b->has_type && b->type < sizeof types / sizeof *types)
        buf_addf(out, "%s ", types[b->type]);
    else if (b->has_type)
        buf_addf(out, "type %u ", b->type);
    add_name(b->name, out);
    if (b->has_function) {
        buf_add_str(out, STR(" on "));
        buf_add_str(out, bytes_of(b->function));
    }
    add_by(event, out);
}

static void mount_detail(const Tiercel__Event *event, struct buf *out)
{
    const Tiercel__Mount *m = event->mount;
    add_word(&tiercel__mount__action__descriptor, (int)m->action, out);
    buf_add_char(out, ' ');
    if (m->has_source && m->source.len) {
        buf_add_str(out, bytes_of(m->source));
        buf_add_str(out, STR(" on "));
    }
    add_name(m->target, out);
    if (m->has_type && m->type.len) {
        buf_add_str(out, STR(" ("));
        buf_add_str(out, bytes_of(m->type));
        buf_add_char(out, ')');
    }
    if (m->flags & MS_BIND)
        buf_add_str(out, STR(" [bind]"));
    add_by(event, out);
}

static void namespaces_detail(const Tiercel__Event *event, struct buf *out)
{
    const Tiercel__NamespaceChange *c = event->namespaces;
    const Tiercel__Namespaces none = TIERCEL__NAMESPACES__INIT;
    const Tiercel__Namespaces *a = c->old ? c->old : &none, *b = c->new_ ? c->new_ : &none;
#define DIFFERS(which) (a->has_##which && b->has_##which && a->which != b->which)
    const struct {
        const char *name;
        bool differs;
    } all[] = {{"user", DIFFERS(user)},       {"mount", DIFFERS(mount)}, {"pid", DIFFERS(pid)},
               {"network", DIFFERS(network)}, {"uts", DIFFERS(uts)},     {"ipc", DIFFERS(ipc)},
               {"cgroup", DIFFERS(cgroup)}};
#undef DIFFERS
    buf_add_str(out, STR("other"));
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].differs)
            buf_addf(out, " %s", all[i].name);
    buf_add_str(out, STR(" namespace"));
    if (c->late)
        buf_add_str(out, STR(" [noticed late]"));
    add_by(event, out);
}

static void signal_detail(const Tiercel__Event *event, struct buf *out)
{
    const Tiercel__Signal *s = event->signal;
    const char *name = s->number < NSIG ? sigabbrev_np((int)s->number) : NULL;
    if (name)
        buf_addf(out, "SIG%s to ", name);
    else
        buf_addf(out, "signal %u to ", s->number);
    add_target(s->target, out);
    add_by(event, out);
}

static void hash_detail(const Tiercel__Event *event, struct buf *out)
{
    const Tiercel__File *f = event->hash->file;
    if (f && f->has_path)
        buf_add_str(out, bytes_of(f->path));
    for (size_t i = 0; f && f->has_sha256 && i < f->sha256.len; i++)
        buf_addf(out, "%s%02x", i ? "" : " sha256 ", f->sha256.data[i]);
}

static void response_detail(const Tiercel__Event *event, struct buf *out)
{
    const Tiercel__Response *r = event->response;
    buf_addf(out, "#%llu ", (unsigned long long)r->id);
    buf_add_str(out, r->action ? str_from(r->action) : STR("?"));
    buf_add_char(out, ' ');
    add_word(&tiercel__response__state__descriptor, (int)r->state, out);
    buf_add_str(out, STR(": "));
    add_name(r->target, out);
    if (r->has_detection)
        buf_addf(out, " for detection #%llu", (unsigned long long)r->detection);
    if (r->by) {
        buf_add_str(out, STR(" by "));
        buf_add_str(out, str_from(r->by));
    }
    if (r->reason) {
        buf_add_str(out, STR(": "));
        buf_add_str(out, str_from(r->reason));
    }
}

static void loss_detail(const Tiercel__Event *event, struct buf *out)
{
    const Tiercel__Loss *l = event->loss;
    buf_addf(out, "%llu %s not seen: %s", (unsigned long long)l->count,
             l->class_ ? l->class_ : "events", l->reason ? l->reason : "no reason given");
}

static void agent_detail(const Tiercel__Event *event, struct buf *out)
{
    buf_addf(out, "%s %s", event->agent->state ? event->agent->state : "",
             event->agent->reason ? event->agent->reason : "");
}

struct kind {
    const char *word;
    enum style style; // where nothing was refused
    void (*detail)(const Tiercel__Event *event, struct buf *out);
};

static const struct kind kinds[] = {
    [TIERCEL__EVENT__KIND_EXEC] = {"exec", STYLE_BOLD, exec_detail},
    [TIERCEL__EVENT__KIND_FORK] = {"fork", STYLE_DIM, fork_detail},
    [TIERCEL__EVENT__KIND_EXIT] = {"exit", STYLE_DIM, exit_detail},
    [TIERCEL__EVENT__KIND_CONNECT] = {"connect", STYLE_CYAN, connect_detail},
    [TIERCEL__EVENT__KIND_FILE] = {"file", STYLE_PLAIN, file_detail},
    [TIERCEL__EVENT__KIND_DNS] = {"dns", STYLE_CYAN, dns_detail},
    [TIERCEL__EVENT__KIND_LOSS] = {"loss", STYLE_MAGENTA, loss_detail},
    [TIERCEL__EVENT__KIND_AGENT] = {"agent", STYLE_DIM, agent_detail},
    [TIERCEL__EVENT__KIND_SOCKET] = {"socket", STYLE_CYAN, socket_detail},
    [TIERCEL__EVENT__KIND_FLOW] = {"flow", STYLE_CYAN, flow_detail},
    [TIERCEL__EVENT__KIND_CREDENTIALS] = {"credentials", STYLE_YELLOW, credentials_detail},
    [TIERCEL__EVENT__KIND_ACCESS] = {"access", STYLE_YELLOW, access_detail},
    [TIERCEL__EVENT__KIND_MODULE] = {"module", STYLE_YELLOW, module_detail},
    [TIERCEL__EVENT__KIND_BPF] = {"bpf", STYLE_YELLOW, bpf_detail},
    [TIERCEL__EVENT__KIND_MOUNT] = {"mount", STYLE_YELLOW, mount_detail},
    [TIERCEL__EVENT__KIND_NAMESPACES] = {"namespaces", STYLE_YELLOW, namespaces_detail},
    [TIERCEL__EVENT__KIND_SIGNAL] = {"signal", STYLE_YELLOW, signal_detail},
    [TIERCEL__EVENT__KIND_HASH] = {"hash", STYLE_DIM, hash_detail},
    [TIERCEL__EVENT__KIND_RESPONSE] = {"response", STYLE_GREEN, response_detail},
};

static const struct kind *kind_of(const Tiercel__Event *event)
{
    size_t i = event->kind_case;
    return i < sizeof kinds / sizeof *kinds && kinds[i].word ? &kinds[i] : NULL;
}

const char *event_kind(const Tiercel__Event *event)
{
    const struct kind *kind = kind_of(event);
    return kind ? kind->word : "other";
}

bool event_denied(const Tiercel__Event *event)
{
    switch (event->kind_case) {
    case TIERCEL__EVENT__KIND_EXEC:
        return event->exec->denied;
    case TIERCEL__EVENT__KIND_CONNECT:
        return event->connect->denied;
    case TIERCEL__EVENT__KIND_FILE:
        return event->file->denied;
    case TIERCEL__EVENT__KIND_SOCKET:
        return event->socket->denied;
    case TIERCEL__EVENT__KIND_ACCESS:
        return event->access->denied;
    case TIERCEL__EVENT__KIND_MODULE:
        return event->module->denied;
    case TIERCEL__EVENT__KIND_BPF:
        return event->bpf->denied;
    case TIERCEL__EVENT__KIND_MOUNT:
        return event->mount->denied;
    case TIERCEL__EVENT__KIND_SIGNAL:
        return event->signal->denied;
    default:
        return false;
    }
}

enum style event_style(const Tiercel__Event *event)
{
    const struct kind *kind = kind_of(event);
    return event_denied(event) ? STYLE_RED : kind ? kind->style : STYLE_DIM;
}

void event_detail(const Tiercel__Event *event, struct buf *out)
{
    const struct kind *kind = kind_of(event);
    if (event_denied(event))
        buf_add_str(out, STR("DENIED "));
    if (kind)
        kind->detail(event, out);
}
