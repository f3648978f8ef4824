// SPDX-License-Identifier: Apache-2.0
// A recursive descent by descriptor. jansson, which is linked, refuses lone surrogates, so it cannot carry host bytes.
#include "event/json.h"
#include "event/leaf.h"

#include <errno.h>

struct parser {
    const char *start, *p, *end;
    struct arena *arena;
    struct error *e;
    unsigned depth;
};

// ---- errors

static int fail_at(struct parser *j, const char *where, int code, const char *what, struct str name)
{
    unsigned line = 1;
    const char *begin = j->start;
    for (const char *p = j->start; p < where; p++)
        if (*p == '\n') {
            line++;
            begin = p + 1;
        }
    int shown = name.n > 64 ? 64 : (int)name.n;
    error_set(j->e, code, shown ? "%s: '%.*s'" : "%s", what, shown, name.p);
    error_place(j->e, NULL, line, (unsigned)(where - begin) + 1);
    return code;
}

static int fail(struct parser *j, const char *what)
{
    return fail_at(j, j->p, -EINVAL, what, STR_NONE);
}

static int no_memory(struct parser *j)
{
    return fail_at(j, j->p, -ENOMEM, "the message needs more memory than its limit", STR_NONE);
}

// ---- tokens

static void blanks(struct parser *j)
{
    while (j->p < j->end && (*j->p == ' ' || *j->p == '\t' || *j->p == '\n' || *j->p == '\r'))
        j->p++;
}

static bool next_is(struct parser *j, char c)
{
    blanks(j);
    if (j->p == j->end || *j->p != c)
        return false;
    j->p++;
    return true;
}

static int hex4(struct parser *j, uint32_t *ret)
{
    uint8_t bytes[2];
    if (j->end - j->p < 4 || leaf_parse_hex(str_bytes(j->p, 4), bytes) < 0)
        return fail(j, "\\u needs four hexadecimal digits");
    *ret = (uint32_t)bytes[0] << 8 | bytes[1];
    j->p += 4;
    return 0;
}

static char *put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    } else {
        *out++ = (char)(0xf0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3f));
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    }
    return out;
}

// After "\u": a code point, a pair of surrogates, or one of ours: a byte that is not UTF-8.
static int unicode_escape(struct parser *j, char **out)
{
    uint32_t c, low;
    int r = hex4(j, &c);
    if (r < 0)
        return r;
    if (c >= 0xdc80 && c <= 0xdcff) {
        *(*out)++ = (char)(c - 0xdc00);
        return 0;
    }
    if (c >= 0xdc00 && c <= 0xdfff)
        return fail(j, "a lone surrogate stands for a byte only from \\udc80 to \\udcff");
    if (c >= 0xd800 && c <= 0xdbff) {
        if (j->end - j->p < 2 || j->p[0] != '\\' || j->p[1] != 'u')
            return fail(j, "the first surrogate of a pair has no second");
        j->p += 2;
        r = hex4(j, &low);
        if (r < 0)
            return r;
        if (low < 0xdc00 || low > 0xdfff)
            return fail(j, "the first surrogate of a pair has no second");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    *out = put_utf8(*out, c);
    return 0;
}

static int escape(struct parser *j, char **out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = j->p < j->end ? *j->p : 0;
    const char *known = c ? strchr(from, c) : NULL;
    if (!known && c != 'u')
        return fail(j, "unknown escape");
    j->p++;
    if (!known)
        return unicode_escape(j, out);
    *(*out)++ = to[known - from];
    return 0;
}

// A string, decoded into the arena; a NUL follows it. What is decoded is never longer than what was written.
static int string(struct parser *j, struct str *ret)
{
    const char *begin = j->p;
    if (!next_is(j, '"'))
        return fail(j, "a string is expected");
    const char *close = j->p;
    while (close < j->end && *close != '"')
        close += *close == '\\' && j->end - close > 1 ? 2 : 1;
    if (close >= j->end)
        return fail_at(j, begin, -EINVAL, "the string does not end", STR_NONE);
    char *text = arena_alloc(j->arena, (size_t)(close - j->p) + 1), *out = text;
    if (!text)
        return no_memory(j);
    while (j->p < close) {
        if ((uint8_t)*j->p < 0x20)
            return fail(j, "a control character in a string must be escaped");
        if (*j->p != '\\') {
            uint32_t c;
            size_t n = leaf_utf8(str_bytes(j->p, (size_t)(close - j->p)), &c);
            if (n == 0)
                return fail(j, "a byte that is not UTF-8 must be written as \\udc80 to \\udcff");
            memcpy(out, j->p, n);
            out += n;
            j->p += n;
            continue;
        }
        j->p++;
        int r = escape(j, &out);
        if (r < 0)
            return r;
    }
    j->p++;
    *out = 0;
    *ret = str_bytes(text, (size_t)(out - text));
    return 0;
}

static struct str bare_word(struct parser *j)
{
    const char *begin;
    blanks(j);
    begin = j->p;
    while (j->p < j->end &&
           ((*j->p >= '0' && *j->p <= '9') || (*j->p >= 'a' && *j->p <= 'z') ||
            (*j->p >= 'A' && *j->p <= 'Z') || *j->p == '.' || *j->p == '-' || *j->p == '+'))
        j->p++;
    return str_bytes(begin, (size_t)(j->p - begin));
}

// ---- values

static int number(struct parser *j, uint64_t most, uint64_t *ret)
{
    struct str word = bare_word(j);
    int r = str_to_u64(word, ret);
    if (r == -EINVAL || (word.n > 1 && word.p[0] == '0'))
        return fail_at(j, word.p, -EINVAL, "a whole number is expected", STR_NONE);
    if (r < 0 || *ret > most)
        return fail_at(j, word.p, -EINVAL, "the number is too large", word);
    return 0;
}

static int boolean(struct parser *j, protobuf_c_boolean *ret)
{
    struct str word = bare_word(j);
    if (!str_eq(word, STR("true")) && !str_eq(word, STR("false")))
        return fail_at(j, word.p, -EINVAL, "true or false is expected", STR_NONE);
    *ret = str_eq(word, STR("true"));
    return 0;
}

static int hex_bytes(struct parser *j, const char *where, struct str text, ProtobufCBinaryData *ret)
{
    uint8_t *bytes = arena_alloc(j->arena, text.n / 2 + 1);
    if (!bytes)
        return no_memory(j);
    if (leaf_parse_hex(text, bytes) < 0)
        return fail_at(j, where, -EINVAL, "two hexadecimal digits a byte are expected", STR_NONE);
    *ret = (ProtobufCBinaryData){text.n / 2, bytes};
    return 0;
}

static int bytes(struct parser *j, enum leaf_kind kind, ProtobufCBinaryData *ret)
{
    const char *where = j->p;
    struct str text;
    int r = string(j, &text);
    if (r < 0)
        return r;
    if (kind == LEAF_HEX)
        return hex_bytes(j, where, text, ret);
    if (kind == LEAF_IP && str_starts(text, STR("hex:")))
        return hex_bytes(j, where, str_bytes(text.p + 4, text.n - 4), ret);
    if (kind == LEAF_IP) {
        uint8_t ip[16];
        size_t n;
        if (leaf_parse_ip(text, ip, &n) < 0)
            return fail_at(j, where, -EINVAL, "not an address", text);
        text = arena_str(j->arena, str_bytes(ip, n));
        if (!text.p)
            return no_memory(j);
    }
    *ret = (ProtobufCBinaryData){text.n, (uint8_t *)text.p};
    return 0;
}

static int word_or_time(struct parser *j, const ProtobufCFieldDescriptor *d, void *member)
{
    const char *where = j->p;
    struct str text;
    int r = string(j, &text);
    if (r < 0)
        return r;
    if (d->type == PROTOBUF_C_TYPE_ENUM && leaf_parse_enum(d->descriptor, text, member) < 0)
        return fail_at(j, where, -EINVAL, "unknown word", text);
    if (d->type != PROTOBUF_C_TYPE_ENUM && leaf_parse_time(text, member) < 0)
        return fail_at(j, where, -EINVAL, "not a time as 2024-01-31T23:59:59Z", text);
    return 0;
}

static int message(struct parser *j, const ProtobufCMessageDescriptor *type,
                   ProtobufCMessage **ret);

static int value(struct parser *j, const ProtobufCFieldDescriptor *d, void *member)
{
    enum leaf_kind kind = leaf_kind(d);
    uint64_t n;
    int r;
    blanks(j);
    switch (d->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        return message(j, d->descriptor, member);
    case PROTOBUF_C_TYPE_BYTES:
        return bytes(j, kind, member);
    case PROTOBUF_C_TYPE_BOOL:
        return boolean(j, member);
    case PROTOBUF_C_TYPE_ENUM:
        return word_or_time(j, d, member);
    case PROTOBUF_C_TYPE_STRING: {
        const char *where = j->p;
        struct str text;
        r = string(j, &text);
        if (r == 0 && memchr(text.p, 0, text.n))
            return fail_at(j, where, -EINVAL, "this text cannot hold a NUL", STR_NONE);
        if (r == 0)
            *(const char **)member = text.p;
        return r;
    }
    case PROTOBUF_C_TYPE_UINT32:
        r = number(j, UINT32_MAX, &n);
        if (r == 0)
            *(uint32_t *)member = (uint32_t)n;
        return r;
    default: // uint64, fixed64
        return kind == LEAF_TIME ? word_or_time(j, d, member) : number(j, UINT64_MAX, member);
    }
}

static int list(struct parser *j, const ProtobufCFieldDescriptor *d, char *base)
{
    size_t size = leaf_element_size(d), n = 0, cap = 0;
    char *items = NULL;
    if (!next_is(j, '['))
        return fail(j, "a list is expected");
    if (!next_is(j, ']')) {
        do {
            if (n == cap) {
                cap = cap ? cap * 2 : 4;
                char *more = arena_zero(j->arena, cap * size);
                if (!more)
                    return no_memory(j);
                if (n)
                    memcpy(more, items, n * size);
                items = more;
            }
            int r = value(j, d, items + n * size);
            if (r < 0)
                return r;
            n++;
        } while (next_is(j, ','));
        if (!next_is(j, ']'))
            return fail(j, "',' or ']' is expected");
    }
    *(size_t *)(base + d->quantifier_offset) = n;
    *(void **)(base + d->offset) = items;
    return 0;
}

static int member_value(struct parser *j, const ProtobufCFieldDescriptor *d, char *base)
{
    if (d->label == PROTOBUF_C_LABEL_REPEATED)
        return list(j, d, base);
    bool one_of = d->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
    uint32_t *set = (uint32_t *)(base + d->quantifier_offset);
    if (one_of && *set)
        return fail(j, "only one kind is possible here, and another was given already");
    int r = value(j, d, base + d->offset);
    if (r < 0)
        return r;
    if (one_of)
        *set = d->id;
    else if (d->label == PROTOBUF_C_LABEL_OPTIONAL && d->type != PROTOBUF_C_TYPE_MESSAGE &&
             d->type != PROTOBUF_C_TYPE_STRING)
        *(protobuf_c_boolean *)(base + d->quantifier_offset) = true;
    return 0;
}

// One "name": value. `seen` has a bit for each field of the message, in the descriptor's order.
static int member(struct parser *j, const ProtobufCMessageDescriptor *type, char *base,
                  uint64_t *seen)
{
    blanks(j);
    const char *where = j->p;
    struct str name;
    int r = string(j, &name);
    if (r < 0)
        return r;
    const ProtobufCFieldDescriptor *d =
        memchr(name.p, 0, name.n) ? NULL
                                  : protobuf_c_message_descriptor_get_field_by_name(type, name.p);
    if (!d)
        return fail_at(j, where, -EINVAL, "unknown name", name);
    uint64_t bit = (uint64_t)1 << (d - type->fields);
    if (*seen & bit)
        return fail_at(j, where, -EINVAL, "the name is given twice", name);
    *seen |= bit;
    if (!next_is(j, ':'))
        return fail(j, "':' is expected");
    return member_value(j, d, base);
}

static int message(struct parser *j, const ProtobufCMessageDescriptor *type, ProtobufCMessage **ret)
{
    uint64_t seen = 0; // a test holds that no message has more than 64 fields
    int r;
    blanks(j);
    const char *where = j->p;
    if (!next_is(j, '{'))
        return fail(j, "'{' is expected");
    if (++j->depth > JSON_DEPTH_LIMIT)
        return fail(j, "nested too deeply");
    ProtobufCMessage *m = arena_alloc(j->arena, type->sizeof_message);
    if (!m)
        return no_memory(j);
    type->message_init(m);
    if (!next_is(j, '}')) {
        do {
            r = member(j, type, (char *)m, &seen);
            if (r < 0)
                return r;
        } while (next_is(j, ','));
        if (!next_is(j, '}'))
            return fail(j, "',' or '}' is expected");
    }
    for (unsigned i = 0; i < type->n_fields; i++)
        if (type->fields[i].label == PROTOBUF_C_LABEL_REQUIRED && !(seen >> i & 1))
            return fail_at(j, where, -EINVAL, "this must be given", str_from(type->fields[i].name));
    j->depth--;
    *ret = m;
    return 0;
}

int json_parse(struct str text, const ProtobufCMessageDescriptor *type, struct arena *arena,
               ProtobufCMessage **ret, struct error *e)
{
    const char *start = text.n ? text.p : "";
    struct parser j = {start, start, start + text.n, arena, e, 0};
    ProtobufCMessage *m;
    if (text.n > JSON_TEXT_LIMIT)
        return error_set(e, -E2BIG, "the text has %zu bytes, the limit is %zu", text.n,
                         JSON_TEXT_LIMIT);
    int r = message(&j, type, &m);
    if (r < 0)
        return r;
    blanks(&j);
    if (j.p < j.end)
        return fail(&j, "nothing may follow the message");
    *ret = m;
    return 0;
}
