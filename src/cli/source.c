// SPDX-License-Identifier: Apache-2.0
#include "cli/source.h"

// Where something depends on the kernel, `tiercel doctor` says whether it works on this one.
static const struct source sources[] = {
    {"process_creation", "programs as they start: the gate and a BPF program", SOURCE_COLLECTED},
    {"process_termination", "a BPF program at sched_process_exit", SOURCE_COLLECTED},
    {"network_connection", "connections: cgroup BPF programs", SOURCE_COLLECTED},
    {"network_socket", "bind, listen and accept: cgroup BPF programs", SOURCE_COLLECTED},
    {"network_flow", "bytes and end of connections: BPF programs", SOURCE_COLLECTED},
    {"dns_query", "names asked for and their answers: cgroup BPF programs", SOURCE_COLLECTED},
    {"file_event", "watched files: BPF LSM or fentry, else fanotify", SOURCE_COLLECTED},
    {"file_change", "modes, owners and file capabilities: BPF LSM or fentry, else fanotify",
     SOURCE_COLLECTED},
    {"file_delete", "watched files: BPF LSM or fentry, else fanotify", SOURCE_COLLECTED},
    {"file_access", "protected files only: BPF LSM, else fanotify", SOURCE_COLLECTED},
    {"credential_change", "users and capabilities gained: BPF programs", SOURCE_COLLECTED},
    {"process_access", "ptrace, memory and descriptors of others: BPF programs", SOURCE_COLLECTED},
    {"driver_load", "kernel modules: BPF programs", SOURCE_COLLECTED},
    {"bpf_load", "programs for the kernel: BPF programs", SOURCE_COLLECTED},
    {"mount", "mounts: BPF programs", SOURCE_COLLECTED},
    {"namespace_change", "unshare and setns: BPF programs", SOURCE_COLLECTED},
    {"signal", "signals to the agent and across users: a BPF program", SOURCE_COLLECTED},
};
static const struct source foreign = {"", "", SOURCE_FOREIGN};

const struct source *source_of(struct str product, struct str category, struct str service)
{
    if (product.n && !str_eq(product, STR("linux")))
        return &foreign;
    if (service.n)
        return &foreign;
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        if (str_eq(category, str_from(sources[i].category)))
            return &sources[i];
    return &foreign;
}
