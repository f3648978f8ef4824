// SPDX-License-Identifier: Apache-2.0
#include "hub/commands.h"
#include "hub/state.h"
#include <errno.h>
#include <getopt.h>
#include <string.h>

static const struct command {
    const char *name, *second, *arguments, *summary;
    int min_words, max_words;
    int (*run)(const struct hub_options *o, struct error *e);
} commands[] = {
    {"init", NULL, "[--names LIST]",
     "Make the state folder, the authority and the hub's certificate", 0, 0, command_init},
    {"client", "add", "NAME [--sector SECTOR]", "Add a client", 1, 1, command_client_add},
    {"client", "list", "", "List clients", 0, 0, command_client_list},
    {"key", "new", "CLIENT [--uses 1] [--for 24h]", "Make an enrolment key, shown once", 1, 1,
     command_key_new},
    {"host", "list", "[CLIENT]", "List enrolled hosts", 0, 1, command_host_list},
    {"host", "revoke", "CLIENT HOST", "Refuse a host's certificates from now on", 2, 2,
     command_host_revoke},
    {"serve", NULL, "[--agents 127.0.0.1:8443] [--people 127.0.0.1:8444] [--agents-url URL]",
     "Run in the foreground until SIGTERM", 0, 0, command_serve},
    {"status", NULL, "", "What is there, and what was done since the start", 0, 0, command_status},
    {"attempts", NULL, "[CLIENT]", "Detections joined into attempts, with how far each came", 0, 1,
     command_attempts},
    {"campaigns", NULL, "",
     "Attempts of several clients that used the same means (for the hub only)", 0, 0,
     command_campaigns},
    {"attempt", "merge", "CLIENT ID ID --why TEXT", "Two attempts are one: kept with who and why",
     3, 3, command_attempt_merge},
    {"attempt", "split", "CLIENT ID DETECTION... --why TEXT",
     "Take the lineages of detections out of an attempt", 3, 32, command_attempt_split},
    {"attempt", NULL, "CLIENT ID", "One attempt as a story", 2, 2, command_attempt},
    {"order", NULL,
     "CLIENT ACTION [OF-WHAT] --host HOST|--all [--for 24h] [--within 1h] [--dry-run]",
     "Have hosts kill, contain-host, quarantine, block-address ..., or undo N", 2, 3,
     command_order},
    {"orders", NULL, "CLIENT [N]", "Orders and what became of them", 1, 2, command_orders},
    {"output", "add",
     "NAME --kind syslog|cef|ocsf-file|ocsf-http|webhook [--to URL] [--client C] [--level L] "
     "[--ca FILE]",
     "Give detections to another program, from now on", 1, 1, command_output_add},
    {"output", "list", "", "Outputs, what they delivered, what waits and what was dropped", 0, 0,
     command_output_list},
    {"output", "remove", "NAME", "Remove an output and what waits for it", 1, 1,
     command_output_remove},
    {"output", "test", "NAME", "Send a line that says it is a test, and what came of it", 1, 1,
     command_output_test},
    {"metrics", NULL, "", "Counters in Prometheus' text format", 0, 0, command_metrics},
    {"verify", NULL, "CLIENT", "Prove the hash chains of what a client sent", 1, 1, command_verify},
};
#define COMMANDS (sizeof commands / sizeof *commands)

enum {
    STATE = 256,
    SECTOR,
    USES,
    LASTS,
    AGENTS,
    PEOPLE,
    URL,
    NAMES,
    WHY,
    LIMIT,
    HOST,
    WITHIN,
    ALLOW,
    KIND,
    TO,
    CLIENT,
    LEVEL,
    CA,
    ALL,
    DRY_RUN,
    JSON,
    HELP,
    VERSION
};
static const struct option options[] = {
    {"state", required_argument, NULL, STATE},
    {"sector", required_argument, NULL, SECTOR},
    {"uses", required_argument, NULL, USES},
    {"for", required_argument, NULL, LASTS},
    {"agents", required_argument, NULL, AGENTS},
    {"people", required_argument, NULL, PEOPLE},
    {"agents-url", required_argument, NULL, URL},
    {"names", required_argument, NULL, NAMES},
    {"why", required_argument, NULL, WHY},
    {"limit", required_argument, NULL, LIMIT},
    {"host", required_argument, NULL, HOST},
    {"within", required_argument, NULL, WITHIN},
    {"allow", required_argument, NULL, ALLOW},
    {"all", no_argument, NULL, ALL},
    {"dry-run", no_argument, NULL, DRY_RUN},
    {"kind", required_argument, NULL, KIND},
    {"to", required_argument, NULL, TO},
    {"client", required_argument, NULL, CLIENT},
    {"level", required_argument, NULL, LEVEL},
    {"ca", required_argument, NULL, CA},
    {"json", no_argument, NULL, JSON},
    {"help", no_argument, NULL, HELP},
    {"version", no_argument, NULL, VERSION},
    {NULL, 0, NULL, 0},
};

static int help(void)
{
    fputs("Usage: tiercel-hub COMMAND [options]\n"
          "The hub: what the hosts of several clients report, kept and proven.\n\n",
          stdout);
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %s%s%s %s\n      %s\n", commands[i].name, commands[i].second ? " " : "",
               commands[i].second ? commands[i].second : "", commands[i].arguments,
               commands[i].summary);
    printf("\n  --state DIR   default %s\n"
           "  --names LIST  of the hub, as hosts call it: DNS:hub.example,IP:192.0.2.1 (default: "
           "this machine only)\n"
           "  --why TEXT    of a merge or split by hand: kept with who did it\n"
           "  --limit N     attempts of a client that are shown, the newest (40); 0: all\n"
           "  --host HOST, --all   whom an order concerns; --within TIME  until when it may come\n"
           "  --allow LIST  addresses that contain-host lets through; --dry-run  hosts only check\n"
           "  --kind, --to, --client, --level, --ca FILE  of an output: doc/outputs.md\n"
           "  --json        for programs\n"
           "  --help, --version\n\n"
           "Exit status: 0 done, 1 failed, 2 wrong usage.\n",
           HUB_STATE);
    return ferror(stdout) ? 1 : 0;
}

static int wrong(const char *what)
{
    fprintf(stderr, "tiercel-hub: %s\n             'tiercel-hub --help' lists the commands\n",
            what);
    return 2;
}

static int take(int option, struct hub_options *o)
{
    const char **const places[] = {&o->state,  &o->sector, &o->uses,  &o->lasts, &o->agents,
                                   &o->people, &o->url,    &o->names, &o->why,   &o->limit,
                                   &o->host,   &o->within, &o->allow, &o->kind,  &o->to,
                                   &o->client, &o->level,  &o->ca};
    if (option == JSON)
        o->json = true;
    else if (option == ALL)
        o->all = true;
    else if (option == DRY_RUN)
        o->dry_run = true;
    else if (option >= STATE && option <= CA)
        *places[option - STATE] = optarg;
    else
        return -EINVAL;
    return 0;
}

static int run(const struct command *c, const struct hub_options *o)
{
    struct error e = {0};
    int r = c->run(o, &e);
    if (r >= 0)
        return fflush(stdout) == 0 ? 0 : 1;
    if (o->json) {
        json_t *said = json_pack("{ss ss}", "error", e.what, "way_out", e.way_out);
        json_dumpf(said, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(said);
    }
    fputs("tiercel-hub: ", stderr);
    error_print(&e, stderr);
    fputc('\n', stderr);
    return r == -EINVAL ? 2 : 1;
}

int main(int argc, char **argv)
{
    struct hub_options o = {.state = HUB_STATE};
    int option;
    if (argc == 3 && !strcmp(argv[1], "-x"))
        return hub_role(argv[2]);
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == HELP)
            return help();
        if (option == VERSION)
            return puts("tiercel-hub " TIERCEL_VERSION) < 0;
        if (take(option, &o) < 0)
            return wrong("no such option");
    }
    if (optind == argc)
        return wrong("no command");
    for (size_t i = 0; i < COMMANDS; i++) {
        const struct command *c = &commands[i];
        int own = c->second ? 2 : 1;
        if (strcmp(argv[optind], c->name) != 0 || argc - optind < own ||
            (c->second && strcmp(argv[optind + 1], c->second) != 0))
            continue;
        o.n_words = argc - optind - own;
        if (o.n_words < c->min_words || o.n_words > c->max_words)
            return wrong(o.n_words < c->min_words ? "an argument is missing"
                                                  : "an argument too many");
        for (int k = 0; k < o.n_words; k++)
            o.words[k] = argv[optind + own + k];
        return run(c, &o);
    }
    return wrong("there is no such command");
}
