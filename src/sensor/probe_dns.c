// SPDX-License-Identifier: Apache-2.0
// Questions to name servers and their answers: cgroup programs that look at packets.
#include "sensor/probe_private.h"

#include "base/cleanup.h"

#include <errno.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "bpf/dns.skel.h"
#pragma GCC diagnostic pop

struct dns {
    struct dns_bpf *programs;
    struct bpf_link *links[2];
};

static void dns_attach(struct probe *probe, struct dns *dns, struct probe_mechanism *m)
{
    LIBBPF_OPTS(bpf_object_open_opts, opts, .kernel_log_buf = probe->log,
                .kernel_log_size = PROBE_LOG_BYTES);
    _cleanup_close_ int cgroup = probe_cgroup_root();
    int r;

    if (cgroup < 0 || probe->sockets < 0) {
        probe_mechanism_set(m, PROBE_ABSENT,
                            cgroup < 0 ? "no cgroup-2 hierarchy is mounted at its root"
                                       : "without flows nobody knows who asked");
        return;
    }
    probe->log[0] = 0;
    dns->programs = dns_bpf__open_opts(&opts);
    r = dns->programs ? probe_share_maps(probe, dns->programs->obj) : -errno;
    if (r == 0)
        r = bpf_map__reuse_fd(dns->programs->maps.sockets, probe->sockets);
    if (r == 0)
        r = dns_bpf__load(dns->programs);
    if (r < 0) {
        probe_mechanism_set(m, PROBE_REFUSED, "loading: %s; %.100s", strerror(-r),
                            probe_verifier_reason(probe->log));
        return;
    }
    struct bpf_program *programs[] = {dns->programs->progs.on_question,
                                      dns->programs->progs.on_answer};
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        dns->links[i] = bpf_program__attach_cgroup(programs[i], cgroup);
        if (!dns->links[i]) {
            probe_mechanism_set(m, PROBE_REFUSED, "attaching %s to the root cgroup: %s",
                                bpf_program__name(programs[i]), strerror(errno));
            return;
        }
    }
    probe_mechanism_set(m, PROBE_WORKS, "attached: UDP, port 53");
}

static void dns_load(struct probe *probe, void **own)
{
    struct probe_mechanism *m =
        probe_mechanism_add(probe, "DNS", "nothing: connections have no names");
    struct dns *dns = calloc(1, sizeof *dns);

    *own = dns;
    if (probe->options->without_network)
        probe_mechanism_set(m, PROBE_ABSENT, "switched off");
    else if (!dns)
        probe_mechanism_set(m, PROBE_REFUSED, "out of memory");
    else
        dns_attach(probe, dns, m);
}

static void dns_unload(void *own)
{
    struct dns *dns = own;

    if (!dns)
        return;
    for (size_t i = 0; i < sizeof dns->links / sizeof *dns->links; i++)
        bpf_link__destroy(dns->links[i]);
    dns_bpf__destroy(dns->programs);
    free(dns);
}

const struct probe_family probe_dns_family = {dns_load, dns_unload};
