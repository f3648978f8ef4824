// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "cli/command.h"
#include "cli/journal.h"
#include "event/json.h"

#include <errno.h>
#include <fcntl.h>

static const struct option options[] = {OPTION_JSON, OPTION_JOURNAL, {0}};

static void print_json(struct cli *cli, int r, uint64_t batches, const struct error *e)
{
    _cleanup_buf_ struct buf b = {0};
    buf_addf(&b, "{\"whole\":%s,\"batches\":%llu", r < 0 ? "false" : "true",
             (unsigned long long)batches);
    if (r < 0) {
        buf_add_str(&b, STR(",\"what\":"));
        json_quoted(str_from(e->what), &b);
        buf_add_str(&b, STR(",\"file\":"));
        json_quoted(str_from(e->file), &b);
    }
    buf_add_str(&b, STR("}\n"));
    term_write(&cli->out, &b);
}

static int run(struct cli *cli, const struct args *args)
{
    const char *path = args_text(args, "journal", JOURNAL_FOLDER);
    struct error e = {0};
    struct journal *journal = NULL;
    if (journal_open(path, &journal, &e) < 0) // for its words about what is missing
        return cli_fail(cli, &e);
    size_t segments = journal_segments(journal);
    journal_close(journal);
    _cleanup_close_ int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        error_set(&e, -errno, "%s is no folder", path);
        error_way_out(&e, "give the folder of the segments");
        return cli_fail(cli, &e);
    }
    if (segments == 0) { // "whole" would be true and misleading
        error_set(&e, -ECONNREFUSED, "there are no segments in %s", path);
        error_way_out(&e, "is this the folder of a journal?");
        return cli_fail(cli, &e);
    }
    uint64_t batches = 0;
    int r = journal_verify(folder, &batches, &e);
    if (args_has(args, "json"))
        print_json(cli, r, batches, &e);
    else if (r >= 0)
        fprintf(cli->out.file,
                "The journal is whole: %llu batches, each with the hash of the one before.\n%s%s",
                (unsigned long long)batches, e.what, e.what[0] ? "\n" : "");
    if (r >= 0)
        return CLI_OK;
    cli_error(cli, &e);
    return CLI_NO;
}

const struct command cmd_verify = {
    .name = "verify",
    .group = "look",
    .summary = "Prove that the journal was not changed: walk its chain of hashes",
    .description = "Exit code 1 when the chain is broken; the first broken place is named. While "
                   "the agent writes, its last "
                   "batch may be half written.",
    .options = options,
    .run = run,
};
