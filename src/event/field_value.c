// SPDX-License-Identifier: Apache-2.0
// field_get(): the engine asks it once per event and field that any rule names, so it only follows resolved offsets.
#include "event/field_table.h"

#include <netinet/in.h>
#include <stdio.h>

#define ABSENT ((struct field_value){0})

static const void *at(const void *message, uint32_t offset)
{
    return (const char *)message + offset;
}

// The message that has the leaf, or NULL when some message on the way is not there.
static const void *holder(const struct field *f, const Tiercel__Event *event)
{
    const void *message = event;
    for (unsigned i = 0; i < f->n_steps; i++) {
        const struct field_step *s = &f->steps[i];
        if (s->case_id && *(const uint32_t *)at(message, s->case_offset) != s->case_id)
            return NULL;
        message = *(void *const *)at(message, s->offset);
        if (!message)
            return NULL;
    }
    return message;
}

static struct field_value text_value(const void *p, size_t n)
{
    return (struct field_value){.type = FIELD_TEXT, .text = str_bytes(p, n)};
}

// `n` bytes of a printed form, copied into the arena.
static struct field_value printed(enum field_type type, int64_t number, const char *p, size_t n,
                                  struct arena *arena)
{
    char *copy = arena_alloc(arena, n);
    if (!copy)
        return ABSENT;
    memcpy(copy, p, n);
    return (struct field_value){.type = type, .text = str_bytes(copy, n), .number = number};
}

static struct field_value number_value(uint64_t value, struct arena *arena)
{
    char text[LEAF_TEXT_MAX];
    int64_t number = value > INT64_MAX ? INT64_MAX : (int64_t)value;
    return printed(FIELD_NUMBER, number, text, leaf_print_u64(value, text), arena);
}

static struct field_value bool_value(bool value)
{
    return (struct field_value){
        .type = FIELD_BOOL, .text = value ? STR("true") : STR("false"), .number = value};
}

// An IPv4 address written as IPv6 (::ffff:0:0/96) is shown as IPv4: a rule for 10.0.0.0/8 means both.
static struct field_value address_value(struct str ip, struct arena *arena)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    char text[LEAF_TEXT_MAX];
    if (ip.n == 16 && memcmp(ip.p, mapped, sizeof mapped) == 0)
        ip = str_bytes(ip.p + 12, 4);
    size_t n = leaf_print_ip(ip, text);
    return n ? printed(FIELD_ADDRESS, 0, text, n, arena) : ABSENT;
}

static struct field_value bytes_value(const struct field *f, const ProtobufCBinaryData *b,
                                      struct arena *arena)
{
    struct str s = str_bytes(b->data, b->len);
    if (f->kind == LEAF_IP)
        return address_value(s, arena);
    if (f->kind != LEAF_HEX)
        return text_value(s.p, s.n);
    char *hex = arena_alloc(arena, 2 * s.n);
    if (!hex)
        return ABSENT;
    leaf_print_hex(s, hex);
    return text_value(hex, 2 * s.n);
}

static struct field_value enum_value(const struct field *f, int value, struct arena *arena)
{
    char text[LEAF_TEXT_MAX];
    size_t n = leaf_print_enum(f->leaf->descriptor, value, text);
    return printed(FIELD_TEXT, value, text, n, arena);
}

static struct field_value list_value(const struct field *f, const void *message,
                                     struct arena *arena)
{
    size_t n = *(const size_t *)at(message, f->leaf->quantifier_offset);
    const void *items = *(void *const *)at(message, f->leaf->offset);
    if (n == 0)
        return ABSENT;
    struct str *list = arena_alloc(arena, n * sizeof *list);
    if (!list)
        return ABSENT;
    for (size_t i = 0; i < n; i++) {
        if (f->leaf->type == PROTOBUF_C_TYPE_BYTES) {
            const ProtobufCBinaryData *b = (const ProtobufCBinaryData *)items + i;
            list[i] = str_bytes(b->data, b->len);
        } else { // the schema has lists of bytes and of enums only; a test holds that
            struct field_value v = enum_value(f, ((const int *)items)[i], arena);
            if (v.type == FIELD_ABSENT)
                return ABSENT;
            list[i] = v.text;
        }
    }
    return (struct field_value){.type = FIELD_LIST, .list = list, .n = n};
}

static struct field_value plain(const struct field *f, const void *message, struct arena *arena)
{
    const ProtobufCFieldDescriptor *d = f->leaf;
    const void *member = at(message, d->offset);
    if (d->label == PROTOBUF_C_LABEL_REPEATED)
        return list_value(f, message, arena);
    if (d->type == PROTOBUF_C_TYPE_STRING) {
        const char *s = *(char *const *)member;
        return s ? text_value(s, strlen(s)) : ABSENT;
    }
    if (d->label == PROTOBUF_C_LABEL_OPTIONAL &&
        !*(const protobuf_c_boolean *)at(message, d->quantifier_offset))
        return ABSENT;
    switch (d->type) {
    case PROTOBUF_C_TYPE_BYTES:
        return bytes_value(f, member, arena);
    case PROTOBUF_C_TYPE_ENUM:
        return enum_value(f, *(const int *)member, arena);
    case PROTOBUF_C_TYPE_BOOL:
        return bool_value(*(const protobuf_c_boolean *)member);
    case PROTOBUF_C_TYPE_UINT32:
        return number_value(*(const uint32_t *)member, arena);
    default: // uint64, fixed64
        return number_value(*(const uint64_t *)member, arena);
    }
}

// ---- computed

static struct field_value joined(const struct field *f, const void *message, struct arena *arena)
{
    size_t n = *(const size_t *)at(message, f->leaf->quantifier_offset), bytes = 0;
    const ProtobufCBinaryData *item = *(ProtobufCBinaryData *const *)at(message, f->leaf->offset);
    if (n == 0)
        return ABSENT;
    if (n == 1)
        return text_value(item->data, item->len);
    for (size_t i = 0; i < n; i++)
        bytes += item[i].len + 1;
    char *text = arena_alloc(arena, bytes), *p = text;
    if (!text)
        return ABSENT;
    for (size_t i = 0; i < n; i++) {
        if (item[i].len)
            memcpy(p, item[i].data, item[i].len);
        p += item[i].len;
        *p++ = ' ';
    }
    return text_value(text, bytes - 1);
}

static struct field_value user(const Tiercel__Process *process, struct arena *arena)
{
    if (process->has_user)
        return text_value(process->user.data, process->user.len);
    if (!process->credentials || !process->credentials->has_euid)
        return ABSENT;
    char text[LEAF_TEXT_MAX];
    uint32_t euid = process->credentials->euid;
    return printed(FIELD_TEXT, euid, text, leaf_print_u64(euid, text), arena);
}

static struct field_value word(const struct field *f, const Tiercel__Process *process, size_t i,
                               struct arena *arena)
{
    return i < process->n_descriptors ? enum_value(f, (int)process->descriptors[i], arena) : ABSENT;
}

static struct field_value identity(const void *message, const struct field *f, struct arena *arena)
{
    const Tiercel__ProcessId *id = *(Tiercel__ProcessId *const *)at(message, f->leaf->offset);
    char text[2 * LEAF_TEXT_MAX];
    if (!id)
        return ABSENT;
    size_t n = leaf_print_u64(id->pid, text);
    text[n++] = ':';
    n += leaf_print_u64(id->start, text + n);
    return printed(FIELD_TEXT, 0, text, n, arena);
}

static struct field_value seconds(const struct field *f, const void *message, struct arena *arena)
{
    if (!*(const protobuf_c_boolean *)at(message, f->leaf->quantifier_offset))
        return ABSENT;
    return number_value(*(const uint64_t *)at(message, f->leaf->offset) / 1000000000u, arena);
}

static struct field_value protocol(struct field_value v)
{
    switch (v.type == FIELD_NUMBER ? v.number : -1) {
    case IPPROTO_TCP:
        return text_value("tcp", 3);
    case IPPROTO_UDP:
        return text_value("udp", 3);
    case IPPROTO_ICMP:
        return text_value("icmp", 4);
    case IPPROTO_ICMPV6:
        return text_value("icmpv6", 6);
    case IPPROTO_SCTP:
        return text_value("sctp", 4);
    default:
        return v;
    }
}

static struct field_value octal(struct field_value v, struct arena *arena)
{
    char text[4];
    if (v.type == FIELD_ABSENT)
        return v;
    for (int i = 0; i < 4; i++)
        text[i] = (char)('0' + (v.number >> (9 - 3 * i) & 7));
    return printed(FIELD_TEXT, v.number, text, sizeof text, arena);
}

static struct field_value hashes(struct field_value v, struct arena *arena)
{
    static const char name[] = "SHA256=";
    size_t n = sizeof name - 1;
    if (v.type == FIELD_ABSENT)
        return v;
    char *text = arena_alloc(arena, n + v.text.n);
    if (!text)
        return ABSENT;
    memcpy(text, name, n);
    if (v.text.n)
        memcpy(text + n, v.text.p, v.text.n);
    return text_value(text, n + v.text.n);
}

struct field_value field_get(const struct field *field, const Tiercel__Event *event,
                             struct arena *arena)
{
    const void *message = holder(field, event);
    if (!message)
        return ABSENT;
    switch (field->form) {
    case PLAIN:
        break;
    case JOINED:
        return joined(field, message, arena);
    case USER:
        return user(message, arena);
    case SECONDS:
        return seconds(field, message, arena);
    case WORD_0:
    case WORD_1:
    case WORD_2:
        return word(field, message, field->form - WORD_0, arena);
    case IDENTITY:
        return identity(message, field, arena);
    case PROTOCOL:
        return protocol(plain(field, message, arena));
    case OCTAL:
        return octal(plain(field, message, arena), arena);
    case HASHES:
        return hashes(plain(field, message, arena), arena);
    }
    return plain(field, message, arena);
}
