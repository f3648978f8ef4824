// SPDX-License-Identifier: Apache-2.0
// Any text as a rule file: refused with a place, or compiled and matched against a record.
#include "rule/rule.h"

#include <stdlib.h>

static struct rule_value get(void *context, size_t field)
{
    static const struct str list[] = {{"sh", 2}, {"-c", 2}, {"id; \xff\0", 6}};
    const struct rule_set *set = context;
    struct str name = rule_set_field(set, field);
    switch (name.n % 4) {
    case 0:
        return (struct rule_value){.type = RULE_LIST, .list = list, .n = 3};
    case 1:
        return (struct rule_value){.type = RULE_NUMBER, .number = 1767049647};
    case 2:
        return (struct rule_value){.type = RULE_ABSENT};
    default:
        return (struct rule_value){.type = RULE_TEXT, .text = STR("2025-12-29 /bin/sh 10.0.0.1")};
    }
}

static bool each(void *context, size_t *position, struct str *ret)
{
    (void)context;
    *ret = STR("sh -c whoami");
    return (*position)++ < 2;
}

static void correlate(const struct rule_set *set, const struct rule_record *record,
                      const struct rule_match *matches, size_t n, struct arena *arena)
{
    struct rule_correlator *c;
    if (rule_correlator_new(set, &c) < 0)
        abort();
    for (uint64_t t = 0; t < 40; t++) {
        for (size_t i = 0; i < n; i++) {
            const struct rule_fired *fired;
            size_t n_fired;
            if (rule_correlate(c, &matches[i], record, t * 1000000000, t, arena, &fired, &n_fired))
                abort();
        }
    }
    rule_correlator_free(c);
}

static void match(struct rule_set *set)
{
    struct rule_scratch *scratch;
    struct rule_record record = {get, each, set};
    struct arena arena = {0};
    const struct rule_match *matches;
    size_t n;
    int route = rule_set_route(set, STR("linux"), STR("process_creation"), STR("auditd"));
    if (route < 0 || rule_scratch_new(set, &scratch) < 0)
        abort();
    if (rule_match(set, scratch, route, &record, &arena, &matches, &n, NULL) < 0)
        abort();
    correlate(set, &record, matches, n, &arena);
    rule_scratch_free(scratch);
    arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rule_set *set;
    struct error e = {0};
    if (size > 8192 || rule_set_new(NULL, &set) < 0)
        return 0;
    int r = rule_set_add(set, str_bytes(data, size), "fuzz.yml", &e);
    if (r < 0 && (e.code != r || !e.what[0] || rule_set_count(set) || rule_set_fields(set) != 1))
        abort();
    if (r == 0 && rule_set_compile(set, &e) == 0)
        match(set);
    rule_set_free(set);
    return 0;
}
