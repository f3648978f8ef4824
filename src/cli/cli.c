// SPDX-License-Identifier: Apache-2.0
#include "cli/command.h"
#include "cli/help.h"
#include "cli/nearest.h"

#include <errno.h>

const struct command *command_find(const struct command *const *table, const char *name)
{
    for (; *table; table++)
        if (!strcmp((*table)->name, name))
            return *table;
    return NULL;
}

const char *command_nearest(const struct command *const *table, const char *name)
{
    const char *nearest = NULL;
    unsigned best = UINT32_MAX, distance;
    for (; *table; table++)
        if (nearest_offers(str_from(name), str_from((*table)->name), &distance) &&
            distance < best) {
            best = distance;
            nearest = (*table)->name;
        }
    return nearest;
}

void cli_error(struct cli *cli, const struct error *e)
{
    _cleanup_buf_ struct buf b = {0};
    style_text(&cli->err, STYLE_RED, "tiercel: ", &b);
    if (e->file[0]) {
        text_escape(str_from(e->file), &b);
        if (e->line)
            buf_addf(&b, ":%u", e->line);
        if (e->line && e->column)
            buf_addf(&b, ":%u", e->column);
        buf_add_str(&b, STR(": "));
    }
    text_escape(str_from(e->what), &b);
    buf_add_char(&b, '\n');
    if (e->way_out[0]) {
        buf_add_str(&b, STR("         "));
        text_escape(str_from(e->way_out), &b);
        buf_add_char(&b, '\n');
    }
    fflush(cli->out.file);
    term_write(&cli->err, &b);
}

int cli_fail(struct cli *cli, const struct error *e)
{
    cli_error(cli, e);
    switch (e->code) {
    case -EACCES:
    case -EPERM:
        return CLI_REFUSED;
    case -ECONNREFUSED:
        return CLI_NO_AGENT;
    case -EINVAL:
        return CLI_USAGE;
    default:
        return CLI_FAILED;
    }
}

static int unknown_command(struct cli *cli, const struct command *const *table, const char *parent,
                           const char *name)
{
    struct error e;
    const char *nearest = command_nearest(table, name);
    error_set(&e, -EINVAL, "there is no command '%s%s%s'", parent, *parent ? " " : "", name);
    if (nearest)
        error_way_out(&e, "did you mean 'tiercel %s%s%s'?", parent, *parent ? " " : "", nearest);
    else
        error_way_out(&e, "'tiercel help' lists them");
    cli_error(cli, &e);
    return CLI_USAGE;
}

static int run_command(struct cli *cli, const struct command *parent, const struct command *c,
                       int argc, char *const *argv)
{
    struct args args = {0};
    struct error e = {0};
    if (c->subcommands) {
        if (argc == 0 || !strcmp(argv[0], "--help") || !strcmp(argv[0], "-h")) {
            help_command(&cli->out, NULL, c);
            return argc == 0 ? CLI_USAGE : CLI_OK;
        }
        const struct command *sub = command_find(c->subcommands, argv[0]);
        if (!sub)
            return unknown_command(cli, c->subcommands, c->name, argv[0]);
        return run_command(cli, c, sub, argc - 1, argv + 1);
    }
    if (args_parse(c, argc, argv, &args, &e) < 0) {
        cli_error(cli, &e);
        return CLI_USAGE;
    }
    int code = CLI_OK;
    if (args.help)
        help_command(&cli->out, parent, c);
    else
        code = c->run(cli, &args);
    args_done(&args);
    return code;
}

int cli_main(struct cli *cli, int argc, char *const *argv)
{
    if (argc < 2) {
        help_overview(&cli->out);
        return CLI_USAGE;
    }
    const char *name = argv[1];
    if (!strcmp(name, "--help") || !strcmp(name, "-h"))
        name = "help";
    else if (!strcmp(name, "--version") || !strcmp(name, "-V"))
        name = "version";
    const struct command *c = command_find(cli_commands, name);
    if (!c)
        return unknown_command(cli, cli_commands, "", name);
    return run_command(cli, NULL, c, argc - 2, argv + 2);
}
