// SPDX-License-Identifier: Apache-2.0
#include "cli/intel.h"
#include "event/json.h"
#include "intel/import.h"

#include <errno.h>
#include <time.h>

#define PROBLEMS_SHOWN 20
#define PAGES 8

#define OPTION_DB                                                                                  \
    {                                                                                              \
        "db", 0, OPTION_FILE, "FILE", "knowledge to use instead of the hub's", NULL, false         \
    }
#define OPTION_AT                                                                                  \
    {                                                                                              \
        "at", 0, OPTION_TIME, "DATE", "as it was known then, by the sources' own dates", NULL,     \
            false                                                                                  \
    }
#define OPTION_VERSION                                                                             \
    {                                                                                              \
        "version", 0, OPTION_NUMBER, "N", "as this knowledge was at that version", NULL, false     \
    }

struct page {
    struct cli *cli;
    struct buf out;
    bool json;
    const char *section; // printed before the first row
    char ids[PAGES][129];
    unsigned n, rows;
};

static int open_db(struct cli *cli, const struct args *args, bool create, struct knowledge **ret)
{
    struct error e = {0};
    int r = knowledge_open(args_text(args, "db", INTEL_PLACE), create, ret, &e);
    return r ? cli_fail(cli, &e) : CLI_OK;
}

static struct knowledge_view view_of(const struct args *args)
{
    struct knowledge_view view = {.version = args_number(args, "version", 0)};
    time_t t = (time_t)(args_time(args, "at", 0) / 1000000000u);
    struct tm day;
    if (args_has(args, "at") && localtime_r(&t, &day))
        view.at = (uint32_t)((day.tm_year + 1900) * 10000 + (day.tm_mon + 1) * 100 + day.tm_mday);
    return view;
}

static void date(uint32_t d, struct buf *out)
{
    if (d)
        buf_addf(out, "%04u-%02u-%02u", d / 10000, d / 100 % 100, d % 100);
    else
        buf_addf(out, "no date   ");
}

static void row_json(const char *section, const struct knowledge_row *row, struct buf *out)
{
    const struct {
        const char *name;
        struct str value;
    } texts[] = {{"section", str_from(section)},
                 {"kind", str_from(knowledge_kind_name(row->kind))},
                 {"id", row->id},
                 {"code", row->code},
                 {"name", row->name},
                 {"text", row->text},
                 {"verb", row->verb},
                 {"tenure", row->tenure},
                 {"source", row->source},
                 {"reliability", row->reliability}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        buf_addf(out, "%c\"%s\":", i ? ',' : '{', texts[i].name);
        json_quoted(texts[i].value, out);
    }
    buf_addf(out, ",\"dated\":%u,\"valid_from\":%u,\"valid_until\":%u,\"reports\":%llu", row->dated,
             row->valid_from, row->valid_until, (unsigned long long)row->origins);
    if (row->grade >= 0)
        buf_addf(out, ",\"confidence\":%d", row->grade);
    buf_addf(out, "}\n");
}

static void source_of(const struct knowledge_row *row, struct buf *out)
{
    text_escape(row->source, out);
    if (row->reliability.n) {
        buf_addf(out, ", reliability ");
        text_escape(row->reliability, out);
    }
    if (row->grade >= 0)
        buf_addf(out, ", confidence %d of 100", row->grade);
}

static int each_row(void *context, const struct knowledge_row *row)
{
    struct page *p = context;
    if (p->json) {
        row_json(p->section, row, &p->out);
    } else {
        if (!p->rows && p->section)
            buf_addf(&p->out, "\n%s\n", p->section);
        buf_addf(&p->out, "  %-14s ", row->verb.n ? "" : knowledge_kind_name(row->kind));
        p->out.n -= row->verb.n ? 15 : 0;
        if (row->verb.n) {
            text_escape(row->verb, &p->out);
            buf_addf(&p->out, " %s ", knowledge_kind_name(row->kind));
        }
        text_escape(row->code, &p->out);
        buf_addf(&p->out, row->code.n ? "  " : "");
        text_escape(row->name, &p->out);
        buf_addf(&p->out, "  (");
        date(row->dated, &p->out);
        if (row->tenure.n) {
            buf_addf(&p->out, ", ");
            text_escape(row->tenure, &p->out);
        }
        if (row->valid_until) {
            buf_addf(&p->out, ", until ");
            date(row->valid_until, &p->out);
        }
        if (row->origins)
            buf_addf(&p->out, ", %llu report%s", (unsigned long long)row->origins,
                     row->origins == 1 ? "" : "s");
        buf_addf(&p->out, "; ");
        source_of(row, &p->out);
        buf_addf(&p->out, ")\n");
    }
    p->rows++;
    return 0;
}

static int each_name(void *context, const struct knowledge_row *row)
{
    struct page *p = context;
    if (p->json)
        return each_row(context, row);
    if (!p->rows++)
        buf_addf(&p->out, "\n%s\n", p->section);
    buf_addf(&p->out, "  ");
    if (row->text.n) {
        text_escape(row->text, &p->out);
        buf_addf(&p->out, " is also a name of ");
        text_escape(row->code, &p->out);
        buf_addf(&p->out, row->code.n ? " " : "");
    }
    text_escape(row->name, &p->out);
    buf_addf(&p->out, "  (as said by ");
    source_of(row, &p->out);
    buf_addf(&p->out, ")\n");
    return 0;
}

static int each_head(void *context, const struct knowledge_row *row)
{
    struct page *p = context;
    bool known = false;
    for (unsigned i = 0; i < p->n; i++)
        known |= str_eq(row->id, str_from(p->ids[i]));
    if (!known && p->n < PAGES && row->id.n < sizeof p->ids[0])
        snprintf(p->ids[p->n++], sizeof p->ids[0], STR_FMT, STR_ARG(row->id));
    return 0;
}

static int each_intro(void *context, const struct knowledge_row *row)
{
    struct page *p = context;
    if (p->json) {
        row_json("object", row, &p->out);
        return 0;
    }
    text_escape(row->name, &p->out);
    buf_addf(&p->out, row->code.n ? " (" : "");
    text_escape(row->code, &p->out);
    buf_addf(&p->out, "%s, %s, known since ", row->code.n ? ")" : "",
             knowledge_kind_name(row->kind));
    date(row->dated, &p->out);
    buf_addf(&p->out, "; ");
    source_of(row, &p->out);
    struct str text = row->text.n > 1200 ? str_bytes(row->text.p, 1200) : row->text, line;
    while (text.n < row->text.n && text.n && text.p[text.n - 1] != ' ')
        text.n--;
    bool cut = text.n < row->text.n;
    while (str_split(&text, '\n', &line)) {
        buf_addf(&p->out, "\n  ");
        text_escape(line, &p->out);
    }
    buf_addf(&p->out, cut ? "[...]\n" : "\n");
    return 0;
}

static int show_one(struct page *p, struct knowledge *k, struct str id,
                    const struct knowledge_view *view, struct error *e)
{
    int r = knowledge_find(k, id, KNOWLEDGE_KINDS, view, each_intro, p, e);
    p->section = "Also called";
    p->rows = 0;
    r = r ? r : knowledge_aliases(k, id, view, each_name, p, e);
    p->section = "The same name elsewhere (nothing is merged)";
    p->rows = 0;
    r = r ? r : knowledge_namesakes(k, id, view, each_name, p, e);
    p->section = "What it is tied to";
    p->rows = 0;
    r = r ? r : knowledge_links(k, id, false, view, each_row, p, e);
    p->section = "What is tied to it";
    p->rows = 0;
    return r ? r : knowledge_links(k, id, true, view, each_row, p, e);
}

static void end_page(struct page *p, int64_t version)
{
    if (!p->json)
        buf_addf(&p->out, "\nKnowledge version %lld.\n", (long long)version);
    term_write(&p->cli->out, &p->out);
    buf_done(&p->out);
}

static int run_show(struct cli *cli, const struct args *args)
{
    struct knowledge *k = NULL;
    struct knowledge_view view = view_of(args);
    struct page p = {.cli = cli, .json = args_has(args, "json")};
    struct error e = {0};
    int code = open_db(cli, args, false, &k), r;
    if (code)
        return code;
    int64_t version = view.version ? (int64_t)view.version : knowledge_version(k, &e);
    r = knowledge_find(k, str_from(args->words[0]), KNOWLEDGE_KINDS, &view, each_head, &p, &e);
    for (unsigned i = 0; r == 0 && i < p.n; i++) {
        if (i && !p.json)
            buf_addf(&p.out, "\n----\n\n");
        r = show_one(&p, k, str_from(p.ids[i]), &view, &e);
    }
    if (r == 0 && !p.n) {
        r = error_set(&e, -ENOENT, "nothing by the name '%.100s' is known%s", args->words[0],
                      view.at || view.version ? " as of then" : "");
        error_way_out(&e, "tiercel intel search WORD looks for a part of a name");
        code = CLI_NO;
    }
    if (r == 0)
        end_page(&p, version);
    else
        buf_done(&p.out);
    knowledge_close(k);
    if (r && code == CLI_NO)
        cli_error(cli, &e);
    return r == 0 ? CLI_OK : code ? code : cli_fail(cli, &e);
}

static int run_list(struct cli *cli, const struct args *args)
{
    struct knowledge *k = NULL;
    struct knowledge_view view = view_of(args);
    struct page p = {.cli = cli, .json = args_has(args, "json")};
    struct error e = {0};
    int code = open_db(cli, args, false, &k), r = 0;
    if (code)
        return code;
    const char *word = args->n_words ? args->words[0] : "";
    unsigned limit = (unsigned)args_number(args, "limit", 1000) & 0xfffff;
    enum knowledge_kind last = args->n_words ? KNOWLEDGE_REPORT : KNOWLEDGE_SPONSOR;
    for (int kind = 0; r == 0 && kind <= (int)last; kind++)
        r = knowledge_list(k, (enum knowledge_kind)kind, str_from(word), limit, &view, each_row, &p,
                           &e);
    if (r == 0)
        end_page(&p, view.version ? (int64_t)view.version : knowledge_version(k, &e));
    else
        buf_done(&p.out);
    knowledge_close(k);
    return r ? cli_fail(cli, &e) : p.rows || !args->n_words ? CLI_OK : CLI_NO;
}

static void problem(void *context, uint64_t number, struct str id, const char *why)
{
    struct page *p = context;
    if (p->rows++ >= PROBLEMS_SHOWN)
        return;
    buf_addf(&p->out, "object %llu ", (unsigned long long)number);
    text_escape(id, &p->out);
    buf_addf(&p->out, ": %s\n", why);
}

static int run_import(struct cli *cli, const struct args *args)
{
    struct knowledge *k = NULL;
    struct page p = {.cli = cli};
    struct error e = {0};
    int code = open_db(cli, args, true, &k), r = 0;
    if (code)
        return code;
    uint64_t refused = 0;
    for (size_t f = 0; r == 0 && f < args->n_words; f++) {
        struct import i = {
            .knowledge = k, .now = (uint64_t)time(NULL), .problem = problem, .context = &p};
        const char *path = args->words[f];
        struct str name = str_from(args_text(args, "source", ""));
        r = knowledge_source(k, name.n ? name : str_basename(str_from(path)),
                             str_from(args_text(args, "reliability", "")), i.now, &i.source, &e);
        r = r ? r : import_file(&i, path, &e);
        text_escape(str_from(path), &p.out);
        buf_addf(&p.out,
                 ": %llu new, %llu changed, %llu known, %llu older, %llu of kinds that are not "
                 "kept, %llu refused\n",
                 (unsigned long long)i.counts[KNOWLEDGE_NEW],
                 (unsigned long long)i.counts[KNOWLEDGE_CHANGED],
                 (unsigned long long)i.counts[KNOWLEDGE_SAME],
                 (unsigned long long)i.counts[KNOWLEDGE_OLDER], (unsigned long long)i.unused,
                 (unsigned long long)i.refused);
        refused += i.refused;
        import_done(&i);
    }
    int64_t version = knowledge_version(k, NULL);
    end_page(&p, version);
    knowledge_close(k);
    return r ? cli_fail(cli, &e) : refused ? CLI_NO : CLI_OK;
}

static const struct option show_options[] = {
    OPTION_DB, OPTION_AT, OPTION_VERSION, OPTION_JSON, {0}};
static const struct option list_options[] = {
    OPTION_DB,
    OPTION_AT,
    OPTION_VERSION,
    {"limit", 'n', OPTION_NUMBER, "N", "at most so many of a kind (1000)", NULL, false},
    OPTION_JSON,
    {0}};
static const struct option import_options[] = {
    OPTION_DB,
    {"source", 0, OPTION_TEXT, "NAME", "who says so (the file's name)", NULL, false},
    {"reliability", 0, OPTION_CHOICE, "A-F", "of the source, on the Admiralty scale", "A B C D E F",
     false},
    {0}};

static const struct command intel_import = {
    .name = "import",
    .arguments = "FILE...",
    .summary = "takes STIX 2.0 and 2.1 bundles, plain or gzip",
    .description = "Object by object: one that is wrong is named and refused, the others are kept. "
                   "The same file twice changes nothing; nothing that was known is overwritten.",
    .examples = "tiercel intel import enterprise-attack.json --reliability B   # with a rating",
    .options = import_options,
    .words = "<file>",
    .min_args = 1,
    .max_args = ARGS_MAX,
    .run = run_import,
};
static const struct command intel_show = {
    .name = "show",
    .arguments = "NAME",
    .summary = "what is known of an adversary, software, technique or address",
    .options = show_options,
    .min_args = 1,
    .max_args = 1,
    .run = run_show,
};
static const struct command intel_list = {
    .name = "list",
    .summary = "the adversaries: named groups and clusters",
    .options = list_options,
    .run = run_list,
};
static const struct command intel_search = {
    .name = "search",
    .arguments = "WORD",
    .summary = "everything whose name has WORD",
    .options = list_options,
    .min_args = 1,
    .max_args = 1,
    .run = run_list,
};
static const struct command *const subcommands[] = {&intel_import, &intel_show, &intel_list,
                                                    &intel_search, &intel_why,  NULL};

const struct command cmd_intel = {
    .name = "intel",
    .group = "look",
    .summary = "what is known of adversaries: import, show, list, search, why",
    .description = "doc/intelligence.md says what is kept and how.",
    .subcommands = subcommands,
};
