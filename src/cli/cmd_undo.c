// SPDX-License-Identifier: Apache-2.0
#include "cli/found.h"
#include "cli/respond.h"

static const struct option options[] = {OPTION_DRY_RUN, OPTION_JSON, {0}};

static int run(struct cli *cli, const struct args *args)
{
    struct error e = {0};
    uint64_t id;
    if (found_parse_id(args->words[0], &id, &e) < 0)
        return cli_fail(cli, &e);
    return respond_undo(cli, args, id);
}

const struct command cmd_undo = {
    .name = "undo",
    .group = "decide",
    .arguments = "RESPONSE",
    .summary = "Take a response back: release, unblock, put a file where it was",
    .description =
        "The number is what `tiercel respond` said, and what `tiercel respond list` shows. A file "
        "comes back with the bytes, owner, mode, times and attributes that it had, and never over "
        "another file. A kill cannot be undone.",
    .examples = "tiercel undo 12\ntiercel undo 12 --dry-run   # whether it can be",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
