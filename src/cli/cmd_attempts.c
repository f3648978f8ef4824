// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "cli/attempt_draw.h"
#include "cli/attempt_read.h"
#include "cli/table.h"
#include "cli/when.h"

#include <time.h>

#define MEANS_LEAST 20 // columns of the last one, which is not wrapped
#define OTHERS_COLUMNS 80

static const struct option options[] = {
    {"since", 's', OPTION_TIME, "TIME", "not ended before: 10m, 15:30, 2026-11-23, today", NULL,
     false},
    {"limit", 'n', OPTION_NUMBER, "N", "the newest N (40); 0: all", NULL, false},
    OPTION_JSON,
    OPTION_JOURNAL,
    OPTION_CHANGES,
    {0},
};

static const struct column columns[] = {
    {"ATTEMPT", 0, false},         {"BEGIN", 0, false},   {"HOST", 0, false},
    {"TRIED", 0, false},           {"OUTCOME", 0, false}, {"DET.", 0, true},
    {"MEANS OR COMMAND", 0, false}};

// Bytes of a host, still to be escaped; cut to what is left of the line.
static void cut(const struct term *t, struct buf *b)
{
    size_t room = t->width > OTHERS_COLUMNS + MEANS_LEAST ? t->width - OTHERS_COLUMNS : MEANS_LEAST;
    if (!t->width || b->n <= room)
        return;
    for (b->n = room - 1; b->n && ((unsigned char)b->p[b->n] & 0xc0) == 0x80;)
        b->n--;
    buf_add_str(b, t->utf8 ? STR("\u2026") : STR("~"));
}

static void add_row(const struct term *t, struct table *table, const struct attempts *a,
                    const struct attempt *one, uint64_t now)
{
    _cleanup_buf_ struct buf begin = {0}, means = {0}, host = {0};
    char id[ATTEMPT_ID_DIGITS + 1];
    attempt_id_words(one->id, id);
    when_print_clock(one->begin, now, &begin);
    attempt_means_words(a, one, &means);
    cut(t, &means);
    attempt_host_words(attempts_node(a, one->nodes[0])->host, &host);
    if (one->n_hosts > 1)
        buf_addf(&host, " +%zu", one->n_hosts - 1);
    table_addf(table, STYLE_BOLD, "%.8s", id);
    table_add(table, STYLE_PLAIN, buf_str(&begin));
    table_add(table, STYLE_PLAIN, buf_str(&host));
    table_addf(table, STYLE_PLAIN, "%s", attempt_tactic(one->tried));
    table_addf(table, attempt_style(one->outcome), "%s", attempt_outcome_short(one));
    table_addf(table, STYLE_PLAIN, "%zu", one->n_detections);
    table_add(table, STYLE_PLAIN, buf_str(&means));
}

static void show(struct cli *cli, const struct args *args, const struct attempts *a)
{
    _cleanup_buf_ struct buf b = {0};
    _cleanup_table_ struct table table;
    uint64_t limit = args_number(args, "limit", 40), since = args_time(args, "since", 0),
             now = (uint64_t)time(NULL) * 1000000000u;
    size_t shown = 0, all = 0, detections = 0;
    bool json = args_has(args, "json");
    table_init(&table, columns, sizeof columns / sizeof *columns);
    for (size_t i = attempts_count(a); i > 0; i--) {
        const struct attempt *one = attempts_get(a, i - 1);
        if (one->end < since)
            continue;
        all++;
        detections += one->n_detections;
        if (limit && shown == limit)
            continue;
        shown++;
        if (json)
            attempt_print_json(a, one, &b);
        else
            add_row(&cli->out, &table, a, one, now);
    }
    if (!json && shown)
        table_print(&table, &cli->out, 0, &b);
    if (!json)
        attempt_rule_words(&cli->out, a, all, shown, detections, &b);
    term_write(&cli->out, &b);
}

static int run(struct cli *cli, const struct args *args)
{
    struct error e = {0};
    struct attempts *a = NULL;
    if (attempt_read(cli, args, NULL, &a, &e) < 0)
        return cli_fail(cli, &e);
    show(cli, args, a);
    attempts_free(a);
    return CLI_OK;
}

const struct command cmd_attempts = {
    .name = "attempts",
    .group = "look",
    .summary = "Detections joined into attempts, with how far each came",
    .description = "What belongs together is counted once, by the rule in doc/attempts.md; counts "
                   "are \"at least\". `tiercel attempt ID` tells one as a story.",
    .examples = "tiercel attempts --since today",
    .options = options,
    .run = run,
};
