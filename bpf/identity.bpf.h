// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Credentials and namespaces of a task, and the records of their change.
#pragma once
#include "security.bpf.h"

struct identity {
    u64 effective, permitted;
    u32 uid, gid, euid, egid, suid, level; // level: depth of the user namespace
    u32 namespaces[NAMESPACES], reserved;
};

static __always_inline void identity_of_cred(struct identity *i, const struct cred *cred)
{
    const struct cred___security *more = (const void *)cred;

    i->uid = BPF_CORE_READ(cred, uid.val);
    i->gid = BPF_CORE_READ(cred, gid.val);
    i->euid = BPF_CORE_READ(cred, euid.val);
    i->egid = BPF_CORE_READ(cred, egid.val);
    i->suid = BPF_CORE_READ(more, suid.val);
    bpf_core_read(&i->effective, sizeof i->effective, &cred->cap_effective);
    bpf_core_read(&i->permitted, sizeof i->permitted, &more->cap_permitted);
    i->level = BPF_CORE_READ(more, user_ns, level);
    i->namespaces[NAMESPACE_USER] = BPF_CORE_READ(cred, user_ns, ns.inum);
}

static __always_inline void identity_of_task(struct identity *i, struct task_struct *task)
{
    struct nsproxy *ns = BPF_CORE_READ(task, nsproxy);

    identity_of_cred(i, BPF_CORE_READ((struct task_struct___security *)task, real_cred));
    i->namespaces[NAMESPACE_PID] = BPF_CORE_READ(ns, pid_ns_for_children, ns.inum);
    i->namespaces[NAMESPACE_MOUNT] = BPF_CORE_READ(ns, mnt_ns, ns.inum);
    i->namespaces[NAMESPACE_NETWORK] = BPF_CORE_READ(ns, net_ns, ns.inum);
    i->namespaces[NAMESPACE_UTS] = BPF_CORE_READ(ns, uts_ns, ns.inum);
    i->namespaces[NAMESPACE_IPC] = BPF_CORE_READ(ns, ipc_ns, ns.inum);
    i->namespaces[NAMESPACE_CGROUP] = BPF_CORE_READ(ns, cgroup_ns, ns.inum);
}

// Outside of exec permitted capabilities never grow, root is only for whom has it among his three user ids or may set
// any, and nobody leaves a user namespace for one above it.
static __always_inline bool is_unexplained(const struct identity *old, const struct identity *new)
{
    if (new->level < old->level)
        return true;
    if (new->namespaces[NAMESPACE_USER] != old->namespaces[NAMESPACE_USER])
        return false;
    if (new->permitted & ~old->permitted)
        return true;
    return !new->euid && old->uid && old->euid && old->suid && !(old->effective & CAP_SETUID_BIT);
}

static __always_inline void send_credentials(struct task_struct *task, const struct identity *old,
                                             const struct identity *new, u32 change_flags)
{
    bool other_users = new->namespaces[NAMESPACE_USER] !=
                       old->namespaces[NAMESPACE_USER]; // all capabilities there
    struct record_credentials c = {.s.flags = change_flags};

    if (is_unexplained(old, new))
        c.s.flags |= SECURITY_UNEXPLAINED;
    else if (old->uid == new->uid && old->gid == new->gid && old->euid == new->euid &&
             old->egid == new->egid && (other_users || !(new->effective & ~old->effective)))
        return;
    if (is_agent(task))
        return;
    security_begin(&c.s, RECORD_CREDENTIALS, sizeof c, task);
    c.uid[0] = old->uid, c.uid[1] = new->uid;
    c.gid[0] = old->gid, c.gid[1] = new->gid;
    c.euid[0] = old->euid, c.euid[1] = new->euid;
    c.egid[0] = old->egid, c.egid[1] = new->egid;
    c.capabilities[0] = old->effective, c.capabilities[1] = new->effective;
    c.gained = new->effective & ~old->effective;
    if (!fold(&c.s, mix(mix(mix(mix(mix(old->euid, old->egid), new->euid), new->egid), c.gained),
                        (u64) new->uid << 32 | new->gid)))
        security_send(&c.s, sizeof c);
}

static __always_inline void send_namespaces(struct task_struct *task, const struct identity *old,
                                            const struct identity *new, u32 change_flags)
{
    struct record_namespaces n = {.s.flags = change_flags};
    u32 changed = 0;

    for (u32 i = 0; i < NAMESPACES; i++) {
        n.old[i] = old->namespaces[i];
        n.new_[i] = new->namespaces[i];
        if (n.old[i] != n.new_[i])
            changed |= 1u << i;
    }
    if (!changed || is_agent(task))
        return;
    security_begin(&n.s, RECORD_NAMESPACES, sizeof n, task);
    if (!fold(&n.s, changed)) // a loop of unshare makes new numbers each time
        security_send(&n.s, sizeof n);
}
