// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"
#include "base/map.h"
#include "cli/sim.h"

#include <errno.h>
#include <stdlib.h>

struct fleet {
    const struct sim_hub *hub;
    struct sim_counts *counts;
    struct sim_host *hosts;
    size_t n;
};

static int host_of(struct fleet *f, const struct sim_line *line, struct sim_host **ret,
                   struct error *e)
{
    for (size_t i = 0; i < f->n; i++)
        if (!strcmp(f->hosts[i].client, line->client) && !strcmp(f->hosts[i].name, line->host)) {
            *ret = &f->hosts[i];
            return 0;
        }
    if (f->n == SIM_HOSTS_MAX)
        return error_set(e, -E2BIG, "more than %u hosts", SIM_HOSTS_MAX);
    int r = sim_host_open(f->hub, line->client, line->host, &f->hosts[f->n], e);
    if (r == 0)
        *ret = &f->hosts[f->n++];
    return r;
}

static int replay_source(struct fleet *f, struct sim_host *h, struct sim_source *source,
                         struct sim_change *change, struct error *e)
{
    Tiercel__Batch *b = NULL;
    int r;
    while ((r = sim_source_next(source, &b, e)) > 0) {
        r = sim_change_batch(change, b);
        if (r < 0)
            error_set(e, r, "no memory");
        if (r == 0)
            r = sim_host_add(h, b, e);
        tiercel__batch__free_unpacked(b, NULL);
        if (r == 0 && (h->writer.size > SIM_POST_BYTES || h->waiting == SIM_POST_RECORDS))
            r = sim_host_send(f->hub, h, f->counts, e);
        if (r < 0)
            return r;
    }
    return r < 0 ? r : sim_host_send(f->hub, h, f->counts, e);
}

static int replay_line(struct fleet *f, const struct sim_line *line, int64_t shift_ns,
                       struct error *e)
{
    struct sim_source *source = NULL;
    struct sim_host *h = NULL;
    uint64_t begin_ns = 0;
    int r = sim_source_begin(line->recording, &begin_ns, e);
    if (r == 0 && begin_ns == 0)
        r = error_set(e, -EINVAL, "the recording %s has nothing with a time", line->recording);
    if (r == 0)
        r = host_of(f, line, &h, e);
    if (r == 0)
        r = sim_source_open(line->recording, &source, e);
    if (r < 0)
        return r;
    // A start counts from 1970 here: the same recording twice on one host gives other processes.
    struct sim_change change = {.wall_ns = (int64_t)(line->start_ns - begin_ns) + shift_ns,
                                .boot_ns = line->start_ns + (uint64_t)shift_ns,
                                .id_add = h->id_max,
                                .id_max = h->id_max};
    memcpy(change.host, h->id, sizeof change.host);
    memcpy(change.boot, h->boot, sizeof change.boot);
    r = replay_source(f, h, source, &change, e);
    h->id_max = change.id_max;
    sim_source_close(source);
    return r;
}

int sim_replay(const struct sim_hub *hub, const struct sim_plan *plan, int64_t shift_ns,
               struct sim_counts *counts, size_t *ret_hosts, struct error *e)
{
    struct fleet f = {.hub = hub, .counts = counts};
    size_t most = plan->n < SIM_HOSTS_MAX ? plan->n : SIM_HOSTS_MAX;
    f.hosts = calloc(most, sizeof *f.hosts);
    int r = f.hosts ? 0 : error_set(e, -ENOMEM, "no memory");
    for (size_t i = 0; r == 0 && i < plan->n; i++)
        r = replay_line(&f, &plan->lines[i], shift_ns, e);
    for (size_t i = 0; i < f.n; i++)
        sim_host_done(&f.hosts[i]);
    free(f.hosts);
    *ret_hosts = f.n;
    return r;
}
