// SPDX-License-Identifier: Apache-2.0
#include "hub/attempts_show.h"

#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define LINES_MAX 800
#define REASONS_MAX 40

// ---- text from hosts

// Bytes of the character at p that a terminal may get; 0: not for a terminal. The text is UTF-8 (jansson saw to that).
static size_t printable(const unsigned char *p)
{
    if (*p < 0x80)
        return *p >= 0x20 && *p != 0x7f;
    size_t n = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
    bool control = *p == 0xc2 && p[1] < 0xa0,
         direction = *p == 0xe2 && ((p[1] == 0x80 && ((p[2] >= 0x8e && p[2] <= 0x8f) ||
                                                      (p[2] >= 0xa8 && p[2] <= 0xae))) ||
                                    (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9));
    return control || direction ? 0 : n;
}

void attempts_show_text(const char *text, size_t columns, struct buf *out)
{
    const unsigned char *p = (const unsigned char *)(text ? text : "");
    for (size_t at = 0; *p; at++) {
        size_t n = printable(p);
        if (at + 1 >= columns && p[n ? n : 1]) {
            buf_add_char(out, '~');
            return;
        }
        if (n)
            buf_add(out, p, n);
        else
            buf_add_char(out, '?');
        for (n = n ? n : 1; n && *p; n--)
            p++;
        while ((*p & 0xc0) == 0x80)
            p++;
    }
}

static const char *text_of(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));
    return text ? text : "";
}

static unsigned long long number_of(const json_t *o, const char *name)
{
    return (unsigned long long)json_integer_value(json_object_get(o, name));
}

static bool is(const json_t *o, const char *name)
{
    return json_is_true(json_object_get(o, name));
}

static const char *plural(unsigned long long n)
{
    return n == 1 ? "" : "s";
}

// ---- table

static const char *outcome_short(const json_t *one)
{
    const char *outcome = text_of(one, "outcome"), *stopped = text_of(one, "stopped");
    bool unknown = strncmp(outcome, "unknown", 7) == 0;
    if (strstr(outcome, "left"))
        return "DATA LEFT";
    if (strstr(outcome, "read"))
        return "data read";
    if (strstr(stopped, "before"))
        return unknown ? "stopped before ?" : "stopped before";
    if (strstr(stopped, "after"))
        return unknown ? "stopped after ?" : "stopped after";
    return unknown ? "not stopped ?" : "not stopped";
}

void attempts_show_head(struct buf *out)
{
    buf_addf(out, "%-8s  %-11s  %-11s  %-20s  %-16s  %5s  %s\n", "ATTEMPT", "BEGIN", "HOST",
             "TRIED", "OUTCOME", "DET.", "MEANS OR COMMAND");
}

// The address that it came from or talked to, else what was detected first.
static const char *means_of(const json_t *one)
{
    const json_t *lineages = json_object_get(one, "lineages"), *lineage, *means;
    size_t i, k;
    json_array_foreach(lineages, i, lineage) json_array_foreach(
        json_object_get(lineage, "means"), k,
        means) if (!strcmp(text_of(means, "kind"), "address")) return text_of(means, "what");
    return text_of(json_array_get(json_object_get(one, "detections"), 0), "command");
}

static void add_cell(const char *text, size_t width, struct buf *out)
{
    size_t before = out->n;
    attempts_show_text(text, width, out);
    buf_addf(out, "%*s  ", (int)(out->n - before < width ? width - (out->n - before) : 0), "");
}

static void host_words(const json_t *one, char ret[32])
{
    const json_t *first = json_array_get(json_object_get(one, "lineages"), 0);
    unsigned long long hosts = number_of(json_object_get(one, "at_least"), "hosts");
    int n = snprintf(ret, 32, "%.8s", text_of(first, "host"));
    if (hosts > 1 && n > 0)
        snprintf(ret + n, 32 - (size_t)n, " +%llu", hosts - 1);
}

void attempts_show_row(const json_t *one, bool quick, struct buf *out)
{
    char begin[32], host[32];
    const char *time = text_of(one, "begin"); // 2026-11-23T15:30:05.123...
    snprintf(begin, sizeof begin, "%.5s %.5s", strlen(time) > 16 ? time + 5 : "",
             strlen(time) > 16 ? time + 11 : "");
    host_words(one, host);
    buf_addf(out, "%.8s  %-11s  ", text_of(one, "id"), begin);
    add_cell(host, 11, out);
    add_cell(text_of(one, "tried"), 20, out);
    add_cell(outcome_short(one), 16, out);
    buf_addf(out, "%5llu%s ", number_of(json_object_get(one, "at_least"), "detections"),
             quick ? "+" : " ");
    attempts_show_text(means_of(one), SHOW_WIDTH - 86, out);
    buf_add_char(out, '\n');
}

// ---- story

static void title(const char *text, struct buf *out)
{
    buf_addf(out, "\n%s\n", text);
}

static void show_head(const char *client, const json_t *one, bool quick, struct buf *out)
{
    const json_t *least = json_object_get(one, "at_least"), *rule = json_object_get(one, "rule");
    const char *outcome = text_of(one, "outcome"), *stopped = text_of(one, "stopped"),
               *campaign = text_of(one, "campaign");
    char host[32];
    unsigned long long n = number_of(least, "detections"), lineages = number_of(least, "lineages");
    host_words(one, host);
    buf_addf(out, "Attempt %s   %s", text_of(one, "id"), outcome);
    if (strcmp(outcome, stopped) != 0)
        buf_addf(out, "; %s", stopped);
    buf_addf(out, "\nclient %s, from %.19s to %.19s UTC, on %s\n", client, text_of(one, "begin"),
             text_of(one, "end"), host);
    buf_addf(out, "Furthest tried: %s; reached: %s\n", text_of(one, "tried"),
             text_of(one, "reached"));
    buf_addf(out,
             "At least %llu detection%s in %llu lineage%s, by counting rule \"%s\", version %llu\n",
             n, plural(n), lineages, plural(lineages), text_of(rule, "name"),
             number_of(rule, "version"));
    if (strcmp(campaign, text_of(one, "id")) != 0)
        buf_addf(out, "Of campaign %s, which came back or used the same means\n", campaign);
    if (quick)
        buf_add_str(out, STR("The newest minutes only: the whole is read just now\n"));
}

static void show_process(const json_t *all, size_t i, unsigned depth, unsigned long long lineage,
                         struct buf *out)
{
    const json_t *one = json_array_get(all, i), *other;
    unsigned long long pid = number_of(one, "pid");
    unsigned indent = depth < 12 ? depth : 12;
    const char *mark = is(one, "stopped") ? "x " : is(one, "detected") ? "! " : "";
    size_t k;
    buf_addf(out, "  %4llu  %*s%s%s", lineage, (int)indent * 3, "", depth ? "`- " : "", mark);
    attempts_show_text(text_of(one, "command"), SHOW_WIDTH - 26 - indent * 3, out);
    buf_addf(out, "  [%llu]\n", pid);
    json_array_foreach(all, k, other) if (k > i && number_of(other, "parent") == pid && depth < 64)
        show_process(all, k, depth + 1, lineage, out);
}

static bool has_parent(const json_t *all, size_t i)
{
    unsigned long long parent = number_of(json_array_get(all, i), "parent");
    for (size_t k = 0; parent && k < i; k++)
        if (number_of(json_array_get(all, k), "pid") == parent)
            return true;
    return false;
}

static void show_processes(const json_t *one, struct buf *out)
{
    const json_t *lineages = json_object_get(one, "lineages"), *lineage;
    size_t i;
    title("Processes (! detected, x stopped; in front the lineage)", out);
    json_array_foreach(lineages, i, lineage)
    {
        const json_t *all = json_object_get(lineage, "processes");
        if (i == REASONS_MAX) {
            buf_addf(out, "  ... and %zu lineages more: --json has all\n",
                     json_array_size(lineages) - i);
            break;
        }
        for (size_t k = 0; k < json_array_size(all); k++)
            if (!has_parent(all, k))
                show_process(all, k, 0, number_of(lineage, "number"), out);
    }
}

struct line {
    const char *time, *what;
    unsigned long long lineage, order;
    const json_t *of;
    bool detection;
};

static int by_time(const void *p, const void *q)
{
    const struct line *x = p, *y = q;
    int r = strcmp(x->time, y->time);
    return r ? r : x->order < y->order ? -1 : x->order > y->order;
}

static size_t collect_lines(const json_t *one, struct line *lines)
{
    static const char *const kinds[][2] = {{"ran", "ran"}, {"read", "READ"}, {"sent", "SENT"}};
    const json_t *o, *lineage;
    size_t n = 0, i, j;
    json_array_foreach(json_object_get(one, "lineages"), j, lineage) for (size_t k = 0; k < 3; k++)
        json_array_foreach(json_object_get(json_object_get(lineage, kinds[k][0]), "first"), i,
                           o) if (n < LINES_MAX / 2) lines[n++] =
            (struct line){text_of(o, "time"),    kinds[k][1], number_of(lineage, "number"),
                          number_of(o, "event"), o,           false};
    json_array_foreach(json_object_get(one, "detections"), i, o)
    {
        const char *stopped = text_of(o, "stopped");
        if (n == LINES_MAX)
            break;
        lines[n++] = (struct line){text_of(o, "time"),
                                   !strcmp(stopped, "no")       ? "detected"
                                   : !strcmp(stopped, "before") ? "REFUSED"
                                                                : "STOPPED",
                                   number_of(o, "lineage"),
                                   number_of(o, "id"),
                                   o,
                                   true};
    }
    return n;
}

static void show_line(const struct line *l, struct buf *out)
{
    _cleanup_buf_ struct buf text = {0};
    const char *by = l->detection ? text_of(l->of, "by") : "";
    if (l->detection)
        buf_addf(&text, "#%llu%s%s%s %s: %s", l->order, *by ? " (" : "", by, *by ? ")" : "",
                 text_of(l->of, "rule"), text_of(l->of, "command"));
    else if (json_object_get(l->of, "bytes"))
        buf_addf(&text, "%llu bytes to %s", number_of(l->of, "bytes"), text_of(l->of, "what"));
    else
        buf_addf(&text, "%s", text_of(l->of, "what"));
    buf_add_char(&text, 0);
    buf_addf(out, "  %.12s %3llu  %-8s  ", strlen(l->time) > 22 ? l->time + 11 : "", l->lineage,
             l->what);
    attempts_show_text(text.failed ? "" : text.p, SHOW_WIDTH - 30, out);
    buf_add_char(out, '\n');
}

static void show_lines(const json_t *one, struct buf *out)
{
    struct line *lines = calloc(LINES_MAX, sizeof *lines);
    size_t all = json_array_size(json_object_get(one, "detections"));
    if (!lines)
        return;
    size_t n = collect_lines(one, lines);
    qsort(lines, n, sizeof *lines, by_time);
    title("In order of time (in front the lineage)", out);
    for (size_t i = 0; i < n; i++)
        show_line(&lines[i], out);
    if (n == LINES_MAX)
        buf_addf(out, "  ... not all of %zu detections are shown: --json has all\n", all);
    free(lines);
}

static void show_evidence(const json_t *one, struct buf *out)
{
    const json_t *least = json_object_get(one, "at_least"), *d;
    unsigned long long stopped = 0, before = 0, none = 0;
    size_t i;
    json_array_foreach(json_object_get(one, "detections"), i, d)
    {
        const char *how = text_of(d, "stopped");
        before += !strcmp(how, "before");
        stopped += !strcmp(how, "after");
        none += !strcmp(how, "no");
    }
    title("What shows the outcome", out);
    buf_addf(out, "  refused                     %llu\n  stopped after it began      %llu\n",
             before, stopped);
    buf_addf(out, "  detected, not stopped       %llu\n", none);
    buf_addf(out, "  programs that ran           %llu\n", number_of(least, "programs"));
    buf_addf(out, "  reads of protected data     %llu\n", number_of(least, "protected_reads"));
    buf_addf(out, "  bytes sent to other hosts   %llu, by the lineages themselves\n",
             number_of(least, "bytes_sent"));
    if (*text_of(one, "not_seen")) {
        buf_add_str(out, STR("  unknown what else           "));
        attempts_show_text(text_of(one, "not_seen"), SHOW_WIDTH, out);
        buf_add_char(out, '\n');
    }
}

static void show_reasons(const json_t *one, struct buf *out)
{
    const json_t *reasons = json_object_get(one, "reasons"), *changes, *o;
    size_t i;
    title("Why this is one attempt", out);
    if (json_array_size(reasons) == 0)
        buf_add_str(out, STR("  It is one detection.\n"));
    json_array_foreach(reasons, i, o)
    {
        if (i == REASONS_MAX) {
            buf_addf(out, "  ... and %zu more: --json has all\n", json_array_size(reasons) - i);
            break;
        }
        buf_add_str(out, STR("  "));
        attempts_show_text(json_string_value(o), SHOW_WIDTH - 2, out);
        buf_add_char(out, '\n');
    }
    changes = json_object_get(one, "by_hand");
    if (json_array_size(changes))
        title("By hand", out);
    json_array_foreach(changes, i, o)
    {
        buf_addf(out, "  %.19s  %s by ", text_of(o, "time"),
                 strcmp(text_of(o, "what"), "merge") ? "split" : "merged");
        attempts_show_text(text_of(o, "who"), 20, out);
        buf_add_str(out, STR(": "));
        attempts_show_text(text_of(o, "why"), SHOW_WIDTH - 54, out);
        buf_add_char(out, '\n');
    }
}

void attempts_show_story(const char *client, const json_t *one, bool quick, struct buf *out)
{
    show_head(client, one, quick, out);
    show_processes(one, out);
    show_lines(one, out);
    show_evidence(one, out);
    show_reasons(one, out);
    title("If this is not so", out);
    buf_addf(out, "  tiercel-hub attempt split %s %s DETECTION... --why TEXT\n", client,
             text_of(one, "id"));
    buf_addf(out, "  tiercel-hub attempt merge %s %s OTHER --why TEXT\n", client,
             text_of(one, "id"));
}
