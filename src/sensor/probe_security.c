// SPDX-License-Identifier: Apache-2.0
// Security events: which programs make which kind, by what this kernel allows. To add a kind: its programs in
// bpf/security*.bpf.c, a line in `kinds`, a row in doc/security-events.md.
#include "sensor/probe_private.h"

#include <bpf/btf.h>
#include <errno.h>
#include <unistd.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "bpf/security.skel.h"
#include "bpf/security_deny.skel.h"
#include "bpf/security_trace.skel.h"
#pragma GCC diagnostic pop

struct security {
    struct security_bpf *points;
    struct security_trace_bpf *trace;
    struct security_deny_bpf *deny;
};

enum { KIND_PROGRAMS = 12 };

// Programs of one kind that trace functions. All that are not optional must be attachable, or none is loaded.
static const struct kind {
    const char *mechanism, *instead;
    const char *programs[KIND_PROGRAMS];
} kinds[] = {
    {"credential events",
     "changes are noticed when the process next forks, runs something or ends",
     {"on_commit_creds"}},
    {"ptrace events",
     "nothing: who reaches into another process is not seen",
     {"on_ptrace_attach", "on_mm_access", "on_mem_open", "on_pidfd_getfd"}},
    {"module events",
     "nothing: loading and unloading of modules is not seen",
     {"on_module_load", "on_module_free", "on_kernel_read_file"}},
    {"bpf events", "nothing: programs loaded by others are not seen", {"on_bpf_program"}},
    {"mount events",
     "nothing: who mounts is not seen; the gate still follows the list of mounts",
     {"begin_mount", "end_mount", "begin_umount", "end_umount", "begin_move_mount",
      "end_move_mount", "end_move_mount32", "begin_pivot", "end_pivot", "end_pivot32"}},
    {"namespace events",
     "changes are noticed when the process next forks, runs something or ends",
     {"begin_unshare", "end_unshare", "begin_setns", "end_setns", "begin_setns32", "end_setns32"}},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static bool has_function(const struct btf *btf, const char *name)
{
    return btf__find_by_name_kind(btf, name, BTF_KIND_FUNC) > 0;
}

static bool has_tracepoint(const struct btf *btf, const char *name)
{
    char type[128];

    snprintf(type, sizeof type, "btf_trace_%s", name);
    return btf__find_by_name_kind(btf, type, BTF_KIND_TYPEDEF) > 0;
}

// What the program hangs on, and whether the kernel has it.
static bool has_target(const struct btf *btf, const struct bpf_program *program, const char **ret)
{
    const char *section = bpf_program__section_name(program), *slash = strchr(section, '/');

    *ret = slash ? slash + 1 : section;
    return str_starts(str_from(section), STR("tp_btf/")) ? has_tracepoint(btf, *ret)
                                                         : has_function(btf, *ret);
}

// The first process of the agent, whose children are the agent's: the parent of the one that loads, if it is the same
// program. 0: loaded by something else, a test.
static uint32_t agent_pid(void)
{
    char path[64], own[4096], parent[4096];
    ssize_t n, m;

    snprintf(path, sizeof path, "/proc/%d/exe", (int)getppid());
    n = readlink("/proc/self/exe", own, sizeof own);
    m = readlink(path, parent, sizeof parent);
    return n > 0 && n == m && !memcmp(own, parent, (size_t)n) ? (uint32_t)getppid() : 0;
}

static int share(const struct probe *probe, const struct security *s, struct bpf_object *object)
{
    int fd = s->trace ? bpf_map__fd(s->trace->maps.folds) : -1, r = probe_share_maps(probe, object);

    if (fd < 0 && s->points)
        fd = bpf_map__fd(s->points->maps.folds);
    return r == 0 && fd >= 0 ? bpf_map__reuse_fd(bpf_object__find_map_by_name(object, "folds"), fd)
                             : r;
}

// ---- tracepoints

static void load_points(struct probe *probe, struct security *s, const struct btf *btf,
                        struct probe_mechanism *m)
{
    bool late = !s->trace;
    int r;

    s->points = security_bpf__open();
    if (!s->points) {
        probe_mechanism_set(m, PROBE_REFUSED, "opening the programs: %s", strerror(errno));
        return;
    }
    bpf_program__set_autoload(s->points->progs.late_fork, late);
    bpf_program__set_autoload(s->points->progs.late_exec, late);
    bpf_program__set_autoload(s->points->progs.late_exit, late);
    bpf_program__set_autoload(s->points->progs.late_prepare_exec,
                              late && has_tracepoint(btf, "sched_prepare_exec"));
    if (!late)
        bpf_map__set_max_entries(s->points->maps.seen, 1);
    s->points->rodata->loader_pid = (uint32_t)getpid();
    s->points->rodata->agent_pid = agent_pid();
    r = share(probe, s, s->points->obj);
    if (r == 0)
        r = security_bpf__load(s->points);
    if (r == 0)
        r = security_bpf__attach(s->points);
    if (r < 0)
        probe_mechanism_set(m, PROBE_REFUSED, "tracepoint programs: %s", strerror(-r));
    else
        probe_mechanism_set(m, PROBE_WORKS, "attached to the tracepoint signal_generate");
    if (r < 0) {
        security_bpf__destroy(s->points);
        s->points = NULL;
    }
}

// ---- traced functions

static const char *missing_target(const struct btf *btf, const struct bpf_object *object,
                                  const struct kind *kind)
{
    for (size_t i = 0; i < KIND_PROGRAMS && kind->programs[i]; i++) {
        const char *target;
        const struct bpf_program *p = bpf_object__find_program_by_name(object, kind->programs[i]);
        if (!p || !has_target(btf, p, &target))
            return p ? target : kind->programs[i];
    }
    return NULL;
}

static void autoload(struct bpf_object *object, const struct kind *kind, bool yes)
{
    for (size_t i = 0; i < KIND_PROGRAMS && kind->programs[i]; i++)
        bpf_program__set_autoload(bpf_object__find_program_by_name(object, kind->programs[i]), yes);
}

static void set_loaded(const struct kind *kind, struct bpf_object *object,
                       struct probe_mechanism *m)
{
    const char *section =
        bpf_program__section_name(bpf_object__find_program_by_name(object, kind->programs[0]));

    probe_mechanism_set(m, PROBE_WORKS, "attached to %s%s", strchr(section, '/') + 1,
                        kind->programs[1] ? " and its like" : "");
}

static int open_trace(struct probe *probe, struct security *s)
{
    LIBBPF_OPTS(bpf_object_open_opts, opts, .kernel_log_buf = probe->log,
                .kernel_log_size = PROBE_LOG_BYTES);

    probe->log[0] = 0;
    s->trace = security_trace_bpf__open_opts(&opts);
    if (!s->trace)
        return -errno;
    s->trace->rodata->loader_pid = (uint32_t)getpid();
    s->trace->rodata->agent_pid = agent_pid();
    return share(probe, s, s->trace->obj);
}

// One object with every kind that the kernel has the functions for.
static void load_trace(struct probe *probe, struct security *s, const struct btf *btf,
                       struct probe_mechanism *rows[KINDS])
{
    int r = open_trace(probe, s);

    for (size_t i = 0; i < KINDS; i++) {
        const char *missing = r ? NULL : missing_target(btf, s->trace->obj, &kinds[i]);
        if (missing)
            probe_mechanism_set(rows[i], PROBE_ABSENT, "the kernel has no %.60s", missing);
        if (!r)
            autoload(s->trace->obj, &kinds[i], !missing);
    }
    if (r == 0)
        r = security_trace_bpf__load(s->trace);
    if (r == 0)
        r = security_trace_bpf__attach(s->trace);
    for (size_t i = 0; i < KINDS; i++) {
        if (rows[i]->reason[0])
            continue;
        if (r < 0)
            probe_mechanism_set(rows[i], PROBE_REFUSED, "loading: %s; %.100s", strerror(-r),
                                probe_verifier_reason(probe->log));
        else
            set_loaded(&kinds[i], s->trace->obj, rows[i]);
    }
    if (r < 0 && s->trace) {
        security_trace_bpf__destroy(s->trace);
        s->trace = NULL;
    }
}

static void no_trace(const struct btf *btf, struct probe_mechanism *rows[KINDS])
{
    bool modules = has_tracepoint(btf, "module_load");

    for (size_t i = 0; i < KINDS; i++) {
        if (!modules && !strcmp(kinds[i].mechanism, "module events"))
            probe_mechanism_set(rows[i], PROBE_ABSENT, "this kernel has no modules");
        else
            probe_mechanism_set(rows[i], PROBE_REFUSED, "fentry is refused");
    }
}

// ---- refusals

static void load_deny(struct probe *probe, struct security *s, struct probe_mechanism *m)
{
    LIBBPF_OPTS(bpf_object_open_opts, opts, .kernel_log_buf = probe->log,
                .kernel_log_size = PROBE_LOG_BYTES);
    int r;

    if (!probe->lsm) {
        probe_mechanism_set(m, PROBE_REFUSED, "LSM programs refuse nothing here");
        return;
    }
    probe->log[0] = 0;
    s->deny = security_deny_bpf__open_opts(&opts);
    r = s->deny ? share(probe, s, s->deny->obj) : -errno;
    if (r == 0) {
        s->deny->rodata->loader_pid = (uint32_t)getpid();
        s->deny->rodata->agent_pid = agent_pid();
        r = security_deny_bpf__load(s->deny);
    }
    if (r == 0)
        r = security_deny_bpf__attach(s->deny);
    if (r < 0) {
        probe_mechanism_set(m, PROBE_REFUSED, "loading: %s; %.100s", strerror(-r),
                            probe_verifier_reason(probe->log));
        security_deny_bpf__destroy(s->deny);
        s->deny = NULL;
    } else {
        probe_mechanism_set(m, PROBE_WORKS,
                            "services reach into no others, load no modules and no programs");
    }
}

static void security_load(struct probe *probe, void **own)
{
    struct security *s = *own = calloc(1, sizeof *s);
    struct btf *btf = btf__load_vmlinux_btf();
    struct probe_mechanism *rows[KINDS], *signals, *deny;

    for (size_t i = 0; i < KINDS; i++)
        rows[i] = probe_mechanism_add(probe, kinds[i].mechanism, kinds[i].instead);
    signals = probe_mechanism_add(probe, "signal events", "nothing: signals are not seen");
    deny = probe_mechanism_add(probe, "security deny",
                               "rules, after the fact; the kernel's own permissions");
    if (!s || !btf) {
        for (size_t i = 0; i < KINDS; i++)
            probe_mechanism_set(rows[i], PROBE_REFUSED, "out of memory");
        probe_mechanism_set(signals, PROBE_REFUSED, "out of memory");
        probe_mechanism_set(deny, PROBE_REFUSED, "out of memory");
    } else {
        if (probe->fentry)
            load_trace(probe, s, btf, rows);
        else
            no_trace(btf, rows);
        load_points(probe, s, btf, signals);
        load_deny(probe, s, deny);
    }
    btf__free(btf);
}

static void security_unload(void *own)
{
    struct security *s = own;

    if (!s)
        return;
    security_deny_bpf__destroy(s->deny);
    security_trace_bpf__destroy(s->trace);
    security_bpf__destroy(s->points);
    free(s);
}

const struct probe_family probe_security_family = {security_load, security_unload};
