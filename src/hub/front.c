// SPDX-License-Identifier: Apache-2.0
// The role with the network: TLS and HTTP/1.1 (libwebsockets), two listeners, bodies into files in memory, one ask to
// core for each request that is whole. Opens no file and no store. What was learnt of libwebsockets 4.1.6 the hard way:
// its option for client certificates accepts any of them unless the verify callback returns OpenSSL's own verdict; a
// resumed session runs no verify callback, so who it is is read from the session with each request; a reply needs
// content-length; the authority's certificate must be loaded by hand.
#include "hub/front.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "hub/state.h"
#include "link.pb-c.h"
#include "os/sandbox.h"
#include <errno.h>
#include <openssl/ssl.h>
#include <seccomp.h>
#include <sys/mman.h>

static struct front front = {.peer = -1};

// ---- sessions

static void forget_body(struct session *s)
{
    if (s->has_file)
        close(s->file);
    front.used -= s->received;
    s->has_file = false;
    s->received = 0;
}

static void begin(struct session *s, struct lws *wsi)
{
    *s = (struct session){.wsi = wsi, .begun_us = (uint64_t)lws_now_usecs()};
}

static void forget(struct session *s)
{
    forget_body(s);
    if (s->id)
        map_remove(&front.asked, MAP_KEY(s->id));
    s->id = 0;
}

static void local(struct session *s, uint32_t status, const char *text)
{
    s->answer.status = status;
    s->answer.text = 1;
    s->answer.has_next = 0;
    s->answer.size = (uint32_t)snprintf((char *)s->answer.body, 256, "%s", text);
    s->close = s->close || status == 403;
    if (status == 429 || status == 503) {
        Tiercel__Link__BatchReply reply = TIERCEL__LINK__BATCH_REPLY__INIT;
        reply.has_wait_ms = true;
        reply.wait_ms = 1000;
        s->answer.text = 0;
        s->answer.size = (uint32_t)tiercel__link__batch_reply__pack(&reply, s->answer.body);
    }
    forget(s);
    s->ready = true;
}

// Who is at the other end, as its certificate says, which OpenSSL has verified: now, or when the session began.
static bool identify(struct session *s, struct hub_ask *ask)
{
    SSL *ssl = lws_get_ssl(s->wsi);
    X509 *certificate = ssl ? SSL_get1_peer_certificate(ssl) : NULL;
    char name[128];
    int n = certificate ? X509_NAME_get_text_by_NID(X509_get_subject_name(certificate),
                                                    NID_commonName, name, sizeof name)
                        : -1;
    bool good = n > 0 && n <= PKI_NAME_MAX && SSL_get_verify_result(ssl) == X509_V_OK &&
                X509_digest(certificate, EVP_sha256(), ask->certificate, NULL) == 1;
    if (good)
        memcpy(ask->name, name, (size_t)n);
    X509_free(certificate);
    return good;
}

// So that a connection that is idle can be found when its host is revoked.
static bool remember(struct lws *wsi, const uint8_t certificate[32])
{
    struct known *k = map_get(&front.known, MAP_KEY(wsi));
    if (!k) {
        k = calloc(1, sizeof *k);
        if (!k)
            return false;
        k->wsi = wsi;
        if (map_put(&front.known, MAP_KEY(k->wsi), k) < 0) {
            free(k);
            return false;
        }
    }
    memcpy(k->certificate, certificate, sizeof k->certificate);
    return true;
}

static void closed(struct lws *wsi)
{
    struct known *k = map_get(&front.known, MAP_KEY(wsi));
    if (k)
        map_remove(&front.known, MAP_KEY(wsi));
    free(k);
}

static void drop(const uint8_t certificate[32])
{
    struct map_entry *entry;
    for (size_t i = 0; (entry = map_next(&front.known, &i));) {
        struct known *k = entry->value;
        if (!memcmp(k->certificate, certificate, sizeof k->certificate))
            lws_set_timeout(k->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
    }
}

static void ask_core(struct session *s)
{
    struct hub_ask ask = {.id = ++front.last_id,
                          .what = s->route->what,
                          .size = s->received,
                          .pressure = (uint32_t)(front.used * 100 / FRONT_ROOM)};
    if (s->route->agents && !identify(s, &ask)) {
        local(s, 403, "no certificate that this hub knows");
        return;
    }
    if (s->route->agents && !remember(s->wsi, ask.certificate)) {
        local(s, 503, "");
        return;
    }
    s->id = ask.id;
    int r = front.peer < 0 ? -ENOTCONN : map_put(&front.asked, MAP_KEY(s->id), s);
    if (r == 0)
        r = link_send(front.peer, HUB_ASK, &ask, sizeof ask, &s->file, s->has_file ? 1 : 0, 0);
    if (r < 0)
        local(s, r == -EAGAIN ? 429 : 503, "");
}

// ---- HTTP

// The answer, headers and body. What lws_http_transaction_completed() says, or -1 to close.
static int reply(struct session *s)
{
    unsigned char room[LWS_PRE + 1024 + HUB_ANSWER_MAX], *start = room + LWS_PRE, *p = start,
                                                         *end = start + 1024;
    const char *type = s->answer.text ? "text/plain; charset=utf-8" : "application/x-protobuf";
    struct hub_answer *a = &s->answer;
    char number[24];
    bool good = !lws_add_http_common_headers(s->wsi, a->status, type, a->size, &p, end) &&
                !lws_add_http_header_by_name(s->wsi, (const unsigned char *)"cache-control:",
                                             (const unsigned char *)"no-store", 8, &p, end);
    if (good && a->has_next) {
        int n = snprintf(number, sizeof number, "%llu", (unsigned long long)a->next);
        good = !lws_add_http_header_by_name(s->wsi, (const unsigned char *)"tiercel-next:",
                                            (const unsigned char *)number, n, &p, end);
    }
    if (good && (a->status == 429 || a->status == 503))
        good = !lws_add_http_header_by_name(
            s->wsi, (const unsigned char *)"retry-after:", (const unsigned char *)"1", 1, &p, end);
    if (good && s->close)
        good = !lws_add_http_header_by_name(s->wsi, (const unsigned char *)"connection:",
                                            (const unsigned char *)"close", 5, &p, end);
    if (!good || lws_finalize_http_header(s->wsi, &p, end))
        return -1;
    memcpy(p, a->body, a->size); // one write, one TLS record
    size_t n = (size_t)(p - start) + a->size;
    bool closing = s->close;
    struct lws *wsi = s->wsi;
    forget(s);
    s->ready = false;
    if (lws_write(wsi, start, n, LWS_WRITE_HTTP_HEADERS) < (int)n)
        return -1;
    return closing || lws_http_transaction_completed(wsi) ? -1 : 0;
}

static int refuse_now(struct session *s, uint32_t status, const char *text)
{
    s->close = true;
    local(s, status, text);
    (void)reply(s);
    return -1;
}

// The head of a request has come. A refusal of one with a body is said after the body, or the client might not read it.
static int head(struct session *s, struct lws *wsi, const char *path)
{
    char text[32];
    uint64_t length = 0;
    int status = 0;
    bool post = lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0;
    begin(s, wsi);
    if (!post && !lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI))
        return refuse_now(s, 405, "only GET and POST");
    s->route = request_route(str_from(path), post, lws_get_vhost(wsi) == front.agents, &status);
    if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0)
        return refuse_now(s, 411, "a body needs its Content-Length");
    int n = lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_HTTP_CONTENT_LENGTH);
    if (n != 0 && (n < 0 || request_length(str_bytes(text, (size_t)n), &length) < 0))
        return refuse_now(s, 400, "no such Content-Length");
    if (post && n == 0)
        return refuse_now(s, 411, "a body needs its Content-Length");
    if (!post && length)
        return refuse_now(s, 400, "GET has no body");
    s->length = length;
    if (!s->route) {
        s->refused = (uint32_t)status;
    } else if (post && length > s->route->body_max) {
        s->refused = 413;
    } else if (post && length == 0) {
        s->refused = 400;
    } else if (front.used > FRONT_ROOM / 4 * 3 && post) {
        s->refused = 429;
    }
    s->close = s->refused && s->refused != 429;
    if (s->refused && (length == 0 || length > FRONT_DRAIN))
        return refuse_now(s, s->refused, "refused");
    if (length == 0) {
        ask_core(s);
        if (s->ready)
            lws_callback_on_writable(wsi);
    }
    return 0;
}

static int body(struct session *s, const void *p, size_t n)
{
    if ((uint64_t)lws_now_usecs() - s->begun_us > FRONT_BODY_US)
        return -1;
    if (s->refused)
        return 0;
    if (!s->route || n > s->length - s->received)
        return -1;
    if (front.used + n > FRONT_ROOM) {
        forget_body(s);
        s->refused = 429;
        return 0;
    }
    if (!s->has_file) {
        s->file = memfd_create("body", MFD_CLOEXEC);
        if (s->file < 0) {
            s->refused = 503;
            return 0;
        }
        s->has_file = true;
    }
    if (pwrite(s->file, p, n, s->received) != (ssize_t)n) {
        forget_body(s);
        s->refused = 503;
        return 0;
    }
    s->received += (uint32_t)n;
    front.used += n;
    return 0;
}

static int body_end(struct session *s)
{
    static const char *const texts[] = {"no such path", "too large: at most 4 MiB", "refused"};
    if (s->refused)
        local(s, s->refused,
              s->refused == 404   ? texts[0]
              : s->refused == 413 ? texts[1]
                                  : texts[2]);
    else if (!s->route || s->received != s->length)
        return -1;
    else
        ask_core(s);
    if (s->ready)
        lws_callback_on_writable(s->wsi);
    return 0;
}

static int on_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                   size_t n)
{
    struct session *s = user;
    switch (reason) {
    case LWS_CALLBACK_OPENSSL_PERFORM_CLIENT_CERT_VERIFICATION:
        return n ? 0 : 1; // OpenSSL's verdict; without this line every certificate is taken
    case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:
        // It is shown, too: a host that enrols may know it by its fingerprint only.
        return X509_STORE_add_cert(SSL_CTX_get_cert_store(user), front.authority) != 1 ||
               SSL_CTX_add1_chain_cert((SSL_CTX *)user, front.authority) != 1;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE: // neither HTTP/2 nor WebSocket
        return -1;
    case LWS_CALLBACK_HTTP:
        return head(s, wsi, in);
    case LWS_CALLBACK_HTTP_BODY:
        return body(s, in, n);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return body_end(s);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return s->ready ? reply(s) : 0;
    case LWS_CALLBACK_CLOSED_HTTP:
        if (s)
            forget(s);
        closed(wsi);
        return 0;
    default:
        return 0;
    }
}

// ---- core and the parent

static void take_answer(const struct link_message *m)
{
    const struct hub_answer *a = (const void *)m->body;
    if (m->type != HUB_ANSWER || m->size < offsetof(struct hub_answer, body) ||
        a->size > HUB_ANSWER_MAX || m->size != offsetof(struct hub_answer, body) + a->size)
        return;
    uint64_t id = a->id;
    struct session *s = map_get(&front.asked, MAP_KEY(id));
    if (!s) // the connection has gone meanwhile
        return;
    memcpy(&s->answer, a, m->size);
    s->close = a->status == 403;
    forget(s);
    s->ready = true;
    lws_callback_on_writable(s->wsi);
}

// Core has ended: nobody knows what became of what it was asked. The clients send it again.
static void lose_peer(void)
{
    struct map_entry *entry;
    front.peer = -1;
    for (size_t i = 0; (entry = map_next(&front.asked, &i)); i = 0) {
        struct session *s = entry->value;
        local(s, 503, "");
        lws_callback_on_writable(s->wsi);
    }
}

static int on_peer(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                   size_t n)
{
    static struct link_message m;
    (void)user, (void)in, (void)n;
    if (reason == LWS_CALLBACK_RAW_CLOSE_FILE && wsi == front.peer_wsi) {
        front.peer_wsi = NULL;
        lose_peer();
    }
    if (reason != LWS_CALLBACK_RAW_RX_FILE || wsi != front.peer_wsi)
        return 0;
    int r;
    while ((r = link_receive(front.peer, &m, 0)) == 1) {
        if (m.type == HUB_DROP && m.size == 32)
            drop(m.body);
        else
            take_answer(&m);
        link_message_done(&m);
    }
    return r == -EAGAIN || r == -EBADMSG ? 0 : -1;
}

static struct lws *adopt(int fd, const char *protocol)
{
    lws_sock_file_fd_type u = {.filefd = fd};
    return lws_adopt_descriptor_vhost(front.people, LWS_ADOPT_RAW_FILE_DESC, u, protocol, NULL);
}

static int on_parent(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                     size_t n)
{
    static struct link_message m;
    (void)wsi, (void)user, (void)in, (void)n;
    if (reason == LWS_CALLBACK_RAW_CLOSE_FILE)
        front.ended = true;
    if (reason != LWS_CALLBACK_RAW_RX_FILE)
        return 0;
    int r;
    while ((r = link_receive(HUB_CHANNEL, &m, 0)) == 1) {
        if (m.type == HUB_PEER && m.n_fds == 1) {
            struct lws *old = front.peer_wsi;
            front.peer_wsi = NULL;
            if (old) {
                lose_peer();
                lws_set_timeout(old, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
            }
            front.peer = m.fds[0];
            m.n_fds = 0;
            front.peer_wsi = adopt(front.peer, "peer");
            if (!front.peer_wsi)
                front.peer = -1;
        }
        link_message_done(&m);
    }
    return r == -EAGAIN || r == -EBADMSG ? 0 : -1;
}

static const struct lws_protocols protocols[] = {
    {"http", on_http, sizeof(struct session), 65536, 0, NULL, 0},
    {"peer", on_peer, 0, 0, 0, NULL, 0},
    {"parent", on_parent, 0, 0, 0, NULL, 0},
    {NULL, NULL, 0, 0, 0, NULL, 0},
};

static void log_line(int level, const char *line)
{
    if (level & LLL_ERR)
        fprintf(stderr, "tiercel-hub: front: %s", line);
}

// ---- start

struct pem {
    struct buf certificate, key, authority;
};

static struct lws_vhost *listener(const struct hub_listen *at, bool agents, const struct pem *pem)
{
    struct lws_context_creation_info info = {
        .port = (int)at->port,
        .iface = at->address,
        .vhost_name = agents ? "agents" : "people",
        .protocols = protocols,
        .server_ssl_cert_mem = pem->certificate.p,
        .server_ssl_cert_mem_len = (unsigned)pem->certificate.n,
        .server_ssl_private_key_mem = pem->key.p,
        .server_ssl_private_key_mem_len = (unsigned)pem->key.n,
        .ssl_options_set =
            SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_TLSv1_2 | SSL_OP_NO_SSLv3,
        .alpn = "http/1.1",
        .keepalive_timeout = 300,
        .timeout_secs = 20,
        .options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT |
                   (agents ? LWS_SERVER_OPTION_REQUIRE_VALID_OPENSSL_CLIENT_CERT : 0),
    };
    if (!strchr(at->address, ':'))
        info.options |= LWS_SERVER_OPTION_DISABLE_IPV6;
    return lws_create_vhost(front.context, &info);
}

static int start(const struct hub_setup *setup, struct error *e)
{
    struct pem pem = {0};
    struct lws_context_creation_info info = {
        .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
        .fd_limit_per_thread = FRONT_CONNECTIONS,
        .pt_serv_buf_size = 65536,
        .uid = -1,
        .gid = -1,
    };
    int r = hub_file_read(setup->state, "pki/server.pem", &pem.certificate, e);
    if (r == 0)
        r = hub_file_read(setup->state, "pki/server.key", &pem.key, e);
    if (r == 0)
        r = hub_file_read(setup->state, "pki/ca.pem", &pem.authority, e);
    if (r == 0 && pki_certificate_read(buf_str(&pem.authority), &front.authority) < 0)
        r = error_set(e, -EBADMSG, "pki/ca.pem is damaged");
    lws_set_log_level(LLL_ERR, log_line);
    if (r == 0 && !(front.context = lws_create_context(&info)))
        r = error_set(e, -EIO, "libwebsockets cannot begin");
    if (r == 0) {
        front.people = listener(&setup->people, false, &pem);
        front.agents = front.people ? listener(&setup->agents, true, &pem) : NULL;
        const struct hub_listen *at = front.people ? &setup->agents : &setup->people;
        if (!front.agents)
            r = error_set(e, -EADDRINUSE, "cannot listen at %s:%u", at->address, at->port);
    }
    OPENSSL_cleanse(pem.key.p, pem.key.n);
    buf_done(&pem.certificate);
    buf_done(&pem.key);
    buf_done(&pem.authority);
    return r;
}

int hub_front(const struct hub_setup *setup)
{
    static const int calls[] = {SCMP_SYS(accept),       SCMP_SYS(accept4),  SCMP_SYS(setsockopt),
                                SCMP_SYS(getsockopt),   SCMP_SYS(shutdown), SCMP_SYS(getpeername),
                                SCMP_SYS(getsockname),  SCMP_SYS(recvfrom), SCMP_SYS(sendto),
                                SCMP_SYS(memfd_create), SCMP_SYS(pwrite64), -1};
    struct error e = {0};
    front.asked.quota = front.known.quota = FRONT_CONNECTIONS;
    if (start(setup, &e) < 0) {
        fprintf(stderr, "tiercel-hub: %s\n", e.what);
        return -1;
    }
    if (hub_enter("tiercel-hub-fro", setup->front_uid, 0, calls) < 0 ||
        !adopt(HUB_CHANNEL, "parent"))
        return -1;
    while (!front.ended && lws_service(front.context, 0) >= 0)
        ;
    return 0; // the process ends here: the kernel closes what lws would close one by one
}
