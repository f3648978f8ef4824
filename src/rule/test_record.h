// SPDX-License-Identifier: Apache-2.0
// For the tests of this folder: a record of names and values, and rules written as selections.
#pragma once
#include "base/buf.h"
#include "base/test.h"
#include "rule/rule.h"

struct test_field {
    const char *name;
    struct rule_value value;
};

#define TEXT_FIELD(key, bytes)                                                                     \
    {                                                                                              \
        (key),                                                                                     \
        {                                                                                          \
            .type = RULE_TEXT, .text = {("" bytes), sizeof(bytes) - 1 }                            \
        }                                                                                          \
    }
#define NUMBER_FIELD(key, value_of)                                                                \
    {                                                                                              \
        (key),                                                                                     \
        {                                                                                          \
            .type = RULE_NUMBER, .number = (value_of)                                              \
        }                                                                                          \
    }

struct test_record {
    const struct rule_set *set;
    const struct test_field *fields;
    size_t n;
};

static inline struct rule_value test_get(void *context, size_t index)
{
    const struct test_record *r = context;
    struct str name = rule_set_field(r->set, index);
    for (size_t i = 0; i < r->n; i++)
        if (str_eq(str_from(r->fields[i].name), name))
            return r->fields[i].value;
    return (struct rule_value){.type = RULE_ABSENT};
}

static inline bool test_each(void *context, size_t *position, struct str *ret)
{
    const struct test_record *r = context;
    while (*position < r->n) {
        const struct rule_value *v = &r->fields[(*position)++].value;
        if (v->type == RULE_TEXT) {
            *ret = v->text;
            return true;
        }
    }
    return false;
}

// Adds the text, which must be refused; the message is "line:column: what; way out".
static inline void test_refused(const char *text, int code, const char *message)
{
    struct rule_set *set = NULL;
    struct error e = {0};
    char told[1024];
    assert_int_equal(rule_set_new(NULL, &set), 0);
    int r = rule_set_add(set, str_from(text), "f.yml", &e);
    snprintf(told, sizeof told, "%u:%u: %s%s%s", e.line, e.column, e.what, e.way_out[0] ? "; " : "",
             e.way_out);
    if (r != code || !strstr(told, message))
        fail_msg("%d %s\nexpected %d %s\nin:\n%s", r, told, code, message, text);
    assert_string_equal(e.file, "f.yml");
    assert_int_equal(rule_set_count(set), 0);
    assert_int_equal(rule_set_fields(set), 1);
    rule_set_free(set);
}

static inline struct rule_set *test_set(const char *text)
{
    struct rule_set *set = NULL;
    struct error e = {0};
    assert_int_equal(rule_set_new(NULL, &set), 0);
    if (rule_set_add(set, str_from(text), "f.yml", &e) < 0 || rule_set_compile(set, &e) < 0)
        fail_msg("%u:%u: %s; %s\nin:\n%s", e.line, e.column, e.what, e.way_out, text);
    return set;
}

// `detection` is what stands under that key, indented by four.
static inline struct rule_set *test_rule(const char *detection)
{
    struct buf b = {0};
    buf_addf(&b, "title: t\nlogsource: {}\ndetection:\n%s", detection);
    buf_add_char(&b, 0);
    struct rule_set *set = test_set(b.p);
    buf_done(&b);
    return set;
}

static inline size_t test_count(struct rule_set *set, const struct test_field *fields, size_t n,
                                unsigned *ret_limits)
{
    struct rule_scratch *scratch = NULL;
    struct test_record context = {set, fields, n};
    struct rule_record record = {test_get, test_each, &context};
    struct arena arena = {0};
    const struct rule_match *matches;
    size_t n_matches;
    int route = rule_set_route(set, STR("linux"), STR("process_creation"), STR_NONE);
    assert_int_equal(route, 0);
    assert_int_equal(rule_scratch_new(set, &scratch), 0);
    assert_int_equal(
        rule_match(set, scratch, route, &record, &arena, &matches, &n_matches, ret_limits), 0);
    rule_scratch_free(scratch);
    arena_done(&arena);
    return n_matches;
}

static inline bool test_matches_n(const char *detection, const struct test_field *fields, size_t n)
{
    struct rule_set *set = test_rule(detection);
    size_t matches = test_count(set, fields, n, NULL);
    rule_set_free(set);
    return matches == 1;
}

// Does a rule with this detection match a record of these fields?
#define MATCHES(detection, ...)                                                                    \
    ({                                                                                             \
        const struct test_field _fields[] = {__VA_ARGS__};                                         \
        test_matches_n((detection), _fields, sizeof _fields / sizeof _fields[0]);                  \
    })

// One selection of one item, in flow style.
#define ITEM(item) "    s: {" item "}\n    condition: s\n"
