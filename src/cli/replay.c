// SPDX-License-Identifier: Apache-2.0
#include "cli/replay.h"
#include "base/cleanup.h"
#include "cli/journal.h"
#include "event/json.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#define LINE_LIMIT ((size_t)4 << 20)

// Time is the newest event's, so that a replay is the same on any day.
static uint64_t event_time(const struct env *env)
{
    return ((const struct replay *)env->context)->time_ns;
}

static int no_random(const struct env *env, void *ret, uint32_t n)
{
    (void)env;
    memset(ret, 0, n);
    return 0;
}

int replay_new(const char *rules, const char *exceptions,
               void (*problem)(void *context, const struct error *e), void *context,
               struct replay **ret, struct error *e)
{
    struct replay *r = calloc(1, sizeof *r);
    unsigned refused = 0;
    if (!r)
        return error_set(e, -ENOMEM, "out of memory");
    r->env = (struct env){event_time, event_time, no_random, -1, r};
    int code = detect_new(&r->detect);
    if (code == 0)
        code = tree_new(&r->env, &r->tree);
    if (code < 0)
        error_set(e, code, "out of memory");
    if (code == 0) {
        code = detect_load(r->detect, rules, problem, context, &refused);
        if (code < 0)
            error_set(e, code, "cannot read rules from %s: %s", rules, strerror(-code));
    }
    if (code >= 0 && exceptions)
        code = detect_load_exceptions(r->detect, exceptions, e);
    if (code >= 0)
        code = detect_ready(r->detect, e);
    if (code >= 0 &&
        (detect_worker_new(r->detect, &r->worker) < 0 ||
         !(r->by_rule = calloc(rule_set_count(detect_rules(r->detect)) + 1, sizeof *r->by_rule))))
        code = error_set(e, -ENOMEM, "out of memory");
    if (code < 0) {
        replay_free(r);
        return code;
    }
    *ret = r;
    return 0;
}

struct replay *replay_free(struct replay *r)
{
    if (!r)
        return NULL;
    detect_worker_free(r->worker);
    detect_free(r->detect);
    tree_free(r->tree);
    arena_done(&r->arena);
    free(r->by_rule);
    free(r);
    return NULL;
}

static void take_detection(struct replay *r, Tiercel__Event *event,
                           const struct detect_result *result, size_t i)
{
    Tiercel__Detection *d = result->detections[i];
    bool decisive = result->prevent && i == result->decisive;
    Tiercel__Verdict v = TIERCEL__VERDICT__INIT;
    r->by_rule[result->rules[i]->index]++;
    d->has_id = d->has_time = true;
    d->id = ++r->n_detections;
    d->time = event->time;
    if (d->n_events == 0) { // a correlation brings its own
        d->events = arena_array(&r->arena, Tiercel__Event *, 1);
        d->n_events = d->events != NULL;
        if (d->events)
            d->events[0] = event;
    }
    if (event->process && event->process->id)
        d->n_tree = tree_chain(r->tree, event->process->id, &r->arena, &d->tree);
    v.has_id = v.has_detection = v.has_time = v.has_action = v.has_wanted = true;
    v.id = v.detection = d->id;
    v.time = event->time;
    v.wanted = decisive || result->rules[i]->action == RULE_PREVENT ? TIERCEL__ACTION__ACTION_DENY
                                                                    : TIERCEL__ACTION__ACTION_ALLOW;
    if (result->exception.n && !decisive && result->rules[i]->action == RULE_PREVENT) {
        v.has_exception = true;
        v.exception =
            (ProtobufCBinaryData){result->exception.n, (uint8_t *)(uintptr_t)result->exception.p};
    }
    if (r->detection)
        r->detection(r->context, d, &v);
}

int replay_event(struct replay *r, Tiercel__Event *event, struct error *e)
{
    struct detect_result result = {0};
    if (event->time > r->time_ns)
        r->time_ns = event->time;
    int code = tree_apply(r->tree, event, &r->arena);
    if (code == 0)
        code = detect_event(r->detect, r->worker, event, true, &r->arena, &result);
    if (code < 0)
        return error_set(e, code, "event %llu: %s", (unsigned long long)event->id, strerror(-code));
    r->n_events++;
    r->n_prevented += result.prevent;
    r->n_suppressed += result.suppressed;
    for (size_t i = 0; i < result.n; i++)
        take_detection(r, event, &result, i);
    arena_reset(&r->arena);
    return 0;
}

static int replay_journal(struct replay *r, const char *path, struct error *e)
{
    struct journal *journal = NULL;
    const Tiercel__Batch *batch = NULL;
    int code = journal_open(path, &journal, e);
    if (code < 0)
        return code;
    code = journal_seek(journal, 0, true, e);
    while (code >= 0 && (code = journal_next(journal, NULL, NULL, &batch, e)) == 1)
        for (size_t i = 0; code >= 0 && i < batch->n_events; i++)
            code = replay_event(r, batch->events[i], e);
    journal_close(journal);
    if (code < 0 && e && !e->file[0])
        error_place(e, path, 0, 0);
    return code;
}

static int replay_lines(struct replay *r, FILE *f, const char *name, struct error *e)
{
    _cleanup_free_ char *line = NULL;
    size_t cap = 0;
    unsigned number = 0;
    for (ssize_t n; (n = getline(&line, &cap, f)) > 0;) {
        ProtobufCMessage *message = NULL;
        struct str text = str_trim(str_bytes(line, (size_t)n));
        number++;
        if (text.n == 0)
            continue;
        int code = text.n > LINE_LIMIT
                       ? error_set(e, -E2BIG, "the line is longer than 4 MiB")
                       : json_parse(text, &tiercel__event__descriptor, &r->arena, &message, e);
        if (code >= 0)
            code = replay_event(r, (Tiercel__Event *)message, e);
        if (code < 0) {
            if (e)
                error_place(e, name, number, e->column);
            return code;
        }
    }
    return ferror(f) ? error_set(e, -EIO, "cannot read %s", name) : 0;
}

int replay_file(struct replay *r, const char *path, struct error *e)
{
    struct stat st;
    if (!strcmp(path, "-"))
        return replay_lines(r, stdin, "standard input", e);
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return replay_journal(r, path, e);
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    if (!f)
        return error_set(e, -errno, "cannot open %s: %s", path, strerror(errno));
    int first = getc(f);
    rewind(f);
    return first == '{' || first == EOF ? replay_lines(r, f, path, e) : replay_journal(r, path, e);
}
