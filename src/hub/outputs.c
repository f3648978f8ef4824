// SPDX-License-Identifier: Apache-2.0
#include "hub/outputs.h"
#include "base/cleanup.h"
#include "hub/state.h"
#include "os/process.h"
#include "output/output.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SEND_ITEMS 64u
#define SEND_BYTES (256u << 10)
#define WAIT_MAX_S 300u

struct output {
    struct output_config config;
    struct queue queue; // not of files
    int file;           // of ocsf-file
    uint64_t size, written, lost, delivered, sent_id, next_ns;
    unsigned tries, n_sent;
    bool present, touched, told;
    char why[160];
};

static struct outputs {
    const char *state;
    struct output of[OUTPUTS_MAX];
    size_t n;
    int channel;
    uint64_t last_id, looked_ns;
    struct arena arena;
} outputs = {.channel = -1};

static void path_of(const struct output *o, const char *file, char ret[HUB_PATH_MAX + 128])
{
    snprintf(ret, HUB_PATH_MAX + 128, "%s/outputs/%s/%s", outputs.state, o->config.name, file);
}

void outputs_init(const char *state)
{
    outputs.state = state;
}

bool outputs_any(void)
{
    return outputs.n > 0;
}

// ---- the folder

static void close_output(struct output *o)
{
    if (o->config.kind == OUTPUT_OCSF_FILE && o->file >= 0)
        close(o->file);
    else if (o->config.kind != OUTPUT_OCSF_FILE)
        queue_close(&o->queue);
}

static int open_file(struct output *o)
{
    char path[HUB_PATH_MAX + 128];
    struct stat st;
    path_of(o, "ocsf.jsonl", path);
    o->file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    o->size = o->file >= 0 && fstat(o->file, &st) == 0 ? (uint64_t)st.st_size : 0;
    return o->file < 0 ? -errno : 0;
}

static void add_output(const char *name)
{
    struct error e = {0};
    char path[HUB_PATH_MAX + 128];
    for (size_t i = 0; i < outputs.n; i++)
        if (!strcmp(outputs.of[i].config.name, name)) {
            outputs.of[i].present = true;
            return;
        }
    if (outputs.n == OUTPUTS_MAX)
        return;
    struct output *o = &outputs.of[outputs.n];
    *o = (struct output){.present = true, .told = true};
    int r = output_config_read(outputs.state, name, &o->config, &e);
    path_of(o, "queue", path);
    if (r == 0)
        r = o->config.kind == OUTPUT_OCSF_FILE
                ? open_file(o)
                : queue_open(path, OUTPUT_QUEUE_BYTES, &o->queue, &e);
    if (r == 0)
        outputs.n++;
    else if (r != -ENOENT) // being made, or being removed
        fprintf(stderr, "tiercel-hub: output %s: %s\n", name, e.what[0] ? e.what : strerror(-r));
}

static void write_state(struct output *o)
{
    char path[HUB_PATH_MAX + 128], other[HUB_PATH_MAX + 128];
    bool file = o->config.kind == OUTPUT_OCSF_FILE;
    path_of(o, "state.json", path);
    path_of(o, "state.new", other);
    uint64_t dropped = file ? o->lost : o->queue.dropped;
    json_t *j = json_pack("{sI sI sI sI ss}", "waiting", (json_int_t)(file ? 0 : o->queue.items),
                          "delivered", (json_int_t)o->delivered, "dropped", (json_int_t)dropped,
                          "tries", (json_int_t)o->tries, "last_error", o->why);
    if (j && json_dump_file(j, other, JSON_COMPACT) == 0)
        rename(other, path);
    json_decref(j);
    o->told = false;
}

static void take_line(struct output *o, struct str line);

static void ask_for_test(struct output *o)
{
    static char *tags[] = {NULL};
    char path[HUB_PATH_MAX + 128];
    path_of(o, "test", path);
    if (unlink(path) < 0)
        return;
    Tiercel__Detection d = TIERCEL__DETECTION__INIT;
    Tiercel__Batch b = TIERCEL__BATCH__INIT;
    Tiercel__Detection *list = &d;
    d.has_time = true;
    d.time = os_wall_ns();
    d.rule_id = (char *)"test";
    d.rule_title = (char *)"Test of the output: nothing has happened";
    d.level = (char *)"critical";
    d.tags = tags;
    b.detections = &list;
    b.n_detections = 1;
    const struct output_source source = {.client = str_from(o->config.client)};
    struct output *all = o;
    for (size_t i = 0; i < outputs.n; i++)
        outputs.of[i].present = &outputs.of[i] == all;
    outputs_take(&source, &b);
    for (size_t i = 0; i < outputs.n; i++)
        outputs.of[i].present = true;
    (void)outputs_sync();
}

void outputs_reload(void)
{
    char path[HUB_PATH_MAX + 64];
    uint64_t now = os_monotonic_ns();
    if (now - outputs.looked_ns < 1000000000)
        return;
    outputs.looked_ns = now;
    snprintf(path, sizeof path, "%s/outputs", outputs.state);
    DIR *folder = opendir(path);
    for (size_t i = 0; i < outputs.n; i++)
        outputs.of[i].present = false;
    for (struct dirent *d; folder && (d = readdir(folder));)
        if (pki_client_good(str_from(d->d_name)))
            add_output(d->d_name);
    if (folder)
        closedir(folder);
    for (size_t i = 0; i < outputs.n;)
        if (outputs.of[i].present) {
            i++;
        } else {
            close_output(&outputs.of[i]);
            outputs.of[i] = outputs.of[--outputs.n];
        }
    for (size_t i = 0; i < outputs.n; i++) {
        ask_for_test(&outputs.of[i]);
        if (outputs.of[i].told)
            write_state(&outputs.of[i]);
    }
}

// ---- lines

static void rotate(struct output *o)
{
    char from[HUB_PATH_MAX + 128], to[HUB_PATH_MAX + 128], name[32];
    for (unsigned i = OUTPUT_FILES; i > 0; i--) {
        snprintf(name, sizeof name, "ocsf.jsonl.%u", i);
        path_of(o, name, to);
        snprintf(name, sizeof name, i > 1 ? "ocsf.jsonl.%u" : "ocsf.jsonl", i - 1);
        path_of(o, name, from);
        rename(from, to);
    }
    (void)fdatasync(o->file);
    close(o->file);
    (void)open_file(o);
}

static void take_line(struct output *o, struct str line)
{
    o->touched = o->told = true;
    if (o->config.kind != OUTPUT_OCSF_FILE) {
        (void)queue_put(&o->queue, line); // a refusal is counted there
        return;
    }
    if (o->size + line.n > OUTPUT_FILE_BYTES)
        rotate(o);
    ssize_t n = o->file < 0 ? -1 : write(o->file, line.p, line.n);
    if (n != (ssize_t)line.n) {
        o->lost++;
        if (n > 0 && ftruncate(o->file, (off_t)o->size) < 0)
            snprintf(o->why, sizeof o->why, "a torn line: %s", strerror(errno));
        return;
    }
    o->size += line.n;
    o->delivered++;
}

static int line_of(const struct output *o, const struct output_source *s,
                   const Tiercel__Detection *d, const Tiercel__Verdict *v, struct buf *to)
{
    _cleanup_buf_ struct buf message = {0};
    bool cef = o->config.kind == OUTPUT_CEF;
    int r = cef ? output_cef_detection(s, d, v, &outputs.arena, &message)
                : output_ocsf_detection(s, d, v, &outputs.arena, &message);
    if (r < 0)
        return r;
    if (cef || o->config.kind == OUTPUT_SYSLOG)
        output_syslog(output_severity(str_from(d->level)), d->time, s->host_name, STR("detection"),
                      buf_str(&message), to);
    else
        buf_add_str(to, buf_str(&message));
    if (o->config.kind == OUTPUT_OCSF_FILE)
        buf_add_char(to, '\n');
    return to->failed;
}

static const Tiercel__Verdict *verdict_of(const Tiercel__Batch *b, const Tiercel__Detection *d)
{
    for (size_t i = 0; i < b->n_verdicts; i++)
        if (b->verdicts[i]->has_detection && b->verdicts[i]->detection == d->id)
            return b->verdicts[i];
    return NULL;
}

void outputs_take(const struct output_source *source, const Tiercel__Batch *batch)
{
    for (size_t k = 0; k < outputs.n; k++) {
        struct output *o = &outputs.of[k];
        if (!o->present ||
            (o->config.client[0] && !str_eq(source->client, str_from(o->config.client))))
            continue;
        for (size_t i = 0; i < batch->n_detections; i++) {
            const Tiercel__Detection *d = batch->detections[i];
            _cleanup_buf_ struct buf line = {0};
            if (output_severity(str_from(d->level)) < o->config.level)
                continue;
            if (line_of(o, source, d, verdict_of(batch, d), &line) == 0)
                take_line(o, buf_str(&line));
            else if (o->config.kind == OUTPUT_OCSF_FILE)
                o->lost++;
            else
                (void)queue_put(&o->queue, STR_NONE); // counted as dropped
            arena_reset(&outputs.arena);
            outputs.arena.failed = 0;
        }
    }
}

int outputs_sync(void)
{
    int r = 0;
    for (size_t i = 0; i < outputs.n; i++) {
        struct output *o = &outputs.of[i];
        if (!o->touched)
            continue;
        o->touched = false;
        int one = o->config.kind != OUTPUT_OCSF_FILE       ? queue_sync(&o->queue)
                  : o->file >= 0 && fdatasync(o->file) < 0 ? -errno
                                                           : 0;
        r = one < 0 ? one : r;
    }
    return r;
}

// ---- egress

void outputs_egress(int channel)
{
    if (outputs.channel >= 0)
        close(outputs.channel);
    outputs.channel = channel;
    for (size_t i = 0; i < outputs.n; i++)
        outputs.of[i].sent_id = 0; // nobody knows what became of it: again
}

int outputs_channel(void)
{
    return outputs.channel;
}

static void sign(struct output *o, struct str body, struct hub_send *s)
{
    uint8_t mac[32];
    char hex[65] = "", time[24];
    unsigned n = sizeof mac;
    _cleanup_buf_ struct buf text = {0};
    snprintf(time, sizeof time, "%llu", (unsigned long long)(os_wall_ns() / 1000000000));
    buf_addf(&text, "%s.", time);
    buf_add_str(&text, body);
    if (!text.failed && HMAC(EVP_sha256(), o->config.secret, (int)strlen(o->config.secret),
                             (const uint8_t *)text.p, text.n, mac, &n))
        pki_hex(mac, sizeof mac, hex);
    snprintf(s->headers[1], sizeof *s->headers, "Tiercel-Timestamp: %s", time);
    snprintf(s->headers[2], sizeof *s->headers, "Tiercel-Signature: sha256=%s", hex);
    snprintf(s->headers[3], sizeof *s->headers, "Tiercel-Delivery: %s-%llu", o->config.name,
             (unsigned long long)o->queue.number);
}

static int memory_of(struct str s)
{
    int fd = memfd_create("send", MFD_CLOEXEC);
    if (fd >= 0 && s.n && pwrite(fd, s.p, s.n, 0) != (ssize_t)s.n) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void send_one(struct output *o)
{
    static struct hub_send s;
    _cleanup_buf_ struct buf body = {0};
    bool web = o->config.kind == OUTPUT_WEBHOOK;
    ssize_t n = queue_peek(&o->queue, web ? 1 : SEND_ITEMS, SEND_BYTES, &body);
    if (n == -EBADMSG) // rot: there is no way to what is behind it
        (void)queue_pop(&o->queue, o->queue.items, true);
    if (n <= 0)
        return;
    if (web)
        body.n--; // the newline is not part of it
    memset(&s, 0, sizeof s);
    s.id = ++outputs.last_id;
    s.size = (uint32_t)body.n;
    snprintf(s.to, sizeof s.to, "%s", o->config.to);
    if (web || o->config.kind == OUTPUT_OCSF_HTTP)
        snprintf(s.headers[0], sizeof *s.headers, "Content-Type: application/%s",
                 web ? "json" : "x-ndjson");
    if (web)
        sign(o, buf_str(&body), &s);
    struct str authority = str_from(o->config.authority);
    s.authority = (uint32_t)authority.n;
    int fds[2] = {memory_of(buf_str(&body)), memory_of(authority)};
    if (fds[0] >= 0 && fds[1] >= 0 &&
        link_send(outputs.channel, HUB_SEND, &s, sizeof s, fds, 2, 0) == 0) {
        o->sent_id = s.id;
        o->n_sent = (unsigned)n;
    }
    for (unsigned i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static void take_sent(const struct hub_sent *s)
{
    for (size_t i = 0; i < outputs.n; i++) {
        struct output *o = &outputs.of[i];
        if (o->sent_id != s->id)
            continue;
        o->sent_id = 0;
        o->told = true;
        memcpy(o->why, s->why, sizeof o->why);
        o->why[sizeof o->why - 1] = 0;
        if (s->result == HUB_SENT_AGAIN) {
            unsigned wait = o->tries < 9 ? 1u << o->tries : WAIT_MAX_S;
            o->tries++;
            o->next_ns =
                os_monotonic_ns() + (wait < WAIT_MAX_S ? wait : WAIT_MAX_S) * 1000000000ull;
            return;
        }
        o->tries = 0;
        if (s->result == HUB_SENT_GOOD)
            o->delivered += o->n_sent;
        (void)queue_pop(&o->queue, o->n_sent, s->result != HUB_SENT_GOOD);
        return;
    }
}

void outputs_serve(void)
{
    static struct link_message m;
    int r;
    while (outputs.channel >= 0 && (r = link_receive(outputs.channel, &m, 0)) != -EAGAIN) {
        const struct hub_sent *s =
            r == 1 && m.type == HUB_SENT ? link_body(&m, struct hub_sent) : NULL;
        if (s)
            take_sent(s);
        if (r == 1)
            link_message_done(&m);
        else
            outputs_egress(-1);
    }
    uint64_t now = os_monotonic_ns();
    for (size_t i = 0; i < outputs.n && outputs.channel >= 0; i++) {
        struct output *o = &outputs.of[i];
        if (o->config.kind != OUTPUT_OCSF_FILE && o->queue.items && !o->sent_id &&
            now >= o->next_ns)
            send_one(o);
    }
}
