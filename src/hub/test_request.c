// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "hub/request.h"
#include "link.pb-c.h"
#include <errno.h>

static void test_request_routes(void **state)
{
    (void)state;
    int status;
    assert_non_null(request_route(STR("/v1/enrol"), true, false, &status));
    assert_null(request_route(STR("/v1/enrol"), true, true, &status));
    assert_int_equal(status, 404);
    assert_non_null(request_route(STR("/v1/batches"), true, true, &status));
    assert_null(request_route(STR("/v1/batches"), true, false, &status));
    assert_int_equal(status, 404);
    assert_null(request_route(STR("/v1/batches"), false, true, &status));
    assert_int_equal(status, 405);
    assert_null(request_route(STR("/v1/batches/../next"), false, true, &status));
    assert_int_equal(status, 404);
}

static void test_request_lengths(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "-1", "+1", " 1", "1 ", "1,1", "0x1", "1e3", "9999999999999999999"};
    uint64_t n = 7;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(request_length(str_from(bad[i]), &n), -EINVAL);
    assert_int_equal(n, 7);
    assert_int_equal(request_length(STR("0"), &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(request_length(STR("4194305"), &n), 0);
    assert_int_equal(n, 4194305);
}

static void test_request_keys(void **state)
{
    (void)state;
    const uint8_t id[4] = {1, 2, 3, 0xff}, secret[16] = {9};
    uint8_t got[4], hash[32], other[32];
    char text[REQUEST_KEY_SIZE + 1];
    request_key_text(id, secret, text);
    assert_string_equal(text, "tk-010203ff-09000000000000000000000000000000");
    assert_int_equal(request_key_read(str_from(text), got, hash), 0);
    assert_memory_equal(got, id, 4);
    for (size_t i = 0; i < REQUEST_KEY_SIZE; i++) {
        char c = text[i];
        text[i] = c == 'x' ? 'y' : 'x'; // no place takes it
        assert_int_equal(request_key_read(str_from(text), got, other), -EBADMSG);
        assert_int_equal(request_key_read(str_bytes(text, i), got, other), -EBADMSG);
        text[i] = c;
    }
    text[43] = '1';
    assert_int_equal(request_key_read(str_from(text), got, other), 0);
    assert_memory_not_equal(hash, other, 32);
}

static int parse(Tiercel__Link__EnrolRequest *m, struct request_enrol *ret, struct error *e)
{
    uint8_t packed[8192];
    size_t n = tiercel__link__enrol_request__pack(m, packed);
    return request_enrol(str_bytes(packed, n), ret, e);
}

static void test_request_enrolment(void **state)
{
    (void)state;
    static struct request_enrol n;
    static uint8_t csr[PKI_REQUEST_MAX + 1];
    struct error e = {0};
    Tiercel__Link__EnrolRequest m = TIERCEL__LINK__ENROL_REQUEST__INIT;
    m.key = (char *)"tk-010203ff-09000000000000000000000000000000";
    m.has_host = m.has_csr = true;
    m.host = (ProtobufCBinaryData){16, (uint8_t *)"0123456789abcdef"};
    m.csr = (ProtobufCBinaryData){PKI_REQUEST_MAX, csr};
    m.host_name = (char *)"we\x1b[31mb\xff";
    assert_int_equal(parse(&m, &n, &e), 0);
    assert_string_equal(n.host_name, "we?[31mb?");
    assert_int_equal(n.csr_size, PKI_REQUEST_MAX);
    m.csr.len++;
    assert_int_equal(parse(&m, &n, &e), -EBADMSG);
    m.csr.len = 10;
    m.host.len = 15;
    assert_int_equal(parse(&m, &n, &e), -EBADMSG);
    m.host.len = 16;
    m.key = (char *)"tk-010203ff-0900000000000000000000000000000";
    assert_int_equal(parse(&m, &n, &e), -EBADMSG);
    assert_non_null(strstr(e.what, "enrolment key"));
    m.key = NULL;
    assert_int_equal(parse(&m, &n, &e), -EBADMSG);
    assert_int_equal(request_enrol(STR("\xff\xff\xff"), &n, &e), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_routes),
        cmocka_unit_test(test_request_lengths),
        cmocka_unit_test(test_request_keys),
        cmocka_unit_test(test_request_enrolment),
    };
    return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
