// SPDX-License-Identifier: Apache-2.0
// For tests of attempts: a client's batches, made of what processes below services do. Times are in seconds.
#pragma once
#include "attempt/attempt.h"
#include "base/test.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#define SECOND ((uint64_t)1000000000)
#define T0 ((uint64_t)1795449600 * SECOND) // 2026-11-23 16:00:00 UTC
#define BATCHES_MAX 4096

struct world {
    struct arena arena;
    Tiercel__Batch *batches[BATCHES_MAX];
    size_t n;
    uint64_t last_id;
};

static __attribute__((unused)) void *wnew(struct world *w, const ProtobufCMessageDescriptor *type)
{
    void *m = arena_zero(&w->arena, type->sizeof_message);
    assert_non_null(m);
    type->message_init(m);
    return m;
}

static __attribute__((unused)) ProtobufCBinaryData wbytes(struct world *w, const char *text)
{
    struct str s = arena_str(&w->arena, str_from(text));
    return (ProtobufCBinaryData){s.n, (uint8_t *)s.p};
}

// A batch of this host (its number is its name), at this second.
static __attribute__((unused)) Tiercel__Batch *wbatch(struct world *w, uint8_t host, uint64_t at)
{
    Tiercel__Batch *b = wnew(w, &tiercel__batch__descriptor);
    uint8_t *id = arena_zero(&w->arena, 16), *boot = arena_zero(&w->arena, 16);
    id[0] = boot[15] = host;
    assert_true(w->n < BATCHES_MAX);
    b->has_host = b->has_boot = b->has_sequence = b->has_from = b->has_to = true;
    b->host = (ProtobufCBinaryData){16, id};
    b->boot = (ProtobufCBinaryData){16, boot};
    b->sequence = w->n;
    b->from = T0 + at * SECOND;
    b->to = b->from + SECOND;
    b->events = arena_zero(&w->arena, 16 * sizeof *b->events);
    b->detections = arena_zero(&w->arena, 16 * sizeof *b->detections);
    b->verdicts = arena_zero(&w->arena, 16 * sizeof *b->verdicts);
    b->losses = arena_zero(&w->arena, 16 * sizeof *b->losses);
    b->coverage = arena_zero(&w->arena, 16 * sizeof *b->coverage);
    w->batches[w->n++] = b;
    return b;
}

static __attribute__((unused)) void wcoverage(struct world *w, Tiercel__Batch *b, const char *kind,
                                              const char *seen)
{
    Tiercel__Coverage *c = wnew(w, &tiercel__coverage__descriptor);
    c->kind = arena_cstr(&w->arena, str_from(kind));
    c->seen = arena_cstr(&w->arena, str_from(seen));
    b->coverage[b->n_coverage++] = c;
}

static __attribute__((unused)) void wsees_all(struct world *w, uint8_t host)
{
    Tiercel__Batch *b = wbatch(w, host, 0);
    b->from -= 60 * SECOND;
    wcoverage(w, b, "exec", "tracepoints");
    wcoverage(w, b, "file", "fentry");
    wcoverage(w, b, "flow", "tracing of sockets");
}

static __attribute__((unused)) void wlost(struct world *w, uint8_t host, uint64_t at,
                                          const char *class, uint64_t count)
{
    Tiercel__Batch *b = wbatch(w, host, at);
    Tiercel__Loss *l = wnew(w, &tiercel__loss__descriptor);
    l->class_ = arena_cstr(&w->arena, str_from(class));
    l->has_count = l->has_from = l->has_to = true;
    l->count = count;
    l->from = b->from;
    l->to = b->to;
    b->losses[b->n_losses++] = l;
}

static __attribute__((unused)) Tiercel__ProcessId *wid(struct world *w, uint32_t pid)
{
    Tiercel__ProcessId *id = wnew(w, &tiercel__process_id__descriptor);
    id->pid = pid;
    id->start = pid * SECOND;
    return id;
}

// Process `pid` of the lineage that begins with `root`, below a web server; root 0: the server itself.
static __attribute__((unused)) Tiercel__Process *wprocess(struct world *w, uint32_t pid,
                                                          uint32_t root, const char *command)
{
    Tiercel__Process *p = wnew(w, &tiercel__process__descriptor);
    p->id = wid(w, pid);
    p->lineage = wnew(w, &tiercel__lineage__descriptor);
    p->lineage->role = (char *)"web";
    p->lineage->has_service = p->lineage->has_depth = true;
    p->lineage->service = wbytes(w, "/usr/sbin/nginx");
    p->lineage->depth = root ? 1 + (pid != root) : 0;
    p->lineage->root = root ? wid(w, root) : NULL;
    p->image = wnew(w, &tiercel__file__descriptor);
    p->image->has_path = true;
    p->image->path = wbytes(w, "/usr/bin/dash");
    p->n_argv = 1;
    p->argv = arena_zero(&w->arena, sizeof *p->argv);
    p->argv[0] = wbytes(w, command);
    return p;
}

static __attribute__((unused)) Tiercel__Event *wevent(struct world *w, Tiercel__Batch *b,
                                                      Tiercel__Process *p)
{
    Tiercel__Event *e = wnew(w, &tiercel__event__descriptor);
    e->has_id = e->has_time = true;
    e->id = ++w->last_id;
    e->time = b->from + e->id % 1000; // as no two events of a host are at one time
    e->process = p;
    b->events[b->n_events++] = e;
    return e;
}

static __attribute__((unused)) Tiercel__Event *wexec(struct world *w, Tiercel__Batch *b,
                                                     Tiercel__Process *p, bool denied)
{
    Tiercel__Event *e = wevent(w, b, p);
    e->kind_case = TIERCEL__EVENT__KIND_EXEC;
    e->exec = wnew(w, &tiercel__exec__descriptor);
    e->exec->has_denied = true;
    e->exec->denied = denied;
    return e;
}

static __attribute__((unused)) Tiercel__Address *waddress(struct world *w, const char *ip,
                                                          uint32_t port)
{
    Tiercel__Address *a = wnew(w, &tiercel__address__descriptor);
    uint8_t bytes[4];
    assert_int_equal(inet_pton(AF_INET, ip, bytes), 1);
    struct str copy = arena_str(&w->arena, str_bytes(bytes, 4));
    a->has_ip = a->has_port = true;
    a->ip = (ProtobufCBinaryData){4, (uint8_t *)copy.p};
    a->port = port;
    return a;
}

static __attribute__((unused)) Tiercel__Event *
wconnect(struct world *w, Tiercel__Batch *b, Tiercel__Process *p, const char *ip, uint32_t port)
{
    Tiercel__Event *e = wevent(w, b, p);
    e->kind_case = TIERCEL__EVENT__KIND_CONNECT;
    e->connect = wnew(w, &tiercel__connect__descriptor);
    e->connect->destination = waddress(w, ip, port);
    return e;
}

static __attribute__((unused)) Tiercel__Event *wflow(struct world *w, Tiercel__Batch *b,
                                                     Tiercel__Process *p, bool initiated,
                                                     const char *local, const char *remote,
                                                     uint64_t sent)
{
    Tiercel__Event *e = wevent(w, b, p);
    e->kind_case = TIERCEL__EVENT__KIND_FLOW;
    e->flow = wnew(w, &tiercel__flow__descriptor);
    e->flow->has_sent = e->flow->has_initiated = true;
    e->flow->sent = sent;
    e->flow->initiated = initiated;
    e->flow->local = waddress(w, local, initiated ? 40000 : 22);
    e->flow->remote = waddress(w, remote, initiated ? 22 : 40000);
    return e;
}

static __attribute__((unused)) Tiercel__Event *wread(struct world *w, Tiercel__Batch *b,
                                                     Tiercel__Process *p, const char *path)
{
    Tiercel__Event *e = wevent(w, b, p);
    e->kind_case = TIERCEL__EVENT__KIND_FILE;
    e->file = wnew(w, &tiercel__file_change__descriptor);
    e->file->has_action = e->file->has_protected_ = true;
    e->file->action = TIERCEL__FILE_CHANGE__ACTION__READ;
    e->file->protected_ = true;
    e->file->file = wnew(w, &tiercel__file__descriptor);
    e->file->file->has_path = true;
    e->file->file->path = wbytes(w, path);
    return e;
}

// On an event, by a rule of this tactic. Returns its name.
static __attribute__((unused)) uint64_t
wdetect(struct world *w, Tiercel__Batch *b, Tiercel__Event *e, const char *rule, const char *tactic)
{
    Tiercel__Detection *d = wnew(w, &tiercel__detection__descriptor);
    char tag[64];
    snprintf(tag, sizeof tag, "attack.%s", tactic);
    d->has_id = d->has_time = true;
    d->id = ++w->last_id;
    d->time = e->time;
    d->rule_id = d->rule_title = arena_cstr(&w->arena, str_from(rule));
    d->level = (char *)"high";
    d->n_tags = 1;
    d->tags = arena_zero(&w->arena, sizeof *d->tags);
    d->tags[0] = arena_cstr(&w->arena, str_from(tag));
    d->n_events = 1;
    d->events = arena_zero(&w->arena, sizeof *d->events);
    d->events[0] = e;
    b->detections[b->n_detections++] = d;
    return attempt_name(b->host.data, d);
}

// The verdict of the batch's last detection.
static __attribute__((unused)) void wverdict(struct world *w, Tiercel__Batch *b,
                                             Tiercel__Action action, bool before)
{
    Tiercel__Verdict *v = wnew(w, &tiercel__verdict__descriptor);
    v->has_id = v->has_time = v->has_detection = v->has_action = true;
    v->has_before_first_instruction = true;
    v->id = ++w->last_id;
    v->time = b->detections[b->n_detections - 1]->time + 1000;
    v->detection = b->detections[b->n_detections - 1]->id;
    v->action = action;
    v->before_first_instruction = before;
    b->verdicts[b->n_verdicts++] = v;
}

// All of it through the three passes, as it stands in `order`.
static __attribute__((unused)) struct attempts *
wread_all(const struct world *w, const size_t *order, size_t n, const char *changes)
{
    struct attempts *a = NULL;
    struct error e = {0};
    assert_int_equal(attempts_new(0, &a), 0);
    assert_int_equal(attempts_changes(a, str_from(changes), &e), 0);
    for (int more = 1; more > 0;) {
        for (size_t i = 0; i < n; i++)
            assert_int_equal(attempts_take(a, w->batches[order ? order[i] : i]), 0);
        more = attempts_next(a);
        assert_true(more >= 0);
    }
    return a;
}

static __attribute__((unused)) struct attempts *wall(const struct world *w)
{
    return wread_all(w, NULL, w->n, "");
}
