// SPDX-License-Identifier: Apache-2.0
#include "attribute/attribute.h"
#include "cli/command.h"

#include <errno.h>

static const struct option options[] = {
    {"knowledge", 'k', OPTION_FILE, "FILE", "a STIX bundle or case lines, plain or gzip", NULL,
     true},
    {"cases", 'c', OPTION_FILE, "FILE", "labelled cases, one JSON object a line", NULL, false},
    {"leave-one-out", 0, OPTION_FLAG, NULL,
     "the cases are knowledge too, but for each one those that share a reference with it", NULL,
     false},
    OPTION_JSON,
    {0},
};

static double share(uint32_t a, uint32_t b)
{
    return b ? (double)a / b : 0;
}

static void show(struct cli *cli, const struct intel *k, const struct attribute_bench *b, bool json)
{
    struct buf out = {0};
    const struct {
        const char *key, *words;
        double value;
    } rows[] = {
        {"cases", "cases with a known actor", b->n},
        {"top1", "right one first", share(b->top1, b->n)},
        {"top1_low", "  95 % interval from", b->top1_low},
        {"top1_high", "  to", b->top1_high},
        {"top3", "right one among three", share(b->top3, b->n)},
        {"top1_even", "first, even cases", share(b->half_top1[0], b->half_n[0])},
        {"top1_odd", "first, odd cases", share(b->half_top1[1], b->half_n[1])},
        {"coverage", "a name was given", share(b->named, b->n)},
        {"precision", "  and it was right", share(b->named_right, b->named)},
        {"held_out_named", "right one held out, yet named", share(b->held_out_named, b->held_out)},
        {"brier", "Brier score", b->brier},
        {"log_score", "log score (nats)", b->log_score},
        {"ece", "expected calibration error", b->ece},
        {"frequency_top1", "baseline frequency, first", share(b->frequency1, b->n)},
        {"jaccard_top1", "baseline Jaccard, first", share(b->jaccard1, b->n)},
        {"over_jaccard_low", "gain over Jaccard, 95 % from", b->paired_low},
        {"over_jaccard_high", "  to", b->paired_high},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (json)
            buf_addf(&out, "%s\"%s\":%.4f", i ? "," : "{", rows[i].key, rows[i].value);
        else
            buf_addf(&out, "%-32s %.3f\n", rows[i].words, rows[i].value);
    buf_addf(&out,
             json ? ",\"skipped\":%llu,\"knowledge\":\"%016llx\"}\n"
                  : "objects skipped: %llu; knowledge %016llx\n",
             (unsigned long long)k->skipped, (unsigned long long)k->version);
    term_write(&cli->out, &out);
    buf_done(&out);
}

static int run(struct cli *cli, const struct args *args)
{
    struct intel k;
    struct error e = {0};
    struct attribute_bench b;
    const char *file, *cases = args_text(args, "cases", NULL);
    int r = intel_init(&k);
    for (size_t at = 0; !r && (file = args_each(args, "knowledge", &at));)
        r = intel_load_file(&k, file, true, &e);
    // What knowledge files brought as cases is known, and not asked.
    uint32_t first = k.n_cases;
    if (!r && (!cases || !str_eq(str_from(args->words[0]), STR("attribution")))) {
        r = error_set(&e, -EINVAL, cases ? "no such bench" : "no cases");
        error_way_out(&e, "tiercel bench attribution --knowledge FILE --cases FILE");
    }
    if (!r)
        r = intel_load_file(&k, cases, args_has(args, "leave-one-out"), &e);
    if (!r)
        r = attribute_bench(&k, first, &b);
    if (!r)
        show(cli, &k, &b, args_has(args, "json"));
    intel_done(&k);
    return r ? cli_fail(cli, &e) : CLI_OK;
}

const struct command cmd_bench = {
    .name = "bench",
    .group = "other",
    .arguments = "attribution",
    .summary = "measure attribution on labelled cases",
    .description = "Attributes each case with knowledge from before its date, and tells how often "
                   "the right adversary came first, how "
                   "often a name was given and was right, how often one was given with the right "
                   "one held out, and how well the "
                   "probabilities hold. Only what is measured is told: doc/attribution.md.",
    .examples = "tiercel bench attribution -k enterprise-attack.json -c cases.jsonl   # past cases "
                "of your own",
    .options = options,
    .words = "attribution",
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
