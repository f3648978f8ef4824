// SPDX-License-Identifier: Apache-2.0
#include "cli/found.h"
#include "cli/respond.h"
#include "cli/response_order.h"

#include <errno.h>

#define HOUR_NS ((uint64_t)3600 * 1000000000)

static const struct option kill_options[] = {OPTION_DRY_RUN, OPTION_JSON, OPTION_JOURNAL, {0}};
static const struct option contain_options[] = {
    {"for", 0, OPTION_DURATION, "TIME", "how long (1h)", NULL, false},
    OPTION_DRY_RUN,
    OPTION_JSON,
    OPTION_JOURNAL,
    {0},
};
static const struct option host_options[] = {
    {"allow", 'a', OPTION_TEXT, "ADDRESS", "address or prefix that still passes", NULL, true},
    {"for", 0, OPTION_DURATION, "TIME", "how long (1h)", NULL, false},
    {"force", 0, OPTION_FLAG, NULL, "even if no address is allowed: nobody can reach it then", NULL,
     false},
    OPTION_DRY_RUN,
    OPTION_JSON,
    {0},
};
static const struct option quarantine_options[] = {
    {"for", 0, OPTION_DURATION, "TIME", "put it back after this time (never)", NULL, false},
    OPTION_DRY_RUN,
    OPTION_JSON,
    {0},
};
static const struct option list_options[] = {
    {"all", 0, OPTION_FLAG, NULL, "also those that are over", NULL, false},
    {"state", 0, OPTION_FOLDER, "DIR", "the agent's state folder (" RESPOND_STATE_FOLDER ")", NULL,
     false},
    OPTION_JSON,
    {0},
};

// `plain`: a bare number is a process, else a detection.
static int whom(const struct args *args, bool plain, struct response_order *order, struct error *e)
{
    const char *text = args->words[0];
    bool detection = text[0] == '#' || (!plain && strncmp(text, "pid:", 4) != 0);
    return detection ? response_parse_detection(text, args_text(args, "journal", JOURNAL_FOLDER),
                                                order, e)
                     : response_parse_pid(text, order, e);
}

static int send_to(struct cli *cli, const struct args *args, uint32_t action, bool plain,
                   uint64_t lasts)
{
    struct response_order order = {.action = action, .lasts_ns = lasts};
    struct error e = {0};
    int r = whom(args, plain, &order, &e);
    if (r == -ESRCH) {
        cli_error(cli, &e);
        return CLI_NO;
    }
    return r < 0 ? cli_fail(cli, &e) : respond_send(cli, args, &order);
}

static int run_kill(struct cli *cli, const struct args *args)
{
    return send_to(cli, args, RESPONSE_KILL, true, 0);
}

static int run_kill_lineage(struct cli *cli, const struct args *args)
{
    return send_to(cli, args, RESPONSE_KILL_LINEAGE, false, 0);
}

static int run_contain_lineage(struct cli *cli, const struct args *args)
{
    return send_to(cli, args, RESPONSE_CONTAIN_LINEAGE, false, args_duration(args, "for", HOUR_NS));
}

static int run_contain_host(struct cli *cli, const struct args *args)
{
    struct response_order order = {.action = RESPONSE_CONTAIN_HOST,
                                   .lasts_ns = args_duration(args, "for", HOUR_NS),
                                   .flags = args_has(args, "force") ? RESPONSE_FORCE : 0};
    struct error e = {0};
    const char *text;
    size_t position = 0;
    while ((text = args_each(args, "allow", &position))) {
        if (order.n_addresses == RESPONSE_ADDRESSES) {
            error_set(&e, -EINVAL, "more than %d addresses to allow", RESPONSE_ADDRESSES);
            error_way_out(&e, "give a prefix like 192.0.2.0/24");
            return cli_fail(cli, &e);
        }
        if (response_parse_address(text, &order.addresses[order.n_addresses++], &e) < 0)
            return cli_fail(cli, &e);
    }
    return respond_send(cli, args, &order);
}

static int run_quarantine(struct cli *cli, const struct args *args)
{
    struct response_order order = {.action = RESPONSE_QUARANTINE,
                                   .lasts_ns = args_duration(args, "for", 0)};
    struct error e = {0};
    if (response_parse_file(args->words[0], order.text, &e) < 0)
        return cli_fail(cli, &e);
    return respond_send(cli, args, &order);
}

static int run_list(struct cli *cli, const struct args *args)
{
    struct store store = {.fd = -1, .folder = -1};
    struct error e = {0};
    _cleanup_buf_ struct buf b = {0};
    int r = store_read(args_text(args, "state", RESPOND_STATE_FOLDER), &store, &e);
    if (r < 0 && r != -ENOENT)
        return cli_fail(cli, &e);
    size_t n = 0;
    for (size_t i = 0; i < store.n; i++)
        if (args_has(args, "all") || store_active(&store.list[i]))
            store.list[n++] = store.list[i];
    for (size_t i = 0; i < n && args_has(args, "json"); i++)
        respond_json(&store.list[i], &b);
    if (!args_has(args, "json") && n)
        respond_print(&cli->out, store.list, n, 0, &b);
    else if (!args_has(args, "json"))
        buf_addf(&b, "No response is in force%s.\n",
                 store.n ? "; `tiercel respond list --all` shows what was" : "");
    if (store.damaged)
        fprintf(cli->err.file, "%llu records are damaged and not shown\n",
                (unsigned long long)store.damaged);
    term_write(&cli->out, &b);
    store_done(&store);
    return CLI_OK;
}

static const struct command respond_kill_command = {
    .name = "kill",
    .arguments = "PID|#DETECTION",
    .summary = "End one process",
    .description = "By a handle of the kernel after its start time was compared, so never another "
                   "process that got its number. Process 1, the kernel's and the agent's own "
                   "processes, and the one that lets people in (sshd) are refused.",
    .examples = "tiercel respond kill 4711\ntiercel respond kill '#16391'   # who acted in it",
    .options = kill_options,
    .min_args = 1,
    .max_args = 1,
    .run = run_kill,
};
static const struct command respond_kill_lineage_command = {
    .name = "kill-lineage",
    .arguments = "DETECTION|pid:PID",
    .summary = "End all processes of a lineage, never the service itself",
    .description = "Repeated until none is left of those that were started meanwhile.",
    .examples = "tiercel respond kill-lineage 16391\ntiercel respond kill-lineage pid:4711",
    .options = kill_options,
    .min_args = 1,
    .max_args = 1,
    .run = run_kill_lineage,
};
static const struct command respond_contain_lineage_command = {
    .name = "contain-lineage",
    .arguments = "DETECTION|pid:PID",
    .summary = "Cut a lineage off the network and let it start no program",
    .description =
        "It goes on running, for you to look at. Only the addresses of `contain_allow` in the "
        "configuration pass; loopback does not. What is connected already is cut where LSM "
        "programs "
        "work (`tiercel doctor`), else it stays. Program starts are refused in prevent mode; "
        "otherwise they are killed at once.",
    .examples = "tiercel respond contain-lineage 16391 --for 4h",
    .options = contain_options,
    .min_args = 1,
    .max_args = 1,
    .run = run_contain_lineage,
};
static const struct command respond_contain_host_command = {
    .name = "contain-host",
    .summary = "Cut this host off the network, but for named addresses",
    .description =
        "Loopback, the addresses of --allow and those of `contain_allow` in the configuration "
        "pass; "
        "also IPv6 neighbour discovery and the address lease. Everything else of IP is dropped "
        "both "
        "ways, connected or not. The programs stay in the kernel when the agent dies, and let "
        "everything pass by themselves when the time is over. Name the address that you come from: "
        "without any allowed address --force is needed.",
    .examples = "tiercel respond contain-host --allow 192.0.2.10 --for 2h\n"
                "tiercel respond contain-host --allow 192.0.2.10 --dry-run",
    .options = host_options,
    .run = run_contain_host,
};
static const struct command respond_quarantine_command = {
    .name = "quarantine",
    .arguments = "FILE",
    .summary = "Seal a file away, so that nothing runs or reads it",
    .description =
        "It is encrypted into the agent's state folder, read back, and only then removed. "
        "`tiercel undo` puts it back as it was. Programs that run it go on: kill them too. Files "
        "that the host needs to start or to be reached are refused.",
    .examples = "tiercel respond quarantine /var/www/html/x.php",
    .options = quarantine_options,
    .words = "<file>",
    .min_args = 1,
    .max_args = 1,
    .run = run_quarantine,
};
static const struct command respond_list_command = {
    .name = "list",
    .summary = "Responses that are in force",
    .options = list_options,
    .run = run_list,
};

static const struct command *const subcommands[] = {
    &respond_kill_command,
    &respond_kill_lineage_command,
    &respond_contain_lineage_command,
    &respond_contain_host_command,
    &respond_quarantine_command,
    &respond_block,
    &respond_list_command,
    NULL,
};

const struct command cmd_respond = {
    .name = "respond",
    .group = "decide",
    .summary = "Kill, contain, quarantine, block; every response has its undo and its end",
    .description =
        "Each is written to a journal on disk before it is done, so that a crash leaves none half "
        "done; each is an event (`tiercel events --kind response`). --dry-run checks and does "
        "nothing. What would cut the host off from those who mend it is refused.",
    .subcommands = subcommands,
};
