// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "intel/intel.h"

#include <errno.h>

#define USES                                                                                       \
    "{\"type\":\"relationship\",\"id\":\"r\",\"relationship_type\":\"uses\",\"source_ref\":"       \
    "\"g1\","                                                                                      \
    "\"target_ref\":\"m1\",\"created\":\"2017-05-31T21:31:48Z\"},"
#define GROUP                                                                                      \
    "{\"type\":\"intrusion-set\",\"id\":\"g1\",\"name\":\"Deep Panda\",\"aliases\":[\"Shell "      \
    "Crew\"]},"
#define TOOL "{\"type\":\"malware\",\"id\":\"m1\",\"name\":\"Derusbi\"}"

static void test_bundle_facts_have_dates_and_aliases_fold(void **state)
{
    (void)state;
    struct intel k;
    assert_int_equal(intel_init(&k), 0);
    struct str text = STR("{\"type\":\"bundle\",\"objects\":[" USES GROUP TOOL "]}");
    assert_int_equal(intel_load_bundle(&k, text, NULL), 0);
    assert_int_equal(k.n_adversaries, 1);
    assert_ptr_equal(intel_adversary(&k, STR("SHELL-CREW")), k.adversaries[0]);
    struct intel_value *v = intel_value(&k, INTEL_SOFTWARE, STR("derusbi"));
    assert_int_equal(v->n, 1);
    assert_int_equal(v->facts[0].since, 20170531);
    intel_done(&k);
}

static void test_bundle_damaged_is_refused(void **state)
{
    (void)state;
    struct intel k;
    assert_int_equal(intel_init(&k), 0);
    assert_int_equal(intel_load_bundle(&k, STR("[1,2]"), NULL), -EINVAL);
    assert_int_equal(intel_load_bundle(&k, STR("{\"objects\":[{\"a\":[[["), NULL), -EINVAL);
    assert_int_equal(intel_load_bundle(&k, STR("{\"objects\":[{\"type\":7,]}]}"), NULL), 0);
    assert_int_equal(k.skipped, 1);
    intel_done(&k);
}

static void test_host_derives_registered_domain_and_network(void **state)
{
    (void)state;
    struct intel k;
    assert_int_equal(intel_init(&k), 0);
    const struct intel_value *v =
        intel_derived(&k, intel_value(&k, INTEL_HOST, STR("A.b.example.co.uk.")));
    assert_true(str_eq(v->key, STR("example.co.uk")));
    v = intel_derived(&k, intel_value(&k, INTEL_HOST, STR("127.66.3.4")));
    assert_int_equal(v->kind, INTEL_NETWORK);
    assert_true(str_eq(v->key, STR("127.66.3")));
    intel_done(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bundle_facts_have_dates_and_aliases_fold),
        cmocka_unit_test(test_bundle_damaged_is_refused),
        cmocka_unit_test(test_host_derives_registered_domain_and_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
