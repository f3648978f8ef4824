// SPDX-License-Identifier: Apache-2.0
#include "cli/place.h"
#include "cli/rulefiles.h"
#include "cli/rules.h"
#include "detect/rule_test.h"
#include "event/json.h"

#include <stdlib.h>
#include <unistd.h>

static const struct option options[] = {
    {"all", 'a', OPTION_FLAG, NULL, "name the examples that passed too", NULL, false},
    OPTION_JSON,
    {0},
};

struct show {
    struct cli *cli;
    const char *file;
    bool json, all;
    unsigned files, without, failed_files;
    unsigned long cases, failed;
    struct buf out;
};

static void show_json(struct show *s, const struct detect_case *c)
{
    buf_add_str(&s->out, STR("{\"file\":"));
    json_quoted(str_from(s->file), &s->out);
    buf_addf(&s->out, ",\"line\":%u,\"kind\":\"%s\",\"passed\":%s,\"name\":", c->line, c->kind,
             c->passed ? "true" : "false");
    json_quoted(str_from(c->name), &s->out);
    if (!c->passed) {
        buf_add_str(&s->out, STR(",\"why\":"));
        json_quoted(str_from(c->why), &s->out);
    }
    buf_add_str(&s->out, STR("}\n"));
}

static void show_case(void *context, const struct detect_case *c)
{
    struct show *s = context;
    const struct term *t = &s->cli->out;
    if (s->json) {
        show_json(s, c);
        return;
    }
    if (c->passed && !s->all)
        return;
    style_text(t, c->passed ? STYLE_GREEN : STYLE_RED, c->passed ? "passed  " : "FAILED  ",
               &s->out);
    text_escape(str_from(s->file), &s->out);
    buf_addf(&s->out, ":%u: %s: ", c->line, c->kind);
    text_escape(str_from(c->name), &s->out);
    if (!c->passed) {
        buf_add_str(&s->out, STR(": "));
        text_escape(str_from(c->why), &s->out);
    }
    buf_add_char(&s->out, '\n');
}

// The examples beside a rule's file; false when there are none.
static bool examples_of(const char *rule, char *ret, size_t size)
{
    struct str s = str_from(rule);
    int n = snprintf(ret, size, "%.*s.test.yml", str_ends(s, STR(".yml")) ? (int)s.n - 4 : (int)s.n,
                     rule);
    return n > 0 && (size_t)n < size && access(ret, F_OK) == 0;
}

static void test_file(struct show *s, const char *rule)
{
    char examples[1024];
    struct detect_test_counts counts = {0};
    struct error e = {0};
    s->files++;
    if (!examples_of(rule, examples, sizeof examples)) {
        s->without++;
        if (!s->json) {
            style_text(&s->cli->out, STYLE_YELLOW, "none    ", &s->out);
            text_escape(str_from(rule), &s->out);
            buf_add_str(&s->out, STR(": has no examples (.test.yml) beside it\n"));
        }
        return;
    }
    s->file = examples;
    if (detect_test_file(rule, show_case, s, &counts, &e) < 0) {
        s->failed_files++;
        term_write(&s->cli->out, &s->out);
        cli_error(s->cli, &e);
        return;
    }
    s->cases += counts.cases;
    s->failed += counts.failed;
}

static int run(struct cli *cli, const struct args *args)
{
    _cleanup_rulefiles_ struct rulefiles files = {0};
    struct show s = {.cli = cli, .json = args_has(args, "json"), .all = args_has(args, "all")};
    struct error e = {0};
    char folder[512];
    if (args->n_words == 0 && place_rules(folder, sizeof folder, &e) < 0)
        return cli_fail(cli, &e);
    for (size_t i = 0; i < args->n_words || i == 0; i++)
        if (rulefiles_collect(args->n_words ? args->words[i] : folder, &files, &e) < 0)
            return cli_fail(cli, &e);
    for (size_t i = 0; i < files.n; i++)
        test_file(&s, files.paths[i]);
    if (s.json)
        buf_addf(&s.out,
                 "{\"summary\":{\"files\":%u,\"without_examples\":%u,\"errors\":%u,\"examples\":%"
                 "lu,\"failed\":%lu}}\n",
                 s.files, s.without, s.failed_files, s.cases, s.failed);
    else
        buf_addf(&s.out,
                 "%lu examples of %u rule files: %lu failed, %u files with errors, %u files "
                 "without examples\n",
                 s.cases, s.files, s.failed, s.failed_files, s.without);
    term_write(&cli->out, &s.out);
    buf_done(&s.out);
    return s.failed || s.failed_files || s.cases == 0 ? CLI_NO : CLI_OK;
}

const struct command rules_test = {
    .name = "test",
    .arguments = "[PATH...]",
    .summary = "Hold rules against the examples beside them (NAME.test.yml)",
    .description = "Each rule must fire on its `match` events and on none of its `no_match` and "
                   "`benign` ones; doc/rules.md has "
                   "the form. Exit code 1 when an example fails.",
    .options = options,
    .words = "<file>",
    .max_args = ARGS_MAX,
    .run = run,
};
