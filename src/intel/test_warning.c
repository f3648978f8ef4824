// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "intel/warning.h"

#include <errno.h>

static struct warning w;

static int load(const char *text)
{
    return warning_load(&w, text, strlen(text), NULL);
}

static void on(const char *value, const char *list)
{
    struct str found = warning_find(&w, str_from(value));
    if (!str_eq(found, str_from(list)))
        fail_msg("%s is on '" STR_FMT "'", value, STR_ARG(found));
}

static int setup(void **state)
{
    (void)state;
    warning_init(&w);
    return load(
               "{\"type\":\"cidr\",\"name\":\"nets\",\"list\":[\"127.66.0.0/15\",\"2001:db8::/33\","
               "\"8.8.8.8\",\"1.2.3.4/40\",\"x\",7]}") ||
           load("{\"type\":\"hostname\",\"name\":\"hosts\",\"list\":[\".cdn.example\"]}") ||
           load("{\"type\":\"string\",\"name\":\"words\",\"list\":[\"Only.example\",\"9.9.9.9\"]"
                "}") ||
           load("{\"type\":\"substring\",\"name\":\"parts\",\"list\":[\"captive\"]}") ||
           load("{\"type\":\"regex\",\"name\":\"r\",\"list\":[\"a+\"]}");
}

static int teardown(void **state)
{
    (void)state;
    warning_done(&w);
    return 0;
}

static void test_addresses_are_found_in_their_networks(void **state)
{
    (void)state;
    on("127.67.255.255", "nets");
    on("127.68.0.0", "");
    on("2001:db8:7fff::1", "nets");
    on("2001:db8:8000::1", "");
    on("8.8.8.8", "nets");
    on("8.8.8.9", "");
    on("9.9.9.9", "words");
    on("http://8.8.8.8:80/x", "nets");
}

static void test_names_are_found_with_those_below_when_the_list_is_of_hosts(void **state)
{
    (void)state;
    on("a.b.CDN.example", "hosts");
    on("https://cdn.example/x?y", "hosts");
    on("xcdn.example", "");
    on("only.example", "words");
    on("www.only.example", "");
    on("my.CAPTIVE.portal", "parts");
    on("", "");
}

static void test_wrong_entries_and_other_types_are_counted(void **state)
{
    (void)state;
    assert_int_equal(w.refused, 3);
    assert_int_equal(w.unused, 1);
    assert_int_equal(w.lists, 4);
    assert_int_equal(load("[]"), -EINVAL);
    assert_int_equal(load("{\"type\":\"cidr\"}"), -EINVAL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_addresses_are_found_in_their_networks),
        TEST(test_names_are_found_with_those_below_when_the_list_is_of_hosts),
        TEST(test_wrong_entries_and_other_types_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
