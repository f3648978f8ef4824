// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "cli/attempt_draw.h"
#include "cli/attempt_read.h"
#include "cli/found.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <time.h>

static const struct option options[] = {
    {"why", 0, OPTION_TEXT, "TEXT", "of a merge or split: kept with who did it", NULL, false},
    OPTION_JSON,
    OPTION_JOURNAL,
    OPTION_CHANGES,
    {0},
};

static void who(char ret[64])
{
    const char *sudo = getenv("SUDO_USER");
    const struct passwd *p = getpwuid(getuid());
    if (sudo && *sudo && getuid() == 0)
        snprintf(ret, 64, "%s (sudo)", sudo);
    else if (p)
        snprintf(ret, 64, "%s", p->pw_name);
    else
        snprintf(ret, 64, "uid %u", getuid());
}

static int show(struct cli *cli, const struct args *args, struct journal *j,
                const struct attempts *a)
{
    _cleanup_buf_ struct buf b = {0};
    struct error e = {0};
    size_t i;
    int r = attempts_find(a, str_from(args->words[0]), &i, &e);
    if (r == 0 && args_has(args, "json"))
        attempt_print_json(a, attempts_get(a, i), &b);
    else if (r == 0)
        r = attempt_story(&cli->out, j, a, attempts_get(a, i), &b, &e);
    term_write(&cli->out, &b);
    return r == -ESRCH || r == -EEXIST ? (cli_error(cli, &e), CLI_NO)
           : r < 0                     ? cli_fail(cli, &e)
                                       : CLI_OK;
}

static int names_of_merge(const struct args *args, const struct attempts *a,
                          struct attempt_change *c, struct error *e)
{
    size_t at[2] = {0};
    for (size_t i = 0; i < 2; i++) {
        int r = attempts_find(a, str_from(args->words[i + 1]), &at[i], e);
        if (r < 0)
            return r;
        c->names[c->n_names++] = attempts_get(a, at[i])->id;
    }
    return at[0] == at[1] ? error_set(e, -ESRCH, "both are the same attempt") : 0;
}

static int names_of_split(const struct args *args, const struct attempts *a,
                          struct attempt_change *c, struct error *e)
{
    size_t at, staying = 0;
    int r = attempts_find(a, str_from(args->words[1]), &at, e);
    if (r < 0)
        return r;
    const struct attempt *one = attempts_get(a, at);
    c->names[c->n_names++] = one->id;
    for (size_t i = 2; i < args->n_words; i++) {
        uint64_t id;
        size_t before = c->n_names;
        r = found_parse_id(args->words[i], &id, e);
        for (size_t k = 0; r == 0 && k < one->n_detections; k++) {
            const struct attempt_detection *d = attempts_detection(a, one->detections[k]);
            if (d->id == id && c->n_names < ATTEMPT_CHANGE_NAMES)
                c->names[c->n_names++] = d->name;
        }
        if (r == 0 && c->n_names == before)
            r = error_set(e, -ESRCH, "the attempt has no detection #%llu, or too many are given",
                          (unsigned long long)id);
        if (r < 0)
            return r;
    }
    for (size_t k = 0; k < one->n_nodes; k++) {
        bool goes = false;
        for (size_t i = 0; i < one->n_detections; i++)
            for (size_t n = 1; n < c->n_names; n++) {
                const struct attempt_detection *d = attempts_detection(a, one->detections[i]);
                goes = goes || (d->node == one->nodes[k] && d->name == c->names[n]);
            }
        staying += !goes;
    }
    if (staying)
        return 0;
    error_set(e, -ESRCH, "nothing would be left of it");
    error_way_out(e, "a detection goes with all of its lineage");
    return -ESRCH;
}

static int change(struct cli *cli, const struct args *args, const struct attempts *a, bool split)
{
    struct error e = {0};
    struct attempt_change c = {.split = split};
    const char *why = args_text(args, "why", "");
    struct timespec now;
    if (!*why || args->n_words < 3 || (!split && args->n_words != 3) ||
        strlen(why) >= sizeof c.why) {
        error_set(&e, -EINVAL,
                  split ? "a split needs ID, DETECTION... and --why TEXT"
                        : "a merge needs two IDs and --why TEXT");
        cli_error(cli, &e);
        return CLI_USAGE;
    }
    int r = split ? names_of_split(args, a, &c, &e) : names_of_merge(args, a, &c, &e);
    if (r == 0) {
        clock_gettime(CLOCK_REALTIME, &now);
        c.time = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
        who(c.who);
        snprintf(c.why, sizeof c.why, "%s", why);
        r = attempt_write(args, &c, &e);
    }
    if (r < 0)
        return r == -ESRCH || r == -EEXIST ? (cli_error(cli, &e), CLI_NO) : cli_fail(cli, &e);
    char id[ATTEMPT_ID_DIGITS + 1];
    attempt_id_words(c.names[split], id);
    fprintf(cli->out.file,
            split ? "split off: tiercel attempt %s\n" : "merged: tiercel attempt %s\n", id);
    return CLI_OK;
}

static int run(struct cli *cli, const struct args *args)
{
    struct error e = {0};
    struct attempts *a = NULL;
    struct journal *j = NULL;
    if (attempt_read(cli, args, &j, &a, &e) < 0)
        return cli_fail(cli, &e);
    int code;
    if (!strcmp(args->words[0], "merge") || !strcmp(args->words[0], "split"))
        code = change(cli, args, a, args->words[0][0] == 's');
    else
        code = show(cli, args, j, a);
    attempts_free(a);
    journal_close(j);
    return code;
}

const struct command cmd_attempt = {
    .name = "attempt",
    .group = "look",
    .arguments = "ID | merge ID ID | split ID DETECTION...",
    .summary = "One attempt as a story; merge and split by hand",
    .description =
        "In order of time, with the process tree, what was stopped, the evidence of the outcome "
        "and the reasons of each join. ID is what `tiercel attempts` shows; its first digits are "
        "enough. A split takes the whole lineage of each DETECTION out. Merges and splits are "
        "kept with who and why, and hold whatever comes later.",
    .examples = "tiercel attempt 4f1c\n"
                "tiercel attempt merge 4f1c a302 --why 'same session by the proxy log'\n"
                "tiercel attempt split 4f1c 262230 --why 'the nightly report'",
    .options = options,
    .words = "merge split",
    .min_args = 1,
    .max_args = 70,
    .run = run,
};
