// SPDX-License-Identifier: Apache-2.0
#include "cli/draw.h"
#include "cli/live.h"
#include "cli/table.h"
#include "cli/when.h"

#include <errno.h>

static const struct option options[] = {OPTION_JSON, OPTION_JOURNAL, {0}};
static const struct column pairs[] = {{NULL, 0, false}, {NULL, 0, false}};

static struct str bytes_of(ProtobufCBinaryData b)
{
    return str_bytes(b.data, b.len);
}

static void title(const struct term *t, const char *text, struct buf *out)
{
    buf_add_char(out, '\n');
    style_text(t, STYLE_BOLD, text, out);
    buf_add_char(out, '\n');
}

static void add_latency(struct table *table, const Tiercel__Verdict *v)
{
    _cleanup_buf_ struct buf b = {0};
    buf_add_str(&b, str_from(mechanism_words(v->mechanism)));
    if (v->has_latency) {
        buf_add_str(&b, STR(", answered "));
        when_print_duration(v->latency, &b);
        buf_add_str(&b, STR(" after the kernel asked"));
    }
    table_addf(table, STYLE_DIM, "by");
    table_add(table, STYLE_PLAIN, buf_str(&b));
}

static void print_verdict(const struct term *t, const Tiercel__Verdict *v, struct buf *out)
{
    _cleanup_table_ struct table table;
    title(t, "What was done", out);
    table_init(&table, pairs, 2);
    table_addf(&table, STYLE_DIM, "verdict");
    table_addf(&table, verdict_style(v), "%s", verdict_words(v));
    if (v && v->action != TIERCEL__ACTION__ACTION_ALLOW)
        add_latency(&table, v);
    if (v) {
        table_addf(&table, STYLE_DIM, "mode");
        table_addf(&table, STYLE_PLAIN, "%s",
                   v->mode == TIERCEL__MODE__MODE_PREVENT ? "prevent" : "detect");
    }
    if (v && v->has_exception) {
        table_addf(&table, STYLE_DIM, "exception");
        table_add(&table, STYLE_PLAIN, bytes_of(v->exception));
    }
    if (v && v->note && *v->note) {
        table_addf(&table, STYLE_DIM, "note");
        table_add(&table, STYLE_PLAIN, str_from(v->note));
    }
    table_print(&table, t, 2, out);
}

static void print_matches(const struct term *t, const Tiercel__Detection *d, struct buf *out)
{
    static const struct column columns[] = {{NULL, 0, false}, {NULL, 0, false}, {NULL, 0, false}};
    _cleanup_table_ struct table table;
    title(t, "Why: the rule's conditions that were true", out);
    table_init(&table, columns, 3);
    for (size_t i = 0; i < d->n_matched; i++) {
        const Tiercel__MatchedField *m = d->matched[i];
        table_addf(&table, STYLE_DIM, "%s:%u", d->rule_file ? d->rule_file : "?", m->line);
        table_addf(&table, STYLE_DIM, "asks");
        table_add(&table, STYLE_PLAIN, str_from(m->pattern ? m->pattern : m->field));
        table_addf(&table, STYLE_DIM, "%s", "");
        table_addf(&table, STYLE_DIM, "finds");
        table_add(&table, STYLE_BOLD, bytes_of(m->value));
    }
    table_print(&table, t, 2, out);
    if (d->n_matched == 0)
        buf_add_str(out,
                    STR("  (none: the rule only says what must be absent, or it counts events)\n"));
    if (d->n_identifiers == 0)
        return;
    buf_add_str(out, STR("  selections:"));
    for (size_t i = 0; i < d->n_identifiers; i++) {
        buf_add_char(out, ' ');
        text_escape(str_from(d->identifiers[i]), out);
    }
    buf_add_char(out, '\n');
}

static void print_rule(const struct term *t, const Tiercel__Detection *d, struct buf *out)
{
    _cleanup_table_ struct table table;
    table_init(&table, pairs, 2);
    title(t, "Rule", out);
    table_addf(&table, STYLE_DIM, "title");
    table_add(&table, STYLE_PLAIN, str_from(d->rule_title));
    table_addf(&table, STYLE_DIM, "id");
    table_add(&table, STYLE_PLAIN, str_from(d->rule_id));
    table_addf(&table, STYLE_DIM, "file");
    table_add(&table, STYLE_PLAIN, str_from(d->rule_file));
    _cleanup_buf_ struct buf tags = {0};
    for (size_t i = 0; i < d->n_tags; i++)
        buf_addf(&tags, "%s%s", i ? ", " : "", d->tags[i]);
    if (tags.n) {
        table_addf(&table, STYLE_DIM, "tags");
        table_add(&table, STYLE_PLAIN, buf_str(&tags));
    }
    table_print(&table, t, 2, out);
}

static void print_events(const struct term *t, const Tiercel__Detection *d, struct buf *out)
{
    if (d->n_events < 2)
        return;
    title(t, "Events that were counted", out);
    for (size_t i = 0; i < d->n_events; i++) {
        buf_add_str(out, STR("  "));
        draw_event(t, d->events[i], d->time, out);
    }
}

static void explain(const struct term *t, const Tiercel__Detection *d, const Tiercel__Verdict *v,
                    struct buf *out)
{
    style_begin(t, STYLE_BOLD, out);
    buf_addf(out, "#%llu  ", (unsigned long long)d->id);
    text_escape(str_from(d->rule_title), out);
    style_end(t, STYLE_BOLD, out);
    buf_add_str(out, STR("   "));
    style_begin(t, level_style(d->level), out);
    text_escape(str_from(d->level), out);
    style_end(t, level_style(d->level), out);
    buf_add_char(out, '\n');
    when_print_full(d->time, out);
    buf_add_char(out, '\n');
    print_verdict(t, v, out);
    print_matches(t, d, out);
    title(t, "Processes, from the service down to the one that acted", out);
    draw_detection_tree(t, d, verdict_style(v), 2, out);
    print_events(t, d, out);
    print_rule(t, d, out);
    title(t, "If this was right to do", out);
    buf_addf(out, "  tiercel allow %llu --for 7d --reason 'why'\n", (unsigned long long)d->id);
    buf_add_str(out, STR("  makes an exception for this rule, this kind of lineage and this shape "
                         "of command line.\n"));
}

static int run(struct cli *cli, const struct args *args)
{
    struct error e = {0};
    struct journal *journal = NULL;
    Tiercel__Detection *d = NULL;
    _cleanup_verdicts_ struct verdicts verdicts = {0};
    _cleanup_buf_ struct buf b = {0};
    uint64_t id;
    if (found_parse_id(args->words[0], &id, &e) < 0)
        return cli_fail(cli, &e);
    if (journal_open(args_text(args, "journal", JOURNAL_FOLDER), &journal, &e) < 0)
        return cli_fail(cli, &e);
    int r = found_detection(journal, id, &d, &e);
    if (r == 0)
        r = verdicts_load(journal, d->time, &verdicts, &e);
    if (r == 0 && args_has(args, "json")) {
        live_json_detection(d, verdicts_get(&verdicts, id), &b);
        buf_add_char(&b, '\n');
    } else if (r == 0) {
        explain(&cli->out, d, verdicts_get(&verdicts, id), &b);
    }
    term_write(&cli->out, &b);
    if (d)
        tiercel__detection__free_unpacked(d, NULL);
    journal_close(journal);
    return r == -ESRCH ? (cli_error(cli, &e), CLI_NO) : r < 0 ? cli_fail(cli, &e) : CLI_OK;
}

const struct command cmd_explain = {
    .name = "explain",
    .group = "look",
    .arguments = "DETECTION",
    .summary =
        "Why a detection was made: rule, matched fields, verdict, process tree, how to allow it",
    .description = "DETECTION is the number that `tiercel detections` shows after #.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
