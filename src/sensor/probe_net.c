// SPDX-License-Identifier: Apache-2.0
// Connections: cgroup programs on the root of the cgroup-2 hierarchy.
#include "sensor/probe_private.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "bpf/connect.skel.h"
#pragma GCC diagnostic pop

struct network {
    struct connect_bpf *connect;
    struct bpf_link *links[4];
};

int probe_cgroup_root(void)
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

static void attach(struct probe *probe, struct network *n, struct probe_mechanism *m)
{
    LIBBPF_OPTS(bpf_object_open_opts, opts, .kernel_log_buf = probe->log,
                .kernel_log_size = PROBE_LOG_BYTES);
    _cleanup_close_ int cgroup = probe_cgroup_root();
    int r;

    if (cgroup < 0) {
        probe_mechanism_set(m, PROBE_ABSENT, "no cgroup-2 hierarchy is mounted at its root");
        return;
    }
    probe->log[0] = 0;
    n->connect = connect_bpf__open_opts(&opts);
    r = n->connect ? probe_share_maps(probe, n->connect->obj) : -errno;
    if (r == 0)
        r = connect_bpf__load(n->connect);
    if (r < 0) {
        probe_mechanism_set(m, PROBE_REFUSED, "loading cgroup programs: %s; %.100s", strerror(-r),
                            probe_verifier_reason(probe->log));
        return;
    }
    probe->fds.net4 = bpf_map__fd(n->connect->maps.net4);
    probe->fds.net6 = bpf_map__fd(n->connect->maps.net6);
    struct bpf_program *programs[] = {n->connect->progs.on_connect4, n->connect->progs.on_connect6,
                                      n->connect->progs.on_send4, n->connect->progs.on_send6};
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        n->links[i] = bpf_program__attach_cgroup(programs[i], cgroup);
        if (!n->links[i]) {
            probe_mechanism_set(m, PROBE_REFUSED, "attaching %s to the root cgroup: %s",
                                bpf_program__name(programs[i]), strerror(errno));
            return;
        }
    }
    probe_try_network(&probe->fds, m);
}

static void network_load(struct probe *probe, void **own)
{
    struct probe_mechanism *m = probe_mechanism_add(
        probe, "network deny", "nothing: connections are neither seen nor denied");
    struct network *n = calloc(1, sizeof *n);

    *own = n;
    if (probe->options->without_network)
        probe_mechanism_set(m, PROBE_ABSENT, "switched off");
    else if (!n)
        probe_mechanism_set(m, PROBE_REFUSED, "out of memory");
    else
        attach(probe, n, m);
}

static void network_unload(void *own)
{
    struct network *n = own;

    if (!n)
        return;
    for (size_t i = 0; i < sizeof n->links / sizeof *n->links; i++)
        bpf_link__destroy(n->links[i]);
    connect_bpf__destroy(n->connect);
    free(n);
}

const struct probe_family probe_network_family = {network_load, network_unload};
