// SPDX-License-Identifier: Apache-2.0
// Records of bpf/record_security.h: credentials, other processes, modules, programs, mounts, namespaces, signals.
#include "sensor/decode_private.h"

static struct str text(const char *p, size_t room)
{
    return (struct str){p, strnlen(p, room)};
}

static void set_security(struct decoder *d, Tiercel__Event *event)
{
    const struct record_security *s = (const struct record_security *)d->record;

    SET(event->process, name, decode_bytes(d, text(s->name, sizeof s->name)));
    d->out->flags = s->flags;
    d->out->lineage_flags = s->lineage_flags;
    d->out->denied = (s->flags & SECURITY_DENIED) != 0;
}

#define SET_REPEATED(message, s)                                                                   \
    do {                                                                                           \
        if ((s)->repeated)                                                                         \
            SET(message, repeated, (s)->repeated);                                                 \
    } while (0)

static Tiercel__Credentials *credentials_of(struct decoder *d, const struct record_credentials *c,
                                            int which)
{
    Tiercel__Credentials *out = arena_alloc(d->arena, sizeof *out);

    if (!out) {
        d->refused = true;
        return NULL;
    }
    tiercel__credentials__init(out);
    SET(out, uid, c->uid[which]);
    SET(out, gid, c->gid[which]);
    SET(out, euid, c->euid[which]);
    SET(out, egid, c->egid[which]);
    SET(out, capabilities, c->capabilities[which]);
    return out;
}

void decode_credentials(struct decoder *d, Tiercel__Event *event)
{
    const struct record_credentials *c = (const struct record_credentials *)d->record;
    Tiercel__CredentialChange *m;

    set_security(d, event);
    MESSAGE(d, m, tiercel__credential_change);
    event->credentials = m;
    event->kind_case = TIERCEL__EVENT__KIND_CREDENTIALS;
    m->old = credentials_of(d, c, 0);
    m->new_ = credentials_of(d, c, 1);
    SET(m, gained, c->gained);
    SET(m, late, (c->s.flags & SECURITY_LATE) != 0);
    SET(m, unexplained, (c->s.flags & SECURITY_UNEXPLAINED) != 0);
    SET_REPEATED(m, &c->s);
}

// The tree completes it by its id.
static Tiercel__Process *target_of(struct decoder *d, const struct record_target *t)
{
    Tiercel__Process *p = arena_alloc(d->arena, sizeof *p);

    if (!p) {
        d->refused = true;
        return NULL;
    }
    tiercel__process__init(p);
    p->id = decode_process_id(d, t->pid, t->start);
    SET(p, name, decode_bytes(d, text(t->name, sizeof t->name)));
    return p;
}

void decode_access(struct decoder *d, Tiercel__Event *event)
{
    const struct record_access *a = (const struct record_access *)d->record;
    Tiercel__ProcessAccess *m;

    set_security(d, event);
    MESSAGE(d, m, tiercel__process_access);
    event->access = m;
    event->kind_case = TIERCEL__EVENT__KIND_ACCESS;
    SET(m, way, (Tiercel__ProcessAccess__Way)(a->way <= ACCESS_DESCRIPTOR ? a->way : 0));
    m->target = target_of(d, &a->target);
    SET(m, denied, d->out->denied);
    SET(m, other_user, (a->s.flags & SECURITY_OTHER_USER) != 0);
    SET_REPEATED(m, &a->s);
}

void decode_signal(struct decoder *d, Tiercel__Event *event)
{
    const struct record_signal *g = (const struct record_signal *)d->record;
    Tiercel__Signal *m;

    set_security(d, event);
    MESSAGE(d, m, tiercel__signal);
    event->signal = m;
    event->kind_case = TIERCEL__EVENT__KIND_SIGNAL;
    SET(m, number, g->number);
    m->target = target_of(d, &g->target);
    SET(m, denied, d->out->denied);
    SET(m, other_user, (g->s.flags & SECURITY_OTHER_USER) != 0);
    SET_REPEATED(m, &g->s);
}

void decode_module(struct decoder *d, Tiercel__Event *event)
{
    const struct record_module *r = (const struct record_module *)d->record;
    Tiercel__ModuleLoad *m;

    set_security(d, event);
    MESSAGE(d, m, tiercel__module_load);
    event->module = m;
    event->kind_case = TIERCEL__EVENT__KIND_MODULE;
    if (r->module[0])
        SET(m, name, decode_bytes(d, text(r->module, sizeof r->module)));
    SET(m, denied, d->out->denied);
    SET(m, unloaded, (r->s.flags & SECURITY_UNLOADED) != 0);
    SET(m, taints, r->taints);
    SET_REPEATED(m, &r->s);
    if (!(r->s.flags & SECURITY_FROM_FILE))
        return;
    MESSAGE(d, m->file, tiercel__file);
    decode_file_facts(&r->file, m->file);
}

void decode_module_part(struct decoder *d, unsigned number, unsigned part_flags, struct str s)
{
    Tiercel__File *f = d->out->event->module->file;

    if (number != PART_PATH || !f)
        return;
    SET(f, path, decode_path(d, s, true));
    if (part_flags)
        SET(f, path_cut, true);
}

void decode_bpf(struct decoder *d, Tiercel__Event *event)
{
    const struct record_bpf *p = (const struct record_bpf *)d->record;
    Tiercel__BpfLoad *m;

    set_security(d, event);
    MESSAGE(d, m, tiercel__bpf_load);
    event->bpf = m;
    event->kind_case = TIERCEL__EVENT__KIND_BPF;
    SET(m, type, p->type);
    SET(m, name, decode_bytes(d, text(p->program, sizeof p->program)));
    SET(m, denied, d->out->denied);
    if (p->function[0])
        SET(m, function, decode_bytes(d, text(p->function, sizeof p->function)));
    SET_REPEATED(m, &p->s);
}

void decode_mount(struct decoder *d, Tiercel__Event *event)
{
    const struct record_mount *r = (const struct record_mount *)d->record;
    Tiercel__Mount *m;

    set_security(d, event);
    MESSAGE(d, m, tiercel__mount);
    event->mount = m;
    event->kind_case = TIERCEL__EVENT__KIND_MOUNT;
    SET(m, action, (Tiercel__Mount__Action)(r->action <= MOUNT_PIVOT ? r->action : 0));
    SET(m, flags, r->flags);
    SET(m, denied, d->out->denied);
    SET_REPEATED(m, &r->s);
}

void decode_mount_part(struct decoder *d, unsigned number, unsigned part_flags, struct str s)
{
    Tiercel__Mount *m = d->out->event->mount;

    if (part_flags)
        SET(m, path_cut, true);
    if (number == PART_PATH)
        SET(m, target, decode_path(d, s, true));
    else if (number == PART_OLD_PATH)
        SET(m, source, decode_path(d, s, true));
    else if (number == PART_FILENAME && !m->has_source)
        SET(m, source, decode_bytes(d, text(s.p, s.n)));
    else if (number == PART_TYPE)
        SET(m, type, decode_bytes(d, text(s.p, s.n)));
}

static Tiercel__Namespaces *namespaces_of(struct decoder *d, const uint32_t numbers[NAMESPACES])
{
    Tiercel__Namespaces *out = arena_alloc(d->arena, sizeof *out);

    if (!out) {
        d->refused = true;
        return NULL;
    }
    tiercel__namespaces__init(out);
    SET(out, pid, numbers[NAMESPACE_PID]);
    SET(out, mount, numbers[NAMESPACE_MOUNT]);
    SET(out, network, numbers[NAMESPACE_NETWORK]);
    SET(out, user, numbers[NAMESPACE_USER]);
    SET(out, uts, numbers[NAMESPACE_UTS]);
    SET(out, ipc, numbers[NAMESPACE_IPC]);
    SET(out, cgroup, numbers[NAMESPACE_CGROUP]);
    return out;
}

void decode_namespaces(struct decoder *d, Tiercel__Event *event)
{
    const struct record_namespaces *n = (const struct record_namespaces *)d->record;
    Tiercel__NamespaceChange *m;

    set_security(d, event);
    MESSAGE(d, m, tiercel__namespace_change);
    event->namespaces = m;
    event->kind_case = TIERCEL__EVENT__KIND_NAMESPACES;
    m->old = namespaces_of(d, n->old);
    m->new_ = namespaces_of(d, n->new_);
    SET(m, late, (n->s.flags & SECURITY_LATE) != 0);
    SET_REPEATED(m, &n->s);
}
