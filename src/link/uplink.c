// SPDX-License-Identifier: Apache-2.0
#include "link/uplink.h"

#include "base/cleanup.h"
#include "link.pb-c.h"
#include "link/http.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define POLL_MS 200u // how often the journal is looked at; the engine writes as often
#define RETRY_FIRST_MS 1000u
#define RETRY_MOST_MS 120000u
#define WAIT_MOST_MS 300000u // of what a hub may ask for
#define PAUSE_MOST_MS 1000u

struct uplink {
    struct uplink_options options;
    struct http *http;
    struct spool *spool;
    uint8_t *room;    // SPOOL_RECORD_MAX
    bool placed;      // the spool stands where the hub's copy ends
    bool behind;      // there was more than a request may have
    size_t bytes;     // of a request while behind; less after "too large"
    uint64_t sent_ms; // the last request
    uint64_t not_before_ms;
    uint64_t refused;  // sequence that the hub called damaged, + 1; 0 none
    bool give_up;      // and again: go on behind it
    unsigned failures; // in a row
    struct spool_part part;
};

uint32_t uplink_retry_ms(unsigned failures, uint32_t chance)
{
    uint32_t most = RETRY_FIRST_MS;
    for (unsigned i = 1; i < failures && most < RETRY_MOST_MS; i++)
        most *= 2;
    if (most > RETRY_MOST_MS)
        most = RETRY_MOST_MS;
    return most / 2 + chance % (most / 2 + 1);
}

int uplink_new(const struct uplink_options *options, struct uplink **ret, struct error *e)
{
    const struct enrolment *mine = options->enrolment;
    struct http_options http = {.authority = str_from(mine->authority),
                                .certificate = str_from(mine->certificate),
                                .key = str_from(mine->key),
                                .proxy = mine->proxy,
                                .go_on = options->go_on,
                                .context = options->context};
    struct uplink *u = calloc(1, sizeof *u);
    if (!u)
        return error_set(e, -ENOMEM, "no memory");
    u->options = *options;
    u->bytes = UPLINK_CATCH_UP_BYTES;
    // Pages are there when they are used: most hosts never have a record that large.
    u->room =
        mmap(NULL, SPOOL_RECORD_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int r =
        u->room == MAP_FAILED ? -ENOMEM : spool_new(&options->source, SPOOL_RECORD_MAX, &u->spool);
    if (r < 0)
        error_set(e, r, "no memory");
    else
        r = http_new(&http, &u->http, e);
    if (r < 0) {
        uplink_free(u);
        return r;
    }
    struct control_uplink *s = options->state;
    s->state = CONTROL_LINK_CONNECTING;
    snprintf(s->hub, sizeof s->hub, "%.*s", (int)sizeof s->hub - 1, mine->url);
    snprintf(s->client, sizeof s->client, "%s", mine->client);
    *ret = u;
    return 0;
}

struct uplink *uplink_free(struct uplink *u)
{
    if (u) {
        http_free(u->http);
        spool_free(u->spool);
        if (u->room != MAP_FAILED)
            munmap(u->room, SPOOL_RECORD_MAX);
        free(u);
    }
    return NULL;
}

// ---- trouble

static void say(struct uplink *u, enum control_link state, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void say(struct uplink *u, enum control_link state, const char *format, ...)
{
    char text[sizeof u->options.state->why];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *c = text; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = ' ';
    memcpy(u->options.state->why, text, sizeof text);
    u->options.state->state = state;
}

// Asks for its place again later: the hub may have what it did not answer for.
static uint32_t fail(struct uplink *u)
{
    u->placed = false;
    u->options.state->failures++;
    u->failures += u->failures < 64;
    return uplink_retry_ms(u->failures, u->options.random(u->options.context));
}

// An answer that is no 200.
static uint32_t refused(struct uplink *u, const struct http_reply *reply)
{
    int n = (int)(reply->body.n < 120 ? reply->body.n : 120);
    const char *words = reply->body.p ? reply->body.p : "";
    if (reply->status == 403 || reply->status == 401) {
        say(u, CONTROL_LINK_REFUSED, "the hub refuses this host: %.*s; `tiercel enrol` anew", n,
            words);
        u->failures = 7; // a minute at least: it is not busy, it does not want us
    } else if (reply->status == 413 && u->part.records > 1) {
        u->bytes = u->part.bytes / 2;
        u->behind = true;
        say(u, CONTROL_LINK_CATCHING_UP, "the hub takes smaller requests only");
    } else if ((reply->status == 413 || reply->status == 422) && u->part.records) {
        uint64_t which = reply->has_next ? reply->next : u->part.first;
        u->give_up = u->refused == which + 1;
        u->refused = which + 1;
        say(u, CONTROL_LINK_CATCHING_UP, "the hub does not take record %llu: %.*s",
            (unsigned long long)which, n, words);
    } else {
        say(u, CONTROL_LINK_UNREACHED, "the hub answered with HTTP status %ld: %.*s", reply->status,
            n, words);
    }
    return fail(u);
}

// ---- requests

struct place {
    uint64_t next;
    uint8_t last[32];
    bool has_last;
    uint32_t wait_ms;
};

static int read_place(struct str body, struct place *ret)
{
    Tiercel__Link__BatchReply *got =
        tiercel__link__batch_reply__unpack(NULL, body.n, (const uint8_t *)body.p);
    if (!got)
        return -EPROTO;
    struct place p = {.next = got->next, .wait_ms = got->wait_ms};
    p.has_last = got->has_last && got->last.len == sizeof p.last;
    if (p.has_last)
        memcpy(p.last, got->last.data, sizeof p.last);
    if (p.wait_ms > WAIT_MOST_MS)
        p.wait_ms = WAIT_MOST_MS;
    tiercel__link__batch_reply__free_unpacked(got, NULL);
    *ret = p;
    return 0;
}

// 1: an answer with a place; 0: not, *ret_wait says when again.
static int ask(struct uplink *u, const char *path, struct str body, struct place *ret,
               uint32_t *ret_wait)
{
    struct http_reply reply;
    struct error e = {0};
    char url[300];
    snprintf(url, sizeof url, "%s%s", u->options.enrolment->url, path);
    int r = http_request(u->http, url, body, &reply, &e);
    if (r < 0) {
        // A refused certificate looks like this, too: TLS 1.3 tells only after the handshake.
        say(u, r == -EACCES ? CONTROL_LINK_REFUSED : CONTROL_LINK_UNREACHED, "%s", e.what);
        *ret_wait = fail(u);
        return 0;
    }
    if (reply.status != 200) {
        *ret_wait = refused(u, &reply);
        return 0;
    }
    if (read_place(reply.body, ret) < 0) {
        say(u, CONTROL_LINK_UNREACHED, "the hub's answer cannot be read");
        *ret_wait = fail(u);
        return 0;
    }
    u->options.state->reached_s = (uint64_t)time(NULL);
    u->not_before_ms = u->options.now_ms(u->options.context) + ret->wait_ms;
    return 1;
}

static uint32_t seek(struct uplink *u, const struct place *place)
{
    struct control_uplink *s = u->options.state;
    struct error e = {0};
    uint64_t next = place->next;
    bool leave = u->give_up && u->refused == next + 1;
    s->left_out += leave;
    int r = spool_seek(u->spool, next + leave, place->has_last && !leave ? place->last : NULL, &e);
    if (r < 0) {
        say(u, CONTROL_LINK_UNREACHED, "%s", e.what);
        return fail(u);
    }
    u->placed = true;
    u->give_up = false;
    s->next = next;
    s->state = CONTROL_LINK_CONNECTED;
    if (r == SPOOL_OTHER || r == SPOOL_SHORT)
        say(u, CONTROL_LINK_CONNECTED,
            "the hub knows another journal of this host up to record %llu: what is before that "
            "here "
            "is not sent",
            (unsigned long long)next);
    else
        s->why[0] = 0;
    return 0;
}

static uint32_t place(struct uplink *u)
{
    struct place got;
    uint32_t wait;
    u->part = (struct spool_part){0};
    return ask(u, "/v1/next", STR_NONE, &got, &wait) ? seek(u, &got) : wait;
}

static void account(struct uplink *u)
{
    struct control_uplink *s = u->options.state;
    const struct spool_counts *c = spool_counts(u->spool);
    s->records += u->part.records;
    s->events += u->part.events;
    s->bytes += u->part.bytes;
    s->missing += u->part.missing;
    s->too_large = c->too_large;
    s->damaged = c->damaged;
    s->next = u->part.next;
    s->acknowledged_ns = u->part.to_ns;
    s->file = spool_file(u->spool);
}

// While it is behind, a host asks for half of the time at most, so that others' live records are not kept waiting.
static uint32_t post(struct uplink *u)
{
    uint64_t before = u->options.now_ms(u->options.context);
    struct place got;
    uint32_t wait;
    if (!ask(u, "/v1/batches", str_bytes(u->room, u->part.bytes), &got, &wait))
        return wait;
    uint64_t now = u->options.now_ms(u->options.context);
    u->sent_ms = before;
    if (got.next <= u->part.first) { // it took nothing, and may not next time
        say(u, CONTROL_LINK_UNREACHED, "the hub did not take what it asked for");
        return fail(u);
    }
    u->failures = 0;
    u->refused = 0;
    u->behind = u->part.more;
    u->options.state->why[0] = 0;
    if (!u->behind)
        u->bytes = UPLINK_CATCH_UP_BYTES;
    u->options.state->state = u->behind ? CONTROL_LINK_CATCHING_UP : CONTROL_LINK_CONNECTED;
    account(u);
    if (got.next != u->part.next) // somebody else sent, or the hub lost what it had
        return seek(u, &got);
    uint64_t took = now - before;
    return !u->behind ? 0 : (uint32_t)(took > PAUSE_MOST_MS ? PAUSE_MOST_MS : took);
}

uint32_t uplink_step(struct uplink *u)
{
    uint64_t now = u->options.now_ms(u->options.context);
    struct error e = {0};
    if (now < u->not_before_ms)
        return (uint32_t)(u->not_before_ms - now);
    if (!u->placed)
        return place(u);
    if (!u->behind && u->sent_ms && now < u->sent_ms + UPLINK_LIVE_MS)
        return (uint32_t)(u->sent_ms + UPLINK_LIVE_MS - now);
    int r = spool_read(u->spool, u->room, u->behind ? u->bytes : UPLINK_CATCH_UP_BYTES,
                       u->behind ? UINT64_MAX : UPLINK_LIVE_EVENTS, &u->part, &e);
    if (r < 0) {
        say(u, CONTROL_LINK_UNREACHED, "%s", e.what);
        return fail(u);
    }
    if (r == 0)
        u->behind = false;
    return r == 0 ? POLL_MS : post(u);
}
