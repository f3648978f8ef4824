// SPDX-License-Identifier: Apache-2.0
// The role that speaks to the outside: carries what core gives it to where core says, one after another, and says what
// came of it. Has no store and no secrets, looks at no byte of an answer but its HTTP status. A slow receiver delays
// the others by SECONDS at most, then core waits longer and longer before it tries that one again.
#include "base/cleanup.h"
#include "hub/outputs.h"
#include "link/http.h"
#include "os/landlock.h"
#include "os/process.h"
#include "os/sandbox.h"
#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <seccomp.h>
#include <sys/socket.h>

#define SECONDS 10
#define BODY_MAX (2u << 20)
#define DATAGRAM_MAX 65000u // a longer line is cut, as RFC 5424 allows
#define SLOTS OUTPUTS_MAX

struct slot { // a connection that is kept
    char to[HUB_URL_MAX];
    struct buf authority;
    struct http *http;
    uint64_t used;
};

static struct egress {
    int peer;
    struct slot slots[SLOTS];
    uint64_t turn, until_ns;
    struct buf body, authority;
} egress = {.peer = -1};

static bool in_time(void *context)
{
    (void)context;
    return os_monotonic_ns() < egress.until_ns;
}

static uint32_t again(struct hub_sent *s, const char *why)
{
    snprintf(s->why, sizeof s->why, "%.159s", why);
    return HUB_SENT_AGAIN;
}

// ---- HTTP

static struct slot *slot_of(const struct hub_send *m)
{
    struct slot *oldest = &egress.slots[0];
    for (size_t i = 0; i < SLOTS; i++) {
        struct slot *s = &egress.slots[i];
        if (s->http && !strcmp(s->to, m->to) &&
            str_eq(buf_str(&s->authority), buf_str(&egress.authority)))
            return s;
        if (s->used < oldest->used)
            oldest = s;
    }
    oldest->http = http_free(oldest->http);
    buf_reset(&oldest->authority);
    buf_add_str(&oldest->authority, buf_str(&egress.authority));
    memcpy(oldest->to, m->to, sizeof oldest->to);
    return oldest;
}

static uint32_t send_http(const struct hub_send *m, struct hub_sent *ret)
{
    struct error e = {0};
    struct http_reply reply;
    const char *lines[HUB_HEADERS];
    size_t n = 0;
    struct slot *s = slot_of(m);
    struct http_options o = {.authority = buf_str(&s->authority), .any = true, .go_on = in_time};
    s->used = ++egress.turn;
    if (!s->http && http_new(&o, &s->http, &e) < 0)
        return again(ret, e.what);
    for (size_t i = 0; i < HUB_HEADERS; i++)
        if (m->headers[i][0])
            lines[n++] = m->headers[i];
    if (http_headers(s->http, lines, n) < 0)
        return again(ret, "no memory");
    if (http_request(s->http, m->to, buf_str(&egress.body), &reply, &e) < 0) {
        s->http = http_free(s->http);
        return again(ret, e.what);
    }
    if (reply.status >= 200 && reply.status < 300)
        return HUB_SENT_GOOD;
    snprintf(ret->why, sizeof ret->why, "answered with status %ld", reply.status);
    // It will never take this; anything else may be put right at its side.
    return reply.status == 400 || reply.status == 413 || reply.status == 415 || reply.status == 422
               ? HUB_SENT_BAD
               : HUB_SENT_AGAIN;
}

// ---- syslog

static int connect_to(struct str place, int type, char ret_host[256], struct hub_sent *s)
{
    char port[8] = "";
    size_t colon = place.n;
    struct addrinfo *all = NULL;
    const struct addrinfo hints = {.ai_socktype = type, .ai_family = AF_UNSPEC};
    const struct timeval wait = {.tv_sec = SECONDS / 2};
    int fd = -1;
    while (colon > 0 && place.p[colon - 1] != ':')
        colon--;
    struct str host = str_bytes(place.p, colon ? colon - 1 : place.n);
    if (colon)
        snprintf(port, sizeof port, STR_FMT, (int)(place.n - colon), place.p + colon);
    if (host.n > 2 && host.p[0] == '[')
        host = str_bytes(host.p + 1, host.n - 2);
    snprintf(ret_host, 256, STR_FMT, STR_ARG(host));
    int r = getaddrinfo(ret_host, port[0] ? port : "514", &hints, &all);
    if (r) {
        again(s, gai_strerror(r));
        return -1;
    }
    for (const struct addrinfo *a = all; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, type | SOCK_CLOEXEC, 0);
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
        if (connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
            again(s, strerror(errno));
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(all);
    return fd;
}

static uint32_t send_udp(struct str place, struct hub_sent *s)
{
    char host[256];
    _cleanup_close_ int fd = connect_to(place, SOCK_DGRAM, host, s);
    if (fd < 0)
        return HUB_SENT_AGAIN;
    for (struct str rest = buf_str(&egress.body), line; str_split(&rest, '\n', &line);) {
        size_t n = line.n < DATAGRAM_MAX ? line.n : DATAGRAM_MAX;
        if (n && send(fd, line.p, n, 0) < 0)
            return again(s, strerror(errno));
    }
    return HUB_SENT_GOOD;
}

// RFC 6587: each message with its length before it.
static void frame(struct buf *to)
{
    for (struct str rest = buf_str(&egress.body), line; str_split(&rest, '\n', &line);)
        if (line.n) {
            buf_addf(to, "%zu ", line.n);
            buf_add_str(to, line);
        }
}

static uint32_t write_all(int fd, struct str s, struct hub_sent *ret)
{
    char byte[64];
    for (size_t done = 0; done < s.n;) {
        ssize_t n = send(fd, s.p + done, s.n - done, MSG_NOSIGNAL);
        if (n <= 0 || !in_time(NULL))
            return again(ret, n < 0 ? strerror(errno) : "too slow");
        done += (size_t)n;
    }
    // There is no acknowledgement: that it closes in its turn says at least that it read up to here.
    shutdown(fd, SHUT_WR);
    ssize_t n = recv(fd, byte, sizeof byte, 0);
    return n < 0 && errno == ECONNRESET ? again(ret, strerror(errno)) : HUB_SENT_GOOD;
}

static bool trust(SSL_CTX *context)
{
    if (!egress.authority.n)
        return SSL_CTX_set_default_verify_paths(context) == 1;
    BIO *bio = BIO_new_mem_buf(egress.authority.p, (int)egress.authority.n);
    X509 *certificate;
    bool good = false;
    while (bio && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        good = X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate) == 1;
        X509_free(certificate);
    }
    BIO_free(bio);
    ERR_clear_error();
    return good;
}

static uint32_t write_tls(int fd, const char *host, struct str s, struct hub_sent *ret)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = NULL;
    char byte[64];
    size_t done = 0;
    bool good =
        context && trust(context) && SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1;
    if (good) {
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
        ssl = SSL_new(context);
    }
    bool number = host[strspn(host, "0123456789.")] == 0 || strchr(host, ':');
    good = ssl && (number ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host)
                          : SSL_set1_host(ssl, host) && SSL_set_tlsext_host_name(ssl, host)) == 1;
    good = good && SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1;
    while (good && done < s.n) {
        size_t n = 0;
        good = SSL_write_ex(ssl, s.p + done, s.n - done, &n) == 1 && in_time(NULL);
        done += n;
    }
    if (good && SSL_shutdown(ssl) == 0)
        (void)SSL_read(ssl, byte, sizeof byte); // until it closes in its turn
    long verified = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;
    SSL_free(ssl);
    SSL_CTX_free(context);
    ERR_clear_error();
    if (good)
        return HUB_SENT_GOOD;
    return again(ret, verified != X509_V_OK ? X509_verify_cert_error_string(verified)
                                            : "TLS: not reached or cut off");
}

static uint32_t send_stream(struct str place, bool tls, struct hub_sent *s)
{
    char host[256];
    _cleanup_buf_ struct buf framed = {0};
    frame(&framed);
    if (framed.failed)
        return again(s, "no memory");
    _cleanup_close_ int fd = connect_to(place, SOCK_STREAM, host, s);
    if (fd < 0)
        return HUB_SENT_AGAIN;
    return tls ? write_tls(fd, host, buf_str(&framed), s) : write_all(fd, buf_str(&framed), s);
}

// ---- core and the parent

static int take(int fd, uint32_t size, struct buf *to)
{
    buf_reset(to);
    if (size > BODY_MAX)
        return -EMSGSIZE;
    char *room = buf_room(to, size + 1);
    if (!room || pread(fd, room, size, 0) != (ssize_t)size)
        return -EIO;
    to->n = size;
    room[size] = 0;
    return 0;
}

static uint32_t carry(const struct hub_send *m, struct hub_sent *s)
{
    struct str to = str_from(m->to);
    egress.until_ns = os_monotonic_ns() + SECONDS * 1000000000ull;
    if (str_starts(to, STR("udp://")))
        return send_udp(str_bytes(to.p + 6, to.n - 6), s);
    if (str_starts(to, STR("tcp://")) || str_starts(to, STR("tls://")))
        return send_stream(str_bytes(to.p + 6, to.n - 6), to.p[1] == 'l', s);
    return send_http(m, s);
}

static void serve_peer(void)
{
    static struct link_message m;
    int r = link_receive(egress.peer, &m, 0);
    if (r == 1) {
        const struct hub_send *ask = m.type == HUB_SEND ? link_body(&m, struct hub_send) : NULL;
        struct hub_sent sent = {0};
        if (ask && m.n_fds == 2 && strnlen(ask->to, sizeof ask->to) < sizeof ask->to) {
            sent.id = ask->id;
            bool all = take(m.fds[0], ask->size, &egress.body) == 0 &&
                       take(m.fds[1], ask->authority, &egress.authority) == 0;
            sent.result = all ? carry(ask, &sent) : again(&sent, "no memory");
            r = link_send(egress.peer, HUB_SENT, &sent, sizeof sent, NULL, 0, 1) < 0 ? 0 : 1;
        }
        link_message_done(&m);
    }
    if (r != 1 && r != -EAGAIN && r != -EBADMSG) {
        close(egress.peer);
        egress.peer = -1;
    }
}

static int serve(void)
{
    static struct link_message m;
    for (;;) {
        struct pollfd fds[2] = {{.fd = HUB_CHANNEL, .events = POLLIN},
                                {.fd = egress.peer, .events = POLLIN}};
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return -errno;
        if (fds[0].revents) {
            int r = link_receive(HUB_CHANNEL, &m, 0);
            if (r == 0)
                return 0;
            if (r == 1 && m.type == HUB_PEER && m.n_fds == 1) {
                if (egress.peer >= 0)
                    close(egress.peer);
                egress.peer = m.fds[0];
                m.n_fds = 0;
            }
            if (r == 1)
                link_message_done(&m);
        } else if (egress.peer >= 0 && fds[1].revents) {
            serve_peer();
        }
    }
}

int hub_egress(const struct hub_setup *setup)
{
    // What resolving names and the system's authorities read.
    static const char *const read[] = {"/etc", "/usr", "/lib", "/run/systemd/resolve", NULL};
    struct error e = {0};
    struct http_options o = {.any = true};
    struct http *first = NULL;
    struct addrinfo *local = NULL;
    // Libraries are loaded while that is still possible.
    if (http_new(&o, &first, &e) < 0) {
        fprintf(stderr, "tiercel-hub: outputs over HTTP: %s\n", e.what);
        return -1;
    }
    if (getaddrinfo("localhost", "514", NULL, &local) == 0)
        freeaddrinfo(local);
    SSL_CTX_free(SSL_CTX_new(TLS_client_method()));
    if (os_landlock(read, NULL, &e) < 0)
        fprintf(stderr, "tiercel-hub: egress: %s\n", e.what);
    if (hub_enter("tiercel-hub-egr", setup->egress_uid, OS_OPEN_READ | OS_THREADS | OS_CONNECT,
                  NULL) < 0)
        return -1;
    int r = serve();
    http_free(first);
    return r;
}
