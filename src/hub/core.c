// SPDX-License-Identifier: Apache-2.0
// The role with the stores. No network, no key. All asks that wait are taken
// together, then what they appended is made durable with one fdatasync a client, then all are answered.
#include "base/buf.h"
#include "base/cleanup.h"
#include "event/segment_record.h"
#include "hub/core_orders.h"
#include "hub/outputs.h"
#include "hub/request.h"
#include "hub/signer.h"
#include "hub/state.h"
#include "link.pb-c.h"
#include "os/landlock.h"
#include "os/process.h"

#include "os/sandbox.h"
#include "output/output.h"
#include "store/registry.h"
#include "store/store.h"
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <poll.h>
#include <seccomp.h>
#include <stdarg.h>
#include <sys/stat.h>

#define GROUP_MAX 256             // asks of one commit
#define GROUP_BYTES (32ull << 20) // ... and bytes of their bodies
#define RECORDS_MAX 4096          // of one body

struct client {
    char name[PKI_CLIENT_MAX + 1];
    struct store *store;
    bool touched; // has something that is not durable yet
};

struct pending {
    struct hub_answer answer;
    struct client *client; // NULL: the answer stands as it is
    uint8_t host[PKI_HOST_BYTES];
    uint32_t pressure;
    bool later; // core_orders.c answers
};

static struct core {
    const struct hub_setup *setup;
    X509 *authority;
    uint8_t signer[32]; // public key, of orders
    struct registry *registry;
    struct segment_opener *opener;
    struct client clients[REGISTRY_CLIENTS_MAX];
    size_t n_clients;
    int peer;
    struct pending group[GROUP_MAX];
    size_t n_group;
    uint64_t group_bytes;
    struct hub_counters counters, written;
    uint64_t written_ns;
    uint64_t revoked_ns, revoked_looked_ns; // newest revocation that front was told of
    int64_t version;                        // of the registry, when that was
    uint8_t body[HUB_BODY_MAX];
    struct store_record records[RECORDS_MAX];
} core = {.peer = -1};

static void say(struct pending *p, uint32_t status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void say(struct pending *p, uint32_t status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf((char *)p->answer.body, sizeof p->answer.body, format, args);
    va_end(args);
    p->answer.status = status;
    p->answer.text = 1;
    p->answer.size = n < 0 ? 0 : (uint32_t)n < HUB_ANSWER_MAX ? (uint32_t)n : HUB_ANSWER_MAX - 1;
}

// ---- enrolment

struct signing {
    const struct request_enrol *request;
    X509 *certificate;
};

static int sign(void *context, const char *client, uint8_t ret_certificate[32])
{
    struct signing *s = context;
    char name[PKI_NAME_MAX + 1];
    pki_name_make(client, s->request->host, name);
    static struct hub_signed answer;
    int r = hub_sign_host(core_orders_signer_fd(), name,
                          str_bytes(s->request->csr, s->request->csr_size), &answer);
    if (r == 0)
        r = pki_certificate_from_der(str_bytes(answer.bytes, answer.size), &s->certificate);
    if (r == 0 && X509_digest(s->certificate, EVP_sha256(), ret_certificate, NULL) != 1)
        r = -EIO;
    return r;
}

static void enrolled(struct pending *p, X509 *certificate)
{
    Tiercel__Link__EnrolReply reply = TIERCEL__LINK__ENROL_REPLY__INIT;
    _cleanup_buf_ struct buf own = {0}, authority = {0};
    char name[128] = "", client[PKI_CLIENT_MAX + 1] = "";
    uint8_t host[PKI_HOST_BYTES];
    int n = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
                                      sizeof name);
    if (n < 0 || pki_name_read(str_bytes(name, (size_t)n), client, host) < 0 ||
        pki_certificate_der(certificate, &own) < 0 ||
        pki_certificate_der(core.authority, &authority) < 0) {
        say(p, 500, "the certificate cannot be given out");
        return;
    }
    reply.has_certificate = reply.has_authority = true;
    reply.certificate = (ProtobufCBinaryData){own.n, (uint8_t *)own.p};
    reply.authority = (ProtobufCBinaryData){authority.n, (uint8_t *)authority.p};
    reply.has_signer = true;
    reply.signer = (ProtobufCBinaryData){sizeof core.signer, core.signer};
    reply.client = client;
    reply.agents_url = (char *)(uintptr_t)core.setup->agents_url;
    size_t size = tiercel__link__enrol_reply__get_packed_size(&reply);
    if (size > HUB_ANSWER_MAX) {
        say(p, 500, "the certificate is too large");
        return;
    }
    p->answer.status = 200;
    p->answer.size = (uint32_t)tiercel__link__enrol_reply__pack(&reply, p->answer.body);
    core.counters.enrolled++;
}

static void enrol(struct pending *p, struct str body)
{
    static struct request_enrol request;
    struct error e = {0};
    struct signing signing = {.request = &request};
    if (request_enrol(body, &request, &e) < 0) {
        say(p, 400, "%s", e.what);
        return;
    }
    struct registry_enrolment n = {.now = os_wall_ns(), .sign = sign, .context = &signing};
    memcpy(n.key_id, request.key_id, sizeof n.key_id);
    memcpy(n.key_hash, request.key_hash, sizeof n.key_hash);
    memcpy(n.host, request.host, sizeof n.host);
    memcpy(n.name, request.host_name, sizeof n.name);
    int r = registry_enrol(core.registry, &n, &e);
    if (r == 0)
        enrolled(p, signing.certificate);
    else if (r == -EACCES)
        say(p, 403, "%s", e.what);
    else if (r == -EEXIST)
        say(p, 409, "%s; %s", e.what, e.way_out);
    else if (r == -EBADMSG)
        say(p, 400, "the certificate request is not one of a P-256 key, signed by it");
    else
        say(p, 503, "not now: %s", e.what);
    if (r < 0)
        core.counters.refused++;
    X509_free(signing.certificate);
}

// ---- batches

static struct client *client_of(const char *name, struct error *e)
{
    struct client *c = NULL;
    char folder[HUB_PATH_MAX + 64];
    for (size_t i = 0; i < core.n_clients && !c; i++)
        if (!strcmp(core.clients[i].name, name))
            c = &core.clients[i];
    if (!c) {
        if (core.n_clients == REGISTRY_CLIENTS_MAX)
            return NULL;
        c = &core.clients[core.n_clients++];
        *c = (struct client){0};
        memcpy(c->name, name, strlen(name) + 1);
    }
    if (!c->store) {
        snprintf(folder, sizeof folder, "%s/clients/%s", core.setup->state, name);
        struct store_opened opened = {0};
        if (mkdir(folder, 0700) < 0 && errno != EEXIST)
            error_set(e, -errno, "%s: %s", folder, strerror(errno));
        else if (store_open(folder, NULL, &c->store, &opened, e) == 0 && opened.cut)
            fprintf(stderr, "tiercel-hub: client %s: %llu bytes of a torn record cut off\n", name,
                    (unsigned long long)opened.cut);
    }
    return c->store ? c : NULL;
}

static void set_next(struct pending *p)
{
    struct store_chain chain;
    store_next(p->client->store, p->host, &chain);
    p->answer.next = chain.next;
    p->answer.has_next = 1;
}

// Into records: as many as are whole and hold together. The reason why the rest is not taken is in e.
static size_t cut(struct str body, struct error *e)
{
    size_t good = 0;
    struct segment_info info;
    memset(core.records, 0, sizeof *core.records);
    ssize_t n = store_split(body, core.records, RECORDS_MAX, &good, e);
    if (n >= 0)
        good = (size_t)n;
    for (size_t i = 0; i < good; i++)
        if (segment_record_prove(core.opener, core.records[i].bytes, &info, e) < 0)
            return i;
    return good;
}

// To the outputs, whatever cannot be read of a record is in the store all the same.
static void put_out(const struct pending *p, const struct store_record *record)
{
    struct str plain;
    Tiercel__Batch *batch = NULL;
    struct error e = {0};
    char name[REGISTRY_NAME_MAX + 1] = "";
    if (segment_record_plain(core.opener, record->bytes, &plain, &e) < 0 ||
        segment_record_unpack(core.opener, &record->info, plain, &batch, &e) < 0) {
        fprintf(stderr, "tiercel-hub: outputs: a batch cannot be read: %s\n", e.what);
        return;
    }
    (void)registry_host_name(core.registry, p->client->name, p->host, name);
    const struct output_source source = {
        .client = str_from(p->client->name), .host = p->host, .host_name = str_from(name)};
    outputs_take(&source, batch);
}

static int append(struct pending *p, size_t n, struct error *e)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        core.records[i].host = p->host;
        core.records[i].batch = NULL;
    }
    int r = n ? store_append(p->client->store, core.records, n, os_wall_ns(), e) : 0;
    if (r < 0) {
        core.counters.failed++;
        return r;
    }
    p->client->touched = true;
    for (size_t i = 0; i < n; i++) {
        enum store_result result = core.records[i].result;
        core.counters.records[result < HUB_RESULTS ? result : HUB_RESULTS - 1]++;
        if (result == STORE_DAMAGED && !e->what[0])
            error_set(e, -EBADMSG, "%s", core.records[i].why);
        if (result != STORE_DAMAGED && result != STORE_KNOWN)
            bytes += core.records[i].bytes.n;
        if (result != STORE_DAMAGED && result != STORE_KNOWN && core.records[i].info.n_detections &&
            outputs_any())
            put_out(p, &core.records[i]);
    }
    core.counters.bytes += bytes;
    return 0;
}

static void drop_store(struct client *c)
{
    c->store = store_close(c->store);
    c->touched = false;
}

static void batches(struct pending *p, struct str body)
{
    struct error e = {0}, append_error = {0};
    size_t n = cut(body, &e);
    int r = append(p, n, e.what[0] ? &append_error : &e);
    if (r < 0) {
        say(p, 503, "the store takes nothing now: %s",
            append_error.what[0] ? append_error.what : e.what);
        if (r == -EIO)
            drop_store(p->client);
        p->client = NULL;
    } else if (e.what[0]) {
        say(p, 422, "%s", e.what);
    } else {
        p->answer.status = 200;
    }
}

static void authenticated(struct pending *p, const struct hub_ask *ask, struct str body)
{
    char client[PKI_CLIENT_MAX + 1];
    struct error e = {0};
    size_t length = strnlen(ask->name, sizeof ask->name);
    int r = pki_name_read(str_bytes(ask->name, length), client, p->host);
    if (r == 0)
        r = registry_host_check(core.registry, client, p->host, ask->certificate);
    if (r == -EBADMSG || r == -EACCES || r == -ENOENT) {
        core.counters.refused++;
        say(p, 403, "this certificate is revoked, replaced or unknown; enrol again");
        return;
    }
    if (r == 0 && ask->what == HUB_ORDERS) {
        p->later = !core_orders_ask(ask->id, client, p->host, &p->answer);
        return;
    }
    if (r == 0 && ask->what == HUB_ORDER_RESULT)
        return core_orders_result(client, p->host, body, &p->answer);
    if (r == 0)
        p->client = client_of(client, &e);
    if (!p->client) {
        say(p, 503, "not now: %s", e.what);
        return;
    }
    p->answer.status = 200;
    if (ask->what == HUB_BATCHES)
        batches(p, body);
}

// ---- asks and answers

// The body is copied: whoever sent it could change it while it is looked at.
static int take_body(const struct link_message *m, uint32_t size)
{
    if (size == 0)
        return 0;
    if (m->n_fds != 1 || size > HUB_BODY_MAX)
        return -EBADMSG;
    for (size_t done = 0; done < size;) {
        ssize_t n = pread(m->fds[0], core.body + done, size - done, (off_t)done);
        if (n <= 0)
            return -EBADMSG;
        done += (size_t)n;
    }
    return 0;
}

static void take(struct link_message *m)
{
    const struct hub_ask *ask = m->type == HUB_ASK ? link_body(m, struct hub_ask) : NULL;
    if (ask) {
        struct pending *p = &core.group[core.n_group++];
        memset(p, 0, offsetof(struct pending, answer.body));
        p->client = NULL;
        p->later = false;
        p->answer.id = ask->id;
        p->pressure = ask->pressure;
        if (take_body(m, ask->size) < 0)
            say(p, 500, "the request was lost on its way");
        else if (ask->what == HUB_ENROL)
            enrol(p, str_bytes(core.body, ask->size));
        else
            authenticated(p, ask, str_bytes(core.body, ask->size));
        core.group_bytes += ask->size;
        core.counters.requests++;
    }
    link_message_done(m);
}

static void commit(void)
{
    int r = outputs_sync(); // first: twice after a crash, but never not at all
    if (r < 0)
        fprintf(stderr, "tiercel-hub: outputs: not durable: %s\n", strerror(-r));
    for (size_t i = 0; i < core.n_clients; i++) {
        struct client *c = &core.clients[i];
        struct error e = {0};
        if (!c->touched || !c->store)
            continue;
        core.counters.commits++;
        if (store_commit(c->store, &e) < 0) {
            fprintf(stderr, "tiercel-hub: client %s: not durable: %s\n", c->name, e.what);
            core.counters.failed++;
            drop_store(c);
        }
        c->touched = false;
    }
}

// Above half of front's room agents are asked to wait, up to a second.
static uint32_t wait_of(uint32_t pressure)
{
    return pressure <= 50 ? 0 : pressure >= 100 ? 1000 : (pressure - 50) * 20;
}

static void finish(struct pending *p)
{
    struct store_chain chain;
    if (!p->client)
        return;
    if (!p->client->store) { // it failed in this group: nothing is durable
        say(p, 503, "what was sent could not be made durable; send it again");
        return;
    }
    set_next(p);
    if (p->answer.status != 200)
        return;
    Tiercel__Link__BatchReply reply = TIERCEL__LINK__BATCH_REPLY__INIT;
    store_next(p->client->store, p->host, &chain);
    reply.has_next = true;
    reply.next = chain.next;
    reply.has_last = chain.next > 0;
    reply.last = (ProtobufCBinaryData){sizeof chain.last, chain.last};
    reply.wait_ms = wait_of(p->pressure);
    reply.has_wait_ms = reply.wait_ms > 0;
    p->answer.size = (uint32_t)tiercel__link__batch_reply__pack(&reply, p->answer.body);
}

static void answer_all(void)
{
    commit();
    for (size_t i = 0; i < core.n_group; i++) {
        struct pending *p = &core.group[i];
        finish(p);
        if (core.peer >= 0 && !p->later &&
            link_send(core.peer, HUB_ANSWER, &p->answer,
                      (uint32_t)offsetof(struct hub_answer, body) + p->answer.size, NULL, 0,
                      1) < 0) {
            close(core.peer);
            core.peer = -1;
        }
    }
    core.n_group = 0;
    core.group_bytes = 0;
}

static void serve_peer(void)
{
    static struct link_message m;
    int r = -EAGAIN;
    while (core.n_group < GROUP_MAX && core.group_bytes < GROUP_BYTES &&
           (r = link_receive(core.peer, &m, 0)) == 1)
        take(&m);
    if (core.n_group)
        answer_all();
    if (core.peer >= 0 && r != 1 && r != -EAGAIN && r != -EBADMSG) {
        close(core.peer);
        core.peer = -1;
    }
}

static int drop_host(void *context, const struct registry_host *h)
{
    uint64_t *newest = context;
    if (h->revoked_ns <= core.revoked_ns)
        return 0;
    if (h->revoked_ns > *newest)
        *newest = h->revoked_ns;
    if (core.peer >= 0)
        (void)link_send(core.peer, HUB_DROP, h->certificate, sizeof h->certificate, NULL, 0, 1);
    return 0;
}

// Revoked hosts' requests are refused in any case; this ends their idle connections.
static void drop_revoked(void)
{
    uint64_t now = os_monotonic_ns(), newest = core.revoked_ns;
    if (now - core.revoked_looked_ns < 250000000)
        return;
    core.revoked_looked_ns = now;
    int64_t version = registry_version(core.registry);
    if (version == core.version || version < 0)
        return;
    core.version = version;
    struct error e = {0};
    if (registry_host_each(core.registry, NULL, drop_host, &newest, &e) == 0)
        core.revoked_ns = newest;
}

static void write_counters(void)
{
    uint64_t now = os_monotonic_ns();
    if (now - core.written_ns < 1000000000 ||
        !memcmp(&core.counters, &core.written, sizeof core.counters))
        return;
    core.written_ns = now;
    core.written = core.counters;
    hub_counters_write(core.setup->state, &core.counters);
}

static int serve(void)
{
    static struct link_message m;
    for (;;) {
        struct pollfd fds[3] = {{.fd = HUB_CHANNEL, .events = POLLIN},
                                {.fd = core.peer, .events = POLLIN},
                                {.fd = outputs_channel(), .events = POLLIN}};
        if (poll(fds, 3, ORDERS_TURN_MS) < 0 && errno != EINTR)
            return -errno;
        if (fds[0].revents) {
            int r = link_receive(HUB_CHANNEL, &m, 0);
            if (r == 0)
                return 0;
            if (r == 1 && m.type == HUB_PEER && m.n_fds == 1) {
                if (core.peer >= 0)
                    close(core.peer);
                core.peer = m.fds[0];
                m.n_fds = 0;
                core_orders_forget();
            }
            if (r == 1 && m.type == HUB_SIGNER && m.n_fds == 1) {
                core_orders_signer(m.fds[0]);
                m.n_fds = 0;
            }
            if (r == 1 && m.type == HUB_EGRESS && m.n_fds == 1) {
                outputs_egress(m.fds[0]);
                m.n_fds = 0;
            }
            if (r == 1)
                link_message_done(&m);
        } else if (core.peer >= 0 && fds[1].revents) {
            serve_peer();
        }
        core_orders_turn(core.peer);
        drop_revoked();
        outputs_reload();
        outputs_serve();
        write_counters();
    }
}

int hub_core(const struct hub_setup *setup)
{
    static const int calls[] = {SCMP_SYS(unlink),   SCMP_SYS(ftruncate),    SCMP_SYS(flock),
                                SCMP_SYS(rename),   SCMP_SYS(pwritev),      SCMP_SYS(pwritev2),
                                SCMP_SYS(fchmodat), SCMP_SYS(chmod),        SCMP_SYS(umask),
                                SCMP_SYS(rmdir),    SCMP_SYS(memfd_create), -1};
    struct error e = {0};
    char file[HUB_PATH_MAX + 32];
    core.setup = setup;
    OpenSSL_add_all_digests();
    if (hub_certificate_read(setup->state, &core.authority, &e) < 0 ||
        hub_signer_public(setup->state, core.signer, &e) < 0 ||
        segment_opener_new(&core.opener) < 0) {
        fprintf(stderr, "tiercel-hub: %s\n", e.what[0] ? e.what : "out of memory");
        return -1;
    }
    umask(077);
    const char *const own[] = {setup->state, NULL};
    if (os_landlock(NULL, own, &e) < 0) {
        fprintf(stderr, "tiercel-hub: core: %s\n", e.what);
        return -1;
    }
    outputs_init(setup->state);
    core.revoked_ns = os_wall_ns(); // before that: they are refused when they ask
    if (hub_enter("tiercel-hub-cor", setup->core_uid, OS_OPEN_READ | OS_FILES, calls) < 0)
        return -1;
    snprintf(file, sizeof file, "%s/hub.db", setup->state);
    if (registry_open(file, false, &core.registry, &e) < 0 || core_orders_open(file, &e) < 0) {
        fprintf(stderr, "tiercel-hub: %s: %s\n", file, e.what);
        return -1;
    }
    int r = serve();
    for (size_t i = 0; i < core.n_clients; i++)
        store_close(core.clients[i].store);
    registry_close(core.registry);
    segment_opener_free(core.opener);
    core_orders_close();
    X509_free(core.authority);
    return r;
}
