// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"
#include "base/test.h"
#include "detect/private.h"
#include "detect/rule_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW 1790000000000000000ull
#define SECOND 1000000000ull

#define RULE_OF(id, text)                                                                          \
    "title: t\nid: 00000000-0000-4000-8000-00000000000" id "\nlogsource:\n"                        \
    "    {product: linux, category: process_creation}\ndetection:\n    s:\n        " text          \
    "\n    condition: s\n"
static const char whoami[] = RULE_OF(
    "1", "CommandLine|contains: whoami") "level: high\ntiercel: {action: prevent, kill: lineage}\n";
static const char grave[] =
    RULE_OF("2", "CommandLine|contains: evil") "level: critical\ntiercel: {action: prevent}\n";
static const char shells[] = RULE_OF("3", "Image|endswith: /sh") "level: low\n";

struct world {
    struct detect *d;
    struct detect_worker *worker;
    struct arena arena;
    uint64_t id;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct error e = {0};
    const char *rules[] = {whoami, grave, shells};
    *state = w;
    if (detect_new(&w->d) < 0)
        return -1;
    for (size_t i = 0; i < 3; i++)
        if (rule_set_add(w->d->set, str_from(rules[i]), "x.yml", &e) < 0)
            return -1;
    return detect_ready(w->d, &e) < 0 || detect_worker_new(w->d, &w->worker) < 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    detect_worker_free(w->worker);
    detect_free(w->d);
    arena_done(&w->arena);
    free(w);
    return 0;
}

static Tiercel__Event *exec_of(struct world *w, const char *command, uint64_t at)
{
    Tiercel__Event *e = event_new("process_creation", &w->arena);
    const struct {
        const char *name, *value;
    } values[] = {{"Image", "/bin/sh"},
                  {"CommandLine", command},
                  {"Lineage", "web"},
                  {"LineageService", "/usr/sbin/php-fpm"}};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(field_set(field_find("process_creation", str_from(values[i].name)), e,
                                   str_from(values[i].value), &w->arena, NULL),
                         0);
    e->has_time = e->has_id = true;
    e->time = at;
    e->id = ++w->id;
    return e;
}

static struct detect_result judge(struct world *w, const char *command, uint64_t at, bool final)
{
    struct detect_result r;
    assert_int_equal(detect_event(w->d, w->worker, exec_of(w, command, at), final, &w->arena, &r),
                     0);
    return r;
}

static void test_detect_gives_rule_fields_and_tags(void **state)
{
    struct detect_result r = judge(*state, "sh -c whoami", NOW, true);
    assert_int_equal(r.n, 2);
    assert_true(r.prevent);
    assert_true(r.kill_lineage);
    const Tiercel__Detection *d = r.detections[r.decisive];
    assert_string_equal(d->rule_id, "00000000-0000-4000-8000-000000000001");
    assert_string_equal(d->level, "high");
    assert_string_equal(d->rule_file, "x.yml");
    assert_int_equal(d->n_matched, 1);
    assert_string_equal(d->matched[0]->field, "CommandLine");
    assert_memory_equal(d->matched[0]->value.data, "sh -c whoami", 12);
    assert_int_equal(d->n_identifiers, 1);
    assert_string_equal(d->identifiers[0], "s");
}

static void test_detect_the_gravest_rule_decides(void **state)
{
    struct detect_result r = judge(*state, "sh -c whoami evil", NOW, false);
    assert_int_equal(r.n, 3);
    assert_string_equal(r.detections[r.decisive]->level, "critical");
    r = judge(*state, "sh -c ls", NOW, false);
    assert_int_equal(r.n, 1);
    assert_false(r.prevent);
}

static void test_detect_event_without_log_source_is_nothing(void **state)
{
    struct world *w = *state;
    Tiercel__Event e = TIERCEL__EVENT__INIT;
    struct detect_result r;
    assert_int_equal(detect_event(w->d, w->worker, &e, true, &w->arena, &r), 0);
    assert_int_equal(r.n, 0);
    assert_false(r.prevent);
}

static void test_detect_full_arena_is_an_error_not_an_absent_field(void **state)
{
    struct world *w = *state;
    Tiercel__Event *e = exec_of(w, "sh -c whoami", NOW);
    struct arena small = {.limit = 16};
    struct detect_result r;
    assert_int_equal(detect_event(w->d, w->worker, e, true, &small, &r), -ENOMEM);
    arena_done(&small);
}

static void test_detect_flood_keeps_back_records_but_never_the_denial(void **state)
{
    struct world *w = *state;
    size_t recorded = 0;
    for (int i = 0; i < 100; i++) {
        struct detect_result r = judge(w, "sh -c whoami", NOW + (uint64_t)i, true);
        assert_true(r.prevent);
        assert_string_equal(r.detections[r.decisive]->rule_id,
                            "00000000-0000-4000-8000-000000000001");
        assert_int_equal(r.repeated, i >= FLOOD_PER_WINDOW);
        recorded += r.n - r.repeated;
    }
    assert_int_equal(recorded, 2 * FLOOD_PER_WINDOW);
    assert_int_equal(detect_suppressed(w->d), 2 * (100 - FLOOD_PER_WINDOW));
    // A question at the gate is not a record.
    assert_false(judge(w, "sh -c whoami", NOW, false).repeated);
    assert_false(judge(w, "sh -c whoami", NOW + 61 * SECOND, true).repeated);
}

static Tiercel__Event *exec_in(struct world *w, const char *role, uint64_t at)
{
    Tiercel__Event *e = exec_of(w, "sh -c whoami", at);
    e->process->lineage = arena_new(&w->arena, Tiercel__Lineage);
    tiercel__lineage__init(e->process->lineage);
    e->process->lineage->role = (char *)role;
    return e;
}

static bool prevents_in(struct world *w, const char *role, uint64_t at)
{
    struct detect_result r;
    assert_int_equal(detect_event(w->d, w->worker, exec_in(w, role, at), true, &w->arena, &r), 0);
    return r.prevent;
}

static unsigned prevented_until_braked(struct world *w, const char *role, unsigned most)
{
    for (unsigned i = 1; i <= most; i++) {
        Tiercel__Event *e = exec_in(w, role, NOW + i);
        struct detect_result r;
        assert_int_equal(detect_event(w->d, w->worker, e, true, &w->arena, &r), 0);
        assert_true(r.prevent);
        if (detect_prevented(w->d, r.rules[r.decisive], e))
            return i;
    }
    return 0;
}

static void test_rule_that_prevents_too_often_is_braked_for_a_minute(void **state)
{
    struct world *w = *state;
    assert_int_equal(prevented_until_braked(w, "cron", 100), BRAKE_PER_WINDOW + 1);
    assert_false(prevents_in(w, "cron", NOW + 30 * SECOND));
    assert_true(prevents_in(w, "web", NOW + 30 * SECOND));
    assert_true(prevents_in(w, "cron", NOW + 62 * SECOND));
}

static void test_rule_below_a_web_server_is_never_braked(void **state)
{
    struct world *w = *state;
    assert_int_equal(prevented_until_braked(w, "web", 100), 0);
    assert_true(prevents_in(w, "web", NOW + SECOND));
    assert_true(prevents_in(w, "cron", NOW + SECOND));
}

static void load(struct world *w, const char *text)
{
    struct error e = {0};
    char path[] = "/tmp/tiercel-exceptions-XXXXXX";
    int fd = mkstemp(path);
    assert_true(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    assert_int_equal(detect_load_exceptions(w->d, path, &e), 0);
    unlink(path);
}

#define RULE1 "  rule: 00000000-0000-4000-8000-000000000001\n"
#define REST "  expires: 2026-12-31T00:00:00Z\n  reason: r\n  who: w\n"

static void test_exception_lifts_prevent_to_detect_and_says_which(void **state)
{
    struct world *w = *state;
    load(w, "- id: x1\n" RULE1 "  role: web\n  argv: [sh, -c, 'whoami*']\n" REST);
    struct detect_result r = judge(w, "sh -c whoami", NOW, false);
    assert_false(r.prevent);
    assert_int_equal(r.n, 2); // still detected
    assert_true(str_eq(r.exception, STR("x1")));
    assert_int_equal(detect_exceptions(w->d), 1);
    // Other arguments, and another rule on the same event, are not lifted.
    assert_true(judge(w, "bash -c whoami", NOW, false).prevent);
    assert_true(judge(w, "sh -c whoami evil", NOW, false).prevent);
}

static void test_exception_expires(void **state)
{
    struct world *w = *state;
    load(w, "- id: x1\n" RULE1 "  argv: [sh, '**']\n" REST);
    assert_false(judge(w, "sh -c whoami", NOW, false).prevent);
    uint64_t end = 1798675200ull * SECOND; // 2026-12-31
    assert_false(judge(w, "sh -c whoami", end - 1, false).prevent);
    assert_true(judge(w, "sh -c whoami", end, false).prevent);
    assert_int_equal(detect_exceptions(w->d), 0);
}

static void test_exception_of_another_lineage_or_service(void **state)
{
    struct world *w = *state;
    load(w, "- id: x1\n" RULE1 "  role: cron\n  argv: [sh, '**']\n" REST);
    assert_true(judge(w, "sh -c whoami", NOW, false).prevent);
    load(w, "- id: x1\n" RULE1 "  service: /usr/sbin/nginx\n  argv: [sh, '**']\n" REST);
    assert_true(judge(w, "sh -c whoami", NOW, false).prevent);
    load(w, "- id: x1\n" RULE1 "  service: /usr/sbin/php-fpm\n  argv: [sh, '**']\n" REST);
    assert_false(judge(w, "sh -c whoami", NOW, false).prevent);
}

static void test_exception_file_with_errors_is_refused_whole(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
    } bad[] = {
        {"- id: x\n" RULE1 "  argv: ['**']\n" REST, 3},
        {"- id: x\n" RULE1 REST, 1},
        {"- id: x\n" RULE1 "  argv: [sh]\n  expires: soon\n", 4},
        {"- id: x\n" RULE1 "  argv: [sh]\n  expire: 2026-12-31T00:00:00Z\n", 4},
        {"- id: x\n" RULE1 "  argv: sh\n" REST, 3},
        {"- id: x\n" RULE1 "  argv: [[sh]]\n" REST, 3},
        {"id: x\n", 1},
        {"- x\n", 1},
        {"- id: [x]\n", 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct arena arena = {0};
        struct error e = {0};
        struct exception *list;
        size_t n;
        assert_int_equal(exception_parse(str_from(bad[i].text), "f", &arena, &list, &n, &e),
                         -EINVAL);
        assert_int_equal(e.line, bad[i].line);
        assert_string_equal(e.file, "f");
        arena_done(&arena);
    }
}

static void test_exception_shapes(void **state)
{
    (void)state;
    static const struct {
        const char *shape, *argument;
        bool fits;
    } cases[] = {
        {"a*", "abc", true},     {"a*", "a", true},        {"*c", "abc", true},
        {"a?c", "abc", true},    {"a?c", "ac", false},     {"a\\*c", "a*c", true},
        {"a\\*c", "abc", false}, {"*", "", true},          {"", "", true},
        {"", "a", false},        {"a*b*c", "aXbYc", true}, {"a*b*c", "aXcYb", false},
        {"a\\", "a\\", true},    {"**a", "bba", true},     {"a\\\\b", "a\\b", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(exception_shape(str_from(cases[i].shape), str_from(cases[i].argument)),
                         cases[i].fits);
}

static void test_exception_written_from_a_detection_lifts_it_and_nothing_else(void **state)
{
    struct world *w = *state;
    // Quotes, shape characters, a backslash, a control character and a byte that is not UTF-8.
    const char *command = "sh -c whoami;echo'\"*?\\\x01\xff:#";
    Tiercel__Event *event = exec_of(w, command, NOW);
    struct detect_result r;
    struct error e = {0};
    assert_int_equal(detect_event(w->d, w->worker, event, false, &w->arena, &r), 0);
    assert_true(r.prevent);
    Tiercel__Detection *d = r.detections[r.decisive];
    d->events = &event;
    d->n_events = 1;
    _cleanup_buf_ struct buf out = {0};
    assert_int_equal(exception_append(d, STR("x9"), NOW + 7 * 86400 * SECOND, STR("an \"admin\""),
                                      STR("a: reason"), &out, &e),
                     0);
    buf_add_char(&out, 0);
    load(w, out.p);
    assert_false(judge(w, command, NOW, false).prevent);
    assert_true(judge(w, "sh -c whoami;echo'\"XY\\\x01\xff:#", NOW, false).prevent);
    assert_true(judge(w, "sh -c whoami", NOW, false).prevent);
    assert_true(judge(w, command, NOW + 8 * 86400 * SECOND, false).prevent);
    event->process->argv_cut = true;
    assert_int_equal(exception_append(d, STR("x"), NOW, STR("w"), STR("r"), &out, &e), -EINVAL);
}

static void count_problem(void *context, const struct error *e)
{
    unsigned *n = context;
    assert_true(e->file[0] != 0);
    ++*n;
}

static void put(const char *folder, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "we");
    fputs(text, f);
    fclose(f);
}

static void test_detect_load_reads_folders_and_tells_each_problem(void **state)
{
    (void)state;
    char folder[] = "/tmp/tiercel-rules-XXXXXX", below[64], command[128];
    assert_non_null(mkdtemp(folder));
    snprintf(below, sizeof below, "%s/sub", folder);
    mkdir(below, 0700);
    put(folder, "a.yml", whoami);
    put(folder, "a.test.yml", "not a rule");
    put(folder, "note.txt", "not a rule");
    put(folder, "bad.yml", "title: [\n");
    put(folder, "unknown.yml", RULE_OF("8", "Imagee: x"));
    put(below, "b.yml", shells);
    struct detect *d;
    unsigned told = 0, problems = 0;
    assert_int_equal(detect_new(&d), 0);
    assert_int_equal(detect_load(d, folder, count_problem, &told, &problems), 2);
    assert_int_equal(problems, 2);
    assert_int_equal(told, 2);
    detect_free(d);
    told = 0;
    assert_int_equal(detect_new(&d), 0);
    assert_int_equal(detect_load(d, "/nonexistent/rules", count_problem, &told, &problems), 0);
    assert_int_equal(told, 1);
    detect_free(d);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

static void collect(void *context, const struct detect_case *c)
{
    struct buf *out = context;
    buf_addf(out, "%s %s%s\n", c->kind, c->passed ? "+" : "-", c->passed ? "" : c->why);
}

static struct str examples(const char *rule, const char *test, struct buf *out, int want,
                           struct error *e)
{
    struct detect_test_counts counts;
    buf_reset(out);
    assert_int_equal(detect_test_text(str_from(rule), "r.yml", str_from(test), "r.test.yml",
                                      collect, out, &counts, e),
                     want);
    buf_add_char(out, 0);
    out->n--;
    return buf_str(out);
}

static void test_rule_test_names_what_fails(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf out = {0};
    struct error e = {0};
    struct str s = examples(
        shells, "match: [{Image: /bin/sh}, {Image: /bin/ls}]\nno_match: [{Image: /bin/sh}]\n", &out,
        0, &e);
    assert_true(str_find(s, STR("rule -no ATT&CK technique")) >= 0);
    assert_true(str_find(s, STR("match +\nmatch -the rule does not match\n")) >= 0);
    assert_true(str_find(s, STR("no_match -the rule matches: Image|endswith: /sh")) >= 0);
    s = examples(
        grave,
        "match: [{CommandLine: evil}]\nno_match: [{Image: x}]\nbenign: [{name: one, Image: y}]\n",
        &out, 0, &e);
    assert_true(str_find(s, STR("needs 5 named look-alikes")) >= 0);
}

static void test_rule_test_refuses_what_it_does_not_know(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf out = {0};
    static const struct {
        const char *text;
        unsigned line;
    } bad[] = {
        {"matches: []\n", 1},
        {"match:\n  - {Imagee: x}\n", 2},
        {"match: x\n", 1},
        {"match: [x]\n", 1},
        {"match:\n  - {Image: {a: b}}\n", 2},
        {"match:\n  - {ProcessId: x}\n", 2},
        {"match:\n  - {category: nothing, Image: x}\n", 2},
        {"sequence: [{fires: 1}]\n", 1},
        {"sequence:\n  - {fires: 1, events: [{Image: x}]}\n", 2},
        {"defaults: x\n", 1},
        {"- x\n", 1},
        {"", 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error e = {0};
        examples(shells, bad[i].text, &out, -EINVAL, &e);
        assert_string_equal(e.file, "r.test.yml");
        assert_int_equal(e.line, bad[i].line);
    }
}

static void test_rule_test_file_without_a_test(void **state)
{
    (void)state;
    char folder[] = "/tmp/tiercel-rules-XXXXXX", path[64];
    struct error e = {0};
    struct detect_test_counts counts;
    assert_non_null(mkdtemp(folder));
    put(folder, "a.yml", shells);
    snprintf(path, sizeof path, "%s/a.yml", folder);
    assert_int_equal(detect_test_file(path, NULL, NULL, &counts, &e), -ENOENT);
    assert_true(str_ends(str_from(e.file), STR("/a.test.yml")));
    assert_true(e.way_out[0] != 0);
    unlink(path);
    rmdir(folder);
    assert_int_equal(detect_test_file("x.txt", NULL, NULL, &counts, &e), -EINVAL);
}

struct looking {
    Tiercel__Event *event;
    unsigned times;
};

static void look(void *context)
{
    struct looking *l = context;
    l->times++;
    l->event->process->has_directory = true;
    l->event->process->directory = (ProtobufCBinaryData){13, (uint8_t *)"/srv/research"};
}

// What is looked for late is found by every rule that asks, and only then.
static void test_a_question_is_looked_into_where_a_rule_needs_it(void **state)
{
    static const char inside[] =
        RULE_OF("4", "{LineageService|endswith: fpm, CurrentDirectory|startswith: /srv/research}");
    static const char alone[] = RULE_OF("5", "CurrentDirectory: /srv/research");
    static const char absent[] = RULE_OF("6", "{Image: /bin/sh, CurrentDirectory: null}");
    static const char keyword[] = "title: t\nlogsource:\n    {product: linux, category: "
                                  "process_creation}\ndetection:\n    s: [research]\n    "
                                  "condition: s\n";
    static const struct {
        const char *rule, *service;
        unsigned looks;
        size_t found;
    } cases[] = {{inside, "/usr/sbin/php-fpm", 1, 1}, {inside, "/usr/sbin/other", 0, 0},
                 {alone, "/usr/sbin/other", 1, 1},    {absent, "/usr/sbin/other", 1, 0},
                 {keyword, "/usr/sbin/other", 1, 1},  {shells, "/usr/sbin/other", 0, 1}};
    struct world *w = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct detect *d = NULL;
        struct detect_worker *worker = NULL;
        struct detect_result question, event;
        struct error e = {0};
        struct looking l = {exec_of(w, "id", NOW), 0};
        assert_int_equal(detect_new(&d), 0);
        assert_int_equal(rule_set_add(d->set, str_from(cases[i].rule), "x.yml", &e), 0);
        assert_int_equal(detect_ready(d, &e), 0);
        assert_int_equal(detect_worker_new(d, &worker), 0);
        assert_int_equal(field_set(field_find("process_creation", STR("LineageService")), l.event,
                                   str_from(cases[i].service), &w->arena, NULL),
                         0);
        assert_int_equal(detect_question(d, worker, l.event, look, &l, &w->arena, &question), 0);
        assert_int_equal(l.times, cases[i].looks);
        assert_int_equal(question.n, cases[i].found);
        look(&l); // the same as an event that had it all from the beginning
        assert_int_equal(detect_event(d, worker, l.event, false, &w->arena, &event), 0);
        assert_int_equal(event.n, question.n);
        detect_worker_free(worker);
        detect_free(d);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_detect_gives_rule_fields_and_tags),
        T(test_detect_the_gravest_rule_decides),
        T(test_a_question_is_looked_into_where_a_rule_needs_it),
        T(test_detect_event_without_log_source_is_nothing),
        T(test_detect_full_arena_is_an_error_not_an_absent_field),
        T(test_detect_flood_keeps_back_records_but_never_the_denial),
        T(test_rule_that_prevents_too_often_is_braked_for_a_minute),
        T(test_rule_below_a_web_server_is_never_braked),
        T(test_exception_lifts_prevent_to_detect_and_says_which),
        T(test_exception_expires),
        T(test_exception_of_another_lineage_or_service),
        cmocka_unit_test(test_exception_file_with_errors_is_refused_whole),
        cmocka_unit_test(test_exception_shapes),
        T(test_exception_written_from_a_detection_lifts_it_and_nothing_else),
        cmocka_unit_test(test_detect_load_reads_folders_and_tells_each_problem),
        cmocka_unit_test(test_rule_test_names_what_fails),
        cmocka_unit_test(test_rule_test_refuses_what_it_does_not_know),
        cmocka_unit_test(test_rule_test_file_without_a_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
