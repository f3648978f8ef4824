// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "cli/sim.h"
#include "event/segment_format.h"
#include "link.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

static void identity(const char *what, const char *client, const char *name, uint8_t ret[16])
{
    char text[160];
    uint8_t hash[32];
    int n = snprintf(text, sizeof text, "tiercel sim %s %s/%s", what, client, name);
    segment_hash(text, (size_t)n, hash);
    memcpy(ret, hash, 16);
}

static void sleep_ms(unsigned ms)
{
    struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
    (void)nanosleep(&t, NULL);
}

// ---- enrolment

static const char *key_of(const struct sim_keys *keys, const char *client)
{
    for (size_t i = 0; i < keys->n; i++)
        if (!strcmp(keys->of[i].client, client))
            return keys->of[i].key;
    return NULL;
}

// What enrol() kept. -ENOENT: not enrolled yet.
static int read_enrolment(const char *folder, struct enrolment *ret, struct error *e)
{
    char path[400], text[ENROLMENT_BYTES_MAX];
    snprintf(path, sizeof path, "%s/" ENROLMENT_FILE, folder);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return -ENOENT;
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (n < 0)
        return error_set(e, -errno, "%s cannot be read: %s", path, strerror(errno));
    return enrolment_parse(str_bytes(text, (size_t)n), ret, e);
}

static int enrol_host(const struct sim_hub *hub, struct sim_host *h, const char *folder,
                      struct error *e)
{
    struct enrol order = hub->order;
    struct enrolled done;
    order.key = key_of(hub->keys, h->client);
    order.state = folder;
    order.host = h->id;
    order.host_name = h->name;
    if (!order.key) {
        error_set(e, -EINVAL, "there is no enrolment key of client %s", h->client);
        error_way_out(e, "tiercel-hub key new %s --uses N; then a line in the file of --keys",
                      h->client);
        return -EINVAL;
    }
    int r = enrol(&order, &done, e);
    if (r == 0)
        r = read_enrolment(folder, &h->mine, e);
    if (r == 0 && strcmp(h->mine.client, h->client) != 0)
        r = error_set(e, -EINVAL, "the key of client %s is one of client %s", h->client,
                      h->mine.client);
    return r;
}

static int begin_chain(struct sim_host *h, struct error *e)
{
    uint64_t next;
    uint8_t last[32];
    int r = sim_host_ask(h, &next, last, e);
    if (r < 0)
        return r;
    int fd = memfd_create("records", MFD_CLOEXEC);
    r = fd < 0 ? -errno : segment_writer_init(&h->writer, fd, last, next);
    if (r < 0 && fd >= 0)
        close(fd);
    // Numbers of what an earlier run sent are below: no record has so many events.
    h->id_max = next << 20;
    return r < 0 ? error_set(e, r, "no memory for a host: %s", strerror(-r)) : 0;
}

int sim_host_open(const struct sim_hub *hub, const char *client, const char *name,
                  struct sim_host *ret, struct error *e)
{
    struct sim_host h = {.writer.fd = -1};
    char folder[360];
    snprintf(h.client, sizeof h.client, "%s", client);
    snprintf(h.name, sizeof h.name, "%s", name);
    identity("host", client, name, h.id);
    identity("boot", client, name, h.boot);
    int n = snprintf(folder, sizeof folder, "%s/%s.%s", hub->state, client, name);
    if (n < 0 || (size_t)n >= sizeof folder)
        return error_set(e, -EINVAL, "the name of the state folder is too long");
    int r = read_enrolment(folder, &h.mine, e);
    if (r == -ENOENT)
        r = enrol_host(hub, &h, folder, e);
    struct http_options options = {.authority = str_from(h.mine.authority),
                                   .certificate = str_from(h.mine.certificate),
                                   .key = str_from(h.mine.key),
                                   .proxy = h.mine.proxy};
    if (r == 0)
        r = http_new(&options, &h.http, e);
    if (r == 0)
        r = begin_chain(&h, e);
    *ret = h;
    if (r < 0)
        sim_host_done(ret);
    return r;
}

void sim_host_done(struct sim_host *h)
{
    h->http = http_free(h->http);
    segment_writer_done(&h->writer);
    explicit_bzero(h->mine.key, sizeof h->mine.key);
}

// ---- sending

static int read_reply(const struct http_reply *reply, uint64_t *ret_next, uint8_t ret_last[32],
                      unsigned *ret_wait_ms)
{
    Tiercel__Link__BatchReply *m =
        tiercel__link__batch_reply__unpack(NULL, reply->body.n, (const uint8_t *)reply->body.p);
    bool good = m && (!m->has_last || m->last.len == 32);
    if (good) {
        *ret_next = m->next;
        memset(ret_last, 0, 32);
        if (m->has_last)
            memcpy(ret_last, m->last.data, 32);
        *ret_wait_ms = m->wait_ms > 60000 ? 60000 : m->wait_ms;
    }
    if (m)
        tiercel__link__batch_reply__free_unpacked(m, NULL);
    return good ? 0 : -EPROTO;
}

static int refused(const struct sim_host *h, const struct http_reply *reply, struct error *e)
{
    char words[160] = "";
    for (size_t i = 0; i < reply->body.n && i < sizeof words - 1; i++)
        words[i] = reply->body.p[i] >= ' ' && reply->body.p[i] < 127 ? reply->body.p[i] : ' ';
    return error_set(e, -EPROTO, "the hub answered %s/%s with HTTP status %ld: %s", h->client,
                     h->name, reply->status, words);
}

int sim_host_ask(struct sim_host *h, uint64_t *ret_next, uint8_t ret_last[32], struct error *e)
{
    struct http_reply reply;
    char url[300];
    unsigned wait_ms;
    snprintf(url, sizeof url, "%s/v1/next", h->mine.url);
    for (unsigned times = 0;; times++) {
        int r = http_request(h->http, url, STR_NONE, &reply, e);
        if (r < 0)
            return r;
        if (reply.status == 200)
            return read_reply(&reply, ret_next, ret_last, &wait_ms) == 0
                       ? 0
                       : error_set(e, -EPROTO, "the hub's answer cannot be read");
        if ((reply.status != 429 && reply.status != 503) || times == 100)
            return refused(h, &reply, e);
        sleep_ms(100);
    }
}

int sim_host_add(struct sim_host *h, Tiercel__Batch *b, struct error *e)
{
    int r = segment_append(&h->writer, b);
    if (r < 0)
        return error_set(e, r, "a record of %s/%s cannot be made: %s", h->client, h->name,
                         strerror(-r));
    h->waiting++;
    h->pending.events += b->n_events;
    h->pending.detections += b->n_detections;
    return 0;
}

// 1: durable; 0: again; negative: it will never be. The same bytes may be sent twice: the hub skips what it has.
static int post(struct sim_host *h, struct str body, const struct sim_end *end,
                unsigned *ret_wait_ms, struct error *e)
{
    struct http_reply reply;
    uint64_t next;
    uint8_t last[32];
    char url[300];
    snprintf(url, sizeof url, "%s/v1/batches", h->mine.url);
    int r = http_request(h->http, url, body, &reply, e);
    *ret_wait_ms = 250;
    if (r < 0)
        return r == -ENETUNREACH ? 0 : r;
    if (reply.status == 429 || reply.status == 503) {
        if (read_reply(&reply, &next, last, ret_wait_ms) < 0 || *ret_wait_ms == 0)
            *ret_wait_ms = 250;
        error_set(e, -EAGAIN, "the hub is busy (HTTP status %ld)", reply.status);
        return 0;
    }
    if (reply.status != 200)
        return refused(h, &reply, e);
    if (read_reply(&reply, &next, last, ret_wait_ms) < 0)
        return error_set(e, -EPROTO, "the hub's answer cannot be read");
    if (next != end->next || memcmp(last, end->last, sizeof last) != 0)
        return error_set(e, -EPROTO,
                         "the hub wants record %llu of %s/%s, not %llu: does another sim send as "
                         "this host?",
                         (unsigned long long)next, h->client, h->name,
                         (unsigned long long)end->next);
    return 1;
}

int sim_host_post(const struct sim_hub *hub, struct sim_host *h, struct str body,
                  const struct sim_end *end, uint64_t *again, unsigned *ret_wait_ms,
                  struct error *e)
{
    time_t until = time(NULL) + (time_t)hub->patience_s;
    int r;
    while ((r = post(h, body, end, ret_wait_ms, e)) == 0 && time(NULL) < until) {
        ++*again;
        sleep_ms(*ret_wait_ms);
    }
    return r > 0 ? 0 : r < 0 ? r : e->code < 0 ? e->code : -ETIMEDOUT;
}

int sim_host_send(const struct sim_hub *hub, struct sim_host *h, struct sim_counts *counts,
                  struct error *e)
{
    size_t n = (size_t)h->writer.size;
    struct sim_end end = {.next = h->writer.sequence};
    unsigned wait_ms = 0;
    if (n == 0)
        return 0;
    const char *p = mmap(NULL, n, PROT_READ, MAP_SHARED, h->writer.fd, 0);
    if (p == MAP_FAILED)
        return error_set(e, -errno, "no memory for %zu bytes", n);
    memcpy(end.last, h->writer.last, sizeof end.last);
    int r = sim_host_post(hub, h, str_bytes(p, n), &end, &counts->again, &wait_ms, e);
    munmap((void *)(uintptr_t)p, n);
    if (r < 0)
        return r;
    counts->requests++;
    counts->records += h->waiting;
    counts->events += h->pending.events;
    counts->detections += h->pending.detections;
    counts->bytes += n;
    h->waiting = 0;
    h->pending = (struct sim_counts){0};
    h->writer.size = 0;
    if (ftruncate(h->writer.fd, 0) < 0 || lseek(h->writer.fd, 0, SEEK_SET) < 0)
        return error_set(e, -errno, "a memory file cannot be cut: %s", strerror(errno));
    sleep_ms(wait_ms);
    return 0;
}
