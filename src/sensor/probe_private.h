// SPDX-License-Identifier: Apache-2.0
// Inside of the probe. The process programs are the minimum and own the shared maps (probe.c); every other family of
// programs is one file probe_<family>.c with its struct probe_family, listed in probe.c. A family that cannot be loaded
// says so as a mechanism's state and leaves nothing attached; the others go on.
#pragma once
#include "sensor/probe.h"
#include "sensor/probe_try.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

// A log that does not fit is an error of its own on older kernels; pages that are not written cost nothing.
enum { PROBE_LOG_BYTES = 16 << 20, PROBE_MECHANISMS_MAX = 48, PROBE_FAMILIES_MAX = 8 };

struct probe {
    struct process_bpf *process;
    void *family[PROBE_FAMILIES_MAX]; // each family's own
    struct exec_config *config;       // the map's value
    struct probe_fds fds;
    struct probe_mechanism mechanisms[PROBE_MECHANISMS_MAX];
    size_t n_mechanisms;
    const struct probe_options *options; // while loading
    bool lsm, fentry;                    // tried, and they work
    int sockets;                         // map of bpf/socket.bpf.h; -1 without flows
    uint32_t *any_contained;             // the lineage programs' switch; NULL: not loaded
    char *log;                           // of the verifier, while loading
};

struct probe_family {
    void (*load)(struct probe *probe, void **own); // says its mechanisms
    void (*unload)(void *own);                     // own may be NULL
};
extern const struct probe_family probe_lineage_family; // after the network's
extern const struct probe_family probe_network_family;
extern const struct probe_family probe_file_family;
extern const struct probe_family probe_flow_family; // also bind, listen, accept
extern const struct probe_family
    probe_dns_family; // after the flow family: shares what is known of a socket
extern const struct probe_family probe_security_family;

// One more row of `doctor`; its state is to be set. `instead` is emptied by probe_new() where it works.
struct probe_mechanism *probe_mechanism_add(struct probe *probe, const char *name,
                                            const char *instead);
// Maps of process.bpf.c that an object declares by the same name (maps.bpf.h) become the same maps. Before its load.
int probe_share_maps(const struct probe *probe, struct bpf_object *object);
// The verifier's last words before its statistics.
const char *probe_verifier_reason(char *log);
