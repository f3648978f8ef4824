// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "base/test.h"
#include "cli/draw.h"
#include "cli/found.h"
#include "cli/live.h"
#include "event/json.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define S ((uint64_t)1000000000)
#define NOW ((uint64_t)1795449600 * S) // 2026-11-23 16:00:00 UTC

static struct arena arena;
static const struct term plain = {.utf8 = true};
static const struct term narrow = {.utf8 = true, .terminal = true, .width = 72};

static void *message(const ProtobufCMessageDescriptor *type, const char *text)
{
    ProtobufCMessage *m = NULL;
    struct error e = {0};
    if (json_parse(str_from(text), type, &arena, &m, &e) != 0)
        fail_msg("%s: column %u of %s", e.what, e.column, text);
    return m;
}

static Tiercel__Process *process(unsigned pid, const char *rest)
{
    char text[1024];
    snprintf(text, sizeof text, "{\"id\":{\"pid\":%u,\"start\":%u}%s}", pid, pid, rest);
    return message(&tiercel__process__descriptor, text);
}

static Tiercel__Event *exec_event(uint64_t id, const char *image, const char *role)
{
    char rest[512];
    Tiercel__Event *event = arena_new(&arena, Tiercel__Event);
    tiercel__event__init(event);
    snprintf(rest, sizeof rest,
             ",\"image\":{\"path\":\"%s\"},\"argv\":[\"%s\",\"-c\",\"id\"],\"user\":\"www-data\","
             "\"lineage\":{\"role\":"
             "\"%s\",\"depth\":%u}",
             image, image, role, (unsigned)id);
    event->has_id = event->has_time = true;
    event->id = id;
    event->time = NOW + id * S;
    event->process = process(100 + (unsigned)id, rest);
    event->kind_case = TIERCEL__EVENT__KIND_EXEC;
    event->exec = message(&tiercel__exec__descriptor, "{}");
    return event;
}

static Tiercel__Detection *detection(uint64_t id, const char *level)
{
    Tiercel__Detection *d =
        message(&tiercel__detection__descriptor,
                "{\"rule_id\":\"r1\",\"rule_title\":\"Shell run by a web server\"}");
    d->has_id = d->has_time = true;
    d->id = id;
    d->time = NOW + id * S;
    d->level = (char *)level;
    d->n_tree = 3;
    d->tree = arena_array(&arena, Tiercel__Process *, 3);
    d->tree[0] = process(7, ",\"image\":{\"path\":\"/usr/sbin/nginx\"},\"argv\":[\"nginx: "
                            "master\\u001b[2J\"],\"user\":\"root\"");
    d->tree[1] = process(8, ",\"image\":{\"path\":\"/usr/sbin/php-fpm\"},\"user\":\"www-data\"");
    // Its exec was refused, so the tree still has what it ran before.
    d->tree[2] = process(9, ",\"argv\":[\"php-fpm: pool shop\",\"\",\"\"],\"user\":\"www-data\"");
    d->n_events = 1;
    d->events = arena_array(&arena, Tiercel__Event *, 1);
    d->events[0] = exec_event(id, "/usr/bin/dash", "web");
    d->events[0]->process =
        process(9, ",\"image\":{\"path\":\"/usr/bin/dash\"},\"argv\":[\"sh\",\"-c\",\"whoami\"],"
                   "\"user\":\"www-data\",\"lineage\":{\"role\":\"web\"}");
    return d;
}

static Tiercel__Verdict *verdict(uint64_t of, Tiercel__Action action, bool before)
{
    Tiercel__Verdict *v = arena_new(&arena, Tiercel__Verdict);
    tiercel__verdict__init(v);
    v->has_id = v->has_detection = v->has_action = v->has_before_first_instruction = v->has_time =
        true;
    v->id = of;
    v->time = NOW + of * S;
    v->detection = of;
    v->action = action;
    v->before_first_instruction = before;
    v->has_mechanism = true;
    v->mechanism = TIERCEL__MECHANISM__MECHANISM_GATE;
    return v;
}

// ---- a journal of three segments with two batches each

static char folder[64];

// Batch n of 1 to 6: events 2n-1 and 2n; detection n; the verdict of detection n-1, so that it always comes later.
static Tiercel__Batch *batch(uint64_t n)
{
    Tiercel__Batch *b = arena_new(&arena, Tiercel__Batch);
    tiercel__batch__init(b);
    b->n_events = 2;
    b->events = arena_array(&arena, Tiercel__Event *, 2);
    b->events[0] = exec_event(2 * n - 1, "/usr/bin/curl", "web");
    b->events[1] = exec_event(2 * n, "/usr/bin/id", "cron");
    b->n_detections = 1;
    b->detections = arena_array(&arena, Tiercel__Detection *, 1);
    b->detections[0] = detection(n, n % 2 ? "high" : "low");
    if (n > 1) {
        b->n_verdicts = 1;
        b->verdicts = arena_array(&arena, Tiercel__Verdict *, 1);
        b->verdicts[0] = verdict(n - 1, TIERCEL__ACTION__ACTION_DENY, true);
    }
    return b;
}

static int write_segment(uint64_t number, uint64_t first, uint64_t last, struct segment_writer *w)
{
    char path[128], name[32];
    journal_name(number, name);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    uint8_t hash[32];
    memcpy(hash, w->last, sizeof hash);
    uint64_t sequence = w->sequence;
    int r = fd < 0 ? -errno : segment_writer_init(w, fd, hash, sequence);
    for (uint64_t n = first; r == 0 && n <= last; n++)
        r = segment_append(w, batch(n));
    memcpy(hash, w->last, sizeof hash);
    sequence = w->sequence;
    segment_writer_done(w);
    *w = (struct segment_writer){.sequence = sequence};
    memcpy(w->last, hash, sizeof hash);
    return r;
}

static int setup(void **state)
{
    (void)state;
    struct segment_writer w = {0};
    snprintf(folder, sizeof folder, "%s/cli-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(folder))
        return -1;
    return write_segment(1, 1, 2, &w) || write_segment(2, 3, 4, &w) || write_segment(3, 5, 6, &w);
}

static int teardown(void **state)
{
    (void)state;
    char path[128], name[32];
    for (uint64_t n = 1; n <= 3; n++) {
        journal_name(n, name);
        snprintf(path, sizeof path, "%s/%s", folder, name);
        unlink(path);
    }
    arena_done(&arena);
    return rmdir(folder);
}

static void look(enum look what, struct filter filter, size_t limit, const char *expected_ids)
{
    struct journal *j = NULL;
    struct error e = {0};
    struct found found;
    struct buf ids = {0};
    uint64_t last = 0;
    assert_int_equal(journal_open(folder, &j, &e), 0);
    found_init(&found, limit);
    assert_int_equal(found_look(j, what, &filter, &found, NULL, NULL, &last, &e), 0);
    for (size_t i = 0; i < found.n; i++) {
        struct found_item item = found_get(&found, i);
        if (what == LOOK_EVENTS) {
            Tiercel__Event *event = tiercel__event__unpack(NULL, item.n, item.p);
            buf_addf(&ids, "%llu ", (unsigned long long)event->id);
            tiercel__event__free_unpacked(event, NULL);
        } else {
            Tiercel__Detection *d = tiercel__detection__unpack(NULL, item.n, item.p);
            buf_addf(&ids, "%llu ", (unsigned long long)d->id);
            tiercel__detection__free_unpacked(d, NULL);
        }
    }
    buf_add_char(&ids, 0);
    assert_string_equal(ids.p, expected_ids);
    assert_int_equal(last, what == LOOK_EVENTS ? 12 : 6);
    buf_done(&ids);
    found_done(&found);
    journal_close(j);
}

static struct filter_field field(const char *text)
{
    struct filter_field f = {0};
    struct error e = {0};
    assert_int_equal(filter_parse_field(str_from(text), &f, &e), 0);
    return f;
}

static void test_last_events_across_segments(void **state)
{
    (void)state;
    look(LOOK_EVENTS, (struct filter){0}, 3, "10 11 12 ");
    look(LOOK_EVENTS, (struct filter){0}, 0, "1 2 3 4 5 6 7 8 9 10 11 12 ");
    look(LOOK_EVENTS, (struct filter){.images = {STR("*/CURL")}, .n_images = 1}, 4, "5 7 9 11 ");
    look(LOOK_EVENTS, (struct filter){.lineages = {STR("cron"), STR("ssh")}, .n_lineages = 2}, 2,
         "10 12 ");
    look(LOOK_EVENTS, (struct filter){.since_ns = NOW + 9 * S, .until_ns = NOW + 12 * S}, 0,
         "9 10 11 12 ");
    look(LOOK_EVENTS, (struct filter){.kinds = {STR("connect")}, .n_kinds = 1}, 0, "");
    look(LOOK_DETECTIONS, (struct filter){.levels = {STR("high")}, .n_levels = 1}, 2, "3 5 ");
    look(LOOK_DETECTIONS, (struct filter){.rules = {STR("shell*")}, .n_rules = 1}, 2, "5 6 ");
}

static void test_filter_by_field(void **state)
{
    (void)state;
    look(LOOK_EVENTS, (struct filter){.fields = {field("CommandLine=*curl -c*")}, .n_fields = 1}, 2,
         "9 11 ");
    look(LOOK_EVENTS, (struct filter){.fields = {field("Image!=*/curl")}, .n_fields = 1}, 2,
         "10 12 ");
    look(LOOK_EVENTS, (struct filter){.fields = {field("LineageDepth<3")}, .n_fields = 1}, 0,
         "1 2 ");
    look(LOOK_EVENTS, (struct filter){.fields = {field("LineageDepth > 11")}, .n_fields = 1}, 0,
         "12 ");
    look(LOOK_EVENTS, (struct filter){.fields = {field("DestinationPort=443")}, .n_fields = 1}, 0,
         "");
}

static void test_bad_conditions_are_refused(void **state)
{
    (void)state;
    struct filter_field f;
    struct error e = {0};
    const char *bad[] = {"", "Image", "=x", "Imagee=x", "LineageDepth<three", "!=", "<"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(filter_parse_field(str_from(bad[i]), &f, &e), -EINVAL);
    assert_int_equal(filter_parse_field(STR("Imagee=x"), &f, &e), -EINVAL);
    assert_string_equal(e.what, "there is no field 'Imagee'");
    assert_string_equal(e.way_out, "did you mean 'Image'?");
}

static void test_glob(void **state)
{
    (void)state;
    assert_true(glob_match(STR("*/bash"), STR("/usr/bin/bash")));
    assert_true(glob_match(STR("A?c*"), STR("abcd")));
    assert_true(glob_match(STR("*a*b*"), STR("xaxxb")));
    assert_true(glob_match(STR("**"), STR("")));
    assert_false(glob_match(STR("*/bash"), STR("/usr/bin/bash2")));
    assert_false(glob_match(STR("?"), STR("")));
    assert_true(glob_match(STR("*"), STR("a\0b")));
}

static void test_verdicts_join_their_detections(void **state)
{
    (void)state;
    struct journal *j = NULL;
    struct error e = {0};
    struct verdicts verdicts = {0};
    Tiercel__Detection *d = NULL;
    assert_int_equal(journal_open(folder, &j, &e), 0);
    assert_int_equal(verdicts_load(j, 0, &verdicts, &e), 0);
    for (uint64_t n = 1; n <= 5; n++)
        assert_int_equal(verdicts_get(&verdicts, n)->detection, n);
    assert_null(verdicts_get(&verdicts, 6));
    assert_int_equal(found_detection(j, 2, &d, &e), 0);
    assert_int_equal(d->id, 2);
    tiercel__detection__free_unpacked(d, NULL);
    assert_int_equal(found_detection(j, 77, &d, &e), -ESRCH);
    verdicts_done(&verdicts);
    journal_close(j);
}

static void test_live_view_waits_for_the_verdict(void **state)
{
    (void)state;
    struct journal *j = NULL;
    struct error e = {0};
    struct live live;
    char *text = NULL;
    size_t n = 0;
    struct term to = {.file = open_memstream(&text, &n), .utf8 = true};
    assert_int_equal(journal_open(folder, &j, &e), 0);
    live_init(&live, &to, j, &(struct live_options){.detections = true, .after_detection = 3});
    assert_int_equal(live_step(&live, 0, &e), 0);
    assert_int_equal(live.n_detections, 2); // 4 and 5 had theirs in the batch after; 6 still waits
    assert_int_equal(live.n_stopped, 2);
    assert_int_equal(live.n_pending, 1);
    live_done(&live);
    fclose(to.file);
    assert_non_null(strstr(text, "#4"));
    assert_null(strstr(text, "#3"));
    assert_null(strstr(text, "#6"));
    free(text);
    journal_close(j);
}

static void test_missing_journal_says_the_way_out(void **state)
{
    (void)state;
    struct journal *j = NULL;
    struct error e = {0};
    assert_int_equal(journal_open("/nonexistent/journal", &j, &e), -ECONNREFUSED);
    assert_true(e.way_out[0]);
}

// ---- drawing

static void assert_drawn(const struct term *t, const Tiercel__Detection *d,
                         const Tiercel__Verdict *v, const char *expected)
{
    struct buf b = {0};
    draw_detection(t, d, v, NOW, true, &b);
    buf_add_char(&b, 0);
    assert_string_equal(b.p, expected);
    buf_done(&b);
}

static void test_detection_with_its_tree(void **state)
{
    (void)state;
    assert_drawn(&plain, detection(5, "high"), verdict(5, TIERCEL__ACTION__ACTION_DENY, true),
                 "16:00:05 high     DENIED before its first instruction  Shell run by a web server "
                 " #5  www-data  web  "
                 "sh -c whoami\n"
                 "         nginx: master\\x1b[2J  7 root /usr/sbin/nginx\n"
                 "         └─ /usr/sbin/php-fpm  8 www-data\n"
                 "            └─ ✖ sh -c whoami  9 www-data /usr/bin/dash\n");
}

static void test_detection_fits_the_terminal(void **state)
{
    (void)state;
    struct buf b = {0};
    draw_detection(&narrow, detection(5, "high"), NULL, NOW, true, &b);
    struct str rest = buf_str(&b), line;
    while (str_split(&rest, '\n', &line))
        assert_true(text_columns(line) <= narrow.width);
    buf_done(&b);
}

static void test_long_chain_leaves_out_its_middle(void **state)
{
    (void)state;
    Tiercel__Process *chain[40];
    char expected[] = "sh  100\n└─ sh  101\n   └─ (28 more) sh  130\n";
    struct buf b = {0};
    for (unsigned i = 0; i < 40; i++)
        chain[i] = process(100 + i, ",\"argv\":[\"sh\"]");
    draw_tree(&plain, chain, 40, STYLE_PLAIN, 0, &b);
    assert_true(str_starts(buf_str(&b), str_from(expected)));
    buf_done(&b);
}

static void test_detections_of_one_event_share_a_tree(void **state)
{
    (void)state;
    Tiercel__Detection *a = detection(5, "high"), *b = detection(5, "low"),
                       *c = detection(6, "low");
    assert_true(detection_same_event(a, b));
    assert_false(detection_same_event(b, c));
    c->n_events = 0;
    assert_false(detection_same_event(c, c));
}

static void test_words_of_verdicts(void **state)
{
    (void)state;
    Tiercel__Verdict *v = verdict(1, TIERCEL__ACTION__ACTION_DENY, true);
    assert_string_equal(verdict_words(v), "DENIED before its first instruction");
    v->action = TIERCEL__ACTION__ACTION_KILL;
    v->before_first_instruction = false;
    assert_string_equal(verdict_words(v), "KILLED after it began");
    v->action = TIERCEL__ACTION__ACTION_ALLOW;
    v->has_wanted = true;
    v->wanted = TIERCEL__ACTION__ACTION_DENY;
    assert_string_equal(verdict_words(v), "detected; prevention would stop it");
    v->mode = TIERCEL__MODE__MODE_PREVENT;
    assert_string_equal(verdict_words(v), "detected, not stopped");
    v->has_exception = true;
    assert_string_equal(verdict_words(v), "allowed by an exception");
    assert_string_equal(verdict_words(NULL), "detected");
}

static void test_event_lines(void **state)
{
    (void)state;
    struct buf b = {0};
    draw_event(&plain, exec_event(3, "/usr/bin/id", "web"), NOW, &b);
    Tiercel__Event *c = exec_event(4, "/usr/bin/curl", "cron");
    c->kind_case = TIERCEL__EVENT__KIND_CONNECT;
    c->connect = message(
        &tiercel__connect__descriptor,
        "{\"destination\":{\"ip\":\"127.66.0.1\",\"port\":4444},\"protocol\":6,\"denied\":true}");
    draw_event(&plain, c, NOW, &b);
    buf_add_char(&b, 0);
    assert_string_equal(
        b.p, "16:00:03  exec            103  www-data    web        /usr/bin/id -c id\n"
             "16:00:04  connect         104  www-data    cron       DENIED tcp to 127.66.0.1:4444 "
             "by /usr/bin/curl -c id\n");
    buf_done(&b);
}

// What stands behind pid, user and lineage; the event is told as JSON, so that every kind reads alike.
static void assert_says(const char *event, const char *kind, const char *expected)
{
    struct buf line = {0};
    char wanted[600], text[1200];
    snprintf(text, sizeof text,
             "{\"process\":{\"id\":{\"pid\":9,\"start\":9},\"argv\":[\"cmd\"]},%s}", event);
    Tiercel__Event *e = message(&tiercel__event__descriptor, text);
    assert_string_equal(event_kind(e), kind);
    draw_event(&plain, e, NOW, &line);
    buf_add_char(&line, 0);
    snprintf(wanted, sizeof wanted, "%-11s       9                         %s\n", kind, expected);
    const char *at = strstr(line.p, kind);
    assert_non_null(at);
    assert_string_equal(at, wanted);
    buf_done(&line);
}

static void test_event_lines_of_the_network(void **state)
{
    (void)state;
    assert_says("\"flow\":{\"local\":{\"ip\":\"10.0.0.5\",\"port\":43210},\"remote\":{\"ip\":"
                "\"192.0.2.1\",\"port\":443},\"protocol\":6,\"initiated\":true,\"sent\":1258291,"
                "\"received\":3482,\"lasted\":12000000000,\"host_name\":\"example.org\"}",
                "flow",
                "tcp 10.0.0.5:43210 -> 192.0.2.1:443 (example.org) sent 1.2 MiB received 3.4 KiB "
                "in 12 s by cmd");
    assert_says("\"flow\":{\"local\":{\"ip\":\"::1\",\"port\":80},\"remote\":{\"ip\":\"::1\","
                "\"port\":5},\"protocol\":17,\"initiated\":false,\"sent\":1023,"
                "\"received\":1099511627776}",
                "flow", "udp [::1]:80 <- [::1]:5 sent 1023 B received 1.0 TiB by cmd");
    assert_says("\"socket\":{\"action\":\"listen\",\"local\":{\"ip\":\"::ffff:127.0.0.1\","
                "\"port\":4444},\"protocol\":6,\"denied\":true}",
                "socket", "DENIED listen tcp 127.0.0.1:4444 by cmd");
    assert_says("\"dns\":{\"question\":\"example.org\",\"type\":1,\"answered\":true,"
                "\"answers\":[\"192.0.2.1\",\"192.0.2.2\"]}",
                "dns", "example.org A -> 192.0.2.1, 192.0.2.2 by cmd");
    assert_says("\"dns\":{\"question\":\"a.example.org\",\"type\":99,\"answered\":true,"
                "\"code\":3}",
                "dns", "a.example.org type 99 -> no such name by cmd");
}

static void test_event_lines_of_files_and_processes(void **state)
{
    (void)state;
    assert_says("\"file\":{\"action\":\"write\",\"file\":{\"path\":\"/etc/cron.d/x\"}}", "file",
                "WRITE /etc/cron.d/x by cmd");
    assert_says("\"file\":{\"action\":\"mode\",\"file\":{\"path\":\"/usr/bin/x\",\"mode\":2541},"
                "\"old_mode\":493,\"denied\":true}",
                "file", "DENIED MODE /usr/bin/x 0755 -> 4755 by cmd");
    assert_says("\"access\":{\"way\":\"attach\",\"target\":{\"id\":{\"pid\":812,\"start\":1},"
                "\"image\":{\"path\":\"/usr/sbin/sshd\"},\"user\":\"root\"}}",
                "access", "attach to 812 /usr/sbin/sshd (root) by cmd");
    assert_says("\"credentials\":{\"old\":{\"uid\":33,\"euid\":33},\"new\":{\"uid\":33,"
                "\"euid\":0},\"gained\":2097280}",
                "credentials", "euid 33 -> 0 gained setuid sys_admin by cmd");
    assert_says("\"signal\":{\"number\":9,\"target\":{\"id\":{\"pid\":7,\"start\":1}}}", "signal",
                "SIGKILL to 7 by cmd");
}

static void test_event_lines_of_the_kernel_and_responses(void **state)
{
    (void)state;
    assert_says("\"module\":{\"name\":\"rk\",\"file\":{\"path\":\"/tmp/rk.ko\"}}", "module",
                "load rk from /tmp/rk.ko by cmd");
    assert_says("\"bpf\":{\"type\":2,\"name\":\"hide\",\"function\":\"getdents64\"}", "bpf",
                "load kprobe hide on getdents64 by cmd");
    assert_says("\"mount\":{\"action\":\"mount\",\"source\":\"/dev/sda1\",\"target\":\"/mnt\","
                "\"type\":\"ext4\"}",
                "mount", "mount /dev/sda1 on /mnt (ext4) by cmd");
    assert_says("\"namespaces\":{\"old\":{\"user\":1,\"mount\":2},\"new\":{\"user\":3,"
                "\"mount\":2}}",
                "namespaces", "other user namespace by cmd");
    assert_says("\"response\":{\"id\":4,\"action\":\"quarantine\",\"state\":\"rolled_back\","
                "\"target\":\"/tmp/x\",\"detection\":12,\"by\":\"rule\"}",
                "response", "#4 quarantine rolled back: /tmp/x for detection #12 by rule");
}

static void test_event_lines_escape_what_comes_from_the_host(void **state)
{
    (void)state;
    assert_says("\"dns\":{\"question\":\"a\\u001b[2Jb\",\"answers\":[\"x\\ny\"]}", "dns",
                "a\\x1b[2Jb -> x\\ny by cmd");
    assert_says("\"mount\":{\"source\":\"a\\r\",\"target\":\"\\udcff\"}", "mount",
                "mount a\\r on \\xff by cmd");
}

static void test_every_kind_has_a_word_and_survives_without_details(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *d = &tiercel__event__descriptor;
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        if (f->id < 20)
            continue;
        char text[80];
        struct buf b = {0};
        snprintf(text, sizeof text, "{\"%s\":{}}", f->name);
        Tiercel__Event *e = message(d, text);
        assert_string_equal(event_kind(e), f->name);
        draw_event(&plain, e, NOW, &b);
        assert_true(b.n > 0 && b.failed == 0);
        buf_done(&b);
    }
}

int main(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    setenv("TZ", "UTC", 1);
    tzset();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_last_events_across_segments),
        cmocka_unit_test(test_filter_by_field),
        cmocka_unit_test(test_bad_conditions_are_refused),
        cmocka_unit_test(test_glob),
        cmocka_unit_test(test_verdicts_join_their_detections),
        cmocka_unit_test(test_live_view_waits_for_the_verdict),
        cmocka_unit_test(test_missing_journal_says_the_way_out),
        cmocka_unit_test(test_detection_with_its_tree),
        cmocka_unit_test(test_detection_fits_the_terminal),
        cmocka_unit_test(test_long_chain_leaves_out_its_middle),
        cmocka_unit_test(test_words_of_verdicts),
        cmocka_unit_test(test_detections_of_one_event_share_a_tree),
        cmocka_unit_test(test_event_lines),
        cmocka_unit_test(test_event_lines_of_the_network),
        cmocka_unit_test(test_event_lines_of_files_and_processes),
        cmocka_unit_test(test_event_lines_of_the_kernel_and_responses),
        cmocka_unit_test(test_event_lines_escape_what_comes_from_the_host),
        cmocka_unit_test(test_every_kind_has_a_word_and_survives_without_details),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
