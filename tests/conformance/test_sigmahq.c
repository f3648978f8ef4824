// SPDX-License-Identifier: Apache-2.0
// Every Linux rule of SigmaHQ (../shared/data/sigma) compiles, alone and together; says of each what it is.
#include "tests/conformance/load.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

struct tally {
    struct rule_set *set;
    unsigned files, supported, refused, linux_rules;
};

static void add_file(struct tally *t, const char *path)
{
    struct buf text = {0};
    struct error e = {0};
    assert_true(read_whole(path, &text));
    t->files++;
    size_t before = rule_set_count(t->set);
    if (rule_set_add(t->set, buf_str(&text), path, &e) < 0) {
        t->refused++;
        printf("refused    ");
        error_print(&e, stdout);
        putchar('\n');
    }
    buf_done(&text);
    for (size_t i = before; i < rule_set_count(t->set); i++) {
        const struct rule *r = rule_set_get(t->set, i);
        t->supported++;
        t->linux_rules += str_eq(r->product, STR("linux"));
        printf("supported  " STR_FMT "  " STR_FMT "/" STR_FMT "/" STR_FMT "  " STR_FMT "  " STR_FMT
               "\n",
               STR_ARG(r->id), STR_ARG(r->product), STR_ARG(r->category), STR_ARG(r->service),
               STR_ARG(r->level_name), STR_ARG(r->title));
    }
}

static void add_folder(struct tally *t, const char *path)
{
    DIR *d = opendir(path);
    assert_non_null(d);
    struct dirent *entry;
    while ((entry = readdir(d))) {
        char child[8192];
        snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] == '.')
            continue;
        if (entry->d_type == DT_DIR)
            add_folder(t, child);
        else if (str_ends(str_from(entry->d_name), STR(".yml")))
            add_file(t, child);
    }
    closedir(d);
}

static void test_every_linux_rule_of_sigmahq_compiles(void **state)
{
    (void)state;
    struct tally t = {0};
    struct error e = {0};
    assert_int_equal(rule_set_new(NULL, &t.set), 0);
    add_folder(&t, shared_path("sigma"));
    printf("%u files: %u rules supported, %u files refused; %u rules for linux\n", t.files,
           t.supported, t.refused, t.linux_rules);
    assert_int_equal(t.refused, 0);
    assert_int_equal(t.linux_rules, 248);
    if (rule_set_compile(t.set, &e) < 0)
        fail_msg("%s:%u: %s", e.file, e.line, e.what);
    rule_set_free(t.set);
}

int main(void)
{
    if (access(shared_path("sigma"), R_OK) < 0) {
        printf("skipped: ../shared/data/sigma is not here\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_linux_rule_of_sigmahq_compiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
