// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "base/test.h"
#include "intel/import.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define GROUP                                                                                      \
    "{\"type\":\"intrusion-set\",\"id\":\"intrusion-set--1\",\"name\":\"Quiet "                    \
    "Heron\",\"created\":"                                                                         \
    "\"2014-05-01T00:00:00Z\",\"modified\":\"2015-01-01T00:00:00Z\",\"aliases\":[\"Quiet "         \
    "Heron\",\"Grey-Wader\"],\"external_references\":[{\"source_name\":\"mitre-attack\","          \
    "\"external_id\":\"G9001\"}]}"
#define NEWER                                                                                      \
    "{\"type\":\"intrusion-set\",\"id\":\"intrusion-set--1\",\"name\":\"Loud Heron\",\"created\":" \
    "\"2014-05-01T00:00:00Z\",\"modified\":\"2017-01-01T00:00:00Z\"}"
#define TOOL                                                                                       \
    "{\"type\":\"tool\",\"id\":\"tool--1\",\"name\":\"wader \\\"}]\",\"created\":"                 \
    "\"2014-05-01T00:00:00Z\"}"
#define USES(id, url)                                                                              \
    "{\"type\":\"relationship\",\"id\":\"relationship--" id                                        \
    "\",\"created\":\"2016-05-01T00:00:00Z\",\"relationship_type\":\"uses\",\"source_ref\":"       \
    "\"intrusion-set--1\",\"target_ref\":\"tool--1\",\"external_references\":[{\"source_name\":"   \
    "\"r\",\"url\":\"" url "\"}]}"
#define BUNDLE(objects)                                                                            \
    "{\"type\":\"bundle\",\"x\":{\"objects\":[{}]},\"id\":\"bundle--1\",\"objects\" : [" objects   \
    "]}"

static char file[64];

static int setup(void **state)
{
    (void)state;
    char folder[] = "/tmp/tiercel-knowledge-XXXXXX";
    if (!mkdtemp(folder))
        return -1;
    snprintf(file, sizeof file, "%s/k.db", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    static const char *const ends[] = {"", "-wal", "-shm"};
    char path[80];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s%s", file, ends[i]);
        unlink(path);
    }
    *strrchr(file, '/') = 0;
    return rmdir(file);
}

struct said {
    char why[8][96];
    unsigned n;
};

static void problem(void *context, uint64_t number, struct str id, const char *why)
{
    struct said *said = context;
    (void)number, (void)id;
    if (said->n < 8)
        snprintf(said->why[said->n++], 96, "%s", why);
}

static int feed(struct import *i, struct knowledge *k, struct str text, size_t piece)
{
    struct error e = {0};
    int64_t source = 0;
    assert_int_equal(knowledge_source(k, STR("a feed"), STR("B"), 1, &source, &e), 0);
    i->knowledge = k;
    i->source = source;
    i->now = 1500000000;
    import_begin(i);
    int r = 0;
    for (size_t at = 0; r == 0 && at < text.n; at += piece)
        r = import_feed(i, str_bytes(text.p + at, text.n - at < piece ? text.n - at : piece), &e);
    return r ? r : import_end(i, &e);
}

static int count(void *context, const struct knowledge_row *row)
{
    struct knowledge_row *last = context;
    *last = *row;
    last->grade++; // keeps the row's own numbers; views are dead after the call
    return 0;
}

static int number(void *context, const struct knowledge_row *row)
{
    (void)row;
    ++*(int *)context;
    return 0;
}

static struct knowledge *opened(void)
{
    struct knowledge *k = NULL;
    struct error e = {0};
    assert_int_equal(knowledge_open(file, true, &k, &e), 0);
    return k;
}

static void test_same_feed_twice_changes_nothing_whatever_the_pieces(void **state)
{
    (void)state;
    struct knowledge *k = opened();
    struct import one = {0}, two = {0};
    struct str text = STR(BUNDLE(GROUP "," TOOL "," USES("1", "https://a.example/r")));
    assert_int_equal(feed(&one, k, text, 1), 0);
    assert_int_equal(one.counts[KNOWLEDGE_NEW], 3);
    assert_int_equal(one.refused, 0);
    int64_t version = knowledge_version(k, NULL);
    assert_int_equal(feed(&two, k, text, 1000), 0);
    assert_int_equal(two.counts[KNOWLEDGE_SAME], 3);
    assert_int_equal(knowledge_version(k, NULL), version);
    import_done(&one);
    import_done(&two);
    knowledge_close(k);
}

static int named(void *context, const struct knowledge_row *row)
{
    snprintf(context, 64, STR_FMT, STR_ARG(row->name));
    return 0;
}

static void test_older_versions_and_dates_can_be_read_again(void **state)
{
    (void)state;
    struct knowledge *k = opened();
    struct import i = {0};
    assert_int_equal(feed(&i, k, STR(BUNDLE(GROUP "," NEWER "," GROUP)), 7), 0);
    assert_int_equal(i.counts[KNOWLEDGE_CHANGED], 1);
    struct knowledge_view now = {0}, then = {.at = 20160101}, first = {.version = 1};
    char name[64] = "";
    assert_int_equal(
        knowledge_find(k, STR("intrusion-set--1"), KNOWLEDGE_KINDS, &now, named, name, NULL), 0);
    assert_string_equal(name, "Loud Heron");
    knowledge_find(k, STR("grey wader"), KNOWLEDGE_GROUP, &then, named, name, NULL);
    assert_string_equal(name, "Quiet Heron");
    *name = 0;
    knowledge_find(k, STR("G9001"), KNOWLEDGE_GROUP, &first, named, name, NULL);
    assert_string_equal(name, "Quiet Heron");
    struct knowledge_view before = {.at = 20130101};
    int n = 0;
    knowledge_find(k, STR("Quiet Heron"), KNOWLEDGE_GROUP, &before, number, &n, NULL);
    assert_int_equal(n, 0);
    import_done(&i);
    knowledge_close(k);
}

static void test_one_report_through_two_links_counts_once(void **state)
{
    (void)state;
    struct knowledge *k = opened();
    struct import i = {0};
    struct str text = STR(BUNDLE(GROUP "," TOOL "," USES("1", "https://www.a.example/r/") "," USES(
        "2", "http://a.example/r#p2") "," USES("3", "http://b.example/")));
    struct knowledge_view all = {0};
    struct knowledge_row row = {0};
    assert_int_equal(feed(&i, k, text, 64), 0);
    assert_int_equal(knowledge_links(k, STR("intrusion-set--1"), false, &all, count, &row, NULL),
                     0);
    assert_int_equal(row.origins, 2);
    assert_int_equal(row.dated, 20160501);
    import_done(&i);
    knowledge_close(k);
}

static void test_wrong_objects_are_named_and_the_others_kept(void **state)
{
    (void)state;
    struct knowledge *k = opened();
    struct said said = {0};
    struct import i = {.problem = problem, .context = &said};
    _cleanup_buf_ struct buf text = {0};
    buf_addf(&text, "{\"objects\":[{\"type\":7},{\"type\":\"tool\",\"id\":\"x\",\"name\":\"x\"},");
    buf_addf(&text, "{\"type\":\"domain-name\",\"id\":\"domain-name--1\",\"value\":\"%0300d\"},",
             0);
    buf_addf(&text, "{\"type\":\"tool\",\"a\":");
    for (int n = 0; n < 100000; n++)
        buf_add_char(&text, '[');
    for (int n = 0; n < 100000; n++)
        buf_add_char(&text, ']');
    buf_addf(&text, "},{\"type\":\"tool\",\"a\":\"%01100000d\"}," TOOL "]}", 0);
    assert_int_equal(feed(&i, k, buf_str(&text), 4096), 0);
    assert_int_equal(i.refused, 5);
    assert_int_equal(i.counts[KNOWLEDGE_NEW], 1);
    assert_string_equal(said.why[0], "no type");
    assert_string_equal(said.why[1], "no id of the form TYPE--UUID");
    assert_string_equal(said.why[2], "a domain name over 253 bytes");
    assert_string_equal(said.why[3], "nested deeper than 64");
    assert_string_equal(said.why[4], "over 1 MiB");
    import_done(&i);
    knowledge_close(k);
}

static void test_a_bundle_cut_short_is_said_and_resumed(void **state)
{
    (void)state;
    struct knowledge *k = opened();
    struct import i = {0}, again = {0}, none = {0};
    struct str whole = STR(BUNDLE(GROUP "," TOOL)), cut = {whole.p, whole.n - 20};
    assert_int_equal(feed(&i, k, cut, 50), -EINVAL);
    assert_int_equal(i.counts[KNOWLEDGE_NEW], 1);
    assert_int_equal(feed(&again, k, whole, 50), 0);
    assert_int_equal(again.counts[KNOWLEDGE_SAME], 1);
    assert_int_equal(again.counts[KNOWLEDGE_NEW], 1);
    assert_int_equal(feed(&none, k, STR("{\"type\":\"objects\"}"), 5), -EINVAL);
    import_done(&i);
    import_done(&again);
    import_done(&none);
    knowledge_close(k);
}

static void test_names_shared_by_two_groups_stay_two(void **state)
{
    (void)state;
    struct knowledge *k = opened();
    struct import i = {0};
    struct str text = STR(BUNDLE(
        GROUP ",{\"type\":\"threat-actor\",\"id\":\"threat-actor--2\",\"name\":\"GREYWADER\","
              "\"confidence\":40}"));
    struct knowledge_view all = {0};
    char name[64] = "";
    int n = 0;
    assert_int_equal(feed(&i, k, text, 64), 0);
    knowledge_find(k, STR("Grey Wader"), KNOWLEDGE_GROUP, &all, number, &n, NULL);
    assert_int_equal(n, 2);
    knowledge_namesakes(k, STR("intrusion-set--1"), &all, named, name, NULL);
    assert_string_equal(name, "GREYWADER");
    import_done(&i);
    knowledge_close(k);
}

static void test_indicators_are_found_by_the_values_of_their_patterns(void **state)
{
    (void)state;
    struct knowledge *k = opened();
    struct said said = {0};
    struct import i = {.problem = problem, .context = &said};
    struct str text = STR(BUNDLE("{\"type\":\"indicator\",\"id\":\"indicator--1\",\"name\":\"i\","
                                 "\"pattern\":\"[ipv4-addr:value "
                                 "= '127.66.0.9' OR domain-name:value = "
                                 "'Heron.example']\",\"valid_until\":\"2016-01-01T00:00:00Z\"},"
                                 "{\"type\":\"indicator\",\"id\":\"indicator--2\",\"pattern\":\"["
                                 "ipv4-addr:value = '127.66\"},"
                                 "{\"type\":\"indicator\",\"id\":\"indicator--3\",\"pattern_type\":"
                                 "\"yara\",\"pattern\":\"rule x\"}"));
    struct knowledge_view all = {0};
    struct knowledge_row row = {0};
    assert_int_equal(feed(&i, k, text, 64), 0);
    assert_int_equal(i.counts[KNOWLEDGE_NEW], 2);
    assert_int_equal(i.refused, 1);
    assert_string_equal(said.why[0], "pattern, column 27: the quote is not closed");
    knowledge_find(k, STR("heron.example"), KNOWLEDGE_KINDS, &all, count, &row, NULL);
    assert_int_equal(row.kind, KNOWLEDGE_INDICATOR);
    assert_int_equal(row.valid_until, 20160101);
    int n = 0;
    knowledge_find(k, STR("1276609"), KNOWLEDGE_KINDS, &all, number, &n, NULL);
    assert_int_equal(n, 0);
    import_done(&i);
    knowledge_close(k);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_same_feed_twice_changes_nothing_whatever_the_pieces),
        TEST(test_older_versions_and_dates_can_be_read_again),
        TEST(test_one_report_through_two_links_counts_once),
        TEST(test_wrong_objects_are_named_and_the_others_kept),
        TEST(test_a_bundle_cut_short_is_said_and_resumed),
        TEST(test_indicators_are_found_by_the_values_of_their_patterns),
        TEST(test_names_shared_by_two_groups_stay_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
