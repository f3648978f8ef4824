// SPDX-License-Identifier: Apache-2.0
#include "event/pack.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define SHARED 16 // processes that are remembered

// Thousands of events of a batch share the message of the process that acted: it is packed for the last of them, and
// copied for those before.
struct shared {
    const ProtobufCMessage *message;
    const uint8_t *at;
    size_t n;
};

struct pack {
    uint8_t *begin, *at; // what is before `at` is free
    int failed;
    struct shared shared[SHARED];
};

static bool room(struct pack *p, size_t n)
{
    if ((size_t)(p->at - p->begin) >= n)
        return true;
    p->failed = p->failed ? p->failed : -ENOSPC;
    return false;
}

static void put_bytes(struct pack *p, const void *bytes, size_t n)
{
    if (!room(p, n))
        return;
    p->at -= n;
    if (n)
        memcpy(p->at, bytes, n);
}

static void put_varint(struct pack *p, uint64_t v)
{
    uint8_t *to;

    if (!room(p, 10))
        return;
    if (v < 0x80) {
        *--p->at = (uint8_t)v;
        return;
    }
    to = p->at -= (63 - __builtin_clzll(v)) / 7 + 1;
    for (; v >= 0x80; v >>= 7)
        *to++ = (uint8_t)(v | 0x80);
    *to = (uint8_t)v;
}

static void put_message(struct pack *p, const ProtobufCMessage *m);

static void put_shared(struct pack *p, const ProtobufCMessage *m)
{
    struct shared *s = &p->shared[((uintptr_t)m * 0x9e3779b97f4a7c15u) >> 60];
    const uint8_t *end = p->at;

    if (m && s->message == m) {
        put_bytes(p, s->at, s->n);
        return;
    }
    put_message(p, m);
    if (!p->failed)
        *s = (struct shared){m, p->at, (size_t)(end - p->at)};
}

// One value of this field, and its tag.
static void put_value(struct pack *p, const ProtobufCFieldDescriptor *f, const void *value)
{
    const uint8_t *end = p->at;
    unsigned wire = PROTOBUF_C_WIRE_TYPE_VARINT;

    switch (f->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        if (f->descriptor == &tiercel__process__descriptor)
            put_shared(p, *(const ProtobufCMessage *const *)value);
        else
            put_message(p, *(const ProtobufCMessage *const *)value);
        put_varint(p, (uint64_t)(end - p->at));
        wire = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
        break;
    case PROTOBUF_C_TYPE_STRING: {
        const char *s = *(const char *const *)value;
        size_t n = s ? strlen(s) : 0;
        if (!s)
            p->failed = -EINVAL;
        put_bytes(p, s, n);
        put_varint(p, n);
        wire = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
        break;
    }
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *b = value;
        if (b->len && !b->data)
            p->failed = -EINVAL;
        else
            put_bytes(p, b->data, b->len);
        put_varint(p, b->len);
        wire = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
        break;
    }
    case PROTOBUF_C_TYPE_BOOL:
        put_varint(p, *(const protobuf_c_boolean *)value != 0);
        break;
    case PROTOBUF_C_TYPE_UINT32:
        put_varint(p, *(const uint32_t *)value);
        break;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_ENUM: // negative ones are ten bytes long
        put_varint(p, (uint64_t)(int64_t) * (const int32_t *)value);
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT64:
        put_varint(p, *(const uint64_t *)value);
        break;
    case PROTOBUF_C_TYPE_FIXED64:
        put_bytes(p, value, 8); // little-endian, as every machine that this is built for
        wire = PROTOBUF_C_WIRE_TYPE_64BIT;
        break;
    default:
        p->failed = -EINVAL;
    }
    put_varint(p, (uint64_t)f->id << 3 | wire);
}

static bool is_pointer(const ProtobufCFieldDescriptor *f)
{
    return f->type == PROTOBUF_C_TYPE_MESSAGE || f->type == PROTOBUF_C_TYPE_STRING;
}

static size_t size_of(const ProtobufCFieldDescriptor *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
    case PROTOBUF_C_TYPE_STRING:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return 8;
    default:
        return 4;
    }
}

static void put_repeated(struct pack *p, const ProtobufCFieldDescriptor *f, size_t n,
                         const char *values)
{
    size_t size = size_of(f);

    if (f->flags & PROTOBUF_C_FIELD_FLAG_PACKED || (n && !values)) {
        p->failed = -EINVAL;
        return;
    }
    while (n-- && !p->failed)
        put_value(p, f, values + n * size);
}

static void put_message(struct pack *p, const ProtobufCMessage *m)
{
    if (!m) {
        p->failed = -EINVAL;
        return;
    }
    for (unsigned i = m->n_unknown_fields; i-- > 0;) {
        const ProtobufCMessageUnknownField *u = &m->unknown_fields[i];
        put_bytes(p, u->data, u->len);
        put_varint(p, (uint64_t)u->tag << 3 | u->wire_type);
    }
    const ProtobufCFieldDescriptor *fields = m->descriptor->fields;
    for (const ProtobufCFieldDescriptor *f = fields + m->descriptor->n_fields;
         f-- != fields && !p->failed;) {
        const char *value = (const char *)m + f->offset;
        const char *quantifier = (const char *)m + f->quantifier_offset;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t n = *(const size_t *)quantifier;
            if (n)
                put_repeated(p, f, n, *(const char *const *)value);
            continue;
        }
        if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF && *(const uint32_t *)quantifier != f->id)
            continue;
        if (f->label != PROTOBUF_C_LABEL_REQUIRED) {
            if (is_pointer(f)) {
                const void *to = *(const void *const *)value;
                if (!to || to == f->default_value)
                    continue;
            } else if (!(f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
                       !*(const protobuf_c_boolean *)quantifier) {
                continue;
            }
        }
        put_value(p, f, value);
    }
}

long event_pack(const ProtobufCMessage *message, uint8_t *to, size_t n)
{
    struct pack p = {.begin = to, .at = to + n};

    put_message(&p, message);
    return p.failed ? p.failed : (long)(to + n - p.at);
}
