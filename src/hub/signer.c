// SPDX-License-Identifier: Apache-2.0
#include "hub/signer.h"
#include "base/cleanup.h"
#include "hub/state.h"
#include "os/process.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#define KEY_FILE "pki/signer.key" // 32 bytes
#define PUBLIC_FILE "pki/signer.pub"
#define ANSWER_MS 2000

static struct {
    struct pki_authority authority;
    uint8_t secret[64];
} keys;

// ---- before the start

static int make(const char *state, struct error *e)
{
    uint8_t seed[32], open_half[32], secret[64];
    if (RAND_bytes(seed, sizeof seed) != 1 || signed_key(seed, open_half, secret) < 0)
        return error_set(e, -EIO, "no key could be made");
    int r = hub_file_write(state, KEY_FILE, str_bytes(seed, sizeof seed), e);
    if (r == 0)
        r = hub_file_write(state, PUBLIC_FILE, str_bytes(open_half, sizeof open_half), e);
    OPENSSL_cleanse(seed, sizeof seed);
    OPENSSL_cleanse(secret, sizeof secret);
    return r;
}

static int give(const char *state, const char *name, uint32_t uid, struct error *e)
{
    char path[HUB_PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", state, name);
    return lchown(path, uid, uid) == 0 ? 0 : error_set(e, -errno, "%s: %s", path, strerror(errno));
}

int hub_signer_prepare(const struct hub_setup *setup, struct error *e)
{
    char path[HUB_PATH_MAX + 64];
    struct stat st;
    snprintf(path, sizeof path, "%s/" KEY_FILE, setup->state);
    int r = lstat(path, &st) == 0 ? 0 : make(setup->state, e);
    if (r < 0 || geteuid() != 0)
        return r;
    if ((r = give(setup->state, "pki/ca.key", HUB_SIGNER_UID, e)) == 0 &&
        (r = give(setup->state, KEY_FILE, HUB_SIGNER_UID, e)) == 0)
        r = give(setup->state, PUBLIC_FILE, setup->core_uid, e);
    return r;
}

static int read_32(const char *state, const char *name, uint8_t ret[32], struct error *e)
{
    _cleanup_buf_ struct buf b = {0};
    int r = hub_file_read(state, name, &b, e);
    if (r == 0 && b.p && b.n == 32)
        memcpy(ret, b.p, 32);
    else if (r == 0)
        r = error_set(e, -EBADMSG, "%s/%s is damaged", state, name);
    if (b.p)
        OPENSSL_cleanse(b.p, b.n);
    return r;
}

int hub_signer_public(const char *state, uint8_t ret[32], struct error *e)
{
    return read_32(state, PUBLIC_FILE, ret, e);
}

// ---- signing

static int put(const struct buf *b, struct hub_signed *ret)
{
    if (b->failed || !b->p || b->n > sizeof ret->bytes)
        return -EMSGSIZE;
    memcpy(ret->bytes, b->p, b->n);
    ret->size = (uint32_t)b->n;
    return 0;
}

static int sign_host(const struct hub_sign_host *ask, struct hub_signed *ret)
{
    char client[PKI_CLIENT_MAX + 1], name[PKI_NAME_MAX + 1];
    uint8_t host[PKI_HOST_BYTES];
    X509 *certificate = NULL;
    _cleanup_buf_ struct buf der = {0};
    int r = ask->size > sizeof ask->request
                ? -EBADMSG
                : pki_name_read(str_bytes(ask->name, strnlen(ask->name, sizeof ask->name)), client,
                                host);
    if (r < 0)
        return r;
    pki_name_make(client, host, name);
    r = pki_host_sign(&keys.authority, str_bytes(ask->request, ask->size), name,
                      (int64_t)(os_wall_ns() / 1000000000), &certificate);
    if (r == 0)
        r = pki_certificate_der(certificate, &der);
    X509_free(certificate);
    return r < 0 ? r : put(&der, ret);
}

// The clock is looked at here, too: what core gives as the time of an order is not far from now.
static int sign_order(const struct signed_order *order, struct hub_signed *ret)
{
    _cleanup_buf_ struct buf payload = {0}, envelope = {0};
    uint64_t now = os_wall_ns();
    if (order->expires_ns <= now || order->issued_ns > now + SIGNED_CLOCK_NS)
        return -ETIME;
    int r = signed_pack(order, &payload);
    if (r == 0)
        r = signed_seal(buf_str(&payload), keys.secret, &envelope);
    return r < 0 ? r : put(&envelope, ret);
}

static void answer(int fd, const struct link_message *m)
{
    static struct hub_signed ret;
    const struct hub_sign_host *host =
        m->type == HUB_SIGN_HOST ? link_body(m, struct hub_sign_host) : NULL;
    const struct signed_order *order =
        m->type == HUB_SIGN_ORDER ? link_body(m, struct signed_order) : NULL;
    memset(&ret, 0, sizeof ret);
    ret.code = host ? sign_host(host, &ret) : order ? sign_order(order, &ret) : -EBADMSG;
    (void)link_send(fd, HUB_SIGNED, &ret, sizeof ret, NULL, 0, 0);
}

static int serve(void)
{
    static struct link_message m;
    int peer = -1;
    for (;;) {
        struct pollfd fds[2] = {{.fd = HUB_CHANNEL, .events = POLLIN},
                                {.fd = peer, .events = POLLIN}};
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return -errno;
        if (fds[0].revents) {
            int r = link_receive(HUB_CHANNEL, &m, 0);
            if (r == 0)
                return 0;
            if (r == 1 && m.type == HUB_SIGNER && m.n_fds == 1) {
                if (peer >= 0)
                    close(peer);
                peer = m.fds[0];
                m.n_fds = 0;
            }
            if (r == 1)
                link_message_done(&m);
        } else if (peer >= 0 && fds[1].revents) {
            int r = link_receive(peer, &m, 0);
            if (r == 1) {
                link_message_done(&m);
                answer(peer, &m);
            } else if (r != -EAGAIN && r != -EBADMSG) {
                close(peer);
                peer = -1;
            }
        }
    }
}

// One of each, so that whatever the libraries load at the first time is there before the sandbox closes.
static int try_keys(struct error *e)
{
    static struct hub_signed ret;
    static struct hub_sign_host ask = {.name = "a/00000000000000000000000000000000"};
    EVP_PKEY *key = NULL;
    _cleanup_buf_ struct buf request = {0};
    int r = pki_key_new(&key);
    if (r == 0)
        r = pki_request_new(key, &request);
    EVP_PKEY_free(key);
    if (r == 0 && request.n <= sizeof ask.request) {
        memcpy(ask.request, request.p, request.n);
        ask.size = (uint32_t)request.n;
        r = sign_host(&ask, &ret);
    }
    return r < 0 ? error_set(e, r, "the authority's key does not sign: %s", strerror(-r)) : 0;
}

int hub_signer(const struct hub_setup *setup)
{
    static const int calls[] = {-1};
    struct error e = {0};
    uint8_t seed[32], open_half[32];
    int r = hub_authority_read(setup->state, &keys.authority, &e);
    if (r == 0)
        r = read_32(setup->state, KEY_FILE, seed, &e);
    if (r == 0 && signed_key(seed, open_half, keys.secret) < 0)
        r = error_set(&e, -EIO, "the key of orders cannot be used");
    OPENSSL_cleanse(seed, sizeof seed);
    if (r == 0)
        r = try_keys(&e);
    if (r < 0) {
        fprintf(stderr, "tiercel-hub: signer: %s\n", e.what);
        return -1;
    }
    if (hub_enter("tiercel-hub-sig", setup->signer_uid, 0, calls) < 0)
        return -1;
    r = serve();
    pki_authority_done(&keys.authority);
    OPENSSL_cleanse(&keys, sizeof keys);
    return r;
}

// ---- core's end

static int ask(int fd, uint32_t type, const void *body, uint32_t size, struct hub_signed *ret)
{
    static struct link_message m;
    while (fd >= 0 && link_receive(fd, &m, 0) == 1) // came too late, before
        link_message_done(&m);
    int r = fd < 0 ? -ENOTCONN : link_send(fd, type, body, size, NULL, 0, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (r < 0)
        return r;
    if (poll(&p, 1, ANSWER_MS) <= 0)
        return -ETIMEDOUT;
    r = link_receive(fd, &m, 0);
    if (r != 1)
        return r == 0 ? -ENOTCONN : r;
    link_message_done(&m);
    const struct hub_signed *got = m.type == HUB_SIGNED ? link_body(&m, struct hub_signed) : NULL;
    if (!got || got->size > sizeof got->bytes)
        return -EBADMSG;
    *ret = *got;
    return got->code;
}

int hub_sign_order(int fd, const struct signed_order *order, struct hub_signed *ret)
{
    return ask(fd, HUB_SIGN_ORDER, order, sizeof *order, ret);
}

int hub_sign_host(int fd, const char *name, struct str request, struct hub_signed *ret)
{
    static struct hub_sign_host ask_host;
    memset(&ask_host, 0, sizeof ask_host);
    if (request.n > sizeof ask_host.request || strlen(name) >= sizeof ask_host.name)
        return -EBADMSG;
    memcpy(ask_host.name, name, strlen(name));
    memcpy(ask_host.request, request.p, request.n);
    ask_host.size = (uint32_t)request.n;
    return ask(fd, HUB_SIGN_HOST, &ask_host, sizeof ask_host, ret);
}
