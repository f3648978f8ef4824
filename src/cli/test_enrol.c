// SPDX-License-Identifier: Apache-2.0
#include "cli/enrol.h"
#include "link.pb-c.h"
#include "link/enrolment.h"
#include "link/hub_test.h"

#include <errno.h>
#include <sys/stat.h>

static struct test_hub hub;
static struct enrol order;
static char fingerprint[65], authority[128];

static void sign(struct test_hub *h, const Tiercel__Link__EnrolRequest *q, const char *client,
                 struct test_hub_answer *ret)
{
    X509 *x = NULL;
    struct buf ours = {0}, theirs = {0};
    char name[PKI_NAME_MAX + 1];
    pki_name_make("acme", q->host.data, name);
    if (pki_host_sign(&h->authority, str_bytes(q->csr.data, q->csr.len), name, time(NULL), &x) <
            0 ||
        pki_certificate_der(x, &ours) < 0 ||
        pki_certificate_der(h->authority.certificate, &theirs) < 0)
        _exit(1);
    Tiercel__Link__EnrolReply a = TIERCEL__LINK__ENROL_REPLY__INIT;
    a.has_certificate = a.has_authority = true;
    a.certificate = (ProtobufCBinaryData){ours.n, (uint8_t *)ours.p};
    a.authority = (ProtobufCBinaryData){theirs.n, (uint8_t *)theirs.p};
    a.client = (char *)(uintptr_t)client;
    a.agents_url = (char *)(uintptr_t) "https://127.0.0.1:8444";
    ret->n = tiercel__link__enrol_reply__pack(&a, ret->body);
}

static void serve(struct test_hub *h, const char *line, struct str body,
                  struct test_hub_answer *ret)
{
    Tiercel__Link__EnrolRequest *q =
        tiercel__link__enrol_request__unpack(NULL, body.n, (const uint8_t *)body.p);
    if (strcmp(line, "POST /v1/enrol HTTP/1.1") != 0 || !q || !q->key || q->host.len != 16)
        _exit(1);
    if (strcmp(q->key, "good") == 0) {
        sign(h, q, "acme", ret);
    } else if (strcmp(q->key, "nonsense") == 0) {
        ret->n = 5;
        memcpy(ret->body, "\xff\xff\xff\xff\xff", 5);
    } else {
        ret->status = 403;
        ret->n = (size_t)snprintf((char *)ret->body, sizeof ret->body, "the key was used already");
    }
}

static int set_up(void **state)
{
    (void)state;
    uint8_t digest[32];
    unsigned n;
    test_hub_start(&hub, false);
    test_hub_serve(&hub, serve);
    assert_int_equal(X509_digest(hub.authority.certificate, EVP_sha256(), digest, &n), 1);
    pki_hex(digest, sizeof digest, fingerprint);
    snprintf(authority, sizeof authority, "%s/authority.pem", hub.folder);
    order = (struct enrol){.hub = hub.url, .key = "good", .state = hub.folder};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_hub_end(&hub);
    return 0;
}

static bool is_enrolled(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/hub.pem", hub.folder);
    return access(path, F_OK) == 0;
}

static void test_host_is_enrolled_and_forgotten(void **state)
{
    (void)state;
    struct enrolled done;
    struct error e = {0};
    struct stat st;
    char path[128], text[ENROLMENT_BYTES_MAX];
    struct enrolment kept;
    order.authority = authority;
    if (enrol(&order, &done, &e) < 0)
        fail_msg("%s", e.what);
    assert_string_equal(done.client, "acme");
    snprintf(path, sizeof path, "%s/hub.pem", hub.folder);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof text);
    assert_int_equal(enrolment_parse(str_bytes(text, (size_t)n), &kept, &e), 0);
    assert_string_equal(kept.url, "https://127.0.0.1:8444");
    assert_int_equal(enrol_remove(hub.folder, &e), 0);
    assert_false(is_enrolled());
    assert_int_equal(enrol_remove(hub.folder, &e), -ENOENT);
}

static void test_fingerprint_is_enough_and_a_wrong_one_ends_it(void **state)
{
    (void)state;
    struct enrolled done;
    struct error e = {0};
    order.fingerprint = fingerprint;
    if (enrol(&order, &done, &e) < 0)
        fail_msg("%s", e.what);
    assert_int_equal(enrol_remove(hub.folder, &e), 0);
    fingerprint[0] = fingerprint[0] == '0' ? '1' : '0';
    assert_int_equal(enrol(&order, &done, &e), -EACCES);
    assert_non_null(strstr(e.what, "another certificate"));
    assert_non_null(strstr(e.way_out, "nothing was sent"));
    order.fingerprint = "abc";
    assert_int_equal(enrol(&order, &done, &e), -EINVAL);
    assert_false(is_enrolled());
}

static void test_hub_of_an_unknown_authority_gets_nothing(void **state)
{
    (void)state;
    struct enrolled done;
    struct error e = {0};
    assert_int_equal(enrol(&order, &done, &e), -EACCES); // the system does not know it
    struct pki_authority other;
    _cleanup_buf_ struct buf text = {0};
    assert_int_equal(pki_authority_new("hub of a test", time(NULL), &other), 0);
    assert_int_equal(pki_certificate_write(other.certificate, &text), 0);
    test_hub_file(&hub, "authority.pem", &text, authority);
    pki_authority_done(&other);
    order.authority = authority;
    assert_int_equal(enrol(&order, &done, &e), -EACCES);
    assert_non_null(strstr(e.way_out, "--fingerprint"));
    assert_false(is_enrolled());
}

static void test_refusals_and_nonsense_are_said(void **state)
{
    (void)state;
    struct enrolled done;
    struct error e = {0};
    order.authority = authority;
    order.key = "used";
    assert_int_equal(enrol(&order, &done, &e), -EACCES);
    assert_non_null(strstr(e.what, "the key was used already"));
    order.key = "nonsense";
    assert_int_equal(enrol(&order, &done, &e), -EPROTO);
    order.hub = "http://127.0.0.1";
    assert_int_equal(enrol(&order, &done, &e), -EINVAL);
    order.hub = "https://127.0.0.1:1";
    assert_int_equal(enrol(&order, &done, &e), -ENETUNREACH);
    assert_false(is_enrolled());
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        CASE(test_host_is_enrolled_and_forgotten),
        CASE(test_fingerprint_is_enough_and_a_wrong_one_ends_it),
        CASE(test_hub_of_an_unknown_authority_gets_nothing),
        CASE(test_refusals_and_nonsense_are_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
