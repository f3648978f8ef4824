// SPDX-License-Identifier: Apache-2.0
// Results: by number, by id, in words, and as one line of JSON that is the same wherever the same data were read.
#include "attempt/private.h"

#include "event/json.h"
#include "event/leaf.h"

#include <errno.h>

size_t attempts_count(const struct attempts *a)
{
    return a->n_all;
}

const struct attempt *attempts_get(const struct attempts *a, size_t i)
{
    return &a->all[i];
}

const struct attempt_detection *attempts_detection(const struct attempts *a, size_t i)
{
    return &a->detections[i];
}

const struct attempt_node *attempts_node(const struct attempts *a, size_t i)
{
    return &a->nodes[i];
}

uint64_t attempts_refused(const struct attempts *a)
{
    return a->refused + a->texts.refused + a->units.refused;
}

void attempt_id_words(uint64_t name, char ret[ATTEMPT_ID_DIGITS + 1])
{
    snprintf(ret, ATTEMPT_ID_DIGITS + 1, "%012llx", (unsigned long long)(name >> 16));
}

int attempts_find(const struct attempts *a, struct str id, size_t *ret, struct error *e)
{
    size_t found = SIZE_MAX, several = 0;
    for (size_t i = 0; id.n >= 4 && i < a->n_detections; i++) {
        char text[17];
        snprintf(text, sizeof text, "%016llx", (unsigned long long)a->detections[i].name);
        if (id.n > 16 || memcmp(text, id.p, id.n) != 0)
            continue;
        size_t at = a->nodes[a->detections[i].node].attempt;
        several += found != SIZE_MAX && found != at;
        // An attempt's own id comes before those of the detections in it.
        if (a->all[at].id == a->detections[i].name && id.n >= ATTEMPT_ID_DIGITS) {
            *ret = at;
            return 0;
        }
        found = at;
    }
    if (several)
        return error_set(e, -EEXIST, "several attempts begin with " STR_FMT, STR_ARG(id));
    if (found == SIZE_MAX) {
        error_set(e, -ESRCH, "there is no attempt " STR_FMT, STR_ARG(id));
        error_way_out(e, "`tiercel attempts` lists them; at least 4 digits of the id are needed");
        return -ESRCH;
    }
    *ret = found;
    return 0;
}

static unsigned place_of(const struct attempt *one, size_t node)
{
    for (size_t i = 0; i < one->n_nodes; i++)
        if (one->nodes[i] == node)
            return (unsigned)i + 1;
    return 0;
}

static void apart_words(uint64_t ns, struct buf *out)
{
    uint64_t s = ns / 1000000000u;
    if (s < 120)
        buf_addf(out, "%llu s apart", (unsigned long long)s);
    else if (s < 7200)
        buf_addf(out, "%llu min apart", (unsigned long long)(s / 60));
    else
        buf_addf(out, "%llu h apart", (unsigned long long)(s / 3600));
}

void attempt_reason_words(const struct attempts *a, const struct attempt *one,
                          const struct attempt_reason *r, struct buf *out)
{
    static const char *const means[] = {"address", "file content", "dropped file"};
    unsigned x = place_of(one, r->a), y = place_of(one, r->b);
    switch (r->kind) {
    case ATTEMPT_BY_LINEAGE:
        buf_addf(out, "%zu detections in lineage %u: all below process %u",
                 a->nodes[r->a].n_detections, x, a->nodes[r->a].pid);
        break;
    case ATTEMPT_BY_EVENT:
        buf_addf(out, "%zu rules matched what %u did", a->nodes[r->a].n_detections, x);
        break;
    case ATTEMPT_BY_MEANS:
        buf_addf(out, "%u and %u: same host, same %s %s, ", x, y, means[r->means], r->text);
        apart_words(r->apart, out);
        break;
    case ATTEMPT_BY_CONNECTION:
        buf_addf(out, "%u connected to the host of %u (%s), which began there ", x, y, r->text);
        apart_words(r->apart, out);
        break;
    case ATTEMPT_BY_HAND:
        buf_addf(out, "%u and %u by hand: %s", x, y, r->text);
        break;
    }
}

// ---- JSON

static void add_time(const char *name, uint64_t ns, struct buf *out)
{
    char text[LEAF_TEXT_MAX];
    size_t n = leaf_print_time(ns, text);
    buf_addf(out, "\"%s\":\"%.*s\"", name, (int)n, text);
}

static void add_hex(const char *name, const uint8_t bytes[16], struct buf *out)
{
    char text[32];
    leaf_print_hex(str_bytes(bytes, 16), text);
    buf_addf(out, "\"%s\":\"%.*s\"", name, 32, text);
}

static void add_text(const char *name, const char *text, struct buf *out)
{
    buf_addf(out, "\"%s\":", name);
    json_quoted(str_from(text), out);
}

static const char *mechanism(uint8_t m)
{
    static const char *const words[] = {[TIERCEL__MECHANISM__MECHANISM_GATE] = "gate",
                                        [TIERCEL__MECHANISM__MECHANISM_EXEC_SIGNAL] = "exec signal",
                                        [TIERCEL__MECHANISM__MECHANISM_CGROUP] = "cgroup",
                                        [TIERCEL__MECHANISM__MECHANISM_LSM] = "LSM",
                                        [TIERCEL__MECHANISM__MECHANISM_PIDFD] = "signal",
                                        [TIERCEL__MECHANISM__MECHANISM_OPEN_GATE] = "gate"};
    return m < sizeof words / sizeof *words && words[m] ? words[m] : "";
}

static void add_detections(const struct attempts *a, const struct attempt *one, struct buf *out)
{
    for (size_t i = 0; i < one->n_detections; i++) {
        const struct attempt_detection *d = &a->detections[one->detections[i]];
        buf_addf(out, "%s{\"id\":%llu,\"name\":\"%016llx\",", i ? "," : "",
                 (unsigned long long)d->id, (unsigned long long)d->name);
        add_time("time", d->time, out);
        buf_addf(out, ",\"lineage\":%u,", place_of(one, d->node));
        add_text("rule", d->title, out);
        buf_add_char(out, ',');
        add_text("level", d->level, out);
        buf_addf(out, ",\"stopped\":\"%s\",", !d->stopped ? "no" : d->before ? "before" : "after");
        add_text("by", d->stopped ? mechanism(d->mechanism) : "", out);
        buf_add_char(out, ',');
        add_text("command", d->command, out);
        buf_add_char(out, '}');
    }
}

static void add_evidence(const struct attempt_node *n, struct buf *out)
{
    static const char *const names[] = {"ran", "read", "sent"};
    for (size_t k = 0; k < ATTEMPT_EVIDENCE_KINDS; k++) {
        const struct attempt_evidence_list *l = &n->evidence[k];
        buf_addf(out, ",\"%s\":{\"count\":%llu,\"first\":[", names[k],
                 (unsigned long long)l->count);
        for (size_t i = 0; i < l->n; i++) {
            buf_addf(out, "%s{\"event\":%llu,", i ? "," : "", (unsigned long long)l->all[i].event);
            add_time("time", l->all[i].time, out);
            buf_add_char(out, ',');
            add_text("what", l->all[i].text, out);
            if (k == ATTEMPT_SENT)
                buf_addf(out, ",\"bytes\":%llu", (unsigned long long)l->all[i].bytes);
            buf_add_char(out, '}');
        }
        buf_add_str(out, STR("]}"));
    }
}

static void add_means(const struct attempt_node *n, struct buf *out)
{
    static const char *const kinds[] = {"address", "content", "dropped"};
    buf_add_str(out, STR(",\"means\":["));
    for (size_t i = 0; i < n->n_means; i++) {
        buf_addf(out, "%s{\"kind\":\"%s\",", i ? "," : "", kinds[n->means[i].kind]);
        add_text("what", n->means[i].text, out);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

static void add_nodes(const struct attempts *a, const struct attempt *one, struct buf *out)
{
    for (size_t i = 0; i < one->n_nodes; i++) {
        const struct attempt_node *n = &a->nodes[one->nodes[i]];
        buf_addf(out, "%s{\"number\":%zu,", i ? "," : "", i + 1);
        add_hex("host", n->host, out);
        buf_addf(out, ",\"lineage\":%s,\"process\":%u,", n->lineage ? "true" : "false", n->pid);
        add_text("role", n->role, out);
        buf_add_char(out, ',');
        add_text("service", n->service, out);
        buf_addf(out, ",\"bytes_sent\":%llu", (unsigned long long)n->sent);
        add_evidence(n, out);
        add_means(n, out);
        buf_add_str(out, STR(",\"processes\":["));
        processes_print(n, out);
        buf_add_str(out, STR("]}"));
    }
}

void attempt_change_print(const struct attempt_change *c, struct buf *out)
{
    char time[LEAF_TEXT_MAX];
    size_t n = leaf_print_time(c->time, time);
    buf_addf(out, "{\"time\":\"%.*s\",\"who\":", (int)n, time);
    json_quoted(str_from(c->who), out);
    buf_addf(out, ",\"what\":\"%s\",\"why\":", c->split ? "split" : "merge");
    json_quoted(str_from(c->why), out);
    buf_add_str(out, STR(",\"detections\":["));
    for (size_t i = 0; i < c->n_names; i++)
        buf_addf(out, "%s\"%016llx\"", i ? "," : "", (unsigned long long)c->names[i]);
    buf_add_str(out, STR("]}\n"));
}

static void add_changes(const struct attempts *a, const struct attempt *one, struct buf *out)
{
    bool any = false;
    const struct attempt_change *c;
    for (size_t i = 0; (c = attempts_change(a, i)); i++) {
        if (!attempt_touched(a, one, c))
            continue;
        buf_add_str(out, any ? STR(",") : STR(""));
        attempt_change_print(c, out);
        out->n -= !out->failed; // its line end
        any = true;
    }
}

void attempt_print_json(const struct attempts *a, const struct attempt *one, struct buf *out)
{
    char id[ATTEMPT_ID_DIGITS + 1], campaign[ATTEMPT_ID_DIGITS + 1];
    attempt_id_words(one->id, id);
    attempt_id_words(one->campaign, campaign);
    buf_addf(out, "{\"id\":\"%s\",\"campaign\":\"%s\",", id, campaign);
    add_time("begin", one->begin, out);
    buf_add_char(out, ',');
    add_time("end", one->end, out);
    buf_addf(out,
             ",\"rule\":{\"name\":\"%s\",\"version\":%d},\"at_least\":{\"detections\":%zu,"
             "\"lineages\":%zu,\"hosts\":%zu,\"bytes_sent\":%llu,\"protected_reads\":%llu,"
             "\"programs\":%llu},",
             ATTEMPT_RULE, ATTEMPT_RULE_VERSION, one->n_detections, one->n_nodes, one->n_hosts,
             (unsigned long long)one->sent, (unsigned long long)one->reads,
             (unsigned long long)one->ran);
    add_text("tried", attempt_tactic(one->tried), out);
    buf_add_char(out, ',');
    add_text("reached", attempt_tactic(one->reached), out);
    buf_add_char(out, ',');
    add_text("outcome", attempt_outcome_words(one->outcome), out);
    buf_add_char(out, ',');
    add_text("stopped", attempt_outcome_words(one->stopped), out);
    buf_add_char(out, ',');
    add_text("not_seen", one->blind, out);
    buf_add_str(out, STR(",\"lineages\":["));
    add_nodes(a, one, out);
    buf_add_str(out, STR("],\"reasons\":["));
    for (size_t i = 0; i < one->n_reasons; i++) {
        struct buf words = {0};
        attempt_reason_words(a, one, &one->reasons[i], &words);
        buf_add_str(out, i ? STR(",") : STR(""));
        json_quoted(buf_str(&words), out);
        buf_done(&words);
    }
    buf_add_str(out, STR("],\"by_hand\":["));
    add_changes(a, one, out);
    buf_add_str(out, STR("],\"detections\":["));
    add_detections(a, one, out);
    buf_add_str(out, STR("]}\n"));
}
