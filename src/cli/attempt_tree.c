// SPDX-License-Identifier: Apache-2.0
#include "cli/attempt_tree.h"
#include "base/cleanup.h"
#include "base/map.h"
#include "cli/draw.h"
#include "event/copy.h"

#include <errno.h>
#include <stdlib.h>

#define PROCESSES_MAX 200 // shown
#define DEPTH_SHOWN 16
#define TREE_MEMORY ((size_t)64 << 20)

struct process { // in the order in which they were first seen
    uint8_t host[16];
    const Tiercel__Process *process;
    size_t parent; // SIZE_MAX: none
    uint64_t time; // of what is shown of it
    unsigned lineage;
    enum { NOTHING, DETECTED, STOPPED } mark;
};

struct tree {
    struct arena arena;
    struct process all[PROCESSES_MAX];
    size_t n, left_out;
};

static size_t find(const struct tree *t, const uint8_t host[16], const Tiercel__ProcessId *id)
{
    for (size_t i = 0; i < t->n; i++) {
        const Tiercel__ProcessId *known = t->all[i].process->id;
        if (known->pid == id->pid && known->start / 10000000 == id->start / 10000000 &&
            memcmp(t->all[i].host, host, 16) == 0)
            return i;
    }
    return SIZE_MAX;
}

// The latest is shown: a shell that became the tool is the tool.
static size_t put(struct tree *t, const uint8_t host[16], const Tiercel__Process *p, size_t parent,
                  uint64_t time)
{
    if (!p->id)
        return parent;
    size_t i = find(t, host, p->id);
    bool new = i == SIZE_MAX;
    if (new && t->n == PROCESSES_MAX) {
        t->left_out++;
        return parent;
    }
    if (!new && t->all[i].time > time)
        return i;
    const Tiercel__Process *copy = (const void *)event_copy(&p->base, &t->arena);
    if (!copy)
        return new ? parent : i;
    i = new ? t->n++ : i;
    struct process *one = &t->all[i];
    if (new) {
        *one = (struct process){.parent = parent};
        memcpy(one->host, host, 16);
    }
    one->process = copy;
    one->time = time;
    return i;
}

static const struct attempt_detection *known(const struct attempts *a, const struct attempt *one,
                                             const struct map *names, const uint8_t host[16],
                                             const Tiercel__Detection *d)
{
    uint64_t name = attempt_name(host, d);
    size_t i = (size_t)(uintptr_t)map_get(names, MAP_KEY(name));
    return i ? attempts_detection(a, one->detections[i - 1]) : NULL;
}

static void add(struct tree *t, const struct attempt *one, const struct attempt_detection *known,
                const Tiercel__Detection *d)
{
    size_t at = SIZE_MAX;
    for (size_t i = 0; i < d->n_tree; i++)
        at = put(t, known->host, d->tree[i], at, known->time);
    const Tiercel__Process *last = detection_process(d);
    if (last && last->id)
        at = put(t, known->host, last,
                 at != SIZE_MAX && find(t, known->host, last->id) == at ? t->all[at].parent : at,
                 known->time);
    if (at == SIZE_MAX)
        return;
    for (size_t i = 0; i < one->n_nodes; i++)
        if (one->nodes[i] == known->node)
            t->all[at].lineage = (unsigned)i + 1;
    if (known->stopped)
        t->all[at].mark = STOPPED;
    else if (t->all[at].mark == NOTHING)
        t->all[at].mark = DETECTED;
}

static bool skip(void *context, const struct segment_info *info)
{
    const struct attempt *one = context;
    return info->n_detections == 0 || info->to_ns < one->begin;
}

static int read_all(struct tree *t, struct journal *j, const struct attempts *a,
                    const struct attempt *one, const struct map *names, struct error *e)
{
    int r = journal_seek(j, 0, true, e);
    while (r >= 0) {
        const Tiercel__Batch *b = NULL;
        r = journal_next(j, skip, (void *)(uintptr_t)one, &b, e);
        if (r == -EBADMSG) {
            r = 0;
            continue;
        }
        if (r <= 0)
            return r;
        uint8_t host[16] = {0};
        if (b->has_host && b->host.len == 16)
            memcpy(host, b->host.data, 16);
        for (size_t i = 0; i < b->n_detections; i++) {
            const struct attempt_detection *d = known(a, one, names, host, b->detections[i]);
            if (d)
                add(t, one, d, b->detections[i]);
        }
    }
    return r;
}

static void draw(const struct term *term, const struct tree *t, size_t i, unsigned depth,
                 struct buf *out)
{
    const struct process *p = &t->all[i];
    unsigned shown = depth < DEPTH_SHOWN ? depth : DEPTH_SHOWN,
             column = 6 + (shown ? (shown - 1) * 3 : 0);
    if (p->lineage)
        buf_addf(out, "%4u  ", p->lineage);
    else
        buf_add_str(out, STR("      "));
    buf_addf(out, "%*s", (int)column - 6, "");
    if (depth) {
        style_text(term, STYLE_DIM, term->utf8 ? "└─ " : "`- ", out);
        column += 3;
    }
    if (p->mark != NOTHING) {
        style_text(term, p->mark == STOPPED ? STYLE_GREEN : STYLE_YELLOW,
                   p->mark == DETECTED ? "! "
                   : term->utf8        ? "✖ "
                                       : "x ",
                   out);
        column += 2;
    }
    draw_process(term, p->process, column, p->mark == NOTHING ? STYLE_PLAIN : STYLE_BOLD, out);
    for (size_t k = i + 1; depth < PROCESSES_MAX && k < t->n; k++)
        if (t->all[k].parent == i)
            draw(term, t, k, depth + 1, out);
}

int attempt_tree(const struct term *term, struct journal *j, const struct attempts *a,
                 const struct attempt *one, struct buf *out, struct error *e)
{
    struct map names = {0};
    struct tree *t = calloc(1, sizeof *t);
    int r = t ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < one->n_detections; i++)
        r = map_put(&names, MAP_KEY(attempts_detection(a, one->detections[i])->name),
                    (void *)(uintptr_t)(i + 1));
    if (r < 0)
        error_set(e, r, "out of memory");
    if (r == 0) {
        t->arena.limit = TREE_MEMORY;
        r = read_all(t, j, a, one, &names, e);
    }
    for (size_t i = 0; r == 0 && i < t->n; i++)
        if (t->all[i].parent == SIZE_MAX)
            draw(term, t, i, 0, out);
    if (r == 0 && t->left_out)
        buf_addf(out, "      ... more than %d processes\n", PROCESSES_MAX);
    if (t)
        arena_done(&t->arena);
    free(t);
    map_done(&names);
    return r;
}
