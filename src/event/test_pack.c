// SPDX-License-Identifier: Apache-2.0
// The packed form is protobuf-c's, byte for byte, for every field of the schema.
#include "base/arena.h"
#include "base/test.h"
#include "event/pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct filling {
    struct arena arena;
    uint64_t number; // of the next value: short ones and long ones
    uint32_t arm;    // of each oneof
};

static ProtobufCMessage *filled(struct filling *f, const ProtobufCMessageDescriptor *d, int depth);

static void set_value(struct filling *f, const ProtobufCFieldDescriptor *d, void *to, int depth)
{
    uint64_t v = f->number = f->number * 0x9e3779b97f4a7c15u + 1;
    v >>= v & 63;
    if (d->type == PROTOBUF_C_TYPE_MESSAGE)
        *(ProtobufCMessage **)to = filled(f, d->descriptor, depth - 1);
    else if (d->type == PROTOBUF_C_TYPE_STRING)
        *(char **)to = arena_cstr(&f->arena, str_from(&"a text of the host"[v & 15]));
    else if (d->type == PROTOBUF_C_TYPE_BYTES) {
        ProtobufCBinaryData b = {v % 200, arena_zero(&f->arena, 200)};
        *(ProtobufCBinaryData *)to = b;
    } else if (d->type == PROTOBUF_C_TYPE_BOOL)
        *(protobuf_c_boolean *)to = (v & 1) != 0;
    else if (d->type == PROTOBUF_C_TYPE_UINT64 || d->type == PROTOBUF_C_TYPE_INT64 ||
             d->type == PROTOBUF_C_TYPE_FIXED64)
        *(uint64_t *)to = v;
    else
        *(uint32_t *)to = (uint32_t)v;
}

static ProtobufCMessage *filled(struct filling *f, const ProtobufCMessageDescriptor *d, int depth)
{
    ProtobufCMessage *m = arena_alloc(&f->arena, d->sizeof_message);
    d->message_init(m);
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &d->fields[i];
        char *value = (char *)m + field->offset, *quantifier = (char *)m + field->quantifier_offset;
        bool deeper = field->type == PROTOBUF_C_TYPE_MESSAGE;
        if (deeper && depth == 0 && field->label != PROTOBUF_C_LABEL_REQUIRED)
            continue;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            char *values = arena_zero(&f->arena, 64);
            *(size_t *)quantifier = 2;
            *(char **)value = values;
            size_t size = deeper || field->type == PROTOBUF_C_TYPE_STRING ? sizeof(void *)
                          : field->type == PROTOBUF_C_TYPE_BYTES ? sizeof(ProtobufCBinaryData)
                          : field->type == PROTOBUF_C_TYPE_ENUM  ? 4
                                                                 : 8;
            set_value(f, field, values, depth);
            set_value(f, field, values + size, depth);
            continue;
        }
        if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
            if (field->id != f->arm)
                continue;
            *(uint32_t *)quantifier = field->id;
        } else if (field->label == PROTOBUF_C_LABEL_OPTIONAL && !deeper &&
                   field->type != PROTOBUF_C_TYPE_STRING) {
            *(protobuf_c_boolean *)quantifier = (f->number & 7) != 0;
        }
        set_value(f, field, value, depth);
    }
    return m;
}

static void every_field_is_packed_as_protobuf_c_does(void **state)
{
    (void)state;
    for (uint32_t arm = 0; arm < 64; arm++) {
        struct filling f = {.number = arm, .arm = arm};
        ProtobufCMessage *m = filled(&f, &tiercel__batch__descriptor, 4);
        assert_true(protobuf_c_message_check(m));
        size_t n = protobuf_c_message_get_packed_size(m);
        uint8_t *wanted = malloc(n), *got = malloc(n + 16);
        assert_true(wanted && got && n > 1000);
        protobuf_c_message_pack(m, wanted);
        assert_int_equal(event_pack(m, got, n + 16), n);
        assert_memory_equal(got + 16, wanted, n);
        for (size_t less = 1; less < n; less += n / 7)
            assert_int_equal(event_pack(m, got, n - less), -ENOSPC);
        free(wanted);
        free(got);
        arena_done(&f.arena);
    }
}

// Forty processes in turn, each acting many times: more than are remembered at once.
static void what_events_share_is_packed_with_each(void **state)
{
    (void)state;
    enum { EVENTS = 400, PROCESSES = 40 };
    static Tiercel__Event events[EVENTS], *list[EVENTS];
    static Tiercel__Process processes[PROCESSES];
    static Tiercel__ProcessId ids[PROCESSES];
    static uint8_t wanted[EVENTS * 64], got[EVENTS * 64];
    Tiercel__Batch batch = TIERCEL__BATCH__INIT;
    for (unsigned i = 0; i < PROCESSES; i++) {
        tiercel__process_id__init(&ids[i]);
        tiercel__process__init(&processes[i]);
        ids[i].pid = ids[i].start = i * 1000;
        processes[i].id = &ids[i];
        processes[i].has_name = 1;
        processes[i].name = (ProtobufCBinaryData){i % 9, (uint8_t *)"a service"};
    }
    for (unsigned i = 0; i < EVENTS; i++) {
        tiercel__event__init(&events[i]);
        events[i].process = &processes[i * i % PROCESSES];
        events[i].parent = i % 3 ? &processes[i / 16 % PROCESSES] : NULL;
        list[i] = &events[i];
    }
    batch.events = list;
    batch.n_events = EVENTS;
    size_t n = tiercel__batch__pack(&batch, wanted);
    assert_true(n > EVENTS * 10 && n < sizeof got);
    assert_int_equal(event_pack(&batch.base, got, sizeof got), n);
    assert_memory_equal(got + sizeof got - n, wanted, n);
    ids[39].pid = 7; // another batch: nothing is remembered from before
    assert_int_equal(tiercel__batch__pack(&batch, wanted),
                     event_pack(&batch.base, got, sizeof got));
    assert_memory_equal(got + sizeof got - tiercel__batch__get_packed_size(&batch), wanted,
                        tiercel__batch__get_packed_size(&batch));
}

static void what_is_not_known_to_the_schema_is_kept(void **state)
{
    (void)state;
    uint8_t bytes[] = {0xfa, 0x7f, 3, 'a', 'b', 'c', 0xf8, 0x7f, 5}, got[64];
    Tiercel__Event *event = tiercel__event__unpack(NULL, sizeof bytes, bytes);
    assert_non_null(event);
    assert_int_equal(event->base.n_unknown_fields, 2);
    assert_int_equal(event_pack(&event->base, got, sizeof got), sizeof bytes);
    assert_memory_equal(got + sizeof got - sizeof bytes, bytes, sizeof bytes);
    tiercel__event__free_unpacked(event, NULL);
}

static void what_could_never_be_read_is_refused(void **state)
{
    (void)state;
    uint8_t got[256];
    Tiercel__Fork fork = TIERCEL__FORK__INIT;
    Tiercel__Event event = TIERCEL__EVENT__INIT, *events[] = {NULL};
    Tiercel__Batch batch = TIERCEL__BATCH__INIT;
    Tiercel__Process process = TIERCEL__PROCESS__INIT;
    event.kind_case = TIERCEL__EVENT__KIND_FORK;
    event.fork = &fork;
    event.process = &process;
    process.has_name = 1;
    process.name.len = 3;
    assert_int_equal(event_pack(&event.base, got, sizeof got), -EINVAL);
    batch.n_events = 1;
    batch.events = events;
    assert_int_equal(event_pack(&batch.base, got, sizeof got), -EINVAL);
    batch.events = NULL;
    assert_int_equal(event_pack(&batch.base, got, sizeof got), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_is_packed_as_protobuf_c_does),
        cmocka_unit_test(what_events_share_is_packed_with_each),
        cmocka_unit_test(what_is_not_known_to_the_schema_is_kept),
        cmocka_unit_test(what_could_never_be_read_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
