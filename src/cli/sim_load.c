// SPDX-License-Identifier: Apache-2.0
// Threads do not share anything while they send: thread t has hosts t, t + threads, and so on.
#include "base/cleanup.h"
#include "cli/sim.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>

#define SECOND ((uint64_t)1000000000)
#define RECORD_EVENTS 1000u

struct parcel { // of one host and second
    uint64_t end_byte, events;
    uint32_t records;
    struct sim_end end;
};
struct agent {
    struct sim_host host;
    struct parcel *parcels;
    const char *bytes;
    size_t n_bytes;
    uint64_t phase_ns; // within each second
};
struct fleet {
    const struct sim_hub *hub;
    const struct sim_load *load;
    struct agent *agents;
    unsigned n;
    uint64_t begin_ns; // monotonic
};
struct sender {
    struct fleet *fleet;
    pthread_t thread;
    unsigned which;
    bool started;
    int r;
    struct error e;
    struct sim_counts counts;
    uint32_t *late_us; // of each request
    size_t n_late;
};

static uint64_t now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
    struct timespec t = {(time_t)(ns / SECOND), (long)(ns % SECOND)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

// ---- before: all of it packed

struct maker {
    struct sim_source *source; // of the recording, read round and round
    const char *recording;
    uint32_t pid;
    struct sim_change change;
};

static int next_batch(struct maker *m, uint64_t want, uint64_t time_ns, Tiercel__Batch **ret,
                      struct error *e)
{
    if (!strcmp(m->recording, "-")) {
        unsigned n = (unsigned)(want < RECORD_EVENTS ? (want + 4) / 5 : RECORD_EVENTS / 5);
        *ret = sim_made_up(time_ns, SECOND / 1000, n, &m->pid);
        m->change.wall_ns = 0;
        m->change.boot_ns = 0;
        return *ret ? 0 : error_set(e, -ENOMEM, "no memory");
    }
    for (unsigned times = 0; times < 2; times++) {
        int r = m->source ? sim_source_next(m->source, ret, e) : 0;
        if (r < 0)
            return r;
        if (r > 0) {
            m->change.wall_ns = (int64_t)(time_ns - (*ret)->from);
            return 0;
        }
        m->source = sim_source_close(m->source);
        r = sim_source_open(m->recording, &m->source, e);
        if (r < 0)
            return r;
        m->change.boot_ns = time_ns;
        m->change.id_add = m->change.id_max;
    }
    return error_set(e, -EINVAL, "the recording %s is empty", m->recording);
}

static int make_parcel(struct maker *m, struct sim_host *h, uint64_t want, uint64_t time_ns,
                       struct parcel *ret, struct error *e)
{
    while (ret->events < want) {
        Tiercel__Batch *b = NULL;
        int r = next_batch(m, want - ret->events, time_ns, &b, e);
        if (r < 0)
            return r;
        if (m->recording[0] == '-')
            m->change.id_add = m->change.id_max;
        r = sim_change_batch(&m->change, b);
        uint64_t n = b->n_events + b->n_detections + b->n_verdicts + b->n_losses;
        if (r == 0)
            r = sim_host_add(h, b, e);
        tiercel__batch__free_unpacked(b, NULL);
        if (r < 0)
            return error_set(e, r, "a record cannot be made");
        ret->events += n ? n : 1; // one that says nothing is not an endless loop
        ret->records++;
    }
    ret->end_byte = h->writer.size;
    ret->end.next = h->writer.sequence;
    memcpy(ret->end.last, h->writer.last, sizeof ret->end.last);
    return 0;
}

static int make(struct fleet *f, struct agent *a, uint64_t wall_ns, struct error *e)
{
    const struct sim_load *load = f->load;
    struct maker m = {.recording = load->recording, .pid = 1000};
    uint64_t each = load->hosts ? (load->rate + load->hosts - 1) / load->hosts : 0;
    memcpy(m.change.host, a->host.id, sizeof m.change.host);
    memcpy(m.change.boot, a->host.boot, sizeof m.change.boot);
    m.change.id_max = a->host.id_max;
    a->parcels = calloc(load->seconds, sizeof *a->parcels);
    int r = a->parcels ? 0 : error_set(e, -ENOMEM, "no memory");
    for (unsigned s = 0; r == 0 && s < load->seconds; s++)
        r = make_parcel(&m, &a->host, each, wall_ns + s * SECOND + a->phase_ns, &a->parcels[s], e);
    sim_source_close(m.source);
    if (r < 0)
        return r;
    a->n_bytes = (size_t)a->host.writer.size;
    void *p = mmap(NULL, a->n_bytes, PROT_READ, MAP_SHARED, a->host.writer.fd, 0);
    if (p == MAP_FAILED)
        return error_set(e, -errno, "no memory for %zu bytes", a->n_bytes);
    a->bytes = p;
    return 0;
}

static int prepare(struct fleet *f, struct error *e)
{
    const struct sim_keys *keys = f->hub->keys;
    uint64_t wall_ns = now_ns(CLOCK_REALTIME);
    uint64_t chance = 0x9e3779b97f4a7c15u;
    char name[32];
    int r = 0;
    if (keys->n == 0)
        return error_set(e, -EINVAL, "--keys says which clients the hosts are of");
    for (; r == 0 && f->n < f->load->hosts; f->n += r == 0) {
        struct agent *a = &f->agents[f->n];
        snprintf(name, sizeof name, "agent-%04u", f->n);
        chance = chance * 6364136223846793005u + 1442695040888963407u;
        a->phase_ns = (chance >> 33) % SECOND;
        r = sim_host_open(f->hub, keys->of[f->n % keys->n].client, name, &a->host, e);
    }
    for (unsigned i = 0; r == 0 && i < f->n; i++)
        r = make(f, &f->agents[i], wall_ns, e);
    return r;
}

// ---- sending

static int send_parcel(struct sender *s, struct agent *a, unsigned second)
{
    const struct parcel *p = &a->parcels[second];
    uint64_t from = second ? p[-1].end_byte : 0, due = s->fleet->begin_ns + a->phase_ns;
    unsigned wait_ms = 0;
    due += second * SECOND;
    sleep_until(due);
    int r = sim_host_post(s->fleet->hub, &a->host,
                          str_bytes(a->bytes + from, (size_t)(p->end_byte - from)), &p->end,
                          &s->counts.again, &wait_ms, &s->e);
    if (r < 0)
        return r;
    uint64_t late = (now_ns(CLOCK_MONOTONIC) - due) / 1000;
    s->late_us[s->n_late++] = late > UINT32_MAX ? UINT32_MAX : (uint32_t)late;
    s->counts.requests++;
    s->counts.records += p->records;
    s->counts.events += p->events;
    s->counts.bytes += p->end_byte - from;
    return 0;
}

static int by_phase(const void *a, const void *b)
{
    const struct agent *const *x = a, *const *y = b;
    return ((*x)->phase_ns > (*y)->phase_ns) - ((*x)->phase_ns < (*y)->phase_ns);
}

static void *send_all(void *context)
{
    struct sender *s = context;
    struct fleet *f = s->fleet;
    unsigned n = 0;
    _cleanup_free_ struct agent **mine = calloc(f->n, sizeof *mine);
    s->r = mine ? 0 : error_set(&s->e, -ENOMEM, "no memory");
    for (unsigned i = s->which; mine && i < f->n; i += f->load->threads)
        mine[n++] = &f->agents[i];
    if (mine)
        qsort(mine, n, sizeof *mine, by_phase);
    for (unsigned second = 0; s->r == 0 && second < f->load->seconds; second++)
        for (unsigned i = 0; s->r == 0 && i < n; i++)
            s->r = send_parcel(s, mine[i], second);
    return NULL;
}

// ---- the hub's processes

static void add_process(pid_t pid, uint64_t *pss, uint64_t *cpu_ms)
{
    char path[64], line[512];
    unsigned long long user = 0, system = 0, kib = 0;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    _cleanup_fclose_ FILE *memory = fopen(path, "re");
    while (memory && fgets(line, sizeof line, memory))
        if (sscanf(line, "Pss: %llu kB", &kib) == 1)
            *pss += kib * 1024;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    _cleanup_fclose_ FILE *stat = fopen(path, "re");
    const char *end = stat && fgets(line, sizeof line, stat) ? strrchr(line, ')') : NULL;
    if (end &&
        sscanf(end, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) == 2)
        *cpu_ms += (user + system) * 1000 / (unsigned long long)sysconf(_SC_CLK_TCK);
}

static void measure(pid_t hub, uint64_t *ret_pss, uint64_t *ret_cpu_ms)
{
    char path[64];
    int child;
    *ret_pss = *ret_cpu_ms = 0;
    if (!hub)
        return;
    add_process(hub, ret_pss, ret_cpu_ms);
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)hub, (int)hub);
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    while (f && fscanf(f, "%d", &child) == 1)
        add_process(child, ret_pss, ret_cpu_ms);
}

// ---- all

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static int collect(struct sender *senders, unsigned n, size_t most, struct sim_result *ret)
{
    _cleanup_free_ uint32_t *all = calloc(most, sizeof *all);
    size_t count = 0;
    for (unsigned i = 0; all && i < n; i++) {
        const struct sim_counts *c = &senders[i].counts;
        memcpy(all + count, senders[i].late_us, senders[i].n_late * sizeof *all);
        count += senders[i].n_late;
        ret->counts.requests += c->requests;
        ret->counts.records += c->records;
        ret->counts.events += c->events;
        ret->counts.bytes += c->bytes;
        ret->counts.again += c->again;
    }
    if (!all)
        return -ENOMEM;
    if (count == 0)
        return 0;
    qsort(all, count, sizeof *all, by_size);
    ret->p50_us = all[count / 2];
    ret->p95_us = all[count * 95 / 100];
    ret->p99_us = all[count * 99 / 100];
    ret->max_us = all[count - 1];
    return 0;
}

static int check_end(struct fleet *f, struct sim_result *ret, struct error *e)
{
    for (unsigned i = 0; i < f->n; i++) {
        const struct agent *a = &f->agents[i];
        const struct sim_end *wanted = &a->parcels[f->load->seconds - 1].end;
        struct sim_end got;
        int r = sim_host_ask(&f->agents[i].host, &got.next, got.last, e);
        if (r < 0)
            return r;
        if (got.next == wanted->next && memcmp(got.last, wanted->last, sizeof got.last) == 0)
            continue;
        ret->lost += got.next < wanted->next ? wanted->next - got.next : 1;
    }
    return 0;
}

static int send_with(struct fleet *f, struct sender *senders, struct sim_result *ret,
                     struct error *e)
{
    const struct sim_load *load = f->load;
    size_t most = (size_t)load->hosts * load->seconds;
    uint64_t pss, before, after;
    int r = 0;
    measure(load->hub_pid, &pss, &before);
    f->begin_ns = now_ns(CLOCK_MONOTONIC);
    for (unsigned i = 0; r == 0 && i < load->threads; i++) {
        senders[i] = (struct sender){.fleet = f, .which = i};
        senders[i].late_us = calloc(most, sizeof *senders[i].late_us);
        r = !senders[i].late_us ? -ENOMEM
                                : -pthread_create(&senders[i].thread, NULL, send_all, &senders[i]);
        senders[i].started = r == 0;
    }
    if (r < 0)
        error_set(e, r, "a thread cannot be started: %s", strerror(-r));
    for (unsigned i = 0; i < load->threads; i++) {
        if (!senders[i].started)
            continue;
        struct timespec until;
        do {
            measure(load->hub_pid, &pss, &after);
            if (pss > ret->pss_bytes)
                ret->pss_bytes = pss;
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_sec++;
        } while (pthread_timedjoin_np(senders[i].thread, NULL, &until) == ETIMEDOUT);
        if (r == 0 && senders[i].r < 0) {
            r = senders[i].r;
            *e = senders[i].e;
        }
    }
    ret->took_ns = now_ns(CLOCK_MONOTONIC) - f->begin_ns;
    measure(load->hub_pid, &pss, &after);
    ret->cpu_ms = after > before ? after - before : 0;
    return r < 0 ? r : collect(senders, load->threads, most, ret);
}

int sim_load(const struct sim_hub *hub, const struct sim_load *load, struct sim_result *ret,
             struct error *e)
{
    struct fleet f = {.hub = hub, .load = load};
    _cleanup_free_ struct sender *senders = calloc(load->threads, sizeof *senders);
    f.agents = calloc(load->hosts, sizeof *f.agents);
    *ret = (struct sim_result){0};
    int r = f.agents && senders ? 0 : error_set(e, -ENOMEM, "no memory");
    if (r == 0)
        r = prepare(&f, e);
    if (r == 0)
        r = send_with(&f, senders, ret, e);
    if (r == 0)
        r = check_end(&f, ret, e);
    for (unsigned i = 0; senders && i < load->threads; i++)
        free(senders[i].late_us);
    for (unsigned i = 0; f.agents && i < f.n; i++) {
        if (f.agents[i].bytes)
            munmap((void *)(uintptr_t)f.agents[i].bytes, f.agents[i].n_bytes);
        free(f.agents[i].parcels);
        sim_host_done(&f.agents[i].host);
    }
    free(f.agents);
    return r;
}
