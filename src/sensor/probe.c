// SPDX-License-Identifier: Apache-2.0
#include "sensor/probe_private.h"

#include "bpf/environment.h"

#include <bpf/btf.h>
#include <errno.h>
#include <sys/mman.h>
#include <time.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "bpf/process.skel.h"
#pragma GCC diagnostic pop

enum { JUDGED_SECONDS = 10, BULK_PER_PROCESS = 100000, BULK_PER_CGROUP = 200000 };

static const struct probe_family *const families[] = {
    &probe_network_family, &probe_flow_family,     &probe_dns_family,
    &probe_file_family,    &probe_security_family, &probe_lineage_family};
#define N_FAMILIES (sizeof families / sizeof *families)
_Static_assert(N_FAMILIES <= PROBE_FAMILIES_MAX, "room for every family");

static int print_nothing(enum libbpf_print_level level, const char *format, va_list arguments)
{
    (void)level;
    (void)format;
    (void)arguments;
    return 0;
}

const char *probe_verifier_reason(char *log)
{
    char *end = log + strlen(log), *line;

    while (end > log) {
        *end = 0;
        line = memrchr(log, '\n', (size_t)(end - log));
        line = line ? line + 1 : log;
        if (*line && !str_starts(str_from(line), STR("processed ")) &&
            !str_starts(str_from(line), STR("verification time")) &&
            !str_starts(str_from(line), STR("stack depth")))
            return line;
        end = line > log ? line - 1 : log;
    }
    return "";
}

static void set_environment_names(struct process_bpf *process)
{
#define ENVIRONMENT_TEXT(name) name "=",
    static const char *const names[] = {ENVIRONMENT_NAMES(ENVIRONMENT_TEXT)};
    struct environment_name *out = (struct environment_name *)process->rodata->environment_names;
    uint64_t *first = (uint64_t *)process->rodata->environment_first;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        memset(&out[i], 0, sizeof out[i]);
        memcpy(out[i].word, names[i], n);
        memset(out[i].mask, 0xff, n);
        first[(unsigned char)names[i][0] >> 6] |= 1ull << (names[i][0] & 63);
    }
}

// Arguments of a tracepoint, as the kernel's types tell.
static unsigned tracepoint_arguments(const struct btf *btf, const char *name)
{
    int id = btf__find_by_name_kind(btf, name, BTF_KIND_TYPEDEF);
    const struct btf_type *type = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;

    for (; type && (btf_is_typedef(type) || btf_is_ptr(type));
         type = btf__type_by_id(btf, type->type))
        ;
    return type && btf_is_func_proto(type) && btf_vlen(type) ? btf_vlen(type) - 1u
                                                             : 0; // the first is not ours
}

static int load_process(struct probe *probe, const struct probe_options *options, struct error *e)
{
    LIBBPF_OPTS(bpf_object_open_opts, opts, .kernel_log_buf = probe->log,
                .kernel_log_size = PROBE_LOG_BYTES);
    struct btf *btf = btf__load_vmlinux_btf();
    bool exit_tells_last;
    int r;

    if (!btf) {
        error_set(e, -ENOENT,
                  "the kernel does not describe its types (no BTF in /sys/kernel/btf/vmlinux)");
        error_way_out(e, "boot a kernel with CONFIG_DEBUG_INFO_BTF=y, as Debian's are");
        return -ENOENT;
    }
    exit_tells_last = tracepoint_arguments(btf, "btf_trace_sched_process_exit") >= 2;
    btf__free(btf);
    probe->process = process_bpf__open_opts(&opts);
    if (!probe->process)
        return error_set(e, -errno, "cannot open the process programs: %s", strerror(errno));
    set_environment_names(probe->process);
    probe->process->rodata->exit_tells_last = exit_tells_last;
    r = bpf_map__set_max_entries(probe->process->maps.counters,
                                 (uint32_t)libbpf_num_possible_cpus());
    if (r == 0)
        r = bpf_map__set_max_entries(probe->process->maps.scratch,
                                     (uint32_t)libbpf_num_possible_cpus());
    if (r == 0)
        r = process_bpf__load(probe->process);
    if (r < 0) {
        error_set(e, r, "the kernel refused the process programs: %s; %.200s", strerror(-r),
                  probe_verifier_reason(probe->log));
        error_way_out(e, r == -EPERM ? "run as root, or with CAP_BPF and CAP_PERFMON"
                                     : "kernels 6.1 to 6.18 are supported");
        return r;
    }
    probe->fds.structural = bpf_map__fd(probe->process->maps.structural);
    probe->fds.bulk = bpf_map__fd(probe->process->maps.bulk);
    probe->fds.judged = bpf_map__fd(probe->process->maps.judged);
    probe->fds.flags = bpf_map__fd(probe->process->maps.flags);
    probe->fds.guarded = bpf_map__fd(probe->process->maps.guarded);
    probe->fds.config = bpf_map__fd(probe->process->maps.config);
    probe->fds.counters = bpf_map__fd(probe->process->maps.counters);
    probe->config =
        mmap(NULL, sizeof *probe->config, PROT_READ | PROT_WRITE, MAP_SHARED, probe->fds.config, 0);
    if (probe->config == MAP_FAILED) {
        probe->config = NULL;
        return error_set(e, -errno, "cannot map the programs' configuration: %s", strerror(errno));
    }
    memcpy(probe->config->hash_key, options->hash_key, sizeof probe->config->hash_key);
    probe->config->bulk_per_process = BULK_PER_PROCESS;
    probe->config->bulk_per_cgroup = BULK_PER_CGROUP;
    probe->config->judged_lifetime = JUDGED_SECONDS * 1000000000ull;
    r = process_bpf__attach(probe->process);
    if (r < 0)
        return error_set(e, r, "cannot attach the process programs: %s", strerror(-r));
    return 0;
}

struct probe_mechanism *probe_mechanism_add(struct probe *probe, const char *name,
                                            const char *instead)
{
    struct probe_mechanism *m;

    if (probe->n_mechanisms == PROBE_MECHANISMS_MAX)
        abort(); // the families are known when this is built
    m = &probe->mechanisms[probe->n_mechanisms++];
    m->name = name;
    m->instead = instead;
    return m;
}

int probe_share_maps(const struct probe *probe, struct bpf_object *object)
{
    struct {
        const char *name;
        int fd;
    } shared[] = {
        {"structural", probe->fds.structural},
        {"bulk", probe->fds.bulk},
        {"flags", probe->fds.flags},
        {"config", probe->fds.config},
        {"counters", probe->fds.counters},
        {"bulk_slots", bpf_map__fd(probe->process->maps.bulk_slots)},
    };
    int r = 0;

    for (size_t i = 0; i < sizeof shared / sizeof *shared && r == 0; i++) {
        struct bpf_map *map = bpf_object__find_map_by_name(object, shared[i].name);
        if (map)
            r = bpf_map__reuse_fd(map, shared[i].fd);
    }
    return r;
}

static void try_all(struct probe *probe)
{
    struct probe_mechanism *m =
        probe_mechanism_add(probe, "LSM", "the gate, the exec signal and cgroup programs");

    probe_try_lsm(m);
    probe->lsm = m->state == PROBE_WORKS;
    m = probe_mechanism_add(probe, "fentry", "tracepoints and fanotify");
    probe_try_fentry(m);
    probe->fentry = m->state == PROBE_WORKS;
    probe_try_prepare_exec(probe_mechanism_add(probe, "sched_prepare_exec", "sched_process_exec"));
}

int probe_new(const struct probe_options *options, struct probe **ret, struct error *e)
{
    struct probe *probe = calloc(1, sizeof *probe);
    struct probe_mechanism *m;
    int r;

    if (!probe || !(probe->log = calloc(1, PROBE_LOG_BYTES))) {
        free(probe);
        return error_set(e, -ENOMEM, "out of memory");
    }
    libbpf_set_print(print_nothing);
    probe->options = options;
    probe->sockets = -1;
    probe->fds.net4 = probe->fds.net6 = probe->fds.watched = -1;
    probe->fds.protected = probe->fds.protected_filter = probe->fds.blocked = -1;
    r = load_process(probe, options, e);
    if (r == 0 && !probe_try_events(&probe->fds))
        r = error_set(e, -EIO, "the process programs are attached, but a fork was not seen");
    if (r < 0) {
        probe_free(probe);
        return r;
    }
    m = probe_mechanism_add(probe, "process events", "");
    probe_mechanism_set(m, PROBE_WORKS, "a fork was seen");
    m = probe_mechanism_add(probe, "exec signal",
                            "the gate alone; its race and unguarded files stay open");
    if (options->without_trials)
        probe_mechanism_set(m, PROBE_WORKS, "not tried");
    else
        probe_try_exec_signal(probe->config, &probe->fds, m);
    if (!options->without_trials)
        try_all(probe);
    for (size_t i = 0; i < N_FAMILIES; i++)
        families[i]->load(probe, &probe->family[i]);
    for (size_t i = 0; i < probe->n_mechanisms; i++)
        if (probe->mechanisms[i].state == PROBE_WORKS)
            probe->mechanisms[i].instead = "";
    free(probe->log);
    probe->log = NULL;
    probe->options = NULL;
    *ret = probe;
    return 0;
}

struct probe *probe_free(struct probe *probe)
{
    if (!probe)
        return NULL;
    for (size_t i = 0; i < N_FAMILIES; i++)
        families[i]->unload(probe->family[i]);
    if (probe->config)
        munmap(probe->config, sizeof *probe->config);
    process_bpf__destroy(probe->process);
    free(probe->log);
    free(probe);
    return NULL;
}

void probe_bulk_limit(struct probe *probe, uint32_t share)
{
    probe->config->bulk_per_process = share ? BULK_PER_PROCESS / share : 0;
    probe->config->bulk_per_cgroup = share ? BULK_PER_CGROUP / share : 0;
}

size_t probe_mechanisms(const struct probe *probe, const struct probe_mechanism **ret)
{
    *ret = probe->mechanisms;
    return probe->n_mechanisms;
}

struct probe_fds probe_fds(const struct probe *probe)
{
    return probe->fds;
}

int probe_arm(struct probe *probe, const struct probe_arming *arming)
{
    struct exec_config *c = probe->config;
    struct timespec now;

    if (arming->n_own > CONFIG_OWN)
        return -E2BIG;
    if (!arming->armed)
        __atomic_store_n(&c->armed, 0, __ATOMIC_SEQ_CST);
    for (size_t i = 0; i < CONFIG_OWN; i++)
        c->own[i] = i < arming->n_own ? (uint32_t)arming->own[i] : 0;
    c->prevent = arming->prevent;
    c->mount_namespace = arming->mount_namespace;
    c->judged_lifetime =
        arming->judged_lifetime_ns ? arming->judged_lifetime_ns : JUDGED_SECONDS * 1000000000ull;
    if (arming->armed && !c->armed) {
        clock_gettime(CLOCK_BOOTTIME, &now);
        c->armed_since = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
        __atomic_store_n(&c->armed, 1, __ATOMIC_SEQ_CST);
    }
    return 0;
}
