// SPDX-License-Identifier: Apache-2.0
#include "base/cleanup.h"
#include "base/test.h"
#include "sensor/decode.h"

#include <errno.h>

#define ASSERT_BYTES(value, text)                                                                  \
    do {                                                                                           \
        assert_int_equal((value).len, sizeof(text) - 1);                                           \
        assert_memory_equal((value).data, text, (value).len);                                      \
    } while (0)

#define HEAD(bits, answers) "\0\7" bits "\0\1" answers "\0\0\0\0"
#define WWW "\3www\4test\0"
#define QUESTION HEAD("\1\0", "\0\0") WWW "\0\1\0\1"
#define ANSWERS(count) HEAD("\x81\x80", count) WWW "\0\1\0\1"

static Tiercel__Dns *read_dns(struct arena *arena, struct str message, bool answer)
{
    static const struct decode_clock clock_ = {0};
    struct {
        struct record_dns r;
        struct record_part part;
        char bytes[DNS_MESSAGE_BYTES];
    } m = {.part = {.number = PART_MESSAGE, .bytes = (uint32_t)message.n}};
    struct decoded d;

    m.r.r = (struct record){
        .bytes = (uint32_t)(sizeof m.r + sizeof m.part + ((message.n + 7) & ~(size_t)7)),
        .kind = RECORD_DNS,
        .parts = 1,
        .pid = 4,
        .tid = 4};
    m.r.flags = answer ? DNS_ANSWER : 0;
    memcpy(m.r.server, "\x7f\x42\0\x35", 4);
    memcpy(m.bytes, message.p, message.n);
    assert_int_equal(decode(&m, m.r.r.bytes, &clock_, arena, &d), 0);
    return d.event->dns;
}

static void test_question(void **state)
{
    _cleanup_arena_ struct arena arena = {0};
    Tiercel__Dns *dns = read_dns(&arena, STR(QUESTION), false);

    (void)state;
    ASSERT_BYTES(dns->question, "www.test");
    assert_int_equal(dns->type, 1);
    assert_int_equal(dns->number, 7);
    assert_false(dns->has_truncated || dns->has_answered || dns->has_code);
    ASSERT_BYTES(dns->server->ip, "\x7f\x42\0\x35");
}

static void test_answers(void **state)
{
    _cleanup_arena_ struct arena arena = {0};
    Tiercel__Dns *dns = read_dns(
        &arena,
        STR(ANSWERS("\0\4") "\xc0\x0c\0\5\0\1\0\0\1\0\0\6\3cdn\xc0\x10"
                            "\xc0\x26\0\1\0\1\0\0\0\x20\0\4\x7f\x42\0\1"
                            "\xc0\x26\0\x1c\0\1\0\0\1\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
                            "\xc0\x0c\0\x10\0\1\0\0\1\0\0\4\3a.b"),
        true);

    (void)state;
    assert_false(dns->truncated);
    assert_true(dns->answered);
    assert_int_equal(dns->code, 0);
    assert_int_equal(dns->n_answers, 4);
    ASSERT_BYTES(dns->answers[0], "cdn.test");
    ASSERT_BYTES(dns->answers[1], "127.66.0.1");
    ASSERT_BYTES(dns->answers[2], "::1");
    ASSERT_BYTES(dns->answers[3], "a\\.b");
    assert_int_equal(dns->ttl, 0x20);
}

static void test_no_such_name(void **state)
{
    _cleanup_arena_ struct arena arena = {0};
    Tiercel__Dns *dns = read_dns(&arena, STR(HEAD("\x81\x83", "\0\0") WWW "\0\1\0\1"), true);

    (void)state;
    assert_int_equal(dns->code, 3);
    assert_int_equal(dns->n_answers, 0);
    assert_false(dns->truncated);
}

// Damaged or hostile: told, marked, and nothing of it believed beyond where it is whole.
static void test_hostile_messages_are_marked(void **state)
{
    static const struct {
        struct str message;
        bool answer;
    } bad[] = {
        {STR(""), false},
        {STR("GET / HTTP/1.0"), false},
        {STR(HEAD("\1\0", "\0\0") "\xc0\x0c\0\1\0\1"), false},    // points at itself
        {STR(HEAD("\1\0", "\0\0") "\1a\xc0\x0c\0\1\0\1"), false}, // goes around
        {STR(HEAD("\1\0", "\0\0") "\xc0\x20\0\1\0\1"), false},    // forwards
        {STR(HEAD("\1\0", "\0\0") "\x40"
                                  "a\0\0\1\0\1"),
         false},                                    // no such length of a label
        {STR(HEAD("\1\0", "\0\0") "\3www"), false}, // ends early
        {STR(HEAD("\1\0", "\0\0") "\3www\0\0\1"), false},
        {STR(QUESTION), true},                                   // a question as an answer
        {STR("\0\7\1\0\0\2\0\0\0\0\0\0" WWW "\0\1\0\1"), false}, // two questions
        {STR(ANSWERS("\0\1")), true},                            // an answer that is missing
        {STR(ANSWERS("\0\1") "\xc0\x0c\0\1\0\1\0\0\0\x20\xff\xff\x7f\x42\0\1"), true},
        {STR(HEAD("\x83\x80", "\0\0") WWW "\0\1\0\1"), true}, // says itself that it is cut
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        _cleanup_arena_ struct arena arena = {0};
        Tiercel__Dns *dns = read_dns(&arena, bad[i].message, bad[i].answer);
        if (!dns->has_truncated || !dns->truncated || dns->n_answers)
            fail_msg("message %zu was believed", i);
    }
}

static void test_long_names_and_many_answers(void **state)
{
    _cleanup_arena_ struct arena arena = {0};
    char text[DNS_MESSAGE_BYTES] = HEAD("\1\0", "\0\0");
    size_t n = 12;

    (void)state;
    for (int i = 0; i < 4; i++) { // 4 * 64 + 1 bytes: one too many of each
        text[n++] = 63;
        memset(text + n, 1, 63);
        n += 63;
    }
    memcpy(text + n, "\0\0\1\0\1", 5);
    assert_true(read_dns(&arena, (struct str){text, n + 5}, false)->truncated);
    n -= 64;
    memcpy(text + n, "\0\0\1\0\1", 5);
    Tiercel__Dns *dns = read_dns(&arena, (struct str){text, n + 5}, false);
    assert_false(dns->truncated);
    assert_int_equal(dns->question.len, 3 * 63 * 4 + 2);
    memcpy(text, ANSWERS("\0\x20"), sizeof(ANSWERS("\0\x20")));
    n = sizeof(ANSWERS("\0\x20")) - 1;
    for (int i = 0; i < 28; i++) {
        memcpy(text + n, "\xc0\x0c\0\1\0\1\0\0\0\1\0\4\x7f\0\0\1", 16);
        n += 16;
    }
    dns = read_dns(&arena, (struct str){text, n}, true);
    assert_int_equal(dns->n_answers, 28); // those that are there
    assert_true(dns->truncated);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_question),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_no_such_name),
        cmocka_unit_test(test_hostile_messages_are_marked),
        cmocka_unit_test(test_long_names_and_many_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
