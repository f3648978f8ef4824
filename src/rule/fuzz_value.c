// SPDX-License-Identifier: Apache-2.0
// A value with wildcards (the first line) against a text (the rest): the compiled matcher must agree with a plain one
// that works on the value as written.
#include "rule/matcher.h"

#include <stdlib.h>

#define VALUE_MAX 48
#define TEXT_MAX 200

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

// Which positions of the text can be reached after each piece of the value, one bool a position.
static bool plain_match(struct str value, struct str text)
{
    bool at[TEXT_MAX + 1] = {true};
    for (size_t i = 0; i < value.n; i++) {
        bool next[TEXT_MAX + 1] = {false};
        char c = value.p[i];
        bool escaped =
            c == '\\' && i + 1 < value.n && strchr("*?\\", value.p[i + 1]) && value.p[i + 1];
        if (escaped)
            c = value.p[++i];
        for (size_t j = 0; j <= text.n; j++) {
            if (!at[j])
                continue;
            if (!escaped && c == '*') {
                for (size_t k = j; k <= text.n; k++)
                    next[k] = true;
            } else if (!escaped && c == '?') {
                size_t k = j + 1;
                if (k <= text.n)
                    next[k] = true;
                while (k < text.n && ((unsigned char)text.p[k] & 0xc0) == 0x80)
                    next[++k] = true;
            } else if (j < text.n && lower(text.p[j]) == lower(c)) {
                next[j + 1] = true;
            }
        }
        memcpy(at, next, sizeof at);
    }
    return at[text.n];
}

static int found(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                 void *context)
{
    (void)id, (void)from, (void)to, (void)flags;
    *(bool *)context = true;
    return 0;
}

static bool compiled_match(struct str value, struct str text)
{
    struct arena arena = {0};
    struct buf expression = {0};
    struct rule_pattern pattern;
    struct rule_strings strings = {0};
    struct rule_matcher *matcher;
    hs_scratch_t *scratch = NULL;
    bool result = false;
    if (rule_pattern_parse(&arena, value, &pattern) < 0)
        abort();
    rule_pattern_expression(&pattern, &expression);
    buf_add_char(&expression, 0);
    struct rule_leaf leaf = {.flags = RULE_FLAG_DOTALL | RULE_FLAG_NOCASE,
                             .expression = {expression.p, expression.n - 1}};
    if (rule_strings_add(&strings, &leaf) < 0 || rule_matcher_new(&strings, &matcher, NULL) < 0)
        abort();
    if (matcher->how[0] != RULE_BY_DATABASE || hs_alloc_scratch(matcher->db, &scratch))
        abort();
    hs_scan(matcher->db, text.p, (unsigned)text.n, 0, scratch, found, &result);
    hs_free_scratch(scratch);
    rule_matcher_free(matcher);
    rule_strings_done(&strings);
    buf_done(&expression);
    arena_done(&arena);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_bytes(data, size), value;
    if (!str_split(&rest, '\n', &value) || !rest.p || value.n > VALUE_MAX || rest.n > TEXT_MAX)
        return 0;
    bool many =
        value.n > 0; // nothing but `*` is "the field is there" and never reaches the matcher
    for (size_t i = 0; i < value.n; i++)
        many = many && value.p[i] == '*';
    if (!many && plain_match(value, rest) != compiled_match(value, rest))
        abort();
    return 0;
}
