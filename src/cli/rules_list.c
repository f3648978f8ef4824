// SPDX-License-Identifier: Apache-2.0
#include "cli/draw.h"
#include "cli/place.h"
#include "cli/rulefiles.h"
#include "cli/rules.h"
#include "cli/table.h"
#include "event/json.h"

#include <errno.h>

static const struct option options[] = {OPTION_JSON, {0}};

static void add_text(const char *name, struct str value, bool first, struct buf *out)
{
    buf_addf(out, "%s\"%s\":", first ? "{" : ",", name);
    json_quoted(value, out);
}

static void print_json(const struct rule *rule, struct buf *out)
{
    add_text("id", rule->id, true, out);
    add_text("title", rule->title, false, out);
    add_text("level", rule->level_name, false, out);
    add_text("action", rule->action == RULE_PREVENT ? STR("prevent") : STR("detect"), false, out);
    add_text("category", rule->category, false, out);
    add_text("file", rule->file, false, out);
    buf_add_str(out, STR(",\"tags\":["));
    for (size_t i = 0; i < rule->n_tags; i++) {
        if (i)
            buf_add_char(out, ',');
        json_quoted(rule->tags[i], out);
    }
    buf_add_str(out, STR("]}\n"));
}

static void add_row(struct table *table, const struct rule *rule)
{
    char level[16];
    snprintf(level, sizeof level, STR_FMT, STR_ARG(rule->level_name));
    table_add(table, level_style(level), rule->level_name);
    if (rule->action == RULE_PREVENT)
        table_addf(table, STYLE_GREEN, "prevent%s", rule->kill_lineage ? " (lineage)" : "");
    else
        table_addf(table, STYLE_DIM, "detect");
    table_add(table, STYLE_DIM, rule->correlation ? STR("correlation") : rule->category);
    table_add(table, STYLE_PLAIN, rule->title);
}

static void print_set(struct cli *cli, const struct rule_set *set, bool json)
{
    static const struct column columns[] = {
        {"level", 0, false}, {"action", 0, false}, {"looks at", 20, false}, {"rule", 0, false}};
    _cleanup_table_ struct table table;
    _cleanup_buf_ struct buf b = {0};
    size_t prevent = 0;
    table_init(&table, columns, 4);
    for (size_t i = 0; i < rule_set_count(set); i++) {
        const struct rule *rule = rule_set_get(set, i);
        prevent += rule->action == RULE_PREVENT;
        if (json)
            print_json(rule, &b);
        else
            add_row(&table, rule);
    }
    if (!json) {
        table_print(&table, &cli->out, 0, &b);
        buf_addf(&b, "\n%zu rules, %zu of them prevent\n", rule_set_count(set), prevent);
    }
    term_write(&cli->out, &b);
}

static int run(struct cli *cli, const struct args *args)
{
    _cleanup_rulefiles_ struct rulefiles files = {0};
    struct rule_options set_options = rulefiles_options();
    struct rule_set *set = NULL;
    struct error e = {0};
    char folder[512];
    bool refused = false;
    if (args->n_words)
        snprintf(folder, sizeof folder, "%s", args->words[0]);
    else if (place_rules(folder, sizeof folder, &e) < 0)
        return cli_fail(cli, &e);
    if (rulefiles_collect(folder, &files, &e) < 0)
        return cli_fail(cli, &e);
    if (rule_set_new(&set_options, &set) < 0) {
        error_set(&e, -ENOMEM, "out of memory");
        return cli_fail(cli, &e);
    }
    for (size_t i = 0; i < files.n; i++)
        if (rulefile_add(set, files.paths[i], &e) < 0) {
            cli_error(cli, &e);
            refused = true;
        }
    print_set(cli, set, args_has(args, "json"));
    rule_set_free(set);
    return refused ? CLI_NO : CLI_OK;
}

const struct command rules_list = {
    .name = "list",
    .arguments = "[DIR]",
    .summary = "Rules in use: level, action, what they look at",
    .options = options,
    .words = "<folder>",
    .max_args = 1,
    .run = run,
};
