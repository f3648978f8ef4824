// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "cli/report.h"
#include "event/json.h"
#include "report/check.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define CLIENTS_MAX 1000
#define INDENT 4

static const struct option options[] = {
    {"client", 0, OPTION_TEXT, "NAME", "a client's name, which may not stand in the text", NULL,
     true},
    {"quiet", 'q', OPTION_FLAG, NULL, "only the places, one a line", NULL, false},
    OPTION_JSON,
    {0},
};

struct show {
    struct cli *cli;
    bool json, quiet;
    size_t files, sentences, findings, unread;
    struct buf out;
};

static int read_text(const char *path, struct buf *text, struct error *e)
{
    bool standard = strcmp(path, "-") == 0;
    _cleanup_close_ int fd = standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                      : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t got = fd < 0 ? -1 : 1;
    while (got > 0 && text->n <= REPORT_TEXT_MAX) {
        char *room = buf_room(text, 65536);
        if (!room)
            return error_set(e, -ENOMEM, "out of memory");
        got = read(fd, room, 65536);
        text->n += got > 0 ? (size_t)got : 0;
    }
    if (got < 0) {
        int code = -errno;
        error_set(e, code, "cannot be read: %s", strerror(-code));
        error_place(e, path, 0, 0);
        return code;
    }
    return 0;
}

static const char *title_of(struct str rule)
{
    const struct report_refusal *r = report_refusals();
    while (r->rule && !str_eq(str_from(r->rule), rule))
        r++;
    return r->rule ? r->title : "";
}

static void json_finding(struct show *s, const char *file, const struct report_sentence *sentence,
                         const struct report_finding *f)
{
    struct buf *b = &s->out;
    buf_add_str(b, STR("{\"file\":"));
    json_quoted(str_from(file), b);
    buf_addf(b, ",\"line\":%u,\"column\":%u,\"rule\":\"" STR_FMT "\",\"title\":", sentence->line,
             sentence->column, STR_ARG(f->rule));
    json_quoted(str_from(title_of(f->rule)), b);
    buf_add_str(b, STR(",\"sentence\":"));
    json_quoted(sentence->text, b);
    buf_add_str(b, STR(",\"found_by\":"));
    json_quoted(f->words, b);
    if (f->missing.n) {
        buf_add_str(b, STR(",\"missing\":"));
        json_quoted(f->missing, b);
    }
    buf_add_str(b, STR(",\"reason\":"));
    json_quoted(str_from(f->reason), b);
    buf_add_str(b, STR(",\"instead\":"));
    json_quoted(str_from(f->instead), b);
    buf_add_str(b, STR("}\n"));
}

static void wrapped(struct show *s, const char *head, struct str text)
{
    const struct term *t = &s->cli->out;
    unsigned first = INDENT + (unsigned)strlen(head);
    buf_addf(&s->out, "%*s", INDENT, "");
    style_text(t, STYLE_DIM, head, &s->out);
    text_wrap(text, t->width, first, INDENT + 9, &s->out);
    buf_add_char(&s->out, '\n');
}

static void show_finding(struct show *s, const char *file, const struct report_sentence *sentence,
                         const struct report_finding *f)
{
    const struct term *t = &s->cli->out;
    _cleanup_buf_ struct buf escaped = {0};
    text_escape(str_from(file), &s->out);
    buf_addf(&s->out, ":%u:%u: ", sentence->line, sentence->column);
    style_begin(t, STYLE_RED, &s->out);
    buf_addf(&s->out, STR_FMT " %s", STR_ARG(f->rule), title_of(f->rule));
    style_end(t, STYLE_RED, &s->out);
    buf_add_char(&s->out, '\n');
    if (s->quiet)
        return;
    text_escape(sentence->text, &escaped);
    wrapped(s, "says     ", buf_str(&escaped));
    buf_reset(&escaped);
    text_escape(f->words, &escaped);
    wrapped(s, "found by ", buf_str(&escaped));
    if (f->missing.n)
        wrapped(s, "missing  ", f->missing);
    wrapped(s, "why      ", str_from(f->reason));
    wrapped(s, "instead  ", str_from(f->instead));
    buf_add_char(&s->out, '\n');
}

static int check_file(struct show *s, struct report_checker *checker, const char *path,
                      struct error *e)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_buf_ struct buf text = {0};
    struct report_checked checked;
    int r = read_text(path, &text, e);
    if (r == 0)
        r = report_check(checker, &arena, buf_str(&text), path, &checked, e);
    if (r < 0)
        return r;
    for (size_t i = 0; i < checked.n; i++) {
        const struct report_finding *f = &checked.findings[i];
        if (s->json)
            json_finding(s, path, &checked.sentences[f->sentence], f);
        else
            show_finding(s, path, &checked.sentences[f->sentence], f);
        term_write(&s->cli->out, &s->out);
    }
    s->files++;
    s->sentences += checked.n_sentences;
    s->findings += checked.n;
    s->unread += checked.unread;
    return 0;
}

static void show_end(struct show *s)
{
    if (s->json) {
        buf_addf(
            &s->out,
            "{\"summary\":{\"files\":%zu,\"sentences\":%zu,\"findings\":%zu,\"unread\":%zu}}\n",
            s->files, s->sentences, s->findings, s->unread);
    } else {
        buf_addf(&s->out, "%zu sentence%s, %zu finding%s.\n", s->sentences,
                 s->sentences == 1 ? "" : "s", s->findings, s->findings == 1 ? "" : "s");
        if (s->unread)
            buf_addf(&s->out, "%zu sentences were too involved to be checked wholly.\n", s->unread);
        if (!s->findings && !s->unread)
            buf_add_str(&s->out, STR("That the numbers are right is still to be shown: this looks "
                                     "at what is said, not at the evidence.\n"));
    }
    term_write(&s->cli->out, &s->out);
}

static int run(struct cli *cli, const struct args *args)
{
    struct error e = {0};
    struct str clients[CLIENTS_MAX];
    struct report_check_options checking = {clients, 0};
    struct report_checker *checker = NULL;
    size_t position = 0;
    for (const char *name; (name = args_each(args, "client", &position));) {
        if (checking.n_clients == CLIENTS_MAX || str_trim(str_from(name)).n < 3) {
            error_set(&e, -EINVAL, "'%s' cannot be a client's name here", name);
            error_way_out(&e, "three characters or more, %d names at most", CLIENTS_MAX);
            cli_error(cli, &e);
            return CLI_USAGE;
        }
        clients[checking.n_clients++] = str_from(name);
    }
    int r = report_checker_new(&checking, &checker);
    if (r < 0) {
        error_set(&e, r, "the checker cannot be made: %s", strerror(-r));
        return cli_fail(cli, &e);
    }
    struct show s = {.cli = cli, .json = args_has(args, "json"), .quiet = args_has(args, "quiet")};
    for (size_t i = 0; r == 0 && i < args->n_words; i++)
        r = check_file(&s, checker, args->words[i], &e);
    report_checker_free(checker);
    if (r == 0)
        show_end(&s);
    buf_done(&s.out);
    if (r < 0)
        return cli_fail(cli, &e);
    return s.findings || s.unread ? CLI_NO : CLI_OK;
}

const struct command report_check_command = {
    .name = "check",
    .arguments = "FILE...",
    .summary = "Find what a report may not say, with the reason and what could be said instead",
    .description =
        "Reads text or Markdown (- is standard input) sentence by sentence, each as a reader would "
        "quote it, and finds:\nR1 that a state violated an agreement, or kept it; R2 a client "
        "named "
        "or singled out; R3 intent as fact; R4 \"no theft\" beyond coverage; R5 a sponsor by "
        "score; "
        "R6 more, fewer or the same since an event without baseline and exposure; R7 all, every, "
        "first ever; R8 a confidence and a likelihood in one sentence; R9 a single name without "
        "the "
        "unknown adversary; R10 a number without window, counting rule and denominator.\nExit code "
        "1 when anything is found. English only; doc/reports.md says how often it is right.",
    .examples = "tiercel report check draft.md                       # before it is published\n"
                "tiercel report check --client 'Aldwin Metals' --json draft.md  # in CI",
    .options = options,
    .words = "<file>",
    .min_args = 1,
    .max_args = 1000,
    .run = run,
};
