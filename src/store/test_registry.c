// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "store/registry.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[64], file[96];
static struct registry *r;

static int setup(void **state)
{
    (void)state;
    struct error e = {0};
    snprintf(folder, sizeof folder, "/tmp/registry-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(file, sizeof file, "%s/hub.db", folder);
    return registry_open(file, true, &r, &e) < 0 || registry_client_add(r, "acme", "steel", 1, &e);
}

static int teardown(void **state)
{
    (void)state;
    r = registry_close(r);
    unlink(file);
    return rmdir(folder);
}

static int sign(void *context, const char *client, uint8_t ret[32])
{
    assert_string_equal(client, "acme");
    memset(ret, *(int *)context, 32);
    return *(int *)context < 0 ? *(int *)context : 0;
}

static int enrol(uint8_t key, uint8_t secret, uint8_t host, int certificate, uint64_t now)
{
    struct error e = {0};
    struct registry_enrolment n = {.now = now, .sign = sign, .context = &certificate};
    memset(n.key_id, key, sizeof n.key_id);
    memset(n.key_hash, secret, sizeof n.key_hash);
    memset(n.host, host, sizeof n.host);
    return registry_enrol(r, &n, &e);
}

static int add_key(uint8_t id, uint8_t secret, uint32_t uses, uint64_t expires, uint64_t now)
{
    struct error e = {0};
    struct registry_key key = {.uses = uses, .expires_ns = expires};
    memset(key.id, id, sizeof key.id);
    memset(key.hash, secret, sizeof key.hash);
    return registry_key_add(r, "acme", &key, now, &e);
}

static int check(uint8_t host, uint8_t certificate)
{
    uint8_t h[16], c[32];
    memset(h, host, sizeof h);
    memset(c, certificate, sizeof c);
    return registry_host_check(r, "acme", h, c);
}

static void test_registry_key_is_taken_as_often_as_it_says(void **state)
{
    (void)state;
    assert_int_equal(add_key(1, 2, 2, 100, 10), 0);
    assert_int_equal(enrol(1, 3, 1, 7, 20), -EACCES);         // the secret is wrong
    assert_int_equal(enrol(2, 2, 1, 7, 20), -EACCES);         // no such key
    assert_int_equal(enrol(1, 2, 1, 7, 100), -EACCES);        // expired
    assert_int_equal(enrol(1, 2, 1, -EBADMSG, 20), -EBADMSG); // not signed: not used
    assert_int_equal(enrol(1, 2, 1, 7, 20), 0);
    assert_int_equal(enrol(1, 2, 1, 8, 20), -EEXIST); // nor for a host that is enrolled
    assert_int_equal(enrol(1, 2, 2, 8, 20), 0);
    assert_int_equal(enrol(1, 2, 3, 9, 20), -EACCES);
    assert_int_equal(check(1, 7), 0);
    assert_int_equal(check(2, 8), 0);
    assert_int_equal(check(3, 9), -ENOENT);
}

static void test_registry_only_the_last_certificate_of_a_host(void **state)
{
    (void)state;
    struct error e = {0};
    uint8_t host[16] = {0};
    memset(host, 1, sizeof host);
    assert_int_equal(add_key(1, 2, 9, 100, 10), 0);
    assert_int_equal(enrol(1, 2, 1, 7, 20), 0);
    assert_int_equal(check(1, 8), -EACCES);
    assert_int_equal(registry_host_revoke(r, "acme", host, 30, &e), 0);
    assert_int_equal(registry_host_revoke(r, "acme", host, 30, &e), 1);
    assert_int_equal(registry_host_revoke(r, "other", host, 30, &e), -ENOENT);
    assert_int_equal(check(1, 7), -EACCES);
    assert_int_equal(enrol(1, 2, 1, 8, 40), 0);
    assert_int_equal(check(1, 8), 0);
    assert_int_equal(check(1, 7), -EACCES); // the revoked one stays so
}

static int count(void *context, const struct registry_client *c)
{
    assert_string_equal(c->name, "acme");
    assert_string_equal(c->sector, "steel");
    assert_int_equal(c->hosts, 1);
    assert_int_equal(c->keys, 1);
    return ++*(int *)context, 0;
}

static void test_registry_is_there_after_reopening(void **state)
{
    (void)state;
    struct error e = {0};
    int n = 0;
    assert_int_equal(add_key(1, 2, 1, 15, 10), 0);
    assert_int_equal(add_key(3, 2, 2, 100, 20), 0); // the first has expired: gone
    assert_int_equal(enrol(3, 2, 1, 7, 20), 0);
    assert_int_equal(registry_client_add(r, "acme", "", 1, &e), -EEXIST);
    r = registry_close(r);
    assert_int_equal(registry_open(file, false, &r, &e), 0);
    assert_int_equal(registry_client_each(r, count, &n, &e), 0);
    assert_int_equal(n, 1);
    assert_int_equal(check(1, 7), 0);
    struct registry *none = NULL;
    char other[128];
    snprintf(other, sizeof other, "%s/none", folder);
    assert_int_equal(registry_open(other, false, &none, &e), -ENOENT);
    assert_null(none);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_registry_key_is_taken_as_often_as_it_says),
        TEST(test_registry_only_the_last_certificate_of_a_host),
        TEST(test_registry_is_there_after_reopening),
    };
    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
