// SPDX-License-Identifier: Apache-2.0
// Any bytes as a packed event: every field can be asked for, it prints, and the print reads back as the same event.
#include "event/field.h"
#include "event/json.h"

#include <errno.h>
#include <stdlib.h>

static void touch(struct str s)
{
    volatile char sum = 0;
    for (size_t i = 0; i < s.n; i++)
        sum = (char)(sum + s.p[i]);
}

static void ask_all(const Tiercel__Event *event, struct arena *arena)
{
    const struct field *(*const walks[])(const struct field *) = {field_next, field_next_leaf};
    for (size_t i = 0; i < 2; i++)
        for (const struct field *f = NULL; (f = walks[i](f));) {
            struct field_value v = field_get(f, event, arena);
            if (v.type == FIELD_LIST)
                for (size_t k = 0; k < v.n; k++)
                    touch(v.list[k]);
            else
                touch(v.text);
        }
}

// What every field says, set in a fresh event of the same kind, is accepted.
static void set_all(const Tiercel__Event *event, struct arena *arena)
{
    const char *category = event_category(event);
    Tiercel__Event *copy = category ? event_new(category, arena) : NULL;
    for (const struct field *f = NULL; copy && (f = field_next(f));) {
        struct field_value v = field_get(f, event, arena);
        if (v.type == FIELD_ABSENT || v.type == FIELD_LIST)
            continue;
        if (field_set(f, copy, v.text, arena, NULL) == -EINVAL)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Tiercel__Event *event = tiercel__event__unpack(NULL, size, data);
    if (!event)
        return 0;
    struct arena arena = {.limit = 16 << 20};
    struct buf text = {0};
    ProtobufCMessage *again;
    ask_all(event, &arena);
    set_all(event, &arena);
    json_print(&event->base, &text);
    if (!text.failed &&
        json_parse(buf_str(&text), &tiercel__event__descriptor, &arena, &again, NULL) < 0 &&
        !arena.failed)
        abort();
    buf_done(&text);
    arena_done(&arena);
    tiercel__event__free_unpacked(event, NULL);
    return 0;
}
