// SPDX-License-Identifier: Apache-2.0
#include "detect/rule_test.h"

#include "base/cleanup.h"
#include "detect/private.h"
#include "rule/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#define EVENTS_MAX 1000 // of one sequence
#define START_NS                                                                                   \
    1790000000000000000ull // a moment of 2026: file ages and expiry need some time to be now
#define SECOND_NS 1000000000ull

struct run {
    const char *file;
    struct arena *arena; // of the whole test
    struct error *e;
    struct str rule;
    const char *rule_file;
    struct detect *d;
    struct detect_worker *worker;
    const struct rule_yaml *defaults;
    char category[64]; // of the rule
    bool correlation;  // the file has one: its firing is what counts
    void (*each)(void *context, const struct detect_case *c);
    void *context;
    struct detect_test_counts counts;
};

static int fail_at(struct run *r, const struct rule_yaml *at, const char *what, const char *way_out)
{
    error_set(r->e, -EINVAL, "%s", what);
    error_place(r->e, r->file, at->line, at->column);
    if (way_out)
        error_way_out(r->e, "%s", way_out);
    return -EINVAL;
}

static void report(struct run *r, const char *kind, const struct rule_yaml *at, size_t index,
                   const char *why)
{
    char number[32];
    struct detect_case c = {.kind = kind, .line = at ? at->line : 0, .passed = why == NULL};
    const struct rule_yaml *name = at ? rule_yaml_get(at, "name") : NULL;
    snprintf(number, sizeof number, "number %zu", index + 1);
    c.name = name && name->text.n ? arena_cstr(r->arena, name->text) : number;
    if (!c.name)
        c.name = number;
    snprintf(c.why, sizeof c.why, "%s", why ? why : "");
    r->counts.cases++;
    r->counts.failed += why != NULL;
    if (r->each)
        r->each(r->context, &c);
}

// ---- events from maps

static int set_field(struct run *r, Tiercel__Event *event, const char *category,
                     const struct rule_yaml *key, const struct rule_yaml *value)
{
    struct error why = {0};
    const struct field *field = field_find(category, key->text);
    if (!field) {
        const char *near = field_nearest(category, key->text);
        char way_out[128];
        snprintf(way_out, sizeof way_out, "did you mean '%s'?", near ? near : "");
        return fail_at(r, key, "no such field", near ? way_out : NULL);
    }
    if (rule_yaml_is_null(value))
        return 0;
    size_t n = value->kind == RULE_YAML_LIST ? value->n : 1;
    for (size_t i = 0; i < n; i++) {
        const struct rule_yaml *item = value->kind == RULE_YAML_LIST ? value->items[i] : value;
        if (item->kind != RULE_YAML_SCALAR)
            return fail_at(r, item, "a field's value is a text or a list of texts", NULL);
        int x = field_set(field, event, item->text, r->arena, &why);
        if (x < 0) {
            fail_at(r, item, why.what[0] ? why.what : "the value does not fit the field",
                    why.way_out);
            return x;
        }
    }
    return 0;
}

static bool is_word_of_ours(struct str key)
{
    return str_eq(key, STR("name")) || str_eq(key, STR("category")) || str_eq(key, STR("at"));
}

static bool has_key(const struct rule_yaml *map, struct str key)
{
    for (size_t i = 0; i < map->n; i++)
        if (str_eq(map->items[2 * i]->text, key))
            return true;
    return false;
}

static int set_fields(struct run *r, Tiercel__Event *event, const char *category,
                      const struct rule_yaml *map, const struct rule_yaml *unless)
{
    int x = 0;
    for (size_t i = 0; x == 0 && i < map->n; i++) {
        const struct rule_yaml *key = map->items[2 * i];
        if (!is_word_of_ours(key->text) && !(unless && has_key(unless, key->text)))
            x = set_field(r, event, category, key, map->items[2 * i + 1]);
    }
    return x;
}

static int make_event(struct run *r, const struct rule_yaml *map, uint64_t at_ns,
                      Tiercel__Event **ret)
{
    const char *category = r->category;
    if (map->kind != RULE_YAML_MAP)
        return fail_at(r, map, "an event is a map of fields", "write `- Image: /bin/sh`");
    const struct rule_yaml *other = rule_yaml_get(map, "category");
    if (other) {
        category = other->kind == RULE_YAML_SCALAR ? arena_cstr(r->arena, other->text) : NULL;
        if (!category)
            return fail_at(r, other, "not a category", NULL);
    }
    Tiercel__Event *event = event_new(category, r->arena);
    if (!event)
        return fail_at(r, map, "no events of this category",
                       "process_creation, network_connection ...");
    event->has_time = event->has_id = true;
    event->time = at_ns;
    event->id = ++r->counts.events;
    int x = set_fields(r, event, category, map, NULL);
    if (x == 0 && r->defaults)
        x = set_fields(r, event, category, r->defaults, map);
    if (x == 0)
        *ret = event;
    return x;
}

// ---- running

// How often the rule under test fires on this event; *ret_how says by which field.
static int fires(struct run *r, const Tiercel__Event *event, unsigned *ret_n, const char **ret_how)
{
    struct detect_result result;
    int x = detect_event(r->d, r->worker, event, true, r->arena, &result);
    if (x < 0)
        return error_set(r->e, x, "the rule cannot be run: %s", strerror(-x));
    unsigned n = 0;
    for (size_t i = 0; i < result.n; i++) {
        if (result.rules[i]->correlation != r->correlation)
            continue;
        n++;
        const Tiercel__Detection *t = result.detections[i];
        *ret_how = t->n_matched ? t->matched[0]->pattern : "";
    }
    // The flood limit is for the journal, not for what a rule means.
    *ret_n = n + (unsigned)result.suppressed;
    return 0;
}

static int prepare(struct run *r)
{
    r->worker = detect_worker_free(r->worker);
    r->d = detect_free(r->d);
    int x = detect_new(&r->d);
    if (x == 0)
        x = rule_set_add(r->d->set, r->rule, r->rule_file, r->e);
    if (x == 0)
        x = detect_ready(r->d, r->e);
    if (x == 0)
        x = detect_worker_new(r->d, &r->worker);
    return x;
}

static int run_list(struct run *r, const struct rule_yaml *root, const char *kind, bool wanted)
{
    const struct rule_yaml *list = rule_yaml_get(root, kind);
    if (!list)
        return 0;
    if (list->kind != RULE_YAML_LIST)
        return fail_at(r, list, "not a list of events", "each begins with `- `");
    for (size_t i = 0; i < list->n; i++) {
        Tiercel__Event *event;
        unsigned n = 0;
        const char *how = "";
        char why[200];
        int x = make_event(r, list->items[i], START_NS + r->counts.events * SECOND_NS, &event);
        if (x == 0)
            x = fires(r, event, &n, &how);
        if (x < 0)
            return x;
        snprintf(why, sizeof why, wanted ? "the rule does not match" : "the rule matches: %s", how);
        report(r, kind, list->items[i], i, (n > 0) == wanted ? NULL : why);
    }
    return 0;
}

static int run_sequence(struct run *r, const struct rule_yaml *sequence, size_t index)
{
    const struct rule_yaml *events =
        sequence->kind == RULE_YAML_MAP ? rule_yaml_get(sequence, "events") : NULL;
    const struct rule_yaml *wanted = events ? rule_yaml_get(sequence, "fires") : NULL;
    int64_t want, at;
    if (!events || events->kind != RULE_YAML_LIST || events->n > EVENTS_MAX || !wanted ||
        rule_yaml_number(wanted, &want) < 0)
        return fail_at(r, sequence, "a sequence has `events` (at most 1,000) and `fires`, a number",
                       NULL);
    int x = prepare(r); // no memory of the sequence before
    int64_t total = 0;
    for (size_t i = 0; x == 0 && i < events->n; i++) {
        Tiercel__Event *event;
        unsigned n = 0;
        const char *how = "";
        const struct rule_yaml *item = events->items[i];
        const struct rule_yaml *when =
            item->kind == RULE_YAML_MAP ? rule_yaml_get(item, "at") : NULL;
        if (!when || rule_yaml_number(when, &at) < 0 || at < 0 || at > 1000000000)
            return fail_at(r, item, "an event of a sequence says `at`, in seconds", NULL);
        x = make_event(r, item, START_NS + (uint64_t)at * SECOND_NS, &event);
        if (x == 0)
            x = fires(r, event, &n, &how);
        total += n;
    }
    if (x < 0)
        return x;
    char why[100];
    snprintf(why, sizeof why, "fires %lld times, not %lld", (long long)total, (long long)want);
    report(r, "sequence", sequence, index, total == want ? NULL : why);
    return 0;
}

// ---- what every rule must have

static bool has_technique(const struct rule *rule)
{
    for (size_t i = 0; i < rule->n_tags; i++)
        if (str_starts(rule->tags[i], STR("attack.t1")))
            return true;
    return false;
}

static size_t named(const struct rule_yaml *root, const char *key)
{
    const struct rule_yaml *list = rule_yaml_get(root, key);
    size_t n = 0;
    for (size_t i = 0; list && list->kind == RULE_YAML_LIST && i < list->n; i++)
        n += list->items[i]->kind == RULE_YAML_MAP && rule_yaml_get(list->items[i], "name");
    return n;
}

static size_t length(const struct rule_yaml *root, const char *key)
{
    const struct rule_yaml *list = rule_yaml_get(root, key);
    return list && list->kind == RULE_YAML_LIST ? list->n : 0;
}

static void check_rule(struct run *r, const struct rule_yaml *root)
{
    const char *why = NULL;
    char text[160];
    for (size_t i = 0; i < rule_set_count(r->d->set); i++) {
        const struct rule *rule = rule_set_get(r->d->set, i);
        r->counts.prevent |= rule->action == RULE_PREVENT;
        if (!rule->support && !has_technique(rule))
            why = "no ATT&CK technique among the tags (attack.t1059.004)";
    }
    if (!r->correlation && (!length(root, "match") || !length(root, "no_match")))
        why = "the test needs at least one event under `match` and one under `no_match`";
    if (r->correlation && length(root, "sequence") < 2)
        why = "a correlation's test needs two sequences: one that fires and one that does not";
    if (r->counts.prevent && named(root, "benign") < RULE_TEST_BENIGN_MIN) {
        snprintf(text, sizeof text,
                 "a rule that prevents needs %d named look-alikes under `benign`",
                 RULE_TEST_BENIGN_MIN);
        why = text;
    }
    report(r, "rule", NULL, 0, why);
}

static int check_words(struct run *r, const struct rule_yaml *root)
{
    static const char *const words[] = {"defaults", "match", "no_match", "benign", "sequence"};
    for (size_t i = 0; i < root->n; i++) {
        bool known = false;
        for (size_t j = 0; j < sizeof words / sizeof *words; j++)
            known |= str_eq(root->items[2 * i]->text, str_from(words[j]));
        if (!known)
            return fail_at(r, root->items[2 * i], "unknown word in a rule's test",
                           "defaults, match, no_match, benign, sequence");
    }
    r->defaults = rule_yaml_get(root, "defaults");
    if (r->defaults && r->defaults->kind != RULE_YAML_MAP)
        return fail_at(r, r->defaults, "defaults are a map of fields", NULL);
    return 0;
}

static void learn_rule(struct run *r)
{
    for (size_t i = 0; i < rule_set_count(r->d->set); i++) {
        const struct rule *rule = rule_set_get(r->d->set, i);
        r->correlation |= rule->correlation;
        if (rule->category.n && rule->category.n < sizeof r->category && !r->category[0])
            memcpy(r->category, rule->category.p, rule->category.n);
    }
}

static int run_all(struct run *r, struct str test)
{
    struct rule_yaml **documents;
    size_t n;
    int x = prepare(r);
    if (x == 0)
        x = rule_yaml_parse(r->arena, test, r->file, &documents, &n, r->e);
    if (x < 0)
        return x;
    if (n != 1 || documents[0]->kind != RULE_YAML_MAP) {
        error_set(r->e, -EINVAL, "a rule's test is one map with `match` and `no_match`");
        error_place(r->e, r->file, 1, 1);
        return -EINVAL;
    }
    const struct rule_yaml *root = documents[0];
    learn_rule(r);
    x = check_words(r, root);
    if (x < 0)
        return x;
    check_rule(r, root);
    x = run_list(r, root, "match", true);
    if (x == 0)
        x = run_list(r, root, "no_match", false);
    if (x == 0)
        x = run_list(r, root, "benign", false);
    const struct rule_yaml *sequences = rule_yaml_get(root, "sequence");
    if (x == 0 && sequences && sequences->kind != RULE_YAML_LIST)
        return fail_at(r, sequences, "not a list of sequences", NULL);
    for (size_t i = 0; x == 0 && sequences && i < sequences->n; i++)
        x = run_sequence(r, sequences->items[i], i);
    return x;
}

int detect_test_text(struct str rule, const char *rule_file, struct str test, const char *test_file,
                     void (*each)(void *context, const struct detect_case *c), void *context,
                     struct detect_test_counts *ret, struct error *e)
{
    struct arena arena = {0};
    struct run r = {.file = test_file,
                    .arena = &arena,
                    .e = e,
                    .rule = rule,
                    .rule_file = rule_file,
                    .each = each,
                    .context = context};
    int x = run_all(&r, test);
    detect_worker_free(r.worker);
    detect_free(r.d);
    arena_done(&arena);
    *ret = r.counts;
    return x < 0 ? x : 0;
}

int detect_test_file(const char *file, void (*each)(void *context, const struct detect_case *c),
                     void *context, struct detect_test_counts *ret, struct error *e)
{
    _cleanup_buf_ struct buf rule = {0}, test = {0};
    _cleanup_free_ char *rule_file = NULL, *test_file = NULL;
    struct str stem = str_from(file);
    if (str_ends(stem, STR(".test.yml")))
        stem.n -= sizeof ".test.yml" - 1;
    else if (str_ends(stem, STR(".yml")))
        stem.n -= sizeof ".yml" - 1;
    else {
        error_set(e, -EINVAL, "neither a rule nor a rule's test");
        error_place(e, file, 0, 0);
        error_way_out(e, "name a file that ends with .yml or .test.yml");
        return -EINVAL;
    }
    if (asprintf(&rule_file, STR_FMT ".yml", STR_ARG(stem)) < 0)
        return error_set(e, -ENOMEM, "out of memory");
    if (asprintf(&test_file, STR_FMT ".test.yml", STR_ARG(stem)) < 0)
        return error_set(e, -ENOMEM, "out of memory");
    int x = detect_read_file(AT_FDCWD, rule_file, rule_file, &rule, e);
    if (x == 0)
        x = detect_read_file(AT_FDCWD, test_file, test_file, &test, e);
    if (x == -ENOENT && e && strcmp(e->file, test_file) == 0)
        error_way_out(e, "write it: events that must match and must not, see content/rules");
    return x < 0 ? x
                 : detect_test_text(buf_str(&rule), rule_file, buf_str(&test), test_file, each,
                                    context, ret, e);
}
