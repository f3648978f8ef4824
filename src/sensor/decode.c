// SPDX-License-Identifier: Apache-2.0
#include "sensor/decode_private.h"

#include <errno.h>
#include <time.h>

struct decode_clock decode_clock_now(void)
{
    struct timespec boot, wall;

    clock_gettime(CLOCK_BOOTTIME, &boot);
    clock_gettime(CLOCK_REALTIME, &wall);
    return (struct decode_clock){(uint64_t)(wall.tv_sec - boot.tv_sec) * DECODE_NANOSECONDS +
                                 (uint64_t)(wall.tv_nsec - boot.tv_nsec)};
}

ProtobufCBinaryData decode_bytes(struct decoder *d, struct str s)
{
    struct str copy = arena_str(d->arena, s);

    if (!copy.p && s.n)
        d->refused = true;
    return (ProtobufCBinaryData){copy.p ? copy.n : 0, (uint8_t *)copy.p};
}

Tiercel__ProcessId *decode_process_id(struct decoder *d, uint32_t pid, uint64_t start)
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

ProtobufCBinaryData *decode_strings(struct decoder *d, struct str s, size_t *ret_n)
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

ProtobufCBinaryData decode_path(struct decoder *d, struct str names, bool absolute)
{
    size_t at, n = names.n;
    char *out;

    if (!n)
        return decode_bytes(d, absolute ? STR("/") : STR_NONE);
    if (!absolute)
        return decode_bytes(d, (struct str){names.p, strnlen(names.p, n)});
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

static const struct record_exec *exec_of(const struct decoder *d)
{
    return (const struct record_exec *)d->record;
}

static void exec_part(struct decoder *d, unsigned number, unsigned part_flags, struct str s)
{
    Tiercel__Process *p = d->out->event->process;

    switch (number) {
    case PART_ARGV:
        p->argv = decode_strings(d, s, &p->n_argv);
        p->has_argv_cut = true;
        p->argv_cut = (part_flags & (PART_CUT | PART_UNREAD)) != 0;
        break;
    case PART_ENVIRONMENT:
        p->environment = decode_strings(d, s, &p->n_environment);
        d->out->environment_cut = (part_flags & (PART_CUT | PART_UNREAD)) != 0;
        break;
    case PART_PATH:
        p->image->has_path = true;
        p->image->path = decode_path(d, s, !(exec_of(d)->flags & EXEC_MEMORY_ONLY));
        if (part_flags & (PART_CUT | PART_UNREACHABLE))
            p->image->has_path_cut = p->image->path_cut = true;
        break;
    case PART_DIRECTORY:
        p->has_directory = true;
        p->directory = decode_path(d, s, true);
        break;
    case PART_FILENAME:
        d->out->filename = arena_str(d->arena, (struct str){s.p, strnlen(s.p, s.n)});
        break;
    case PART_INTERPRETER:
        d->out->interpreter = arena_str(d->arena, (struct str){s.p, strnlen(s.p, s.n)});
        break;
    case PART_CGROUP:
        p->has_cgroup_path = true;
        p->cgroup_path = decode_path(d, s, true);
        break;
    }
}

typedef void decode_part(struct decoder *d, unsigned number, unsigned part_flags, struct str s);

static int decode_parts(struct decoder *d, struct str rest, unsigned count, decode_part *take)
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
        take(d, part.number, part.flags, (struct str){rest.p, part.bytes});
        rest.p += padded;
        rest.n -= padded;
    }
    return rest.n ? -EBADMSG : 0;
}

// The script's path: as the caller named it, made absolute by its current directory.
static void exec_end(struct decoder *d)
{
    Tiercel__Process *p = d->out->event->process;
    struct str name = d->out->filename;
    char *path;
    size_t n;

    if (!(exec_of(d)->flags & EXEC_SCRIPT) || !name.n)
        return;
    p->has_script = true;
    if (name.p[0] == '/' || !p->has_directory) {
        p->script = decode_bytes(d, name);
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

void decode_file_facts(const struct record_file *r, Tiercel__File *f)
{
    SET(f, device,
        (uint64_t)(r->device >> 20) << 8 | (r->device & 0xff) |
            (uint64_t)(r->device & 0xfff00) << 12);
    SET(f, inode, r->inode);
    SET(f, size, r->size);
    SET(f, mode, r->mode);
    SET(f, owner, r->owner);
    SET(f, changed, r->changed_sec * DECODE_NANOSECONDS + r->changed_nsec);
}

static void set_credentials(struct decoder *d, Tiercel__Process *p)
{
    const struct record_exec *x = exec_of(d);

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
    const struct record_exec *x = exec_of(d);
    Tiercel__Process *p = event->process;
    uint64_t changed = x->file.changed_sec * DECODE_NANOSECONDS + x->file.changed_nsec;

    p->parent = decode_process_id(d, x->parent_pid, x->parent_start);
    MESSAGE(d, p->image, tiercel__file);
    decode_file_facts(&x->file, p->image);
    SET(p->image, memory_only, (x->flags & EXEC_MEMORY_ONLY) != 0);
    SET(p->image, deleted, (x->flags & EXEC_DELETED) != 0);
    set_credentials(d, p);
    SET(p, name, decode_bytes(d, (struct str){x->name, strnlen(x->name, sizeof x->name)}));
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
    d->out->flags = x->flags;
    d->out->lineage_flags = x->lineage_flags;
    SET(event->exec, judged, (x->flags & EXEC_JUDGED) != 0);
    SET(event->exec, hash_differs, (x->flags & (EXEC_HASH_DIFFERS | EXEC_HASH_UNREAD)) != 0);
    SET(event->exec, unguarded, (x->flags & EXEC_UNGUARDED) != 0);
    if (x->flags & EXEC_OTHER_THREAD)
        event->exec->replaced_thread = decode_process_id(d, x->caller_tid, x->r.start);
    if (event->time >= changed)
        SET(event->exec, file_age, event->time - changed);
}

static void set_fork(struct decoder *d, Tiercel__Event *event)
{
    const struct record_fork *f = (const struct record_fork *)d->record;

    MESSAGE(d, event->fork, tiercel__fork);
    event->kind_case = TIERCEL__EVENT__KIND_FORK;
    d->out->lineage_flags = f->lineage_flags;
    event->fork->child = decode_process_id(d, f->child_pid, f->child_start);
}

static void set_exit(struct decoder *d, Tiercel__Event *event)
{
    const struct record_exit *x = (const struct record_exit *)d->record;

    MESSAGE(d, event->exit, tiercel__exit);
    event->kind_case = TIERCEL__EVENT__KIND_EXIT;
    SET(event->exit, code, x->status >> 8 & 0xff);
    SET(event->exit, signal, x->status & 0x7f);
    if (x->r.time >= x->r.start)
        SET(event->exit, lived, x->r.time - x->r.start);
}

// Kinds: bytes of the fixed part, what makes the event of it, what takes a part, what is done after the last one.
static const struct {
    size_t fixed;
    void (*set)(struct decoder *d, Tiercel__Event *event);
    decode_part *part; // NULL: has no parts
    void (*end)(struct decoder *d);
} kinds[] = {
    [RECORD_EXEC] = {sizeof(struct record_exec), set_exec, exec_part, exec_end},
    [RECORD_FORK] = {sizeof(struct record_fork), set_fork, NULL, NULL},
    [RECORD_EXIT] = {sizeof(struct record_exit), set_exit, NULL, NULL},
    [RECORD_CONNECT] = {sizeof(struct record_connect), decode_connect, NULL, NULL},
    [RECORD_FILE] = {sizeof(struct record_file_change), decode_file, decode_file_part,
                     decode_file_end},
    [RECORD_LISTENER] = {sizeof(struct record_socket), decode_socket, NULL, NULL},
    [RECORD_DNS] = {sizeof(struct record_dns), decode_dns, decode_dns_part, NULL},
    [RECORD_FLOW] = {sizeof(struct record_flow), decode_flow, decode_flow_part, NULL},
    [RECORD_CREDENTIALS] = {sizeof(struct record_credentials), decode_credentials, NULL, NULL},
    [RECORD_ACCESS] = {sizeof(struct record_access), decode_access, NULL, NULL},
    [RECORD_MODULE] = {sizeof(struct record_module), decode_module, decode_module_part, NULL},
    [RECORD_BPF] = {sizeof(struct record_bpf), decode_bpf, NULL, NULL},
    [RECORD_MOUNT] = {sizeof(struct record_mount), decode_mount, decode_mount_part, NULL},
    [RECORD_NAMESPACES] = {sizeof(struct record_namespaces), decode_namespaces, NULL, NULL},
    [RECORD_SIGNAL] = {sizeof(struct record_signal), decode_signal, NULL, NULL},
};

static void set_event(struct decoder *d)
{
    const struct record *record = d->record;
    Tiercel__Event *event;

    MESSAGE(d, event, tiercel__event);
    d->out->event = event;
    SET(event, time, record->time + d->clock->boot_to_wall);
    MESSAGE(d, event->process, tiercel__process);
    event->process->id = decode_process_id(d, record->pid, record->start);
    SET(event->process, started, record->start + d->clock->boot_to_wall);
    kinds[record->kind].set(d, event);
}

int decode(const void *bytes, size_t n, const struct decode_clock *clock, struct arena *arena,
           struct decoded *ret)
{
    _Alignas(8) unsigned char fixed[DECODE_FIXED_MAX];
    const struct record *record = (const struct record *)fixed;
    struct decoded out = {0};
    struct decoder d = {.arena = arena, .clock = clock, .record = record, .out = &out};
    size_t size;
    int r = 0;

    if (n < sizeof *record)
        return -EBADMSG;
    memcpy(fixed, bytes, sizeof *record);
    size = record->kind < sizeof kinds / sizeof *kinds ? kinds[record->kind].fixed : 0;
    if (!size || record->bytes != n || n < size || n > RECORD_BYTES ||
        (!kinds[record->kind].part && n != size))
        return -EBADMSG;
    memcpy(fixed, bytes, size);
    out.kind = record->kind;
    set_event(&d);
    if (!d.refused && kinds[record->kind].part)
        r = decode_parts(&d, (struct str){(const char *)bytes + size, n - size}, record->parts,
                         kinds[record->kind].part);
    if (!d.refused && r == 0 && kinds[record->kind].end)
        kinds[record->kind].end(&d);
    if (d.refused)
        return -ENOMEM;
    if (d.bad)
        return -EBADMSG;
    if (r == 0)
        *ret = out;
    return r;
}
