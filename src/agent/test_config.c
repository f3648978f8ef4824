// SPDX-License-Identifier: Apache-2.0
#include "agent/config.h"
#include "base/test.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_every_key_is_taken(void **state)
{
    (void)state;
    struct config c;
    struct error e = {0};
    config_default(&c);
    assert_false(c.prevent);
    const char *text =
        "# the agent\nmode: prevent\nrules: /srv/rules\nexceptions: /srv/e.yml\nstate: /srv/state\n"
        "run: /run/t\ndeadline_ms: 80\njournal_bytes: 1 GiB\ncpu_budget: 0\nmemory_budget: 64 MiB\n"
        "deny_addresses: [127.66.0.0/16, '2001:db8::/32', 10.0.0.1]\n"
        "protected_folders: [/srv/research, /home/a b/]\n"
        "protected_allow:\n  - /srv/research/public: web\n  - '/srv/research: /usr/bin/backup'\n";
    assert_int_equal(config_parse(str_from(text), "t.yml", &c, &e), 0);
    assert_true(c.prevent);
    assert_string_equal(c.rules, "/srv/rules");
    assert_string_equal(c.exceptions, "/srv/e.yml");
    assert_string_equal(c.state, "/srv/state");
    assert_string_equal(c.run, "/run/t");
    assert_int_equal(c.deadline_ms, 80);
    assert_int_equal(c.cpu_percent, 0);
    assert_int_equal(c.memory_bytes, 64u << 20);
    assert_int_equal(c.journal_bytes, 1u << 30);
    assert_int_equal(c.n_deny, 3);
    assert_int_equal(c.deny[0].prefix, 16);
    assert_int_equal(c.deny[1].family, AF_INET6);
    assert_int_equal(c.deny[2].prefix, 32);
    assert_int_equal(c.protect.n_folders, 2);
    assert_string_equal(c.protect.folders[1], "/home/a b");
    assert_int_equal(c.protect.n_allows, 2);
    assert_string_equal(c.protect.allows[0].path, "/srv/research/public");
    assert_string_equal(c.protect.allows[0].who, "web");
    assert_string_equal(c.protect.allows[1].who, "/usr/bin/backup");
}

static void test_empty_file_changes_nothing(void **state)
{
    (void)state;
    struct config c, before;
    struct error e = {0};
    config_default(&c);
    before = c;
    assert_int_equal(config_parse(STR(""), "t.yml", &c, &e), 0);
    assert_int_equal(config_parse(STR("# only words\n"), "t.yml", &c, &e), 0);
    assert_memory_equal(&c, &before, sizeof(c));
}

static void test_errors_have_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *what;
        unsigned line, column;
    } bad[] = {
        {"mode: prevent\nmdoe: detect\n", "unknown key 'mdoe'", 2, 1},
        {"mode: protect\n", "'prevent' or 'detect'", 1, 7},
        {"mode: prevent\nmode: detect\n", "given twice", 2, 1},
        {"mode: [detect]\n", "a single value", 1, 7},
        {"- mode\n", "key: value", 1, 1},
        {"rules: rules\n", "begins with '/'", 1, 8},
        {"deadline_ms: 0\n", "5 to 1000", 1, 14},
        {"deadline_ms: 50ms\n", "5 to 1000", 1, 14},
        {"journal_bytes: 1 KiB\n", "at least 4 MiB", 1, 16},
        {"journal_bytes: 99999999999 GiB\n", "at least 4 MiB", 1, 16},
        {"cpu_budget: 3\n", "5 to 10000", 1, 13},
        {"memory_budget: 1 MiB\n", "at least 32 MiB", 1, 16},
        {"deny_addresses: 10.0.0.1\n", "wants a list", 1, 17},
        {"deny_addresses:\n  - 10.0.0.1/8\n", "behind its prefix", 2, 5},
        {"deny_addresses:\n  - 10.0.0.1/33\n", "0 to 32", 2, 5},
        {"deny_addresses:\n  - example.org\n", "not an address", 2, 5},
        {"protected_folders: [srv]\n", "a full path", 1, 21},
        {"protected_folders: [/srv: web]\n", "a single value", 1, 21},
        {"protected_allow:\n  - /srv: nobody\n", "neither a program's", 2, 5},
        {"protected_allow:\n  - {/srv: web, /home: web}\n", "single values", 2, 5},
        {"protected_allow:\n  - /srv: [web]\n", "single values", 2, 5},
        {"mode: 'det\n", "not YAML", 2, 1},
        {"? [a, b]\n: c\n", "single word", 1, 3},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct config c;
        struct error e = {0};
        config_default(&c);
        assert_int_equal(config_parse(str_from(bad[i].text), "t.yml", &c, &e), -EINVAL);
        if (!strstr(e.what, bad[i].what) || e.line != bad[i].line || e.column != bad[i].column)
            fail_msg("%s: %u:%u %s", bad[i].text, e.line, e.column, e.what);
        assert_string_equal(e.file, "t.yml");
    }
}

static void test_too_many_addresses_are_refused(void **state)
{
    (void)state;
    char text[8192] = "deny_addresses:\n";
    struct config c;
    struct error e = {0};
    for (int i = 0; i <= ROLE_DENY_MAX; i++)
        sprintf(text + strlen(text), "  - 10.0.0.%d\n", i);
    config_default(&c);
    assert_int_equal(config_parse(str_from(text), "t.yml", &c, &e), -EINVAL);
    assert_int_equal(e.line, ROLE_DENY_MAX + 2);
}

static void test_file_that_others_can_write_is_refused(void **state)
{
    (void)state;
    char path[] = "/tmp/tiercel-config-XXXXXX";
    struct config c;
    struct error e = {0};
    if (geteuid() != 0)
        skip();
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "mode: prevent\n", 14), 14);
    config_default(&c);
    assert_int_equal(config_read(path, &c, &e), 0);
    assert_true(c.prevent);
    fchmod(fd, 0666);
    assert_int_equal(config_read(path, &c, &e), -EPERM);
    close(fd);
    unlink(path);
    assert_int_equal(config_read(path, &c, &e), -ENOENT);
    assert_int_equal(config_read("/tmp", &c, &e), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key_is_taken),
        cmocka_unit_test(test_empty_file_changes_nothing),
        cmocka_unit_test(test_errors_have_their_place),
        cmocka_unit_test(test_too_many_addresses_are_refused),
        cmocka_unit_test(test_file_that_others_can_write_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
