// SPDX-License-Identifier: Apache-2.0
// A value with wildcards (the first line) against a text (the rest): the compiled matcher must agree with a plain one
// that works on the value as written.
#include "rule/set.h"

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

static struct rule_value text_of(void *context, size_t field)
{
    (void)field;
    return (struct rule_value){.type = RULE_TEXT, .text = *(const struct str *)context};
}

static struct rule_leaf *only_leaf(struct rule_expr *e)
{
    while (e->op != RULE_OP_LEAF)
        e = e->child[0];
    return e->leaf;
}

// A value may be any bytes, and a rule's file may not: the value takes the place of another one in a rule.
static struct rule_set *set_of(struct str value, struct arena *arena)
{
    static const char rule[] = "title: t\nlogsource: {product: linux}\n"
                               "detection:\n  s: {Field: placeholder}\n  condition: s\n";
    struct rule_options options = {0};
    struct rule_pattern pattern;
    struct rule_set *set;
    struct buf expression = {0};
    if (rule_set_new(&options, &set) < 0 ||
        rule_set_add(set, str_bytes(rule, sizeof rule - 1), "rule", NULL) < 0 ||
        rule_pattern_parse(arena, value, &pattern) < 0)
        abort();
    rule_pattern_expression(&pattern, &expression);
    only_leaf(set->entries[0].root)->expression = arena_str(arena, buf_str(&expression));
    buf_done(&expression);
    if (rule_set_compile(set, NULL) < 0)
        abort();
    return set;
}

static bool compiled_match(struct str value, struct str text)
{
    struct arena arena = {0};
    struct rule_set *set = set_of(value, &arena);
    struct rule_scratch *scratch;
    struct rule_record record = {text_of, NULL, &text};
    const struct rule_match *matches;
    size_t n;
    int route = rule_set_route(set, STR("linux"), STR_NONE, STR_NONE);
    if (route < 0 || rule_scratch_new(set, &scratch) < 0 ||
        rule_match(set, scratch, route, &record, &arena, &matches, &n, NULL) < 0)
        abort();
    rule_scratch_free(scratch);
    rule_set_free(set);
    arena_done(&arena);
    return n > 0;
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
