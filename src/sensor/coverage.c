// SPDX-License-Identifier: Apache-2.0
#include "sensor/coverage.h"

#include <stdio.h>

enum { WAYS_MAX = 5 };

struct way {
    unsigned by; // 1 + enum coverage_mechanism; 0 ends the list
    const char *limit;
};
#define NO_EVENTS "the kernel's process events could not be had"
#define LATE "noticed when the process next forks, runs something or ends"
#define BY(mechanism) (1 + COVERAGE_##mechanism)

// `seen`: the first that works sees it. `denied`: every one that works takes part.
static const struct kind {
    const char *name;
    struct way seen[WAYS_MAX], denied[WAYS_MAX];
    const char *unseen, *not_denied; // said where none works
    const char *in_detect;           // what is refused in detect mode too; NULL: nothing
} kinds[] = {
    {"exec", .seen = {{BY(EVENTS), NULL}},
     .denied = {{BY(GATE), NULL}, {BY(EXEC_SIGNAL), NULL}, {BY(EXEC_DENY), NULL}},
     .unseen = NO_EVENTS, .not_denied = "only killed after it started"},
    {"fork", .seen = {{BY(EVENTS), NULL}}, .unseen = NO_EVENTS},
    {"exit", .seen = {{BY(EVENTS), NULL}}, .unseen = NO_EVENTS},
    {"connect", .seen = {{BY(NETWORK), "raw sockets are not seen"}},
     .denied = {{BY(NETWORK), "refused by address, not by name"}},
     .unseen = "the cgroup programs could not be attached",
     .not_denied = "the cgroup programs could not be attached",
     .in_detect = "in detect mode only what the configuration names"},
    {"socket", .seen = {{BY(FLOWS), NULL}},
     .unseen = "who waits for connections and accepts them is not seen"},
    {"flow", .seen = {{BY(FLOWS), NULL}}, .unseen = "bytes of connections are not counted"},
    {"dns", .seen = {{BY(DNS), "port 53 only: not DNS over TLS or HTTPS"}},
     .unseen = "names that were asked for are not seen"},
    {"file",
     .seen = {{BY(FILES), "watched folders and programs only"},
              {BY(FILE_WATCH), "watched folders only; of attributes only owner and capabilities"}},
     .denied = {{BY(FILE_DENY), NULL}, {BY(GATE), NULL}}, .unseen = "changes of files are not seen",
     .not_denied = "the kernel asks nobody"},
    {"credentials", .seen = {{BY(CREDENTIALS), NULL}, {BY(SIGNALS), LATE}},
     .unseen = "changes of user and capabilities are only seen at the next program start"},
    {"access", .seen = {{BY(PTRACE), NULL}}, .denied = {{BY(SECURITY_DENY), "services only"}},
     .unseen = "who reaches into another process is not seen", .not_denied = "needs BPF LSM"},
    {"module", .seen = {{BY(MODULES), NULL}}, .denied = {{BY(SECURITY_DENY), "services only"}},
     .unseen = "loading and unloading of modules is not seen", .not_denied = "needs BPF LSM"},
    {"bpf", .seen = {{BY(BPF), NULL}}, .denied = {{BY(SECURITY_DENY), "services only"}},
     .unseen = "programs that others load into the kernel are not seen",
     .not_denied = "needs BPF LSM"},
    {"mount", .seen = {{BY(MOUNTS), NULL}}, .unseen = "who mounts is not seen"},
    {"namespaces", .seen = {{BY(NAMESPACES), NULL}, {BY(SIGNALS), LATE}},
     .unseen = "changes are only seen at the next program start"},
    {"signal", .seen = {{BY(SIGNALS), NULL}}, .unseen = "signals are not seen"},
};

static const struct {
    const char *row, *shown;
} names[] = {
#define COVERAGE_NAME(number, row, shown) {row, shown},
    COVERAGE_MECHANISMS(COVERAGE_NAME)
#undef COVERAGE_NAME
};

// Rows of `doctor` that the kinds' own rows already stand on.
static const char *const others[] = {"LSM", "fentry", "sched_prepare_exec", "containment of flows",
                                     "containment of the host"};

uint64_t coverage_bit(struct str name)
{
    // Without an agent `doctor` tries to make the gate's group only, and calls that "the gate".
    if (str_eq(name, STR("the gate")))
        return 1ull << COVERAGE_GATE;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_eq(name, str_from(names[i].row)))
            return 1ull << i;
    return 0;
}

bool coverage_knows(struct str name)
{
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (str_eq(name, str_from(others[i])))
            return true;
    return coverage_bit(name) != 0;
}

size_t coverage_kinds(void)
{
    return sizeof kinds / sizeof *kinds;
}

static void add(char *text, size_t size, const char *between, const char *more)
{
    size_t n = strlen(text);
    if (more && n + 1 < size)
        snprintf(text + n, size - n, "%s%s", n ? between : "", more);
}

static bool works_here(const struct way *way, uint64_t works)
{
    return works >> (way->by - 1) & 1;
}

struct coverage coverage_of(size_t kind, uint64_t works)
{
    const struct kind *k = &kinds[kind];
    struct coverage c = {.kind = k->name, .seen = ""};
    for (const struct way *w = k->seen; w < k->seen + WAYS_MAX && w->by && !c.seen[0]; w++)
        if (works_here(w, works)) {
            c.seen = names[w->by - 1].shown;
            add(c.limit, sizeof c.limit, "; ", w->limit);
        }
    if (!c.seen[0])
        add(c.limit, sizeof c.limit, "; ", k->unseen);
    if (!k->denied[0].by)
        return c; // nothing that anybody would want to refuse
    bool prevents = works & COVERAGE_PREVENT;
    if (!prevents && !k->in_detect) {
        add(c.limit, sizeof c.limit, "; ", "nothing is refused in detect mode");
        return c;
    }
    for (const struct way *w = k->denied; w < k->denied + WAYS_MAX && w->by; w++)
        if (works_here(w, works)) {
            add(c.denied, sizeof c.denied, ", ", names[w->by - 1].shown);
            add(c.limit, sizeof c.limit, "; ", w->limit);
        }
    if (!c.denied[0])
        add(c.limit, sizeof c.limit, "; ", k->not_denied);
    else if (!prevents)
        add(c.limit, sizeof c.limit, "; ", k->in_detect);
    return c;
}
