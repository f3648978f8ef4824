// SPDX-License-Identifier: Apache-2.0
#include "cli/exceptions.h"
#include "cli/found.h"
#include "cli/place.h"
#include "cli/status.h"
#include "cli/when.h"
#include "event/json.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_FOR ((uint64_t)7 * 86400 * 1000000000)

static const struct option options[] = {
    {"for", 0, OPTION_DURATION, "TIME", "how long the exception holds (7d)", NULL, false},
    {"reason", 'r', OPTION_TEXT, "TEXT", "why; kept with the exception", NULL, false},
    {"dry-run", 0, OPTION_FLAG, NULL, "show the exception, write nothing", NULL, false},
    {"exceptions", 0, OPTION_FILE, "FILE", "file to write instead of " PLACE_EXCEPTIONS, NULL,
     false},
    OPTION_JSON,
    OPTION_JOURNAL,
    {0},
};

// The person who does it, not the root that sudo made of them.
static const char *who_asks(void)
{
    const char *name = getenv("SUDO_USER");
    if (name && *name)
        return name;
    struct passwd *p = getpwuid(getuid());
    return p ? p->pw_name : "unknown";
}

static int make_entry(const struct args *args, const Tiercel__Detection *d, struct buf *ret,
                      struct error *e)
{
    uint8_t random[8];
    char id[20], reason[64];
    struct timespec now;
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return error_set(e, -errno, "no random numbers: %s", strerror(errno));
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(id + 2 * i, 3, "%02x", random[i]);
    snprintf(reason, sizeof reason, "from detection %llu", (unsigned long long)d->id);
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t expires = (uint64_t)now.tv_sec * 1000000000u + args_duration(args, "for", DEFAULT_FOR);
    return exception_append(d, str_from(id), expires, str_from(who_asks()),
                            str_from(args_text(args, "reason", reason)), ret, e);
}

// Whether an agent took it; in words unless for programs.
static bool tell_agent(struct cli *cli, bool json)
{
    struct control_request request = {.version = CONTROL_VERSION, .verb = CONTROL_RELOAD};
    struct control_reply *reply = NULL;
    struct error e = {0};
    int r = status_ask(&request, &reply, &e);
    free(reply);
    if (r < 0 && r != -ECONNREFUSED)
        cli_error(cli, &e);
    else if (!json)
        fputs(r == 0 ? "The agent was told to read its exceptions again.\n"
                     : "No agent runs now; the next one will read it.\n",
              cli->out.file);
    return r == 0;
}

static void show(struct cli *cli, struct str entry)
{
    _cleanup_buf_ struct buf shown = {0};
    struct str line;
    while (str_split(&entry, '\n', &line)) {
        buf_add_str(&shown, STR("  "));
        text_escape(line, &shown);
        buf_add_char(&shown, '\n');
    }
    term_write(&cli->out, &shown);
}

static void show_json(struct cli *cli, struct str entry, const char *file, bool written, bool told)
{
    _cleanup_buf_ struct buf b = {0};
    buf_add_str(&b, STR("{\"exception\":"));
    json_quoted(entry, &b);
    buf_add_str(&b, STR(",\"file\":"));
    json_quoted(str_from(file), &b);
    buf_addf(&b, ",\"written\":%s,\"agent_told\":%s}\n", written ? "true" : "false",
             told ? "true" : "false");
    term_write(&cli->out, &b);
}

static int allow(struct cli *cli, const struct args *args, const Tiercel__Detection *d)
{
    _cleanup_buf_ struct buf entry = {0};
    struct error e = {0};
    const char *file = args_text(args, "exceptions", PLACE_EXCEPTIONS);
    bool json = args_has(args, "json"), write = !args_has(args, "dry-run"), told = false;
    if (make_entry(args, d, &entry, &e) < 0)
        return cli_fail(cli, &e);
    if (!json)
        show(cli, buf_str(&entry));
    if (write && exceptions_add(file, buf_str(&entry), &e) < 0)
        return cli_fail(cli, &e);
    if (write && !json)
        fprintf(cli->out.file, "Written to %s; delete the entry there to undo it.\n", file);
    if (write)
        told = tell_agent(cli, json);
    if (json)
        show_json(cli, buf_str(&entry), file, write, told);
    return CLI_OK;
}

static int run(struct cli *cli, const struct args *args)
{
    struct error e = {0};
    struct journal *journal = NULL;
    Tiercel__Detection *d = NULL;
    uint64_t id;
    if (found_parse_id(args->words[0], &id, &e) < 0)
        return cli_fail(cli, &e);
    if (journal_open(args_text(args, "journal", JOURNAL_FOLDER), &journal, &e) < 0)
        return cli_fail(cli, &e);
    int r = found_detection(journal, id, &d, &e);
    int code = r == 0 ? allow(cli, args, d) : cli_fail(cli, &e);
    if (d)
        tiercel__detection__free_unpacked(d, NULL);
    journal_close(journal);
    return r == -ESRCH ? CLI_NO : code;
}

const struct command cmd_allow = {
    .name = "allow",
    .group = "decide",
    .arguments = "DETECTION",
    .summary = "Turn a wrong denial into an exception that expires",
    .description =
        "The exception lifts this rule's prevention to detection for this kind of lineage and "
        "exactly these "
        "arguments; what else the rule forbids stays forbidden. It is a few lines of YAML "
        "in " PLACE_EXCEPTIONS ", where it can be reviewed, made wider with * and ?, or deleted.",
    .examples = "tiercel allow 12 --for 30d --reason 'thumbnailer, ticket 4711'",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
