// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "base/test.h"
#include "link/enrolment.h"
#include "link/pki.h"
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

#define NOW 1790000000

static struct pki_authority authority, stranger;
static struct enrolment mine;
static struct buf request, ours, theirs;

static int set_up(void **state)
{
    (void)state;
    X509 *certificate = NULL;
    assert_int_equal(pki_authority_new("hub", NOW, &authority), 0);
    assert_int_equal(pki_authority_new("other", NOW, &stranger), 0);
    assert_int_equal(enrolment_make(&mine, &request, NULL), 0);
    assert_int_equal(pki_host_sign(&authority, buf_str(&request),
                                   "acme/000102030405060708090a0b0c0d0e0f", NOW, &certificate),
                     0);
    assert_int_equal(pki_certificate_der(certificate, &ours), 0);
    assert_int_equal(pki_certificate_der(authority.certificate, &theirs), 0);
    X509_free(certificate);
    strcpy(mine.url, "https://hub.example:8444");
    strcpy(mine.client, "acme");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pki_authority_done(&authority);
    pki_authority_done(&stranger);
    buf_done(&request);
    buf_done(&ours);
    buf_done(&theirs);
    mine = (struct enrolment){0};
    request = ours = theirs = (struct buf){0};
    return 0;
}

static void test_file_gives_back_what_was_enrolled(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf text = {0};
    struct enrolment again;
    strcpy(mine.proxy, "http://proxy.example:3128");
    assert_int_equal(enrolment_take(&mine, buf_str(&ours), buf_str(&theirs), NULL), 0);
    enrolment_print(&mine, &text);
    assert_int_equal(enrolment_parse(buf_str(&text), &again, NULL), 0);
    assert_string_equal(again.url, mine.url);
    assert_string_equal(again.client, "acme");
    assert_string_equal(again.proxy, mine.proxy);
    assert_string_equal(again.key, mine.key);
    assert_string_equal(again.certificate, mine.certificate);
    assert_string_equal(again.authority, mine.authority);
    // Cut anywhere it is not an enrolment any more.
    struct error e = {0};
    for (size_t n = 0; n < text.n - 1; n += 7) {
        assert_int_equal(enrolment_parse(str_bytes(text.p, n), &again, &e), -EBADMSG);
        assert_non_null(strstr(e.what, "damaged"));
    }
}

static void test_certificates_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf other = {0}, unused = {0};
    struct enrolment another = {0};
    struct error e = {0};
    assert_int_equal(pki_certificate_der(stranger.certificate, &other), 0);
    assert_int_equal(enrolment_take(&mine, buf_str(&ours), buf_str(&other), &e), -EBADMSG);
    assert_non_null(strstr(e.what, "authority"));
    assert_int_equal(enrolment_make(&another, &unused, NULL), 0);
    assert_int_equal(enrolment_take(&another, buf_str(&ours), buf_str(&theirs), &e), -EBADMSG);
    assert_non_null(strstr(e.what, "another key"));
    assert_int_equal(enrolment_take(&mine, STR("nonsense"), buf_str(&theirs), &e), -EBADMSG);
    assert_string_equal(mine.certificate, ""); // untouched
}

static void test_fingerprint_names_one_certificate(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf pem = {0};
    uint8_t seen[32], wanted[32];
    unsigned n;
    assert_int_equal(X509_digest(authority.certificate, EVP_sha256(), wanted, &n), 1);
    assert_int_equal(pki_certificate_write(authority.certificate, &pem), 0);
    assert_true(enrolment_pinned(buf_str(&pem), wanted, seen));
    wanted[31] ^= 1;
    assert_false(enrolment_pinned(buf_str(&pem), wanted, seen));
    assert_int_equal(seen[31], wanted[31] ^ 1);
    assert_false(enrolment_pinned(STR("no certificate"), seen, seen));
}

static void test_addresses_are_https_and_nothing_else(void **state)
{
    (void)state;
    char url[64];
    assert_int_equal(enrolment_url(STR("https://hub:8443/"), url, sizeof url, NULL), 0);
    assert_string_equal(url, "https://hub:8443");
    static const char *const wrong[] = {"http://hub", "https://", "https://hub/v1",
                                        "hub:8443",   "",         "https://a b"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(enrolment_url(str_from(wrong[i]), url, sizeof url, NULL), -EINVAL);
    assert_int_equal(enrolment_url(STR("https://hub:8443"), url, 16, NULL), -EINVAL);
}

static void test_host_is_the_machine_id(void **state)
{
    (void)state;
    uint8_t host[16] = {0};
    assert_int_equal(enrolment_host(STR("00ff0102030405060708090a0b0c0d0e\n"), host), 0);
    assert_int_equal(host[1], 0xff);
    assert_int_equal(host[15], 0x0e);
    assert_int_equal(enrolment_host(STR("00ff"), host), -EINVAL);
    assert_int_equal(enrolment_host(STR("00fg0102030405060708090a0b0c0d0e"), host), -EINVAL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_file_gives_back_what_was_enrolled),
        CASE(test_certificates_that_do_not_fit_are_refused),
        CASE(test_fingerprint_names_one_certificate),
        cmocka_unit_test(test_addresses_are_https_and_nothing_else),
        cmocka_unit_test(test_host_is_the_machine_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
