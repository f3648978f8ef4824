// SPDX-License-Identifier: Apache-2.0
// The running hub as hosts meet it: `tiercel-hub serve` is started on 127.0.0.1 with a state folder of its own.
#include "tests/hub/hub_test.h"

static void test_hub_takes_batches_once(void **context)
{
    (void)context;
    struct host *h = host_enrolled(1);
    uint64_t next;
    for (unsigned i = 0; i < 6; i++)
        record(h, i);
    assert_int_equal(post(h, "/v1/next", STR_NONE, &next), 200);
    assert_true(next == 0);
    assert_int_equal(post_records(h, 0, 3, &next), 200);
    assert_true(next == 3);
    assert_int_equal(post_records(h, 0, 4, &next), 200); // three of them again
    assert_true(next == 4);
    assert_int_equal(post_records(h, 5, 6, &next), 200); // one is missing: a gap
    assert_true(next == 6);
    assert_int_equal(post(h, "/v1/next", STR_NONE, &next), 200);
    assert_true(next == 6);
    host_free(h);
}

static void test_hub_gives_detections_to_outputs_once(void **context)
{
    (void)context;
    struct host *h = host_enrolled(0x63);
    char out[256], path[160], text[16384];
    uint64_t next;
    Tiercel__Batch b = TIERCEL__BATCH__INIT;
    Tiercel__Detection low = TIERCEL__DETECTION__INIT, high = TIERCEL__DETECTION__INIT;
    Tiercel__Detection *list[] = {&low, &high};
    low.has_id = high.has_id = true;
    low.id = 1;
    high.id = 2;
    low.level = (char *)"low";
    high.level = (char *)"high";
    low.rule_title = high.rule_title = (char *)"rule";
    b.detections = list;
    b.n_detections = 2;
    b.has_host = true;
    b.host = (ProtobufCBinaryData){16, h->id};
    assert_int_equal(run(out, sizeof out, "output add lines --kind ocsf-file --level high"), 0);
    assert_int_equal(run(out, sizeof out, "output add other --kind ocsf-file --client other"), 0);
    sleep(2); // the running hub looks once a second
    assert_int_equal(segment_append(&h->writer, &b), 0);
    h->ends[h->n++] = h->writer.size;
    assert_int_equal(post_records(h, 0, 1, &next), 200);
    assert_int_equal(post_records(h, 0, 1, &next), 200); // known: not again
    snprintf(path, sizeof path, "%s/outputs/lines/ocsf.jsonl", state);
    read_file(path, text, sizeof text);
    assert_non_null(strstr(text, "63636363636363636363636363636363-2"));
    assert_non_null(strstr(text, "\"tenant_uid\":\"acme\""));
    assert_non_null(strstr(text, "\"hostname\":\"web\""));
    assert_ptr_equal(strchr(text, '\n'), strrchr(text, '\n')); // one line
    struct stat st;
    snprintf(path, sizeof path, "%s/outputs/other/ocsf.jsonl", state);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 0);
    host_free(h);
}

static void test_hub_refuses_what_is_damaged(void **context)
{
    (void)context;
    struct host *h = host_enrolled(2), *other = host_enrolled(3);
    uint64_t next;
    for (unsigned i = 0; i < 3; i++)
        record(h, 3);
    record(other, 2);
    struct str body = records(h, 0, 3);
    char *p = (char *)(uintptr_t)body.p;
    p[h->ends[1] - 1] ^= 1; // in the second one's body: the first is taken, the third is not
    assert_int_equal(post(h, "/v1/batches", body, &next), 422);
    assert_true(next == 1);
    assert_int_equal(post(h, "/v1/batches", STR("this is no record, however long it is"), &next),
                     422);
    assert_true(next == 1);
    assert_int_equal(post_records(h, 0, 3, &next), 200);
    assert_true(next == 3);
    free(p);
    // another host's records, whole as they are
    body = records(other, 0, 1);
    assert_int_equal(post(h, "/v1/batches", body, &next), 422);
    free((char *)(uintptr_t)body.p);
    host_free(h);
    host_free(other);
}

static void test_hub_limits_requests(void **context)
{
    (void)context;
    struct host *h = host_enrolled(4);
    uint64_t next;
    size_t n = (4u << 20) + 1;
    char *large = calloc(1, n);
    assert_int_equal(post(h, "/v1/batches", str_bytes(large, n), &next), 413);
    assert_int_equal(post(h, "/v1/batches", str_bytes(large, n - 1), &next), 422);
    assert_int_equal(post(h, "/v1/batches", str_bytes(large, 0), &next), 400);
    assert_int_equal(post(h, "/v1/other", STR("x"), &next), 404);
    assert_int_equal(post(h, "/v1/enrol", STR("x"), &next), 404); // only for people
    assert_int_equal(post(h, "/v1/batches", STR_NONE, &next), 405);
    free(large);
    host_free(h);
}

static void test_hub_asks_for_its_own_certificates(void **context)
{
    (void)context;
    struct host *h = host_new(5);
    struct pki_authority other;
    X509 *certificate;
    char name[PKI_NAME_MAX + 1];
    uint64_t next;
    _cleanup_buf_ struct buf csr = {0};
    int64_t now = time(NULL);
    connect_host(h); // none
    assert_true(post(h, "/v1/next", STR_NONE, &next) < 0);
    pki_name_make("acme", h->id, name);
    EVP_PKEY *key = host_key(h);
    assert_int_equal(pki_authority_new("Tiercel hub", now, &other), 0);
    assert_int_equal(pki_request_new(key, &csr), 0);
    assert_int_equal(pki_host_sign(&other, buf_str(&csr), name, now, &certificate), 0);
    host_certificate(h, certificate); // of another authority with the same name
    X509_free(certificate);
    connect_host(h);
    assert_true(post(h, "/v1/next", STR_NONE, &next) < 0);
    assert_int_equal(pki_host_sign(&(struct pki_authority){other.certificate, key}, buf_str(&csr),
                                   name, now, &certificate),
                     0);
    host_certificate(h, certificate); // signed by its own key
    X509_free(certificate);
    connect_host(h);
    assert_true(post(h, "/v1/next", STR_NONE, &next) < 0);
    struct pki_authority own;
    assert_int_equal(pki_authority_new(name, now, &own), 0); // self-signed in every way
    _cleanup_buf_ struct buf pem = {0};
    assert_int_equal(pki_key_write(own.key, &pem), 0);
    memcpy(h->key, pem.p, pem.n);
    h->key[pem.n] = 0;
    host_certificate(h, own.certificate);
    connect_host(h);
    assert_true(post(h, "/v1/next", STR_NONE, &next) < 0);
    EVP_PKEY_free(key);
    pki_authority_done(&own);
    pki_authority_done(&other);
    host_free(h);
}

static void test_hub_revokes_at_once(void **context)
{
    (void)context;
    struct host *h = host_enrolled(6), before;
    char out[256], key[128];
    uint64_t next;
    record(h, 3);
    assert_int_equal(post_records(h, 0, 1, &next), 200);
    before = *h;
    assert_int_equal(run(out, sizeof out, "host revoke acme 06060606060606060606060606060606"), 0);
    assert_int_equal(post(h, "/v1/next", STR_NONE, &next), 403); // over the same connection
    connect_host(h);
    assert_int_equal(post_records(h, 0, 1, &next), 403);
    // enrolled again: the revoked certificate stays so
    assert_int_equal(run(key, sizeof key, "key new acme"), 0);
    assert_int_equal(enrol(h, key), 200);
    connect_host(h);
    assert_int_equal(post(h, "/v1/next", STR_NONE, &next), 200);
    assert_true(next == 1);
    memcpy(h->key, before.key, sizeof h->key);
    memcpy(h->certificate, before.certificate, sizeof h->certificate);
    connect_host(h);
    assert_int_equal(post(h, "/v1/next", STR_NONE, &next), 403);
    host_free(h);
}

// Connections to the agents' listener that stand.
static unsigned connections(void)
{
    char line[512], port[8];
    unsigned n = 0;
    _cleanup_fclose_ FILE *f = fopen("/proc/net/tcp", "r");
    assert_non_null(f);
    snprintf(port, sizeof port, ":%04X", (unsigned)atoi(strrchr(agents, ':') + 1));
    while (fgets(line, sizeof line, f)) {
        char local[64], remote[64], status[8];
        if (sscanf(line, " %*s %63s %63s %7s", local, remote, status) == 3)
            n += !strcmp(status, "01") && strstr(local, port) != NULL;
    }
    return n;
}

static void test_hub_ends_idle_connections_of_the_revoked(void **context)
{
    (void)context;
    struct host *h = host_enrolled(0x64), *other = host_enrolled(0x65);
    char out[256];
    uint64_t next;
    assert_int_equal(post(h, "/v1/next", STR_NONE, &next), 200);
    assert_int_equal(post(other, "/v1/next", STR_NONE, &next), 200);
    sleep(1); // what tests before have closed is gone
    unsigned before = connections();
    assert_true(before >= 2);
    assert_int_equal(run(out, sizeof out, "host revoke acme 64646464646464646464646464646464"), 0);
    for (unsigned tries = 0; connections() != before - 1; tries++) {
        assert_true(tries < 500);
        usleep(10000);
    }
    assert_int_equal(post(other, "/v1/next", STR_NONE, &next), 200); // the other's stands
    assert_int_equal(connections(), before - 1);
    host_free(h);
    host_free(other);
}

static void test_hub_keys_are_used_up_and_expire(void **context)
{
    (void)context;
    struct host *h = host_new(7), *other = host_new(8);
    char key[128], shorter[128];
    assert_int_equal(run(shorter, sizeof shorter, "key new acme --for 1s"), 0);
    assert_int_equal(run(key, sizeof key, "key new acme"), 0);
    assert_int_equal(enrol(h, "tk-00000000-00000000000000000000000000000000"), 403);
    assert_int_equal(enrol(h, "none"), 400);
    assert_int_equal(enrol(h, key), 200);
    assert_int_equal(enrol(other, key), 403);
    sleep(1);
    assert_int_equal(enrol(other, shorter), 403);
    assert_int_equal(run(key, sizeof key, "key new acme"), 0);
    assert_int_equal(enrol(h, key), 409);     // nobody takes the place of an enrolled host
    assert_int_equal(enrol(other, key), 200); // and the key was not used by that
    host_free(h);
    host_free(other);
}

// ---- kill -9 of core under load

static pid_t role_pid(const char *role)
{
    char line[128], out[32] = "";
    snprintf(line, sizeof line, "pgrep -P %d -f -- '-x %s'", served, role);
    FILE *f = popen(line, "r");
    char *got = fgets(out, sizeof out, f);
    pclose(f);
    return got ? atoi(out) : 0;
}

static void test_hub_roles_hold_nothing(void **context)
{
    (void)context;
    static const char *const roles[] = {"front", "core", "signer"};
    static const unsigned uids[] = {65511, 65510, 65512};
    for (unsigned i = 0; i < 3; i++) {
        char path[64], text[4096], uid[32];
        snprintf(path, sizeof path, "/proc/%d/status", role_pid(roles[i]));
        read_file(path, text, sizeof text);
        snprintf(uid, sizeof uid, "Uid:\t%u\t", geteuid() ? geteuid() : uids[i]);
        assert_non_null(strstr(text, uid));
        assert_non_null(strstr(text, "CapPrm:\t0000000000000000"));
        assert_non_null(strstr(text, "CapEff:\t0000000000000000"));
        assert_non_null(strstr(text, "NoNewPrivs:\t1"));
        assert_non_null(strstr(text, "Seccomp:\t2"));
    }
}

static void test_hub_front_killed(void **context)
{
    (void)context;
    struct host *h = host_enrolled(9);
    uint64_t next;
    unsigned tries = 0;
    record(h, 3);
    record(h, 3);
    assert_int_equal(post_records(h, 0, 1, &next), 200);
    assert_int_equal(kill(role_pid("front"), SIGKILL), 0);
    while (post_records(h, 0, 2, &next) != 200 && ++tries < 500)
        usleep(10000);
    assert_true(next == 2);
    host_free(h);
}

#define LOADS 4
#define PER_ROUND 24
#define ROUNDS 20

// Sends all that a host has, whatever happens meanwhile, as an agent would.
static void send_all(struct host *h, uint64_t *acknowledged, unsigned *random)
{
    uint64_t next;
    for (unsigned tries = 0; *acknowledged < h->n; tries++) {
        assert_true(tries < 3000);
        unsigned to = (unsigned)*acknowledged + 1 + (unsigned)rand_r(random) % 5;
        long status = post_records(h, (unsigned)*acknowledged, to < h->n ? to : h->n, &next);
        if (status == 200) {
            assert_true(next >= *acknowledged); // or something acknowledged is lost
            *acknowledged = next;
            continue;
        }
        assert_true(status == 503 || status == 429 || status < 0);
        usleep(10000);
        if (post(h, "/v1/next", STR_NONE, &next) == 200) {
            assert_true(next >= *acknowledged);
            *acknowledged = next;
        }
    }
}

static void test_hub_core_killed_under_load(void **context)
{
    (void)context;
    struct host *hosts[LOADS];
    uint64_t acknowledged[LOADS] = {0};
    unsigned random = 20261123, killed = 0;
    char out[512], wanted[128];
    assert_int_equal(run(out, sizeof out, "verify acme --json"), 0);
    unsigned long long batches_before = strtoull(strstr(out, "\"batches\":") + 10, NULL, 10);
    for (unsigned i = 0; i < LOADS; i++)
        hosts[i] = host_enrolled((uint8_t)(20 + i));
    for (unsigned round = 0; round < ROUNDS; round++) {
        pid_t core = 0;
        while (!(core = role_pid("core")))
            usleep(10000);
        unsigned wait_us = (unsigned)rand_r(&random) % 60000;
        pid_t killer = fork();
        if (killer == 0) {
            usleep(wait_us);
            _exit(kill(core, SIGKILL) < 0);
        }
        for (unsigned i = 0; i < LOADS; i++) {
            for (unsigned k = 0; k < PER_ROUND; k++)
                record(hosts[i], (round + k) % 16);
            send_all(hosts[i], &acknowledged[i], &random);
        }
        int status;
        waitpid(killer, &status, 0);
        killed += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    assert_int_equal(killed, ROUNDS);
    uint64_t next;
    for (unsigned i = 0; i < LOADS; i++) {
        send_all(hosts[i], &acknowledged[i], &random);
        while (post(hosts[i], "/v1/next", STR_NONE, &next) != 200)
            usleep(10000);
        assert_true(next == PER_ROUND * ROUNDS);
        host_free(hosts[i]);
    }
    // each record once, in a chain without a gap
    assert_int_equal(run(out, sizeof out, "verify acme --json"), 0);
    snprintf(wanted, sizeof wanted, "\"batches\":%llu,",
             batches_before + (unsigned long long)LOADS * PER_ROUND * ROUNDS);
    assert_non_null(strstr(out, wanted));
    assert_non_null(strstr(out, "\"gaps\":1")); // of the test before
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hub_takes_batches_once),
        cmocka_unit_test(test_hub_gives_detections_to_outputs_once),
        cmocka_unit_test(test_hub_refuses_what_is_damaged),
        cmocka_unit_test(test_hub_limits_requests),
        cmocka_unit_test(test_hub_asks_for_its_own_certificates),
        cmocka_unit_test(test_hub_revokes_at_once),
        cmocka_unit_test(test_hub_ends_idle_connections_of_the_revoked),
        cmocka_unit_test(test_hub_keys_are_used_up_and_expire),
        cmocka_unit_test(test_hub_roles_hold_nothing),
        cmocka_unit_test(test_hub_front_killed),
        cmocka_unit_test(test_hub_core_killed_under_load),
    };
    return cmocka_run_group_tests_name("hub", tests, setup, teardown);
}
