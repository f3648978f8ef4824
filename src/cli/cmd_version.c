// SPDX-License-Identifier: Apache-2.0
#include "cli/command.h"

static const struct option options[] = {OPTION_JSON, {0}};

static int run(struct cli *cli, const struct args *args)
{
    if (args_has(args, "json"))
        fprintf(cli->out.file, "{\"version\":\"%s\"}\n", TIERCEL_VERSION);
    else
        fprintf(cli->out.file, "tiercel %s\n", TIERCEL_VERSION);
    return CLI_OK;
}

const struct command cmd_version = {
    .name = "version",
    .group = "other",
    .summary = "Print the version",
    .options = options,
    .run = run,
};
