// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "cli/status.h"

#include <errno.h>

static const struct option options[] = {OPTION_JSON, {0}};

static int run(struct cli *cli, const struct args *args)
{
    bool on = !strcmp(args->words[0], "on");
    struct error e = {0};
    if (!on && strcmp(args->words[0], "off") != 0) {
        error_set(&e, -EINVAL, "'%s' is neither on nor off", args->words[0]);
        error_way_out(&e, "tiercel prevent on, or tiercel prevent off");
        return cli_fail(cli, &e);
    }
    struct control_request request = {.version = CONTROL_VERSION,
                                      .verb = CONTROL_SET_MODE,
                                      .mode = on ? CONTROL_PREVENT : CONTROL_DETECT};
    _cleanup_free_ struct control_reply *reply = NULL;
    if (status_ask(&request, &reply, &e) < 0)
        return cli_fail(cli, &e);
    if (args_has(args, "json"))
        fprintf(cli->out.file, "{\"wanted\":\"%s\"}\n", on ? "prevent" : "detect");
    else if (on)
        fputs("Prevention is on: what a rule forbids is refused before its first instruction.\n"
              "`tiercel status` shows when the gate is armed.\n",
              cli->out.file);
    else
        fputs("Prevention is off: rules still match and are shown, nothing is stopped.\n",
              cli->out.file);
    return CLI_OK;
}

const struct command cmd_prevent = {
    .name = "prevent",
    .group = "decide",
    .arguments = "on|off",
    .summary = "Switch this host between stopping intrusions and only showing them",
    .description = "Holds over restarts, unless the agent is started with --mode. A rule that says "
                   "detect never "
                   "stops anything.",
    .options = options,
    .words = "on off",
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
