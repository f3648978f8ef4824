// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "cli/child.h"
#include "cli/leftover.h"
#include "cli/live.h"
#include "cli/local_hub.h"
#include "cli/place.h"
#include "cli/status.h"
#include "cli/when.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#define READY_MS                                                                                   \
    90000 // emulated and loaded machines start slowly; one that cannot start says so at once
#define STOP_MS 15000
#define STEP_MS 100
#define STATE_FOLDER "/var/lib/tiercel"

static const struct option options[] = {
    {"mode", 'm', OPTION_CHOICE, "MODE", "what rules that prevent do", "prevent detect", false},
    {"rules", 0, OPTION_FOLDER, "DIR", "rules to use", NULL, false},
    {"scope", 0, OPTION_TEXT, "SCOPE",
     "machine, or namespace:PID: only the mount namespace of that process", NULL, false},
    {"deny-address", 0, OPTION_TEXT, "CIDR", "refuse connections to these addresses", NULL, true},
    {"state", 0, OPTION_FOLDER, "DIR", "where the journal is kept (" STATE_FOLDER ")", NULL, false},
    {"config", 0, OPTION_FILE, "FILE",
     "the agent's configuration instead of /etc/tiercel/tiercel.yml", NULL, false},
    {"for", 0, OPTION_DURATION, "TIME", "end by itself after so long", NULL, false},
    {"events", 'v', OPTION_FLAG, NULL, "show events too, not only detections", NULL, false},
    {"local-hub", 0, OPTION_FLAG, NULL, "a hub on this machine, too, with this host enrolled", NULL,
     false},
    {"quiet", 'q', OPTION_FLAG, NULL, "no live view", NULL, false},
    OPTION_JSON,
    {0},
};

static volatile sig_atomic_t ending; // set by a signal

static void end(int signal)
{
    (void)signal;
    ending = 1;
}

struct run {
    struct cli *cli;
    const struct args *args;
    struct child_process child;
    struct local_hub hub;
    char program[512], journal[512];
    struct leftover_ids ours; // its BPF programs
    uint64_t started_ns;
    bool json;
};

static uint64_t now_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// What the agent said since last asked, on our standard error.
static void pass_log(struct run *r)
{
    _cleanup_buf_ struct buf line = {0}, shown = {0};
    local_hub_drain(&r->hub);
    while (child_line(&r->child, &line)) {
        style_begin(&r->cli->err, STYLE_DIM, &shown);
        text_escape(buf_str(&line), &shown);
        style_end(&r->cli->err, STYLE_DIM, &shown);
        buf_add_char(&shown, '\n');
        buf_reset(&line);
    }
    if (shown.n) {
        fflush(r->cli->out.file);
        term_write(&r->cli->err, &shown);
    }
}

#define ARGV_MAX 64

static int start(struct run *r, struct error *e)
{
    const struct args *args = r->args;
    char rules[512];
    const char *argv[ARGV_MAX] = {"tierceld"}, *value;
    size_t n = 1;
    static const char *const passed[] = {"--mode", "--scope", "--state", "--config"};
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++) {
        value = args_text(args, passed[i] + 2, i == 0 ? "prevent" : NULL);
        if (value) {
            argv[n++] = passed[i];
            argv[n++] = value;
        }
    }
    value = args_text(args, "rules", NULL);
    if (!value && !args_has(args, "config") && place_rules(rules, sizeof rules, e) == 0)
        value = rules;
    if (value) {
        argv[n++] = "--rules";
        argv[n++] = value;
    }
    for (size_t i = 0; (value = args_each(args, "deny-address", &i)) && n + 3 < ARGV_MAX;) {
        argv[n++] = "--deny-address";
        argv[n++] = value;
    }
    return child_spawn(&r->child, r->program, (char *const *)argv, e);
}

static bool all_running(const struct control_status *s)
{
    for (uint32_t i = 0; i < s->n_roles && i < CONTROL_ROLES; i++)
        if (s->roles[i].state != CONTROL_ROLE_RUNNING)
            return false;
    return s->n_roles > 0;
}

// Whether protection stands, as far as it will: armed, or in detect mode for a reason that is said.
static bool stands(const struct control_status *s)
{
    if (!all_running(s))
        return false;
    return s->wanted == CONTROL_PREVENT ? s->armed || s->mode == CONTROL_DETECT : true;
}

static int wait_ready(struct run *r, struct control_reply **ret, struct error *e)
{
    struct control_request request = {.version = CONTROL_VERSION, .verb = CONTROL_STATUS};
    for (unsigned waited = 0; waited < READY_MS && !ending; waited += STEP_MS) {
        struct control_reply *reply = NULL;
        pass_log(r);
        if (!child_lives(&r->child)) {
            pass_log(r);
            return error_set(e, -ECHILD, "the agent ended while it started; what it said is above");
        }
        if (status_ask(&request, &reply, e) == 0) {
            if (stands(&reply->status)) {
                *ret = reply;
                return 0;
            }
            free(reply);
        }
        nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000}, NULL);
    }
    if (ending)
        return -EINTR;
    error_set(e, -ETIMEDOUT, "the agent was not ready after %d s", READY_MS / 1000);
    error_way_out(e, "what it said is above; `tiercel doctor` tries each mechanism by itself");
    return -ETIMEDOUT;
}

static int show_live(struct run *r, struct live *live, struct error *e)
{
    uint64_t limit = args_duration(r->args, "for", 0);
    uint64_t until = limit ? now_of(CLOCK_MONOTONIC) + limit : UINT64_MAX;
    while (!ending && now_of(CLOCK_MONOTONIC) < until) {
        pass_log(r);
        if (!child_lives(&r->child)) {
            pass_log(r);
            error_set(e, -ECHILD,
                      "the agent ended by itself; this machine is not protected any more");
            return -ECHILD;
        }
        int result = live_step(live, 250, e);
        if (result < 0 && result != -EINTR)
            return result;
    }
    return 0;
}

static int watch(struct run *r, struct live *live, struct error *e)
{
    struct journal *journal = NULL;
    int result = -ECONNREFUSED;
    // The journal's folder comes with the agent's first batch.
    for (unsigned waited = 0; waited < READY_MS && !ending && result == -ECONNREFUSED;
         waited += STEP_MS) {
        result = journal_open(r->journal, &journal, e);
        if (result == -ECONNREFUSED)
            nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000}, NULL);
    }
    if (result < 0)
        return ending ? 0 : result;
    bool quiet = args_has(r->args, "quiet");
    struct live_options o = {.events = !quiet && args_has(r->args, "events"),
                             .detections = !quiet,
                             .tree = true,
                             .json = r->json,
                             .since_ns = r->started_ns};
    size_t n = journal_segments(journal);
    result = journal_seek(journal, n ? n - 1 : 0, true, e);
    live_init(live, &r->cli->out, journal, &o);
    if (result == 0)
        result = show_live(r, live, e);
    journal_close(journal);
    return result;
}

static void say(struct run *r, const char *text)
{
    if (!r->json) {
        fputs(text, r->cli->out.file);
        fflush(r->cli->out.file);
    }
}

// Ends the agent and looks for what it left. The exit code.
static int finish(struct run *r, int code)
{
    _cleanup_buf_ struct buf what = {0};
    bool lives = child_lives(&r->child);
    if (lives)
        say(r, r->cli->out.terminal ? "\rEnding protection ...\n" : "Ending protection ...\n");
    leftover_held(r->program, &r->ours);
    bool clean = child_stop(&r->child, STOP_MS);
    pass_log(r);
    child_done(&r->child);
    local_hub_stop(&r->hub); // last: what the agent sent at its end is kept
    unsigned left = leftover_check(&r->ours, r->program, &what);
    if (!clean)
        say(r, "The agent did not end when it was told to; it was killed.\n");
    if (left == 0) {
        if (!lives && r->ours.n == 0) // it ended before protection began, or all of it at once
            say(r, "Nothing of the agent is left behind.\n");
        else if (!r->json)
            fprintf(r->cli->out.file,
                    "The agent is gone. Nothing is left behind: no marks, no processes, and its "
                    "%zu BPF programs are "
                    "unloaded,\nthose of the control groups among them.\n",
                    r->ours.n);
        return clean ? code : CLI_FAILED;
    }
    fprintf(r->cli->err.file, "tiercel: %u things were left behind:\n", left);
    term_write(&r->cli->err, &what);
    return CLI_FAILED;
}

static void print_ready(struct run *r, const struct control_status *s)
{
    _cleanup_buf_ struct buf b = {0};
    if (r->json)
        status_json(s, &b);
    else
        status_print_protection(&r->cli->out, s, &b);
    if (r->json)
        buf_add_char(&b, '\n');
    term_write(&r->cli->out, &b);
}

// Never a reason not to protect this machine.
static void start_hub(struct run *r)
{
    struct error e = {0};
    const char *state = args_text(r->args, "state", STATE_FOLDER);
    int result = local_hub_start(&r->hub, state, &e);
    if (r->json)
        return;
    if (result == 0)
        fprintf(r->cli->out.file,
                "A hub on this machine keeps what is seen: tiercel-hub attempts local --state %s\n",
                r->hub.folder);
    else if (result > 0)
        say(r, "This machine reports to another hub; none is started here.\n");
    else {
        _cleanup_buf_ struct buf why = {0};
        buf_add_str(&why, STR("No hub on this machine: "));
        text_escape(str_from(e.what), &why);
        buf_add_str(&why, STR(". It is protected all the same.\n"));
        term_write(&r->cli->err, &why);
    }
}

static int protect(struct run *r)
{
    struct error e = {0};
    if (args_has(r->args, "local-hub"))
        start_hub(r);
    struct live live = {0};
    struct control_reply *reply = NULL;
    int result = start(r, &e);
    if (result < 0) {
        local_hub_stop(&r->hub);
        return cli_fail(r->cli, &e);
    }
    result = wait_ready(r, &reply, &e);
    if (result == 0) {
        print_ready(r, &reply->status);
        free(reply);
        result = watch(r, &live, &e);
        if (!r->json)
            fprintf(r->cli->out.file, "%llu detections were shown, %llu of them were stopped.\n",
                    (unsigned long long)live.n_detections, (unsigned long long)live.n_stopped);
        live_done(&live);
    }
    int code = result < 0 && result != -EINTR && result != -EPIPE ? cli_fail(r->cli, &e) : CLI_OK;
    return finish(r, code);
}

static int run(struct cli *cli, const struct args *args)
{
    struct control_request request = {.version = CONTROL_VERSION, .verb = CONTROL_STATUS};
    struct control_reply *reply = NULL;
    struct error e = {0};
    struct run *r = calloc(1, sizeof *r);
    int code = CLI_FAILED;
    if (!r)
        return CLI_FAILED;
    r->cli = cli;
    r->args = args;
    r->json = args_has(args, "json");
    r->started_ns = now_of(CLOCK_REALTIME);
    snprintf(r->journal, sizeof r->journal, "%s/journal", args_text(args, "state", STATE_FOLDER));
    struct sigaction action = {.sa_handler = end};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN); // a reader that leaves must not leave the agent behind
    if (geteuid() != 0) {
        error_set(&e, -EACCES, "protecting a machine needs root");
        error_way_out(&e, "sudo tiercel run");
        code = cli_fail(cli, &e);
    } else if (status_ask(&request, &reply, &e) == 0) {
        free(reply);
        error_set(&e, -EBUSY, "an agent runs on this machine already");
        error_way_out(&e, "`tiercel status` shows it, `tiercel detections -f` what it sees; "
                          "`tiercel stop` ends it");
        code = cli_fail(cli, &e);
    } else if (place_daemon(r->program, sizeof r->program, &e) < 0) {
        code = cli_fail(cli, &e);
    } else {
        code = protect(r);
    }
    free(r);
    return code;
}

const struct command cmd_run = {
    .name = "run",
    .group = "run",
    .summary = "Protect this machine until Ctrl-C, and show what is seen and stopped",
    .description = "Starts the agent, waits until protection stands, says what is protected and by "
                   "what, then shows "
                   "detections and verdicts as they come. Ctrl-C ends the agent and checks that "
                   "nothing of it is left in "
                   "the kernel. With --json the status comes first, then one detection a line.",
    .examples = "tiercel run                      # prevent\n"
                "tiercel run --mode detect -v     # only watch, and show every event\n"
                "tiercel run --for 10m --json     # for scripts",
    .options = options,
    .run = run,
};
