// SPDX-License-Identifier: Apache-2.0
// Which rules match which events, compared with what another engine says (../shared/data/sigma-conformance).
#include "tests/conformance/load.h"

#include "base/map.h"

#include <errno.h>
#include <unistd.h>

struct corpus {
    struct rule_set *set;
    unsigned refused, compared, positive, mismatched, undecided, undecided_matched;
};

static bool is_expected_refusal(const struct error *e)
{
    return e->code == -ENOTSUP && strstr(e->what, "'expand'");
}

// rules.list names a rule's file more than once.
static void load_rules(struct corpus *c, const char *list, const char *folder)
{
    struct buf names = {0};
    struct map seen = {0};
    assert_true(read_whole(list, &names));
    struct str rest = buf_str(&names), name;
    while (str_split(&rest, '\n', &name)) {
        if (name.n == 0 || map_get(&seen, name))
            continue;
        assert_int_equal(map_put(&seen, name, c), 0);
        char path[4096];
        snprintf(path, sizeof path, "%s/" STR_FMT, folder, STR_ARG(name));
        struct buf text = {0};
        assert_true(read_whole(path, &text));
        struct error e = {0};
        if (rule_set_add(c->set, buf_str(&text), path, &e) < 0) {
            error_print(&e, stderr);
            fputc('\n', stderr);
            assert_true(is_expected_refusal(&e));
            c->refused++;
        }
        buf_done(&text);
    }
    map_done(&seen);
    buf_done(&names);
    struct error e = {0};
    if (rule_set_compile(c->set, &e) < 0) {
        error_print(&e, stderr);
        fail();
    }
}

static struct str text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return str_from(text);
}

static bool has(json_t *list, struct str id)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        if (str_eq(str_from(json_string_value(item)), id))
            return true;
    }
    return false;
}

static void compare(struct corpus *c, json_t *event, json_t *expected, const bool *matched)
{
    json_t *match = json_object_get(expected, "match");
    json_t *undecided = json_object_get(expected, "undecided");
    size_t named = 0;
    for (size_t i = 0; i < rule_set_count(c->set); i++) {
        struct str id = rule_set_get(c->set, i)->id;
        if (has(undecided, id)) {
            c->undecided++;
            c->undecided_matched += matched[i];
            continue;
        }
        c->compared++;
        c->positive += matched[i];
        named += has(match, id);
        if (matched[i] == has(match, id))
            continue;
        c->mismatched++;
        fprintf(stderr, "%s: rule " STR_FMT " (" STR_FMT ") %s\n",
                json_string_value(json_object_get(event, "id")), STR_ARG(id),
                STR_ARG(rule_set_get(c->set, i)->title), matched[i] ? "matched" : "did not match");
    }
    assert_int_equal(named, json_array_size(match)); // every rule that is named is in the set
}

struct run {
    struct corpus *corpus;
    struct rule_scratch *scratch;
    struct json_record record;
    struct arena arena;
    bool *matched;
    struct str product;
};

static void match_route(struct run *r, struct str category, struct str service)
{
    struct rule_record record = {json_get, json_each, &r->record};
    const struct rule_match *matches;
    size_t n;
    int route = rule_set_route(r->corpus->set, r->product, category, service);
    assert_true(route >= 0);
    assert_int_equal(
        rule_match(r->corpus->set, r->scratch, route, &record, &r->arena, &matches, &n, NULL), 0);
    for (size_t i = 0; i < n; i++) {
        r->matched[matches[i].rule->index] = true;
        assert_true(matches[i].n_identifiers > 0);
    }
    arena_reset(&r->arena);
}

// Sysmon's registry events by the names that rules give them.
static void match_registry(struct run *r, struct str category, struct str service)
{
    static const char *const kinds[] = {"registry_add", "registry_set", "registry_rename",
                                        "registry_delete"};
    bool known = false;
    for (size_t i = 0; i < 4; i++)
        known = known || str_eq(category, str_from(kinds[i]));
    if (!known)
        return;
    match_route(r, STR("registry_event"), service);
    struct str type = text_of(r->record.fields, "EventType");
    if (str_eq(category, STR("registry_add")) && str_starts(type, STR("Delete")))
        match_route(r, STR("registry_delete"), service);
}

static void run_corpus(struct corpus *c, const char *folder)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/events.jsonl", folder);
    json_t *events = read_lines(path);
    snprintf(path, sizeof path, "%s/expected.jsonl", folder);
    json_t *expected = read_lines(path);
    struct run r = {.corpus = c, .record = {.set = c->set}};
    assert_int_equal(rule_scratch_new(c->set, &r.scratch), 0);
    assert_int_equal(json_array_size(events), json_array_size(expected));
    size_t i;
    json_t *event;
    json_array_foreach(events, i, event)
    {
        r.matched = calloc(rule_set_count(c->set), sizeof *r.matched);
        r.record.fields = json_object_get(event, "fields");
        struct str group = text_of(event, "group");
        struct str category = group.p ? group : text_of(event, "category");
        struct str service = group.p ? group : text_of(event, "service");
        r.product = group.p ? STR("linux") : text_of(event, "product");
        match_route(&r, category, service);
        match_registry(&r, category, service);
        compare(c, event, json_array_get(expected, i), r.matched);
        free(r.matched);
    }
    arena_done(&r.arena);
    rule_scratch_free(r.scratch);
    json_decref(events);
    json_decref(expected);
}

static void summary(const struct corpus *c, const char *name)
{
    printf("%s: %zu rules (%u refused), %u pairs compared, %u matched, %u mismatched, %u undecided "
           "(%u of them matched)\n",
           name, rule_set_count(c->set), c->refused, c->compared, c->positive, c->mismatched,
           c->undecided, c->undecided_matched);
}

static void test_linux_events_match_the_rules_that_another_engine_names(void **state)
{
    (void)state;
    char folder[4096], rules[4096], list[4200];
    snprintf(folder, sizeof folder, "%s", shared_path("sigma-conformance/linux"));
    snprintf(rules, sizeof rules, "%s", shared_path("sigma"));
    snprintf(list, sizeof list, "%s/rules.list", folder);
    if (access(list, R_OK) < 0) {
        printf("../shared/data/sigma-conformance/linux is not here\n");
        skip();
    }
    struct corpus c = {0};
    assert_int_equal(rule_set_new(NULL, &c.set), 0);
    load_rules(&c, list, rules);
    run_corpus(&c, folder);
    summary(&c, "linux");
    assert_int_equal(c.refused, 0);
    assert_int_equal(c.mismatched, 0);
    assert_int_equal(c.undecided_matched, c.undecided); // an absent field under `not`
    rule_set_free(c.set);
}

static void test_windows_events_match_the_rules_that_another_engine_names(void **state)
{
    (void)state;
    char folder[4096], list[4200], temporary[] = "/tmp/tiercel-conformance-XXXXXX", command[9000];
    snprintf(folder, sizeof folder, "%s", shared_path("sigma-conformance/windows"));
    snprintf(list, sizeof list, "%s/rules.list", folder);
    if (access(list, R_OK) < 0) {
        printf("../shared/data/sigma-conformance/windows is not here\n");
        skip();
    }
    assert_non_null(mkdtemp(temporary));
    snprintf(command, sizeof command, "tar -xzf '%s/rules.tar.gz' -C '%s'", folder, temporary);
    assert_int_equal(system(command), 0);
    struct corpus c = {0};
    assert_int_equal(rule_set_new(NULL, &c.set), 0);
    load_rules(&c, list, temporary);
    snprintf(command, sizeof command, "rm -rf '%s'", temporary);
    assert_int_equal(system(command), 0);
    run_corpus(&c, folder);
    summary(&c, "windows");
    assert_int_equal(c.mismatched, 0);
    rule_set_free(c.set);
}

int main(void)
{
    if (access(shared_path("sigma-conformance"), R_OK) < 0) {
        printf("skipped: ../shared/data/sigma-conformance is not here\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linux_events_match_the_rules_that_another_engine_names),
        cmocka_unit_test(test_windows_events_match_the_rules_that_another_engine_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
