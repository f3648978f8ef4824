// SPDX-License-Identifier: Apache-2.0
// What a contained lineage has connected already: LSM programs, where these work.
#include "sensor/probe_private.h"

#include <errno.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "bpf/lineage.skel.h"
#pragma GCC diagnostic pop

static int load(struct probe *probe, struct lineage_bpf *l)
{
    int r = probe_share_maps(probe, l->obj);

    if (r == 0)
        r = bpf_map__reuse_fd(l->maps.net4, probe->fds.net4);
    if (r == 0)
        r = bpf_map__reuse_fd(l->maps.net6, probe->fds.net6);
    return r < 0 ? r : lineage_bpf__load(l);
}

static void lineage_load(struct probe *probe, void **own)
{
    struct probe_mechanism *m = probe_mechanism_add(
        probe, "containment of flows", "a contained lineage keeps what was connected before");
    LIBBPF_OPTS(bpf_object_open_opts, opts, .kernel_log_buf = probe->log,
                .kernel_log_size = PROBE_LOG_BYTES);
    struct lineage_bpf *l;
    uint32_t flags = FLAG_CUTS_FLOWS;
    int r;

    *own = NULL;
    if (!probe->lsm || probe->fds.net4 < 0) {
        probe_mechanism_set(m, PROBE_ABSENT, "LSM programs refuse nothing here");
        return;
    }
    probe->log[0] = 0;
    l = lineage_bpf__open_opts(&opts);
    r = l ? load(probe, l) : -errno;
    if (r == 0)
        r = lineage_bpf__attach(l);
    if (r < 0) {
        probe_mechanism_set(m, PROBE_REFUSED, "loading socket programs: %s; %.100s", strerror(-r),
                            probe_verifier_reason(probe->log));
        lineage_bpf__destroy(l);
        return;
    }
    *own = l;
    probe->any_contained = (uint32_t *)&l->bss->any_contained;
    probe_flags_set(probe->fds.flags, 0, -1, flags);
    probe_mechanism_set(m, PROBE_WORKS, "attached; LSM programs were tried and refuse");
}

static void lineage_unload(void *own)
{
    lineage_bpf__destroy(own);
}

void probe_contained(struct probe *probe, bool any)
{
    if (probe->any_contained)
        __atomic_store_n(probe->any_contained, any, __ATOMIC_SEQ_CST);
}

const struct probe_family probe_lineage_family = {lineage_load, lineage_unload};
