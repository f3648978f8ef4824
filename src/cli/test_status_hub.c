// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "cli/status.h"

#include <string.h>

static struct control_status s;

static bool says(const char *words)
{
    struct term t = {.width = 400};
    _cleanup_buf_ struct buf b = {0};
    status_print_hub(&t, &s, 100000000000u, &b);
    buf_add_char(&b, 0);
    return strstr(b.p, words);
}

static void test_link_is_told_in_words(void **state)
{
    (void)state;
    memset(&s, 0, sizeof s);
    assert_true(says("reports to nobody"));
    s.enrolled = 1;
    s.uplink.state = CONTROL_LINK_CONNECTED;
    strcpy(s.uplink.hub, "https://hub:8444");
    strcpy(s.uplink.client, "acme");
    s.uplink.next = 42;
    s.uplink.acknowledged_ns = 98000000000u;
    assert_true(says("connected: https://hub:8444, client acme"));
    assert_true(says("has all before record 42, the last one 2 s old"));
    assert_false(says("NOT"));
    s.uplink.missing = 7;
    s.journal_unsent = 3;
    assert_true(says("7 records could NOT be sent"));
    assert_true(says("3 segments deleted UNSENT"));
    s.uplink.state = CONTROL_LINK_REFUSED;
    strcpy(s.uplink.why, "the hub refuses this host: revoked");
    assert_true(says("REFUSED"));
    assert_true(says("refuses this host: revoked"));
    s.uplink.state = 99;
    assert_true(says("starting"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_link_is_told_in_words)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
