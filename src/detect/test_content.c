// SPDX-License-Identifier: Apache-2.0
// Every rule of content/rules against its own examples; each failure is named by file and case.
#include "base/test.h"
#include "detect/detect.h"
#include "detect/rule_test.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FOLDER "content/rules"
#define RULES_MIN 30

// nftw() gives its callback no context.
static struct {
    char **files;
    size_t n;
    const char *file; // being run
    unsigned failed;
} all;

static int collect(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)ftw;
    struct str s = str_from(path);
    if (flag != FTW_F || !str_ends(s, STR(".yml")) || str_ends(s, STR(".test.yml")))
        return 0;
    char **bigger = realloc(all.files, (all.n + 1) * sizeof *bigger);
    if (!bigger)
        return -1;
    all.files = bigger;
    all.files[all.n++] = strdup(path);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    return nftw(FOLDER, collect, 16, FTW_PHYS);
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < all.n; i++)
        free(all.files[i]);
    free(all.files);
    return 0;
}

static void tell(void *context, const struct detect_case *c)
{
    (void)context;
    if (c->passed)
        return;
    print_error("%s:%u: %s '%s': %s\n", all.file, c->line, c->kind, c->name, c->why);
    all.failed++;
}

static void test_content_rules_do_what_their_examples_say(void **state)
{
    (void)state;
    unsigned prevent = 0, events = 0;
    for (size_t i = 0; i < all.n; i++) {
        struct error e = {0};
        struct detect_test_counts counts = {0};
        all.file = all.files[i];
        if (detect_test_file(all.file, tell, NULL, &counts, &e) < 0) {
            error_print(&e, stderr);
            fputc('\n', stderr);
            all.failed++;
        }
        prevent += counts.prevent;
        events += counts.events;
    }
    print_message("%zu rule files, %u of them prevent, %u events\n", all.n, prevent, events);
    assert_int_equal(all.failed, 0);
    assert_true(all.n >= RULES_MIN);
}

static void problem(void *context, const struct error *e)
{
    (void)context;
    error_print(e, stderr);
    fputc('\n', stderr);
}

static void test_content_loads_as_one_set(void **state)
{
    (void)state;
    struct detect *d;
    struct error e = {0};
    unsigned problems;
    assert_int_equal(detect_new(&d), 0);
    assert_true(detect_load(d, FOLDER, problem, NULL, &problems) >= RULES_MIN);
    assert_int_equal(problems, 0);
    assert_int_equal(detect_ready(d, &e), 0);
    detect_free(d);
}

// A rule's tests that have no rule would never be run.
static int orphan(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)ftw;
    struct str s = str_from(path);
    char rule[4096];
    if (flag != FTW_F || !str_ends(s, STR(".test.yml")))
        return 0;
    snprintf(rule, sizeof rule, "%.*s.yml", (int)(s.n - 9), path);
    if (access(rule, R_OK) == 0)
        return 0;
    print_error("%s: no rule of this name\n", path);
    return 1;
}

static void test_content_every_test_has_its_rule(void **state)
{
    (void)state;
    assert_int_equal(nftw(FOLDER, orphan, 16, FTW_PHYS), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content_rules_do_what_their_examples_say),
        cmocka_unit_test(test_content_loads_as_one_set),
        cmocka_unit_test(test_content_every_test_has_its_rule),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
