// SPDX-License-Identifier: Apache-2.0
#include "cli/help.h"

#include <errno.h>

static const struct option options[] = {
    {"markdown", 0, OPTION_FLAG, NULL, "the whole reference as Markdown (doc/cli.md)", NULL, false},
    {"man", 0, OPTION_FLAG, NULL, "the whole reference as a manual page", NULL, false},
    {0},
};

static void print_exit_codes(const struct term *t)
{
    _cleanup_buf_ struct buf b = {0};
    help_exit_codes(&b);
    term_write(t, &b);
}

static int no_such(struct cli *cli, const char *name, const char *nearest)
{
    struct error e;
    error_set(&e, -EINVAL, "there is no command '%s'", name);
    if (nearest)
        error_way_out(&e, "did you mean 'tiercel help %s'?", nearest);
    else
        error_way_out(&e, "'tiercel help' lists them");
    cli_error(cli, &e);
    return CLI_USAGE;
}

static int run(struct cli *cli, const struct args *args)
{
    _cleanup_buf_ struct buf b = {0};
    if (args_has(args, "markdown") || args_has(args, "man")) {
        if (args_has(args, "man"))
            help_man(&b);
        else
            help_markdown(&b);
        term_write(&cli->out, &b);
        return CLI_OK;
    }
    if (args->n_words == 0) {
        help_overview(&cli->out);
        return CLI_OK;
    }
    if (!strcmp(args->words[0], "exit")) {
        print_exit_codes(&cli->out);
        return CLI_OK;
    }
    const struct command *c = command_find(cli_commands, args->words[0]), *parent = NULL;
    if (!c)
        return no_such(cli, args->words[0], command_nearest(cli_commands, args->words[0]));
    if (args->n_words == 2) {
        parent = c;
        c = parent->subcommands ? command_find(parent->subcommands, args->words[1]) : NULL;
        if (!c)
            return no_such(cli, args->words[1], NULL);
    }
    help_command(&cli->out, parent, c);
    return CLI_OK;
}

const struct command cmd_help = {
    .name = "help",
    .group = "other",
    .arguments = "[COMMAND [SUBCOMMAND]]",
    .summary = "What the commands are and how each is used",
    .description =
        "`tiercel help exit` lists the exit codes, which are the same for every command.",
    .options = options,
    .max_args = 2,
    .run = run,
};
