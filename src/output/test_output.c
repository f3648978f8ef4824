// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "event/field.h"
#include "output/output.h"
#include <ctype.h>
#include <jansson.h>

static struct arena arena;
static uint8_t host[16] = {0xab, 1};
static const struct output_source source = {
    .client = STR("acme"), .host = host, .host_name = STR("web 1")};

static void set(Tiercel__Event *e, const char *name, const char *value)
{
    struct error error = {0};
    const struct field *f = field_find(event_category(e), str_from(name));
    assert_non_null(f);
    assert_int_equal(field_set(f, e, str_from(value), &arena, &error), 0);
}

static Tiercel__Event *event_of(const char *category)
{
    Tiercel__Event *e = event_new(category, &arena);
    assert_non_null(e);
    e->has_id = e->has_time = true;
    e->id = 7;
    e->time = 1700000000123456789ull;
    set(e, "Image", "/usr/bin/cu=rl|x");
    set(e, "ProcessId", "4242");
    set(e, "CommandLine", "curl a=b\\c\n\xff http://x|y");
    return e;
}

static json_t *object(const char *path, json_t *o)
{
    for (struct str rest = str_from(path), part; str_split(&rest, '.', &part);) {
        char name[64];
        snprintf(name, sizeof name, STR_FMT, STR_ARG(part));
        o = json_object_get(o, name);
    }
    return o;
}

// What the public schema (1.3.0) requires of each class that is written here.
static void assert_class(json_t *o, json_int_t class)
{
    static const char *const all[] = {"activity_id",
                                      "category_uid",
                                      "class_uid",
                                      "metadata.product",
                                      "metadata.version",
                                      "severity_id",
                                      "time",
                                      "type_uid",
                                      "device.type_id",
                                      "device.hostname",
                                      "metadata.product.vendor_name"};
    static const struct {
        json_int_t class;
        const char *paths[4];
    } of[] = {{1001, {"actor.process", "file.name", "file.type_id"}},
              {1002, {"actor.process", "driver.file.name", "driver.file.type_id"}},
              {1003, {"actor.process", "kernel.name", "kernel.type_id"}},
              {1007, {"actor.process.pid", "process.pid"}},
              {2004, {"finding_info.title", "finding_info.uid"}},
              {4001, {"dst_endpoint"}},
              {4003, {"query.hostname"}}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!object(all[i], o))
            fail_msg("class %lld has no %s", (long long)class, all[i]);
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        for (size_t k = 0; of[i].class == class && k < 4 && of[i].paths[k]; k++)
            if (!object(of[i].paths[k], o))
                fail_msg("class %lld has no %s", (long long)class, of[i].paths[k]);
    json_int_t activity = json_integer_value(json_object_get(o, "activity_id"));
    assert_int_equal(json_integer_value(json_object_get(o, "class_uid")), class);
    assert_int_equal(json_integer_value(json_object_get(o, "type_uid")), class * 100 + activity);
    assert_int_equal(json_integer_value(json_object_get(o, "category_uid")), class / 1000);
    assert_true(json_integer_value(json_object_get(o, "time")) == 1700000000123);
}

static void test_ocsf_every_category_has_what_its_class_requires(void **context)
{
    static const struct {
        const char *category;
        int class;
    } of[] = {{"process_creation", 1007},
              {"process_termination", 1007},
              {"file_event", 1001},
              {"file_access", 1001},
              {"file_change", 1001},
              {"file_delete", 1001},
              {"network_connection", 4001},
              {"network_socket", 4001},
              {"network_flow", 4001},
              {"dns_query", 4003},
              {"credential_change", 1007},
              {"process_access", 1007},
              {"driver_load", 1002},
              {"bpf_load", 1003},
              {"mount", 1001},
              {"namespace_change", 1007},
              {"signal", 1007}};
    (void)context;
    size_t known = 0;
    while (event_category_at(known))
        known++;
    assert_int_equal(known, sizeof of / sizeof *of);
    for (size_t i = 0; i < known; i++) {
        struct buf b = {0};
        Tiercel__Event *e = event_of(of[i].category);
        assert_int_equal(output_ocsf_event(&source, e, &arena, &b), 0);
        assert_null(memchr(b.p, '\n', b.n));
        json_t *o = json_loadb(b.p, b.n, 0, NULL);
        assert_non_null(o);
        assert_class(o, of[i].class);
        json_decref(o);
        buf_done(&b);
        arena_reset(&arena);
    }
}

static Tiercel__Detection detection_of(Tiercel__Event **events)
{
    static char *tags[] = {(char *)"attack.execution", (char *)"attack.t1059.004"};
    Tiercel__Detection d = TIERCEL__DETECTION__INIT;
    d.has_id = d.has_time = true;
    d.id = 9;
    d.time = 1700000000123456789ull;
    d.rule_id = (char *)"r|1\\";
    d.rule_title = (char *)"A | title = with \\ and\nline";
    d.level = (char *)"high";
    d.tags = tags;
    d.n_tags = 2;
    d.events = events;
    d.n_events = 1;
    return d;
}

static void test_ocsf_detection_is_a_finding(void **context)
{
    (void)context;
    struct buf b = {0};
    Tiercel__Event *e = event_of("process_creation");
    Tiercel__Detection d = detection_of(&e);
    Tiercel__Verdict v = TIERCEL__VERDICT__INIT;
    v.has_action = true;
    v.action = TIERCEL__ACTION__ACTION_DENY;
    assert_int_equal(output_ocsf_detection(&source, &d, &v, &arena, &b), 0);
    json_t *o = json_loadb(b.p, b.n, 0, NULL);
    assert_class(o, 2004);
    assert_int_equal(json_integer_value(object("severity_id", o)), 4);
    assert_int_equal(json_integer_value(object("disposition_id", o)), 2);
    assert_string_equal(json_string_value(object("metadata.tenant_uid", o)), "acme");
    assert_string_equal(json_string_value(object("finding_info.uid", o)),
                        "ab010000000000000000000000000000-9");
    json_t *attack = json_array_get(object("finding_info.attacks", o), 0);
    assert_string_equal(json_string_value(object("technique.uid", attack)), "T1059");
    assert_string_equal(json_string_value(object("sub_technique.uid", attack)), "T1059.004");
    json_t *evidence = json_array_get(object("evidences", o), 0);
    assert_int_equal(json_integer_value(object("process.pid", evidence)), 4242);
    assert_string_equal(json_string_value(object("process.cmd_line", evidence)),
                        "curl a=b\\c\n\xef\xbf\xbd http://x|y");
    json_decref(o);
    buf_done(&b);
    arena_reset(&arena);
}

// A parser of its own, by the format's description: seven header fields, then key=value until the next " key=".
struct cef {
    char header[8][256], keys[48][32], values[48][512];
    size_t n;
};

static void parse_cef(struct str line, struct cef *ret)
{
    size_t at = 0, field = 0, n = 0;
    memset(ret, 0, sizeof *ret);
    for (; at < line.n && field < 7; at++) {
        char c = line.p[at];
        if (c == '|') {
            field++;
            n = 0;
            continue;
        }
        if (c == '\\') {
            c = line.p[++at];
            assert_true(c == '|' || c == '\\');
        }
        ret->header[field][n++] = c;
    }
    assert_int_equal(field, 7);
    while (at < line.n) {
        size_t end = at;
        for (n = 0; line.p[at] != '='; at++)
            ret->keys[ret->n][n++] = line.p[at];
        for (size_t i = 0; i < n; i++)
            assert_true(isalnum((unsigned char)ret->keys[ret->n][i]));
        at++;
        for (end = at; end < line.n && !(line.p[end] == '=' && line.p[end - 1] != '\\'); end++)
            if (line.p[end] == '\\')
                end++;
        if (end < line.n) // back to the blank before the next key
            while (line.p[end] != ' ')
                end--;
        for (n = 0; at < end; at++) {
            char c = line.p[at];
            if (c == '\\') {
                c = line.p[++at];
                assert_true(c == '=' || c == '\\' || c == 'n' || c == 'r');
                c = c == 'n' ? '\n' : c;
            }
            ret->values[ret->n][n++] = c;
        }
        ret->n++;
        at = end + 1;
    }
}

static const char *cef_value(const struct cef *c, const char *key)
{
    for (size_t i = 0; i < c->n; i++)
        if (!strcmp(c->keys[i], key))
            return c->values[i];
    fail_msg("no %s", key);
    return NULL;
}

static void test_cef_is_read_back_by_another_parser(void **context)
{
    (void)context;
    static struct cef c;
    struct buf b = {0};
    Tiercel__Event *e = event_of("process_creation");
    Tiercel__Detection d = detection_of(&e);
    assert_int_equal(output_cef_detection(&source, &d, NULL, &arena, &b), 0);
    assert_null(memchr(b.p, '\n', b.n));
    parse_cef(buf_str(&b), &c);
    assert_string_equal(c.header[0], "CEF:0");
    assert_string_equal(c.header[4], "r|1\\");
    assert_string_equal(c.header[5], "A | title = with \\ and line");
    assert_string_equal(c.header[6], "8");
    assert_string_equal(cef_value(&c, "rt"), "1700000000123");
    assert_string_equal(cef_value(&c, "cs1"), "acme");
    assert_string_equal(cef_value(&c, "cs2"), "attack.execution,attack.t1059.004");
    assert_string_equal(cef_value(&c, "sproc"), "/usr/bin/cu=rl|x");
    assert_string_equal(cef_value(&c, "spid"), "4242");
    assert_string_equal(cef_value(&c, "cs3"), "curl a=b\\c\n\xef\xbf\xbd http://x|y");
    assert_string_equal(cef_value(&c, "act"), "allowed");
    buf_done(&b);
    arena_reset(&arena);
}

static void test_syslog_header(void **context)
{
    (void)context;
    struct buf b = {0};
    output_syslog(5, 1700000000123456789ull, STR("web 1\n"), STR("detection"), STR("text"), &b);
    assert_true(str_eq(buf_str(&b),
                       STR("<82>1 2023-11-14T22:13:20.123456Z web1 tiercel - detection - text")));
    buf_reset(&b);
    output_syslog(0, 0, STR_NONE, STR_NONE, STR("x"), &b);
    assert_true(str_eq(buf_str(&b), STR("<85>1 1970-01-01T00:00:00.000000Z - tiercel - - - x")));
    buf_done(&b);
}

static void test_long_values_are_cut(void **context)
{
    (void)context;
    static char large[3 * OUTPUT_VALUE_MAX];
    memset(large, 0xc3, sizeof large);
    struct str s = output_text(str_bytes(large, sizeof large), &arena);
    assert_true(s.n <= OUTPUT_VALUE_MAX + 3 && str_ends(s, STR("\xef\xbf\xbd...")));
    arena_reset(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ocsf_every_category_has_what_its_class_requires),
        cmocka_unit_test(test_ocsf_detection_is_a_finding),
        cmocka_unit_test(test_cef_is_read_back_by_another_parser),
        cmocka_unit_test(test_syslog_header),
        cmocka_unit_test(test_long_values_are_cut),
    };
    int r = cmocka_run_group_tests_name("output", tests, NULL, NULL);
    arena_done(&arena);
    return r;
}
