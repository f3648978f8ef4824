// SPDX-License-Identifier: Apache-2.0
#include "cli/place.h"
#include "cli/rulefiles.h"
#include "cli/rules.h"
#include "cli/source.h"
#include "cli/table.h"
#include "event/json.h"

#include <errno.h>
#include <stdlib.h>

static const struct option options[] = {
    {"quiet", 'q', OPTION_FLAG, NULL, "only errors and the counts", NULL, false},
    OPTION_JSON,
    {0},
};

#define SOURCES_MAX 64

struct missing { // a log source that nothing here collects, and how many rules ask for it
    char name[64];
    size_t n;
};

struct check {
    struct cli *cli;
    bool json, quiet;
    struct rule_set *set;
    struct table table;
    struct buf out;
    size_t files, rules, fire, elsewhere, errors;
    struct missing missing[SOURCES_MAX];
    size_t n_missing;
};

// "webserver", "linux/auditd", "windows/process_creation": what a rule looks at, as its logsource says.
static void source_name(const struct rule *rule, char *ret, size_t size)
{
    bool foreign = rule->product.n && !str_eq(rule->product, STR("linux"));
    struct str what = rule->service.n ? rule->service : rule->category;
    if (what.n == 0) // "product: linux" alone means any of its log files
        snprintf(ret, size, "log files of " STR_FMT, STR_ARG(rule->product));
    else
        snprintf(ret, size, STR_FMT "%s" STR_FMT, STR_ARG(foreign ? rule->product : STR_NONE),
                 foreign ? "/" : "", STR_ARG(what));
}

static void count_missing(struct check *c, const char *name)
{
    for (size_t i = 0; i < c->n_missing; i++)
        if (!strcmp(c->missing[i].name, name)) {
            c->missing[i].n++;
            return;
        }
    if (c->n_missing == SOURCES_MAX) {
        c->missing[SOURCES_MAX - 1].n++;
        snprintf(c->missing[SOURCES_MAX - 1].name, sizeof c->missing[0].name, "others");
        return;
    }
    snprintf(c->missing[c->n_missing].name, sizeof c->missing[0].name, "%s", name);
    c->missing[c->n_missing++].n = 1;
}

static void json_rule(struct check *c, const struct rule *rule, const char *file, bool fires,
                      const char *name)
{
    buf_add_str(&c->out, STR("{\"file\":"));
    json_quoted(str_from(file), &c->out);
    buf_add_str(&c->out, STR(",\"id\":"));
    json_quoted(rule->id, &c->out);
    buf_add_str(&c->out, STR(",\"title\":"));
    json_quoted(rule->title, &c->out);
    buf_addf(&c->out, ",\"state\":\"%s\",\"source\":", fires ? "fires" : "not_collected");
    json_quoted(str_from(name), &c->out);
    buf_add_str(&c->out, STR("}\n"));
}

static void take_rule(struct check *c, const struct rule *rule, const char *file)
{
    char name[64];
    const struct source *source = source_of(rule->product, rule->category, rule->service);
    bool fires = rule->correlation || source->state == SOURCE_COLLECTED;
    source_name(rule, name, sizeof name);
    if (rule->correlation)
        snprintf(name, sizeof name, "correlation");
    c->rules++;
    c->fire += fires;
    c->elsewhere += !fires;
    if (!fires)
        count_missing(c, name);
    if (c->json) {
        json_rule(c, rule, file, fires, name);
    } else if (!c->quiet) {
        table_addf(&c->table, fires ? STYLE_GREEN : STYLE_YELLOW, "%s",
                   fires ? "can fire" : "not collected");
        table_add(&c->table, STYLE_DIM, str_from(name));
        table_add(&c->table, STYLE_PLAIN, rule->title);
    }
}

static void take_error(struct check *c, const struct error *e)
{
    c->errors++;
    if (!c->json) {
        table_addf(&c->table, STYLE_RED, "ERROR");
        table_addf(&c->table, STYLE_PLAIN, "%s", "");
        if (e->line)
            table_addf(&c->table, STYLE_RED, "%s:%u:%u: %s%s%s", e->file, e->line, e->column,
                       e->what, e->way_out[0] ? "; " : "", e->way_out);
        else
            table_addf(&c->table, STYLE_RED, "%s: %s%s%s", e->file, e->what,
                       e->way_out[0] ? "; " : "", e->way_out);
        return;
    }
    buf_add_str(&c->out, STR("{\"file\":"));
    json_quoted(str_from(e->file), &c->out);
    buf_addf(&c->out, ",\"state\":\"error\",\"line\":%u,\"column\":%u,\"what\":", e->line,
             e->column);
    json_quoted(str_from(e->what), &c->out);
    buf_add_str(&c->out, STR(",\"way_out\":"));
    json_quoted(str_from(e->way_out), &c->out);
    buf_add_str(&c->out, STR("}\n"));
}

static void check_file(struct check *c, const char *path)
{
    struct error e = {0};
    size_t before = rule_set_count(c->set);
    c->files++;
    if (rulefile_add(c->set, path, &e) < 0) {
        take_error(c, &e);
        return;
    }
    size_t after = rule_set_count(c->set);
    if (after == before) { // a file that says nothing must not look like a rule in use
        error_set(&e, -EINVAL, "there is no rule in this file");
        error_place(&e, path, 0, 0);
        take_error(c, &e);
    }
    for (size_t i = before; i < after; i++)
        take_rule(c, rule_set_get(c->set, i), path);
}

static int by_count(const void *a, const void *b)
{
    const struct missing *x = a, *y = b;
    return x->n < y->n ? 1 : x->n > y->n ? -1 : strcmp(x->name, y->name);
}

static void print_summary(struct check *c)
{
    struct buf *b = &c->out;
    if (c->json) {
        buf_addf(b,
                 "{\"summary\":{\"files\":%zu,\"rules\":%zu,\"fires\":%zu,\"not_collected\":%zu,"
                 "\"errors\":%zu}}\n",
                 c->files, c->rules, c->fire, c->elsewhere, c->errors);
        return;
    }
    if (c->table.n_cells)
        table_print(&c->table, &c->cli->out, 0, b);
    buf_addf(b,
             "%s%zu rules in %zu files: %zu can fire here, %zu are supported but their log source "
             "is not collected",
             c->table.n_cells ? "\n" : "", c->rules, c->files, c->fire, c->elsewhere);
    qsort(c->missing, c->n_missing, sizeof c->missing[0], by_count);
    for (size_t i = 0; i < c->n_missing; i++) {
        buf_addf(b, "%s", i ? ", " : " (");
        text_escape(str_from(c->missing[i].name), b);
        buf_addf(b, " %zu", c->missing[i].n);
    }
    buf_addf(b, "%s.\n", c->n_missing ? ")" : "");
    if (c->errors) {
        style_begin(&c->cli->out, STYLE_RED, b);
        buf_addf(b, "%zu files have errors; none of their rules is used.", c->errors);
        style_end(&c->cli->out, STYLE_RED, b);
        buf_add_char(b, '\n');
    }
}

static int check_all(struct check *c, const struct rulefiles *files)
{
    struct error e = {0};
    for (size_t i = 0; i < files->n; i++)
        check_file(c, files->paths[i]);
    // All together, as the agent does: what only the matchers' compiler finds is an error too.
    if (rule_set_compile(c->set, &e) < 0)
        take_error(c, &e);
    print_summary(c);
    term_write(&c->cli->out, &c->out);
    return c->errors || c->files == 0 ? CLI_NO : CLI_OK;
}

static int run(struct cli *cli, const struct args *args)
{
    static const struct column columns[] = {
        {"", 0, false}, {"looks at", 30, false}, {"rule", 0, false}};
    _cleanup_rulefiles_ struct rulefiles files = {0};
    struct rule_options set_options = rulefiles_options();
    struct check c = {.cli = cli, .json = args_has(args, "json"), .quiet = args_has(args, "quiet")};
    struct error e = {0};
    char folder[512];
    const char *word = folder;
    if (args->n_words == 0 && place_rules(folder, sizeof folder, &e) < 0)
        return cli_fail(cli, &e);
    for (size_t i = 0; i < args->n_words || i == 0; i++) {
        if (args->n_words)
            word = args->words[i];
        if (rulefiles_collect(word, &files, &e) < 0)
            return cli_fail(cli, &e);
    }
    if (rule_set_new(&set_options, &c.set) < 0) {
        error_set(&e, -ENOMEM, "out of memory");
        return cli_fail(cli, &e);
    }
    table_init(&c.table, columns, 3);
    int code = check_all(&c, &files);
    if (files.n == 0)
        fprintf(cli->err.file, "tiercel: there is no rule file (*.yml) in %s\n", word);
    table_done(&c.table);
    buf_done(&c.out);
    rule_set_free(c.set);
    return code;
}

const struct command rules_check = {
    .name = "check",
    .arguments = "[PATH...]",
    .summary = "Say of each rule whether it is right and whether it can fire here",
    .description = "PATH is a rule file or a folder; without one, the rules in use. Of each rule: "
                   "it can fire here; or it is "
                   "supported but nothing here collects its log source; or it is wrong, with file, "
                   "line and column. No rule "
                   "is left out. Exit code 1 when any is wrong.",
    .options = options,
    .words = "<file>",
    .max_args = ARGS_MAX,
    .run = run,
};
