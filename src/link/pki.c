// SPDX-License-Identifier: Apache-2.0
#include "link/pki.h"
#include <errno.h>
#include <limits.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#define DAY 86400L
#define SERIAL_BYTES 16

static int failed(int code)
{
    ERR_clear_error(); // what is said is our own; the queue must not be read as another call's
    return code;
}

int pki_key_new(EVP_PKEY **ret)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    if (!key)
        return failed(-EIO);
    *ret = key;
    return 0;
}

// ---- to text and back

static int take_bio(BIO *bio, int good, struct buf *to)
{
    char *p;
    long n = bio ? BIO_get_mem_data(bio, &p) : 0;
    if (good && n > 0)
        buf_add(to, p, (size_t)n);
    BIO_free(bio);
    if (!good || n <= 0)
        return failed(-ENOMEM);
    return to->failed;
}

int pki_key_write(EVP_PKEY *key, struct buf *to)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    int good = bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;
    return take_bio(bio, good, to);
}

int pki_certificate_write(X509 *certificate, struct buf *to)
{
    BIO *bio = BIO_new(BIO_s_mem());
    return take_bio(bio, bio && PEM_write_bio_X509(bio, certificate) == 1, to);
}

static int no_password(char *to, int size, int writing, void *context)
{
    (void)to, (void)size, (void)writing, (void)context;
    return -1; // or OpenSSL would ask at the terminal
}

int pki_key_read(struct str pem, EVP_PKEY **ret)
{
    BIO *bio = pem.n && pem.n <= INT_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
    if (!key)
        return failed(-EBADMSG);
    *ret = key;
    return 0;
}

int pki_certificate_read(struct str pem, X509 **ret)
{
    BIO *bio = pem.n && pem.n <= INT_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
    if (!certificate)
        return failed(-EBADMSG);
    *ret = certificate;
    return 0;
}

int pki_certificate_der(X509 *certificate, struct buf *to)
{
    unsigned char *der = NULL;
    int n = i2d_X509(certificate, &der);
    if (n <= 0)
        return failed(-ENOMEM);
    buf_add(to, der, (size_t)n);
    OPENSSL_free(der);
    return to->failed;
}

int pki_certificate_from_der(struct str der, X509 **ret)
{
    const unsigned char *p = (const unsigned char *)der.p;
    X509 *certificate = der.n && der.n <= INT_MAX ? d2i_X509(NULL, &p, (long)der.n) : NULL;
    if (!certificate || p != (const unsigned char *)der.p + der.n) {
        X509_free(certificate);
        return failed(-EBADMSG);
    }
    *ret = certificate;
    return 0;
}

// ---- certificates

static bool add_extension(X509 *c, X509 *issuer, int what, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, c, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, what, value);
    bool good = extension && X509_add_ext(c, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good;
}

static bool set_serial(X509 *c)
{
    unsigned char bytes[SERIAL_BYTES];
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return false;
    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); // positive, and never shorter
    BIGNUM *n = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool good = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(c));
    BN_free(n);
    return good;
}

// What all certificates have. The issuer is NULL for the authority's own.
static X509 *certificate_new(const char *name, X509 *issuer, EVP_PKEY *key, int64_t now,
                             unsigned days)
{
    X509 *c = X509_new();
    time_t from = (time_t)now - 3600;
    if (!c)
        return NULL;
    X509_NAME *subject = X509_get_subject_name(c);
    bool good = X509_set_version(c, X509_VERSION_3) == 1 && set_serial(c) &&
                X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
                                           (const unsigned char *)name, -1, -1, 0) == 1 &&
                X509_set_issuer_name(c, issuer ? X509_get_subject_name(issuer) : subject) == 1 &&
                X509_time_adj_ex(X509_getm_notBefore(c), 0, 0, &from) &&
                X509_time_adj_ex(X509_getm_notAfter(c), (int)days, 3600, &from) &&
                X509_set_pubkey(c, key) == 1;
    if (good)
        return c;
    X509_free(c);
    return NULL;
}

struct extension {
    int what;
    const char *value;
};

static int finish(X509 *c, const struct pki_authority *a, const struct extension *extensions,
                  X509 **ret)
{
    bool good = c != NULL;
    for (; good && extensions->value; extensions++)
        good = add_extension(c, a->certificate ? a->certificate : c, extensions->what,
                             extensions->value);
    if (!good || X509_sign(c, a->key, EVP_sha256()) <= 0) {
        X509_free(c);
        return failed(-EIO);
    }
    *ret = c;
    return 0;
}

void pki_authority_done(struct pki_authority *a)
{
    X509_free(a->certificate);
    EVP_PKEY_free(a->key);
    *a = (struct pki_authority){0};
}

int pki_authority_new(const char *name, int64_t now, struct pki_authority *ret)
{
    static const struct extension extensions[] = {
        {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
        {NID_key_usage, "critical,keyCertSign,cRLSign"},
        {NID_subject_key_identifier, "hash"},
        {0, NULL},
    };
    struct pki_authority a = {0};
    int r = pki_key_new(&a.key);
    if (r == 0)
        r = finish(certificate_new(name, NULL, a.key, now, PKI_AUTHORITY_DAYS), &a, extensions,
                   &a.certificate);
    if (r < 0) {
        pki_authority_done(&a);
        return r;
    }
    *ret = a;
    return 0;
}

int pki_server_sign(const struct pki_authority *a, EVP_PKEY *key, const char *names, int64_t now,
                    X509 **ret)
{
    const struct extension extensions[] = {
        {NID_basic_constraints, "critical,CA:FALSE"},
        {NID_key_usage, "critical,digitalSignature"},
        {NID_ext_key_usage, "serverAuth"},
        {NID_subject_alt_name, names},
        {NID_authority_key_identifier, "keyid:always"},
        {0, NULL},
    };
    return finish(certificate_new("tiercel-hub", a->certificate, key, now, PKI_AUTHORITY_DAYS), a,
                  extensions, ret);
}

int pki_request_new(EVP_PKEY *key, struct buf *to)
{
    X509_REQ *request = X509_REQ_new();
    unsigned char *der = NULL;
    int n = -1;
    if (request && X509_REQ_set_version(request, X509_REQ_VERSION_1) == 1 &&
        X509_REQ_set_pubkey(request, key) == 1 && X509_REQ_sign(request, key, EVP_sha256()) > 0)
        n = i2d_X509_REQ(request, &der);
    if (n > 0)
        buf_add(to, der, (size_t)n);
    OPENSSL_free(der);
    X509_REQ_free(request);
    return n > 0 ? to->failed : failed(-EIO);
}

static bool is_p256(EVP_PKEY *key)
{
    char group[32];
    return key && EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
           EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
           !strcmp(group, SN_X9_62_prime256v1);
}

int pki_host_sign(const struct pki_authority *a, struct str request, const char *name, int64_t now,
                  X509 **ret)
{
    static const struct extension extensions[] = {
        {NID_basic_constraints, "critical,CA:FALSE"},
        {NID_key_usage, "critical,digitalSignature"},
        {NID_ext_key_usage, "clientAuth"},
        {NID_authority_key_identifier, "keyid:always"},
        {0, NULL},
    };
    const unsigned char *p = (const unsigned char *)request.p;
    X509_REQ *parsed =
        request.n && request.n <= PKI_REQUEST_MAX ? d2i_X509_REQ(NULL, &p, (long)request.n) : NULL;
    EVP_PKEY *key = parsed ? X509_REQ_get0_pubkey(parsed) : NULL;
    int r = -EBADMSG;
    if (p == (const unsigned char *)request.p + request.n && is_p256(key) &&
        X509_REQ_verify(parsed, key) == 1)
        r = finish(certificate_new(name, a->certificate, key, now, PKI_HOST_DAYS), a, extensions,
                   ret);
    X509_REQ_free(parsed);
    return r < 0 ? failed(r) : 0;
}
