// SPDX-License-Identifier: Apache-2.0
// `tiercel report draft` and `tiercel report verify`.
#include "base/cleanup.h"
#include "cli/report.h"
#include "report/check.h"
#include "report/document.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct option draft_options[] = {
    {"hub-state", 0, OPTION_FOLDER, "DIR", "state folder of the hub", NULL, false},
    {"from", 0, OPTION_TEXT, "DATE", "first day, UTC: 2015-09-25", NULL, false},
    {"to", 0, OPTION_TEXT, "DATE", "last day, UTC", NULL, false},
    {"external", 0, OPTION_FILE, "FILE", "an event with its date and clauses, JSON", NULL, false},
    {"knowledge", 'k', OPTION_FILE, "FILE", "of adversaries; may be given more than once", NULL,
     true},
    {"knowledge-version", 0, OPTION_TEXT, "VERSION",
     "refuse other knowledge than that of an earlier report", NULL, false},
    {"edition", 0, OPTION_CHOICE, "EDITION", "internal names clients; public is the default",
     "public internal", false},
    {"key", 0, OPTION_FILE, "FILE", "private Ed25519 key (PEM) that signs the manifest", NULL,
     false},
    {"output", 'o', OPTION_FOLDER, "DIR", "folder for the report's files", NULL, false},
    {0},
};

// No sentence that `report check` refuses goes out, an external event's words included.
static int check_text(const struct draft *d, const struct claims *c, struct error *e)
{
    _cleanup_arena_ struct arena arena = {0};
    struct str names[REGISTRY_CLIENTS_MAX];
    struct report_check_options options = {names, 0};
    struct report_checker *checker = NULL;
    struct report_checked checked = {0};
    for (size_t i = 0; d->request->for_public && i < d->n_clients; i++)
        if (strlen(d->clients[i].name) >= 3)
            names[options.n_clients++] = str_from(d->clients[i].name);
    int r = report_checker_new(&options, &checker);
    if (r == 0)
        r = report_check(checker, &arena, buf_str(&c->text), "report.txt", &checked, e);
    if (r == 0 && checked.n) {
        const struct report_finding *f = &checked.findings[0];
        r = error_set(e, -EPERM, STR_FMT ": " STR_FMT, STR_ARG(f->rule),
                      STR_ARG(checked.sentences[f->sentence].text));
        error_way_out(e, "%s", f->instead);
    }
    report_checker_free(checker);
    return r;
}

static int make(const struct draft_request *request, const struct args *args, struct cli *cli,
                struct error *e)
{
    struct draft *d = calloc(1, sizeof *d);
    const char *output = args_text(args, "output", NULL), *key = args_text(args, "key", NULL);
    struct claims c = {0};
    char from[32], to[32];
    if (!d)
        return error_set(e, -ENOMEM, "out of memory");
    draft_date(request->from_ns, from);
    draft_date(request->to_ns - DRAFT_DAY_NS, to);
    c.from = from;
    c.to = to;
    int r = draft_read(request, d, e);
    if (r == 0)
        r = draft_claim(d, &c, e);
    if (r == 0)
        r = check_text(d, &c, e);
    if (r == 0)
        r = document_write(d, &c, output, e);
    if (r == 0 && key)
        r = document_sign(output, key, e);
    if (r == 0) {
        _cleanup_buf_ struct buf out = {0};
        buf_add_str(&out, buf_str(&c.text));
        buf_addf(&out, "\n");
        text_escape(str_from(output), &out);
        buf_add_str(&out, STR("/report.html\n"));
        term_write(&cli->out, &out);
    }
    claims_done(&c);
    draft_done(d);
    free(d);
    return r;
}

static int check_version(const struct intel *k, const char *wanted, struct error *e)
{
    char version[17];
    snprintf(version, sizeof version, "%016llx", (unsigned long long)k->version);
    if (!wanted || strcmp(wanted, version) == 0)
        return 0;
    error_set(e, -EINVAL, "the knowledge given is version %s, not %s",
              k->n_adversaries ? version : "none", wanted);
    error_way_out(e, "give the files of that version with --knowledge, in the same order");
    return -EINVAL;
}

static int run_draft(struct cli *cli, const struct args *args)
{
    struct error e = {0};
    struct intel k;
    struct draft_request q = {.state = args_text(args, "hub-state", "/var/lib/tiercel-hub"),
                              .external = args_text(args, "external", NULL),
                              .for_public =
                                  strcmp(args_text(args, "edition", "public"), "public") == 0};
    const char *output = args_text(args, "output", NULL), *file;
    size_t position = 0;
    if (!output || draft_day(args_text(args, "from", ""), &q.from_ns) < 0 ||
        draft_day(args_text(args, "to", ""), &q.to_ns) < 0 || q.to_ns < q.from_ns) {
        error_set(&e, -EINVAL, "a window and a folder are needed");
        error_way_out(&e, "--from 2015-09-25 --to 2015-10-19 --output DIR");
        cli_error(cli, &e);
        return CLI_USAGE;
    }
    q.to_ns += DRAFT_DAY_NS;
    int r = intel_init(&k);
    while (r == 0 && (file = args_each(args, "knowledge", &position))) {
        r = intel_load_file(&k, file, true, &e);
        q.knowledge = &k;
    }
    if (r == 0)
        r = check_version(&k, args_text(args, "knowledge-version", NULL), &e);
    if (r == 0)
        r = make(&q, args, cli, &e);
    intel_done(&k);
    return r < 0 ? cli_fail(cli, &e) : CLI_OK;
}

static int run_verify(struct cli *cli, const struct args *args)
{
    struct error e = {0};
    size_t files = 0;
    const char *signer = args_text(args, "signer", NULL);
    int r = document_verify(args->words[0], &files, &e);
    if (r == 0 && signer)
        r = document_verify_signature(args->words[0], signer, &e);
    if (r < 0) {
        cli_error(cli, &e);
        return r == -EBADMSG ? CLI_NO : CLI_FAILED;
    }
    _cleanup_buf_ struct buf out = {0};
    buf_addf(&out, "%zu files are as the manifest says; %s.\n", files,
             signer ? "it is signed by this key" : "who signed it was not asked (--signer)");
    term_write(&cli->out, &out);
    return CLI_OK;
}

static const struct option verify_options[] = {
    {"signer", 0, OPTION_FILE, "FILE", "public Ed25519 key (PEM) that must have signed it", NULL,
     false},
    {0},
};

const struct command report_draft_command = {
    .name = "draft",
    .summary = "Write a report of all clients' attempts in a window, from a hub's state folder",
    .description =
        "Every sentence is a claim: observed, assessed or not claimed, with its counting rule, "
        "denominator and evidence. A public edition names no client, withholds sectors and days "
        "and is refused below 5 clients. Damaged evidence is refused. The same folder, window, "
        "event and knowledge give the same bytes.",
    .examples =
        "tiercel report draft --from 2015-09-25 --to 2015-10-19 --external event.json -o out\n",
    .options = draft_options,
    .run = run_draft,
};

const struct command report_verify_command = {
    .name = "verify",
    .arguments = "DIR",
    .summary = "Is each file of a report as it was written?",
    .options = verify_options,
    .words = "<folder>",
    .min_args = 1,
    .max_args = 1,
    .run = run_verify,
};
