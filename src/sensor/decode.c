// SPDX-License-Identifier: Apache-2.0
#include "sensor/decode.h"

#include <errno.h>
#include <time.h>

#define NANOSECONDS 1000000000ull

struct decoder {
    struct arena *arena;
    const struct decode_clock *clock;
    const struct record_exec *exec;
    struct decoded *out;
    bool refused; // the arena said no
};

struct decode_clock decode_clock_now(void)
{
    struct timespec boot, wall;

    clock_gettime(CLOCK_BOOTTIME, &boot);
    clock_gettime(CLOCK_REALTIME, &wall);
    return (struct decode_clock){(uint64_t)(wall.tv_sec - boot.tv_sec) * NANOSECONDS +
                                 (uint64_t)(wall.tv_nsec - boot.tv_nsec)};
}

// A message of the schema in the arena. On refusal it is a static one that nobody keeps: the event is given up.
#define MESSAGE(d, variable, type)                                                                 \
    do {                                                                                           \
        (variable) = arena_alloc((d)->arena, sizeof *(variable));                                  \
        if (!(variable)) {                                                                         \
            (d)->refused = true;                                                                   \
            return;                                                                                \
        }                                                                                          \
        type##__init(variable);                                                                    \
    } while (0)

static ProtobufCBinaryData bytes_of(struct decoder *d, struct str s)
{
    struct str copy = arena_str(d->arena, s);

    if (!copy.p && s.n)
        d->refused = true;
    return (ProtobufCBinaryData){copy.p ? copy.n : 0, (uint8_t *)copy.p};
}

static Tiercel__ProcessId *process_id(struct decoder *d, uint32_t pid, uint64_t start)
{
    Tiercel__ProcessId *id = arena_alloc(d->arena, sizeof *id);

    if (!id) {
        d->refused = true;
        return NULL;
    }
    tiercel__process_id__init(id);
    id->pid = pid;
    id->start = start;
    return id;
}

// Strings that are each ended by a NUL; what follows the last NUL is one more (a cut part has no last NUL).
static ProtobufCBinaryData *strings(struct decoder *d, struct str s, size_t *ret_n)
{
    ProtobufCBinaryData *list;
    struct str all, piece;
    size_t n = 0, i = 0;

    if (!s.n)
        return NULL;
    for (size_t k = 0; k < s.n; k++)
        n += s.p[k] == 0;
    n += s.p[s.n - 1] != 0;
    all = arena_str(d->arena, s);
    list = arena_array(d->arena, ProtobufCBinaryData, n);
    if (!all.p || !list) {
        d->refused = true;
        return NULL;
    }
    while (i < n) {
        const char *end = memchr(all.p, 0, all.n);
        piece = (struct str){all.p, end ? (size_t)(end - all.p) : all.n};
        list[i++] = (ProtobufCBinaryData){piece.n, (uint8_t *)piece.p};
        all.n -= end ? piece.n + 1 : all.n;
        all.p += piece.n + 1;
    }
    *ret_n = n;
    return list;
}

// Names from the leaf upwards, each with its NUL, become "/root/.../leaf".
static ProtobufCBinaryData path_of(struct decoder *d, struct str names, bool absolute)
{
    size_t at, n = names.n;
    char *out;

    if (!n)
        return bytes_of(d, absolute ? STR("/") : STR_NONE);
    if (!absolute)
        return bytes_of(d, (struct str){names.p, strnlen(names.p, n)});
    if (names.p[n - 1])
        n++; // damaged, but every name needs its slash
    out = arena_alloc(d->arena, n + 1);
    if (!out) {
        d->refused = true;
        return (ProtobufCBinaryData){0, NULL};
    }
    at = n;
    out[n] = 0;
    while (names.n) {
        size_t length = strnlen(names.p, names.n);
        at -= length;
        memcpy(out + at, names.p, length);
        out[--at] = '/';
        length += length < names.n;
        names.p += length;
        names.n -= length;
    }
    return (ProtobufCBinaryData){n, (uint8_t *)out};
}

static void decode_part(struct decoder *d, unsigned number, unsigned part_flags, struct str s)
{
    Tiercel__Process *p = d->out->event->process;

    switch (number) {
    case PART_ARGV:
        p->argv = strings(d, s, &p->n_argv);
        p->has_argv_cut = true;
        p->argv_cut = (part_flags & (PART_CUT | PART_UNREAD)) != 0;
        break;
    case PART_ENVIRONMENT:
        p->environment = strings(d, s, &p->n_environment);
        d->out->environment_cut = (part_flags & (PART_CUT | PART_UNREAD)) != 0;
        break;
    case PART_PATH:
        p->image->has_path = true;
        p->image->path = path_of(d, s, !(d->exec->flags & EXEC_MEMORY_ONLY));
        if (part_flags & (PART_CUT | PART_UNREACHABLE))
            p->image->has_path_cut = p->image->path_cut = true;
        break;
    case PART_DIRECTORY:
        p->has_directory = true;
        p->directory = path_of(d, s, true);
        break;
    case PART_FILENAME:
        d->out->filename = arena_str(d->arena, (struct str){s.p, strnlen(s.p, s.n)});
        break;
    case PART_INTERPRETER:
        d->out->interpreter = arena_str(d->arena, (struct str){s.p, strnlen(s.p, s.n)});
        break;
    case PART_CGROUP:
        p->has_cgroup_path = true;
        p->cgroup_path = path_of(d, s, true);
        break;
    }
}

static int decode_parts(struct decoder *d, struct str rest, unsigned count)
{
    unsigned seen = 0;

    for (unsigned i = 0; i < count; i++) {
        struct record_part part;
        size_t padded;

        if (rest.n < sizeof part)
            return -EBADMSG;
        memcpy(&part, rest.p, sizeof part);
        rest.p += sizeof part;
        rest.n -= sizeof part;
        padded = ((size_t)part.bytes + 7) & ~(size_t)7;
        if (padded > rest.n || !part.number || part.number > PART_LAST || seen & 1u << part.number)
            return -EBADMSG;
        seen |= 1u << part.number;
        decode_part(d, part.number, part.flags, (struct str){rest.p, part.bytes});
        rest.p += padded;
        rest.n -= padded;
    }
    return rest.n ? -EBADMSG : 0;
}

// The script's path: as the caller named it, made absolute by its current directory.
static void set_script(struct decoder *d)
{
    Tiercel__Process *p = d->out->event->process;
    struct str name = d->out->filename;
    char *path;
    size_t n;

    if (!(d->exec->flags & EXEC_SCRIPT) || !name.n)
        return;
    p->has_script = true;
    if (name.p[0] == '/' || !p->has_directory) {
        p->script = bytes_of(d, name);
        return;
    }
    while (str_starts(name, STR("./")))
        name = (struct str){name.p + 2, name.n - 2};
    n = p->directory.len == 1 ? 0 : p->directory.len; // of "/" only the slash below
    path = arena_alloc(d->arena, n + 1 + name.n + 1);
    if (!path) {
        d->refused = true;
        return;
    }
    memcpy(path, p->directory.data, n);
    path[n] = '/';
    memcpy(path + n + 1, name.p, name.n);
    path[n + 1 + name.n] = 0;
    p->script = (ProtobufCBinaryData){n + 1 + name.n, (uint8_t *)path};
}

#define SET(message, field, value) ((message)->has_##field = true, (message)->field = (value))

static void set_file(struct decoder *d, Tiercel__File *f)
{
    const struct record_file *r = &d->exec->file;

    SET(f, device,
        (uint64_t)(r->device >> 20) << 8 | (r->device & 0xff) |
            (uint64_t)(r->device & 0xfff00) << 12);
    SET(f, inode, r->inode);
    SET(f, size, r->size);
    SET(f, mode, r->mode);
    SET(f, owner, r->owner);
    SET(f, changed, r->changed_sec * NANOSECONDS + r->changed_nsec);
    SET(f, memory_only, (d->exec->flags & EXEC_MEMORY_ONLY) != 0);
    SET(f, deleted, (d->exec->flags & EXEC_DELETED) != 0);
}

static void set_credentials(struct decoder *d, Tiercel__Process *p)
{
    const struct record_exec *x = d->exec;

    MESSAGE(d, p->credentials, tiercel__credentials);
    SET(p->credentials, uid, x->uid);
    SET(p->credentials, gid, x->gid);
    SET(p->credentials, euid, x->euid);
    SET(p->credentials, egid, x->egid);
    SET(p->credentials, capabilities, x->capabilities);
    SET(p->credentials, login_uid, x->login_uid);
    SET(p->credentials, session, x->session);
    MESSAGE(d, p->namespaces, tiercel__namespaces);
    SET(p->namespaces, pid, x->ns_pid);
    SET(p->namespaces, mount, x->ns_mount);
    SET(p->namespaces, network, x->ns_network);
    SET(p->namespaces, user, x->ns_user);
    SET(p->namespaces, uts, x->ns_uts);
    SET(p->namespaces, ipc, x->ns_ipc);
    SET(p->namespaces, cgroup, x->ns_cgroup);
    SET(p, cgroup, x->cgroup);
}

static void set_exec(struct decoder *d, Tiercel__Event *event)
{
    const struct record_exec *x = d->exec;
    Tiercel__Process *p = event->process;
    uint64_t changed = x->file.changed_sec * NANOSECONDS + x->file.changed_nsec;

    p->parent = process_id(d, x->parent_pid, x->parent_start);
    MESSAGE(d, p->image, tiercel__file);
    set_file(d, p->image);
    set_credentials(d, p);
    SET(p, name, bytes_of(d, (struct str){x->name, strnlen(x->name, sizeof x->name)}));
    p->descriptors = arena_array(d->arena, Tiercel__DescriptorKind, 3);
    if (!p->descriptors) {
        d->refused = true;
        return;
    }
    p->n_descriptors = 3;
    for (int i = 0; i < 3; i++)
        p->descriptors[i] =
            (Tiercel__DescriptorKind)(x->descriptors[i] <= RECORD_NULL ? x->descriptors[i]
                                                                       : RECORD_OTHER);
    MESSAGE(d, event->exec, tiercel__exec);
    event->kind_case = TIERCEL__EVENT__KIND_EXEC;
    SET(event->exec, judged, (x->flags & EXEC_JUDGED) != 0);
    SET(event->exec, hash_differs, (x->flags & (EXEC_HASH_DIFFERS | EXEC_HASH_UNREAD)) != 0);
    SET(event->exec, unguarded, (x->flags & EXEC_UNGUARDED) != 0);
    if (x->flags & EXEC_OTHER_THREAD)
        event->exec->replaced_thread = process_id(d, x->caller_tid, x->r.start);
    if (event->time >= changed)
        SET(event->exec, file_age, event->time - changed);
}

static void set_connect(struct decoder *d, Tiercel__Event *event, const struct record_connect *c)
{
    size_t length = c->flags & CONNECT_INET6 ? 16 : 4;
    static const uint8_t unknown[16];

    SET(event->process, name, bytes_of(d, (struct str){c->name, strnlen(c->name, sizeof c->name)}));
    MESSAGE(d, event->connect, tiercel__connect);
    event->kind_case = TIERCEL__EVENT__KIND_CONNECT;
    SET(event->connect, protocol, c->protocol);
    SET(event->connect, denied, (c->flags & CONNECT_DENIED) != 0);
    SET(event->connect, initiated, true);
    MESSAGE(d, event->connect->destination, tiercel__address);
    SET(event->connect->destination, ip,
        bytes_of(d, (struct str){(const char *)c->destination, length}));
    SET(event->connect->destination, port, c->destination_port);
    if (!c->source_port && !memcmp(c->source, unknown, length))
        return; // the kernel chooses it after we were asked
    MESSAGE(d, event->connect->source, tiercel__address);
    SET(event->connect->source, ip, bytes_of(d, (struct str){(const char *)c->source, length}));
    SET(event->connect->source, port, c->source_port);
}

static void set_fork(struct decoder *d, Tiercel__Event *event, const struct record_fork *f)
{
    MESSAGE(d, event->fork, tiercel__fork);
    event->kind_case = TIERCEL__EVENT__KIND_FORK;
    event->fork->child = process_id(d, f->child_pid, f->child_start);
}

static void set_exit(struct decoder *d, Tiercel__Event *event, const struct record_exit *x)
{
    MESSAGE(d, event->exit, tiercel__exit);
    event->kind_case = TIERCEL__EVENT__KIND_EXIT;
    SET(event->exit, code, x->status >> 8 & 0xff);
    SET(event->exit, signal, x->status & 0x7f);
    if (x->r.time >= x->r.start)
        SET(event->exit, lived, x->r.time - x->r.start);
}

union any_record {
    struct record r;
    struct record_exec exec;
    struct record_fork fork;
    struct record_exit exit;
    struct record_connect connect;
};

static size_t fixed_bytes(unsigned kind)
{
    switch (kind) {
    case RECORD_EXEC:
        return sizeof(struct record_exec);
    case RECORD_FORK:
        return sizeof(struct record_fork);
    case RECORD_EXIT:
        return sizeof(struct record_exit);
    case RECORD_CONNECT:
        return sizeof(struct record_connect);
    }
    return 0;
}

static void set_event(struct decoder *d, const union any_record *record)
{
    Tiercel__Event *event;

    MESSAGE(d, event, tiercel__event);
    d->out->event = event;
    SET(event, time, record->r.time + d->clock->boot_to_wall);
    MESSAGE(d, event->process, tiercel__process);
    event->process->id = process_id(d, record->r.pid, record->r.start);
    SET(event->process, started, record->r.start + d->clock->boot_to_wall);
    switch (record->r.kind) {
    case RECORD_EXEC:
        d->out->flags = record->exec.flags;
        d->out->lineage_flags = record->exec.lineage_flags;
        set_exec(d, event);
        break;
    case RECORD_FORK:
        d->out->lineage_flags = record->fork.lineage_flags;
        set_fork(d, event, &record->fork);
        break;
    case RECORD_EXIT:
        set_exit(d, event, &record->exit);
        break;
    case RECORD_CONNECT:
        d->out->flags = record->connect.flags;
        d->out->rule = record->connect.rule;
        set_connect(d, event, &record->connect);
        break;
    }
}

int decode(const void *bytes, size_t n, const struct decode_clock *clock, struct arena *arena,
           struct decoded *ret)
{
    union any_record record;
    struct decoded out = {0};
    struct decoder d = {.arena = arena, .clock = clock, .exec = &record.exec, .out = &out};
    size_t fixed;
    int r = 0;

    if (n < sizeof record.r)
        return -EBADMSG;
    memcpy(&record.r, bytes, sizeof record.r);
    fixed = fixed_bytes(record.r.kind);
    if (!fixed || record.r.bytes != n || n < fixed || n > RECORD_BYTES ||
        (record.r.kind != RECORD_EXEC && n != fixed))
        return -EBADMSG;
    memcpy(&record, bytes, fixed);
    out.kind = record.r.kind;
    set_event(&d, &record);
    if (!d.refused && record.r.kind == RECORD_EXEC) {
        r = decode_parts(&d, (struct str){(const char *)bytes + fixed, n - fixed}, record.r.parts);
        if (r == 0)
            set_script(&d);
    }
    if (d.refused)
        return -ENOMEM;
    if (r == 0)
        *ret = out;
    return r;
}
