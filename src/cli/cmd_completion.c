// SPDX-License-Identifier: Apache-2.0
#include "cli/help.h"

#include <errno.h>

static int run(struct cli *cli, const struct args *args)
{
    if (strcmp(args->words[0], "bash") != 0) {
        struct error e;
        error_set(&e, -EINVAL, "no completion for '%s'", args->words[0]);
        error_way_out(&e, "bash is what there is: source <(tiercel completion bash)");
        cli_error(cli, &e);
        return CLI_USAGE;
    }
    _cleanup_buf_ struct buf b = {0};
    help_bash_completion(&b);
    term_write(&cli->out, &b);
    return CLI_OK;
}

const struct command cmd_completion = {
    .name = "completion",
    .group = "other",
    .arguments = "bash",
    .summary = "Print the completion script of a shell",
    .examples = "source <(tiercel completion bash)   # in ~/.bashrc",
    .words = "bash",
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
