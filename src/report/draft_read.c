// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "report/draft.h"
#include "store/attempts.h"
#include "store/store.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <unistd.h>

#define TABLE ((size_t)2 * STORE_HOSTS_MAX) // a power of two

struct seen { // of one host
    uint8_t host[16];
    uint64_t last_ns;
    uint8_t days[(DRAFT_DAYS_MAX + 7) / 8];
    bool used;
};

struct reading {
    struct draft *d;
    struct draft_client *client;
    struct seen *table;
    bool full, failed;
};

static struct seen *seen_of(struct reading *r, const uint8_t host[16])
{
    uint64_t at;
    memcpy(&at, host, sizeof at);
    at = (at * 0x9e3779b97f4a7c15u) >> 40;
    for (size_t i = 0; i < TABLE; i++) {
        struct seen *s = &r->table[(at + i) % TABLE];
        if (!s->used && r->client->hosts < STORE_HOSTS_MAX) {
            s->used = true;
            memcpy(s->host, host, 16);
            r->client->hosts++;
            return s;
        }
        if (s->used && memcmp(s->host, host, 16) == 0)
            return s;
        if (!s->used)
            break;
    }
    return NULL;
}

static void mark(struct reading *r, struct seen *s, uint64_t ns)
{
    const struct draft_request *q = r->d->request;
    if (ns < q->from_ns || ns >= q->to_ns)
        return;
    size_t day = (size_t)((ns - q->from_ns) / DRAFT_DAY_NS);
    if (s->days[day / 8] & (1u << day % 8))
        return;
    s->days[day / 8] = (uint8_t)(s->days[day / 8] | 1u << day % 8);
    r->d->hosts_of_day[day]++;
    r->client->sensor_days++;
}

// Only headers are needed: no batch is unpacked.
static bool look(void *context, const struct segment_info *info)
{
    struct reading *r = context;
    const struct draft_request *q = r->d->request;
    if (info->to_ns < q->from_ns || info->from_ns >= q->to_ns || info->to_ns == 0)
        return true;
    struct seen *s = seen_of(r, info->host);
    if (!s) {
        r->full = true;
        return true;
    }
    if (info->from_ns + (uint64_t)3600 * 1000000000 < s->last_ns)
        r->client->backwards++;
    s->last_ns = info->to_ns;
    mark(r, s, info->from_ns);
    mark(r, s, info->to_ns);
    return true;
}

static int one_gap(void *context, const struct store_gap *gap)
{
    struct reading *r = context;
    if (gap->from_ns < r->d->request->to_ns && gap->to_ns >= r->d->request->from_ns)
        r->client->gaps++;
    return 0;
}

static int coverage(struct reading *r, const char *folder, struct error *e)
{
    struct store_filter filter = {.from_ns = r->d->request->from_ns,
                                  .to_ns = r->d->request->to_ns,
                                  .skip = look,
                                  .skip_context = r};
    struct store_walk *walk = NULL;
    struct segment_info info;
    struct str record;
    r->table = calloc(TABLE, sizeof *r->table);
    int got = r->table ? store_walk_new(folder, &filter, &walk, e)
                       : error_set(e, -ENOMEM, "out of memory");
    while (got >= 0 && (got = store_walk_next(walk, &info, &record, e)) > 0)
        if (got == 2)
            got = -EBADMSG;
    store_walk_free(walk);
    free(r->table);
    if (got == 0 && r->full)
        return error_set(e, -E2BIG, "client %s has too many hosts", r->client->name);
    return got == -ENOENT ? 0 : got;
}

static int one_attempt(void *context, const struct store_attempt *one)
{
    struct reading *r = context;
    struct draft *d = r->d;
    struct draft_attempt a = {.client = (size_t)(r->client - d->clients),
                              .begin_ns = one->begin_ns,
                              .end_ns = one->end_ns,
                              .outcome = (enum attempt_outcome)one->outcome};
    if (one->begin_ns < d->request->from_ns || one->begin_ns >= d->request->to_ns)
        return 0;
    if (d->n_attempts == DRAFT_ATTEMPTS_MAX)
        return -E2BIG;
    if (one->outcome > ATTEMPT_LEFT)
        return -EBADMSG;
    attempt_id_words(one->id, a.id);
    SHA256((const unsigned char *)one->json.p, one->json.n, a.evidence);
    a.json = json_loadb(one->json.p, one->json.n, 0, NULL); // NULL: bytes that are no text
    void *more = reallocarray(d->attempts, d->n_attempts + 1, sizeof a);
    if (!more) {
        json_decref(a.json);
        return -ENOMEM;
    }
    d->attempts = more;
    d->attempts[d->n_attempts++] = a;
    d->attempts_of_day[(a.begin_ns - d->request->from_ns) / DRAFT_DAY_NS]++;
    r->client->attempts++;
    r->client->known += a.outcome != ATTEMPT_UNKNOWN;
    r->client->harmed += a.outcome == ATTEMPT_READ || a.outcome == ATTEMPT_LEFT;
    return 0;
}

static int read_client(struct draft *d, struct draft_client *c, struct error *e)
{
    char folder[4096], events[4128];
    struct reading r = {.d = d, .client = c};
    struct store_verified verified;
    struct store_attempts *attempts = NULL;
    snprintf(folder, sizeof folder, "%s/clients/%s", d->request->state, c->name);
    snprintf(events, sizeof events, "%s/events", folder);
    if (access(events, F_OK) < 0)
        return 0; // it has sent nothing
    int got = store_verify(folder, &verified, e);
    if (got == 0)
        got = coverage(&r, folder, e);
    if (got == 0)
        got = store_gaps_read(folder, one_gap, &r, e);
    if (got < 0) {
        if (e->way_out[0] == 0)
            error_way_out(e, "no report is made of damaged evidence: tiercel-hub verify %s",
                          c->name);
        return got;
    }
    got = store_attempts_open(folder, false, &attempts, e);
    if (got < 0) {
        error_way_out(e, "join its attempts first: tiercel-hub attempts %s", c->name);
        return got;
    }
    got = store_attempts_each(attempts, d->request->from_ns, 0, one_attempt, &r, e);
    store_attempts_close(attempts);
    if (got < 0 && e->code == 0)
        error_set(e, got, "attempts of %s cannot be read: %s", c->name, strerror(-got));
    return got;
}

static int one_client(void *context, const struct registry_client *c)
{
    struct draft *d = context;
    struct draft_client *to = &d->clients[d->n_clients];
    if (d->n_clients == REGISTRY_CLIENTS_MAX)
        return -E2BIG;
    memcpy(to->name, c->name, sizeof to->name);
    memcpy(to->sector, c->sector, sizeof to->sector);
    d->n_clients++;
    return 0;
}

static int by_begin(const void *p, const void *q)
{
    const struct draft_attempt *x = p, *y = q;
    if (x->begin_ns != y->begin_ns)
        return x->begin_ns < y->begin_ns ? -1 : 1;
    if (x->client != y->client)
        return x->client < y->client ? -1 : 1;
    return strcmp(x->id, y->id);
}

static void sum_up(struct draft *d)
{
    SHA256_CTX hash;
    if (d->n_attempts)
        qsort(d->attempts, d->n_attempts, sizeof *d->attempts, by_begin);
    for (size_t i = 0; i < d->n_clients; i++) {
        d->hosts += d->clients[i].hosts;
        d->sensor_days += d->clients[i].sensor_days;
        d->gaps += d->clients[i].gaps;
        d->backwards += d->clients[i].backwards;
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    SHA256_Init(&hash);
    for (size_t i = 0; i < d->n_attempts; i++)
        SHA256_Update(&hash, d->attempts[i].evidence, 32);
    SHA256_Final(d->root, &hash);
#pragma GCC diagnostic pop
}

int draft_read(const struct draft_request *request, struct draft *ret, struct error *e)
{
    char file[4096];
    struct registry *registry = NULL;
    struct draft *d = ret;
    memset(d, 0, sizeof *d);
    d->request = request;
    if (request->to_ns <= request->from_ns ||
        request->to_ns - request->from_ns > DRAFT_DAYS_MAX * DRAFT_DAY_NS)
        return error_set(e, -EINVAL, "the window must be 1 to %d days", DRAFT_DAYS_MAX);
    d->n_days = (size_t)((request->to_ns - request->from_ns) / DRAFT_DAY_NS);
    d->hosts_of_day = calloc(d->n_days + 1, sizeof *d->hosts_of_day);
    d->attempts_of_day = calloc(d->n_days + 1, sizeof *d->attempts_of_day);
    if (!d->hosts_of_day || !d->attempts_of_day)
        return error_set(e, -ENOMEM, "out of memory");
    snprintf(file, sizeof file, "%s/hub.db", request->state);
    int r = draft_external(d, e);
    if (r == 0)
        r = registry_open(file, false, &registry, e);
    if (r == 0)
        r = registry_client_each(registry, one_client, d, e);
    registry_close(registry);
    for (size_t i = 0; r == 0 && i < d->n_clients; i++)
        r = read_client(d, &d->clients[i], e);
    if (r < 0)
        return r;
    sum_up(d);
    draft_attribute(d);
    return 0;
}

void draft_done(struct draft *d)
{
    for (size_t i = 0; i < d->n_attempts; i++)
        json_decref(d->attempts[i].json);
    free(d->attempts);
    free(d->hosts_of_day);
    free(d->attempts_of_day);
    json_decref(d->external);
}
