// SPDX-License-Identifier: Apache-2.0
#include "cli/intel.h"
#include "intel/warning.h"
#include "store/knowledge.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

struct why {
    struct buf out;
    struct str warning;
    uint32_t today;
    unsigned n, good;
};

static int each(void *context, const struct knowledge_row *row)
{
    struct why *w = context;
    if (row->kind != KNOWLEDGE_INDICATOR)
        return 0;
    bool early = row->valid_from > w->today,
         late = row->valid_until && row->valid_until <= w->today;
    w->n++;
    w->good += !early && !late && !w->warning.n;
    buf_addf(&w->out, "  ");
    text_escape(row->name.n ? row->name : row->id, &w->out);
    buf_addf(&w->out, " (");
    text_escape(row->source, &w->out);
    buf_addf(&w->out, early || late ? "): %s %04u-%02u-%02u\n" : "): valid\n",
             early ? "not valid before" : "no longer valid since",
             (early ? row->valid_from : row->valid_until) / 10000,
             (early ? row->valid_from : row->valid_until) / 100 % 100,
             (early ? row->valid_from : row->valid_until) % 100);
    return 0;
}

static void answer(struct why *w)
{
    if (w->warning.n) {
        buf_addf(&w->out, "No: it is on the warninglist '");
        text_escape(w->warning, &w->out);
        buf_addf(&w->out, "'.\n");
    } else if (!w->n) {
        buf_addf(&w->out, "No: no indicator in force names it.\n");
    } else if (!w->good) {
        buf_addf(&w->out, "No: no indicator that names it is valid today.\n");
    } else {
        buf_addf(&w->out, "Yes: %u of %u indicators are valid, and no warninglist given has it.\n",
                 w->good, w->n);
    }
}

static int run(struct cli *cli, const struct args *args)
{
    struct why w = {0};
    struct warning *lists = calloc(1, sizeof *lists);
    struct knowledge *k = NULL;
    struct knowledge_view now = {0};
    struct error e = {0};
    struct str value = str_from(args->words[0]);
    struct tm day = {0};
    time_t t = time(NULL);
    const char *path;
    int r = lists ? warning_init(lists) : error_set(&e, -ENOMEM, "out of memory");
    gmtime_r(&t, &day);
    w.today = (uint32_t)((day.tm_year + 1900) * 10000 + (day.tm_mon + 1) * 100 + day.tm_mday);
    for (size_t at = 0; r == 0 && (path = args_each(args, "warninglists", &at));)
        r = warning_load_path(lists, path, &e);
    r = r ? r : knowledge_open(args_text(args, "db", INTEL_PLACE), false, &k, &e);
    if (r == 0) {
        w.warning = warning_find(lists, value);
        r = knowledge_find(k, value, KNOWLEDGE_INDICATOR, &now, each, &w, &e);
    }
    if (r == 0) {
        answer(&w);
        term_write(&cli->out, &w.out);
    }
    bool good = w.good;
    buf_done(&w.out);
    knowledge_close(k);
    if (lists)
        warning_done(lists);
    free(lists);
    return r ? cli_fail(cli, &e) : good ? CLI_OK : CLI_NO;
}

static const struct option options[] = {
    {"db", 0, OPTION_FILE, "FILE", "knowledge to use instead of the hub's", NULL, false},
    {"warninglists", 'w', OPTION_FOLDER, "PATH",
     "a warninglist in MISP's form, or a folder of them", NULL, true},
    {0},
};

const struct command intel_why = {
    .name = "why",
    .arguments = "VALUE",
    .summary = "may a value be blocked, and why or why not",
    .description = "It may when an indicator names it that is valid today and not revoked, and no "
                   "warninglist has it.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
