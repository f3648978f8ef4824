// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "base/test.h"
#include "link/pki.h"
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#define NOW INT64_C(1795449600)

static bool trusts(const struct pki_authority *a, X509 *certificate, int purpose, int64_t at)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    X509_STORE_add_cert(store, a->certificate);
    X509_STORE_CTX_init(context, store, certificate, NULL);
    X509_STORE_CTX_set_purpose(context, purpose);
    X509_STORE_CTX_set_time(context, 0, (time_t)at);
    bool good = X509_verify_cert(context) == 1;
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    return good;
}

static void test_pki_host_certificate(void **state)
{
    (void)state;
    struct pki_authority a, other;
    EVP_PKEY *key;
    X509 *certificate;
    char name[128];
    _cleanup_buf_ struct buf request = {0};
    assert_int_equal(pki_authority_new("one", NOW, &a), 0);
    assert_int_equal(pki_authority_new("one", NOW, &other), 0);
    assert_int_equal(pki_key_new(&key), 0);
    assert_int_equal(pki_request_new(key, &request), 0);
    assert_int_equal(pki_host_sign(&a, buf_str(&request), "acme/000102030405060708090a0b0c0d0e0f",
                                   NOW, &certificate),
                     0);
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
                              sizeof name);
    assert_string_equal(name, "acme/000102030405060708090a0b0c0d0e0f");
    assert_true(X509_check_private_key(certificate, key) == 1);
    assert_true(trusts(&a, certificate, X509_PURPOSE_SSL_CLIENT, NOW));
    assert_false(trusts(&a, certificate, X509_PURPOSE_SSL_SERVER, NOW));
    assert_false(trusts(&other, certificate, X509_PURPOSE_SSL_CLIENT, NOW));
    assert_false(trusts(&a, certificate, X509_PURPOSE_SSL_CLIENT, NOW - 7200));
    assert_false(
        trusts(&a, certificate, X509_PURPOSE_SSL_CLIENT, NOW + 86400 * (PKI_HOST_DAYS + 1)));
    X509_free(certificate);
    EVP_PKEY_free(key);
    pki_authority_done(&a);
    pki_authority_done(&other);
}

static void test_pki_request_must_be_signed_by_its_p256_key(void **state)
{
    (void)state;
    struct pki_authority a;
    EVP_PKEY *key, *wider = EVP_EC_gen("P-384"), *rsa = EVP_RSA_gen(2048);
    X509 *certificate = NULL;
    _cleanup_buf_ struct buf request = {0}, other = {0}, third = {0};
    assert_int_equal(pki_authority_new("one", NOW, &a), 0);
    assert_int_equal(pki_key_new(&key), 0);
    assert_int_equal(pki_request_new(key, &request), 0);
    assert_int_equal(pki_request_new(wider, &other), 0);
    assert_int_equal(pki_request_new(rsa, &third), 0);
    assert_int_equal(pki_host_sign(&a, buf_str(&other), "a/b", NOW, &certificate), -EBADMSG);
    assert_int_equal(pki_host_sign(&a, buf_str(&third), "a/b", NOW, &certificate), -EBADMSG);
    for (size_t i = 0; i < request.n; i++) { // each byte: in the key, in the signature, in the form
        request.p[i] ^= 1;
        assert_int_equal(pki_host_sign(&a, buf_str(&request), "a/b", NOW, &certificate), -EBADMSG);
        request.p[i] ^= 1;
        assert_int_equal(pki_host_sign(&a, str_bytes(request.p, i), "a/b", NOW, &certificate),
                         -EBADMSG);
    }
    buf_add_char(&request, 0);
    assert_int_equal(pki_host_sign(&a, buf_str(&request), "a/b", NOW, &certificate), -EBADMSG);
    assert_null(certificate);
    EVP_PKEY_free(key);
    EVP_PKEY_free(wider);
    EVP_PKEY_free(rsa);
    pki_authority_done(&a);
}

static void test_pki_server_certificate_and_texts(void **state)
{
    (void)state;
    struct pki_authority a;
    EVP_PKEY *key, *again;
    X509 *certificate, *same;
    _cleanup_buf_ struct buf pem = {0}, der = {0}, text = {0};
    assert_int_equal(pki_authority_new("one", NOW, &a), 0);
    assert_int_equal(pki_key_new(&key), 0);
    assert_int_equal(pki_server_sign(&a, key, "DNS:localhost,IP:127.0.0.1", NOW, &certificate), 0);
    assert_true(trusts(&a, certificate, X509_PURPOSE_SSL_SERVER, NOW));
    assert_false(trusts(&a, certificate, X509_PURPOSE_SSL_CLIENT, NOW));
    assert_int_equal(X509_check_ip_asc(certificate, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(certificate, "127.0.0.2", 0), 0);
    assert_int_equal(pki_key_write(key, &pem), 0);
    assert_int_equal(pki_key_read(buf_str(&pem), &again), 0);
    assert_int_equal(EVP_PKEY_eq(key, again), 1);
    assert_int_equal(pki_certificate_der(certificate, &der), 0);
    assert_int_equal(pki_certificate_from_der(buf_str(&der), &same), 0);
    assert_int_equal(X509_cmp(certificate, same), 0);
    X509_free(same);
    assert_int_equal(pki_certificate_write(certificate, &text), 0);
    assert_int_equal(pki_certificate_read(buf_str(&text), &same), 0);
    assert_int_equal(X509_cmp(certificate, same), 0);
    X509_free(same);
    same = NULL;
    buf_add_char(&der, 0);
    assert_int_equal(pki_certificate_from_der(buf_str(&der), &same), -EBADMSG);
    assert_int_equal(pki_certificate_read(buf_str(&pem), &same), -EBADMSG);
    assert_null(same);
    X509_free(certificate);
    EVP_PKEY_free(key);
    EVP_PKEY_free(again);
    pki_authority_done(&a);
}

static void test_pki_names(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "/",
        "acme",
        "acme/",
        "/000102030405060708090a0b0c0d0e0f",
        "acme/000102030405060708090a0b0c0d0e0",
        "acme/000102030405060708090a0b0c0d0e0f0",
        "acme/000102030405060708090a0b0c0d0e0F",
        "Acme/000102030405060708090a0b0c0d0e0f",
        "../000102030405060708090a0b0c0d0e0f",
        "-a/000102030405060708090a0b0c0d0e0f",
        "a-/000102030405060708090a0b0c0d0e0f",
        "a/b/000102030405060708090a0b0c0d0e0f",
        "a23456789012345678901234567890123/000102030405060708090a0b0c0d0e0f",
    };
    char client[PKI_CLIENT_MAX + 1] = "unchanged", name[PKI_NAME_MAX + 1];
    uint8_t host[PKI_HOST_BYTES];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(pki_name_read(str_from(bad[i]), client, host), -EBADMSG);
    assert_string_equal(client, "unchanged");
    assert_int_equal(pki_name_read(STR("a-1/000102030405060708090a0b0c0d0eff"), client, host), 0);
    assert_string_equal(client, "a-1");
    assert_int_equal(host[15], 0xff);
    pki_name_make(client, host, name);
    assert_string_equal(name, "a-1/000102030405060708090a0b0c0d0eff");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pki_host_certificate),
        cmocka_unit_test(test_pki_request_must_be_signed_by_its_p256_key),
        cmocka_unit_test(test_pki_server_certificate_and_texts),
        cmocka_unit_test(test_pki_names),
    };
    return cmocka_run_group_tests_name("pki", tests, NULL, NULL);
}
