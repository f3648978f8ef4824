// SPDX-License-Identifier: Apache-2.0
#include "cli/local_hub.h"

#include "base/cleanup.h"
#include "cli/enrol.h"
#include "cli/place.h"
#include "link/enrolment.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <time.h>

#define CLIENT "local"
#define COMMAND_MS 10000
#define READY_MS 10000
#define STOP_MS 5000
#define STEP_MS 50

static void step(void)
{
    nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000}, NULL);
}

// Runs a command of the hub to its end; what it said. Its exit status, or negative errno.
static int ask(const struct local_hub *h, const char *const *words, struct buf *said,
               struct error *e)
{
    const char *argv[12] = {"tiercel-hub"};
    struct child_process c = {.log = -1};
    size_t n = 1;
    for (; *words && n < 9; words++)
        argv[n++] = *words;
    argv[n++] = "--state";
    argv[n++] = h->folder;
    int r = child_spawn(&c, h->program, (char *const *)argv, e);
    if (r < 0)
        return r;
    unsigned waited = 0;
    for (bool lives = true; lives && waited < COMMAND_MS; waited += STEP_MS) {
        lives = child_lives(&c);
        while (child_line(&c, said))
            buf_add_char(said, '\n');
        if (lives)
            step();
    }
    bool ended = child_stop(&c, 0);
    child_done(&c);
    buf_add_char(said, 0);
    if (!ended || said->failed)
        return error_set(e, -ETIMEDOUT, "tiercel-hub %s did not end", argv[1]);
    return c.status ? 1 : 0;
}

// The same, where anything but success is an error.
static int must(const struct local_hub *h, const char *const *words, struct buf *said,
                struct error *e)
{
    int r = ask(h, words, said, e);
    if (r <= 0)
        return r;
    size_t end = strcspn(said->p, "\n");
    return error_set(e, -EIO, "%.*s", (int)(end < 200 ? end : 200), said->p);
}

#define WORDS(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static int make_hub(struct local_hub *h, struct error *e)
{
    _cleanup_buf_ struct buf said = {0}, added = {0};
    char database[600];
    snprintf(database, sizeof database, "%s/hub.db", h->folder);
    if (access(database, F_OK) < 0) {
        int r = must(h, WORDS("init"), &said, e);
        if (r < 0)
            return r;
    }
    int r = ask(h, WORDS("client", "add", CLIENT, "--json"), &added, e); // it may be there already
    return r < 0 ? r : 0;
}

static int serve(struct local_hub *h, struct error *e)
{
    const char *argv[] = {"tiercel-hub",    "serve",    "--agents",
                          LOCAL_HUB_AGENTS, "--people", LOCAL_HUB_PEOPLE,
                          "--state",        h->folder,  NULL};
    _cleanup_buf_ struct buf line = {0}, last = {0};
    int r = child_spawn(&h->child, h->program, (char *const *)argv, e);
    for (unsigned waited = 0; r == 0 && waited < READY_MS; waited += STEP_MS) {
        bool lives = child_lives(&h->child);
        for (; child_line(&h->child, &line); buf_reset(&line)) {
            buf_reset(&last);
            buf_add_str(&last, buf_str(&line));
            buf_add_char(&line, 0);
            if (strstr(line.p, "agents at"))
                return 0;
        }
        if (!lives) {
            child_done(&h->child);
            buf_add_char(&last, 0);
            // One that runs as a service is as good.
            return strstr(last.p, "already") ? 0 : error_set(e, -ECHILD, "%.300s", last.p);
        }
        step();
    }
    local_hub_stop(h);
    return r < 0 ? r : error_set(e, -ETIMEDOUT, "it was not ready after %d s", READY_MS / 1000);
}

// ---- this host

static int read_file(const char *path, struct buf *ret)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char *p = buf_room(ret, ENROLMENT_BYTES_MAX);
    ssize_t n = fd < 0 || !p ? -1 : read(fd, p, ENROLMENT_BYTES_MAX);
    if (n < 0)
        return fd < 0 ? -errno : -EIO;
    ret->n += (size_t)n;
    return 0;
}

// 0: at no hub; 1: at the one on this machine; 2: at another.
static int enrolled_at(const char *state)
{
    _cleanup_buf_ struct buf text = {0};
    struct enrolment mine;
    struct error unused = {0};
    char path[600];
    snprintf(path, sizeof path, "%s/" ENROLMENT_FILE, state);
    if (read_file(path, &text) < 0)
        return 0;
    if (enrolment_parse(buf_str(&text), &mine, &unused) < 0)
        return 2;
    int at = !strcmp(mine.url, "https://" LOCAL_HUB_AGENTS) && !strcmp(mine.client, CLIENT) ? 1 : 2;
    explicit_bzero(&mine, sizeof mine);
    explicit_bzero(text.p, text.n);
    return at;
}

// Does the hub know this host as one that may send? Its folder may have been made anew, or that of the agent.
static bool hub_knows(const struct local_hub *h, char ret_host[33])
{
    _cleanup_buf_ struct buf said = {0}, id = {0};
    struct error unused = {0};
    if (read_file("/etc/machine-id", &id) < 0 || id.n < 32)
        return false;
    memcpy(ret_host, id.p, 32);
    ret_host[32] = 0;
    if (ask(h, WORDS("host", "list", CLIENT, "--json"), &said, &unused) != 0)
        return false;
    json_t *hosts = json_loads(said.p, 0, NULL), *one;
    bool known = false;
    size_t i;
    json_array_foreach(hosts, i, one)
    {
        const char *host = json_string_value(json_object_get(one, "host")),
                   *revoked = json_string_value(json_object_get(one, "revoked"));
        known = known || (host && !strcmp(host, ret_host) && revoked && !*revoked);
    }
    json_decref(hosts);
    return known;
}

static int enrol_here(const struct local_hub *h, const char *state, struct error *e)
{
    _cleanup_buf_ struct buf said = {0};
    struct enrolled done;
    int r = must(h, WORDS("key", "new", CLIENT, "--for", "5m", "--json"), &said, e);
    if (r < 0)
        return r;
    json_t *key = json_loads(said.p, 0, NULL);
    const struct enrol order = {.hub = "https://" LOCAL_HUB_PEOPLE,
                                .key = json_string_value(json_object_get(key, "key")),
                                .fingerprint =
                                    json_string_value(json_object_get(key, "fingerprint")),
                                .state = state};
    r = order.key && order.fingerprint ? enrol(&order, &done, e)
                                       : error_set(e, -EPROTO, "it gave no key");
    json_decref(key);
    explicit_bzero(said.p, said.n);
    return r;
}

static int enrol_if_needed(const struct local_hub *h, const char *state, int at, struct error *e)
{
    _cleanup_buf_ struct buf said = {0};
    char host[33] = "";
    bool known = hub_knows(h, host);
    if (known && at == 1)
        return 0;
    // A host has one certificate at its hub: the one that went with the agent's folder is of no use to anybody.
    if (known) {
        int r = must(h, WORDS("host", "revoke", CLIENT, host), &said, e);
        if (r < 0)
            return r;
    }
    return enrol_here(h, state, e);
}

int local_hub_start(struct local_hub *h, const char *state, struct error *e)
{
    size_t n = strlen(state);
    while (n > 1 && state[n - 1] == '/')
        n--;
    *h = (struct local_hub){.child = {.log = -1}};
    snprintf(h->folder, sizeof h->folder, "%.*s-hub", (int)n, state);
    int at = enrolled_at(state);
    if (at == 2)
        return 1;
    int r = place_program("tiercel-hub", h->program, sizeof h->program, e);
    if (r == 0)
        r = make_hub(h, e);
    if (r == 0)
        r = serve(h, e);
    if (r == 0)
        r = enrol_if_needed(h, state, at, e);
    if (r < 0)
        local_hub_stop(h);
    return r;
}

void local_hub_drain(struct local_hub *h)
{
    _cleanup_buf_ struct buf line = {0};
    while (h->child.pid && child_line(&h->child, &line))
        buf_reset(&line);
}

void local_hub_stop(struct local_hub *h)
{
    if (h->child.pid) {
        child_stop(&h->child, STOP_MS);
        child_done(&h->child);
    }
}
