// SPDX-License-Identifier: Apache-2.0
#include "hub/attempts.h"

#include "attempt/attempt.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "event/segment_record.h"
#include "store/attempts.h"
#include "store/store.h"

#include <errno.h>
#include <string.h>

#define BETWEEN 32 // records

struct run {
    const char *folder;
    const struct hub_join *how;
    struct attempts *attempts;
    struct store_attempts *store;
    struct segment_opener *opener;
    uint64_t batches; // that were there in the first pass: later ones are left for the next run
    uint64_t records;
};

static int take(struct run *r, const struct segment_info *info, struct str record, struct error *e)
{
    struct str plain;
    Tiercel__Batch *batch = NULL;
    struct error damaged = {0};
    if (++r->records % BETWEEN == 0 && r->how->between) {
        int stop = r->how->between(r->how->context);
        if (stop)
            return error_set(e, stop, "stopped");
    }
    int code = segment_record_plain(r->opener, record, &plain, &damaged);
    if (code == 0)
        code = segment_record_unpack(r->opener, info, plain, &batch, &damaged);
    if (code == -EBADMSG || code == -ENOTSUP || code == -EFBIG)
        return 0; // core proved its hashes when it came: its host wrote what cannot be read
    if (code == 0)
        code = attempts_take(r->attempts, batch);
    return code < 0 ? error_set(e, code, "no memory for the attempts of %s", r->folder) : 0;
}

static int pass(struct run *r, bool first, struct error *e)
{
    const struct store_filter filter = {
        .from_ns = r->how->from_ns, .skip = attempts_skip, .skip_context = r->attempts};
    struct store_walk *w = NULL;
    struct segment_info info;
    struct str record;
    int code = store_walk_new(r->folder, &filter, &w, e);
    if (code == -ENOENT) // nothing was sent yet
        return 0;
    if (code < 0)
        return code;
    const struct store_walk_counts *counts = store_walk_counts(w);
    while (code >= 0 && (code = store_walk_next(w, &info, &record, e)) > 0) {
        if (!first && counts->batches > r->batches)
            break;
        if (code == 1)
            code = take(r, &info, record, e);
    }
    if (first)
        r->batches = counts->batches;
    store_walk_free(w);
    return code < 0 ? code : 0;
}

static int add_gap(void *context, const struct store_gap *gap)
{
    struct run *r = context;
    uint64_t records = gap->to >= gap->from ? gap->to - gap->from + 1 : 0;
    attempts_gap(r->attempts, gap->host, gap->from_ns, gap->to_ns, records);
    return 0;
}

static int read_all(struct run *r, struct error *e)
{
    _cleanup_buf_ struct buf changes = {0};
    bool first = true;
    int code = store_attempts_changes(r->store, &changes, NULL, e);
    if (code == 0)
        code = attempts_changes(r->attempts, buf_str(&changes), e);
    for (int more = 1; code >= 0 && more; first = false) {
        code = pass(r, first, e);
        if (code < 0)
            break;
        if (first && (code = store_gaps_read(r->folder, add_gap, r, e)) == -ENOENT)
            code = 0;
        if (code < 0)
            break;
        code = more = attempts_next(r->attempts);
        if (code < 0)
            error_set(e, code, "no memory for the attempts of %s", r->folder);
    }
    return code;
}

// ---- what came out

#define MEANS_MAX 256 // of an attempt, that are compared with those of other clients

struct put {
    uint64_t *names;
    uint8_t (*hosts)[16];
    struct store_means means[MEANS_MAX];
    struct buf json;
};

static void add_means(const struct attempts *a, struct put *p, struct store_attempt *one,
                      const struct attempt_node *n)
{
    for (size_t i = 0; i < n->n_means; i++) {
        const struct attempt_means *m = &n->means[i];
        bool known = m->kind == ATTEMPT_DROPPED; // its value has the host in it
        for (size_t k = 0; !known && k < one->n_means; k++)
            known = p->means[k].kind == (uint32_t)m->kind &&
                    memcmp(p->means[k].value, m->value, sizeof m->value) == 0;
        if (known || one->n_means == MEANS_MAX)
            continue;
        struct store_means *s = &p->means[one->n_means++];
        *s = (struct store_means){.kind = (uint32_t)m->kind,
                                  .text = m->text,
                                  .others = (uint32_t)attempt_means_others(a, m)};
        memcpy(s->value, m->value, sizeof s->value);
    }
}

static void add_node(const struct attempts *a, struct put *p, struct store_attempt *one,
                     const struct attempt_node *n)
{
    bool known = false;
    for (size_t i = 0; !known && i < one->n_hosts; i++)
        known = memcmp(p->hosts[i], n->host, 16) == 0;
    if (!known)
        memcpy(p->hosts[one->n_hosts++], n->host, 16);
    if (n->seen_from < one->seen_from_ns || !one->seen_from_ns)
        one->seen_from_ns = n->seen_from;
    if (n->seen_to > one->seen_to_ns)
        one->seen_to_ns = n->seen_to;
    add_means(a, p, one, n);
}

// A host that lies about when things happened keeps no more than this of the client's files.
static void limit_evidence(struct store_attempt *one)
{
    uint64_t from = one->begin_ns > ATTEMPT_QUIET_NS ? one->begin_ns - ATTEMPT_QUIET_NS : 0,
             to = one->end_ns + ATTEMPT_QUIET_NS;
    if (one->seen_from_ns < from)
        one->seen_from_ns = from;
    if (one->seen_to_ns > to && to > one->end_ns)
        one->seen_to_ns = to;
}

static int put_one(struct run *r, struct put *p, const struct attempt *a, struct error *e)
{
    p->names = calloc(a->n_detections, sizeof *p->names);
    p->hosts = calloc(a->n_nodes, sizeof *p->hosts);
    buf_reset(&p->json);
    struct store_attempt one = {.id = a->id,
                                .campaign = a->campaign,
                                .begin_ns = a->begin,
                                .end_ns = a->end,
                                .outcome = (uint32_t)a->outcome,
                                .n_detections = (uint32_t)a->n_detections,
                                .names = p->names,
                                .means = p->means};
    int code = p->names && p->hosts ? 0 : -ENOMEM;
    for (size_t i = 0; code == 0 && i < a->n_detections; i++)
        p->names[i] = attempts_detection(r->attempts, a->detections[i])->name;
    for (size_t i = 0; code == 0 && i < a->n_nodes; i++)
        add_node(r->attempts, p, &one, attempts_node(r->attempts, a->nodes[i]));
    limit_evidence(&one);
    if (code == 0) {
        attempt_print_json(r->attempts, a, &p->json);
        code = p->json.failed;
    }
    one.hosts = (const uint8_t(*)[16])p->hosts;
    one.json = buf_str(&p->json);
    code = code < 0 ? error_set(e, code, "no memory for an attempt")
                    : store_attempts_put(r->store, &one, e);
    free(p->names);
    free(p->hosts);
    return code;
}

static int put_all(struct run *r, struct hub_joined *ret, struct error *e)
{
    struct put *p = calloc(1, sizeof *p);
    _cleanup_buf_ struct buf status = {0};
    struct hub_joined joined = {.attempts = attempts_count(r->attempts), .batches = r->batches};
    int code = p ? store_attempts_begin(r->store, r->how->from_ns > 0, e)
                 : error_set(e, -ENOMEM, "no memory for attempts");
    for (size_t i = 0; code == 0 && i < joined.attempts; i++) {
        const struct attempt *one = attempts_get(r->attempts, i);
        joined.detections += one->n_detections;
        code = put_one(r, p, one, e);
    }
    buf_addf(&status,
             "{\"rule\":\"%s\",\"version\":%d,\"quick\":%s,\"detections\":%llu,\"attempts\":%llu,"
             "\"batches\":%llu,\"refused\":%llu}",
             ATTEMPT_RULE, ATTEMPT_RULE_VERSION, r->how->from_ns ? "true" : "false",
             (unsigned long long)joined.detections, (unsigned long long)joined.attempts,
             (unsigned long long)joined.batches, (unsigned long long)attempts_refused(r->attempts));
    if (code == 0)
        code = store_attempts_end(r->store, buf_str(&status), e);
    else if (p)
        store_attempts_cancel(r->store);
    if (code == 0 && ret)
        *ret = joined;
    if (p)
        buf_done(&p->json);
    free(p);
    return code;
}

int hub_attempts_join(const char *folder, const struct hub_join *how, struct hub_joined *ret,
                      struct error *e)
{
    struct run r = {.folder = folder, .how = how};
    int code = store_attempts_open(folder, true, &r.store, e);
    if (code == 0 && (segment_opener_new(&r.opener) < 0 || attempts_new(0, &r.attempts) < 0))
        code = error_set(e, -ENOMEM, "no memory for the attempts of %s", folder);
    if (code == 0)
        code = read_all(&r, e);
    if (code == 0)
        code = put_all(&r, ret, e);
    attempts_free(r.attempts);
    segment_opener_free(r.opener);
    store_attempts_close(r.store);
    return code;
}
