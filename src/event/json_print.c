// SPDX-License-Identifier: Apache-2.0
#include "event/json.h"
#include "event/leaf.h"

// Code points that could act on a terminal or reorder a line: C0 and C1 controls, line and paragraph separators,
// directional marks, the byte order mark.
static bool unsafe(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200e && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x61c ||
           c == 0xfeff;
}

static void add_escape(uint32_t c, struct buf *out)
{
    static const char hex[] = "0123456789abcdef";
    char text[6] = {'\\', 'u', hex[c >> 12 & 15], hex[c >> 8 & 15], hex[c >> 4 & 15], hex[c & 15]};
    switch (c) {
    case '\n':
        buf_add(out, "\\n", 2);
        break;
    case '\t':
        buf_add(out, "\\t", 2);
        break;
    case '\r':
        buf_add(out, "\\r", 2);
        break;
    default:
        buf_add(out, text, sizeof text);
    }
}

static bool ordinary(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

void json_quoted(struct str s, struct buf *out)
{
    const uint8_t *p = (const uint8_t *)s.p;
    buf_add_char(out, '"');
    for (size_t i = 0; i < s.n;) {
        size_t run = i;
        while (run < s.n && ordinary(p[run]))
            run++;
        buf_add(out, p + i, run - i);
        i = run;
        if (i == s.n)
            break;
        uint32_t c;
        size_t n = leaf_utf8(str_bytes(p + i, s.n - i), &c);
        if (n == 0) {
            add_escape(0xdc00u + p[i], out);
            n = 1;
        } else if (c == '"' || c == '\\') {
            buf_add_char(out, '\\');
            buf_add_char(out, (char)c);
        } else if (unsafe(c)) {
            add_escape(c, out);
        } else {
            buf_add(out, p + i, n);
        }
        i += n;
    }
    buf_add_char(out, '"');
}

static void add_quoted(const char *p, size_t n, struct buf *out)
{
    buf_add_char(out, '"');
    buf_add(out, p, n);
    buf_add_char(out, '"');
}

static void add_hex(struct str bytes, const char *before, struct buf *out)
{
    buf_add_char(out, '"');
    buf_add_str(out, str_from(before));
    char *room = buf_room(out, 2 * bytes.n);
    if (room) {
        leaf_print_hex(bytes, room);
        out->n += 2 * bytes.n;
    }
    buf_add_char(out, '"');
}

static void add_bytes(enum leaf_kind kind, const ProtobufCBinaryData *b, struct buf *out)
{
    struct str s = str_bytes(b->data, b->len);
    char text[LEAF_TEXT_MAX];
    size_t n = kind == LEAF_IP ? leaf_print_ip(s, text) : 0;
    if (n)
        add_quoted(text, n, out);
    else if (kind == LEAF_IP)
        add_hex(s, "hex:", out);
    else if (kind == LEAF_HEX)
        add_hex(s, "", out);
    else
        json_quoted(s, out);
}

static void add_value(const ProtobufCFieldDescriptor *d, enum leaf_kind kind, const void *member,
                      struct buf *out)
{
    char text[LEAF_TEXT_MAX];
    switch (d->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        json_print(*(ProtobufCMessage *const *)member, out);
        break;
    case PROTOBUF_C_TYPE_STRING:
        json_quoted(str_from(*(char *const *)member), out);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        add_bytes(kind, member, out);
        break;
    case PROTOBUF_C_TYPE_ENUM:
        add_quoted(text, leaf_print_enum(d->descriptor, *(const int *)member, text), out);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        buf_add_str(out, *(const protobuf_c_boolean *)member ? STR("true") : STR("false"));
        break;
    case PROTOBUF_C_TYPE_UINT32:
        buf_add(out, text, leaf_print_u64(*(const uint32_t *)member, text));
        break;
    default: // uint64, fixed64
        if (kind == LEAF_TIME)
            add_quoted(text, leaf_print_time(*(const uint64_t *)member, text), out);
        else
            buf_add(out, text, leaf_print_u64(*(const uint64_t *)member, text));
    }
}

static bool is_set(const ProtobufCFieldDescriptor *d, const char *message)
{
    const void *quantifier = message + d->quantifier_offset;
    if (d->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)quantifier > 0;
    if (d->flags & PROTOBUF_C_FIELD_FLAG_ONEOF && *(const uint32_t *)quantifier != d->id)
        return false;
    if (d->type == PROTOBUF_C_TYPE_MESSAGE || d->type == PROTOBUF_C_TYPE_STRING)
        return *(void *const *)(message + d->offset);
    return d->label == PROTOBUF_C_LABEL_REQUIRED || *(const protobuf_c_boolean *)quantifier;
}

static void add_name(char before, const char *name, struct buf *out)
{
    const char open[2] = {before, '"'}, close[2] = {'"', ':'};
    buf_add(out, open, sizeof open);
    buf_add_str(out, str_from(name));
    buf_add(out, close, sizeof close);
}

void json_print(const ProtobufCMessage *message, struct buf *out)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    const char *base = (const char *)message;
    char before = '{';
    for (unsigned i = 0; i < type->n_fields && !out->failed; i++) {
        const ProtobufCFieldDescriptor *d = &type->fields[i];
        if (!is_set(d, base))
            continue;
        enum leaf_kind kind = leaf_kind(d);
        add_name(before, d->name, out);
        before = ',';
        if (d->label != PROTOBUF_C_LABEL_REPEATED) {
            add_value(d, kind, base + d->offset, out);
            continue;
        }
        size_t n = *(const size_t *)(base + d->quantifier_offset);
        const char *item = *(char *const *)(base + d->offset);
        for (size_t k = 0; k < n; k++, item += leaf_element_size(d)) {
            buf_add_char(out, k ? ',' : '[');
            add_value(d, kind, item, out);
        }
        buf_add_char(out, ']');
    }
    if (before == '{')
        buf_add_char(out, '{');
    buf_add_char(out, '}');
}
