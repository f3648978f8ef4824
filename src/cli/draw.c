// SPDX-License-Identifier: Apache-2.0
#include "cli/draw.h"
#include "cli/when.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define TREE_SHOWN 12 // processes; of a longer chain the middle is left out

static struct str bytes_of(ProtobufCBinaryData b)
{
    return str_bytes(b.data, b.len);
}

const char *mechanism_words(Tiercel__Mechanism mechanism)
{
    switch (mechanism) {
    case TIERCEL__MECHANISM__MECHANISM_GATE:
        return "the gate (fanotify permission)";
    case TIERCEL__MECHANISM__MECHANISM_OPEN_GATE:
        return "the gate (fanotify permission to open)";
    case TIERCEL__MECHANISM__MECHANISM_EXEC_SIGNAL:
        return "SIGKILL at exec (BPF)";
    case TIERCEL__MECHANISM__MECHANISM_CGROUP:
        return "cgroup connect program (BPF)";
    case TIERCEL__MECHANISM__MECHANISM_LSM:
        return "BPF LSM";
    case TIERCEL__MECHANISM__MECHANISM_PIDFD:
        return "signal from user space, after the fact";
    default:
        return "none: detected only";
    }
}

static const char *wanted_words(const Tiercel__Verdict *v)
{
    if (v->has_exception)
        return "allowed by an exception";
    if (!v->has_wanted || v->wanted == TIERCEL__ACTION__ACTION_ALLOW)
        return "detected";
    if (v->mode == TIERCEL__MODE__MODE_DETECT)
        return "detected; prevention would stop it";
    return "detected, not stopped";
}

const char *verdict_words(const Tiercel__Verdict *v)
{
    if (!v)
        return "detected";
    switch (v->action) {
    case TIERCEL__ACTION__ACTION_DENY:
        if (v->mechanism == TIERCEL__MECHANISM__MECHANISM_CGROUP)
            return "CONNECTION DENIED";
        return v->before_first_instruction ? "DENIED before its first instruction"
                                           : "DENIED after it began";
    case TIERCEL__ACTION__ACTION_KILL:
        return v->before_first_instruction ? "KILLED before its first instruction"
                                           : "KILLED after it began";
    case TIERCEL__ACTION__ACTION_KILL_LINEAGE:
        return v->before_first_instruction ? "LINEAGE KILLED, this one before its first instruction"
                                           : "LINEAGE KILLED after it began";
    case TIERCEL__ACTION__ACTION_CONTAIN:
        return "CONTAINED";
    case TIERCEL__ACTION__ACTION_QUARANTINE:
        return "QUARANTINED";
    default:
        return wanted_words(v);
    }
}

enum style verdict_style(const Tiercel__Verdict *v)
{
    if (!v || v->action == TIERCEL__ACTION__ACTION_ALLOW)
        return v && v->has_exception ? STYLE_DIM : STYLE_YELLOW;
    return v->before_first_instruction || v->mechanism == TIERCEL__MECHANISM__MECHANISM_CGROUP
               ? STYLE_GREEN
               : STYLE_MAGENTA;
}

enum style level_style(const char *level)
{
    static const struct {
        const char *level;
        enum style style;
    } styles[] = {{"critical", STYLE_ALARM},
                  {"high", STYLE_RED},
                  {"medium", STYLE_YELLOW},
                  {"low", STYLE_CYAN}};
    for (size_t i = 0; level && i < sizeof styles / sizeof *styles; i++)
        if (!strcmp(styles[i].level, level))
            return styles[i].style;
    return STYLE_DIM;
}

// What a denied exec wanted to run is in its event; the tree has what its process runs still.
const Tiercel__Process *detection_process(const Tiercel__Detection *d)
{
    const Tiercel__Process *p = d->n_events ? d->events[d->n_events - 1]->process : NULL;
    if (p && (p->n_argv || p->image))
        return p;
    return d->n_tree ? d->tree[d->n_tree - 1] : p;
}

struct str process_image(const Tiercel__Process *p)
{
    return p && p->image && p->image->has_path ? bytes_of(p->image->path) : STR_NONE;
}

void process_command(const Tiercel__Process *p, struct buf *out)
{
    if (!p)
        return;
    if (p->n_argv == 0) {
        struct str image = process_image(p);
        buf_add_str(out, image.n ? image : bytes_of(p->name));
        return;
    }
    // A process that wrote itself a title leaves empty arguments behind it.
    size_t n = p->n_argv;
    while (n > 1 && p->argv[n - 1].len == 0)
        n--;
    if (n == 1) {
        buf_add_str(out, bytes_of(p->argv[0]));
        return;
    }
    struct str *argv = calloc(n, sizeof *argv);
    if (!argv)
        return;
    for (size_t i = 0; i < n; i++)
        argv[i] = bytes_of(p->argv[i]);
    text_argv(argv, n, out);
    free(argv);
    if (p->argv_cut)
        buf_add_str(out, STR(" [cut]"));
}

void draw_process(const struct term *t, const Tiercel__Process *p, unsigned column,
                  enum style style, struct buf *out)
{
    _cleanup_buf_ struct buf command = {0}, about = {0};
    process_command(p, &command);
    buf_addf(&about, "  %u", p->id ? p->id->pid : 0);
    if (p->has_user) {
        buf_add_str(&about, STR(" "));
        text_escape(bytes_of(p->user), &about);
    }
    struct str image = process_image(p), first = p->n_argv ? bytes_of(p->argv[0]) : STR_NONE;
    if (image.n && first.n && !str_eq(image, first)) {
        buf_add_char(&about, ' ');
        text_escape(image, &about);
    }
    unsigned room = 0;
    if (t->width)
        room = t->width > column + about.n + 16 ? t->width - column - (unsigned)about.n : 16;
    style_begin(t, style, out);
    text_cut(t, buf_str(&command), room, out);
    style_end(t, style, out);
    buf_add_char(&about, 0);
    style_text(t, STYLE_DIM, about.p ? about.p : "", out);
    buf_add_char(out, '\n');
}

void draw_detection_tree(const struct term *t, const Tiercel__Detection *d, enum style mark,
                         unsigned indent, struct buf *out)
{
    const Tiercel__Process *last = detection_process(d);
    size_t n = d->n_tree;
    Tiercel__Process **chain = calloc(n + 1, sizeof *chain);
    if (!chain)
        return;
    for (size_t i = 0; i < n; i++)
        chain[i] = d->tree[i];
    bool same = n && last && last->id && chain[n - 1]->id && last->id->pid == chain[n - 1]->id->pid;
    if (last && !same)
        n++;
    if (last)
        chain[n - 1] = (Tiercel__Process *)(uintptr_t)last;
    draw_tree(t, chain, n, mark, indent, out);
    free(chain);
}

void draw_tree(const struct term *t, Tiercel__Process *const *chain, size_t n, enum style mark,
               unsigned indent, struct buf *out)
{
    const char *branch = t->utf8 ? "└─ " : "`- ";
    size_t left_out = n > TREE_SHOWN ? n - TREE_SHOWN : 0, shown = 0;
    for (size_t i = 0; i < n; i++) {
        if (left_out && i >= 2 && i < 2 + left_out)
            continue;
        unsigned column = indent + (shown ? (unsigned)(shown - 1) * 3 : 0);
        buf_addf(out, "%*s", (int)column, "");
        if (shown) {
            style_text(t, STYLE_DIM, branch, out);
            column += 3;
        }
        if (left_out && i == 2 + left_out)
            buf_addf(out, "(%zu more) ", left_out);
        bool last = i + 1 == n;
        if (last && mark != STYLE_PLAIN) {
            style_text(t, mark,
                       mark == STYLE_YELLOW || mark == STYLE_DIM ? "! "
                       : t->utf8                                 ? "✖ "
                                                                 : "x ",
                       out);
            column += 2;
        }
        draw_process(t, chain[i], column, last ? STYLE_BOLD : STYLE_PLAIN, out);
        shown++;
    }
}

static void heading(const struct term *t, const Tiercel__Detection *d,
                    const Tiercel__Verdict *verdict, struct buf *out)
{
    const char *level = d->level ? d->level : "";
    buf_add_char(out, ' ');
    style_begin(t, level_style(level), out);
    text_cut(t, str_from(level), 13, out);
    style_end(t, level_style(level), out);
    buf_addf(out, "%*s", strlen(level) < 9 ? 9 - (int)strlen(level) : 1, "");
    style_text(t, verdict_style(verdict), verdict_words(verdict), out);
    buf_add_str(out, STR("  "));
    style_begin(t, STYLE_BOLD, out);
    text_cut(t, str_from(d->rule_title), 60, out);
    style_end(t, STYLE_BOLD, out);
}

// Columns that the text from `from` on takes on the terminal: colours take none.
static unsigned shown_columns(const struct buf *b, size_t from)
{
    _cleanup_buf_ struct buf plain = {0};
    for (size_t i = from; i < b->n; i++) {
        if (b->p[i] == '\033')
            while (i < b->n && b->p[i] != 'm')
                i++;
        else
            buf_add_char(&plain, b->p[i]);
    }
    return text_columns(buf_str(&plain));
}

bool detection_same_event(const Tiercel__Detection *a, const Tiercel__Detection *b)
{
    if (!a->n_events || !b->n_events)
        return false;
    return a->events[a->n_events - 1]->id == b->events[b->n_events - 1]->id;
}

void draw_detection(const struct term *t, const Tiercel__Detection *d,
                    const Tiercel__Verdict *verdict, uint64_t now_ns, bool tree, struct buf *out)
{
    const Tiercel__Process *p = detection_process(d);
    _cleanup_buf_ struct buf command = {0};
    size_t start = out->n;
    when_print_clock(d->time, now_ns, out);
    heading(t, d, verdict, out);
    buf_addf(out, "  #%llu", (unsigned long long)d->id);
    if (p && p->has_user) {
        buf_add_str(out, STR("  "));
        text_cut(t, bytes_of(p->user), 20, out);
    }
    if (p && p->lineage && p->lineage->role) {
        buf_add_str(out, STR("  "));
        style_begin(t, STYLE_CYAN, out);
        text_cut(t, str_from(p->lineage->role), 16, out);
        style_end(t, STYLE_CYAN, out);
    }
    process_command(p, &command);
    unsigned used = shown_columns(out, start) + 2;
    if (!t->width || used + 12 < t->width) {
        buf_add_str(out, STR("  "));
        text_cut(t, buf_str(&command), t->width ? t->width - used : 0, out);
    }
    buf_add_char(out, '\n');
    if (tree)
        draw_detection_tree(t, d, verdict_style(verdict), 9, out);
}
