// SPDX-License-Identifier: Apache-2.0
#include "base/test.h"
#include "event/json.h"
#include "event/leaf.h"

#include <errno.h>
#include <stdlib.h>

static struct arena arena;
static struct buf out;
static uint64_t seed;

static int clear(void **state)
{
    (void)state;
    arena_done(&arena);
    buf_done(&out);
    return 0;
}

static uint32_t rnd(uint32_t below) // xorshift64
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32) % below;
}

// ---- random messages, made from the descriptors

static struct str random_text(bool nul)
{
    static const char *const parts[] = {"a",
                                        "/usr/bin/",
                                        "\n",
                                        "\xff",
                                        "\xc3",
                                        "\xc3\xa9",
                                        "\"",
                                        "\\",
                                        "\x7f",
                                        "\x1b[31m",
                                        "\xed\xa0\x80",
                                        "\xf0\x9f\x98\x80",
                                        "\xc2\x9b",
                                        "\xe2\x80\xae",
                                        "\t",
                                        "\xf4\x90\x80\x80",
                                        "\xc0\xaf",
                                        " ",
                                        "\\udc80"};
    struct buf b = {0};
    for (unsigned n = rnd(8); n; n--) {
        buf_add_str(&b, str_from(parts[rnd(sizeof parts / sizeof *parts)]));
        if (nul && rnd(6) == 0)
            buf_add_char(&b, (char)rnd(256));
        if (nul && rnd(6) == 0)
            buf_add_char(&b, 0);
    }
    struct str s = arena_str(&arena, buf_str(&b));
    buf_done(&b);
    return s;
}

static ProtobufCMessage *random_message(const ProtobufCMessageDescriptor *type);

static uint64_t random_number(void)
{
    uint64_t wide = (uint64_t)rnd(UINT32_MAX) << 32 | rnd(UINT32_MAX);
    return rnd(8) == 0 ? UINT64_MAX : wide >> rnd(64);
}

static void random_value(const ProtobufCFieldDescriptor *d, void *member)
{
    struct str s;
    switch (d->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        *(ProtobufCMessage **)member = random_message(d->descriptor);
        break;
    case PROTOBUF_C_TYPE_STRING:
        *(const char **)member = random_text(false).p;
        break;
    case PROTOBUF_C_TYPE_BYTES:
        s = random_text(true);
        if (leaf_kind(d) == LEAF_IP && rnd(2))
            s = arena_str(&arena, rnd(2) ? STR("\x7f\x42\x00\x01") : STR("0123456789abcdef"));
        *(ProtobufCBinaryData *)member = (ProtobufCBinaryData){s.n, (uint8_t *)s.p};
        break;
    case PROTOBUF_C_TYPE_ENUM:
        *(int *)member = (int)rnd(9) - 1; // some without a name
        break;
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)member = (protobuf_c_boolean)rnd(2);
        break;
    case PROTOBUF_C_TYPE_UINT32:
        *(uint32_t *)member = (uint32_t)random_number();
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        *(uint64_t *)member = random_number();
        break;
    default:
        fail_msg("%s has a type that JSON and fields do not know", d->name);
    }
}

static ProtobufCMessage *random_message(const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *m = arena_alloc(&arena, type->sizeof_message);
    char *base = (char *)m;
    type->message_init(m);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *d = &type->fields[i];
        bool one_of = d->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
        uint32_t *quantifier = (uint32_t *)(base + d->quantifier_offset);
        if (d->label != PROTOBUF_C_LABEL_REQUIRED && rnd(3) == 0)
            continue;
        if (d->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t n = rnd(4), size = leaf_element_size(d);
            char *items = arena_zero(&arena, n * size);
            for (size_t k = 0; k < n; k++)
                random_value(d, items + k * size);
            *(size_t *)quantifier = n;
            *(void **)(base + d->offset) = items;
            continue;
        }
        if (one_of && (*quantifier || rnd(4)))
            continue;
        random_value(d, base + d->offset);
        if (one_of)
            *quantifier = d->id;
        else if (d->label == PROTOBUF_C_LABEL_OPTIONAL && d->type != PROTOBUF_C_TYPE_MESSAGE &&
                 d->type != PROTOBUF_C_TYPE_STRING)
            *(protobuf_c_boolean *)quantifier = true;
    }
    return m;
}

static struct str packed(const ProtobufCMessage *m)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    uint8_t *p = arena_alloc(&arena, n);
    assert_int_equal(protobuf_c_message_pack(m, p), n);
    return str_bytes(p, n);
}

static void test_json_keeps_every_bit_of_random_messages(void **state)
{
    static const ProtobufCMessageDescriptor *const types[] = {
        &tiercel__event__descriptor, &tiercel__detection__descriptor, &tiercel__verdict__descriptor,
        &tiercel__loss__descriptor, &tiercel__batch__descriptor};
    (void)state;
    for (unsigned i = 0; i < 3000; i++) {
        seed = i * 0x9e3779b97f4a7c15u + 1;
        const ProtobufCMessageDescriptor *type = types[i % 5];
        ProtobufCMessage *m = random_message(type), *back = NULL;
        struct error e = {0};
        buf_reset(&out);
        json_print(m, &out);
        assert_int_equal(out.failed, 0);
        for (size_t k = 0; k < out.n; k++) // one line, nothing that acts on a terminal
            assert_true((uint8_t)out.p[k] >= 0x20 && out.p[k] != 0x7f);
        if (json_parse(buf_str(&out), type, &arena, &back, &e) != 0)
            fail_msg("%u: %u:%u: %s in %.*s", i, e.line, e.column, e.what, (int)out.n, out.p);
        assert_true(str_eq(packed(m), packed(back)));
        struct buf again = {0};
        json_print(back, &again);
        assert_true(str_eq(buf_str(&out), buf_str(&again)));
        buf_done(&again);
        arena_reset(&arena);
    }
}

// Either all names have the prefix or none: it is found by the first and the last.
static void check_enum(const ProtobufCEnumDescriptor *type)
{
    const char *first = type->values[0].name, *last = type->values[type->n_values - 1].name;
    const char *end = strchr(first, '_');
    bool prefix = end && strncmp(first, last, (size_t)(end - first) + 1) == 0;
    assert_true(type->n_values > 1);
    for (unsigned k = 0; k < type->n_values; k++) {
        assert_true(strlen(type->values[k].name) < LEAF_TEXT_MAX);
        assert_true(!prefix ||
                    strncmp(type->values[k].name, first, (size_t)(end - first) + 1) == 0);
    }
}

// What json, fields and the random messages above rely on.
static void check_type(const ProtobufCMessageDescriptor *type)
{
    assert_true(type->n_fields <= 64);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *d = &type->fields[i];
        union {
            char room[64];
            uint64_t align;
        } value;
        if (d->type == PROTOBUF_C_TYPE_MESSAGE)
            check_type(d->descriptor);
        else
            random_value(d, &value); // fails for a type that is not known
        if (d->label == PROTOBUF_C_LABEL_REPEATED)
            assert_true(d->type == PROTOBUF_C_TYPE_MESSAGE || d->type == PROTOBUF_C_TYPE_STRING ||
                        d->type == PROTOBUF_C_TYPE_BYTES || d->type == PROTOBUF_C_TYPE_ENUM);
        if (d->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
            assert_int_equal(d->type, PROTOBUF_C_TYPE_MESSAGE);
        if (d->label == PROTOBUF_C_LABEL_REQUIRED && d->type == PROTOBUF_C_TYPE_MESSAGE)
            assert_ptr_equal(d->descriptor, &tiercel__process_id__descriptor);
        if (d->type == PROTOBUF_C_TYPE_ENUM)
            check_enum(d->descriptor);
    }
}

static void test_json_schema_has_only_types_that_are_known(void **state)
{
    (void)state;
    seed = 1;
    check_type(&tiercel__batch__descriptor);
}

// ---- the form

static void assert_printed(const ProtobufCMessage *m, const char *text)
{
    buf_reset(&out);
    json_print(m, &out);
    buf_add_char(&out, 0);
    assert_string_equal(out.p, text);
}

static void test_json_form(void **state)
{
    (void)state;
    Tiercel__Loss loss = TIERCEL__LOSS__INIT;
    assert_printed(&loss.base, "{}");
    loss.has_from = loss.has_count = true;
    loss.from = 951782400000000001u; // leap day of 2000
    loss.count = UINT64_MAX;
    loss.class_ = "bulk";
    assert_printed(&loss.base, "{\"class\":\"bulk\",\"count\":18446744073709551615,"
                               "\"from\":\"2000-02-29T00:00:00.000000001Z\"}");
    Tiercel__ProcessId id = TIERCEL__PROCESS_ID__INIT;
    assert_printed(&id.base, "{\"pid\":0,\"start\":0}");
    Tiercel__Address address = TIERCEL__ADDRESS__INIT;
    address.has_ip = true;
    address.ip = (ProtobufCBinaryData){4, (uint8_t *)"\x7f\x42\x00\x01"};
    assert_printed(&address.base, "{\"ip\":\"127.66.0.1\"}");
    address.ip.len = 3;
    assert_printed(&address.base, "{\"ip\":\"hex:7f4200\"}");
    Tiercel__File file = TIERCEL__FILE__INIT;
    file.has_path = file.has_sha256 = file.has_deleted = true;
    file.path = (ProtobufCBinaryData){7, (uint8_t *)"\xff\n\0\"\xc2\x9bz"};
    file.sha256 = (ProtobufCBinaryData){2, (uint8_t *)"\x00\xfe"};
    assert_printed(&file.base, "{\"path\":\"\\udcff\\n\\u0000\\\"\\u009bz\",\"sha256\":\"00fe\","
                               "\"deleted\":false}");
    Tiercel__Verdict verdict = TIERCEL__VERDICT__INIT;
    verdict.has_action = verdict.has_mode = verdict.has_mechanism = true;
    verdict.action = TIERCEL__ACTION__ACTION_KILL_LINEAGE;
    verdict.mode = TIERCEL__MODE__MODE_PREVENT;
    verdict.mechanism = (Tiercel__Mechanism)99;
    assert_printed(&verdict.base,
                   "{\"action\":\"kill_lineage\",\"mode\":\"prevent\",\"mechanism\":\"99\"}");
}

static void test_json_string_of_nothing(void **state)
{
    (void)state;
    json_quoted(STR_NONE, &out);
    assert_true(str_eq(buf_str(&out), STR("\"\"")));
}

static void test_json_print_stops_at_the_limit(void **state)
{
    (void)state;
    static uint8_t name[1000];
    Tiercel__Dns dns = TIERCEL__DNS__INIT;
    dns.has_question = true;
    dns.question = (ProtobufCBinaryData){sizeof name, name};
    struct buf small = {.limit = 500};
    json_print(&dns.base, &small);
    assert_int_equal(small.failed, -EFBIG);
    buf_done(&small);
}

// ---- what is taken and what is refused

static void test_json_parse_takes_other_spellings(void **state)
{
    (void)state;
    Tiercel__Event *event;
    const char *text = " {\r\n \"time\" : \"2024-02-29T12:00:00.5Z\", \"process\":{\"id\":"
                       "{\"start\":3,\"pid\":2},\"argv\":[\"\\u0041\\ud83d\\ude00\\/\",\"\"],"
                       "\"descriptors\":[\"socket\",\"6\"]},\"exec\":{}}\t\n";
    assert_int_equal(json_parse(str_from(text), &tiercel__event__descriptor, &arena,
                                (ProtobufCMessage **)&event, NULL),
                     0);
    assert_true(event->has_time && event->time == 1709208000500000000u);
    assert_int_equal(event->kind_case, TIERCEL__EVENT__KIND_EXEC);
    assert_int_equal(event->process->n_argv, 2);
    assert_memory_equal(event->process->argv[0].data, "A\xf0\x9f\x98\x80/", 6);
    assert_int_equal(event->process->descriptors[1], TIERCEL__DESCRIPTOR_KIND__DESCRIPTOR_NULL);
}

static void test_json_parse_refuses_with_place(void **state)
{
    static const struct {
        const char *text;
        unsigned line, column;
        const char *what;
    } bad[] = {
        {"", 1, 1, "'{'"},
        {"[]", 1, 1, "'{'"},
        {"null", 1, 1, "'{'"},
        {"{", 1, 2, "string is expected"},
        {"{}x", 1, 3, "nothing may follow"},
        {"{}{}", 1, 3, "nothing may follow"},
        {"{\"id\":1,}", 1, 9, "string is expected"},
        {"{\"id\":1 \"time\":2}", 1, 9, "',' or '}'"},
        {"{\"id\" 1}", 1, 7, "':'"},
        {"{\n  \"idd\":1}", 2, 3, "unknown name: 'idd'"},
        {"{\"id\":1,\n\"id\":1}", 2, 1, "twice"},
        {"{\"id\":01}", 1, 7, "whole number"},
        {"{\"id\":-1}", 1, 7, "whole number"},
        {"{\"id\":1.0}", 1, 7, "whole number"},
        {"{\"id\":1e3}", 1, 7, "whole number"},
        {"{\"id\":\"1\"}", 1, 7, "whole number"},
        {"{\"id\":null}", 1, 7, "whole number"},
        {"{\"id\":18446744073709551616}", 1, 7, "too large"},
        {"{\"id\":}", 1, 7, "whole number"},
        {"{\"time\":12}", 1, 9, "string is expected"},
        {"{\"time\":\"2023-02-29T00:00:00Z\"}", 1, 9, "not a time"},
        {"{\"time\":\"2600-01-01T00:00:00Z\"}", 1, 9, "not a time"},
        {"{\"process\":{}}", 1, 12, "must be given: 'id'"},
        {"{\"process\":{\"id\":{\"pid\":1}}}", 1, 18, "must be given: 'start'"},
        {"{\"fork\":{\"child\":{\"pid\":4294967296,\"start\":1}}}", 1, 25, "too large"},
        {"{\"exec\":{\"denied\":1}}", 1, 19, "true or false"},
        {"{\"exec\":{\"denied\":TRUE}}", 1, 19, "true or false"},
        {"{\"exec\":{},\"exit\":{}}", 1, 19, "another was given"},
        {"{\"dns\":{\"answers\":\"a\"}}", 1, 19, "a list"},
        {"{\"dns\":{\"answers\":[\"a\"", 1, 23, "',' or ']'"},
        {"{\"dns\":{\"answers\":[\"a\",]}}", 1, 24, "string is expected"},
        {"{\"dns\":{\"question\":\"a", 1, 20, "does not end"},
        {"{\"dns\":{\"question\":\"a\\\"}}", 1, 20, "does not end"},
        {"{\"dns\":{\"question\":\"a\nb\"}}", 1, 22, "control character"},
        {"{\"dns\":{\"question\":\"\\x41\"}}", 1, 22, "unknown escape"},
        {"{\"dns\":{\"question\":\"\\u12\"}}", 1, 23, "four hexadecimal"},
        {"{\"dns\":{\"question\":\"\\udc7f\"}}", 1, 27, "lone surrogate"},
        {"{\"dns\":{\"question\":\"\\ud800\"}}", 1, 27, "no second"},
        {"{\"dns\":{\"question\":\"\\ud800\\u0041\"}}", 1, 33, "no second"},
        {"{\"dns\":{\"question\":\"\xff\"}}", 1, 21, "not UTF-8"},
        {"{\"dns\":{\"question\":\"\xe0\x80\x80\"}}", 1, 21, "not UTF-8"}, // overlong
        {"{\"dns\":{\"question\":\"\xf0\x8f\xbf\xbf\"}}", 1, 21, "not UTF-8"},
        {"{\"dns\":{\"question\":\"\xed\xa0\x80\"}}", 1, 21, "not UTF-8"}, // a surrogate
        {"{\"dns\":{\"question\":\"\xf4\x90\x80\x80\"}}", 1, 21, "not UTF-8"},
        {"{\"connect\":{\"source\":{\"ip\":\"1.2.3\"}}}", 1, 28, "not an address"},
        {"{\"connect\":{\"source\":{\"ip\":\"hex:1\"}}}", 1, 28, "two hexadecimal"},
        {"{\"file\":{\"action\":\"CREATE\"}}", 1, 19, "unknown word"},
        {"{\"file\":{\"file\":{\"sha256\":\"0g\"}}}", 1, 27, "two hexadecimal"},
        {"{\"loss\":{\"class\":\"a\\u0000\"}}", 1, 18, "NUL"},
        {"{\"i\\u0000d\":1}", 1, 2, "unknown name"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ProtobufCMessage *m = NULL;
        struct error e = {0};
        int r = json_parse(str_from(bad[i].text), &tiercel__event__descriptor, &arena, &m, &e);
        if (r != -EINVAL || m || e.line != bad[i].line || e.column != bad[i].column ||
            !strstr(e.what, bad[i].what))
            fail_msg("%s: %d %u:%u %s", bad[i].text, r, e.line, e.column, e.what);
    }
}

static void test_json_parse_limits(void **state)
{
    (void)state;
    ProtobufCMessage *m = NULL;
    struct error e = {0};
    char *large = calloc(1, JSON_TEXT_LIMIT + 1);
    assert_int_equal(json_parse(str_bytes(large, JSON_TEXT_LIMIT + 1), &tiercel__event__descriptor,
                                &arena, &m, &e),
                     -E2BIG);
    free(large);
    struct arena small = {.limit = 4096};
    for (unsigned i = 0; i < 100; i++)
        buf_addf(&out, "%s{}", i ? "," : "{\"events\":[");
    buf_add_str(&out, STR("]}"));
    assert_int_equal(json_parse(buf_str(&out), &tiercel__batch__descriptor, &small, &m, &e),
                     -ENOMEM);
    arena_done(&small);
    assert_null(m);
}

// The schema nests less deep than the limit; a message that holds itself does not.
struct nest {
    ProtobufCMessage base;
    struct nest *in;
};
static void nest_init(ProtobufCMessage *m);
static ProtobufCMessageDescriptor nest_type;
static const ProtobufCFieldDescriptor nest_field = {
    .name = "in",
    .id = 1,
    .label = PROTOBUF_C_LABEL_OPTIONAL,
    .type = PROTOBUF_C_TYPE_MESSAGE,
    .offset = offsetof(struct nest, in),
    .descriptor = &nest_type,
};
static const unsigned nest_by_name[] = {0};
static void nest_init(ProtobufCMessage *m)
{
    *(struct nest *)m = (struct nest){.base.descriptor = &nest_type};
}

static void test_json_parse_depth(void **state)
{
    (void)state;
    nest_type = (ProtobufCMessageDescriptor){.magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
                                             .sizeof_message = sizeof(struct nest),
                                             .n_fields = 1,
                                             .fields = &nest_field,
                                             .fields_sorted_by_name = nest_by_name,
                                             .message_init = nest_init};
    for (unsigned depth = JSON_DEPTH_LIMIT - 1; depth < JSON_DEPTH_LIMIT + 1; depth++) {
        ProtobufCMessage *m = NULL;
        struct error e = {0};
        buf_reset(&out);
        for (unsigned i = 0; i < depth; i++)
            buf_add_str(&out, STR("{\"in\":"));
        buf_add_str(&out, STR("{}"));
        for (unsigned i = 0; i < depth; i++)
            buf_add_char(&out, '}');
        int r = json_parse(buf_str(&out), &nest_type, &arena, &m, &e);
        assert_int_equal(r, depth < JSON_DEPTH_LIMIT ? 0 : -EINVAL);
        assert_true(r == 0 || strstr(e.what, "deeply"));
    }
}

static void test_json_times(void **state)
{
    static const struct {
        uint64_t ns;
        const char *text;
    } times[] = {{0, "1970-01-01T00:00:00.000000000Z"},
                 {1709251199999999999u, "2024-02-29T23:59:59.999999999Z"},
                 {4107542400000000000u, "2100-03-01T00:00:00.000000000Z"}, // no leap year
                 {UINT64_MAX, "2554-07-21T23:34:33.709551615Z"}};
    static const char *const bad[] = {"",
                                      "2024-02-29",
                                      "2024-02-30T00:00:00Z",
                                      "2024-02-29T24:00:00Z",
                                      "2024-02-29T00:00:60Z",
                                      "2024-02-29T00:00:00+01:00",
                                      "2024-02-29T00:00:00.Z",
                                      "2024-02-29T00:00:00.0000000000Z",
                                      "1969-12-31T23:59:59Z",
                                      "2554-07-21T23:34:33.709551616Z",
                                      "2024-02-29 00:00:00Z",
                                      "2024-00-29T00:00:00Z"};
    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        char text[LEAF_TEXT_MAX];
        uint64_t back;
        size_t n = leaf_print_time(times[i].ns, text);
        assert_true(str_eq(str_bytes(text, n), str_from(times[i].text)));
        assert_int_equal(leaf_parse_time(str_bytes(text, n), &back), 0);
        assert_true(back == times[i].ns);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t back;
        assert_int_equal(leaf_parse_time(str_from(bad[i]), &back), -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_json_keeps_every_bit_of_random_messages, clear),
        cmocka_unit_test_teardown(test_json_schema_has_only_types_that_are_known, clear),
        cmocka_unit_test_teardown(test_json_form, clear),
        cmocka_unit_test_teardown(test_json_string_of_nothing, clear),
        cmocka_unit_test_teardown(test_json_print_stops_at_the_limit, clear),
        cmocka_unit_test_teardown(test_json_parse_takes_other_spellings, clear),
        cmocka_unit_test_teardown(test_json_parse_refuses_with_place, clear),
        cmocka_unit_test_teardown(test_json_parse_limits, clear),
        cmocka_unit_test_teardown(test_json_parse_depth, clear),
        cmocka_unit_test_teardown(test_json_times, clear),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
