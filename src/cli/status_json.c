// SPDX-License-Identifier: Apache-2.0
#include "cli/status.h"
#include "event/json.h"
#include "sensor/coverage.h"

static void text(const char *name, const char *value, size_t size, struct buf *out)
{
    buf_addf(out, "\"%s\":", name);
    json_quoted(str_bytes(value, strnlen(value, size)), out);
}
#define TEXT(name, array, out) text(name, array, sizeof(array), out)

static void number(const char *name, uint64_t value, struct buf *out)
{
    buf_addf(out, ",\"%s\":%llu", name, (unsigned long long)value);
}

void status_json_mechanisms(const struct control_mechanism *m, size_t n, struct buf *out)
{
    static const char *const states[] = {"absent", "refused", "works"};
    buf_add_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        buf_addf(out, "%s{\"state\":\"%s\",", i ? "," : "",
                 states[m[i].works <= CONTROL_WORKS ? m[i].works : 0]);
        TEXT("name", m[i].name, out);
        buf_add_char(out, ',');
        TEXT("reason", m[i].reason, out);
        buf_add_char(out, ',');
        TEXT("instead", m[i].instead, out);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

void status_json_coverage(uint64_t works, struct buf *out)
{
    buf_add_char(out, '[');
    for (size_t i = 0; i < coverage_kinds(); i++) {
        struct coverage c = coverage_of(i, works);
        buf_addf(out, "%s{\"kind\":\"%s\",\"seen\":\"%s\",", i ? "," : "", c.kind, c.seen);
        TEXT("denied", c.denied, out);
        buf_add_char(out, ',');
        TEXT("limit", c.limit, out);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

static void filesystems(const struct control_status *s, struct buf *out)
{
    buf_add_str(out, STR(",\"filesystems\":["));
    for (uint32_t i = 0; i < s->n_filesystems && i < CONTROL_FILESYSTEMS; i++) {
        const struct control_filesystem *f = &s->filesystems[i];
        buf_addf(out, "%s{\"guarded\":%s,", i ? "," : "", f->guarded ? "true" : "false");
        TEXT("path", f->path, out);
        buf_add_char(out, ',');
        TEXT("type", f->type, out);
        buf_add_char(out, ',');
        TEXT("reason", f->reason, out);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
    number("filesystems_left_out", s->filesystems_left_out, out);
}

static void roles(const struct control_status *s, struct buf *out)
{
    static const char *const states[] = {"down", "starting", "running"};
    buf_add_str(out, STR(",\"roles\":["));
    for (uint32_t i = 0; i < s->n_roles && i < CONTROL_ROLES; i++) {
        const struct control_role *r = &s->roles[i];
        buf_addf(out, "%s{", i ? "," : "");
        TEXT("name", r->name, out);
        buf_addf(out, ",\"state\":\"%s\",\"pid\":%d,\"uid\":%u,\"restarts\":%u,\"beat_age_ms\":%u}",
                 states[r->state <= CONTROL_ROLE_RUNNING ? r->state : 0], r->pid, r->uid,
                 r->restarts, r->beat_age_ms);
    }
    buf_add_char(out, ']');
}

static void counts(const struct control_status *s, struct buf *out)
{
    const struct control_engine *n = &s->engine;
    const struct {
        const char *name;
        uint64_t value;
    } values[] = {
        {"started_ns", s->started_ns},
        {"armed_ns", s->armed_ns},
        {"deadline_ms", s->deadline_ms},
        {"guarded", s->n_guarded},
        {"events", n->events},
        {"detections", n->detections},
        {"verdicts", n->verdicts},
        {"prevented", n->prevented},
        {"protected_denied", n->protected_denied},
        {"protected_seen", n->protected_seen},
        {"lost_structural", n->lost_structural},
        {"lost_bulk", n->lost_bulk},
        {"lost_other", n->lost_other},
        {"processes", n->processes},
        {"rules_in_use", n->rules},
        {"rules_refused", n->rules_refused},
        {"exceptions", n->exceptions},
        {"rule_limits", n->rule_limits},
        {"arena_refused", n->arena_refused},
        {"kills", n->kills},
        {"kills_failed", n->kills_failed},
        {"journal_batches", n->journal_batches},
        {"journal_failures", n->journal_failures},
        {"journal_bytes", s->journal_bytes},
        {"journal_bound", s->journal_bound},
        {"journal_deleted", s->journal_deleted},
        {"gate_asked", s->gate.asked},
        {"gate_allowed", s->gate.allowed},
        {"gate_denied", s->gate.denied},
        {"gate_overdue", s->gate.overdue},
        {"gate_late_denied", s->gate.late_denied},
        {"gate_unanswerable", s->gate.unanswerable},
        {"gate_by_warden", s->gate.by_warden},
        {"gate_no_engine", s->gate.no_engine},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        number(values[i].name, values[i].value, out);
}

static void hub(const struct control_status *s, struct buf *out)
{
    const struct control_uplink *u = &s->uplink;
    if (!s->enrolled) {
        buf_add_str(out, STR(",\"hub\":null"));
        return;
    }
    buf_add_str(out, STR(",\"hub\":{"));
    TEXT("url", u->hub, out);
    buf_add_char(out, ',');
    TEXT("client", u->client, out);
    buf_addf(out, ",\"state\":\"%s\",", status_link_word(u->state));
    TEXT("why", u->why, out);
    const struct {
        const char *name;
        uint64_t value;
    } values[] = {
        {"next", u->next},           {"acknowledged_ns", u->acknowledged_ns},
        {"reached_s", u->reached_s}, {"records", u->records},
        {"events", u->events},       {"bytes", u->bytes},
        {"missing", u->missing},     {"damaged", u->damaged},
        {"too_large", u->too_large}, {"left_out", u->left_out},
        {"failures", u->failures},   {"unsent_segments_deleted", s->journal_unsent},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        number(values[i].name, values[i].value, out);
    buf_add_char(out, '}');
}

void status_json(const struct control_status *s, struct buf *out)
{
    static const char *const modes[] = {"detect", "prevent"};
    buf_addf(out,
             "{\"running\":true,\"mode\":\"%s\",\"wanted\":\"%s\",\"armed\":%s,\"scope_pid\":%d,",
             modes[s->mode == CONTROL_PREVENT], modes[s->wanted == CONTROL_PREVENT],
             s->armed ? "true" : "false", s->scope_pid);
    TEXT("version", s->version, out);
    buf_add_char(out, ',');
    TEXT("why", s->why, out);
    buf_add_char(out, ',');
    TEXT("problem", s->engine.problem, out);
    buf_add_char(out, ',');
    TEXT("rules", s->rules, out);
    buf_add_char(out, ',');
    TEXT("rules_version", s->engine.rules_version, out);
    buf_add_char(out, ',');
    TEXT("journal", s->journal, out);
    counts(s, out);
    buf_add_str(out, STR(",\"mechanisms\":"));
    status_json_mechanisms(
        s->mechanisms, s->n_mechanisms <= CONTROL_MECHANISMS ? s->n_mechanisms : CONTROL_MECHANISMS,
        out);
    buf_add_str(out, STR(",\"coverage\":"));
    status_json_coverage(s->works, out);
    filesystems(s, out);
    hub(s, out);
    roles(s, out);
    buf_add_char(out, '}');
}
