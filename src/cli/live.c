// SPDX-License-Identifier: Apache-2.0
#include "cli/live.h"
#include "cli/draw.h"
#include "cli/found.h"
#include "event/json.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define VERDICT_WAIT_NS ((uint64_t)1000000000)

static uint64_t clock_now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void live_init(struct live *l, const struct term *term, struct journal *journal,
               const struct live_options *options)
{
    *l = (struct live){.term = term, .options = *options, .journal = journal};
}

void live_done(struct live *l)
{
    for (size_t i = 0; i < l->n_pending; i++)
        tiercel__detection__free_unpacked(l->pending[i].detection, NULL);
    arena_done(&l->arena);
    buf_done(&l->out);
    *l = (struct live){0};
}

void live_json_detection(const Tiercel__Detection *d, const Tiercel__Verdict *verdict,
                         struct buf *out)
{
    json_print(&d->base, out);
    if (!verdict || out->failed || out->n == 0 || out->p[out->n - 1] != '}')
        return;
    out->n--;
    buf_add_str(out, STR(",\"verdict\":"));
    json_print(&verdict->base, out);
    buf_add_char(out, '}');
}

static void show_detection(struct live *l, const Tiercel__Detection *d,
                           const Tiercel__Verdict *verdict, bool tree)
{
    l->n_detections++;
    if (verdict && verdict->action != TIERCEL__ACTION__ACTION_ALLOW)
        l->n_stopped++;
    if (l->options.json) {
        live_json_detection(d, verdict, &l->out);
        buf_add_char(&l->out, '\n');
    } else {
        draw_detection(l->term, d, verdict, clock_now(CLOCK_REALTIME), tree && l->options.tree,
                       &l->out);
    }
}

static void show_late_verdict(struct live *l, const Tiercel__Verdict *verdict)
{
    if (l->options.json) {
        buf_add_str(&l->out, STR("{\"verdict\":"));
        json_print(&verdict->base, &l->out);
        buf_add_str(&l->out, STR("}\n"));
        return;
    }
    buf_addf(&l->out, "         #%llu: ", (unsigned long long)verdict->detection);
    style_text(l->term, verdict_style(verdict), verdict_words(verdict), &l->out);
    buf_add_char(&l->out, '\n');
}

static void drop_pending(struct live *l, size_t i)
{
    tiercel__detection__free_unpacked(l->pending[i].detection, NULL);
    memmove(&l->pending[i], &l->pending[i + 1], (l->n_pending - i - 1) * sizeof l->pending[0]);
    l->n_pending--;
}

static void show_overdue(struct live *l)
{
    uint64_t now = clock_now(CLOCK_MONOTONIC);
    for (size_t i = 0; i < l->n_pending;) {
        if (l->pending[i].shown_at_ns > now) {
            i++;
            continue;
        }
        show_detection(l, l->pending[i].detection, NULL, true);
        drop_pending(l, i);
    }
}

static void keep_pending(struct live *l, const Tiercel__Detection *d)
{
    size_t n = tiercel__detection__get_packed_size(d);
    uint8_t *packed = l->n_pending < LIVE_PENDING ? malloc(n ? n : 1) : NULL;
    Tiercel__Detection *copy = NULL;
    if (packed) {
        tiercel__detection__pack(d, packed);
        copy = tiercel__detection__unpack(NULL, n, packed);
        free(packed);
    }
    if (!copy) { // no room to wait: shown at once
        show_detection(l, d, NULL, true);
        return;
    }
    l->pending[l->n_pending].detection = copy;
    l->pending[l->n_pending++].shown_at_ns = clock_now(CLOCK_MONOTONIC) + VERDICT_WAIT_NS;
}

static const Tiercel__Verdict *verdict_in(const Tiercel__Batch *b, uint64_t detection)
{
    const Tiercel__Verdict *found = NULL;
    for (size_t i = 0; i < b->n_verdicts; i++)
        if (b->verdicts[i]->detection == detection)
            found = b->verdicts[i];
    return found;
}

static bool detection_in(const Tiercel__Batch *b, uint64_t id)
{
    for (size_t i = 0; i < b->n_detections; i++)
        if (b->detections[i]->id == id)
            return true;
    return false;
}

static void show_event(struct live *l, const Tiercel__Event *event)
{
    arena_reset(&l->arena);
    if (event->time < l->options.since_ns || !filter_event(&l->options.filter, event, &l->arena))
        return;
    l->n_events++;
    if (l->options.as) {
        (void)l->options.as(event, &l->out);
        buf_add_char(&l->out, '\n');
    } else if (l->options.json) {
        json_print(&event->base, &l->out);
        buf_add_char(&l->out, '\n');
    } else {
        draw_event(l->term, event, clock_now(CLOCK_REALTIME), &l->out);
    }
}

static void show_losses(struct live *l, const Tiercel__Batch *b)
{
    if (b->n_events && b->events[b->n_events - 1]->id <= l->options.after_event)
        return;
    for (size_t i = 0; i < b->n_losses; i++) {
        Tiercel__Event event;
        found_loss(b->losses[i], &event);
        show_event(l, &event);
    }
}

static void show_events(struct live *l, const Tiercel__Batch *b)
{
    show_losses(l, b);
    for (size_t i = 0; i < b->n_events; i++)
        if (b->events[i]->id > l->options.after_event)
            show_event(l, b->events[i]);
}

static bool is_wanted(struct live *l, const Tiercel__Detection *d)
{
    arena_reset(&l->arena);
    return d->id > l->options.after_detection && d->time >= l->options.since_ns &&
           filter_detection(&l->options.filter, d, &l->arena);
}

static void show_detections(struct live *l, const Tiercel__Batch *b)
{
    for (size_t i = 0; i < b->n_verdicts; i++) {
        const Tiercel__Verdict *verdict = b->verdicts[i];
        size_t waiting = 0;
        if (detection_in(b, verdict->detection) || verdict->time < l->options.since_ns ||
            verdict->detection <= l->options.after_detection)
            continue;
        while (waiting < l->n_pending && l->pending[waiting].detection->id != verdict->detection)
            waiting++;
        if (waiting < l->n_pending) {
            show_detection(l, l->pending[waiting].detection, verdict, true);
            drop_pending(l, waiting);
        } else {
            show_late_verdict(l, verdict);
        }
    }
    for (size_t i = 0; i < b->n_detections; i++) {
        const Tiercel__Detection *d = b->detections[i];
        if (!is_wanted(l, d))
            continue;
        const Tiercel__Verdict *verdict = verdict_in(b, d->id);
        // Several rules on one event: one tree, under the last.
        const Tiercel__Detection *next = i + 1 < b->n_detections ? b->detections[i + 1] : NULL;
        bool more =
            next && detection_same_event(d, next) && is_wanted(l, next) && verdict_in(b, next->id);
        if (verdict)
            show_detection(l, d, verdict, !more);
        else
            keep_pending(l, d);
    }
}

static int flush(struct live *l)
{
    term_write(l->term, &l->out);
    return ferror(l->term->file) ? -EPIPE : 0;
}

// A storm of events costs nobody anything who only wants to see detections.
static bool without_detections(void *context, const struct segment_info *info)
{
    (void)context;
    return !info->n_detections && !info->n_verdicts;
}

int live_step(struct live *l, int timeout_ms, struct error *e)
{
    for (;;) {
        const Tiercel__Batch *batch = NULL;
        int r = journal_next(l->journal, l->options.events ? NULL : without_detections, NULL,
                             &batch, e);
        if (r < 0 && r != -EBADMSG)
            return r;
        if (r <= 0)
            break;
        if (l->options.events)
            show_events(l, batch);
        if (l->options.detections)
            show_detections(l, batch);
        r = flush(l);
        if (r < 0)
            return r;
    }
    show_overdue(l);
    int r = flush(l);
    if (r < 0)
        return r;
    r = journal_wait(l->journal, l->n_pending && timeout_ms > 200 ? 200 : timeout_ms);
    return r < 0 ? r : 0;
}

int live_run(struct live *l, uint64_t for_ns, struct error *e)
{
    uint64_t end = for_ns ? clock_now(CLOCK_MONOTONIC) + for_ns : UINT64_MAX;
    int r = 0;
    while (r == 0 && clock_now(CLOCK_MONOTONIC) < end)
        r = live_step(l, 500, e);
    return r;
}
