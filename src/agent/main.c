// SPDX-License-Identifier: Apache-2.0
#include "agent/parent.h"
#include "base/cleanup.h"
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const char HELP[] =
    "Usage: tierceld [options]\n"
    "The agent: sees what programs do on this machine, judges it by rules, and refuses what is "
    "forbidden.\n\n"
    "  --config FILE        default " CONFIG_FILE " (may be absent)\n"
    "  --mode MODE          prevent or detect (default: as `tiercel prevent` set it last, else the "
    "configuration, else detect)\n"
    "  --rules DIR          folder of Sigma rules\n"
    "  --exceptions FILE    reviewed exceptions, default /etc/tiercel/exceptions.yml\n"
    "  --state DIR          journal, default /var/lib/tiercel\n"
    "  --run-dir DIR        control socket, default /run/tiercel\n"
    "  --scope SCOPE        machine (default), or namespace:PID: only that process's mount "
    "namespace is guarded\n"
    "  --deny-address CIDR  refuse connections to it; may be repeated\n"
    "  --help, --version\n\n"
    "It stays in the foreground and ends on SIGTERM or Ctrl-C, leaving nothing behind but its "
    "journal; SIGHUP reads the\n"
    "rules again. Exit status: 0 stopped, 1 could not run, 2 wrong usage, 3 another agent is "
    "running.\n";

enum option_number {
    CONFIG = 256,
    MODE,
    RULES,
    EXCEPTIONS,
    STATE,
    RUN_DIR,
    SCOPE,
    DENY,
    HELP_WANTED,
    VERSION
};
static const struct option options[] = {
    {"config", required_argument, NULL, CONFIG},
    {"mode", required_argument, NULL, MODE},
    {"rules", required_argument, NULL, RULES},
    {"exceptions", required_argument, NULL, EXCEPTIONS},
    {"state", required_argument, NULL, STATE},
    {"run-dir", required_argument, NULL, RUN_DIR},
    {"scope", required_argument, NULL, SCOPE},
    {"deny-address", required_argument, NULL, DENY},
    {"help", no_argument, NULL, HELP_WANTED},
    {"version", no_argument, NULL, VERSION},
    {NULL, 0, NULL, 0},
};

static int wrong(const char *format, const char *value, const char *reason)
{
    fputs("tierceld: ", stderr);
    fprintf(stderr, format, value);
    fprintf(stderr, "%s%s\nTry: tierceld --help\n", reason[0] ? ": " : "", reason);
    return 2;
}

static int take_scope(const char *value, int32_t *ret)
{
    struct str s = str_from(value);
    uint64_t pid;
    if (str_eq(s, STR("machine"))) {
        *ret = 0;
        return 0;
    }
    if (!str_starts(s, STR("namespace:")) || str_to_u64(str_bytes(s.p + 10, s.n - 10), &pid) < 0 ||
        pid < 1 || pid > INT32_MAX || kill((pid_t)pid, 0) < 0)
        return -EINVAL;
    *ret = (int32_t)pid;
    return 0;
}

static int take_path(const char *value, char *ret, size_t size)
{
    char *full = realpath(value, NULL);
    int r = -EINVAL;
    // A folder that does not exist yet may be made: then the path must be a full one.
    const char *path = full ? full : value[0] == '/' ? value : NULL;
    if (path && strlen(path) < size) {
        memcpy(ret, path, strlen(path) + 1);
        r = 0;
    }
    free(full);
    return r;
}

struct arguments {
    struct config *config;
    const char *file;
    int32_t scope_pid;
};

static int take_option(int option, struct arguments *a)
{
    struct config *c = a->config;
    struct error e = {0};
    switch (option) {
    case CONFIG:
        return 0; // read before
    case MODE:
        if (strcmp(optarg, "prevent") != 0 && strcmp(optarg, "detect") != 0)
            return wrong("there is no mode '%s'", optarg, "prevent or detect");
        c->prevent = optarg[0] == 'p';
        c->mode_given = true;
        return 0;
    case RULES:
        // Without it the agent would run and judge nothing: a word mistyped must not be that.
        return take_path(optarg, c->rules, sizeof(c->rules)) < 0 ||
                       access(c->rules, R_OK | X_OK) < 0
                   ? wrong("--rules '%s'", optarg, "no such folder")
                   : 0;
    case EXCEPTIONS:
        return take_path(optarg, c->exceptions, sizeof(c->exceptions)) < 0
                   ? wrong("--exceptions %s: no such file", optarg, "give a full path")
                   : 0;
    case STATE:
        return take_path(optarg, c->state, sizeof(c->state)) < 0
                   ? wrong("--state %s", optarg, "give a full path")
                   : 0;
    case RUN_DIR:
        return take_path(optarg, c->run, sizeof(c->run)) < 0
                   ? wrong("--run-dir %s", optarg, "give a full path of at most 63 bytes")
                   : 0;
    case SCOPE:
        return take_scope(optarg, &a->scope_pid) < 0
                   ? wrong("--scope %s", optarg, "machine, or namespace:PID of a running process")
                   : 0;
    case DENY:
        if (c->n_deny == ROLE_DENY_MAX)
            return wrong("--deny-address %s", optarg, "too many");
        if (config_address(str_from(optarg), &c->deny[c->n_deny], &e) < 0)
            return wrong("--deny-address %s", optarg, e.what);
        c->n_deny++;
        return 0;
    default:
        return wrong("%s", "wrong usage", "");
    }
}

static int read_config(struct arguments *a)
{
    struct error e = {0};
    const char *file = a->file ? a->file : CONFIG_FILE;
    int r = config_read(file, a->config, &e);
    if (r == 0 || (r == -ENOENT && !a->file))
        return 0;
    fputs("tierceld: ", stderr);
    error_print(&e, stderr);
    fputc('\n', stderr);
    return 2;
}

int main(int argc, char **argv)
{
    static struct config config;
    struct arguments a = {.config = &config};
    int option, status;
    if (argc == 3 && strcmp(argv[1], "-x") == 0)
        return role_main(argv[2]);
    // The file first, wherever it is named: the command line goes over it.
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == CONFIG)
            a.file = optarg;
        if (option == HELP_WANTED)
            return fputs(HELP, stdout) < 0;
        if (option == VERSION)
            return puts("tierceld " TIERCEL_VERSION) < 0;
        if (option == '?')
            return 2;
    }
    if (optind < argc)
        return wrong("'%s' is not an option", argv[optind], "");
    config_default(&config);
    if ((status = read_config(&a)) != 0)
        return status;
    optind = 1;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        if ((status = take_option(option, &a)) != 0)
            return status;
    return parent_run(&config, a.scope_pid);
}
