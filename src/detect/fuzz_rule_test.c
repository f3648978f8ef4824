// SPDX-License-Identifier: Apache-2.0
// A rule's test file on any bytes, against a rule and a correlation.
#include "detect/rule_test.h"

static const char rule[] = "title: t\nid: 00000000-0000-4000-8000-000000000001\nname: base\n"
                           "logsource: {product: linux, category: process_creation}\n"
                           "detection: {s: {CommandLine|re: 'a+b'}, condition: s}\n"
                           "---\n"
                           "title: c\nid: 00000000-0000-4000-8000-000000000002\n"
                           "correlation: {type: event_count, rules: [base], group-by: [LineageId],"
                           " timespan: 1m, condition: {gte: 2}}\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct detect_test_counts counts;
    struct error e = {0};
    // Each sequence compiles the rules anew: keep a run short.
    if (n > 4096)
        return 0;
    detect_test_text((struct str){rule, sizeof rule - 1}, "r.yml",
                     (struct str){(const char *)data, n}, "r.test.yml", NULL, NULL, &counts, &e);
    return 0;
}
