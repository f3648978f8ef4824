// SPDX-License-Identifier: Apache-2.0
// The processes that the trees of a lineage's detections name, together: what a story's tree is drawn from.
#include "attempt/private.h"

#include "event/json.h"

#include <stdlib.h>

#define TICK_NS 10000000u

static int compare(const struct attempt_process *p, uint64_t start, uint32_t pid)
{
    if (p->start != start)
        return p->start < start ? -1 : 1;
    return p->pid < pid ? -1 : p->pid > pid;
}

// Keeps the first in order; what has gone once never comes back, so that no order of arrival shows. NULL: not kept.
static struct attempt_process *process_at(struct attempts *a, struct attempt_node *n,
                                          const Tiercel__ProcessId *id)
{
    uint64_t start = id->start / TICK_NS;
    size_t at = 0;
    while (at < n->n_processes && compare(&n->processes[at], start, id->pid) < 0)
        at++;
    if (at < n->n_processes && compare(&n->processes[at], start, id->pid) == 0)
        return &n->processes[at];
    if (at == ATTEMPT_PROCESSES)
        return NULL;
    if (!n->processes)
        n->processes = calloc(ATTEMPT_PROCESSES, sizeof *n->processes);
    if (!n->processes) {
        a->refused++;
        return NULL;
    }
    bool full = n->n_processes == ATTEMPT_PROCESSES;
    size_t moved = n->n_processes - full - at;
    memmove(&n->processes[at + 1], &n->processes[at], moved * sizeof *n->processes);
    n->n_processes += !full;
    n->processes[at] = (struct attempt_process){.start = start, .pid = id->pid};
    return &n->processes[at];
}

static struct attempt_process *tell(struct attempts *a, struct attempt_node *n,
                                    const Tiercel__Process *p, uint32_t parent, uint64_t time)
{
    char text[ATTEMPT_TEXT] = "";
    struct attempt_process *one = process_at(a, n, p->id);
    if (!one)
        return NULL;
    command_of(p, text, sizeof text);
    // A shell that became the tool is the tool: the latest is shown.
    if (time > one->told || (time == one->told && strcmp(text, one->text) > 0)) {
        one->told = time;
        memcpy(one->text, text, sizeof text);
    }
    if (parent > one->parent && parent != one->pid)
        one->parent = parent;
    return one;
}

void processes_of_detection(struct attempts *a, const struct attempt_detection *one,
                            const Tiercel__Detection *d)
{
    struct attempt_node *n = &a->nodes[one->node];
    const Tiercel__Process *last = d->n_events ? d->events[d->n_events - 1]->process : NULL;
    struct attempt_process *acted = NULL;
    uint32_t parent = 0;
    for (size_t i = 0; i < d->n_tree; i++) {
        const Tiercel__Process *p = d->tree[i];
        if (!p->id)
            continue;
        acted = tell(a, n, p, parent, one->time);
        parent = p->id->pid;
    }
    if (last && last->id)
        acted = tell(a, n, last, parent, one->time);
    if (acted) {
        acted->detected = true;
        acted->stopped = acted->stopped || one->stopped;
    }
}

void processes_print(const struct attempt_node *n, struct buf *out)
{
    for (size_t i = 0; i < n->n_processes; i++) {
        const struct attempt_process *p = &n->processes[i];
        buf_addf(out, "%s{\"pid\":%u,\"parent\":%u,\"detected\":%s,\"stopped\":%s,\"command\":",
                 i ? "," : "", p->pid, p->parent, p->detected ? "true" : "false",
                 p->stopped ? "true" : "false");
        json_quoted(str_from(p->text), out);
        buf_add_char(out, '}');
    }
}
