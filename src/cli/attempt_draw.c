// SPDX-License-Identifier: Apache-2.0
#include "cli/attempt_draw.h"
#include "base/cleanup.h"
#include "cli/attempt_tree.h"
#include "cli/draw.h"
#include "cli/table.h"
#include "cli/when.h"

#include "event/leaf.h"
#include <fcntl.h>

#define STORY_SHOWN 400 // lines in order of time

enum style attempt_style(enum attempt_outcome outcome)
{
    static const enum style styles[] = {[ATTEMPT_STOPPED_BEFORE] = STYLE_GREEN,
                                        [ATTEMPT_STOPPED_AFTER] = STYLE_MAGENTA,
                                        [ATTEMPT_NOT_STOPPED] = STYLE_YELLOW,
                                        [ATTEMPT_UNKNOWN] = STYLE_CYAN,
                                        [ATTEMPT_READ] = STYLE_RED,
                                        [ATTEMPT_LEFT] = STYLE_ALARM};
    return styles[outcome];
}

const char *attempt_outcome_short(const struct attempt *one)
{
    if (one->outcome == ATTEMPT_LEFT)
        return "DATA LEFT";
    if (one->outcome == ATTEMPT_READ)
        return "data read";
    bool unknown = one->outcome == ATTEMPT_UNKNOWN;
    switch (one->stopped) {
    case ATTEMPT_STOPPED_BEFORE:
        return unknown ? "stopped before ?" : "stopped before";
    case ATTEMPT_STOPPED_AFTER:
        return unknown ? "stopped after ?" : "stopped after";
    default:
        return unknown ? "not stopped ?" : "not stopped";
    }
}

void attempt_host_words(const uint8_t host[16], struct buf *out)
{
    char own[32] = "", hex[32];
    _cleanup_close_ int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
    leaf_print_hex(str_bytes(host, 16), hex);
    if (fd >= 0 && read(fd, own, sizeof own) == sizeof own && memcmp(own, hex, sizeof own) == 0)
        buf_add_str(out, STR("this host"));
    else
        buf_add(out, hex, 8);
}

void attempt_means_words(const struct attempts *a, const struct attempt *one, struct buf *out)
{
    const char *last = "";
    unsigned n = 0;
    for (size_t i = 0; i < one->n_reasons; i++) {
        const struct attempt_reason *r = &one->reasons[i];
        if (r->kind != ATTEMPT_BY_MEANS || strcmp(last, r->text) == 0 || n == 2)
            continue;
        buf_addf(out, "%s%s", n++ ? ", " : "", r->text);
        last = r->text;
    }
    const struct attempt_node *first = attempts_node(a, one->nodes[0]);
    for (size_t i = 0; n == 0 && i < first->n_means; i++)
        if (first->means[i].kind == ATTEMPT_ADDRESS) {
            buf_add_str(out, str_from(first->means[i].text));
            n++;
        }
    if (n == 0)
        buf_add_str(out, str_from(attempts_detection(a, one->detections[0])->command));
}

void attempt_rule_words(const struct term *t, const struct attempts *a, size_t attempts,
                        size_t shown, size_t detections, struct buf *out)
{
    struct buf text = {0};
    buf_addf(&text,
             "At least %zu attempt%s from %zu detection%s, by counting rule \"%s\", version %d.",
             attempts, attempts == 1 ? "" : "s", detections, detections == 1 ? "" : "s",
             ATTEMPT_RULE, ATTEMPT_RULE_VERSION);
    if (shown < attempts)
        buf_addf(&text, " The newest %zu are shown.", shown);
    bool unknown = false;
    for (size_t i = 0; i < attempts_count(a); i++)
        unknown = unknown || attempts_get(a, i)->outcome == ATTEMPT_UNKNOWN;
    if (unknown)
        buf_add_str(&text, STR(" ?: not all that mattered was seen."));
    if (attempts_refused(a))
        buf_addf(&text, " Tables were full: %llu facts are missing, so more may belong together.",
                 (unsigned long long)attempts_refused(a));
    text_wrap(buf_str(&text), t->width, 0, 0, out);
    buf_add_char(out, '\n');
    buf_done(&text);
}

static void title(const struct term *t, const char *text, struct buf *out)
{
    buf_add_char(out, '\n');
    style_text(t, STYLE_BOLD, text, out);
    buf_add_char(out, '\n');
}

static unsigned number_of(const struct attempt *one, size_t node)
{
    for (size_t i = 0; i < one->n_nodes; i++)
        if (one->nodes[i] == node)
            return (unsigned)i + 1;
    return 0;
}

static void print_head(const struct term *t, const struct attempts *a, const struct attempt *one,
                       struct buf *out)
{
    char id[ATTEMPT_ID_DIGITS + 1];
    size_t campaign = 0;
    for (size_t i = 0; i < attempts_count(a); i++)
        campaign += attempts_get(a, i)->campaign == one->campaign;
    attempt_id_words(one->id, id);
    style_begin(t, STYLE_BOLD, out);
    buf_addf(out, "Attempt %s   ", id);
    style_end(t, STYLE_BOLD, out);
    style_text(t, attempt_style(one->outcome), attempt_outcome_words(one->outcome), out);
    if (one->outcome >= ATTEMPT_UNKNOWN)
        buf_addf(out, "; %s", attempt_outcome_words(one->stopped));
    buf_add_char(out, '\n');
    when_print_full(one->begin, out);
    if (one->end > one->begin) {
        buf_add_str(out, STR(", for "));
        when_print_duration(one->end - one->begin, out);
    }
    buf_add_str(out, STR(", on "));
    attempt_host_words(attempts_node(a, one->nodes[0])->host, out);
    if (one->n_hosts > 1)
        buf_addf(out, " and %zu more", one->n_hosts - 1);
    buf_addf(out, "\nFurthest tried: %s; reached: %s\n", attempt_tactic(one->tried),
             attempt_tactic(one->reached));
    buf_addf(out,
             "At least %zu detection%s in %zu lineage%s, by counting rule \"%s\", version %d\n",
             one->n_detections, one->n_detections == 1 ? "" : "s", one->n_nodes,
             one->n_nodes == 1 ? "" : "s", ATTEMPT_RULE, ATTEMPT_RULE_VERSION);
    if (campaign > 1) {
        attempt_id_words(one->campaign, id);
        buf_addf(out,
                 "One of %zu attempts of campaign %s, which came back or used the same means\n",
                 campaign, id);
    }
}

// ---- in order of time

struct line {
    uint64_t time, order;
    unsigned lineage;
    enum style style;
    const char *what;
    char text[320];
};

static int by_time(const void *p, const void *q)
{
    const struct line *x = p, *y = q;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static struct line detection_line(const struct attempts *a, const struct attempt *one, size_t i)
{
    const struct attempt_detection *d = attempts_detection(a, i);
    struct line l = {.time = d->time,
                     .order = d->id,
                     .lineage = number_of(one, d->node),
                     .style = !d->stopped ? STYLE_YELLOW
                              : d->before ? STYLE_GREEN
                                          : STYLE_MAGENTA,
                     .what = !d->stopped ? "detected"
                             : d->before ? "REFUSED"
                                         : "STOPPED"};
    static const char *const by[] = {[TIERCEL__MECHANISM__MECHANISM_GATE] = " (gate)",
                                     [TIERCEL__MECHANISM__MECHANISM_EXEC_SIGNAL] = " (exec signal)",
                                     [TIERCEL__MECHANISM__MECHANISM_CGROUP] = " (cgroup)",
                                     [TIERCEL__MECHANISM__MECHANISM_LSM] = " (LSM)",
                                     [TIERCEL__MECHANISM__MECHANISM_PIDFD] = " (signal)",
                                     [TIERCEL__MECHANISM__MECHANISM_OPEN_GATE] = " (gate)"};
    const char *how = d->stopped && d->mechanism < sizeof by / sizeof *by ? by[d->mechanism] : NULL;
    snprintf(l.text, sizeof l.text, "#%llu%s %s: %s", (unsigned long long)d->id, how ? how : "",
             d->title, d->command);
    return l;
}

static size_t evidence_lines(const struct attempts *a, const struct attempt *one,
                             struct line *lines)
{
    static const struct {
        const char *what;
        enum style style;
    } kinds[] = {{"ran", STYLE_PLAIN}, {"READ", STYLE_RED}, {"SENT", STYLE_RED}};
    size_t n = 0;
    for (size_t i = 0; i < one->n_nodes; i++)
        for (size_t k = 0; k < ATTEMPT_EVIDENCE_KINDS; k++) {
            const struct attempt_evidence_list *l = &attempts_node(a, one->nodes[i])->evidence[k];
            for (size_t j = 0; j < l->n && n < STORY_SHOWN; j++) {
                struct line *line = &lines[n++];
                *line = (struct line){.time = l->all[j].time,
                                      .order = l->all[j].event,
                                      .lineage = (unsigned)i + 1,
                                      .style = kinds[k].style,
                                      .what = kinds[k].what};
                if (k == ATTEMPT_SENT)
                    snprintf(line->text, sizeof line->text, "%llu bytes to %s",
                             (unsigned long long)l->all[j].bytes, l->all[j].text);
                else
                    snprintf(line->text, sizeof line->text, "%s", l->all[j].text);
            }
        }
    return n;
}

static int print_lines(const struct term *t, const struct attempts *a, const struct attempt *one,
                       struct buf *out)
{
    size_t n = 0;
    struct line *lines = calloc(STORY_SHOWN * 2, sizeof *lines);
    if (!lines)
        return -1;
    n = evidence_lines(a, one, lines);
    size_t evidence = n;
    for (size_t i = 0; i < one->n_detections && n < evidence + STORY_SHOWN; i++)
        lines[n++] = detection_line(a, one, one->detections[i]);
    qsort(lines, n, sizeof *lines, by_time);
    title(t, "In order of time (the number in front is the lineage)", out);
    for (size_t i = 0; i < n; i++) {
        char clock[LEAF_TEXT_MAX];
        leaf_print_time(lines[i].time, clock); // 2026-11-23T15:30:05.123...
        buf_addf(out, "  %.12s %3u  ", clock + 11, lines[i].lineage);
        style_begin(t, lines[i].style, out);
        buf_addf(out, "%-8s", lines[i].what);
        style_end(t, lines[i].style, out);
        buf_add_str(out, STR("  "));
        text_cut(t, str_from(lines[i].text), t->width > 40 ? t->width - 30 : 0, out);
        buf_add_char(out, '\n');
    }
    if (one->n_detections > STORY_SHOWN)
        buf_addf(out, "  ... and %zu detections more\n", one->n_detections - STORY_SHOWN);
    free(lines);
    return 0;
}

// ---- evidence

static void print_stops(const struct attempts *a, const struct attempt *one, struct buf *out)
{
    size_t by[TIERCEL__MECHANISM__MECHANISM_OPEN_GATE + 1] = {0}, n = sizeof by / sizeof *by,
                                                        none = 0;
    for (size_t i = 0; i < one->n_detections; i++) {
        const struct attempt_detection *d = attempts_detection(a, one->detections[i]);
        if (d->stopped && d->mechanism < n)
            by[d->mechanism]++;
        none += !d->stopped;
    }
    for (size_t m = 0; m < n; m++)
        if (by[m])
            buf_addf(out, "  stopped                     %zu by %s\n", by[m],
                     mechanism_words((Tiercel__Mechanism)m));
    if (none)
        buf_addf(out, "  detected, not stopped       %zu\n", none);
}

static void print_evidence(const struct term *t, const struct attempts *a,
                           const struct attempt *one, struct buf *out)
{
    title(t, "What shows the outcome", out);
    print_stops(a, one, out);
    buf_addf(out, "  programs that ran           %llu\n", (unsigned long long)one->ran);
    buf_addf(out, "  reads of protected data     %llu\n", (unsigned long long)one->reads);
    buf_addf(out, "  bytes sent to other hosts   %llu, by the lineages themselves\n",
             (unsigned long long)one->sent);
    if (*one->blind)
        buf_addf(out, "  unknown what else           %s\n", one->blind);
}

static void print_reasons(const struct term *t, const struct attempts *a, const struct attempt *one,
                          struct buf *out)
{
    title(t, "Why this is one attempt", out);
    if (one->n_reasons == 0)
        buf_add_str(out, STR("  It is one detection.\n"));
    for (size_t i = 0; i < one->n_reasons && i < 40; i++) {
        _cleanup_buf_ struct buf words = {0};
        attempt_reason_words(a, one, &one->reasons[i], &words);
        buf_add_str(out, STR("  "));
        text_cut(t, buf_str(&words), t->width > 24 ? t->width - 2 : 0, out);
        buf_add_char(out, '\n');
    }
    if (one->n_reasons > 40)
        buf_addf(out, "  ... and %zu more: --json has all\n", one->n_reasons - 40);
}

static void print_changes(const struct term *t, const struct attempts *a, const struct attempt *one,
                          struct buf *out)
{
    const struct attempt_change *c;
    bool any = false;
    for (size_t i = 0; (c = attempts_change(a, i)); i++) {
        if (!attempt_touched(a, one, c))
            continue;
        if (!any)
            title(t, "By hand", out);
        any = true;
        buf_add_str(out, STR("  "));
        when_print_full(c->time, out);
        buf_addf(out, "  %s by ", c->split ? "split" : "merged");
        text_escape(str_from(c->who), out);
        buf_add_str(out, STR(": "));
        text_escape(str_from(c->why), out);
        if (!c->applied)
            buf_add_str(out, STR(" (changes nothing now)"));
        buf_add_char(out, '\n');
    }
}

int attempt_story(const struct term *t, struct journal *j, const struct attempts *a,
                  const struct attempt *one, struct buf *out, struct error *e)
{
    print_head(t, a, one, out);
    title(t, "Processes", out);
    int r = attempt_tree(t, j, a, one, out, e);
    if (r < 0)
        return r;
    if (print_lines(t, a, one, out) < 0)
        return error_set(e, -12, "out of memory");
    print_evidence(t, a, one, out);
    print_reasons(t, a, one, out);
    print_changes(t, a, one, out);
    char id[ATTEMPT_ID_DIGITS + 1];
    attempt_id_words(one->id, id);
    title(t, "If this is not so", out);
    buf_addf(out, "  tiercel attempt split %s DETECTION... --why TEXT\n", id);
    buf_addf(out, "  tiercel attempt merge %s OTHER --why TEXT\n", id);
    return 0;
}
