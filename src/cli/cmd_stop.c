// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "cli/status.h"

#include <errno.h>
#include <time.h>

#define STOP_WAIT_MS 15000
#define STEP_MS 100

static const struct option options[] = {OPTION_JSON, {0}};

static int run(struct cli *cli, const struct args *args)
{
    struct control_request request = {.version = CONTROL_VERSION, .verb = CONTROL_STOP};
    struct error e = {0};
    struct control_reply *reply = NULL;
    if (status_ask(&request, &reply, &e) < 0)
        return cli_fail(cli, &e);
    free(reply);
    request.verb = CONTROL_STATUS;
    for (unsigned waited = 0; waited < STOP_WAIT_MS; waited += STEP_MS) {
        nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000}, NULL);
        int r = status_ask(&request, &reply, &e);
        if (r == -ECONNREFUSED) {
            fputs(args_has(args, "json")
                      ? "{\"stopped\":true}\n"
                      : "The agent has stopped; nothing on this machine is watched now.\n",
                  cli->out.file);
            return CLI_OK;
        }
        if (r == 0)
            free(reply);
    }
    error_set(&e, -ETIMEDOUT, "the agent was told to stop and still answers after %d s",
              STOP_WAIT_MS / 1000);
    error_way_out(&e, "look at its log (journalctl -u tierceld); SIGKILL to tierceld ends it, its "
                      "guardian frees what waits");
    return cli_fail(cli, &e);
}

const struct command cmd_stop = {
    .name = "stop",
    .group = "run",
    .summary = "Stop the running agent, and wait until it is gone",
    .description = "For an agent that runs as a service `systemctl stop tierceld` is the same and "
                   "keeps systemd informed.",
    .options = options,
    .run = run,
};
