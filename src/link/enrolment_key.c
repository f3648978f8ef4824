// SPDX-License-Identifier: Apache-2.0
// The part of an enrolment that needs OpenSSL: only who enrols links this, not the agent.
#include "link/enrolment.h"
#include "link/pki.h"

#include <errno.h>
#include <nettle/sha2.h>
#include <openssl/x509.h>
#include <string.h>

static int copy(struct buf *from, char *ret, size_t size)
{
    if (from->failed || from->n >= size)
        return -EMSGSIZE;
    memcpy(ret, from->p, from->n);
    ret[from->n] = 0;
    return 0;
}

int enrolment_make(struct enrolment *ret, struct buf *ret_request, struct error *e)
{
    EVP_PKEY *key = NULL;
    _cleanup_buf_ struct buf text = {0};
    int r = pki_key_new(&key);
    if (r == 0)
        r = pki_key_write(key, &text);
    if (r == 0)
        r = pki_request_new(key, ret_request);
    if (r == 0)
        r = copy(&text, ret->key, sizeof ret->key);
    EVP_PKEY_free(key);
    if (text.p)
        explicit_bzero(text.p, text.n);
    return r < 0 ? error_set(e, r, "no key could be made: %s", strerror(-r)) : 0;
}

static int check(const struct enrolment *mine, X509 *ours, X509 *theirs, struct error *e)
{
    EVP_PKEY *key = NULL;
    int r = pki_key_read(str_from(mine->key), &key);
    if (r < 0 || X509_check_private_key(ours, key) != 1)
        r = error_set(e, -EBADMSG, "the hub's certificate is for another key than ours");
    else if (X509_verify(ours, X509_get0_pubkey(theirs)) != 1)
        r = error_set(e, -EBADMSG, "the hub's certificate is not signed by its own authority");
    EVP_PKEY_free(key);
    return r;
}

int enrolment_take(struct enrolment *enrolment, struct str certificate, struct str authority,
                   struct error *e)
{
    X509 *ours = NULL, *theirs = NULL;
    _cleanup_buf_ struct buf one = {0}, other = {0};
    struct enrolment fresh = *enrolment;
    int r = pki_certificate_from_der(certificate, &ours);
    if (r == 0)
        r = pki_certificate_from_der(authority, &theirs);
    if (r < 0)
        error_set(e, r, "the hub's answer has no certificate that can be read");
    else
        r = check(enrolment, ours, theirs, e);
    if (r == 0 &&
        (pki_certificate_write(ours, &one) < 0 || pki_certificate_write(theirs, &other) < 0 ||
         copy(&one, fresh.certificate, sizeof fresh.certificate) < 0 ||
         copy(&other, fresh.authority, sizeof fresh.authority) < 0))
        r = error_set(e, -EBADMSG, "the hub's certificates are too long");
    if (r == 0)
        *enrolment = fresh;
    X509_free(ours);
    X509_free(theirs);
    return r;
}

bool enrolment_pinned(struct str pem, const uint8_t fingerprint[32], uint8_t ret_seen[32])
{
    X509 *x = NULL;
    _cleanup_buf_ struct buf der = {0};
    struct sha256_ctx sha;
    bool good = pki_certificate_read(pem, &x) == 0 && pki_certificate_der(x, &der) == 0;
    X509_free(x);
    if (!good)
        return false;
    sha256_init(&sha);
    sha256_update(&sha, der.n, (const uint8_t *)der.p);
    sha256_digest(&sha, 32, ret_seen);
    return memcmp(ret_seen, fingerprint, 32) == 0;
}
