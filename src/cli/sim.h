// SPDX-License-Identifier: Apache-2.0
// `tiercel sim` without its command line: hosts that do not exist, at a real hub. Each has a key and a certificate of its
// own and speaks the agents' protocol; what it reports was recorded (journal folders) or is made up, moved in time, given
// to that host, and chained anew. Plan: sim_plan.c; one host: sim_host.c; what changes in a recording: sim_change.c; many
// at once: sim_load.c. Doc: doc/sim.md.
#pragma once
#include "base/error.h"
#include "base/str.h"
#include "cli/enrol.h"
#include "event/segment.h"
#include "link/enrolment.h"
#include "link/http.h"

#define SIM_LINES_MAX 100000u
#define SIM_HOSTS_MAX 4096u
#define SIM_CLIENTS_MAX 64u
#define SIM_POST_BYTES ((size_t)1 << 20) // of one request, and no record more after that
#define SIM_POST_RECORDS 1024u

// ---- plan

struct sim_line {
    char client[33], host[65], recording[512]; // "-": the made-up stream
    uint64_t start_ns;
};
struct sim_plan {
    struct sim_line *lines; // in order of their start
    size_t n;
};
// Lines "client<TAB>host<TAB>recording<TAB>start"; start is a time, or +DURATION after `base_ns`. Recordings without a
// leading / are looked for beside the plan (`folder`). 0, or -EINVAL with file and line.
int sim_plan_read(FILE *f, const char *name, const char *folder, uint64_t base_ns,
                  struct sim_plan *ret, struct error *e);
void sim_plan_done(struct sim_plan *plan);

struct sim_keys { // enrolment keys by client
    struct {
        char client[33], key[128];
    } of[SIM_CLIENTS_MAX];
    size_t n;
};
int sim_keys_read(FILE *f, const char *name, struct sim_keys *ret, struct error *e);

// ---- what changes in a batch

struct sim_change {
    int64_t wall_ns;  // added to every time of the wall clock
    uint64_t boot_ns; // added to every start of a process
    uint64_t id_add;  // added to every number of an event, detection, verdict, response
    uint64_t id_max;  // highest that came out
    uint8_t host[16], boot[16];
};
// A batch that protobuf-c allocated by itself. 0 or -ENOMEM.
int sim_change_batch(struct sim_change *c, Tiercel__Batch *b);

// ---- recordings

struct sim_source;
int sim_source_open(const char *path, struct sim_source **ret, struct error *e);
struct sim_source *sim_source_close(struct sim_source *s);
// 1: a batch, free it with protobuf-c; 0: the end.
int sim_source_next(struct sim_source *s, Tiercel__Batch **ret, struct error *e);
// The first time in a recording; 0 where it has none.
int sim_source_begin(const char *path, uint64_t *ret_ns, struct error *e);
// What a quiet host does, `n` processes of five events each from `time_ns` on, `every_ns` apart; *pid goes on.
Tiercel__Batch *sim_made_up(uint64_t time_ns, uint64_t every_ns, unsigned n, uint32_t *pid);

// ---- a host

struct sim_counts {
    uint64_t records, events, detections, bytes, requests, again;
};
struct sim_host {
    char client[33], name[65];
    uint8_t id[16], boot[16];
    struct enrolment mine;
    struct http *http;
    struct segment_writer writer; // into memory; its end is where the chain will be
    unsigned waiting;             // records in it that are not sent yet
    struct sim_counts pending;
    uint64_t id_max;
};
struct sim_hub {
    const char *state;  // folder; one folder in it for each host
    struct enrol order; // hub, authority, fingerprint
    const struct sim_keys *keys;
    unsigned patience_s; // how long a hub that does not answer is asked again
};
// Enrols where that was not done before, and asks the hub where the host's chain ends.
int sim_host_open(const struct sim_hub *hub, const char *client, const char *name,
                  struct sim_host *ret, struct error *e);
void sim_host_done(struct sim_host *h);
int sim_host_add(struct sim_host *h, Tiercel__Batch *b, struct error *e);
// Sends what was added. 0 once the hub has it durably.
int sim_host_send(const struct sim_hub *hub, struct sim_host *h, struct sim_counts *counts,
                  struct error *e);
struct sim_end { // of a chain
    uint64_t next;
    uint8_t last[32];
};
// Records whose chain ends there, again and again until the hub has them or its patience ends.
int sim_host_post(const struct sim_hub *hub, struct sim_host *h, struct str body,
                  const struct sim_end *end, uint64_t *again, unsigned *ret_wait_ms,
                  struct error *e);
// Where the hub's copy of the chain ends.
int sim_host_ask(struct sim_host *h, uint64_t *ret_next, uint8_t ret_last[32], struct error *e);

// All lines of a plan, in order of time.
int sim_replay(const struct sim_hub *hub, const struct sim_plan *plan, int64_t shift_ns,
               struct sim_counts *counts, size_t *ret_hosts, struct error *e);

// ---- many hosts at once

struct sim_load {
    unsigned hosts, seconds, threads;
    uint64_t rate;         // events a second, of all
    const char *recording; // "-": made up
    pid_t hub_pid;         // whose memory and time is measured, with its children; 0: not
};
struct sim_result {
    struct sim_counts counts;
    uint64_t lost;                                    // records that the hub has not at the end
    uint64_t took_ns, p50_us, p95_us, p99_us, max_us; // from when they were due to durable
    uint64_t pss_bytes, cpu_ms;                       // of the hub; most, and used
};
// Each host sends once a second what fell due, as an agent does; all is packed before the first is sent.
int sim_load(const struct sim_hub *hub, const struct sim_load *load, struct sim_result *ret,
             struct error *e);
