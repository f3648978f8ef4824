// SPDX-License-Identifier: Apache-2.0
#include "hub/request.h"
#include "link.pb-c.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

static const struct request_route routes[] = {
    {"/v1/enrol", true, false, HUB_ENROL, 16384},
    {"/v1/batches", true, true, HUB_BATCHES, HUB_BODY_MAX},
    {"/v1/next", false, true, HUB_NEXT, 0},
    {"/v1/orders", false, true, HUB_ORDERS, 0},
    {"/v1/results", true, true, HUB_ORDER_RESULT, 4096},
};

const struct request_route *request_route(struct str path, bool post, bool agents, int *ret_status)
{
    *ret_status = 404;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (routes[i].agents == agents && str_eq(path, str_from(routes[i].path))) {
            if (routes[i].post == post)
                return &routes[i];
            *ret_status = 405;
        }
    return NULL;
}

int request_length(struct str text, uint64_t *ret)
{
    // Decimal digits and nothing else: a sign or a second value is how requests are smuggled.
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < '0' || text.p[i] > '9')
            return -EINVAL;
    return text.n == 0 || text.n > 18 || str_to_u64(text, ret) < 0 ? -EINVAL : 0;
}

void request_key_text(const uint8_t id[4], const uint8_t secret[16], char ret[REQUEST_KEY_SIZE + 1])
{
    memcpy(ret, "tk-", 3);
    pki_hex(id, 4, ret + 3);
    ret[11] = '-';
    pki_hex(secret, 16, ret + 12);
}

int request_key_read(struct str text, uint8_t ret_id[4], uint8_t ret_hash[32])
{
    uint8_t id[4], secret[16];
    if (text.n != REQUEST_KEY_SIZE || !str_starts(text, STR("tk-")) || text.p[11] != '-' ||
        pki_unhex(str_bytes(text.p + 3, 8), id, 4) < 0 ||
        pki_unhex(str_bytes(text.p + 12, 32), secret, 16) < 0)
        return -EBADMSG;
    OPENSSL_cleanse(secret, sizeof secret);
    if (EVP_Digest(text.p, text.n, ret_hash, NULL, EVP_sha256(), NULL) != 1)
        return -EIO;
    memcpy(ret_id, id, 4);
    return 0;
}

static int take_enrol(const Tiercel__Link__EnrolRequest *m, struct request_enrol *ret,
                      struct error *e)
{
    struct request_enrol n = {0};
    if (request_key_read(str_from(m->key), n.key_id, n.key_hash) < 0)
        return error_set(e, -EBADMSG, "no enrolment key: tk-, 8 digits, -, 32 digits");
    if (!m->has_host || m->host.len != sizeof n.host)
        return error_set(e, -EBADMSG, "the host is not 16 bytes");
    if (!m->has_csr || m->csr.len == 0 || m->csr.len > sizeof n.csr)
        return error_set(e, -EBADMSG, "no certificate request of at most %u bytes",
                         PKI_REQUEST_MAX);
    memcpy(n.host, m->host.data, sizeof n.host);
    memcpy(n.csr, m->csr.data, m->csr.len);
    n.csr_size = m->csr.len;
    for (size_t i = 0; m->host_name && m->host_name[i] && i < sizeof n.host_name - 1; i++)
        n.host_name[i] = m->host_name[i] > ' ' && m->host_name[i] < 0x7f ? m->host_name[i] : '?';
    *ret = n;
    return 0;
}

int request_enrol(struct str body, struct request_enrol *ret, struct error *e)
{
    Tiercel__Link__EnrolRequest *m =
        tiercel__link__enrol_request__unpack(NULL, body.n, (const uint8_t *)body.p);
    if (!m)
        return error_set(e, -EBADMSG, "this is no EnrolRequest");
    int r = take_enrol(m, ret, e);
    tiercel__link__enrol_request__free_unpacked(m, NULL);
    return r;
}
