// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "cli/draw.h"
#include "cli/hunt.h"
#include "cli/journal.h"
#include "cli/live.h"
#include "event/json.h"
#include "event/leaf.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define PROGRESS_EVERY_NS 250000000u

static const struct option options[] = {
    {"in", 0, OPTION_TEXT, "PATH",
     "where: a hub client's folder, a journal, a segment file (this host's journal)", NULL, true},
    {"rule", 'r', OPTION_FILE, "FILE", "Sigma rules, a file or a folder of them", NULL, true},
    {"kind", 'k', OPTION_CHOICE, "KIND", "only this kind",
     "exec fork exit connect file dns socket flow credentials access module bpf mount namespaces "
     "signal response hash agent",
     true},
    FILTER_OPTIONS,
    {"host", 0, OPTION_TEXT, "ID", "only this host, by its machine id", NULL, true},
    {"hash", 0, OPTION_TEXT, "SHA256", "a program or file with this content", NULL, true},
    {"address", 0, OPTION_TEXT, "IP", "a connection or an answered name with this address", NULL,
     true},
    {"domain", 0, OPTION_TEXT, "NAME", "this name was asked for or connected to", NULL, true},
    {"program", 0, OPTION_TEXT, "PATH", "a program with exactly this path", NULL, true},
    {"limit", 'n', OPTION_NUMBER, "N", "stop after N results (1000); 0: all", NULL, false},
    {"quiet", 'q', OPTION_FLAG, NULL, "only the counts", NULL, false},
    OPTION_JSON,
    {0},
};

struct show {
    struct cli *cli;
    bool json, quiet, drawn;
    bool any;
    uint8_t host[16];
    uint64_t now_ns, next_ns, began_ns;
    struct buf out;
};

static uint64_t clock_of(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void wipe_progress(struct show *s)
{
    if (s->drawn)
        fputs("\r\033[K", s->cli->err.file);
    s->drawn = false;
}

static void show_progress(void *context, const struct hunt *h)
{
    struct show *s = context;
    uint64_t now = clock_of(CLOCK_MONOTONIC);
    if (now < s->next_ns)
        return;
    s->next_ns = now + PROGRESS_EVERY_NS;
    s->drawn = true;
    fprintf(s->cli->err.file, "\r\033[K%3u %%  %llu events looked at, %llu found",
            h->counts.bytes ? (unsigned)(h->counts.bytes_done * 100 / h->counts.bytes) : 100,
            (unsigned long long)h->events, (unsigned long long)h->results);
    fflush(s->cli->err.file);
}

static void tell_problem(void *context, const struct error *e)
{
    struct show *s = context;
    wipe_progress(s);
    cli_error(s->cli, e);
}

static void show_host(struct show *s, const uint8_t host[16])
{
    char text[32];
    if (s->any && memcmp(s->host, host, 16) == 0)
        return;
    s->any = true;
    memcpy(s->host, host, 16);
    leaf_print_hex(str_bytes(host, 16), text);
    buf_addf(&s->out, "host %.32s\n", text);
}

static void show_json(struct show *s, const uint8_t host[16], Tiercel__Event *event,
                      Tiercel__Detection *detection)
{
    char text[32];
    leaf_print_hex(str_bytes(host, 16), text);
    buf_addf(&s->out, "{\"host\":\"%.32s\",\"%s\":", text, detection ? "detection" : "event");
    json_print(detection ? &detection->base : &event->base, &s->out);
    buf_add_str(&s->out, STR("}\n"));
}

static int show_found(void *context, const uint8_t host[16], Tiercel__Event *event,
                      Tiercel__Detection *detection)
{
    struct show *s = context;
    if (s->quiet)
        return 0;
    if (s->json) {
        show_json(s, host, event, detection);
    } else {
        show_host(s, host);
        if (detection)
            draw_detection(&s->cli->out, detection, NULL, s->now_ns, false, &s->out);
        else
            draw_event(&s->cli->out, event, s->now_ns, &s->out);
    }
    if (s->cli->out.terminal || s->out.n > 65536) {
        wipe_progress(s);
        term_write(&s->cli->out, &s->out);
    }
    return ferror(s->cli->out.file) != 0;
}

static void show_counts(struct show *s, const struct hunt *h, bool stopped)
{
    const struct store_walk_counts *c = &h->counts;
    double seconds = (double)(clock_of(CLOCK_MONOTONIC) - s->began_ns) / 1e9;
    wipe_progress(s);
    term_write(&s->cli->out, &s->out);
    if (s->json)
        fprintf(s->cli->out.file,
                "{\"summary\":{\"results\":%llu,\"events\":%llu,\"batches\":%llu,"
                "\"batches_skipped\":%llu,\"files\":%llu,\"files_skipped\":%llu,\"damaged\":%llu,"
                "\"suppressed\":%llu,\"complete\":%s}}\n",
                (unsigned long long)h->results, (unsigned long long)h->events,
                (unsigned long long)c->batches, (unsigned long long)c->batches_skipped,
                (unsigned long long)c->files, (unsigned long long)c->files_skipped,
                (unsigned long long)c->damaged, (unsigned long long)h->suppressed,
                stopped ? "false" : "true");
    else
        fprintf(s->cli->err.file,
                "%llu found in %llu events, %.2f s; passed over: %llu of %llu files, %llu of %llu "
                "batches\n",
                (unsigned long long)h->results, (unsigned long long)h->events, seconds,
                (unsigned long long)c->files_skipped, (unsigned long long)c->files,
                (unsigned long long)c->batches_skipped, (unsigned long long)c->batches);
    if (h->suppressed && !s->json)
        fprintf(s->cli->err.file, "%llu detections more were kept back by the flood limit\n",
                (unsigned long long)h->suppressed);
    if (stopped && !s->json)
        fprintf(s->cli->err.file, "stopped at the limit; --limit 0 looks through everything\n");
}

static int take_words(struct hunt *h, const struct args *args, struct error *e)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < args->n_words; i++) {
        if (h->filter.n_fields == FILTER_MAX)
            return error_set(e, -E2BIG, "more than %d conditions", FILTER_MAX);
        r = filter_parse_field(str_from(args->words[i]), &h->filter.fields[h->filter.n_fields], e);
        h->filter.n_fields += r == 0;
    }
    return r;
}

static int take_values(struct hunt *h, const struct args *args, struct error *e)
{
    static const struct {
        const char *option;
        enum store_key_type type;
    } values[] = {{"hash", STORE_HASH},
                  {"address", STORE_ADDRESS},
                  {"domain", STORE_DOMAIN},
                  {"program", STORE_PATH}};
    const char *text;
    int r = 0;
    for (size_t v = 0; v < sizeof values / sizeof *values; v++)
        for (size_t i = 0; r == 0 && (text = args_each(args, values[v].option, &i));)
            r = hunt_key_add(h, values[v].type, text, e);
    for (size_t i = 0; r == 0 && (text = args_each(args, "host", &i));)
        r = hunt_host_add(h, text, e);
    return r;
}

static int take_rules(struct hunt *h, const struct args *args, struct error *e)
{
    const char *path;
    int r = 0;
    for (size_t i = 0; r >= 0 && (path = args_each(args, "rule", &i));)
        r = hunt_rules_add(h, path, e);
    return r >= 0 && h->detect ? hunt_rules_ready(h, e) : r;
}

static int run_places(struct hunt *h, const struct args *args, struct error *e)
{
    const char *place;
    struct store_walk_counts before = {0};
    int r = 0;
    size_t i = 0;
    if (!args_has(args, "in"))
        return hunt_run(h, JOURNAL_FOLDER, e);
    while (r == 0 && (place = args_each(args, "in", &i))) {
        r = hunt_run(h, place, e);
        h->counts.files += before.files;
        h->counts.files_skipped += before.files_skipped;
        h->counts.batches += before.batches;
        h->counts.batches_skipped += before.batches_skipped;
        h->counts.damaged += before.damaged;
        before = h->counts;
    }
    return r;
}

static int run(struct cli *cli, const struct args *args)
{
    struct error e = {0};
    struct hunt *h = calloc(1, sizeof *h);
    struct show show = {.cli = cli,
                        .json = args_has(args, "json"),
                        .quiet = args_has(args, "quiet"),
                        .now_ns = clock_of(CLOCK_REALTIME),
                        .began_ns = clock_of(CLOCK_MONOTONIC)};
    int r = h ? hunt_init(h, &e) : error_set(&e, -ENOMEM, "out of memory");
    if (r == 0)
        r = filter_parse(args, &h->filter, &e);
    if (r == 0)
        r = take_words(h, args, &e);
    if (r == 0)
        r = take_values(h, args, &e);
    bool usage = r < 0;
    if (r == 0)
        r = take_rules(h, args, &e);
    if (r >= 0) {
        h->limit = args_number(args, "limit", 1000);
        h->found = show_found;
        h->problem = tell_problem;
        h->progress = cli->err.terminal && !show.json ? show_progress : NULL;
        h->context = &show;
        r = run_places(h, args, &e);
        if (r >= 0)
            show_counts(&show, h, r == 1);
    }
    wipe_progress(&show);
    buf_done(&show.out);
    if (h)
        hunt_done(h);
    free(h);
    if (r >= 0)
        return CLI_OK;
    int code = cli_fail(cli, &e);
    return usage ? CLI_USAGE : code;
}

const struct command cmd_hunt = {
    .name = "hunt",
    .group = "look",
    .arguments = "[CONDITION...]",
    .summary = "Look for something in stored events, by conditions, values or Sigma rules",
    .description =
        "Looks through this host's journal, or through --in: the folder of a hub's client, a "
        "journal folder, a segment file. A CONDITION is NAME=VALUE, NAME!=VALUE, NAME<NUMBER or "
        "NAME>NUMBER, as in `tiercel events -F`; * and ? in VALUE. With --rule the same compiled "
        "rules that the agent runs are run over what passes the conditions. All given must hold; "
        "of --host, --hash, --address, --domain and --program any. Values, hosts and times pass "
        "over whole files by the hub's catalogue, and batches by their headers.",
    .examples = "tiercel hunt 'Image=*/sh' --since 7d\n"
                "tiercel hunt --rule new-rules/ --in /var/lib/tiercel-hub/clients/acme\n"
                "tiercel hunt --address 203.0.113.7 --in /var/lib/tiercel-hub/clients/acme --json",
    .options = options,
    .min_args = 0,
    .max_args = FILTER_MAX,
    .run = run,
};
