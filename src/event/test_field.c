// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "event/field_table.h"

#include <errno.h>

static struct arena arena;

static struct field_value get(const Tiercel__Event *event, const char *category, const char *name)
{
    const struct field *f = field_find(category, str_from(name));
    if (!f)
        fail_msg("no field %s", name);
    return field_get(f, event, &arena);
}

static void set(Tiercel__Event *event, const char *name, const char *text)
{
    struct error e = {0};
    const struct field *f = field_find(event_category(event), str_from(name));
    if (!f || field_set(f, event, str_from(text), &arena, &e) != 0)
        fail_msg("%s = %s: %s", name, text, f ? e.what : "no such field");
}

static int refused(Tiercel__Event *event, const char *name, const char *text)
{
    struct error e = {0};
    const struct field *f = field_find(event_category(event), str_from(name));
    assert_non_null(f);
    int r = field_set(f, event, str_from(text), &arena, &e);
    assert_true(r < 0 && e.what[0]);
    assert_int_equal(e.code, r);
    return r;
}

static void assert_text(struct field_value v, const char *text)
{
    assert_int_not_equal(v.type, FIELD_ABSENT);
    assert_int_not_equal(v.type, FIELD_LIST);
    if (!str_eq(v.text, str_from(text)))
        fail_msg("'" STR_FMT "' is not '%s'", STR_ARG(v.text), text);
}

static int clear(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

// The names that rules were promised; a missing one would make a rule unusable.
static void test_field_promised_names_exist(void **state)
{
    static const char *const process[] = {"Image",
                                          "CommandLine",
                                          "ParentImage",
                                          "ParentCommandLine",
                                          "User",
                                          "CurrentDirectory",
                                          "LogonId",
                                          "ProcessId",
                                          "ParentProcessId",
                                          "Lineage",
                                          "LineageService",
                                          "LineageUnit",
                                          "LineageDepth",
                                          "LineageId",
                                          "Container",
                                          "Script",
                                          "Argv",
                                          "Environment",
                                          "Stdin",
                                          "Stdout",
                                          "Stderr",
                                          "MemoryOnly",
                                          "Deleted",
                                          "FileOwner",
                                          "FileMode",
                                          "FileAge",
                                          "Uid",
                                          "LoginUid",
                                          "HashDiffers",
                                          "Unguarded",
                                          "PreviousImage",
                                          "ParentUser",
                                          "Denied",
                                          NULL};
    static const char *const network[] = {"Image",
                                          "CommandLine",
                                          "ParentImage",
                                          "User",
                                          "DestinationIp",
                                          "DestinationPort",
                                          "DestinationHostname",
                                          "SourceIp",
                                          "SourcePort",
                                          "Protocol",
                                          "Initiated",
                                          "Lineage",
                                          "LineageService",
                                          "LineageUnit",
                                          "LineageDepth",
                                          "LineageId",
                                          "Denied",
                                          NULL};
    static const char *const file[] = {"TargetFilename", "Image", "User", "Lineage", NULL};
    static const char *const dns[] = {"QueryName", "QueryResults", "Image", NULL};
    static const struct {
        const char *category, *const *names;
    } all[] = {{"process_creation", process},
               {"network_connection", network},
               {"file_event", file},
               {"file_delete", file},
               {"dns_query", dns}};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (const char *const *name = all[i].names; *name; name++) {
            const struct field *f = field_find(all[i].category, str_from(*name));
            if (!f)
                fail_msg("%s has no %s", all[i].category, *name);
            assert_string_equal(field_sigma_name(f), *name);
        }
    assert_null(field_find("process_creation", STR("DestinationIp")));
    assert_null(field_find("process_creation", STR("image"))); // case counts
    assert_null(field_find("webserver", STR("Image")));
    assert_null(field_find(NULL, STR("")));
}

static void test_field_found_by_every_kind_of_name(void **state)
{
    (void)state;
    const struct field *image = field_find("process_creation", STR("Image"));
    assert_ptr_equal(field_find("process_creation", STR("process.file.path")), image);
    assert_ptr_equal(field_find(NULL, STR("process.image.path")), image);
    assert_string_equal(
        field_path(field_find("network_connection", STR("actor.process.file.path"))),
        "process.image.path");
    assert_null(field_find("process_creation", STR("dst_endpoint.ip")));
    // the path of a computed field leads to what it is computed from
    assert_string_equal(field_sigma_name(field_find(NULL, STR("process.argv"))), "Argv");
    assert_string_equal(field_path(field_find(NULL, STR("parent.namespaces.cgroup"))),
                        "parent.namespaces.cgroup");
    assert_null(field_find(NULL, STR("process")));
    assert_null(field_find(NULL, STR("process.image")));
}

static void test_field_lines_are_consistent(void **state)
{
    (void)state;
    size_t n = 0;
    for (const struct field *f = NULL; (f = field_next(f)); n++) {
        assert_non_null(field_sigma_name(f));
        assert_non_null(field_column(f));
        assert_non_null(field_about(f));
        assert_non_null(field_categories(f));
        for (const struct field *g = f; (g = field_next(g));) // one meaning a name and category
            if (f->categories & g->categories) {
                assert_string_not_equal(field_sigma_name(f), field_sigma_name(g));
                if (field_ocsf(f) && field_ocsf(g))
                    assert_string_not_equal(field_ocsf(f), field_ocsf(g));
            }
    }
    assert_true(n > 40);
    for (const struct field *f = NULL; (f = field_next_leaf(f)); n++)
        assert_non_null(field_find(NULL, str_from(field_path(f))));
    assert_true(n > 150);
}

static void test_field_unset_is_absent(void **state)
{
    static const char *const kinds[] = {"process_creation", "process_termination",
                                        "network_connection", "file_event", "dns_query"};
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        Tiercel__Event *event = event_new(kinds[i], &arena);
        assert_non_null(event);
        assert_string_equal(event_category(event), kinds[i]);
        for (const struct field *f = NULL; (f = field_next(f));)
            if (strcmp(field_sigma_name(f), "FileAction") != 0)
                assert_int_equal(field_get(f, event, &arena).type, FIELD_ABSENT);
    }
    assert_null(event_new("webserver", &arena));
}

// Absent and empty differ: a script of "" was observed.
static void test_field_empty_is_not_absent(void **state)
{
    (void)state;
    Tiercel__Event *event = event_new("process_creation", &arena);
    set(event, "Script", "");
    assert_int_equal(get(event, "process_creation", "Script").type, FIELD_TEXT);
    assert_text(get(event, "process_creation", "Script"), "");
    set(event, "LineageDepth", "0");
    assert_text(get(event, "process_creation", "LineageDepth"), "0");
    set(event, "MemoryOnly", "false");
    assert_text(get(event, "process_creation", "MemoryOnly"), "false");
}

static void test_field_set_then_get(void **state)
{
    static const char *const texts[][2] = {
        {"Image", "/usr/bin/id"},
        {"CommandLine", "sh -c  id; 'a  b' "},
        {"ParentImage", "/usr/sbin/nginx"},
        {"ParentCommandLine", "nginx: worker process"},
        {"User", "www-data"},
        {"CurrentDirectory", "/srv"},
        {"LogonId", "7"},
        {"ProcessId", "4294967295"},
        {"ParentProcessId", "1"},
        {"Lineage", "web"},
        {"LineageService", "/usr/sbin/nginx"},
        {"LineageUnit", "nginx.service"},
        {"LineageDepth", "2"},
        {"LineageId", "77:18446744073709551615"},
        {"Container", "0123456789ab"},
        {"Stderr", "null"},
        {"Stdin", "socket"},
        {"MemoryOnly", "true"},
        {"FileOwner", "33"},
        {"FileMode", "4755"},
        {"FileAge", "3600"},
        {"Hashes", "SHA256=00ff"},
        {"sha256", "00ff"},
        {"PreviousImage", "/bin/sh"},
        {"Denied", "true"},
        {"process.started", "1700000000000000000"},
        {"process.descriptors", "pipe"},
    };
    (void)state;
    Tiercel__Event *event = event_new("process_creation", &arena);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        set(event, texts[i][0], texts[i][1]);
        if (strcmp(texts[i][0], "process.descriptors") != 0)
            assert_text(get(event, "process_creation", texts[i][0]), texts[i][1]);
    }
    assert_text(get(event, "process_creation", "Stdout"), "other"); // below Stderr, not given
    assert_int_equal(get(event, "process_creation", "FileAge").number, 3600);
    struct field_value argv = get(event, "process_creation", "Argv");
    assert_int_equal(argv.type, FIELD_LIST);
    assert_int_equal(argv.n, 8);
    assert_true(str_eq(argv.list[2], STR("")) && str_eq(argv.list[3], STR("id;")));
    // what was made is a whole event: every required part is there
    uint8_t packed[4096];
    assert_true(tiercel__event__get_packed_size(event) < sizeof packed);
    Tiercel__Event *copy =
        tiercel__event__unpack(NULL, tiercel__event__pack(event, packed), packed);
    assert_non_null(copy);
    assert_text(get(copy, "process_creation", "CommandLine"), "sh -c  id; 'a  b' ");
    tiercel__event__free_unpacked(copy, NULL);
}

static void test_field_network(void **state)
{
    (void)state;
    Tiercel__Event *event = event_new("network_connection", &arena);
    set(event, "DestinationIp", "127.66.0.1");
    set(event, "DestinationPort", "4444");
    set(event, "SourceIp", "2001:db8::1");
    set(event, "Protocol", "tcp");
    set(event, "Initiated", "true");
    assert_int_equal(event->connect->protocol, 6);
    assert_int_equal(event->connect->destination->ip.len, 4);
    assert_int_equal(get(event, NULL, "DestinationIp").type, FIELD_ADDRESS);
    assert_text(get(event, NULL, "DestinationIp"), "127.66.0.1");
    assert_text(get(event, NULL, "SourceIp"), "2001:db8::1");
    assert_text(get(event, NULL, "Protocol"), "tcp");
    assert_text(get(event, NULL, "Initiated"), "true");
    assert_int_equal(get(event, NULL, "DestinationPort").number, 4444);
    // an IPv4 address in IPv6 dress must not slip past a rule for IPv4
    set(event, "DestinationIp", "::ffff:10.1.2.3");
    assert_int_equal(event->connect->destination->ip.len, 16);
    assert_text(get(event, NULL, "DestinationIp"), "10.1.2.3");
    set(event, "Protocol", "47");
    assert_text(get(event, NULL, "Protocol"), "47");
    // an address of another length is damaged: not observed
    event->connect->destination->ip.len = 7;
    assert_int_equal(get(event, NULL, "DestinationIp").type, FIELD_ABSENT);
}

static void test_field_lists(void **state)
{
    (void)state;
    Tiercel__Event *event = event_new("dns_query", &arena);
    set(event, "QueryName", "example.org");
    set(event, "QueryResults", "192.0.2.1");
    set(event, "QueryResults", "192.0.2.2");
    struct field_value v = get(event, "dns_query", "QueryResults");
    assert_int_equal(v.n, 2);
    assert_true(str_eq(v.list[0], STR("192.0.2.1")) && str_eq(v.list[1], STR("192.0.2.2")));
}

static void test_field_user_without_a_name_is_its_number(void **state)
{
    (void)state;
    Tiercel__Event *event = event_new("process_creation", &arena);
    set(event, "EffectiveUid", "4711");
    assert_text(get(event, "process_creation", "User"), "4711");
    set(event, "User", "root");
    assert_text(get(event, "process_creation", "User"), "root");
}

static void test_field_of_another_kind(void **state)
{
    (void)state;
    Tiercel__Event *event = event_new("process_creation", &arena);
    const struct field *f = field_find(NULL, STR("DestinationIp"));
    struct error e = {0};
    assert_int_equal(field_set(f, event, STR("10.0.0.1"), &arena, &e), -EINVAL);
    assert_non_null(strstr(e.what, "kind of event"));
    assert_int_equal(field_get(f, event, &arena).type, FIELD_ABSENT);
}

static void test_field_set_refuses_what_does_not_fit(void **state)
{
    (void)state;
    Tiercel__Event *event = event_new("process_creation", &arena);
    static const char *const bad[][2] = {{"ProcessId", "4294967296"},
                                         {"ProcessId", "-1"},
                                         {"ProcessId", ""},
                                         {"ProcessId", "0x10"},
                                         {"Stdin", "Socket"},
                                         {"Stdin", ""},
                                         {"Denied", "yes"},
                                         {"LineageId", "12"},
                                         {"LineageId", "4294967296:1"},
                                         {"LineageId", ":"},
                                         {"FileMode", "4758"},
                                         {"FileMode", "17777"},
                                         {"FileMode", ""},
                                         {"Hashes", "MD5=00"},
                                         {"sha256", "0"},
                                         {"sha256", "zz"},
                                         {"FileAge", "1.5"},
                                         {"FileAge", "18446744074"},
                                         {"process.started", "2024-13-01T00:00:00Z"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(refused(event, bad[i][0], bad[i][1]), -EINVAL);
    event = event_new("network_connection", &arena);
    assert_int_equal(refused(event, "DestinationIp", "10.0.0"), -EINVAL);
    assert_int_equal(refused(event, "DestinationIp", "10.0.0.1/8"), -EINVAL);
    assert_int_equal(refused(event, "DestinationIp", ""), -EINVAL);
    struct error e = {0};
    assert_int_equal(field_set(field_find(NULL, STR("Lineage")), event, STR("we\0b"), &arena, &e),
                     -EINVAL);
}

static void test_field_full_arena_is_absent_and_counted(void **state)
{
    (void)state;
    Tiercel__Event *event = event_new("process_creation", &arena);
    set(event, "CommandLine", "a b");
    struct arena tiny = {.limit = 1};
    const struct field *f = field_find(NULL, STR("CommandLine"));
    assert_int_equal(field_get(f, event, &tiny).type, FIELD_ABSENT);
    assert_int_equal(tiny.failed, 1);
    assert_int_equal(field_set(f, event, STR("c d"), &tiny, NULL), -ENOMEM);
    arena_done(&tiny);
}

static void test_field_nearest_name(void **state)
{
    (void)state;
    assert_string_equal(field_nearest("process_creation", STR("Comandline")), "CommandLine");
    assert_string_equal(field_nearest("process_creation", STR("image")), "Image");
    assert_string_equal(field_nearest("network_connection", STR("DestinationIP")), "DestinationIp");
    assert_string_equal(field_nearest(NULL, STR("proces.image.path")), "process.image.path");
    assert_null(field_nearest("process_creation", STR("DestinationIp")));
    assert_null(field_nearest("process_creation", STR("Xyzzy")));
    assert_null(field_nearest("process_creation", STR("")));
    char many[5000];
    memset(many, 'I', sizeof many);
    assert_null(field_nearest(NULL, str_bytes(many, sizeof many)));
}

static void test_field_file_categories(void **state)
{
    (void)state;
    Tiercel__Event *event = event_new("file_event", &arena);
    event->file->action = TIERCEL__FILE_CHANGE__ACTION__RENAME;
    assert_string_equal(event_category(event), "file_event");
    assert_text(get(event, "file_event", "FileAction"), "rename");
    event->file->action = TIERCEL__FILE_CHANGE__ACTION__DELETE;
    assert_string_equal(event_category(event), "file_delete");
    Tiercel__Event other = TIERCEL__EVENT__INIT;
    assert_null(event_category(&other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_field_promised_names_exist, clear),
        cmocka_unit_test_teardown(test_field_found_by_every_kind_of_name, clear),
        cmocka_unit_test_teardown(test_field_lines_are_consistent, clear),
        cmocka_unit_test_teardown(test_field_unset_is_absent, clear),
        cmocka_unit_test_teardown(test_field_empty_is_not_absent, clear),
        cmocka_unit_test_teardown(test_field_set_then_get, clear),
        cmocka_unit_test_teardown(test_field_network, clear),
        cmocka_unit_test_teardown(test_field_lists, clear),
        cmocka_unit_test_teardown(test_field_user_without_a_name_is_its_number, clear),
        cmocka_unit_test_teardown(test_field_of_another_kind, clear),
        cmocka_unit_test_teardown(test_field_set_refuses_what_does_not_fit, clear),
        cmocka_unit_test_teardown(test_field_full_arena_is_absent_and_counted, clear),
        cmocka_unit_test_teardown(test_field_nearest_name, clear),
        cmocka_unit_test_teardown(test_field_file_categories, clear),
    };
    return cmocka_run_group_tests_name("field", tests, NULL, NULL);
}
