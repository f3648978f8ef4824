// SPDX-License-Identifier: Apache-2.0
#include "cli/enrol.h"

#include "base/cleanup.h"
#include "link.pb-c.h"
#include "link/enrolment.h"
#include "link/http.h"
#include "link/pki.h"
#include "link/signed.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int enrol_fingerprint(const char *text, uint8_t ret[32])
{
    uint8_t out[32] = {0};
    size_t n = 0;
    for (const char *c = text; *c; c++) {
        if (*c == ':')
            continue;
        int v = *c >= '0' && *c <= '9'   ? *c - '0'
                : *c >= 'a' && *c <= 'f' ? *c - 'a' + 10
                : *c >= 'A' && *c <= 'F' ? *c - 'A' + 10
                                         : -1;
        if (v < 0 || n == 64)
            return -EINVAL;
        out[n / 2] = (uint8_t)(n % 2 ? out[n / 2] | v : v << 4);
        n++;
    }
    if (n != 64)
        return -EINVAL;
    memcpy(ret, out, sizeof out);
    return 0;
}

static int read_text(const char *path, struct buf *ret, struct error *e)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *room = buf_room(ret, ENROLMENT_BYTES_MAX);
    ssize_t n = fd < 0 || !room ? -1 : read(fd, room, ENROLMENT_BYTES_MAX);
    if (n < 0)
        return error_set(e, -errno, "%s cannot be read: %s", path, strerror(errno));
    ret->n += (size_t)n;
    return 0;
}

// ---- asking

static int host_of(const struct enrol *order, uint8_t ret[16], struct error *e)
{
    _cleanup_buf_ struct buf id = {0};
    if (order->host) {
        memcpy(ret, order->host, 16);
        return 0;
    }
    int r = read_text("/etc/machine-id", &id, e);
    if (r < 0)
        return r;
    return enrolment_host(buf_str(&id), ret) == 0
               ? 0
               : error_set(e, -EINVAL, "/etc/machine-id is not 32 hexadecimal digits");
}

static int ask_for(struct buf *request, const struct buf *csr, const struct enrol *order,
                   uint8_t ret_host[16], struct error *e)
{
    uint8_t host[16];
    char name[256] = "";
    int r = host_of(order, host, e);
    if (r < 0)
        return r;
    if (order->host_name)
        snprintf(name, sizeof name, "%s", order->host_name);
    else
        (void)gethostname(name, sizeof name - 1);
    Tiercel__Link__EnrolRequest q = TIERCEL__LINK__ENROL_REQUEST__INIT;
    q.key = (char *)(uintptr_t)order->key;
    q.has_csr = q.has_host = true;
    q.csr = (ProtobufCBinaryData){csr->n, (uint8_t *)csr->p};
    q.host = (ProtobufCBinaryData){sizeof host, host};
    q.host_name = name;
    size_t n = tiercel__link__enrol_request__get_packed_size(&q);
    uint8_t *room = buf_room(request, n);
    if (!room)
        return error_set(e, -ENOMEM, "no memory");
    request->n += tiercel__link__enrol_request__pack(&q, room);
    memcpy(ret_host, host, sizeof host);
    return 0;
}

static int refused(const struct http_reply *reply, struct error *e)
{
    char words[200] = "";
    size_t n = reply->body.n < sizeof words - 1 ? reply->body.n : sizeof words - 1;
    for (size_t i = 0; i < n; i++)
        words[i] = reply->body.p[i] >= ' ' && reply->body.p[i] < 127 ? reply->body.p[i] : ' ';
    error_set(e, reply->status == 404 ? -EPROTO : -EACCES,
              "the hub refused the enrolment (HTTP status %ld): %s", reply->status, words);
    if (reply->status == 404)
        error_way_out(e, "is this the address of a hub's listener for people?");
    else if (reply->status == 403)
        error_way_out(e, "a key works once and for a limited time; ask for a new one");
    return reply->status == 404 ? -EPROTO : -EACCES;
}

static int take(const struct http_reply *reply, struct enrolment *mine, struct signed_trust *trust,
                struct error *e)
{
    if (reply->status != 200)
        return refused(reply, e);
    Tiercel__Link__EnrolReply *got =
        tiercel__link__enrol_reply__unpack(NULL, reply->body.n, (const uint8_t *)reply->body.p);
    if (!got || !got->client || !got->agents_url || strlen(got->client) >= sizeof mine->client ||
        strpbrk(got->client, "\r\n")) {
        if (got)
            tiercel__link__enrol_reply__free_unpacked(got, NULL);
        return error_set(e, -EPROTO, "the hub's answer cannot be read");
    }
    snprintf(mine->client, sizeof mine->client, "%s", got->client);
    int r = enrolment_url(str_from(got->agents_url), mine->url, sizeof mine->url, e);
    if (r == 0)
        r = enrolment_take(mine, str_bytes(got->certificate.data, got->certificate.len),
                           str_bytes(got->authority.data, got->authority.len), e);
    if (r == 0 && got->has_signer && got->signer.len == sizeof trust->key &&
        strlen(got->client) < sizeof trust->client) {
        memcpy(trust->magic, SIGNED_TRUST_MAGIC, sizeof trust->magic);
        memcpy(trust->key, got->signer.data, sizeof trust->key);
        snprintf(trust->client, sizeof trust->client, "%s", got->client);
    }
    tiercel__link__enrol_reply__free_unpacked(got, NULL);
    return r;
}

// ---- keeping

// Whole or not at all, and 0600.
static int replace(const char *state, const char *name, struct str bytes, struct error *e)
{
    char path[400], fresh[400];
    snprintf(path, sizeof path, "%s/%s", state, name);
    snprintf(fresh, sizeof fresh, "%s/.%s", state, name);
    (void)unlink(fresh);
    _cleanup_close_ int fd =
        open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 && write(fd, bytes.p, bytes.n) == (ssize_t)bytes.n && fsync(fd) == 0 &&
        rename(fresh, path) == 0)
        return 0;
    int r = -errno;
    (void)unlink(fresh);
    return error_set(e, r, "%s cannot be written: %s", path, strerror(-r));
}

// Whose orders are followed, before where they come from. A hub without a signer gives none.
static int keep_trust(const char *state, const struct signed_trust *trust, struct error *e)
{
    char path[400];
    if (trust->magic[0])
        return replace(state, SIGNED_TRUST_FILE, str_bytes(trust, sizeof *trust), e);
    snprintf(path, sizeof path, "%s/" SIGNED_TRUST_FILE, state);
    return unlink(path) == 0 || errno == ENOENT
               ? 0
               : error_set(e, -errno, "%s cannot be removed: %s", path, strerror(errno));
}

static int keep(const char *state, const struct enrolment *mine, const struct signed_trust *trust,
                struct error *e)
{
    _cleanup_buf_ struct buf text = {0};
    enrolment_print(mine, &text);
    if (text.failed)
        return error_set(e, -ENOMEM, "no memory");
    if (mkdir(state, 0700) < 0 && errno != EEXIST)
        return error_set(e, -errno, "the folder %s cannot be made: %s", state, strerror(errno));
    int r = keep_trust(state, trust, e);
    return r < 0 ? r : replace(state, ENROLMENT_FILE, buf_str(&text), e);
}

static int may_keep(const char *state, struct error *e)
{
    if (access(state, F_OK) < 0 || access(state, W_OK) == 0)
        return 0;
    int r = -errno;
    error_set(e, r, "the agent's folder %s may not be written: %s", state, strerror(-r));
    error_way_out(e, "sudo tiercel enrol ...");
    return r;
}

struct pin {
    uint8_t fingerprint[32], seen[32];
    struct buf *pem;
};

static bool is_pinned(void *context, struct str pem)
{
    struct pin *pin = context;
    if (!enrolment_pinned(pem, pin->fingerprint, pin->seen))
        return false;
    buf_add_str(pin->pem, pem);
    return true;
}

static int other_hub(const struct pin *pin, struct error *e)
{
    char hex[65];
    pki_hex(pin->seen, sizeof pin->seen, hex);
    error_set(e, -EACCES,
              "the hub shows another certificate than the fingerprint says (its last: %s)", hex);
    error_way_out(e, "nothing was sent. Compare with what the hub's administrator gave you");
    return -EACCES;
}

// Who the hub must be: a file, or the certificate with this fingerprint.
static int authority_of(const struct enrol *order, const char *url, struct buf *ret,
                        struct error *e)
{
    struct pin pin = {.pem = ret};
    if (order->authority)
        return read_text(order->authority, ret, e);
    if (!order->fingerprint)
        return 0;
    if (enrol_fingerprint(order->fingerprint, pin.fingerprint) < 0)
        return error_set(e, -EINVAL, "a fingerprint is 64 hexadecimal digits (SHA-256)");
    int r = http_shown(url, order->proxy, is_pinned, &pin, e);
    return r == 0 ? other_hub(&pin, e) : r < 0 ? r : 0;
}

int enrol(const struct enrol *order, struct enrolled *ret, struct error *e)
{
    _cleanup_buf_ struct buf csr = {0}, request = {0}, authority = {0};
    struct enrolment mine = {0};
    struct signed_trust trust = {0};
    struct http_reply reply;
    struct http *h = NULL;
    char url[300];
    int r = may_keep(order->state, e);
    if (r == 0)
        r = enrolment_url(str_from(order->hub), mine.url, sizeof mine.url, e);
    if (r == 0)
        r = authority_of(order, mine.url, &authority, e);
    if (r == 0)
        r = enrolment_make(&mine, &csr, e);
    if (r == 0)
        r = ask_for(&request, &csr, order, trust.host, e);
    struct http_options options = {.authority = buf_str(&authority), .proxy = order->proxy};
    if (r == 0)
        r = http_new(&options, &h, e);
    if (r < 0)
        return r;
    snprintf(url, sizeof url, "%s/v1/enrol", mine.url);
    snprintf(mine.proxy, sizeof mine.proxy, "%s", order->proxy ? order->proxy : "");
    r = http_request(h, url, buf_str(&request), &reply, e);
    if (r == -EACCES)
        error_way_out(e, "nothing was sent. --authority FILE or --fingerprint SHA256 say who the "
                         "hub is; its administrator has both");
    if (r == 0)
        r = take(&reply, &mine, &trust, e);
    if (r == 0)
        r = keep(order->state, &mine, &trust, e);
    http_free(h);
    explicit_bzero(mine.key, sizeof mine.key);
    if (r == 0) {
        snprintf(ret->client, sizeof ret->client, "%s", mine.client);
        snprintf(ret->url, sizeof ret->url, "%s", mine.url);
    }
    return r;
}

int enrol_remove(const char *state, struct error *e)
{
    char path[400];
    const struct signed_trust none = {0};
    snprintf(path, sizeof path, "%s/" ENROLMENT_FILE, state);
    if (unlink(path) == 0)
        return keep_trust(state, &none, e);
    int r = -errno;
    if (r == -ENOENT)
        return error_set(e, r, "this host is not enrolled at any hub");
    return error_set(e, r, "%s cannot be removed: %s", path, strerror(-r));
}
