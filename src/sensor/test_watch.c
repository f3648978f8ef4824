// SPDX-License-Identifier: Apache-2.0
// Bytes of a notification group, and the table of folders. Real files are in tests/kernel/test_watch.c.
#include "base/test.h"

#include "sensor/watch_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/fanotify.h>

static size_t add_info(char *out, uint8_t type, const char *handle, const char *name)
{
    struct fanotify_event_info_fid head = {0};
    struct {
        uint32_t bytes;
        int32_t type;
    } file = {(uint32_t)strlen(handle), 1};
    size_t n = sizeof head + sizeof file + strlen(handle) + (name ? strlen(name) + 1 : 0);
    n = (n + 3) & ~3ul;
    memset(out, 0, n);
    head.hdr.info_type = type;
    head.hdr.len = (uint16_t)n;
    head.fsid.val[0] = 7;
    memcpy(out, &head, sizeof head);
    memcpy(out + sizeof head, &file, sizeof file);
    memcpy(out + sizeof head + sizeof file, handle, strlen(handle));
    if (name)
        memcpy(out + sizeof head + sizeof file + strlen(handle), name, strlen(name));
    return n;
}

static size_t add_event(char *out, uint64_t mask, const char *name, const char *to)
{
    struct fanotify_event_metadata m = {.vers = FANOTIFY_METADATA_VERSION,
                                        .metadata_len = sizeof m,
                                        .mask = mask,
                                        .fd = -1,
                                        .pid = 42};
    size_t n = sizeof m;
    if (name)
        n += add_info(out + n,
                      to ? FAN_EVENT_INFO_TYPE_OLD_DFID_NAME : FAN_EVENT_INFO_TYPE_DFID_NAME,
                      "folder01", name);
    if (to)
        n += add_info(out + n, FAN_EVENT_INFO_TYPE_NEW_DFID_NAME, "folder02", to);
    m.event_len = (uint32_t)n;
    memcpy(out, &m, sizeof m);
    return n;
}

static void events_are_read_one_after_the_other(void **state)
{
    (void)state;
    char bytes[1024];
    struct watch_record r;
    size_t n = add_event(bytes, FAN_CREATE, "new", NULL);
    n += add_event(bytes + n, FAN_RENAME, "old", "newer");
    n += add_event(bytes + n, FAN_Q_OVERFLOW, NULL, NULL);
    struct str rest = str_bytes(bytes, n);
    assert_int_equal(watch_parse(&rest, &r), 1);
    assert_true(r.mask == FAN_CREATE && r.pid == 42 && str_eq(r.at.name, STR("new")));
    assert_int_equal(r.at.folder.n, 8 + 8 + 8);
    assert_int_equal(watch_parse(&rest, &r), 1);
    assert_true(str_eq(r.at.name, STR("old")) && str_eq(r.to.name, STR("newer")));
    assert_false(str_eq(r.at.folder, r.to.folder));
    assert_int_equal(watch_parse(&rest, &r), 1);
    assert_true(r.mask == FAN_Q_OVERFLOW && !r.at.folder.n);
    assert_int_equal(watch_parse(&rest, &r), 0);
}

static void no_length_is_believed(void **state)
{
    (void)state;
    char bytes[512], copy[512];
    struct watch_record r;
    size_t n = add_event(bytes, FAN_CREATE, "new", NULL);
    for (size_t cut = 1; cut < n; cut++) { // in a block of its own, so that reading past it is seen
        char *exact = malloc(cut);
        memcpy(exact, bytes, cut);
        struct str rest = str_bytes(exact, cut);
        assert_int_equal(watch_parse(&rest, &r), -EBADMSG);
        assert_int_equal(rest.n, 0);
        free(exact);
    }
    for (size_t i = 0; i < n; i++) // any byte may be anything
        for (unsigned value = 0; value < 256; value += 5) {
            memcpy(copy, bytes, n);
            copy[i] = (char)value;
            struct str rest = str_bytes(copy, n);
            int got = watch_parse(&rest, &r);
            assert_true(got == 1 || got == -EBADMSG);
        }
}

static void a_name_is_one_component(void **state)
{
    (void)state;
    char bytes[1024], name[300];
    struct watch_record r;
    static const char *const bad[] = {"a/b", "/", ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct str rest = str_bytes(bytes, add_event(bytes, FAN_CREATE, bad[i], NULL));
        assert_int_equal(watch_parse(&rest, &r), -EBADMSG);
    }
    memset(name, 'x', sizeof name);
    name[256] = 0;
    struct str rest = str_bytes(bytes, add_event(bytes, FAN_CREATE, name, NULL));
    assert_int_equal(watch_parse(&rest, &r), -EBADMSG);
    name[255] = 0;
    rest = str_bytes(bytes, add_event(bytes, FAN_CREATE, name, NULL));
    assert_int_equal(watch_parse(&rest, &r), 1);
}

static void paths_follow_a_moved_folder(void **state)
{
    (void)state;
    struct env env = env_real(-1);
    struct watch *w;
    char out[WATCH_PATH];
    assert_int_equal(watch_new(&(struct watch_options){.env = &env}, &w), 0);
    struct watch_node *etc = watch_add(w, NULL, STR("/etc"), true);
    struct watch_node *a = watch_add(w, etc, STR("a"), true);
    struct watch_node *b = watch_add(w, a, STR("b"), true);
    assert_true(str_eq(watch_path(b, STR("f"), out), STR("/etc/a/b/f")));
    assert_int_equal(watch_move(w, a, etc, STR("c")), 0);
    assert_true(str_eq(watch_path(b, STR_NONE, out), STR("/etc/c/b")));
    assert_null(watch_find(w, etc, STR("a")));
    assert_ptr_equal(watch_find(w, etc, STR("c")), a);
    assert_int_equal(watch_stats(w).folders, 3);
    watch_remove(w, a);
    assert_int_equal(watch_stats(w).folders, 1);
    watch_remove(w, etc);
    watch_free(w);
}

static void the_table_has_a_bound_and_says_so(void **state)
{
    (void)state;
    struct env env = env_real(-1);
    struct watch *w;
    char name[32];
    assert_int_equal(watch_new(&(struct watch_options){.env = &env}, &w), 0);
    struct watch_node *top = watch_add(w, NULL, STR("/etc"), true);
    for (unsigned i = 0; i < WATCH_FOLDERS_MAX + 10; i++) {
        snprintf(name, sizeof name, "%u", i);
        watch_add(w, top, str_from(name), true);
    }
    for (unsigned i = 0; i < WATCH_FILES_MAX + 10; i++) {
        snprintf(name, sizeof name, "f%u", i);
        watch_add(w, top, str_from(name), false);
    }
    struct watch_stats s = watch_stats(w);
    assert_int_equal(s.folders, WATCH_FOLDERS_MAX);
    assert_int_equal(s.full, 11);
    assert_int_equal(s.files, WATCH_FILES_MAX);
    assert_int_equal(s.full_files, 10);
    assert_non_null(strstr(s.first_refused, "/etc/"));
    watch_remove(w, top);
    watch_free(w);
}

static void classes_have_the_words_of_the_schema(void **state)
{
    (void)state;
    static const char *const words[] = {"elsewhere", "program", "config",    "web",
                                        "home",      "log",     "temporary", "protected"};
    assert_int_equal(sizeof words / sizeof *words, WATCH_CLASSES);
    for (int i = 0; i < WATCH_CLASSES; i++)
        assert_string_equal(watch_word(i), words[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_read_one_after_the_other),
        cmocka_unit_test(no_length_is_believed),
        cmocka_unit_test(a_name_is_one_component),
        cmocka_unit_test(paths_follow_a_moved_folder),
        cmocka_unit_test(the_table_has_a_bound_and_says_so),
        cmocka_unit_test(classes_have_the_words_of_the_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
