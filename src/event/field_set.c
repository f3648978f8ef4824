// SPDX-License-Identifier: Apache-2.0
// field_set(): events from names and texts, for rule tests. Not fast, and need not be.
#include "event/field_table.h"

#include <errno.h>
#include <netinet/in.h>

#define MODE_BITS 07777u
#define NS_PER_S 1000000000u

struct setting { // what every step needs
    const struct field *field;
    struct str text;
    struct arena *arena;
    struct error *e;
};

static int refuse(const struct setting *s, const char *wanted)
{
    const char *name = s->field->sigma ? s->field->sigma : s->field->path;
    int shown = s->text.n > 100 ? 100 : (int)s->text.n;
    return error_set(s->e, -EINVAL, "%s cannot be '%.*s': it is %s", name, shown,
                     s->text.p ? s->text.p : "", wanted);
}

static int no_memory(const struct setting *s)
{
    return error_set(s->e, -ENOMEM, "the event is too large for its memory limit");
}

static void *at(void *message, uint32_t offset)
{
    return (char *)message + offset;
}

// A message with all that it requires; the schema requires only a process id, in a process.
static void *message_new(const ProtobufCMessageDescriptor *type, struct arena *arena)
{
    ProtobufCMessage *message = arena_alloc(arena, type->sizeof_message);
    if (!message)
        return NULL;
    type->message_init(message);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *d = &type->fields[i];
        if (d->label != PROTOBUF_C_LABEL_REQUIRED || d->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        void *part = message_new(d->descriptor, arena);
        if (!part)
            return NULL;
        memcpy(at(message, d->offset), &part, sizeof part);
    }
    return message;
}

static int go(const struct setting *s, void **message, const struct field_step *step)
{
    void **part = at(*message, step->offset);
    uint32_t *set = at(*message, step->case_offset);
    if (step->case_id && *set != step->case_id && *set != 0)
        return error_set(s->e, -EINVAL, "'%s' is not a field of this kind of event",
                         s->field->sigma ? s->field->sigma : s->field->path);
    if (!*part || (step->case_id && *set == 0)) {
        void *fresh = message_new(step->type, s->arena);
        if (!fresh)
            return no_memory(s);
        *part = fresh;
        if (step->case_id)
            *set = step->case_id;
    }
    *message = *part;
    return 0;
}

static int copy_bytes(const struct setting *s, struct str text, ProtobufCBinaryData *ret)
{
    struct str copy = arena_str(s->arena, text);
    if (!copy.p)
        return no_memory(s);
    *ret = (ProtobufCBinaryData){copy.n, (uint8_t *)copy.p};
    return 0;
}

static int parse_bytes(const struct setting *s, ProtobufCBinaryData *ret)
{
    uint8_t ip[16];
    size_t n;
    switch (s->field->kind) {
    case LEAF_IP:
        if (leaf_parse_ip(s->text, ip, &n) < 0)
            return refuse(s, "an IPv4 or IPv6 address");
        return copy_bytes(s, str_bytes(ip, n), ret);
    case LEAF_HEX:
        if (copy_bytes(s, s->text, ret) < 0)
            return no_memory(s);
        if (leaf_parse_hex(s->text, ret->data) < 0)
            return refuse(s, "hexadecimal, two digits a byte");
        ret->len = s->text.n / 2;
        return 0;
    default:
        return copy_bytes(s, s->text, ret);
    }
}

// One more element at the end of a list; `size` is an element's.
static int append(const struct setting *s, void *message, const void *element, size_t size)
{
    size_t *n = at(message, s->field->leaf->quantifier_offset);
    void **items = at(message, s->field->leaf->offset);
    char *more = arena_alloc(s->arena, (*n + 1) * size);
    if (!more)
        return no_memory(s);
    if (*n)
        memcpy(more, *items, *n * size);
    memcpy(more + *n * size, element, size);
    *items = more;
    ++*n;
    return 0;
}

static int set_list(const struct setting *s, void *message)
{
    const ProtobufCFieldDescriptor *d = s->field->leaf;
    ProtobufCBinaryData bytes;
    int value, r;
    if (d->type == PROTOBUF_C_TYPE_BYTES) {
        r = parse_bytes(s, &bytes);
        return r < 0 ? r : append(s, message, &bytes, sizeof bytes);
    }
    if (leaf_parse_enum(d->descriptor, s->text, &value) < 0)
        return refuse(s, "one of a few words, see doc/fields.md");
    return append(s, message, &value, sizeof value);
}

static int set_number(const struct setting *s, uint64_t value, void *member)
{
    if (s->field->leaf->type == PROTOBUF_C_TYPE_UINT32) {
        if (value > UINT32_MAX)
            return refuse(s, "at most 4294967295");
        *(uint32_t *)member = (uint32_t)value;
    } else {
        *(uint64_t *)member = value;
    }
    return 0;
}

static int parse_number(const struct setting *s, void *member)
{
    uint64_t value;
    if (s->field->kind == LEAF_TIME && leaf_parse_time(s->text, &value) == 0)
        return set_number(s, value, member);
    if (str_to_u64(s->text, &value) < 0)
        return refuse(s, s->field->kind == LEAF_TIME
                             ? "a time as 2024-01-31T23:59:59Z, or nanoseconds since 1970"
                             : "a whole number");
    return set_number(s, value, member);
}

static int parse_bool(const struct setting *s, protobuf_c_boolean *ret)
{
    bool yes = str_eq_nocase(s->text, STR("true")) || str_eq(s->text, STR("1"));
    if (!yes && !str_eq_nocase(s->text, STR("false")) && !str_eq(s->text, STR("0")))
        return refuse(s, "true or false");
    *ret = yes;
    return 0;
}

static int set_string(const struct setting *s, char **ret)
{
    if (memchr(s->text.n ? s->text.p : "", 0, s->text.n))
        return refuse(s, "text without a NUL");
    char *copy = arena_cstr(s->arena, s->text);
    if (!copy)
        return no_memory(s);
    *ret = copy;
    return 0;
}

static int set_plain(const struct setting *s, void *message)
{
    const ProtobufCFieldDescriptor *d = s->field->leaf;
    void *member = at(message, d->offset);
    int r = 0;
    if (d->label == PROTOBUF_C_LABEL_REPEATED)
        return set_list(s, message);
    switch (d->type) {
    case PROTOBUF_C_TYPE_STRING:
        return set_string(s, member);
    case PROTOBUF_C_TYPE_BYTES:
        r = parse_bytes(s, member);
        break;
    case PROTOBUF_C_TYPE_ENUM:
        if (leaf_parse_enum(d->descriptor, s->text, member) < 0)
            return refuse(s, "one of a few words, see doc/fields.md");
        break;
    case PROTOBUF_C_TYPE_BOOL:
        r = parse_bool(s, member);
        break;
    default:
        r = parse_number(s, member);
        break;
    }
    if (r == 0 && d->label == PROTOBUF_C_LABEL_OPTIONAL)
        *(protobuf_c_boolean *)at(message, d->quantifier_offset) = true;
    return r;
}

// ---- computed

static int set_joined(const struct setting *s, void *message)
{
    struct setting piece = *s;
    const char *p = s->text.n ? s->text.p : "", *end = p + s->text.n;
    size_t count = 1;
    for (size_t i = 0; i < s->text.n; i++)
        count += p[i] == ' ';
    ProtobufCBinaryData *list = arena_array(s->arena, ProtobufCBinaryData, count);
    if (!list)
        return no_memory(s);
    for (size_t i = 0; i < count; i++) {
        const char *blank = memchr(p, ' ', (size_t)(end - p));
        piece.text = str_bytes(p, (size_t)((blank ? blank : end) - p));
        int r = copy_bytes(s, piece.text, &list[i]);
        if (r < 0)
            return r;
        p = blank ? blank + 1 : end;
    }
    *(size_t *)at(message, s->field->leaf->quantifier_offset) = count;
    *(ProtobufCBinaryData **)at(message, s->field->leaf->offset) = list;
    return 0;
}

static int set_word(const struct setting *s, Tiercel__Process *process, size_t i)
{
    const ProtobufCEnumDescriptor *type = &tiercel__descriptor_kind__descriptor;
    size_t n = process->n_descriptors > i ? process->n_descriptors : i + 1;
    int value;
    if (leaf_parse_enum(type, s->text, &value) < 0)
        return refuse(s, "closed, other, file, pipe, terminal, socket or null");
    Tiercel__DescriptorKind *list = arena_array(s->arena, Tiercel__DescriptorKind, n);
    if (!list)
        return no_memory(s);
    for (size_t k = 0; k < n; k++) // those below it that were not given are "other"
        list[k] = k < process->n_descriptors ? process->descriptors[k]
                                             : TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_OTHER;
    list[i] = (Tiercel__DescriptorKind)value;
    process->descriptors = list;
    process->n_descriptors = n;
    return 0;
}

static int set_identity(const struct setting *s, void *message)
{
    struct str rest = s->text, pid;
    uint64_t number, start;
    if (!str_split(&rest, ':', &pid) || str_to_u64(pid, &number) < 0 || number > UINT32_MAX ||
        str_to_u64(rest, &start) < 0)
        return refuse(s, "pid:start, two whole numbers");
    Tiercel__ProcessId *id = message_new(&tiercel__process_id__descriptor, s->arena);
    if (!id)
        return no_memory(s);
    id->pid = (uint32_t)number;
    id->start = start;
    *(Tiercel__ProcessId **)at(message, s->field->leaf->offset) = id;
    return 0;
}

static int set_seconds(const struct setting *s, void *message)
{
    uint64_t value;
    if (str_to_u64(s->text, &value) < 0 || value > UINT64_MAX / NS_PER_S)
        return refuse(s, "a whole number of seconds");
    *(uint64_t *)at(message, s->field->leaf->offset) = value * NS_PER_S;
    *(protobuf_c_boolean *)at(message, s->field->leaf->quantifier_offset) = true;
    return 0;
}

static int set_protocol(const struct setting *s, void *message)
{
    static const struct {
        const char *name, *number;
    } known[] = {{"tcp", "6"}, {"udp", "17"}, {"icmp", "1"}, {"icmpv6", "58"}, {"sctp", "132"}};
    struct setting number = *s;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (str_eq_nocase(s->text, str_from(known[i].name)))
            number.text = str_from(known[i].number);
    return set_plain(&number, message);
}

static int set_octal(const struct setting *s, void *message)
{
    uint32_t mode = 0;
    for (size_t i = 0; i < s->text.n; i++) {
        char c = s->text.p[i];
        if (c < '0' || c > '7' || mode > MODE_BITS / 8)
            return refuse(s, "permission bits in octal, such as 4755");
        mode = mode * 8 + (uint32_t)(c - '0');
    }
    if (s->text.n == 0)
        return refuse(s, "permission bits in octal, such as 4755");
    *(uint32_t *)at(message, s->field->leaf->offset) = mode;
    *(protobuf_c_boolean *)at(message, s->field->leaf->quantifier_offset) = true;
    return 0;
}

static int set_hashes(const struct setting *s, void *message)
{
    struct setting hex = *s;
    if (!str_starts(s->text, STR("SHA256=")))
        return refuse(s, "SHA256= and 64 hexadecimal digits");
    hex.text = str_bytes(s->text.p + 7, s->text.n - 7);
    return set_plain(&hex, message);
}

int field_set(const struct field *field, Tiercel__Event *event, struct str text,
              struct arena *arena, struct error *e)
{
    const struct setting s = {field, text, arena, e};
    void *message = event;
    for (unsigned i = 0; i < field->n_steps; i++) {
        int r = go(&s, &message, &field->steps[i]);
        if (r < 0)
            return r;
    }
    switch (field->form) {
    case JOINED:
        return set_joined(&s, message);
    case SECONDS:
        return set_seconds(&s, message);
    case WORD_0:
    case WORD_1:
    case WORD_2:
        return set_word(&s, message, field->form - WORD_0);
    case IDENTITY:
        return set_identity(&s, message);
    case PROTOCOL:
        return set_protocol(&s, message);
    case OCTAL:
        return set_octal(&s, message);
    case HASHES:
        return set_hashes(&s, message);
    case USER:
    case PLAIN:
        break;
    }
    return set_plain(&s, message);
}
