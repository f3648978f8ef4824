// SPDX-License-Identifier: Apache-2.0
// Sockets that wait for others, and flows. Which programs: tracepoints since 6.3 tell what each process sent and
// received, fexit before; only fexit sees accept(2) itself.
#include "sensor/probe_private.h"

#include "base/cleanup.h"

#include <bpf/btf.h>
#include <errno.h>
#include <unistd.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "bpf/flow.skel.h"
#pragma GCC diagnostic pop

enum { LINKS_MAX = 24 };

struct flow {
    struct flow_bpf *programs;
    struct bpf_link *links[LINKS_MAX];
    size_t n_links;
};

static bool has(const struct btf *btf, const char *name, unsigned kind)
{
    return btf && btf__find_by_name_kind(btf, name, kind) > 0;
}

static unsigned arguments_of(const struct btf *btf, const char *function)
{
    int id = btf__find_by_name_kind(btf, function, BTF_KIND_FUNC);
    const struct btf_type *type = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;

    type = type ? btf__type_by_id(btf, type->type) : NULL;
    return type && btf_is_func_proto(type) ? btf_vlen(type) : 0;
}

// What of the optional programs this kernel can run. False: nothing that counts bytes by process.
static bool choose(const struct probe *probe, struct flow_bpf *programs)
{
    struct btf *btf = btf__load_vmlinux_btf();
    bool points = has(btf, "btf_trace_sock_send_length", BTF_KIND_TYPEDEF);
    bool functions = btf && !points && probe->fentry;
    struct {
        struct bpf_program *program;
        const char *function; // that must be there
        bool wanted;
    } optional[] = {
        {programs->progs.on_sent, NULL, points},
        {programs->progs.on_received, NULL, points},
        {programs->progs.on_tcp_sendmsg, "tcp_sendmsg", functions},
        {programs->progs.on_tcp_sendpage, "tcp_sendpage", functions},
        {programs->progs.on_udp_sendmsg, "udp_sendmsg", functions},
        {programs->progs.on_udpv6_sendmsg, "udpv6_sendmsg", functions},
        {programs->progs.on_tcp_recvmsg, "tcp_recvmsg", functions},
        {programs->progs.on_udp_recvmsg, "udp_recvmsg", functions},
        {programs->progs.on_udpv6_recvmsg, "udpv6_recvmsg", functions},
        {programs->progs.on_splice, "tcp_splice_read", probe->fentry},
        {programs->progs.on_accept, "inet_csk_accept",
         probe->fentry && btf && arguments_of(btf, "inet_csk_accept") == 2},
        {programs->progs.on_accept_until_6_9, "inet_csk_accept",
         probe->fentry && btf && arguments_of(btf, "inet_csk_accept") == 4},
    };

    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++)
        bpf_program__set_autoload(
            optional[i].program,
            optional[i].wanted &&
                (!optional[i].function || has(btf, optional[i].function, BTF_KIND_FUNC)));
    btf__free(btf);
    return points || functions;
}

// Gives the sockets that are open already to those who have them.
static int look_at_open_sockets(const struct flow *flow)
{
    struct bpf_link *link = bpf_program__attach_iter(flow->programs->progs.open_sockets, NULL);
    _cleanup_close_ int fd = link ? bpf_iter_create(bpf_link__fd(link)) : -errno;
    char nothing[64];
    ssize_t n = 1;

    while (fd >= 0 && n > 0)
        n = read(fd, nothing, sizeof nothing);
    bpf_link__destroy(link);
    return fd < 0 ? fd : n < 0 ? -errno : 0;
}

static int attach(struct flow *flow, int cgroup, const char **ret_what)
{
    struct bpf_program *program;

    bpf_object__for_each_program(program, flow->programs->obj)
    {
        enum bpf_prog_type type = bpf_program__type(program);
        bool by_cgroup =
            type == BPF_PROG_TYPE_CGROUP_SOCK || type == BPF_PROG_TYPE_CGROUP_SOCK_ADDR;
        struct bpf_link *link;
        if (!bpf_program__autoload(program) || program == flow->programs->progs.open_sockets)
            continue;
        *ret_what = bpf_program__name(program);
        if (flow->n_links == LINKS_MAX)
            return -E2BIG;
        link =
            by_cgroup ? bpf_program__attach_cgroup(program, cgroup) : bpf_program__attach(program);
        if (!link)
            return -errno;
        flow->links[flow->n_links++] = link;
    }
    return 0;
}

static void flow_attach(struct probe *probe, struct flow *flow, struct probe_mechanism *m)
{
    LIBBPF_OPTS(bpf_object_open_opts, opts, .kernel_log_buf = probe->log,
                .kernel_log_size = PROBE_LOG_BYTES);
    _cleanup_close_ int cgroup = probe_cgroup_root();
    const char *what = "";
    bool shares = false;
    int r;

    if (cgroup < 0) {
        probe_mechanism_set(m, PROBE_ABSENT, "no cgroup-2 hierarchy is mounted at its root");
        return;
    }
    probe->log[0] = 0;
    flow->programs = flow_bpf__open_opts(&opts);
    r = flow->programs ? probe_share_maps(probe, flow->programs->obj) : -errno;
    if (r == 0) {
        shares = choose(probe, flow->programs);
        r = flow_bpf__load(flow->programs);
    }
    if (r < 0) {
        probe_mechanism_set(m, PROBE_REFUSED, "loading: %s; %.100s", strerror(-r),
                            probe_verifier_reason(probe->log));
        return;
    }
    r = attach(flow, cgroup, &what);
    if (r < 0) {
        probe_mechanism_set(m, PROBE_REFUSED, "attaching %s: %s", what, strerror(-r));
        return;
    }
    probe->sockets = bpf_map__fd(flow->programs->maps.sockets);
    r = look_at_open_sockets(flow);
    probe_mechanism_set(
        m, PROBE_WORKS, "%s; accept: %s%s",
        shares ? "bytes in total and by process"
               : "TCP bytes in total, none by process, no UDP (neither fentry nor 6.3)",
        probe->fentry ? "seen" : "told by the first use of the connection",
        r < 0 ? "; whose sockets were open already is not known" : "");
}

static void flow_load(struct probe *probe, void **own)
{
    struct probe_mechanism *m =
        probe_mechanism_add(probe, "flows", "nothing: listening sockets and bytes are not seen");
    struct flow *flow = calloc(1, sizeof *flow);

    *own = flow;
    if (probe->options->without_network)
        probe_mechanism_set(m, PROBE_ABSENT, "switched off");
    else if (!flow)
        probe_mechanism_set(m, PROBE_REFUSED, "out of memory");
    else
        flow_attach(probe, flow, m);
}

static void flow_unload(void *own)
{
    struct flow *flow = own;

    if (!flow)
        return;
    for (size_t i = 0; i < flow->n_links; i++)
        bpf_link__destroy(flow->links[i]);
    flow_bpf__destroy(flow->programs);
    free(flow);
}

const struct probe_family probe_flow_family = {flow_load, flow_unload};
