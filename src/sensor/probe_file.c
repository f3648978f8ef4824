// SPDX-License-Identifier: Apache-2.0
// Files: what happened to them (fentry, fexit) and what is refused (LSM). Where neither works fanotify does both.
#include "sensor/probe_private.h"

#include "base/cleanup.h"

#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "bpf/file.skel.h"
#pragma GCC diagnostic pop

#define INSTEAD_EVENTS "fanotify notification: watched folders only, 15 ms late"
#define INSTEAD_DENY "fanotify permission events on protected folders"
#define INSTEAD_EXEC "the gate, and kills after the fact"

struct files {
    struct file_bpf *programs;
    char missing[64]; // functions that this kernel does not have
};

static bool is_lsm(const struct bpf_program *program)
{
    return str_starts(str_from(bpf_program__section_name(program)), STR("lsm/"));
}

static bool is_there(const struct btf *btf, const struct bpf_program *program)
{
    const char *function = strchr(bpf_program__section_name(program), '/') + 1;
    return btf__find_by_name_kind(btf, function, BTF_KIND_FUNC) > 0;
}

// Leaves out what this kernel does not have; the LSM program at an open sees what fentry would see there.
static void choose(struct files *f, bool lsm)
{
    struct btf *btf = btf__load_vmlinux_btf();
    struct bpf_program *program;

    bpf_object__for_each_program(program, f->programs->obj)
    {
        bool wanted = is_lsm(program) ? lsm : btf && is_there(btf, program);
        if (!is_lsm(program) && !wanted && !f->missing[0])
            snprintf(f->missing, sizeof f->missing, "; not: %s",
                     strchr(bpf_program__section_name(program), '/') + 1);
        bpf_program__set_autoload(program, wanted);
    }
    if (lsm)
        bpf_program__set_autoload(f->programs->progs.on_open, false);
    btf__free(btf);
}

static int load(struct probe *probe, struct files *f, bool lsm)
{
    LIBBPF_OPTS(bpf_object_open_opts, opts, .kernel_log_buf = probe->log,
                .kernel_log_size = PROBE_LOG_BYTES);
    int r;

    probe->log[0] = 0;
    f->programs = file_bpf__open_opts(&opts);
    if (!f->programs)
        return -errno;
    choose(f, lsm);
    r = probe_share_maps(probe, f->programs->obj);
    if (r == 0)
        r = bpf_map__set_max_entries(f->programs->maps.scratch,
                                     (uint32_t)libbpf_num_possible_cpus());
    if (r == 0)
        r = file_bpf__load(f->programs);
    if (r == 0)
        r = file_bpf__attach(f->programs);
    if (r < 0) {
        file_bpf__destroy(f->programs);
        f->programs = NULL;
    }
    return r;
}

// 0 or negative errno.
static int open_trial(const char *path)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : 0;
}

// A file of the sensor's own is protected from itself, opened, and let go. The flag is one that no lineage has.
static void try_deny(const struct probe_fds *fds, struct probe_mechanism *m)
{
    enum { FLAG_TRIAL = 1u << 31 };
    struct protect_policy policy = {.deny = FLAG_TRIAL, .flags = PROTECT_SILENT};
    char path[64];
    _cleanup_close_ int fd = memfd_create("trial", MFD_CLOEXEC);
    struct stat st;
    uint32_t before = 0;
    int denied, allowed, r;

    if (fd < 0 || fstat(fd, &st)) {
        probe_mechanism_set(m, PROBE_REFUSED, "no file for the trial: %s", strerror(errno));
        return;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    probe_flags_get(fds->flags, getpid(), &before);
    r = probe_protect_set(fds, st.st_dev, st.st_ino, &policy);
    if (r == 0)
        r = probe_flags_set(fds->flags, getpid(), -1, FLAG_TRIAL);
    denied = open_trial(path);
    probe_flags_set(fds->flags, getpid(), -1, before);
    probe_protect_remove(fds, st.st_dev, st.st_ino);
    allowed = open_trial(path);
    if (r == 0 && denied == -EPERM && allowed == 0)
        probe_mechanism_set(m, PROBE_WORKS, "a denied open of a file of its own was refused");
    else
        probe_mechanism_set(m, PROBE_REFUSED, "opening a file of its own: %s, denied %s, else %s",
                            r ? strerror(-r) : "set", denied ? strerror(-denied) : "through",
                            allowed ? strerror(-allowed) : "through");
}

// A file that is made executable is seen anywhere.
static void try_events(const struct probe_fds *fds, const struct files *f,
                       struct probe_mechanism *m)
{
    _cleanup_close_ int fd = memfd_create("trial", MFD_CLOEXEC);
    struct probe_counters *counters;
    uint64_t before, after;
    struct counters sum;

    if (fd < 0 || probe_counters_map(fds->counters, &counters) < 0) {
        probe_mechanism_set(m, PROBE_REFUSED, "the trial could not be made: %s", strerror(errno));
        return;
    }
    sum = probe_counters_sum(counters);
    before = sum.sent[COUNT_FILE] + sum.lost[COUNT_FILE] + sum.throttled[COUNT_FILE];
    if (fchmod(fd, 0600) || fchmod(fd, 0700))
        before = UINT64_MAX;
    sum = probe_counters_sum(counters);
    after = sum.sent[COUNT_FILE] + sum.lost[COUNT_FILE] + sum.throttled[COUNT_FILE];
    probe_counters_unmap(counters);
    if (after > before && before != UINT64_MAX)
        probe_mechanism_set(m, PROBE_WORKS, "a file that became executable was seen%s", f->missing);
    else
        probe_mechanism_set(m, PROBE_REFUSED,
                            "attached, but a file that became executable was not seen");
}

static void refuse_all(struct probe_mechanism *const m[3], const char *why)
{
    for (int i = 0; i < 3; i++)
        probe_mechanism_set(m[i], PROBE_REFUSED, "%s", why);
}

static void try_load(struct probe *probe, struct files *f, struct probe_mechanism *const m[3])
{
    bool lsm = probe->lsm;
    int r = load(probe, f, lsm);

    if (r < 0 && lsm) {
        probe_mechanism_set(m[1], PROBE_REFUSED, "loading LSM programs: %s; %.100s", strerror(-r),
                            probe_verifier_reason(probe->log));
        lsm = false;
        r = load(probe, f, lsm);
    } else if (!lsm) {
        probe_mechanism_set(m[1], PROBE_REFUSED, "LSM programs have no effect here");
    }
    *m[2] = (struct probe_mechanism){m[2]->name, m[1]->state, "", m[2]->instead};
    memcpy(m[2]->reason, m[1]->reason, sizeof m[2]->reason);
    if (r < 0) {
        probe_mechanism_set(m[0], PROBE_REFUSED, "loading: %s; %.100s", strerror(-r),
                            probe_verifier_reason(probe->log));
        return;
    }
    probe->fds.watched = bpf_map__fd(f->programs->maps.watched);
    try_events(&probe->fds, f, m[0]);
    if (!lsm)
        return;
    probe->fds.protected = bpf_map__fd(f->programs->maps.protected);
    probe->fds.protected_filter = bpf_map__fd(f->programs->maps.protected_filter);
    probe->fds.blocked = bpf_map__fd(f->programs->maps.blocked);
    try_deny(&probe->fds, m[1]);
    probe_mechanism_set(m[2], m[1]->state, "%s",
                        m[1]->state == PROBE_WORKS ? "by the same mechanism as file deny"
                                                   : m[1]->reason);
}

static void file_load(struct probe *probe, void **own)
{
    struct probe_mechanism *const m[3] = {probe_mechanism_add(probe, "file events", INSTEAD_EVENTS),
                                          probe_mechanism_add(probe, "file deny", INSTEAD_DENY),
                                          probe_mechanism_add(probe, "exec deny", INSTEAD_EXEC)};
    struct files *f = calloc(1, sizeof *f);

    *own = f;
    if (!f)
        refuse_all(m, "out of memory");
    else if (!probe->fentry)
        refuse_all(m, probe->options->without_trials
                          ? "not tried"
                          : "programs on kernel functions (fentry) do not work here");
    else
        try_load(probe, f, m);
}

static void file_unload(void *own)
{
    struct files *f = own;

    if (!f)
        return;
    file_bpf__destroy(f->programs);
    free(f);
}

const struct probe_family probe_file_family = {file_load, file_unload};
