// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "cli/command.h"
#include "cli/sim.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <time.h>

#define SECOND ((uint64_t)1000000000)

static const struct option options[] = {
    {"hub", 0, OPTION_TEXT, "URL", "the hub's listener for people, https://HOST:PORT", NULL, false},
    {"keys", 0, OPTION_FILE, "FILE", "enrolment keys, lines of client, tab, key", NULL, false},
    {"state", 0, OPTION_FOLDER, "DIR", "folder for the hosts' own keys and certificates", NULL,
     false},
    {"plan", 0, OPTION_FILE, "FILE", "who reports what, and when: client, host, recording, start",
     NULL, false},
    {"start", 0, OPTION_TIME, "TIME", "what a start like +2h in the plan counts from (now)", NULL,
     false},
    {"shift", 0, OPTION_DURATION, "TIME", "all of it so much later", NULL, false},
    {"authority", 0, OPTION_FILE, "FILE", "certificate that the hub's must be signed by (PEM)",
     NULL, false},
    {"fingerprint", 0, OPTION_TEXT, "SHA256", "the same, by its fingerprint", NULL, false},
    {"patience", 0, OPTION_DURATION, "TIME", "ask a hub that does not answer so long (1m)", NULL,
     false},
    OPTION_JSON,
    {0}};

static uint64_t now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static int read_keys(const char *path, struct sim_keys *ret, struct error *e)
{
    if (!path)
        return 0;
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    if (!f)
        return error_set(e, -errno, "%s cannot be opened: %s", path, strerror(errno));
    return sim_keys_read(f, path, ret, e);
}

static int read_plan(const char *path, uint64_t base_ns, struct sim_plan *ret, struct error *e)
{
    char folder[400];
    const char *slash = strrchr(path, '/');
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    if (!f)
        return error_set(e, -errno, "%s cannot be opened: %s", path, strerror(errno));
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    return sim_plan_read(f, path, folder, base_ns, ret, e);
}

static void print(struct cli *cli, const struct sim_counts *c, size_t hosts, size_t lines,
                  uint64_t took_ns, bool json)
{
    double s = (double)took_ns / 1e9, events = (double)c->events;
    fprintf(cli->out.file,
            json ? "{\"hosts\":%zu,\"recordings\":%zu,\"records\":%" PRIu64 ",\"events\":%" PRIu64
                   ",\"detections\":%" PRIu64 ",\"requests\":%" PRIu64 ",\"again\":%" PRIu64
                   ",\"bytes\":%" PRIu64 ",\"bytes_per_event\":%.1f,\"seconds\":%.3f,"
                   "\"events_per_second\":%.0f}\n"
                 : "%zu hosts replayed %zu recordings: %" PRIu64 " records with %" PRIu64
                   " events and %" PRIu64 " detections, all durable\n"
                   "%" PRIu64 " requests, %" PRIu64 " sent again; %" PRIu64
                   " bytes, %.1f an event; %.1f s, %.0f events/s\n",
            hosts, lines, c->records, c->events, c->detections, c->requests, c->again, c->bytes,
            events > 0 ? (double)c->bytes / events : 0, s, s > 0 ? events / s : 0);
}

static int wrong(struct cli *cli, const char *what)
{
    struct error e = {0};
    error_set(&e, -EINVAL, "%s", what);
    error_way_out(&e, "tiercel sim --hub https://HOST:PORT --authority ca.pem --keys FILE "
                      "--state DIR --plan FILE");
    cli_error(cli, &e);
    return CLI_USAGE;
}

static int run(struct cli *cli, const struct args *args)
{
    struct error e = {0};
    struct sim_plan plan = {0};
    struct sim_counts counts = {0};
    _cleanup_free_ struct sim_keys *keys = calloc(1, sizeof *keys);
    struct sim_hub hub = {
        .state = args_text(args, "state", NULL),
        .order = {.hub = args_text(args, "hub", NULL),
                  .authority = args_text(args, "authority", NULL),
                  .fingerprint = args_text(args, "fingerprint", NULL)},
        .keys = keys,
        .patience_s = (unsigned)(args_duration(args, "patience", 60 * SECOND) / SECOND),
    };
    const char *path = args_text(args, "plan", NULL);
    size_t hosts = 0;
    if (!hub.order.hub || !hub.state || !path)
        return wrong(cli, "--hub, --state and --plan are needed");
    if (!keys)
        return cli_fail(cli, &(struct error){.code = -ENOMEM, .what = "no memory"});
    uint64_t base = args_time(args, "start", now_ns(CLOCK_REALTIME));
    int r = read_keys(args_text(args, "keys", NULL), keys, &e);
    if (r == 0)
        r = read_plan(path, base, &plan, &e);
    if (r == 0 && mkdir(hub.state, 0700) < 0 && errno != EEXIST)
        r = error_set(&e, -errno, "the folder %s cannot be made: %s", hub.state, strerror(errno));
    uint64_t began = now_ns(CLOCK_MONOTONIC);
    if (r == 0)
        r = sim_replay(&hub, &plan, (int64_t)args_duration(args, "shift", 0), &counts, &hosts, &e);
    if (r == 0)
        print(cli, &counts, hosts, plan.n, now_ns(CLOCK_MONOTONIC) - began, args_has(args, "json"));
    explicit_bzero(keys, sizeof *keys);
    sim_plan_done(&plan);
    return r < 0 ? cli_fail(cli, &e) : CLI_OK;
}

const struct command cmd_sim = {
    .name = "sim",
    .group = "other",
    .summary = "Replay recordings into a hub as hosts that do not exist",
    .description =
        "Each line of the plan is client, host, recording and start, with tabs between: that host "
        "reports what was recorded (a journal folder or a segment; - is made up), as if it had "
        "begun at that time. Hosts are enrolled with the client's key the first time, each with a "
        "key and a certificate of its own, and speak the agents' protocol. Events, processes and "
        "the chain become those of the host. Ends when all is durable at the hub.",
    .examples =
        "tiercel sim --hub https://127.0.0.1:8444 --authority ca.pem --keys keys.tsv --state sim "
        "--plan demo.tsv\n"
        "tiercel sim ... --plan demo.tsv --start 2015-09-25T08:00Z   # starts like +3h count "
        "from there",
    .options = options,
    .run = run,
};
