// SPDX-License-Identifier: Apache-2.0
// `attempts`, `attempt`, `attempt merge`, `attempt split`: what the joining put into each client's attempts.db. Where no
// hub runs they join first, so that what is shown is what is there.
#include "attempt/attempt.h"
#include "base/cleanup.h"
#include "hub/attempts.h"
#include "hub/attempts_show.h"
#include "hub/campaigns.h"
#include "hub/commands.h"
#include "hub/state.h"
#include "os/process.h"
#include "store/attempts.h"
#include "store/registry.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

#define SHOWN 40

struct showing {
    const struct hub_options *o;
    const char *state;
    uint64_t limit, attempts, detections, quick;
    struct buf out;
    const char *client;
    struct error *e;
};

static bool hub_runs(const char *state)
{
    struct error unused = {0};
    int lock = hub_state_lock(state, &unused);
    if (lock >= 0)
        close(lock);
    return lock < 0;
}

// 1: nothing was joined of this client yet.
static int open_client(const char *state, const char *client, struct store_attempts **ret,
                       struct error *e)
{
    char folder[HUB_PATH_MAX + 64];
    const struct hub_join whole = {0};
    if (!pki_client_good(str_from(client)))
        return error_set(e, -EINVAL, "there is no client '%s'", client);
    snprintf(folder, sizeof folder, "%s/clients/%s", state, client);
    if (access(folder, F_OK) < 0)
        return 1;
    int r = hub_runs(state) ? 0 : hub_attempts_join(folder, &whole, NULL, e);
    if (r == 0)
        r = store_attempts_open(folder, false, ret, e);
    return r == -ENOENT ? 1 : r;
}

static int must_open(const char *state, const char *client, struct store_attempts **ret,
                     struct error *e)
{
    int r = open_client(state, client, ret, e);
    return r == 1 ? error_set(e, -ENOENT, "client '%s' has no attempts yet", client) : r;
}

static int show_one(void *context, const struct store_attempt *one)
{
    struct showing *s = context;
    if (!s->o->json && s->attempts++ == 0)
        attempts_show_head(&s->out);
    s->detections += one->n_detections;
    s->quick += one->quick;
    if (s->o->json) {
        buf_addf(&s->out, "{\"client\":\"%s\",\"quick\":%s,\"attempt\":", s->client,
                 one->quick ? "true" : "false");
        size_t n = one->json.n;
        while (n && one->json.p[n - 1] == '\n')
            n--;
        buf_add(&s->out, one->json.p, n);
        buf_add_str(&s->out, STR("}\n"));
        return 0;
    }
    json_t *o = json_loadb(one->json.p, one->json.n, 0, NULL);
    if (!o)
        return error_set(s->e, -EBADMSG, "attempts.db: an attempt is not readable");
    attempts_show_row(o, one->quick, &s->out);
    json_decref(o);
    return 0;
}

static int show_client(void *context, const struct registry_client *c)
{
    struct showing *s = context;
    struct store_attempts *store = NULL;
    int r = open_client(s->state, c->name, &store, s->e);
    if (r)
        return r < 0 ? r : 0;
    s->client = c->name;
    s->attempts = s->detections = s->quick = 0;
    buf_reset(&s->out);
    if (!s->o->json && !s->o->n_words)
        buf_addf(&s->out, "Client %s\n", c->name);
    r = store_attempts_each(store, 0, s->limit, show_one, s, s->e);
    store_attempts_close(store);
    if (r == 0 && !s->o->json)
        buf_addf(&s->out,
                 "At least %llu attempt%s from %llu detection%s shown, by counting rule \"%s\", "
                 "version %d.\n%s",
                 (unsigned long long)s->attempts, s->attempts == 1 ? "" : "s",
                 (unsigned long long)s->detections, s->detections == 1 ? "" : "s", ATTEMPT_RULE,
                 ATTEMPT_RULE_VERSION,
                 s->quick ? "+: the newest minutes only; the whole is read just now.\n" : "");
    if (r == 0 && s->out.failed)
        r = error_set(s->e, s->out.failed, "too much to show: --limit");
    if (r == 0 && fwrite(s->out.p, 1, s->out.n, stdout) != s->out.n)
        r = error_set(s->e, -EIO, "cannot write");
    return r;
}

int command_attempts(const struct hub_options *o, struct error *e)
{
    char state[HUB_PATH_MAX], file[HUB_PATH_MAX + 32];
    struct registry *registry = NULL;
    struct showing s = {.o = o, .state = state, .limit = SHOWN, .e = e};
    if (o->limit && str_to_u64(str_from(o->limit), &s.limit) < 0)
        return error_set(e, -EINVAL, "--limit: a number; 0: all");
    int r = hub_state_enter(o->state, state, e);
    if (r < 0)
        return r;
    if (o->n_words) {
        struct store_attempts *any = NULL;
        struct registry_client one = {0};
        r = must_open(state, o->words[0], &any, e);
        store_attempts_close(any);
        snprintf(one.name, sizeof one.name, "%s", o->words[0]);
        r = r < 0 ? r : show_client(&s, &one);
    } else {
        snprintf(file, sizeof file, "%s/hub.db", state);
        r = registry_open(file, false, &registry, e);
        if (r == 0)
            r = registry_client_each(registry, show_client, &s, e);
        registry_close(registry);
    }
    buf_done(&s.out);
    return r;
}

// ---- one

struct story {
    const struct hub_options *o;
    struct buf out;
    json_t *json; // kept for the caller
    bool quick;
};

static int read_story(void *context, const struct store_attempt *one)
{
    struct story *s = context;
    s->json = json_loadb(one->json.p, one->json.n, 0, NULL);
    s->quick = one->quick;
    buf_add_str(&s->out, one->json);
    return s->json ? 0 : -EBADMSG;
}

static int find_story(struct store_attempts *store, const char *id, struct story *s,
                      uint64_t *ret_id, struct error *e)
{
    int r = store_attempts_find(store, str_from(id), ret_id, e);
    if (r == 0)
        r = store_attempts_get(store, *ret_id, read_story, s, e);
    if (r == 0 && !s->json)
        r = error_set(e, -ESRCH, "there is no attempt %s", id);
    return r == -EBADMSG ? error_set(e, r, "attempts.db: an attempt is not readable") : r;
}

// Told as the client may read it, whoever asks.
static int add_elsewhere(const char *state, const char *client, uint64_t id, struct buf *out,
                         struct error *e)
{
    char file[HUB_PATH_MAX + 32];
    struct registry *registry = NULL;
    struct hub_campaigns *c = NULL;
    _cleanup_buf_ struct buf words = {0};
    snprintf(file, sizeof file, "%s/hub.db", state);
    int r = registry_open(file, false, &registry, e);
    if (r == 0)
        r = hub_campaigns_read(state, registry, &c, e);
    if (r == 0)
        hub_campaigns_elsewhere(c, client, id, &words);
    if (words.n)
        buf_addf(out, "\nElsewhere\n  " STR_FMT "\n", STR_ARG(buf_str(&words)));
    hub_campaigns_free(c);
    registry_close(registry);
    return r;
}

int command_attempt(const struct hub_options *o, struct error *e)
{
    char state[HUB_PATH_MAX];
    struct store_attempts *store = NULL;
    struct story s = {.o = o};
    uint64_t id;
    int r = hub_state_enter(o->state, state, e);
    if (r == 0)
        r = must_open(state, o->words[0], &store, e);
    if (r == 0)
        r = find_story(store, o->words[1], &s, &id, e);
    if (r == 0 && !o->json) {
        buf_reset(&s.out);
        attempts_show_story(o->words[0], s.json, s.quick, &s.out);
        r = add_elsewhere(state, o->words[0], id, &s.out, e);
    }
    if (r == 0 && (s.out.failed || fwrite(s.out.p, 1, s.out.n, stdout) != s.out.n))
        r = error_set(e, -EIO, "cannot write");
    json_decref(s.json);
    buf_done(&s.out);
    store_attempts_close(store);
    return r;
}

// ---- by hand

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

static int add_detection(const struct story *s, const char *word, struct attempt_change *c,
                         struct error *e)
{
    const json_t *d;
    uint64_t number;
    size_t i, before = c->n_names;
    if (str_to_u64(str_from(word + (*word == '#')), &number) < 0)
        return error_set(e, -EINVAL, "'%s' is no number of a detection", word);
    json_array_foreach(json_object_get(s->json, "detections"), i, d)
    {
        const char *name = json_string_value(json_object_get(d, "name"));
        if ((uint64_t)json_integer_value(json_object_get(d, "id")) == number && name &&
            c->n_names < ATTEMPT_CHANGE_NAMES)
            c->names[c->n_names++] = strtoull(name, NULL, 16);
    }
    return c->n_names > before ? 0 : error_set(e, -ESRCH, "the attempt has no detection #%s", word);
}

// Does any lineage stay in it?
static bool something_stays(const struct story *s, const struct attempt_change *c)
{
    const json_t *detections = json_object_get(s->json, "detections"), *lineage, *d;
    size_t i, k;
    json_array_foreach(json_object_get(s->json, "lineages"), i, lineage)
    {
        json_int_t number = json_integer_value(json_object_get(lineage, "number"));
        bool goes = false;
        json_array_foreach(detections, k, d)
        {
            const char *name = json_string_value(json_object_get(d, "name"));
            uint64_t value = name ? strtoull(name, NULL, 16) : 0;
            for (size_t n = 1; n < c->n_names; n++)
                goes = goes || (value == c->names[n] &&
                                json_integer_value(json_object_get(d, "lineage")) == number);
        }
        if (!goes)
            return true;
    }
    return false;
}

static int change_of(struct store_attempts *store, const struct hub_options *o,
                     struct attempt_change *c, struct error *e)
{
    struct story s = {.o = o};
    uint64_t id;
    int r = find_story(store, o->words[1], &s, &id, e);
    if (r == 0)
        c->names[c->n_names++] = id;
    if (r == 0 && !c->split)
        r = store_attempts_find(store, str_from(o->words[2]), &c->names[c->n_names++], e);
    for (int i = 2; r == 0 && c->split && i < o->n_words; i++)
        r = add_detection(&s, o->words[i], c, e);
    if (r == 0 && !c->split && c->names[0] == c->names[1])
        r = error_set(e, -ESRCH, "both are the same attempt");
    if (r == 0 && c->split && !something_stays(&s, c)) {
        r = error_set(e, -ESRCH, "nothing would be left of it");
        error_way_out(e, "a detection goes with all of its lineage");
    }
    json_decref(s.json);
    buf_done(&s.out);
    return r;
}

static int change(const struct hub_options *o, bool split, struct error *e)
{
    char state[HUB_PATH_MAX], folder[HUB_PATH_MAX + 64];
    struct store_attempts *store = NULL;
    struct attempt_change c = {.split = split, .time = os_wall_ns()};
    const struct hub_join whole = {0};
    _cleanup_buf_ struct buf line = {0};
    if (!o->why || !*o->why || strlen(o->why) >= sizeof c.why)
        return error_set(e, -EINVAL, "--why TEXT, at most %zu bytes", sizeof c.why - 1);
    snprintf(c.why, sizeof c.why, "%s", o->why);
    who(c.who); // before this becomes the folder's owner
    int r = hub_state_enter(o->state, state, e);
    if (r == 0)
        r = must_open(state, o->words[0], &store, e);
    if (r == 0)
        r = change_of(store, o, &c, e);
    if (r == 0) {
        attempt_change_print(&c, &line);
        r = store_attempts_change(store, buf_str(&line), e);
    }
    store_attempts_close(store);
    snprintf(folder, sizeof folder, "%s/clients/%s", state, o->words[0]);
    if (r == 0 && !hub_runs(state))
        r = hub_attempts_join(folder, &whole, NULL, e);
    if (r < 0)
        return r;
    if (o->json)
        fwrite(line.p, 1, line.n, stdout);
    else
        printf("%s; tiercel-hub attempt %s %012llx shows it within seconds\n",
               split ? "split" : "merged", o->words[0], (unsigned long long)(c.names[split] >> 16));
    return 0;
}

int command_attempt_merge(const struct hub_options *o, struct error *e)
{
    return change(o, false, e);
}

int command_attempt_split(const struct hub_options *o, struct error *e)
{
    return change(o, true, e);
}
