// SPDX-License-Identifier: Apache-2.0
#include "event/segment_test.h"
#include "link.pb-c.h"
#include "link/hub_test.h"
#include "link/uplink.h"

#include <sys/mman.h>

#define ROOM ((size_t)256 << 10)

// The hub's side; shared with the child that answers.
static struct hub_state {
    uint64_t next;
    uint8_t last[32];
    bool has_last;
    uint32_t wait_ms, status, times; // the next `times` answers have this status
    uint64_t damaged;                // this record is never taken, + 1
    size_t most;                     // bytes of a request, 0 any
    uint32_t batches, asked;
    size_t n;
    uint8_t bytes[ROOM];
} * there;

static struct test_hub hub;
static struct enrolment mine;
static struct control_uplink state;
static struct uplink *uplink;
static uint64_t clock_ms;

static void answer_place(struct test_hub_answer *ret)
{
    Tiercel__Link__BatchReply a = TIERCEL__LINK__BATCH_REPLY__INIT;
    a.has_next = a.has_wait_ms = true;
    a.next = there->next;
    a.wait_ms = there->wait_ms;
    a.has_last = there->has_last;
    a.last = (ProtobufCBinaryData){32, there->last};
    ret->n = tiercel__link__batch_reply__pack(&a, ret->body);
}

static void answer_text(struct test_hub_answer *ret, int status, const char *text)
{
    ret->status = status;
    ret->n = (size_t)snprintf((char *)ret->body, sizeof ret->body, "%s", text);
}

static void take_batch(struct str body, struct test_hub_answer *ret)
{
    struct segment_header h;
    for (size_t at = 0; at < body.n; at += sizeof h + h.compressed) {
        memcpy(&h, body.p + at, sizeof h);
        if (h.sequence + 1 == there->damaged) {
            answer_text(ret, 422, "its check differs");
            snprintf(ret->header, sizeof ret->header, "Tiercel-Next: %llu\r\n",
                     (unsigned long long)there->next);
            return;
        }
        segment_hash(body.p + at, sizeof h + h.compressed, there->last);
        there->next = h.sequence + 1;
        there->has_last = true;
        memcpy(there->bytes + there->n, body.p + at, sizeof h + h.compressed);
        there->n += sizeof h + h.compressed;
    }
    there->batches++;
    answer_place(ret);
}

static void serve(struct test_hub *h, const char *line, struct str body,
                  struct test_hub_answer *ret)
{
    (void)h;
    bool batch = strcmp(line, "POST /v1/batches HTTP/1.1") == 0;
    if (!batch && strcmp(line, "GET /v1/next HTTP/1.1") != 0)
        _exit(1);
    there->asked += !batch;
    if (there->times) {
        there->times--;
        answer_text(ret, (int)there->status, "said so");
    } else if (batch && there->most && body.n > there->most) {
        answer_text(ret, 413, "too large");
    } else if (batch) {
        take_batch(body, ret);
    } else {
        answer_place(ret);
    }
}

static uint64_t now(void *context)
{
    (void)context;
    return clock_ms;
}

static uint32_t no_chance(void *context)
{
    (void)context;
    return 0;
}

static void enrol_with(const struct pki_authority *signer)
{
    X509 *x = NULL;
    _cleanup_buf_ struct buf request = {0}, ours = {0}, theirs = {0};
    struct pki_authority mixed = {signer->certificate, signer->key};
    mine = (struct enrolment){0};
    assert_int_equal(enrolment_make(&mine, &request, NULL), 0);
    assert_int_equal(pki_host_sign(&mixed, buf_str(&request),
                                   "acme/000102030405060708090a0b0c0d0e0f", time(NULL), &x),
                     0);
    assert_int_equal(pki_certificate_write(x, &ours), 0);
    assert_int_equal(pki_certificate_write(hub.authority.certificate, &theirs), 0);
    snprintf(mine.url, sizeof mine.url, "%s", hub.url);
    strcpy(mine.client, "acme");
    memcpy(mine.certificate, ours.p, ours.n);
    memcpy(mine.authority, theirs.p, theirs.n);
    X509_free(x);
}

static void begin(void)
{
    struct error e = {0};
    struct uplink_options options = {.enrolment = &mine,
                                     .source = {&folder_fd, spool_folder_open},
                                     .now_ms = now,
                                     .random = no_chance,
                                     .state = &state};
    state = (struct control_uplink){0};
    if (uplink_new(&options, &uplink, &e) < 0)
        fail_msg("%s", e.what);
}

static int set_up(void **unused)
{
    clock_ms = 1000;
    there = mmap(NULL, sizeof *there, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(there != MAP_FAILED);
    test_hub_start(&hub, true);
    test_hub_serve(&hub, serve);
    enrol_with(&hub.authority);
    int r = setup(unused);
    begin();
    return r;
}

static int tear_down(void **unused)
{
    uplink = uplink_free(uplink);
    test_hub_end(&hub);
    munmap(there, sizeof *there);
    return teardown(unused);
}

// Steps, with the clock going on by what each asks for.
static void run(unsigned steps)
{
    for (unsigned i = 0; i < steps; i++)
        clock_ms += uplink_step(uplink);
}

static void expect_same(uint64_t file)
{
    static uint8_t all[ROOM];
    _cleanup_close_ int fd = open_number(file, O_RDONLY);
    ssize_t n = read(fd, all, sizeof all);
    assert_int_equal(there->n, n);
    assert_memory_equal(there->bytes, all, there->n);
}

static void test_journal_arrives_byte_for_byte_and_goes_on(void **unused)
{
    (void)unused;
    uint8_t last[32] = {0};
    write_file(1, 0, 5, last, NULL);
    run(4);
    if (there->next != 5)
        fail_msg("%s", state.why);
    expect_same(1);
    assert_int_equal(state.state, CONTROL_LINK_CONNECTED);
    assert_int_equal(state.records, 5);
    assert_int_equal(state.next, 5);
    assert_int_equal(state.acknowledged_ns, 4000002);
    assert_string_equal(state.why, "");
    write_file(1, 5, 2, last, NULL);
    run(20);
    expect_same(1);
    assert_int_equal(there->asked, 1); // where to begin, once
    assert_int_equal(there->batches, 2);
    // Another uplink, as after a restart: nothing twice.
    uplink_free(uplink);
    write_file(1, 7, 1, last, NULL);
    begin();
    run(4);
    expect_same(1);
    assert_int_equal(there->asked, 2);
}

static void test_day_offline_is_caught_up_in_large_requests(void **unused)
{
    (void)unused;
    uint8_t last[32] = {0};
    write_file(1, 0, 600, last, NULL); // of three events each
    run(2);
    assert_int_equal(state.state, CONTROL_LINK_CATCHING_UP);
    assert_int_equal(state.events, 999);
    run(3);
    assert_int_equal(state.state, CONTROL_LINK_CONNECTED);
    assert_int_equal(there->next, 600);
    assert_int_equal(there->batches, 2);
}

static void test_trouble_is_said_and_tried_again(void **unused)
{
    (void)unused;
    uint8_t last[32] = {0};
    write_file(1, 0, 2, last, NULL);
    there->status = 503;
    there->times = 2;
    assert_int_equal(uplink_step(uplink), 500); // and twice as long the next time
    assert_int_equal(state.state, CONTROL_LINK_UNREACHED);
    assert_non_null(strstr(state.why, "503: said so"));
    assert_int_equal(uplink_step(uplink), 1000);
    assert_int_equal(state.failures, 2);
    run(4);
    assert_int_equal(there->next, 2);
    assert_string_equal(state.why, "");
}

static void test_revoked_host_says_so_and_asks_rarely(void **unused)
{
    (void)unused;
    there->status = 403;
    there->times = 1;
    assert_true(uplink_step(uplink) >= 30000);
    assert_int_equal(state.state, CONTROL_LINK_REFUSED);
    assert_non_null(strstr(state.why, "said so"));
    assert_non_null(strstr(state.why, "tiercel enrol"));
}

static void test_certificate_of_another_authority_gets_nowhere(void **unused)
{
    (void)unused;
    struct pki_authority stranger;
    uint8_t last[32] = {0};
    write_file(1, 0, 2, last, NULL);
    assert_int_equal(pki_authority_new("hub of a test", time(NULL), &stranger), 0);
    uplink_free(uplink);
    enrol_with(&stranger);
    begin();
    run(2);
    assert_int_equal(there->asked, 0);
    assert_int_equal(state.state, CONTROL_LINK_UNREACHED);
    assert_true(state.why[0] && state.failures == 2);
    pki_authority_done(&stranger);
}

static void test_hub_that_is_another_is_refused(void **unused)
{
    (void)unused;
    struct pki_authority stranger;
    _cleanup_buf_ struct buf pem = {0};
    assert_int_equal(pki_authority_new("hub of a test", time(NULL), &stranger), 0);
    assert_int_equal(pki_certificate_write(stranger.certificate, &pem), 0);
    uplink_free(uplink);
    memset(mine.authority, 0, sizeof mine.authority);
    memcpy(mine.authority, pem.p, pem.n);
    begin();
    run(1);
    assert_int_equal(there->asked, 0);
    assert_int_equal(state.state, CONTROL_LINK_REFUSED);
    pki_authority_done(&stranger);
}

static void test_too_large_requests_become_smaller(void **unused)
{
    (void)unused;
    uint8_t last[32] = {0};
    uint64_t ends[40];
    write_file(1, 0, 40, last, ends);
    there->most = ends[39] / 3;
    run(60);
    assert_int_equal(there->next, 40);
    expect_same(1);
    assert_int_equal(state.left_out, 0);
}

static void test_record_that_is_refused_twice_is_left_out(void **unused)
{
    (void)unused;
    uint8_t last[32] = {0};
    write_file(1, 0, 6, last, NULL);
    there->damaged = 3 + 1;
    run(30);
    assert_int_equal(there->next, 6);
    assert_int_equal(state.left_out, 1);
    assert_int_equal(state.state, CONTROL_LINK_CONNECTED);
}

static void test_wish_of_the_hub_to_wait_is_honoured(void **unused)
{
    (void)unused;
    uint8_t last[32] = {0};
    write_file(1, 0, 1, last, NULL);
    there->wait_ms = 7000;
    run(1);
    assert_int_equal(uplink_step(uplink), 7000);
    assert_int_equal(there->batches, 0);
    clock_ms += 7000;
    run(1);
    assert_int_equal(there->batches, 1);
}

static void test_another_journal_is_told(void **unused)
{
    (void)unused;
    uint8_t last[32] = {0};
    write_file(1, 0, 8, last, NULL);
    there->next = 4;
    there->has_last = true;
    memset(there->last, 7, 32);
    run(1);
    assert_non_null(strstr(state.why, "another journal"));
    run(2);
    assert_int_equal(there->next, 8);
}

static void test_waits_grow_to_two_minutes(void **unused)
{
    (void)unused;
    assert_int_equal(uplink_retry_ms(1, 0), 500);
    assert_int_equal(uplink_retry_ms(1, 500), 1000);
    assert_int_equal(uplink_retry_ms(3, 0), 2000);
    for (unsigned i = 8; i < 70; i++)
        assert_in_range(uplink_retry_ms(i, i * 2654435761u), 60000, 120000);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        CASE(test_journal_arrives_byte_for_byte_and_goes_on),
        CASE(test_day_offline_is_caught_up_in_large_requests),
        CASE(test_trouble_is_said_and_tried_again),
        CASE(test_revoked_host_says_so_and_asks_rarely),
        CASE(test_certificate_of_another_authority_gets_nowhere),
        CASE(test_hub_that_is_another_is_refused),
        CASE(test_too_large_requests_become_smaller),
        CASE(test_record_that_is_refused_twice_is_left_out),
        CASE(test_wish_of_the_hub_to_wait_is_honoured),
        CASE(test_another_journal_is_told),
        cmocka_unit_test(test_waits_grow_to_two_minutes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
