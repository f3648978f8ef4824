// SPDX-License-Identifier: Apache-2.0
#include "cli/rules.h"
#include "cli/table.h"
#include "event/field.h"
#include "event/json.h"

static const struct option options[] = {OPTION_JSON, {0}};

static void print_json(const struct field *f, struct buf *out)
{
    const char *sigma = field_sigma_name(f), *ocsf = field_ocsf(f);
    buf_add_str(out, STR("{\"path\":"));
    json_quoted(str_from(field_path(f)), out);
    if (sigma) {
        buf_add_str(out, STR(",\"sigma\":"));
        json_quoted(str_from(sigma), out);
    }
    if (ocsf) {
        buf_add_str(out, STR(",\"ocsf\":"));
        json_quoted(str_from(ocsf), out);
    }
    buf_add_str(out, STR("}\n"));
}

static int run(struct cli *cli, const struct args *args)
{
    static const struct column columns[] = {
        {"in a rule", 0, false}, {"in the schema", 0, false}, {"in OCSF", 0, false}};
    _cleanup_table_ struct table table;
    _cleanup_buf_ struct buf b = {0};
    table_init(&table, columns, 3);
    for (const struct field *f = NULL; (f = field_next(f));) {
        if (args_has(args, "json")) {
            print_json(f, &b);
            continue;
        }
        table_add(&table, STYLE_BOLD, str_from(field_sigma_name(f)));
        table_add(&table, STYLE_PLAIN, str_from(field_path(f)));
        table_add(&table, STYLE_DIM, str_from(field_ocsf(f)));
    }
    if (!args_has(args, "json"))
        table_print(&table, &cli->out, 0, &b);
    term_write(&cli->out, &b);
    return CLI_OK;
}

const struct command rules_fields = {
    .name = "fields",
    .summary = "Fields that a rule, and --field, may ask for",
    .options = options,
    .run = run,
};
