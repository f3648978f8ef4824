// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "cli/sim.h"

#include <errno.h>
#include <stdlib.h>

#define S ((uint64_t)1000000000)
#define BASE ((uint64_t)1443168000 * S) // 2015-09-25 08:00 UTC

static int plan_of(const char *text, struct sim_plan *ret, struct error *e)
{
    FILE *f = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    assert_non_null(f);
    int r = sim_plan_read(f, "plan", "/there", BASE, ret, e);
    fclose(f);
    return r;
}

static void test_plan(void **state)
{
    (void)state;
    struct sim_plan p;
    struct error e = {0};
    assert_int_equal(plan_of("# who\n\nacme\tweb-1\trec/a\t+2h\nmill\tdb.x\t/abs\t+1h\n"
                             "acme\tweb-1\t-\t2015-09-25T08:00:30Z\n",
                             &p, &e),
                     0);
    assert_int_equal(p.n, 3);
    assert_string_equal(p.lines[0].recording, "-");
    assert_true(p.lines[0].start_ns == BASE + 30 * S);
    assert_string_equal(p.lines[1].client, "mill");
    assert_string_equal(p.lines[1].recording, "/abs");
    assert_true(p.lines[1].start_ns == BASE + 3600 * S);
    assert_string_equal(p.lines[2].recording, "/there/rec/a");
    sim_plan_done(&p);
}

static void test_plan_wrong(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "# nothing\n",         "acme\tweb\t-\n",         "acme\tweb\t-\t+1h\tmore\n",
        "Acme\tweb\t-\t+1h\n", "acme\t../web\t-\t+1h\n", "acme\t..\t-\t+1h\n",
        "acme\tweb\t\t+1h\n",  "acme\tweb\t-\tsoon\n",   "acme\tweb\t-\t+1y\n",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct sim_plan p = {0};
        struct error e = {0};
        assert_int_equal(plan_of(wrong[i], &p, &e), -EINVAL);
        assert_string_equal(e.file, "plan");
        assert_int_equal(e.line, 1);
        assert_null(p.lines);
    }
}

static void test_keys(void **state)
{
    (void)state;
    char text[] = "# c\nacme\tabc\nmill\tdef\n";
    struct sim_keys keys;
    struct error e = {0};
    FILE *f = fmemopen(text, strlen(text), "r");
    assert_int_equal(sim_keys_read(f, "keys", &keys, &e), 0);
    fclose(f);
    assert_int_equal(keys.n, 2);
    assert_string_equal(keys.of[1].key, "def");
    char bad[] = "acme abc\n";
    f = fmemopen(bad, strlen(bad), "r");
    assert_int_equal(sim_keys_read(f, "keys", &keys, &e), -EINVAL);
    fclose(f);
}

// Through bytes and back, as protobuf-c allocates it.
static Tiercel__Batch *recorded(void)
{
    Tiercel__ProcessId id = TIERCEL__PROCESS_ID__INIT;
    Tiercel__File image = TIERCEL__FILE__INIT;
    Tiercel__Process process = TIERCEL__PROCESS__INIT;
    Tiercel__Event event = TIERCEL__EVENT__INIT, *events[] = {&event};
    Tiercel__Exec exec = TIERCEL__EXEC__INIT;
    Tiercel__Detection detection = TIERCEL__DETECTION__INIT, *detections[] = {&detection};
    Tiercel__Verdict verdict = TIERCEL__VERDICT__INIT, *verdicts[] = {&verdict};
    Tiercel__Batch b = TIERCEL__BATCH__INIT;
    id.pid = 42;
    id.start = 5 * S;
    image.has_changed = image.has_inode = true;
    image.changed = 50 * S;
    image.inode = 7;
    process.id = &id;
    process.image = &image;
    event.has_id = event.has_time = true;
    event.id = 11;
    event.time = 100 * S;
    event.process = &process;
    event.kind_case = TIERCEL__EVENT__KIND_EXEC;
    event.exec = &exec;
    exec.has_file_age = true;
    exec.file_age = 50 * S;
    detection.has_id = detection.has_time = true;
    detection.id = 3;
    detection.time = 100 * S;
    detection.events = events;
    detection.n_events = 1;
    verdict.has_id = verdict.has_detection = true;
    verdict.id = 4;
    verdict.detection = 3;
    b.has_host = true;
    b.host = (ProtobufCBinaryData){16, (uint8_t *)"0123456789abcdef"};
    b.events = events;
    b.detections = detections;
    b.verdicts = verdicts;
    b.n_events = b.n_detections = b.n_verdicts = 1;
    uint8_t packed[1024];
    size_t n = tiercel__batch__pack(&b, packed);
    return tiercel__batch__unpack(NULL, n, packed);
}

static void test_change(void **state)
{
    (void)state;
    Tiercel__Batch *b = recorded();
    struct sim_change c = {
        .wall_ns = (int64_t)(1000 * S), .boot_ns = 77 * S, .id_add = 500, .host = {9}, .boot = {8}};
    assert_int_equal(sim_change_batch(&c, b), 0);
    const Tiercel__Event *inner = b->detections[0]->events[0], *e = b->events[0];
    assert_int_equal(b->host.len, 16);
    assert_memory_equal(b->host.data, c.host, 16);
    assert_true(b->has_boot);
    assert_memory_equal(b->boot.data, c.boot, 16);
    assert_true(e->time == 1100 * S && inner->time == 1100 * S);
    assert_true(b->detections[0]->time == 1100 * S);
    assert_true(e->process->image->changed == 1050 * S);
    assert_true(e->process->image->inode == 7);
    assert_true(e->exec->file_age == 50 * S);
    assert_true(e->process->id->start == 82 * S && e->process->id->pid == 42);
    assert_true(e->id == 511 && inner->id == 511);
    assert_true(b->detections[0]->id == 503 && b->verdicts[0]->detection == 503);
    assert_true(b->verdicts[0]->id == 504);
    assert_false(b->verdicts[0]->has_time);
    assert_true(c.id_max == 511);
    c.wall_ns = -(int64_t)(2000 * S);
    c.id_add = 0;
    assert_int_equal(sim_change_batch(&c, b), 0);
    assert_true(b->events[0]->time == 0); // not before 1970
    tiercel__batch__free_unpacked(b, NULL);
}

static void test_made_up(void **state)
{
    (void)state;
    struct sim_source *s = NULL;
    struct error e = {0};
    Tiercel__Batch *b = NULL;
    uint64_t begin = 0;
    assert_int_equal(sim_source_begin("-", &begin, &e), 0);
    assert_int_equal(sim_source_open("-", &s, &e), 0);
    assert_int_equal(sim_source_next(s, &b, &e), 1);
    assert_int_equal(b->n_events, 1000);
    assert_true(b->events[0]->time == begin);
    for (size_t i = 1; i < b->n_events; i++) {
        assert_true(b->events[i]->time >= b->events[i - 1]->time);
        assert_true(b->events[i]->id == b->events[i - 1]->id + 1);
    }
    tiercel__batch__free_unpacked(b, NULL);
    assert_int_equal(sim_source_next(s, &b, &e), 0);
    sim_source_close(s);
    assert_int_equal(sim_source_open("/nowhere/at/all", &s, &e), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan), cmocka_unit_test(test_plan_wrong), cmocka_unit_test(test_keys),
        cmocka_unit_test(test_change), cmocka_unit_test(test_made_up)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
