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
    {"agents", 0, OPTION_NUMBER, "N", "instead of a plan: so many hosts, spread over the clients",
     NULL, false},
    {"rate", 0, OPTION_NUMBER, "N", "events a second that they report together (10000)", NULL,
     false},
    {"for", 0, OPTION_DURATION, "TIME", "so long (10s)", NULL, false},
    {"recording", 0, OPTION_FILE, "DIR", "what they report, round and round (made up)", NULL,
     false},
    {"threads", 0, OPTION_NUMBER, "N", "requests under way at a time (16)", NULL, false},
    {"hub-pid", 0, OPTION_NUMBER, "PID", "measure memory and time of this hub", NULL, false},
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

static void print_load(struct cli *cli, const struct sim_load *load, const struct sim_result *r,
                       bool json)
{
    const struct sim_counts *c = &r->counts;
    double s = (double)r->took_ns / 1e9, events = (double)c->events;
    double rate = s > 0 ? events / s : 0, each = events > 0 ? (double)c->bytes / events : 0;
    double core = r->cpu_ms ? events * 1000 / (double)r->cpu_ms : 0;
    fprintf(cli->out.file,
            json ? "{\"hosts\":%u,\"wanted_per_second\":%" PRIu64 ",\"events\":%" PRIu64
                   ",\"records\":%" PRIu64 ",\"requests\":%" PRIu64 ",\"again\":%" PRIu64
                   ",\"lost\":%" PRIu64
                   ",\"seconds\":%.3f,\"events_per_second\":%.0f,\"durable_us\":{\"p50\":%" PRIu64
                   ",\"p95\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"max\":%" PRIu64
                   "},\"bytes_per_event\":%.1f,\"hub_pss\":%" PRIu64 ",\"hub_cpu_ms\":%" PRIu64
                   ",\"events_per_core_second\":%.0f,\"bytes_per_day\":%.0f}\n"
                 : "%u hosts, %" PRIu64 " events/s wanted: %" PRIu64 " events in %" PRIu64
                   " records and %" PRIu64 " requests, %" PRIu64 " sent again, %" PRIu64
                   " records lost\n"
                   "%.1f s, %.0f events/s; due to durable (us): p50 %" PRIu64 ", p95 %" PRIu64
                   ", p99 %" PRIu64 ", longest %" PRIu64
                   "\n%.1f bytes an event; hub: memory %" PRIu64 " bytes (PSS), %" PRIu64
                   " ms of CPU\n"
                   "At this pace: %.0f events/s for each core of the hub; %.0f bytes a day\n",
            load->hosts, load->rate, c->events, c->records, c->requests, c->again, r->lost, s, rate,
            r->p50_us, r->p95_us, r->p99_us, r->max_us, each, r->pss_bytes, r->cpu_ms, core,
            rate * each * 86400);
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

static int run_plan(struct cli *cli, const struct args *args, const struct sim_hub *hub,
                    struct error *e)
{
    struct sim_plan plan = {0};
    struct sim_counts counts = {0};
    size_t hosts = 0;
    uint64_t base = args_time(args, "start", now_ns(CLOCK_REALTIME));
    int r = read_plan(args_text(args, "plan", NULL), base, &plan, e);
    uint64_t began = now_ns(CLOCK_MONOTONIC);
    if (r == 0)
        r = sim_replay(hub, &plan, (int64_t)args_duration(args, "shift", 0), &counts, &hosts, e);
    if (r == 0)
        print(cli, &counts, hosts, plan.n, now_ns(CLOCK_MONOTONIC) - began, args_has(args, "json"));
    sim_plan_done(&plan);
    return r < 0 ? cli_fail(cli, e) : CLI_OK;
}

static int run_load(struct cli *cli, const struct args *args, const struct sim_hub *hub,
                    struct error *e)
{
    uint64_t agents = args_number(args, "agents", 1), rate = args_number(args, "rate", 10000),
             seconds = args_duration(args, "for", 10 * SECOND) / SECOND,
             threads = args_number(args, "threads", 16), pid = args_number(args, "hub-pid", 0);
    if (agents == 0 || agents > SIM_HOSTS_MAX || rate == 0 || rate > 10000000 ||
        rate / agents > 50000 || seconds == 0 || seconds > 3600 || rate * seconds > 1000000000 ||
        threads == 0 || threads > 256 || pid > INT32_MAX)
        return wrong(cli, "1 to 4,096 agents, 50,000 events/s of each, 256 threads, an hour, "
                          "1,000,000,000 events at most");
    struct sim_load load = {.hosts = (unsigned)agents,
                            .seconds = (unsigned)seconds,
                            .threads = (unsigned)threads,
                            .rate = rate,
                            .recording = args_text(args, "recording", "-"),
                            .hub_pid = (pid_t)pid};
    struct sim_result result;
    if (sim_load(hub, &load, &result, e) < 0)
        return cli_fail(cli, e);
    print_load(cli, &load, &result, args_has(args, "json"));
    return result.lost ? CLI_NO : CLI_OK;
}

static int run(struct cli *cli, const struct args *args)
{
    struct error e = {0};
    _cleanup_free_ struct sim_keys *keys = calloc(1, sizeof *keys);
    struct sim_hub hub = {
        .state = args_text(args, "state", NULL),
        .order = {.hub = args_text(args, "hub", NULL),
                  .authority = args_text(args, "authority", NULL),
                  .fingerprint = args_text(args, "fingerprint", NULL)},
        .keys = keys,
        .patience_s = (unsigned)(args_duration(args, "patience", 60 * SECOND) / SECOND),
    };
    if (!hub.order.hub || !hub.state || args_has(args, "plan") == args_has(args, "agents"))
        return wrong(cli, "--hub, --state and one of --plan and --agents are needed");
    if (!keys)
        return cli_fail(cli, &(struct error){.code = -ENOMEM, .what = "no memory"});
    int r = read_keys(args_text(args, "keys", NULL), keys, &e);
    if (r == 0 && mkdir(hub.state, 0700) < 0 && errno != EEXIST)
        r = error_set(&e, -errno, "the folder %s cannot be made: %s", hub.state, strerror(errno));
    int code = r < 0                    ? cli_fail(cli, &e)
               : args_has(args, "plan") ? run_plan(cli, args, &hub, &e)
                                        : run_load(cli, args, &hub, &e);
    explicit_bzero(keys, sizeof *keys);
    return code;
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
        "the chain become those of the host. Ends when all is durable at the hub.\n\n"
        "With --agents it sizes a hub: so many hosts stay connected and send once a second what "
        "fell due. Prints rates, time from due to durable, what was lost (then the status is 1), "
        "and what the hub needed.",
    .examples =
        "tiercel sim --hub https://127.0.0.1:8444 --authority ca.pem --keys keys.tsv --state sim "
        "--plan demo.tsv\n"
        "tiercel sim ... --plan demo.tsv --start 2015-09-25T08:00Z   # starts like +3h count "
        "from there\n"
        "tiercel sim ... --agents 500 --rate 100000 --for 20s --hub-pid 4711",
    .options = options,
    .run = run,
};
