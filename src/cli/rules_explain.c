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
#include "event/json.h"

#include <errno.h>

static const struct option options[] = {
    {"event", 'e', OPTION_NUMBER, "ID",
     "event of the journal to hold against the rule (its id is in --json)", NULL, false},
    {"detection", 'd', OPTION_TEXT, "ID", "the event of this detection", NULL, false},
    OPTION_JSON,
    OPTION_JOURNAL,
    {0},
};
static const struct column pairs[] = {{NULL, 0, false}, {NULL, 0, false}};

struct record {
    const struct rule_set *set;
    const Tiercel__Event *event;
    struct arena *arena;
};

// Where the answer goes, and in which form.
struct answer {
    const struct term *term;
    bool json;
    struct buf text;
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

static void json_list(const char *name, const struct str *list, size_t n, struct buf *out)
{
    buf_addf(out, ",\"%s\":[", name);
    for (size_t i = 0; i < n; i++) {
        buf_add_str(out, i ? STR(",") : STR(""));
        json_quoted(list[i], out);
    }
    buf_add_char(out, ']');
}

static void json_member(const char *name, struct str value, struct buf *out)
{
    buf_addf(out, "%s\"%s\":", out->n && out->p[out->n - 1] == '{' ? "" : ",", name);
    json_quoted(value, out);
}

static void json_about(const struct rule *rule, struct buf *out)
{
    static const char *const states[] = {
        [SOURCE_COLLECTED] = "fires", [SOURCE_KNOWN] = "known", [SOURCE_FOREIGN] = "not_collected"};
    const struct source *source = source_of(rule->product, rule->category, rule->service);
    buf_add_char(out, '{');
    json_member("id", rule->id, out);
    json_member("title", rule->title, out);
    json_member("file", rule->file, out);
    json_member("level", rule->level_name, out);
    json_member("action", rule->action == RULE_PREVENT ? STR("prevent") : STR("detect"), out);
    json_member("category", rule->category, out);
    json_member("service", rule->service, out);
    json_member("state", str_from(states[rule->correlation ? SOURCE_COLLECTED : source->state]),
                out);
    json_member("description", str_trim(rule->description), out);
    json_list("falsepositives", rule->falsepositives, rule->n_falsepositives, out);
    buf_add_char(out, '}');
}

static void json_hits(const struct rule_match *m, struct buf *out)
{
    buf_add_char(out, '{');
    json_member("id", m->rule->id, out);
    json_member("title", m->rule->title, out);
    buf_add_str(out, STR(",\"matched\":["));
    for (size_t i = 0; i < m->n_hits; i++) {
        buf_addf(out, "%s{\"line\":%u", i ? "," : "", m->hits[i].line);
        json_member("pattern", m->hits[i].pattern, out);
        json_member("value", m->hits[i].value, out);
        buf_add_char(out, '}');
    }
    buf_add_str(out, STR("]}"));
}

// What each field of the rule is in the event; null where it has none.
static void json_values(const struct record *r, struct buf *out)
{
    bool any = false;
    buf_add_str(out, STR(",\"values\":{"));
    for (size_t i = 0; i < rule_set_fields(r->set); i++) {
        struct str name = rule_set_field(r->set, i);
        struct field_value v = value_of(r, name);
        if (!name.n) // keywords have no field
            continue;
        buf_add_str(out, any ? STR(",") : STR(""));
        any = true;
        json_quoted(name, out);
        buf_add_char(out, ':');
        if (v.type == FIELD_ABSENT) {
            buf_add_str(out, STR("null"));
        } else if (v.type != FIELD_LIST) {
            json_quoted(v.text, out);
        } else {
            for (size_t k = 0; k < v.n; k++) {
                buf_add_char(out, k ? ',' : '[');
                json_quoted(v.list[k], out);
            }
            buf_add_str(out, v.n ? STR("]") : STR("[]"));
        }
    }
    buf_add_char(out, '}');
}

static void answer_json(struct answer *a, const struct record *r, const struct rule_match *matches,
                        size_t n)
{
    buf_add_str(&a->text, STR(",\"event\":"));
    json_print(&r->event->base, &a->text);
    buf_add_str(&a->text, STR(",\"matches\":["));
    for (size_t i = 0; i < n; i++) {
        buf_add_str(&a->text, i ? STR(",") : STR(""));
        json_hits(&matches[i], &a->text);
    }
    buf_add_char(&a->text, ']');
    json_values(r, &a->text);
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
        if (!name.n)
            continue;
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

static void answer_text(struct answer *a, const struct record *r, const struct rule_match *matches,
                        size_t n)
{
    buf_add_char(&a->text, '\n');
    draw_event(a->term, r->event, r->event->time, &a->text);
    for (size_t i = 0; i < n; i++)
        print_hits(a->term, &matches[i], &a->text);
    if (n == 0)
        print_values(a->term, r, &a->text);
}

// 0, CLI_NO when nothing matches, or negative errno.
static int hold_against(struct rule_set *set, const Tiercel__Event *event, struct answer *a,
                        struct error *e)
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
    if (r == 0)
        (a->json ? answer_json : answer_text)(a, &record, matches, n);
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

static int against_journal(const struct args *args, struct rule_set *set, struct answer *a,
                           struct error *e)
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
        r = hold_against(set, d ? d->events[d->n_events - 1] : event, a, e);
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
    struct answer a = {.term = &cli->out, .json = args_has(args, "json")};
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
    for (size_t i = 0; i < rule_set_count(set); i++) {
        if (a.json)
            buf_add_str(&a.text, i ? STR(",") : STR("{\"rules\":["));
        if (a.json)
            json_about(rule_set_get(set, i), &a.text);
        else
            print_about(&cli->out, rule_set_get(set, i), &a.text);
    }
    if (a.json)
        buf_add_char(&a.text, ']');
    if (args_has(args, "event") || args_has(args, "detection"))
        r = against_journal(args, set, &a, &e);
    if (a.json)
        buf_add_str(&a.text, STR("}\n"));
    if (r >= 0 || !a.json)
        term_write(&cli->out, &a.text);
    buf_done(&a.text);
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
