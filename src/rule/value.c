// SPDX-License-Identifier: Apache-2.0
#include "rule/value.h"

#include <errno.h>

int rule_pattern_parse(struct arena *arena, struct str text, struct rule_pattern *ret)
{
    if (text.n > RULE_PATTERN_MAX)
        return -E2BIG;
    uint16_t *tokens = arena_array(arena, uint16_t, text.n);
    if (!tokens)
        return -ENOMEM;
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        char behind = i + 1 < text.n ? text.p[i + 1] : 0;
        if (c == '\\' && (behind == '*' || behind == '?' || behind == '\\'))
            tokens[n++] = (unsigned char)text.p[++i];
        else if (c == '*')
            tokens[n++] = RULE_TOKEN_MANY;
        else if (c == '?')
            tokens[n++] = RULE_TOKEN_ONE;
        else
            tokens[n++] = (unsigned char)c;
    }
    *ret = (struct rule_pattern){tokens, n};
    return 0;
}

int rule_pattern_literal(struct arena *arena, struct str bytes, struct rule_pattern *ret)
{
    if (bytes.n > RULE_PATTERN_MAX)
        return -E2BIG;
    uint16_t *tokens = arena_array(arena, uint16_t, bytes.n);
    if (!tokens)
        return -ENOMEM;
    for (size_t i = 0; i < bytes.n; i++)
        tokens[i] = (unsigned char)bytes.p[i];
    *ret = (struct rule_pattern){tokens, bytes.n};
    return 0;
}

bool rule_pattern_has_wildcards(const struct rule_pattern *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->tokens[i] > 255)
            return true;
    return false;
}

bool rule_pattern_matches_all(const struct rule_pattern *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->tokens[i] != RULE_TOKEN_MANY)
            return false;
    return p->n > 0;
}

size_t rule_pattern_run(const struct rule_pattern *p)
{
    size_t longest = 0, run = 0;
    for (size_t i = 0; i < p->n; i++) {
        run = p->tokens[i] > 255 ? 0 : run + 1;
        longest = run > longest ? run : longest;
    }
    return longest;
}

static void add_byte(unsigned char c, struct buf *ret)
{
    bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (word || (c != 0 && strchr(" /_=:;,\"'%&~@<>!-", c)))
        buf_add_char(ret, (char)c);
    else
        buf_addf(ret, "\\x%02x", c);
}

void rule_pattern_expression(const struct rule_pattern *p, struct buf *ret)
{
    size_t start = 0, end = p->n;
    while (start < end && p->tokens[start] == RULE_TOKEN_MANY)
        start++;
    while (end > start && p->tokens[end - 1] == RULE_TOKEN_MANY)
        end--;
    if (start == 0)
        buf_add_str(ret, STR("\\A"));
    for (size_t i = start; i < end; i++) {
        if (p->tokens[i] == RULE_TOKEN_ONE)
            buf_add_str(ret, STR("[\\x00-\\xff][\\x80-\\xbf]*"));
        else if (p->tokens[i] != RULE_TOKEN_MANY)
            add_byte((unsigned char)p->tokens[i], ret);
        else if (p->tokens[i - 1] != RULE_TOKEN_MANY)
            buf_add_str(ret, STR(".*"));
    }
    if (end == p->n)
        buf_add_str(ret, STR("\\z"));
}

int rule_pattern_open(struct arena *arena, struct rule_pattern *p, bool start, bool end)
{
    start = start && !(p->n && p->tokens[0] == RULE_TOKEN_MANY);
    end = end && !(p->n && p->tokens[p->n - 1] == RULE_TOKEN_MANY);
    if (!start && !end)
        return 0;
    if (p->n + 2 > RULE_PATTERN_MAX)
        return -E2BIG;
    uint16_t *tokens = arena_array(arena, uint16_t, p->n + 2);
    if (!tokens)
        return -ENOMEM;
    size_t n = 0;
    if (start)
        tokens[n++] = RULE_TOKEN_MANY;
    if (p->n)
        memcpy(tokens + n, p->tokens, p->n * sizeof *tokens);
    n += p->n;
    if (end)
        tokens[n++] = RULE_TOKEN_MANY;
    *p = (struct rule_pattern){tokens, n};
    return 0;
}
