// SPDX-License-Identifier: Apache-2.0
#include "cli/status.h"
#include "base/cleanup.h"
#include "cli/table.h"
#include "cli/when.h"
#include "sensor/coverage.h"

#include <errno.h>

int status_ask(const struct control_request *request, struct control_reply **ret, struct error *e)
{
    _cleanup_free_ struct control_reply *reply = calloc(1, sizeof *reply);
    struct error inner = {0};
    if (!reply)
        return error_set(e, -ENOMEM, "out of memory");
    int r = control_call(CONTROL_SOCKET, request, reply, &inner);
    if (r == -ENOENT || r == -ECONNREFUSED) {
        error_set(e, -ECONNREFUSED, "no agent runs on this machine");
        error_way_out(e, "`tiercel run` protects it until Ctrl-C; `systemctl start tierceld` "
                         "starts the service");
        return -ECONNREFUSED;
    }
    if (r < 0) {
        if (e)
            *e = inner;
        if (e && e->code == 0)
            error_set(e, r, "the agent did not answer: %s", strerror(-r));
        return r;
    }
    *ret = TAKE_PTR(reply);
    return 0;
}

static void size_words(uint64_t bytes, struct buf *out)
{
    if (bytes < 10240)
        buf_addf(out, "%llu bytes", (unsigned long long)bytes);
    else if (bytes < (uint64_t)10 << 20)
        buf_addf(out, "%llu KiB", (unsigned long long)(bytes >> 10));
    else
        buf_addf(out, "%llu MiB", (unsigned long long)(bytes >> 20));
}

static void mode_line(const struct term *t, const struct control_status *s, uint64_t now_ns,
                      struct buf *out)
{
    bool prevents = s->mode == CONTROL_PREVENT && s->armed;
    if (prevents)
        style_text(t, STYLE_GREEN, "prevent: intrusions are stopped", out);
    else if (s->mode == CONTROL_PREVENT)
        style_text(t, STYLE_RED, "prevent, but the gate is not armed", out);
    else
        style_text(t, STYLE_YELLOW, "detect: intrusions are shown, not stopped", out);
    uint64_t since = prevents ? s->armed_ns : s->started_ns;
    if (since && since < now_ns) {
        buf_add_str(out, STR(", for "));
        when_print_duration(now_ns - since, out);
    }
    buf_add_char(out, '\n');
    if (s->mode != s->wanted)
        buf_addf(out, "%-13s asked for, not in force\n",
                 s->wanted == CONTROL_PREVENT ? "  prevent" : "  detect");
}

static const char *role_state(uint32_t state)
{
    return state == CONTROL_ROLE_RUNNING    ? "running"
           : state == CONTROL_ROLE_STARTING ? "starting"
                                            : "DOWN";
}

static void add_counts(struct table *table, const struct control_status *s)
{
    const struct control_engine *n = &s->engine;
    const struct control_gate *g = &s->gate;
    unsigned long long lost = n->lost_structural + n->lost_bulk + n->lost_other;
    table_addf(table, STYLE_DIM, "seen");
    table_addf(table, STYLE_PLAIN, "%llu events, %llu detections, %llu prevented",
               (unsigned long long)n->events, (unsigned long long)n->detections,
               (unsigned long long)n->prevented);
    table_addf(table, STYLE_DIM, "lost");
    if (lost == 0)
        table_addf(table, STYLE_PLAIN, "nothing");
    else
        table_addf(table, STYLE_RED, "%llu events: %llu structural, %llu bulk, %llu other", lost,
                   (unsigned long long)n->lost_structural, (unsigned long long)n->lost_bulk,
                   (unsigned long long)n->lost_other);
    for (uint32_t i = 0; i < s->n_mechanisms && i < CONTROL_MECHANISMS; i++) {
        if (strcmp(s->mechanisms[i].name, "open gate") != 0)
            continue;
        table_addf(table, STYLE_DIM, "protected");
        table_addf(table, STYLE_PLAIN, "%llu opens refused, %llu let through; %s",
                   (unsigned long long)n->protected_denied, (unsigned long long)n->protected_seen,
                   s->mechanisms[i].reason);
    }
    table_addf(table, STYLE_DIM, "gate");
    if (g->asked == 0 && !s->armed) {
        table_addf(table, STYLE_PLAIN, "not armed");
        return;
    }
    bool late = g->overdue || g->late_denied || g->by_warden || g->no_engine;
    table_addf(table, late ? STYLE_YELLOW : STYLE_PLAIN,
               "%llu asked, %llu denied, %llu overdue (deadline %u ms), %llu denied late, %llu "
               "unreadable, "
               "%llu answered by the warden",
               (unsigned long long)g->asked, (unsigned long long)g->denied,
               (unsigned long long)g->overdue, s->deadline_ms, (unsigned long long)g->late_denied,
               (unsigned long long)g->unanswerable, (unsigned long long)g->by_warden);
}

static void add_roles(struct table *table, const struct control_status *s)
{
    _cleanup_buf_ struct buf b = {0};
    bool down = false;
    for (uint32_t i = 0; i < s->n_roles && i < CONTROL_ROLES; i++) {
        const struct control_role *r = &s->roles[i];
        down = down || r->state != CONTROL_ROLE_RUNNING;
        buf_addf(&b, "%s%.16s %d (uid %u%s%s)", i ? ", " : "", r->name, r->pid, r->uid,
                 r->state == CONTROL_ROLE_RUNNING ? "" : ", ",
                 r->state == CONTROL_ROLE_RUNNING ? "" : role_state(r->state));
        if (r->restarts)
            buf_addf(&b, ", restarted %u times", r->restarts);
    }
    table_addf(table, STYLE_DIM, "roles");
    table_add(table, down ? STYLE_RED : STYLE_PLAIN, buf_str(&b));
}

static void add_journal(struct table *table, const struct control_status *s)
{
    _cleanup_buf_ struct buf b = {0};
    buf_addf(&b, "%s: ", s->journal);
    size_words(s->journal_bytes, &b);
    if (s->journal_bound) {
        buf_add_str(&b, STR(" of at most "));
        size_words(s->journal_bound, &b);
    }
    if (s->journal_deleted)
        buf_addf(&b, ", %llu old segments deleted", (unsigned long long)s->journal_deleted);
    if (s->engine.journal_failures)
        buf_addf(&b, ", %llu writes FAILED", (unsigned long long)s->engine.journal_failures);
    table_addf(table, STYLE_DIM, "journal");
    table_add(table, s->engine.journal_failures ? STYLE_RED : STYLE_PLAIN, buf_str(&b));
}

static void add_rules(struct table *table, const struct control_status *s)
{
    table_addf(table, STYLE_DIM, "rules");
    if (s->engine.rules_refused)
        table_addf(
            table, STYLE_RED,
            "%llu in use, %llu files REFUSED (`tiercel rules check %s` says why), %llu exceptions",
            (unsigned long long)s->engine.rules, (unsigned long long)s->engine.rules_refused,
            s->rules, (unsigned long long)s->engine.exceptions);
    else
        table_addf(table, STYLE_PLAIN, "%llu in use from %s, %llu exceptions",
                   (unsigned long long)s->engine.rules, s->rules,
                   (unsigned long long)s->engine.exceptions);
}

static void add_limits(struct table *table, const struct control_status *s)
{
    if (!s->engine.rule_limits)
        return;
    table_addf(table, STYLE_DIM, "expressions");
    table_addf(
        table, STYLE_YELLOW,
        "given up %llu times at their limit, counted as no match: a rule's `re` is too costly",
        (unsigned long long)s->engine.rule_limits);
}

static const struct column pairs[] = {{NULL, 0, false}, {NULL, 0, false}};

void status_print_summary(const struct term *t, const struct control_status *s, uint64_t now_ns,
                          struct buf *out)
{
    _cleanup_table_ struct table table;
    mode_line(t, s, now_ns, out);
    table_init(&table, pairs, 2);
    if (s->why[0]) {
        table_addf(&table, STYLE_DIM, "problem");
        table_add(&table, STYLE_RED, str_from(s->why));
    }
    if (s->engine.problem[0]) {
        table_addf(&table, STYLE_DIM, "problem");
        table_add(&table, STYLE_RED, str_from(s->engine.problem));
    }
    table_addf(&table, STYLE_DIM, "scope");
    if (s->scope_pid > 0)
        table_addf(&table, STYLE_YELLOW, "only the mount namespace of process %d", s->scope_pid);
    else
        table_addf(&table, STYLE_PLAIN, "the whole host");
    table_addf(&table, STYLE_DIM, "file systems");
    table_addf(&table, STYLE_PLAIN, "%u guarded of %u (`tiercel doctor` names them)", s->n_guarded,
               s->n_filesystems + s->filesystems_left_out);
    add_rules(&table, s);
    add_limits(&table, s);
    add_counts(&table, s);
    add_journal(&table, s);
    status_add_hub(&table, s, now_ns);
    add_roles(&table, s);
    table_print(&table, t, 2, out);
}

static void mechanism_row(struct table *table, const struct control_mechanism *m)
{
    static const struct {
        const char *words;
        enum style style;
    } states[] = {
        [CONTROL_ABSENT] = {"absent", STYLE_YELLOW},
        [CONTROL_REFUSED] = {"refused", STYLE_YELLOW},
        [CONTROL_WORKS] = {"works", STYLE_GREEN},
    };
    uint32_t works = m->works <= CONTROL_WORKS ? m->works : CONTROL_ABSENT;
    table_add(table, STYLE_BOLD, str_bytes(m->name, strnlen(m->name, sizeof m->name)));
    table_addf(table, states[works].style, "%s", states[works].words);
    _cleanup_buf_ struct buf b = {0};
    buf_add(&b, m->reason, strnlen(m->reason, sizeof m->reason));
    if (m->instead[0] && works != CONTROL_WORKS) {
        buf_add_str(&b, b.n ? STR("; instead: ") : STR("instead: "));
        buf_add(&b, m->instead, strnlen(m->instead, sizeof m->instead));
    }
    table_add(table, STYLE_PLAIN, buf_str(&b));
}

void status_print_mechanisms(const struct term *t, const struct control_mechanism *m, size_t n,
                             struct buf *out)
{
    static const struct column columns[] = {{NULL, 30, false}, {NULL, 0, false}, {NULL, 0, false}};
    _cleanup_table_ struct table table;
    table_init(&table, columns, 3);
    style_text(t, STYLE_BOLD, "Mechanisms, each as tried on this machine", out);
    buf_add_char(out, '\n');
    for (size_t i = 0; i < n; i++)
        mechanism_row(&table, &m[i]);
    table_print(&table, t, 2, out);
}

void status_print_coverage(const struct term *t, uint64_t works, struct buf *out)
{
    static const struct column columns[] = {
        {NULL, 14, false}, {NULL, 22, false}, {NULL, 30, false}, {NULL, 0, false}};
    _cleanup_table_ struct table table;
    table_init(&table, columns, 4);
    style_text(t, STYLE_BOLD, "Kinds of events: seen by, refused by, and what is missing", out);
    buf_add_char(out, '\n');
    for (size_t i = 0; i < coverage_kinds(); i++) {
        struct coverage c = coverage_of(i, works);
        table_add(&table, STYLE_BOLD, str_from(c.kind));
        table_add(&table, c.seen[0] ? STYLE_GREEN : STYLE_YELLOW,
                  c.seen[0] ? str_from(c.seen) : STR("not seen"));
        table_add(&table, STYLE_PLAIN, c.denied[0] ? str_from(c.denied) : STR("-"));
        table_add(&table, STYLE_PLAIN, str_from(c.limit));
    }
    table_print(&table, t, 2, out);
}

void status_print_filesystems(const struct term *t, const struct control_status *s, struct buf *out)
{
    static const struct column columns[] = {
        {NULL, 44, false}, {NULL, 12, false}, {NULL, 0, false}, {NULL, 0, false}};
    _cleanup_table_ struct table table;
    table_init(&table, columns, 4);
    style_text(t, STYLE_BOLD, "File systems: programs on these are asked about before they run",
               out);
    buf_add_char(out, '\n');
    for (uint32_t i = 0; i < s->n_filesystems && i < CONTROL_FILESYSTEMS; i++) {
        const struct control_filesystem *f = &s->filesystems[i];
        table_add(&table, STYLE_PLAIN, str_from(f->path));
        table_add(&table, STYLE_DIM, str_from(f->type));
        table_addf(&table, f->guarded ? STYLE_GREEN : STYLE_YELLOW, "%s",
                   f->guarded ? "guarded" : "not");
        table_add(&table, STYLE_PLAIN, str_from(f->guarded ? "" : f->reason));
    }
    table_print(&table, t, 2, out);
    if (s->filesystems_left_out)
        buf_addf(out, "  and %u more\n", s->filesystems_left_out);
    if (s->mode == CONTROL_DETECT)
        buf_add_str(out, STR("  In detect mode there is no gate: rules are applied to programs as "
                             "they start.\n"));
}

void status_print_limits(const struct term *t, struct buf *out)
{
    static const char *const limits[] = {
        "shared libraries that a running program loads later (those named by LD_PRELOAD and its "
        "kin are seen)",
        "code inside interpreters that run already (a PHP page), but for its opens of protected "
        "data, and "
        "shell built-ins",
        "code put into a running process: ptrace, /proc/PID/mem, user-space exec; where BPF LSM is "
        "off nothing stops these",
        "root who turns the agent off, where BPF LSM is off",
        "programs in memory files (memfd): judged when they start, before their first instruction",
        "a tmpfs in somebody's own user and mount namespace, and on kernel 6.1 a new overlay, "
        "until "
        "it is marked: judged when they start",
        "programs that the kernel starts itself (core dump helper, modprobe): allowed and counted, "
        "for they have no arguments to read",
        "programs on file systems that are not guarded: judged when they start, and killed if a "
        "service started them",
    };
    style_text(t, STYLE_BOLD, "Not gated", out);
    buf_add_char(out, '\n');
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        buf_add_str(out, STR("  - "));
        text_wrap(str_from(limits[i]), t->width, 4, 4, out);
        buf_add_char(out, '\n');
    }
}

// Names of guarded file systems, until the line is long enough.
static void guarded_names(const struct control_status *s, struct buf *out)
{
    unsigned shown = 0;
    for (uint32_t i = 0; i < s->n_filesystems && i < CONTROL_FILESYSTEMS; i++) {
        const struct control_filesystem *f = &s->filesystems[i];
        if (!f->guarded)
            continue;
        if (shown++ == 6) {
            buf_addf(out, " and %u more", s->n_guarded - 6);
            return;
        }
        buf_addf(out, "%s%s", shown > 1 ? " " : "", f->path);
    }
}

static void working_names(const struct control_status *s, struct buf *out)
{
    bool any = false;
    for (uint32_t i = 0; i < s->n_mechanisms && i < CONTROL_MECHANISMS; i++)
        if (s->mechanisms[i].works == CONTROL_WORKS) {
            buf_addf(out, "%s%.27s", any ? ", " : "", s->mechanisms[i].name);
            any = true;
        }
}

void status_print_protection(const struct term *t, const struct control_status *s, struct buf *out)
{
    _cleanup_table_ struct table table;
    _cleanup_buf_ struct buf names = {0}, works = {0};
    bool prevents = s->mode == CONTROL_PREVENT && s->armed;
    style_text(t, prevents ? STYLE_GREEN : STYLE_YELLOW,
               prevents ? "This machine is protected."
                        : "This machine is watched; nothing is stopped.",
               out);
    buf_add_char(out, '\n');
    table_init(&table, pairs, 2);
    table_addf(&table, STYLE_DIM, "mode");
    table_addf(&table, STYLE_PLAIN, "%s",
               prevents ? "prevent: what a rule forbids is refused before its first instruction"
                        : "detect: the same rules, shown only");
    if (s->why[0]) {
        table_addf(&table, STYLE_DIM, "problem");
        table_add(&table, STYLE_RED, str_from(s->why));
    }
    if (s->scope_pid > 0) {
        table_addf(&table, STYLE_DIM, "scope");
        table_addf(&table, STYLE_YELLOW, "only the mount namespace of process %d", s->scope_pid);
    }
    working_names(s, &works);
    table_addf(&table, STYLE_DIM, "by");
    table_add(&table, STYLE_PLAIN, buf_str(&works));
    guarded_names(s, &names);
    table_addf(&table, STYLE_DIM, "file systems");
    if (prevents)
        table_add(&table, STYLE_PLAIN, buf_str(&names));
    else
        table_addf(&table, STYLE_PLAIN, "no gate in detect mode");
    add_rules(&table, s);
    add_journal(&table, s);
    table_print(&table, t, 2, out);
    buf_add_str(out, STR("  What is not covered: `tiercel doctor`. "));
    buf_add_str(out, STR("Ctrl-C ends protection and leaves nothing behind.\n\n"));
}
