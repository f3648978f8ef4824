// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "cli/command.h"
#include "cli/enrol.h"
#include "event/json.h"

#include <errno.h>
#include <string.h>

#define STATE_FOLDER "/var/lib/tiercel"

static const struct option options[] = {
    {"hub", 0, OPTION_TEXT, "URL", "the hub's listener for people, https://HOST:PORT", NULL, false},
    {"key", 0, OPTION_TEXT, "KEY", "one-time key of the client; - reads it from standard input",
     NULL, false},
    {"authority", 0, OPTION_FILE, "FILE", "certificate that the hub's must be signed by (PEM)",
     NULL, false},
    {"fingerprint", 0, OPTION_TEXT, "SHA256", "the same, by its fingerprint", NULL, false},
    {"proxy", 0, OPTION_TEXT, "URL", "HTTP proxy on the way, now and later", NULL, false},
    {"state", 0, OPTION_FOLDER, "DIR", "state folder of the agent (" STATE_FOLDER ")", NULL, false},
    {"remove", 0, OPTION_FLAG, NULL, "forget the hub: nothing is sent any more", NULL, false},
    OPTION_JSON,
    {0}};

static int wrong(struct cli *cli, const char *what)
{
    struct error e = {0};
    error_set(&e, -EINVAL, "%s", what);
    error_way_out(&e, "tiercel enrol --hub https://HOST:PORT --key KEY --fingerprint SHA256");
    cli_error(cli, &e);
    return CLI_USAGE;
}

static int forget(struct cli *cli, const struct args *args)
{
    struct error e = {0};
    if (enrol_remove(args_text(args, "state", STATE_FOLDER), &e) < 0)
        return cli_fail(cli, &e);
    fputs(args_has(args, "json") ? "{\"enrolled\":false}\n"
                                 : "This host reports to no hub any more. What the hub has of it "
                                   "stays there.\n",
          cli->out.file);
    return CLI_OK;
}

static void print(struct cli *cli, const struct enrolled *done, bool json)
{
    _cleanup_buf_ struct buf b = {0};
    if (json) {
        buf_add_str(&b, STR("{\"enrolled\":true,\"client\":"));
        json_quoted(str_from(done->client), &b);
        buf_add_str(&b, STR(",\"hub\":"));
        json_quoted(str_from(done->url), &b);
        buf_add_str(&b, STR("}\n"));
    } else {
        buf_add_str(&b, STR("Enrolled for client "));
        text_escape(str_from(done->client), &b);
        buf_add_str(&b, STR(". A running agent reports to "));
        text_escape(str_from(done->url), &b);
        buf_add_str(&b, STR(" within seconds: `tiercel status`.\n"));
    }
    term_write(&cli->out, &b);
}

// A key on a command line can be seen by everybody on this machine.
static int read_key(char ret[256])
{
    if (!fgets(ret, 256, stdin))
        return -EINVAL;
    ret[strcspn(ret, "\r\n")] = 0;
    return ret[0] ? 0 : -EINVAL;
}

static int run(struct cli *cli, const struct args *args)
{
    struct error e = {0};
    struct enrolled done;
    char key[256];
    struct enrol order = {
        .hub = args_text(args, "hub", NULL),
        .key = args_text(args, "key", NULL),
        .authority = args_text(args, "authority", NULL),
        .fingerprint = args_text(args, "fingerprint", NULL),
        .proxy = args_text(args, "proxy", NULL),
        .state = args_text(args, "state", STATE_FOLDER),
    };
    if (args_has(args, "remove"))
        return order.hub || order.key ? wrong(cli, "--remove goes without --hub and --key")
                                      : forget(cli, args);
    if (!order.hub || !order.key)
        return wrong(cli, "--hub and --key are needed");
    if (order.authority && order.fingerprint)
        return wrong(cli, "--authority or --fingerprint, not both");
    if (strcmp(order.key, "-") == 0) {
        if (read_key(key) < 0)
            return wrong(cli, "there is no key on standard input");
        order.key = key;
    }
    if (enrol(&order, &done, &e) < 0)
        return cli_fail(cli, &e);
    print(cli, &done, args_has(args, "json"));
    return CLI_OK;
}

const struct command cmd_enrol = {
    .name = "enrol",
    .group = "run",
    .summary = "Let this host report to a hub",
    .description =
        "Makes a key on this host, asks the hub for a certificate with a one-time key, and keeps "
        "both in the agent's state folder, readable for root only. A running agent begins to send "
        "its journal at once, the oldest first. Without --authority and --fingerprint the hub's "
        "certificate must be good for this system.",
    .examples =
        "tiercel enrol --hub https://hub.example:8443 --key - --fingerprint 4f1c...   # asks "
        "for the key\n"
        "tiercel enrol --remove   # forget the hub",
    .options = options,
    .run = run,
};
