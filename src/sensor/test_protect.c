// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"

#include "bpf/record.h"
#include "sensor/protect.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct protect_settings settings;

static int start(void **state)
{
    struct error e = {0};
    (void)state;
    settings = (struct protect_settings){0};
    assert_int_equal(protect_add_folder(&settings, STR("/srv/research/"), &e), 0);
    assert_int_equal(protect_add_allow(&settings, STR("/srv/research/public: web"), &e), 0);
    assert_int_equal(protect_add_allow(&settings, STR("/srv/research: /usr/bin/backup"), &e), 0);
    return 0;
}

static bool denied(const char *path, const char *role, const char *program, uint32_t flags)
{
    return protect_denies(
        &settings, str_from(path),
        &(struct protect_caller){.flags = flags, .role = role, .program = str_from(program)});
}

static void test_services_may_not_and_others_may(void **state)
{
    (void)state;
    assert_true(denied("/srv/research/f", "web", "/usr/sbin/php-fpm8.2", FLAG_SERVICE));
    assert_true(denied("/srv/research/f", "database", "/usr/sbin/mysqld", FLAG_SERVICE));
    assert_false(denied("/srv/research/f", "ssh", "/usr/bin/cat", 0));
    assert_false(denied("/etc/shadow", "cron", "/usr/bin/cat", 0));
    assert_false(denied("/etc/shadow", NULL, "", 0));
    assert_true(denied("/etc/shadow", "web", "/usr/bin/cat", FLAG_SERVICE));
    assert_true(denied("/etc/ssh/ssh_host_ed25519_key", "web", "/usr/bin/cat", FLAG_SERVICE));
    assert_false(denied("/etc/shadow", "agent", "/usr/sbin/tierceld", FLAG_SERVICE | FLAG_AGENT));
}

static void test_what_is_allowed_is_allowed_below_its_path_only(void **state)
{
    (void)state;
    assert_false(denied("/srv/research/public/menu", "web", "/usr/sbin/nginx", FLAG_SERVICE));
    assert_true(denied("/srv/research/publications", "web", "/usr/sbin/nginx", FLAG_SERVICE));
    assert_true(denied("/srv/research/public/menu", "database", "/usr/sbin/mysqld", FLAG_SERVICE));
    assert_false(denied("/srv/research/f", "web", "/usr/bin/backup", FLAG_SERVICE));
    assert_true(denied("/srv/research/f", "web", "/usr/bin/backup2", FLAG_SERVICE));
    assert_true(denied("/etc/shadow", "web", "/usr/bin/backup", FLAG_SERVICE));
}

static void test_a_flagged_lineage_is_allowed_nothing(void **state)
{
    (void)state;
    assert_true(
        denied("/srv/research/public/menu", "web", "/usr/sbin/nginx", FLAG_SERVICE | FLAG_FLAGGED));
    assert_true(denied("/srv/research/f", "ssh", "/usr/bin/cat", FLAG_FLAGGED));
    assert_true(denied("/etc/shadow", "cron", "/usr/sbin/unix_chkpwd", FLAG_FLAGGED));
}

static void test_what_a_server_needs_of_the_system(void **state)
{
    struct protect_caller nginx = {.flags = FLAG_SERVICE,
                                   .role = "web",
                                   .program = STR("/usr/sbin/nginx"),
                                   .main_process = true};
    (void)state;
    assert_false(denied("/etc/shadow", "web", "/usr/sbin/unix_chkpwd", FLAG_SERVICE));
    assert_true(denied("/etc/shadow", "web", "/tmp/unix_chkpwd", FLAG_SERVICE));
    assert_true(denied("/srv/research/f", "web", "/usr/sbin/unix_chkpwd", FLAG_SERVICE));
    assert_false(protect_denies(&settings, STR("/etc/ssl/private/shop.key"), &nginx));
    assert_true(protect_denies(&settings, STR("/etc/shadow"), &nginx));
    assert_true(protect_denies(&settings, STR("/etc/ssh/ssh_host_rsa_key"), &nginx));
    assert_true(protect_denies(&settings, STR("/srv/research/f"), &nginx));
    nginx.main_process = false;
    assert_true(protect_denies(&settings, STR("/etc/ssl/private/shop.key"), &nginx));
}

static void test_kinds(void **state)
{
    (void)state;
    assert_int_equal(protect_kind(STR("/etc/shadow")), PROTECT_PASSWORDS);
    assert_int_equal(protect_kind(STR("/etc/gshadow-")), PROTECT_PASSWORDS);
    assert_int_equal(protect_kind(STR("/etc/shadow2")), PROTECT_DECLARED);
    assert_int_equal(protect_kind(STR("/etc/ssh/ssh_host_rsa_key")), PROTECT_HOST_KEY);
    assert_int_equal(protect_kind(STR("/etc/ssh/ssh_host_rsa_key.pub")), PROTECT_DECLARED);
    assert_int_equal(protect_kind(STR("/etc/ssl/private/a/b")), PROTECT_TLS_KEY);
    assert_int_equal(protect_kind(STR("/etc/ssl/privatex")), PROTECT_DECLARED);
    assert_int_equal(protect_kind(STR("/etc")), PROTECT_DECLARED);
}

static void test_settings_that_are_refused(void **state)
{
    static const char *const folders[] = {"",      "/",        "srv",  "/srv/../etc",
                                          "//srv", "/srv/./x", "/a//b"};
    static const char *const pairs[] = {"",          "/srv",        "/srv: ",     "/srv: wbe",
                                        "srv: web",  "/srv:web",    "/srv: ../x", "/srv: /x/..",
                                        "/srv: WEB", "/srv: a b c", ": web"};
    char longer[PROTECT_PATH + 1] = "/";
    struct error e = {0};
    (void)state;
    struct protect_settings before = settings;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        assert_int_equal(protect_add_folder(&settings, str_from(folders[i]), &e), -EINVAL);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        assert_int_equal(protect_add_allow(&settings, str_from(pairs[i]), &e), -EINVAL);
    memset(longer + 1, 'a', PROTECT_PATH - 1);
    assert_int_equal(protect_add_folder(&settings, str_from(longer), &e), -EINVAL);
    assert_int_equal(settings.n_folders, before.n_folders);
    assert_int_equal(settings.n_allows, before.n_allows);
    while (settings.n_folders < PROTECT_FOLDERS)
        assert_int_equal(protect_add_folder(&settings, STR("/srv/more"), &e), 0);
    assert_int_equal(protect_add_folder(&settings, STR("/srv/more"), &e), -E2BIG);
}

static void test_roots_are_the_machines_and_the_declared(void **state)
{
    char room[PROTECT_FOLDERS][PROTECT_PATH];
    struct protect_root roots[PROTECT_ROOTS];
    (void)state;
    size_t all = protect_roots(&settings, false, room, roots);
    assert_string_equal(roots[0].parent, "/etc");
    assert_string_equal(roots[0].name, "shadow");
    assert_false(roots[0].folder);
    assert_int_equal(protect_roots(&settings, true, room, roots), 1); // a scope: not the machine's
    assert_int_equal(all, 7);
    assert_string_equal(roots[0].parent, "/srv");
    assert_string_equal(roots[0].name, "research");
    assert_true(roots[0].folder);
}

static void test_shared_settings_are_the_same_and_cannot_be_written(void **state)
{
    int fd;
    const struct protect_settings *mapped;
    (void)state;
    assert_int_equal(protect_share(&settings, &fd), 0);
    assert_int_equal(protect_map(fd, &mapped), 0);
    assert_memory_equal(mapped, &settings, sizeof settings);
    assert_int_equal(pwrite(fd, "x", 1, 0), -1);
    close(fd);
}

// A sink that only counts: what is looked at, without any mark.
struct seen {
    int folders, files;
};
static int count(void *context, int folder_fd, const char *name, bool whole)
{
    struct seen *s = context;
    (void)whole;
    assert_true(folder_fd >= 0);
    name ? s->files++ : s->folders++;
    return 0;
}

static void test_all_that_is_below_a_folder_is_found_and_followed(void **state)
{
    char folder[] = "/tmp/protect-test-XXXXXX", command[256];
    struct error e = {0};
    struct seen seen = {0};
    struct protect_sink sink = {.put = count, .context = &seen, .deep = true};
    struct protect_marks *marks;
    (void)state;
    assert_non_null(mkdtemp(folder));
    settings = (struct protect_settings){0};
    snprintf(command, sizeof command,
             "cd %s && mkdir -p data/a/b && touch data/f data/a/f data/a/b/f other && ln -s /etc "
             "data/etc",
             folder);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "%s/data", folder);
    assert_int_equal(protect_add_folder(&settings, str_from(command), &e), 0);
    assert_int_equal(protect_marks_new(&settings, 0, &marks), 0);
    sink.deep = false;
    assert_int_equal(protect_marks_put(marks, &sink), 0);
    int roots = seen.folders;
    protect_marks_again(marks);
    sink.deep = true;
    seen = (struct seen){0};
    while (protect_marks_put(marks, &sink) > 0)
        ;
    struct protect_counts c = protect_marks_counts(marks);
    assert_true(roots >= 1 && seen.folders >= roots + 2);
    assert_int_equal(seen.folders, c.folders);
    assert_int_equal(seen.files, c.files);
    seen = (struct seen){0};
    snprintf(command, sizeof command,
             "cd %s && mkdir data/new && touch data/new/f other2 && mv other data/moved", folder);
    assert_int_equal(system(command), 0);
    assert_true(protect_marks_follow(marks));
    while (protect_marks_put(marks, &sink) > 0)
        ;
    assert_int_equal(seen.folders, 1);
    assert_int_equal(seen.files, 2);
    marks = protect_marks_free(marks);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_services_may_not_and_others_may, start),
        cmocka_unit_test_setup(test_what_is_allowed_is_allowed_below_its_path_only, start),
        cmocka_unit_test_setup(test_a_flagged_lineage_is_allowed_nothing, start),
        cmocka_unit_test_setup(test_what_a_server_needs_of_the_system, start),
        cmocka_unit_test_setup(test_kinds, start),
        cmocka_unit_test_setup(test_settings_that_are_refused, start),
        cmocka_unit_test_setup(test_roots_are_the_machines_and_the_declared, start),
        cmocka_unit_test_setup(test_shared_settings_are_the_same_and_cannot_be_written, start),
        cmocka_unit_test_setup(test_all_that_is_below_a_folder_is_found_and_followed, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
