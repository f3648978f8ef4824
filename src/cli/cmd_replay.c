// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "cli/draw.h"
#include "cli/journal.h"
#include "cli/live.h"
#include "cli/place.h"
#include "cli/replay.h"
#include "cli/table.h"

#include <errno.h>
#include <stdlib.h>

static const struct option options[] = {
    {"rules", 0, OPTION_FOLDER, "DIR", "rules to use instead of the installed ones", NULL, false},
    {"exceptions", 0, OPTION_FILE, "FILE", "exceptions to use (none)", NULL, false},
    {"quiet", 'q', OPTION_FLAG, NULL, "only the counts", NULL, false},
    OPTION_JSON,
    {0},
};

struct show {
    struct cli *cli;
    bool json, quiet;
    struct buf out;
};

static void tell_problem(void *context, const struct error *e)
{
    cli_error(((struct show *)context)->cli, e);
}

static void show_detection(void *context, const Tiercel__Detection *d, const Tiercel__Verdict *v)
{
    struct show *s = context;
    if (s->quiet)
        return;
    if (s->json) {
        live_json_detection(d, v, &s->out);
        buf_add_char(&s->out, '\n');
    } else {
        draw_detection(&s->cli->out, d, v, 0, true, &s->out);
    }
    if (s->out.n > 65536)
        term_write(&s->cli->out, &s->out);
}

static void print_counts(struct show *s, const struct replay *r)
{
    struct buf *b = &s->out;
    if (s->json) {
        buf_addf(b,
                 "{\"summary\":{\"events\":%llu,\"detections\":%llu,\"prevented\":%llu,"
                 "\"suppressed\":%llu}}\n",
                 (unsigned long long)r->n_events, (unsigned long long)r->n_detections,
                 (unsigned long long)r->n_prevented, (unsigned long long)r->n_suppressed);
        term_write(&s->cli->out, b);
        return;
    }
    static const struct column columns[] = {{NULL, 0, true}, {NULL, 0, false}};
    _cleanup_table_ struct table table;
    table_init(&table, columns, 2);
    const struct rule_set *set = detect_rules(r->detect);
    for (size_t i = 0; i < rule_set_count(set); i++)
        if (r->by_rule[i]) {
            table_addf(&table, STYLE_PLAIN, "%llu", (unsigned long long)r->by_rule[i]);
            table_add(&table, STYLE_PLAIN, rule_set_get(set, i)->title);
        }
    buf_addf(b, "%s%llu events, %llu detections; prevention would have stopped %llu events\n",
             r->n_detections && !s->quiet ? "\n" : "", (unsigned long long)r->n_events,
             (unsigned long long)r->n_detections, (unsigned long long)r->n_prevented);
    if (r->n_suppressed)
        buf_addf(b, "%llu detections more were kept back by the flood limit\n",
                 (unsigned long long)r->n_suppressed);
    table_print(&table, &s->cli->out, 2, b);
    term_write(&s->cli->out, b);
}

static int run(struct cli *cli, const struct args *args)
{
    struct show show = {
        .cli = cli, .json = args_has(args, "json"), .quiet = args_has(args, "quiet")};
    struct error e = {0};
    struct replay *replay = NULL;
    char folder[512];
    const char *rules = args_text(args, "rules", NULL);
    if (!rules && place_rules(folder, sizeof folder, &e) < 0)
        return cli_fail(cli, &e);
    int r = replay_new(rules ? rules : folder, args_text(args, "exceptions", NULL), tell_problem,
                       &show, &replay, &e);
    if (r < 0)
        return cli_fail(cli, &e);
    replay->detection = show_detection;
    replay->context = &show;
    for (size_t i = 0; r >= 0 && i < args->n_words; i++) {
        r = replay_file(replay, args->words[i], &e);
        term_write(&cli->out, &show.out);
    }
    int code = r < 0 ? cli_fail(cli, &e) : CLI_OK;
    if (r >= 0)
        print_counts(&show, replay);
    buf_done(&show.out);
    replay_free(replay);
    return code;
}

const struct command cmd_replay = {
    .name = "replay",
    .group = "rules",
    .arguments = "FILE...",
    .summary = "Run process tree and rules over recorded events, as any user",
    .description = "FILE is a segment of a journal, a journal folder, or events as JSON lines "
                   "(what `tiercel events --json` "
                   "prints); - is JSON lines from standard input. The same events and the same "
                   "rules give the same output: "
                   "no clock and no /proc is asked. Verdicts show what prevention would do.",
    .examples = "tiercel replay /var/lib/tiercel/journal --rules my-rules\n"
                "tiercel events -n 0 --json | tiercel replay -",
    .options = options,
    .words = "<file>",
    .min_args = 1,
    .max_args = ARGS_MAX,
    .run = run,
};
