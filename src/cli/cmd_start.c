// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "cli/status.h"

#include <unistd.h>

static const struct option options[] = {OPTION_JSON, {0}};

static int run(struct cli *cli, const struct args *args)
{
    static const char *const units[] = {"/etc/systemd/system/tierceld.service",
                                        "/lib/systemd/system/tierceld.service",
                                        "/usr/local/lib/systemd/system/tierceld.service"};
    struct control_request request = {.version = CONTROL_VERSION, .verb = CONTROL_STATUS};
    _cleanup_free_ struct control_reply *reply = NULL;
    struct error e = {0};
    bool json = args_has(args, "json");
    if (status_ask(&request, &reply, &e) == 0) {
        fputs(json ? "{\"running\":true}\n" : "The agent runs already: `tiercel status`.\n",
              cli->out.file);
        return CLI_OK;
    }
    bool unit = false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        unit = unit || access(units[i], F_OK) == 0;
    if (json) {
        fprintf(cli->out.file, "{\"running\":false,\"service_installed\":%s}\n",
                unit ? "true" : "false");
        return CLI_NO_AGENT;
    }
    if (unit)
        fputs("Start the service:     systemctl start tierceld\n"
              "and at every boot:     systemctl enable --now tierceld\n",
              cli->out.file);
    else
        fputs("No service is installed on this machine.\n", cli->out.file);
    fputs("In the foreground:     tiercel run      (in the source tree: make run)\n",
          cli->out.file);
    return CLI_NO_AGENT;
}

const struct command cmd_start = {
    .name = "start",
    .group = "run",
    .summary = "Say how the agent is started on this machine",
    .description =
        "Starts nothing itself: a service belongs to systemd, and the foreground is `tiercel run`.",
    .options = options,
    .run = run,
};
