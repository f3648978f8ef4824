// SPDX-License-Identifier: Apache-2.0
#include "cli/draw.h"
#include "cli/live.h"

#include <time.h>

static const struct option options[] = {
    {"follow", 'f', OPTION_FLAG, NULL, "go on with what comes", NULL, false},
    {"rule", 'r', OPTION_TEXT, "GLOB", "title or id of the rule", NULL, true},
    {"level", 0, OPTION_CHOICE, "LEVEL", "only this level",
     "informational low medium high critical", true},
    FILTER_OPTIONS,
    {"limit", 'n', OPTION_NUMBER, "N", "the last N (20; with -f 5); 0: all", NULL, false},
    {"short", 0, OPTION_FLAG, NULL, "one line each, without the process tree", NULL, false},
    OPTION_JSON,
    OPTION_JOURNAL,
    {0},
};

static void tell_damage(void *context, const struct error *e)
{
    cli_error(context, e);
}

static Tiercel__Detection *take(const struct found *found, size_t i)
{
    if (i >= found->n)
        return NULL;
    struct found_item item = found_get(found, i);
    return tiercel__detection__unpack(NULL, item.n, item.p);
}

static void print_found(struct cli *cli, const struct found *found, const struct verdicts *verdicts,
                        bool json, bool tree)
{
    _cleanup_buf_ struct buf b = {0};
    uint64_t now = (uint64_t)time(NULL) * 1000000000u;
    Tiercel__Detection *d = NULL, *next = take(found, 0);
    for (size_t i = 0; next && !ferror(cli->out.file); i++) {
        d = next;
        next = take(found, i + 1);
        const Tiercel__Verdict *verdict = verdicts_get(verdicts, d->id);
        if (json) {
            live_json_detection(d, verdict, &b);
            buf_add_char(&b, '\n');
        } else {
            bool more = next && detection_same_event(d, next); // one tree under both
            draw_detection(&cli->out, d, verdict, now, tree && !more, &b);
        }
        tiercel__detection__free_unpacked(d, NULL);
        term_write(&cli->out, &b);
    }
    if (next)
        tiercel__detection__free_unpacked(next, NULL);
}

static int follow(struct cli *cli, struct journal *journal, const struct live_options *options_)
{
    struct error e = {0};
    struct live live;
    size_t n = journal_segments(journal);
    int r = journal_seek(journal, n ? n - 1 : 0, true, &e);
    if (r < 0)
        return cli_fail(cli, &e);
    live_init(&live, &cli->out, journal, options_);
    r = live_run(&live, 0, &e);
    live_done(&live);
    return r < 0 && e.code ? cli_fail(cli, &e) : CLI_OK;
}

static uint64_t oldest_time(const struct found *found)
{
    uint64_t time = 0;
    if (found->n == 0)
        return UINT64_MAX;
    struct found_item item = found_get(found, 0);
    Tiercel__Detection *d = tiercel__detection__unpack(NULL, item.n, item.p);
    if (d) {
        time = d->time;
        tiercel__detection__free_unpacked(d, NULL);
    }
    return time;
}

static int show(struct cli *cli, const struct args *args, struct journal *journal,
                const struct filter *filter)
{
    struct error e = {0};
    _cleanup_found_ struct found found = {0};
    _cleanup_verdicts_ struct verdicts verdicts = {0};
    bool json = args_has(args, "json"), tree = !args_has(args, "short"),
         on = args_has(args, "follow");
    uint64_t last_id = 0;
    found_init(&found, args_number(args, "limit", on ? 5 : 20));
    if (found_look(journal, LOOK_DETECTIONS, filter, &found, tell_damage, cli, &last_id, &e) < 0)
        return cli_fail(cli, &e);
    uint64_t since = oldest_time(&found);
    if (since != UINT64_MAX && verdicts_load(journal, since, &verdicts, &e) < 0)
        return cli_fail(cli, &e);
    print_found(cli, &found, &verdicts, json, tree);
    if (on) {
        struct live_options o = {.filter = *filter,
                                 .detections = true,
                                 .json = json,
                                 .tree = tree,
                                 .after_detection = last_id};
        return follow(cli, journal, &o);
    }
    if (found.n == 0 && cli->err.terminal)
        fprintf(cli->err.file, "no detection matches\n");
    return CLI_OK;
}

static int run(struct cli *cli, const struct args *args)
{
    struct error e = {0};
    struct filter filter;
    struct journal *journal = NULL;
    if (filter_parse(args, &filter, &e) < 0) {
        cli_error(cli, &e);
        return CLI_USAGE;
    }
    if (journal_open(args_text(args, "journal", JOURNAL_FOLDER), &journal, &e) < 0)
        return cli_fail(cli, &e);
    int code = show(cli, args, journal, &filter);
    journal_close(journal);
    return code;
}

const struct command cmd_detections = {
    .name = "detections",
    .group = "look",
    .summary = "What rules matched, and what was done about it at once",
    .description =
        "Each with its verdict and the process tree down to the process that acted. The number "
        "after # is the "
        "detection's id: `tiercel explain ID` says why, `tiercel allow ID` makes an exception.",
    .examples = "tiercel detections -f                       # live\n"
                "tiercel detections --since today --level critical",
    .options = options,
    .run = run,
};
