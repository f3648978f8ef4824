// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "event/brief.h"

static Tiercel__Event *event(struct arena *a, unsigned pid, const char *name, const char *role)
{
    Tiercel__Event *e = arena_new(a, Tiercel__Event);
    Tiercel__Process *p = arena_new(a, Tiercel__Process);
    Tiercel__ProcessId *id = arena_new(a, Tiercel__ProcessId);

    tiercel__event__init(e);
    tiercel__process__init(p);
    tiercel__process_id__init(id);
    e->kind_case = TIERCEL__EVENT__KIND_CONNECT;
    e->process = p;
    p->id = id;
    id->pid = pid;
    p->has_name = true;
    p->name = (ProtobufCBinaryData){strlen(name), (uint8_t *)name};
    if (role) {
        p->lineage = arena_new(a, Tiercel__Lineage);
        tiercel__lineage__init(p->lineage);
        p->lineage->role = (char *)role;
    }
    return e;
}

static void test_later_events_are_filled(void **state)
{
    _cleanup_arena_ struct arena arena = {0};
    Tiercel__Event *events[] = {
        event(&arena, 1, "lonely", NULL), event(&arena, 1, "one", "web"),
        event(&arena, 2, "two", "cron"),  event(&arena, 1, "renamed", NULL),
        event(&arena, 2, "two", NULL),    event(&arena, 1, "new", "none"),
        event(&arena, 1, "new", NULL),    event(&arena, 3, "three", NULL),
    };
    Tiercel__Batch batch = TIERCEL__BATCH__INIT;

    (void)state;
    batch.events = events;
    batch.n_events = sizeof events / sizeof *events;
    brief_fill(&batch, &arena);
    assert_null(events[0]->process->lineage); // nothing before it
    assert_string_equal(events[3]->process->lineage->role, "web");
    assert_int_equal(events[3]->process->name.len, 7); // its own
    assert_int_equal(events[3]->process->id->pid, 1);
    assert_string_equal(events[4]->process->lineage->role, "cron");
    assert_string_equal(events[6]->process->lineage->role, "none");
    assert_null(events[7]->process->lineage);
}

static void test_another_program_is_not_filled_from_before(void **state)
{
    _cleanup_arena_ struct arena arena = {0};
    Tiercel__Event *events[] = {event(&arena, 1, "old", "web"), event(&arena, 1, "new", "web"),
                                event(&arena, 1, "new", NULL)};
    Tiercel__Batch batch = TIERCEL__BATCH__INIT;

    (void)state;
    events[1]->kind_case = TIERCEL__EVENT__KIND_EXEC;
    batch.events = events;
    batch.n_events = 3;
    brief_fill(&batch, &arena);
    assert_null(events[2]->process->lineage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_later_events_are_filled),
        cmocka_unit_test(test_another_program_is_not_filled_from_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
