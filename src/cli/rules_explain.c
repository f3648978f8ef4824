// SPDX-License-Identifier: Apache-2.0
// One rule against one event: which conditions were true, or which values the rule looked at and found wanting.
#include "cli/draw.h"
#include "cli/found.h"
#include "cli/place.h"
#include "cli/rulefiles.h"
#include "cli/rules.h"
#include "cli/source.h"
#include "cli/table.h"
#include "event/field.h"

#include <errno.h>

static const struct option options[] = {
    {"event", 'e', OPTION_NUMBER, "ID",
     "event of the journal to hold against the rule (its id is in --json)", NULL, false},
    {"detection", 'd', OPTION_TEXT, "ID", "the event of this detection", NULL, false},
    OPTION_JOURNAL,
    {0},
};
static const struct column pairs[] = {{NULL, 0, false}, {NULL, 0, false}};

struct record {
    const struct rule_set *set;
    const Tiercel__Event *event;
    struct arena *arena;
};

static struct field_value value_of(const struct record *r, struct str name)
{
    const struct field *field = field_find(event_category(r->event), name);
    if (!field)
        return (struct field_value){.type = FIELD_ABSENT};
    return field_get(field, r->event, r->arena);
}

static struct rule_value get(void *context, size_t index)
{
    const struct record *r = context;
    struct field_value v = value_of(r, rule_set_field(r->set, index));
    struct rule_value value = {RULE_TEXT, v.text, v.number, v.list, v.n};
    if (v.type == FIELD_ABSENT)
        value.type = RULE_ABSENT;
    else if (v.type == FIELD_LIST)
        value.type = RULE_LIST;
    else if (v.type == FIELD_NUMBER)
        value.type = RULE_NUMBER;
    return value;
}

static bool each(void *context, size_t *position, struct str *ret)
{
    const struct record *r = context;
    while (*position < rule_set_fields(r->set)) {
        struct field_value v = value_of(r, rule_set_field(r->set, (*position)++));
        if (v.type != FIELD_ABSENT && v.text.n) {
            *ret = v.text;
            return true;
        }
    }
    return false;
}

static void print_about(const struct term *t, const struct rule *rule, struct buf *out)
{
    _cleanup_table_ struct table table;
    const struct source *source = source_of(rule->product, rule->category, rule->service);
    static const char *const states[] = {
        [SOURCE_COLLECTED] = "can fire here",
        [SOURCE_KNOWN] = "supported; nothing collects its log source yet",
        [SOURCE_FOREIGN] = "supported; nothing here collects its log source",
    };
    table_init(&table, pairs, 2);
    style_begin(t, STYLE_BOLD, out);
    text_escape(rule->title, out);
    style_end(t, STYLE_BOLD, out);
    buf_add_char(out, '\n');
    table_addf(&table, STYLE_DIM, "file");
    table_add(&table, STYLE_PLAIN, rule->file);
    table_addf(&table, STYLE_DIM, "level");
    table_add(&table, STYLE_PLAIN, rule->level_name);
    table_addf(&table, STYLE_DIM, "action");
    table_addf(&table, STYLE_PLAIN, "%s", rule->action == RULE_PREVENT ? "prevent" : "detect");
    table_addf(&table, STYLE_DIM, "looks at");
    table_addf(&table, STYLE_PLAIN, STR_FMT "%s" STR_FMT ": %s", STR_ARG(rule->category),
               rule->category.n && rule->service.n ? "/" : "", STR_ARG(rule->service),
               states[rule->correlation ? SOURCE_COLLECTED : source->state]);
    if (rule->description.n) {
        table_addf(&table, STYLE_DIM, "about");
        _cleanup_buf_ struct buf about = {0};
        struct str text = str_trim(rule->description);
        for (size_t i = 0; i < text.n; i++) // its lines are wrapped anew
            buf_add_char(&about, text.p[i] == '\n' ? ' ' : text.p[i]);
        table_add(&table, STYLE_PLAIN, buf_str(&about));
    }
    for (size_t i = 0; i < rule->n_falsepositives; i++) {
        table_addf(&table, STYLE_DIM, i ? "" : "benign");
        table_add(&table, STYLE_PLAIN, rule->falsepositives[i]);
    }
    table_print(&table, t, 2, out);
}

static void print_hits(const struct term *t, const struct rule_match *m, struct buf *out)
{
    static const struct column columns[] = {{NULL, 0, false}, {NULL, 60, false}, {NULL, 0, false}};
    _cleanup_table_ struct table table;
    table_init(&table, columns, 3);
    buf_addf(out, "\nIt matches: " STR_FMT "\n", STR_ARG(m->rule->title));
    for (size_t i = 0; i < m->n_hits; i++) {
        table_addf(&table, STYLE_DIM, "line %u", m->hits[i].line);
        table_add(&table, STYLE_PLAIN, m->hits[i].pattern);
        table_add(&table, STYLE_BOLD, m->hits[i].value);
    }
    table_print(&table, t, 2, out);
}

static void print_values(const struct term *t, const struct record *r, struct buf *out)
{
    _cleanup_table_ struct table table;
    table_init(&table, pairs, 2);
    buf_add_str(out, STR("\nIt does not match. What the rule's fields are in this event:\n"));
    for (size_t i = 0; i < rule_set_fields(r->set); i++) {
        struct str name = rule_set_field(r->set, i);
        struct field_value v = value_of(r, name);
        _cleanup_buf_ struct buf text = {0};
        table_add(&table, STYLE_PLAIN, name);
        for (size_t k = 0; v.type == FIELD_LIST && k < v.n; k++) {
            buf_add_str(&text, k ? STR(", ") : STR(""));
            buf_add_str(&text, v.list[k]);
        }
        if (v.type == FIELD_ABSENT)
            table_addf(&table, STYLE_YELLOW, "(absent)");
        else
            table_add(&table, STYLE_BOLD, v.type == FIELD_LIST ? buf_str(&text) : v.text);
    }
    table_print(&table, t, 2, out);
}

// 0, CLI_NO when nothing matches, or negative errno.
static int hold_against(const struct term *t, struct rule_set *set, const Tiercel__Event *event,
                        struct buf *out, struct error *e)
{
    _cleanup_arena_ struct arena arena = {0};
    struct record record = {set, event, &arena};
    const struct rule_record view = {get, each, &record};
    const char *category = event_category(event);
    struct rule_scratch *scratch = NULL;
    const struct rule_match *matches = NULL;
    size_t n = 0;
    int r = rule_set_compile(set, e);
    if (r < 0)
        return r;
    int route = rule_set_route(set, STR("linux"), str_from(category), STR_NONE);
    r = rule_scratch_new(set, &scratch);
    if (r == 0)
        r = rule_match(set, scratch, route, &view, &arena, &matches, &n, NULL);
    buf_add_char(out, '\n');
    draw_event(t, event, event->time, out);
    for (size_t i = 0; r == 0 && i < n; i++)
        print_hits(t, &matches[i], out);
    if (r == 0 && n == 0)
        print_values(t, &record, out);
    rule_scratch_free(scratch);
    return r < 0 ? error_set(e, r, "cannot match: %s", strerror(-r)) : n ? 0 : CLI_NO;
}

static int event_by_id(struct journal *j, uint64_t id, Tiercel__Event **ret, struct error *e)
{
    for (size_t index = journal_segments(j); index > 0; index--) {
        const Tiercel__Batch *batch = NULL;
        int r = journal_seek(j, index - 1, false, e);
        while (r >= 0 && (r = journal_next(j, NULL, NULL, &batch, e)) == 1)
            for (size_t i = 0; i < batch->n_events; i++)
                if (batch->events[i]->id == id) {
                    _cleanup_found_ struct found one;
                    found_init(&one, 1);
                    if (found_add(&one, &batch->events[i]->base) == 0)
                        *ret = tiercel__event__unpack(NULL, found_get(&one, 0).n,
                                                      found_get(&one, 0).p);
                    return *ret ? 0 : error_set(e, -ENOMEM, "out of memory");
                }
        if (r < 0 && r != -EBADMSG)
            return r;
    }
    error_set(e, -ESRCH, "there is no event %llu in the journal", (unsigned long long)id);
    error_way_out(e, "`tiercel events --json` shows ids");
    return -ESRCH;
}

static int against_journal(struct cli *cli, const struct args *args, struct rule_set *set,
                           struct buf *out, struct error *e)
{
    struct journal *journal = NULL;
    Tiercel__Event *event = NULL;
    Tiercel__Detection *d = NULL;
    uint64_t id = args_number(args, "event", 0);
    const char *detection = args_text(args, "detection", NULL);
    int r = detection ? found_parse_id(detection, &id, e) : 0;
    if (r == 0)
        r = journal_open(args_text(args, "journal", JOURNAL_FOLDER), &journal, e);
    if (r == 0)
        r = detection ? found_detection(journal, id, &d, e) : event_by_id(journal, id, &event, e);
    if (r == 0 && d && d->n_events == 0)
        r = error_set(e, -ESRCH, "detection #%llu carries no event", (unsigned long long)id);
    if (r == 0)
        r = hold_against(&cli->out, set, d ? d->events[d->n_events - 1] : event, out, e);
    if (event)
        tiercel__event__free_unpacked(event, NULL);
    if (d)
        tiercel__detection__free_unpacked(d, NULL);
    journal_close(journal);
    return r;
}

static int run(struct cli *cli, const struct args *args)
{
    struct rule_options set_options = rulefiles_options();
    struct rule_set *set = NULL;
    struct error e = {0};
    _cleanup_buf_ struct buf b = {0};
    int r = rule_set_new(&set_options, &set);
    if (r < 0) {
        error_set(&e, r, "out of memory");
        return cli_fail(cli, &e);
    }
    r = rulefile_add(set, args->words[0], &e);
    if (r < 0) {
        rule_set_free(set);
        cli_error(cli, &e);
        return CLI_NO;
    }
    for (size_t i = 0; i < rule_set_count(set); i++)
        print_about(&cli->out, rule_set_get(set, i), &b);
    if (args_has(args, "event") || args_has(args, "detection"))
        r = against_journal(cli, args, set, &b, &e);
    term_write(&cli->out, &b);
    rule_set_free(set);
    return r < 0 ? cli_fail(cli, &e) : r;
}

const struct command rules_explain = {
    .name = "explain",
    .arguments = "FILE",
    .summary = "What a rule looks for, and why it did or did not match an event",
    .description = "Without --event or --detection: what the rule says of itself and whether it "
                   "can fire here. Exit code 1 "
                   "when it does not match the event.",
    .examples = "tiercel rules explain content/rules/execution/web_shell.yml --detection 12",
    .options = options,
    .words = "<file>",
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
