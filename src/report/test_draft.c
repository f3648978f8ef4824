// SPDX-License-Identifier: Apache-2.0
// A hub's state folder made here, and the report that it gives.
#include "base/cleanup.h"
#include "base/test.h"
#include "event/segment.h"
#include "report/check.h"
#include "report/document.h"
#include "store/attempts.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES ((size_t)1 << 20)
#define MARKUP "<script>alert(1)</script>"

static char state_folder[64], out_folder[128];
static uint64_t from, to;

static void one_record(const char *folder, uint8_t host, uint64_t time)
{
    static const uint8_t zero[32];
    uint8_t id[16] = {host};
    struct error e = {0};
    struct segment_writer writer;
    struct store *store;
    struct store_record record;
    size_t good;
    Tiercel__Batch batch = TIERCEL__BATCH__INIT;
    batch.host = (ProtobufCBinaryData){16, id};
    batch.has_host = batch.has_from = batch.has_to = true;
    batch.from = time;
    batch.to = time + 1000000000;
    int fd = memfd_create("journal", MFD_CLOEXEC);
    assert_int_equal(segment_writer_init(&writer, fd, zero, 0), 0);
    assert_int_equal(segment_append(&writer, &batch), 0);
    char *bytes = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
    assert_int_equal(store_open(folder, NULL, &store, NULL, &e), 0);
    assert_int_equal(store_split(str_bytes(bytes, writer.size), &record, 1, &good, &e), 1);
    assert_int_equal(store_append(store, &record, 1, time, &e), 0);
    assert_int_equal(record.result, STORE_NEW);
    assert_int_equal(store_commit(store, &e), 0);
    store_close(store);
    munmap(bytes, BYTES);
    segment_writer_done(&writer);
}

static void attempts_of(const char *folder, uint64_t first, size_t n, uint32_t outcome)
{
    struct error e = {0};
    struct store_attempts *s;
    static const uint8_t hosts[1][16];
    assert_int_equal(store_attempts_open(folder, true, &s, &e), 0);
    assert_int_equal(store_attempts_begin(s, false, &e), 0);
    for (size_t i = 0; i < n; i++) {
        static const char json[] = "{\"begin\":\"2015-09-26T10:00:00Z\",\"lineages\":[],"
                                   "\"detections\":[{\"id\":7,\"rule\":\"" MARKUP "\",\"command\":"
                                   "\"=1+1 " MARKUP "\\u0007\"}]}";
        uint64_t name = (first + i) << 24;
        struct store_attempt one = {.id = name,
                                    .campaign = name,
                                    .begin_ns = from + (1 + i) * DRAFT_DAY_NS + first,
                                    .end_ns = from + (1 + i) * DRAFT_DAY_NS + first + 1,
                                    .outcome = outcome,
                                    .n_detections = 1,
                                    .n_hosts = 1,
                                    .json = str_from(json),
                                    .names = &name,
                                    .hosts = hosts};
        assert_int_equal(store_attempts_put(s, &one, &e), 0);
    }
    assert_int_equal(store_attempts_end(s, STR("{}"), &e), 0);
    store_attempts_close(s);
}

// n clients of two sectors, three attempts each.
static void make_hub(size_t n, uint32_t outcome)
{
    char path[128], name[16];
    struct registry *r;
    struct error e = {0};
    snprintf(state_folder, sizeof state_folder, "%s/draft-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(state_folder));
    snprintf(out_folder, sizeof out_folder, "%s/out", state_folder);
    assert_int_equal(draft_day("2015-09-25", &from), 0);
    assert_int_equal(draft_day("2015-10-20", &to), 0);
    snprintf(path, sizeof path, "%s/hub.db", state_folder);
    assert_int_equal(registry_open(path, true, &r, &e), 0);
    snprintf(path, sizeof path, "%s/clients", state_folder);
    assert_int_equal(mkdir(path, 0755), 0);
    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "zephyr-%zu", i);
        assert_int_equal(registry_client_add(r, name, i < 5 ? "orchard" : "quarry", from, &e), 0);
        snprintf(path, sizeof path, "%s/clients/%s", state_folder, name);
        assert_int_equal(mkdir(path, 0755), 0);
        one_record(path, (uint8_t)(i + 1), from + DRAFT_DAY_NS);
        attempts_of(path, 1 + 100 * i, 3, outcome);
    }
    registry_close(r);
}

static int clean(void **state)
{
    (void)state;
    char command[160];
    snprintf(command, sizeof command, "rm -rf '%s'", state_folder);
    return system(command);
}

struct made {
    struct draft *d;
    struct claims c;
    struct buf html, json;
    int result;
    struct error e;
};

static struct made make(bool for_public)
{
    static struct draft_request q;
    struct made m = {.d = calloc(1, sizeof(struct draft))};
    q = (struct draft_request){
        .state = state_folder, .from_ns = from, .to_ns = to, .for_public = for_public};
    m.c.from = "25 September 2015";
    m.c.to = "19 October 2015";
    m.result = draft_read(&q, m.d, &m.e);
    if (m.result == 0)
        m.result = draft_claim(m.d, &m.c, &m.e);
    if (m.result == 0) {
        document_html(m.d, &m.c, &m.html);
        document_json(m.d, &m.c, &m.json);
    }
    return m;
}

static void done(struct made *m)
{
    claims_done(&m->c);
    draft_done(m->d);
    free(m->d);
    buf_done(&m->html);
    buf_done(&m->json);
}

static bool has(const struct buf *b, const char *text)
{
    return str_find(buf_str(b), str_from(text)) >= 0;
}

static void test_counts_and_bounds(void **state)
{
    (void)state;
    make_hub(7, ATTEMPT_STOPPED_BEFORE);
    struct made m = make(false);
    assert_int_equal(m.result, 0);
    assert_int_equal(m.d->n_attempts, 21);
    assert_int_equal(m.d->sensor_days, 7);
    assert_true(has(&m.c.text, "At least 21 attempts"));
    assert_true(has(&m.c.text, "was read or sent in 0 of the 21 attempts"));
    assert_true(has(&m.c.text, "34.8 % by client"));  // 1 - 0.05^(1/7)
    assert_true(has(&m.c.text, "13.3 % by attempt")); // 1 - 0.05^(1/21)
    assert_true(has(&m.html, "zephyr-0"));
    done(&m);
}

static void test_every_sentence_may_be_said(void **state)
{
    (void)state;
    for (uint32_t outcome = 0; outcome <= ATTEMPT_LEFT; outcome++) {
        make_hub(5, outcome);
        for (int edition = 0; edition < 2; edition++) {
            struct made m = make(edition == 1);
            _cleanup_arena_ struct arena arena = {0};
            struct report_check_options options = {0};
            struct report_checker *checker;
            struct report_checked checked;
            assert_int_equal(m.result, 0);
            assert_int_equal(report_checker_new(&options, &checker), 0);
            assert_int_equal(
                report_check(checker, &arena, buf_str(&m.c.text), "text", &checked, &m.e), 0);
            for (size_t i = 0; i < checked.n; i++)
                print_message(STR_FMT ": " STR_FMT "\n", STR_ARG(checked.findings[i].rule),
                              STR_ARG(checked.sentences[checked.findings[i].sentence].text));
            assert_int_equal(checked.n, 0);
            report_checker_free(checker);
            done(&m);
        }
        clean(NULL);
    }
    make_hub(0, 0);
}

static void test_unknown_outcome_is_no_zero(void **state)
{
    (void)state;
    make_hub(5, ATTEMPT_UNKNOWN);
    struct made m = make(false);
    assert_int_equal(m.result, 0);
    assert_false(has(&m.c.text, "upper bound"));
    assert_true(has(&m.c.text, "of 15 of the 15 attempts"));
    done(&m);
}

static void test_public_edition_names_nobody(void **state)
{
    (void)state;
    make_hub(7, ATTEMPT_STOPPED_BEFORE);
    struct made m = make(true);
    static const char *const secret[] = {"zephyr", "orchard", "quarry", "script", "2015-09-26"};
    assert_int_equal(m.result, 0);
    for (size_t i = 0; i < sizeof secret / sizeof *secret; i++) {
        assert_false(has(&m.html, secret[i]));
        assert_false(has(&m.json, secret[i]));
    }
    assert_true(has(&m.html, "withheld"));
    done(&m);
}

static void test_stix_holds_every_claim_and_no_client(void **state)
{
    (void)state;
    make_hub(7, ATTEMPT_STOPPED_BEFORE);
    struct made m = make(true);
    _cleanup_buf_ struct buf out = {0};
    assert_int_equal(m.result, 0);
    document_stix(m.d, &m.c, &out);
    assert_false(has(&out, "zephyr"));
    assert_false(has(&out, "orchard"));
    json_t *o = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, NULL), *one;
    const json_t *objects = json_object_get(o, "objects");
    assert_int_equal(json_array_size(objects), json_array_size(m.c.all) + 2);
    size_t i, k;
    json_array_foreach(objects, i, one)
    {
        const char *id = json_string_value(json_object_get(one, "id"));
        assert_int_equal(strlen(strstr(id, "--") + 2), 36);
        for (k = 0; k < i; k++)
            assert_string_not_equal(
                id, json_string_value(json_object_get(json_array_get(objects, k), "id")));
    }
    json_decref(o);
    done(&m);
}

static void test_public_edition_of_few_clients_is_refused(void **state)
{
    (void)state;
    make_hub(1, ATTEMPT_STOPPED_BEFORE);
    struct made m = make(true);
    assert_int_equal(m.result, -EPERM);
    done(&m);
    m = make(false);
    assert_int_equal(m.result, 0);
    done(&m);
}

static void test_markup_is_escaped(void **state)
{
    (void)state;
    make_hub(5, ATTEMPT_NOT_STOPPED);
    struct made m = make(false);
    assert_int_equal(m.result, 0);
    assert_false(has(&m.html, "<script"));
    assert_true(has(&m.html, "&#60;script&#62;alert(1)"));
    assert_true(has(&m.html, "\\x07"));
    done(&m);
}

static void test_no_coverage_claims_nothing(void **state)
{
    (void)state;
    make_hub(0, 0);
    struct made m = make(false);
    assert_int_equal(m.result, 0);
    assert_true(has(&m.c.text, "Nothing can be said about attempts"));
    assert_false(has(&m.c.text, "No attempt"));
    done(&m);
}

static void test_damaged_evidence_is_refused(void **state)
{
    (void)state;
    char path[192];
    make_hub(5, ATTEMPT_STOPPED_BEFORE);
    snprintf(path, sizeof path, "%s/clients/zephyr-3/events/000000000001.seg", state_folder);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    char byte;
    off_t at = lseek(fd, 0, SEEK_END) - 2;
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte = (char)(byte ^ 1);
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
    struct made m = make(false);
    assert_int_equal(m.result, -EBADMSG);
    done(&m);
}

static void test_same_bytes_and_a_change_shows(void **state)
{
    (void)state;
    char path[192];
    size_t files = 0;
    make_hub(5, ATTEMPT_STOPPED_BEFORE);
    struct made a = make(false), b = make(false);
    assert_true(str_eq(buf_str(&a.html), buf_str(&b.html)));
    assert_true(str_eq(buf_str(&a.json), buf_str(&b.json)));
    assert_int_equal(document_write(a.d, &a.c, out_folder, &a.e), 0);
    assert_int_equal(document_verify(out_folder, &files, &a.e), 0);
    assert_int_equal(files, 6);
    snprintf(path, sizeof path, "%s/report.txt", out_folder);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
    assert_int_equal(document_verify(out_folder, &files, &a.e), -EBADMSG);
    done(&a);
    done(&b);
}

// A host's second record, an earlier time in it than in the first.
static void test_clock_that_went_back_is_said(void **state)
{
    (void)state;
    static const uint8_t zero[32];
    char path[128];
    uint8_t id[16] = {1};
    struct error e = {0};
    struct segment_writer writer;
    struct store *store;
    struct store_record records[2];
    size_t good;
    make_hub(0, 0);
    struct registry *r;
    snprintf(path, sizeof path, "%s/hub.db", state_folder);
    assert_int_equal(registry_open(path, false, &r, &e), 0);
    assert_int_equal(registry_client_add(r, "zephyr-0", "orchard", from, &e), 0);
    registry_close(r);
    snprintf(path, sizeof path, "%s/clients/zephyr-0", state_folder);
    assert_int_equal(mkdir(path, 0755), 0);
    int fd = memfd_create("journal", MFD_CLOEXEC);
    assert_int_equal(segment_writer_init(&writer, fd, zero, 0), 0);
    for (uint64_t i = 0; i < 2; i++) {
        Tiercel__Batch batch = TIERCEL__BATCH__INIT;
        batch.host = (ProtobufCBinaryData){16, id};
        batch.has_host = batch.has_from = batch.has_to = true;
        batch.from = batch.to = from + (3 - i) * DRAFT_DAY_NS;
        assert_int_equal(segment_append(&writer, &batch), 0);
    }
    char *bytes = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
    assert_int_equal(store_open(path, NULL, &store, NULL, &e), 0);
    assert_int_equal(store_split(str_bytes(bytes, writer.size), records, 2, &good, &e), 2);
    assert_int_equal(store_append(store, records, 2, from, &e), 0);
    assert_int_equal(store_commit(store, &e), 0);
    store_close(store);
    munmap(bytes, BYTES);
    segment_writer_done(&writer);
    attempts_of(path, 1, 1, ATTEMPT_STOPPED_BEFORE);
    struct made m = make(false);
    assert_int_equal(m.result, 0);
    assert_int_equal(m.d->backwards, 1);
    assert_int_equal(m.d->sensor_days, 2);
    assert_true(has(&m.c.text, "went back by over an hour"));
    done(&m);
}

static void test_coverage_before_attempts_were_joined_is_an_error(void **state)
{
    (void)state;
    char path[192];
    make_hub(5, ATTEMPT_STOPPED_BEFORE);
    snprintf(path, sizeof path, "%s/clients/zephyr-2/attempts.db", state_folder);
    assert_int_equal(unlink(path), 0);
    struct made m = make(false);
    assert_int_equal(m.result, -ENOENT);
    assert_non_null(strstr(m.e.way_out, "tiercel-hub attempts zephyr-2"));
    done(&m);
}

static void test_window_limits_what_is_counted(void **state)
{
    (void)state;
    make_hub(5, ATTEMPT_STOPPED_BEFORE);
    to = from + 2 * DRAFT_DAY_NS; // the first attempts begin a little after a day
    struct made m = make(false);
    assert_int_equal(m.result, 0);
    size_t within = m.d->n_attempts;
    done(&m);
    assert_int_equal(within, 5);
    from += 10 * DRAFT_DAY_NS;
    to = from + DRAFT_DAY_NS;
    m = make(false);
    assert_int_equal(m.result, 0);
    assert_int_equal(m.d->n_attempts, 0);
    assert_true(has(&m.c.text, "Nothing can be said"));
    done(&m);
}

// Addresses that only one group was ever tied to, in one attempt; the other attempt has an address nobody knows.
static void test_group_named_only_where_its_address_was_met(void **state)
{
    (void)state;
    static struct draft_request q;
    struct intel k;
    struct draft *d = calloc(1, sizeof *d);
    struct claims c = {.from = "25 September 2015", .to = "19 October 2015"};
    struct error e = {0};
    static const char *const json[] = {
        "{\"lineages\":[{\"means\":[{\"kind\":\"address\",\"what\":\"198.51.100.7\"},{\"kind\":"
        "\"address\",\"what\":\"198.51.100.6\"},{\"kind\":\"address\",\"what\":\"198.51.100.5\"},{"
        "\"kind\":\"address\",\"what\":\"198.51.100.4\"}]}]}",
        "{\"lineages\":[{\"means\":[{\"kind\":\"address\",\"what\":\"203.0.113.9\"}]}]}"};
    assert_int_equal(intel_init(&k), 0);
    for (int i = 0; i < 20; i++) {
        char id[8], host[32];
        snprintf(id, sizeof id, "G%d", i);
        struct intel_adversary *a =
            intel_adversary_add(&k, str_from(id), i ? str_from(id) : STR("Marble Heron"));
        for (int j = 0; j < 8; j++) {
            snprintf(host, sizeof host, "198.51.%d.%d", 100 + i, j + 1);
            struct intel_value *v = intel_value(&k, INTEL_HOST, str_from(host));
            assert_int_equal(intel_fact_add(&k, a->number, v, 20150101, 0), 0);
        }
    }
    q = (struct draft_request){.knowledge = &k, .to_ns = DRAFT_DAY_NS};
    d->request = &q;
    d->n_clients = 1;
    d->clients[0] = (struct draft_client){
        .name = "zephyr-0", .attempts = 2, .known = 2, .hosts = 1, .sensor_days = 1};
    d->hosts = 1;
    d->n_attempts = 2;
    d->attempts = calloc(2, sizeof *d->attempts);
    for (int i = 0; i < 2; i++) {
        snprintf(d->attempts[i].id, sizeof d->attempts[i].id, "%012d", i);
        d->attempts[i].json = json_loads(json[i], 0, NULL);
    }
    draft_attribute(d);
    assert_string_equal(d->attempts[0].answer, "Marble Heron");
    assert_string_equal(d->attempts[1].answer, "");
    assert_int_equal(draft_claim(d, &c, &e), 0);
    assert_true(has(&c.text, "Candidates for attempt 000000000000 are Marble Heron ("));
    assert_false(has(&c.text, "000000000001 are"));
    claims_done(&c);
    draft_done(d);
    free(d);
    intel_done(&k);
}

static void key_pair(const char *secret, const char *open_part)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    FILE *f = fopen(secret, "we");
    assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(f);
    f = fopen(open_part, "we");
    assert_int_equal(PEM_write_PUBKEY(f, key), 1);
    fclose(f);
    EVP_PKEY_free(key);
}

static void test_signature_is_of_one_key(void **state)
{
    (void)state;
    char files[4][160];
    static const char *const names[] = {"a.key", "a.pub", "b.key", "b.pub"};
    make_hub(5, ATTEMPT_STOPPED_BEFORE);
    for (size_t i = 0; i < 4; i++)
        snprintf(files[i], sizeof files[i], "%s/%s", state_folder, names[i]);
    key_pair(files[0], files[1]);
    key_pair(files[2], files[3]);
    struct made m = make(true);
    assert_int_equal(document_write(m.d, &m.c, out_folder, &m.e), 0);
    assert_int_equal(document_verify_signature(out_folder, files[1], &m.e), -EBADMSG);
    assert_int_equal(document_sign(out_folder, files[1], &m.e), -EINVAL);
    assert_int_equal(document_sign(out_folder, files[0], &m.e), 0);
    assert_int_equal(document_verify_signature(out_folder, files[1], &m.e), 0);
    assert_int_equal(document_verify_signature(out_folder, files[3], &m.e), -EBADMSG);
    done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_counts_and_bounds, clean),
        cmocka_unit_test_teardown(test_every_sentence_may_be_said, clean),
        cmocka_unit_test_teardown(test_unknown_outcome_is_no_zero, clean),
        cmocka_unit_test_teardown(test_public_edition_names_nobody, clean),
        cmocka_unit_test_teardown(test_public_edition_of_few_clients_is_refused, clean),
        cmocka_unit_test_teardown(test_markup_is_escaped, clean),
        cmocka_unit_test_teardown(test_no_coverage_claims_nothing, clean),
        cmocka_unit_test_teardown(test_damaged_evidence_is_refused, clean),
        cmocka_unit_test_teardown(test_clock_that_went_back_is_said, clean),
        cmocka_unit_test_teardown(test_coverage_before_attempts_were_joined_is_an_error, clean),
        cmocka_unit_test_teardown(test_window_limits_what_is_counted, clean),
        cmocka_unit_test(test_group_named_only_where_its_address_was_met),
        cmocka_unit_test_teardown(test_stix_holds_every_claim_and_no_client, clean),
        cmocka_unit_test_teardown(test_signature_is_of_one_key, clean),
        cmocka_unit_test_teardown(test_same_bytes_and_a_change_shows, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
