// SPDX-License-Identifier: Apache-2.0
#include "sensor/probe.h"

#include "base/cleanup.h"
#include "bpf/environment.h"
#include "sensor/probe_try.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "bpf/connect.skel.h"
#include "bpf/process.skel.h"
#pragma GCC diagnostic pop

// A log that does not fit is an error of its own on older kernels; pages that are not written cost nothing.
enum { VERIFIER_LOG_BYTES = 16 << 20, JUDGED_SECONDS = 10 };

enum mechanism { EVENTS, EXEC_SIGNAL, NETWORK, LSM, FENTRY, PREPARE_EXEC, MECHANISMS };

struct probe {
    struct process_bpf *process;
    struct connect_bpf *connect;
    struct bpf_link *network[4];
    struct exec_config *config; // the map's value
    struct probe_fds fds;
    struct probe_mechanism mechanisms[MECHANISMS];
    size_t n_mechanisms;
    char *log; // while loading
};

static int print_nothing(enum libbpf_print_level level, const char *format, va_list arguments)
{
    (void)level;
    (void)format;
    (void)arguments;
    return 0;
}

// The verifier's last words before its statistics.
static const char *verifier_reason(char *log)
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
                .kernel_log_size = VERIFIER_LOG_BYTES);
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
                  verifier_reason(probe->log));
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
    probe->config->judged_lifetime = JUDGED_SECONDS * 1000000000ull;
    r = process_bpf__attach(probe->process);
    if (r < 0)
        return error_set(e, r, "cannot attach the process programs: %s", strerror(-r));
    return 0;
}

// The root of the cgroup-2 hierarchy, or negative errno.
static int open_cgroup_root(void)
{
    _cleanup_fclose_ FILE *file = fopen("/proc/self/mountinfo", "re");
    char line[4096], root[1024], point[1024];

    if (!file)
        return -errno;
    while (fgets(line, sizeof line, file)) {
        if (strstr(line, " - cgroup2 ") &&
            sscanf(line, "%*s %*s %*s %1023s %1023s", root, point) == 2 && !strcmp(root, "/")) {
            int fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            return fd < 0 ? -errno : fd;
        }
    }
    return -ENOENT;
}

static int share_maps(struct probe *probe)
{
    struct {
        struct bpf_map *map;
        int fd;
    } shared[] = {
        {probe->connect->maps.structural, probe->fds.structural},
        {probe->connect->maps.bulk, probe->fds.bulk},
        {probe->connect->maps.flags, probe->fds.flags},
        {probe->connect->maps.config, probe->fds.config},
        {probe->connect->maps.counters, probe->fds.counters},
    };
    int r = 0;

    for (size_t i = 0; i < sizeof shared / sizeof *shared && r == 0; i++)
        r = bpf_map__reuse_fd(shared[i].map, shared[i].fd);
    return r;
}

static void load_network(struct probe *probe, struct probe_mechanism *m)
{
    LIBBPF_OPTS(bpf_object_open_opts, opts, .kernel_log_buf = probe->log,
                .kernel_log_size = VERIFIER_LOG_BYTES);
    _cleanup_close_ int cgroup = open_cgroup_root();
    int r;

    if (cgroup < 0) {
        probe_mechanism_set(m, PROBE_ABSENT, "no cgroup-2 hierarchy is mounted at its root");
        return;
    }
    probe->log[0] = 0;
    probe->connect = connect_bpf__open_opts(&opts);
    r = probe->connect ? share_maps(probe) : -errno;
    if (r == 0)
        r = connect_bpf__load(probe->connect);
    if (r < 0) {
        probe_mechanism_set(m, PROBE_REFUSED, "loading cgroup programs: %s; %.100s", strerror(-r),
                            verifier_reason(probe->log));
        return;
    }
    probe->fds.net4 = bpf_map__fd(probe->connect->maps.net4);
    probe->fds.net6 = bpf_map__fd(probe->connect->maps.net6);
    struct bpf_program *programs[] = {
        probe->connect->progs.on_connect4, probe->connect->progs.on_connect6,
        probe->connect->progs.on_send4, probe->connect->progs.on_send6};
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        probe->network[i] = bpf_program__attach_cgroup(programs[i], cgroup);
        if (!probe->network[i]) {
            probe_mechanism_set(m, PROBE_REFUSED, "attaching %s to the root cgroup: %s",
                                bpf_program__name(programs[i]), strerror(errno));
            return;
        }
    }
    probe_try_network(&probe->fds, m);
}

static struct probe_mechanism *mechanism(struct probe *probe, enum mechanism which,
                                         const char *name, const char *instead)
{
    struct probe_mechanism *m = &probe->mechanisms[which];

    m->name = name;
    m->instead = instead;
    probe->n_mechanisms = (size_t)which + 1;
    return m;
}

int probe_new(const struct probe_options *options, struct probe **ret, struct error *e)
{
    struct probe *probe = calloc(1, sizeof *probe);
    struct probe_mechanism *m;
    int r;

    if (!probe || !(probe->log = calloc(1, VERIFIER_LOG_BYTES))) {
        free(probe);
        return error_set(e, -ENOMEM, "out of memory");
    }
    libbpf_set_print(print_nothing);
    probe->fds.net4 = probe->fds.net6 = -1;
    r = load_process(probe, options, e);
    if (r == 0 && !probe_try_events(&probe->fds))
        r = error_set(e, -EIO, "the process programs are attached, but a fork was not seen");
    if (r < 0) {
        probe_free(probe);
        return r;
    }
    m = mechanism(probe, EVENTS, "process events", "");
    probe_mechanism_set(m, PROBE_WORKS, "a fork was seen");
    m = mechanism(probe, EXEC_SIGNAL, "exec signal",
                  "the gate alone; its race and unguarded files stay open");
    if (options->without_trials)
        probe_mechanism_set(m, PROBE_WORKS, "not tried");
    else
        probe_try_exec_signal(probe->config, &probe->fds, m);
    m = mechanism(probe, NETWORK, "network deny",
                  "nothing: connections are neither seen nor denied");
    if (options->without_network)
        probe_mechanism_set(m, PROBE_ABSENT, "switched off");
    else
        load_network(probe, m);
    if (!options->without_trials) {
        probe_try_lsm(
            mechanism(probe, LSM, "LSM", "the gate, the exec signal and cgroup programs"));
        probe_try_fentry(mechanism(probe, FENTRY, "fentry", "tracepoints and fanotify"));
        probe_try_prepare_exec(
            mechanism(probe, PREPARE_EXEC, "sched_prepare_exec", "sched_process_exec"));
    }
    for (size_t i = 0; i < probe->n_mechanisms; i++)
        if (probe->mechanisms[i].state == PROBE_WORKS)
            probe->mechanisms[i].instead = "";
    free(probe->log);
    probe->log = NULL;
    *ret = probe;
    return 0;
}

struct probe *probe_free(struct probe *probe)
{
    if (!probe)
        return NULL;
    for (size_t i = 0; i < sizeof probe->network / sizeof *probe->network; i++)
        bpf_link__destroy(probe->network[i]);
    connect_bpf__destroy(probe->connect);
    if (probe->config)
        munmap(probe->config, sizeof *probe->config);
    process_bpf__destroy(probe->process);
    free(probe->log);
    free(probe);
    return NULL;
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
