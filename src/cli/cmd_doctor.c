// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "cli/status.h"
#include "sensor/coverage.h"
#include "sensor/gate.h"
#include "sensor/probe.h"
#include "sensor/watch.h"

#include <errno.h>
#include <time.h>

static const struct option options[] = {OPTION_JSON, {0}};

struct trials {
    struct control_mechanism mechanisms[CONTROL_MECHANISMS];
    size_t n;
};

static void add(struct trials *t, const char *name, uint32_t works, const char *reason,
                const char *instead)
{
    if (t->n == CONTROL_MECHANISMS)
        return;
    struct control_mechanism *m = &t->mechanisms[t->n++];
    *m = (struct control_mechanism){.works = works};
    snprintf(m->name, sizeof m->name, "%s", name);
    snprintf(m->reason, sizeof m->reason, "%s", reason);
    snprintf(m->instead, sizeof m->instead, "%s", instead ? instead : "");
}

// Without marks nobody is asked anything: making the group is safe, arming it is not tried here.
static void try_gate(struct trials *t)
{
    struct error e = {0};
    int group = gate_group_create(&e);
    if (group < 0) {
        add(t, "the gate", CONTROL_REFUSED, e.what,
            "programs are judged when they start, and killed");
        return;
    }
    close(group);
    add(t, "the gate", CONTROL_WORKS,
        "a fanotify permission group could be made; marks and self-test are tried when the agent "
        "starts",
        NULL);
}

// What the sensor does where the kernel's own programs do not see files.
static void try_file_watch(struct trials *t)
{
    struct error e = {0};
    int group = watch_group_create(&e);
    if (group < 0) {
        add(t, "file watch", CONTROL_REFUSED, e.what, "nothing: changes of files are not seen");
        return;
    }
    close(group);
    add(t, "file watch", CONTROL_WORKS, "a fanotify group, for the watched folders only", NULL);
}

// Loads the programs for a moment; nothing is pinned, so nothing stays.
static void try_probe(struct trials *t)
{
    static const uint8_t key[16] = {0};
    struct probe_options o = {.hash_key = key};
    struct probe *probe = NULL;
    struct error e = {0};
    if (probe_new(&o, &probe, &e) < 0) {
        char reason[sizeof e.what + sizeof e.way_out + 2];
        snprintf(reason, sizeof reason, "%s%s%s", e.what, e.way_out[0] ? "; " : "", e.way_out);
        add(t, "process events", CONTROL_REFUSED, reason, "nothing: the agent cannot run here");
        return;
    }
    static const uint32_t states[] = {[PROBE_WORKS] = CONTROL_WORKS,
                                      [PROBE_REFUSED] = CONTROL_REFUSED,
                                      [PROBE_ABSENT] = CONTROL_ABSENT};
    const struct probe_mechanism *m = NULL;
    size_t n = probe_mechanisms(probe, &m);
    for (size_t i = 0; i < n; i++)
        add(t, m[i].name, states[m[i].state], m[i].reason, m[i].instead);
    if (probe_fds(probe).watched < 0)
        try_file_watch(t);
    probe_free(probe);
}

// What could be seen and refused if an agent ran in prevent mode.
static uint64_t would_work(const struct trials *t)
{
    uint64_t works = COVERAGE_PREVENT;
    for (size_t i = 0; i < t->n; i++)
        if (t->mechanisms[i].works == CONTROL_WORKS)
            works |= coverage_bit(str_from(t->mechanisms[i].name));
    return works;
}

static int without_agent(struct cli *cli, bool json)
{
    _cleanup_buf_ struct buf b = {0};
    struct trials t = {.n = 0};
    if (geteuid() != 0) {
        struct error e;
        error_set(&e, -EACCES,
                  "no agent runs that could be asked, and trying the mechanisms needs root");
        error_way_out(&e, "sudo tiercel doctor");
        return cli_fail(cli, &e);
    }
    try_gate(&t);
    try_probe(&t);
    if (json) {
        buf_add_str(&b, STR("{\"running\":false,\"mechanisms\":"));
        status_json_mechanisms(t.mechanisms, t.n, &b);
        buf_add_str(&b, STR(",\"coverage\":"));
        status_json_coverage(would_work(&t), &b);
        buf_add_str(&b, STR("}\n"));
    } else {
        buf_add_str(
            &b,
            STR("No agent runs on this machine. What can be tried without one was tried now.\n\n"));
        status_print_mechanisms(&cli->out, t.mechanisms, t.n, &b);
        buf_add_char(&b, '\n');
        status_print_coverage(&cli->out, would_work(&t), &b);
        buf_add_char(&b, '\n');
        status_print_limits(&cli->out, &b);
    }
    term_write(&cli->out, &b);
    return CLI_NO_AGENT;
}

static void print_running(struct cli *cli, const struct control_status *s, struct buf *b)
{
    const struct term *t = &cli->out;
    size_t n = s->n_mechanisms <= CONTROL_MECHANISMS ? s->n_mechanisms : CONTROL_MECHANISMS;
    status_print_mechanisms(t, s->mechanisms, n, b);
    buf_add_char(b, '\n');
    status_print_coverage(t, s->works, b);
    buf_add_char(b, '\n');
    status_print_filesystems(t, s, b);
    buf_add_char(b, '\n');
    status_print_limits(t, b);
    status_print_hub(t, s, (uint64_t)time(NULL) * 1000000000u, b);
    if (s->why[0]) {
        buf_add_char(b, '\n');
        style_text(t, STYLE_RED, "Problem: ", b);
        text_escape(str_from(s->why), b);
        buf_add_char(b, '\n');
    }
}

static int run(struct cli *cli, const struct args *args)
{
    struct control_request request = {.version = CONTROL_VERSION, .verb = CONTROL_STATUS};
    _cleanup_free_ struct control_reply *reply = NULL;
    _cleanup_buf_ struct buf b = {0};
    struct error e = {0};
    bool json = args_has(args, "json");
    int r = status_ask(&request, &reply, &e);
    if (r == -ECONNREFUSED)
        return without_agent(cli, json);
    if (r < 0)
        return cli_fail(cli, &e);
    if (json) {
        status_json(&reply->status, &b);
        buf_add_char(&b, '\n');
    } else {
        print_running(cli, &reply->status, &b);
    }
    term_write(&cli->out, &b);
    return CLI_OK;
}

const struct command cmd_doctor = {
    .name = "doctor",
    .group = "look",
    .summary = "Which mechanisms work on this machine, how that was tried, and what is not covered",
    .description = "Each mechanism works, or was tried and refused, or is absent, with the reason "
                   "and what is used in its "
                   "place; then what is seen and what can be refused of each kind of event; then "
                   "the file systems that the gate covers and those that it does not, "
                   "and the limits that "
                   "hold everywhere. Without a running agent what is safe is tried at once (root), "
                   "and the exit code is 3.",
    .options = options,
    .run = run,
};
