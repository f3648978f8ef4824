// SPDX-License-Identifier: Apache-2.0
// By the schema alone: what is a fixed64 is a time of the wall clock, but for the start of a process; so a field that is
// added to the schema is moved, too.
#include "cli/sim.h"

#include <errno.h>
#include <stdlib.h>

static bool is_number(const ProtobufCMessageDescriptor *d, const ProtobufCFieldDescriptor *f)
{
    if (f->type != PROTOBUF_C_TYPE_UINT64)
        return false;
    if (!strcmp(f->name, "detection"))
        return true;
    return !strcmp(f->name, "id") &&
           (d == &tiercel__event__descriptor || d == &tiercel__detection__descriptor ||
            d == &tiercel__verdict__descriptor || d == &tiercel__response__descriptor);
}

static uint64_t moved(uint64_t time, int64_t by)
{
    if (by >= 0)
        return time > UINT64_MAX - (uint64_t)by ? UINT64_MAX : time + (uint64_t)by;
    uint64_t back = (uint64_t) - (by + 1) + 1;
    return time > back ? time - back : 0;
}

static void change_value(struct sim_change *c, const ProtobufCMessageDescriptor *d,
                         const ProtobufCFieldDescriptor *f, uint64_t *value)
{
    if (f->type == PROTOBUF_C_TYPE_FIXED64) {
        *value =
            d == &tiercel__process_id__descriptor ? *value + c->boot_ns : moved(*value, c->wall_ns);
    } else if (is_number(d, f)) {
        *value += c->id_add;
        if (*value > c->id_max)
            c->id_max = *value;
    }
}

// Depth is the schema's: no message of it holds itself.
static void change_message(struct sim_change *c, ProtobufCMessage *m) // NOLINT(misc-no-recursion)
{
    const ProtobufCMessageDescriptor *d = m->descriptor;
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        char *at = (char *)m + f->offset;
        const char *quantifier = (const char *)m + f->quantifier_offset;
        bool message = f->type == PROTOBUF_C_TYPE_MESSAGE;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t n = *(const size_t *)(const void *)quantifier;
            for (size_t k = 0; message && k < n; k++)
                change_message(c, (*(ProtobufCMessage ***)(void *)at)[k]);
            continue;
        }
        if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF &&
            *(const uint32_t *)(const void *)quantifier != f->id)
            continue;
        if (message) {
            if (*(ProtobufCMessage **)(void *)at)
                change_message(c, *(ProtobufCMessage **)(void *)at);
        } else if (f->label == PROTOBUF_C_LABEL_REQUIRED ||
                   *(const protobuf_c_boolean *)(const void *)quantifier) {
            if (f->type == PROTOBUF_C_TYPE_FIXED64 || f->type == PROTOBUF_C_TYPE_UINT64)
                change_value(c, d, f, (uint64_t *)(void *)at);
        }
    }
}

static int put(ProtobufCBinaryData *to, protobuf_c_boolean *has, const uint8_t bytes[16])
{
    uint8_t *p = malloc(16);
    if (!p)
        return -ENOMEM;
    memcpy(p, bytes, 16);
    if (*has)
        free(to->data);
    *to = (ProtobufCBinaryData){16, p};
    *has = true;
    return 0;
}

int sim_change_batch(struct sim_change *c, Tiercel__Batch *b)
{
    int r = put(&b->host, &b->has_host, c->host);
    if (r == 0)
        r = put(&b->boot, &b->has_boot, c->boot);
    if (r == 0)
        change_message(c, &b->base);
    return r;
}
