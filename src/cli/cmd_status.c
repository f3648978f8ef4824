// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "cli/status.h"

#include <time.h>

static const struct option options[] = {OPTION_JSON, {0}};

static int run(struct cli *cli, const struct args *args)
{
    struct control_request request = {.version = CONTROL_VERSION, .verb = CONTROL_STATUS};
    _cleanup_free_ struct control_reply *reply = NULL;
    _cleanup_buf_ struct buf b = {0};
    struct error e = {0};
    bool json = args_has(args, "json");
    int r = status_ask(&request, &reply, &e);
    if (r < 0) {
        if (json)
            fputs("{\"running\":false}\n", cli->out.file);
        return cli_fail(cli, &e);
    }
    if (json) {
        status_json(&reply->status, &b);
        buf_add_char(&b, '\n');
    } else {
        status_print_summary(&cli->out, &reply->status, (uint64_t)time(NULL) * 1000000000u, &b);
    }
    term_write(&cli->out, &b);
    return CLI_OK;
}

const struct command cmd_status = {
    .name = "status",
    .group = "look",
    .summary = "What is protected now, and what was seen",
    .description = "Asks the running agent; exit code 3 when none runs.",
    .options = options,
    .run = run,
};
