// SPDX-License-Identifier: Apache-2.0
#include "cli/draw.h"
#include "cli/live.h"
#include "event/json.h"
#include "output/output.h"

#include <time.h>
#include <unistd.h>

static const struct option options[] = {
    {"follow", 'f', OPTION_FLAG, NULL, "go on with what comes", NULL, false},
    {"kind", 'k', OPTION_CHOICE, "KIND", "only this kind",
     "exec fork exit connect file dns socket flow credentials access module bpf mount namespaces "
     "signal response hash loss agent",
     true},
    FILTER_OPTIONS,
    {"limit", 'n', OPTION_NUMBER, "N", "the last N (50; with -f 10); 0: all", NULL, false},
    {"format", 0, OPTION_CHOICE, "FORMAT", "lines for another program", "ocsf cef", false},
    OPTION_JSON,
    OPTION_JOURNAL,
    {0},
};

static void tell_damage(void *context, const struct error *e)
{
    cli_error(context, e);
}

// A line of another program's format, without its newline.
typedef int (*line_of)(const struct output_source *source, const Tiercel__Event *event,
                       struct arena *arena, struct buf *to);

static int print_as(line_of line, const Tiercel__Event *event, struct buf *out)
{
    char name[256] = "";
    struct arena arena = {0};
    (void)gethostname(name, sizeof name - 1);
    int r = line(&(struct output_source){.host_name = str_from(name)}, event, &arena, out);
    arena_done(&arena);
    return r;
}

static int print_ocsf(const Tiercel__Event *event, struct buf *out)
{
    return print_as(output_ocsf_event, event, out);
}

static int print_cef(const Tiercel__Event *event, struct buf *out)
{
    return print_as(output_cef_event, event, out);
}

typedef int (*print_line)(const Tiercel__Event *event, struct buf *out);

static void print_found(struct cli *cli, const struct found *found, bool json, print_line as)
{
    _cleanup_buf_ struct buf b = {0};
    uint64_t now = (uint64_t)time(NULL) * 1000000000u;
    for (size_t i = 0; i < found->n && !ferror(cli->out.file); i++) {
        struct found_item item = found_get(found, i);
        Tiercel__Event *event = tiercel__event__unpack(NULL, item.n, item.p);
        if (!event)
            continue;
        if (as) {
            (void)as(event, &b);
            buf_add_char(&b, '\n');
        } else if (json) {
            json_print(&event->base, &b);
            buf_add_char(&b, '\n');
        } else {
            draw_event(&cli->out, event, now, &b);
        }
        tiercel__event__free_unpacked(event, NULL);
        if (b.n > 65536)
            term_write(&cli->out, &b);
    }
    term_write(&cli->out, &b);
}

static int follow(struct cli *cli, struct journal *journal, const struct filter *filter, bool json,
                  print_line as, uint64_t last_id)
{
    struct error e = {0};
    struct live live;
    struct live_options o = {
        .as = as, .filter = *filter, .events = true, .json = json, .after_event = last_id};
    size_t n = journal_segments(journal);
    int r = journal_seek(journal, n ? n - 1 : 0, true, &e);
    if (r < 0)
        return cli_fail(cli, &e);
    live_init(&live, &cli->out, journal, &o);
    r = live_run(&live, 0, &e);
    live_done(&live);
    return r < 0 && e.code ? cli_fail(cli, &e) : CLI_OK;
}

static int run(struct cli *cli, const struct args *args)
{
    struct error e = {0};
    struct filter filter;
    struct journal *journal = NULL;
    _cleanup_found_ struct found found = {0};
    bool json = args_has(args, "json");
    uint64_t last_id = 0;
    const char *format = args_text(args, "format", "");
    print_line as = !strcmp(format, "ocsf")  ? print_ocsf
                    : !strcmp(format, "cef") ? print_cef
                                             : NULL;
    if (filter_parse(args, &filter, &e) < 0) {
        cli_error(cli, &e);
        return CLI_USAGE;
    }
    if (journal_open(args_text(args, "journal", JOURNAL_FOLDER), &journal, &e) < 0)
        return cli_fail(cli, &e);
    found_init(&found, args_number(args, "limit", args_has(args, "follow") ? 10 : 50));
    int r = found_look(journal, LOOK_EVENTS, &filter, &found, tell_damage, cli, &last_id, &e);
    int code = r < 0 ? cli_fail(cli, &e) : CLI_OK;
    if (r == 0)
        print_found(cli, &found, json, as);
    if (r == 0 && args_has(args, "follow"))
        code = follow(cli, journal, &filter, json, as, last_id);
    else if (r == 0 && found.n == 0 && cli->err.terminal)
        fprintf(cli->err.file, "no event matches\n");
    journal_close(journal);
    return code;
}

const struct command cmd_events = {
    .name = "events",
    .group = "look",
    .summary = "What happened on this host, from the journal",
    .description = "Prints the last events, oldest first. Text of the host is shown with control "
                   "characters, bad UTF-8 and "
                   "direction overrides escaped; --json has the exact bytes.",
    .examples = "tiercel events -f --lineage web          # what web servers start, live\n"
                "tiercel events -k connect --since 1h     # connections of the last hour\n"
                "tiercel events -k flow -F 'BytesSent>10000000'  # large uploads\n"
                "tiercel events -F 'CommandLine=*curl*'   # by a Sigma field",
    .options = options,
    .run = run,
};
