// SPDX-License-Identifier: Apache-2.0
// Encodings of pattern values: UTF-16, base64 (RFC 4648), and the dashes of Windows command lines.
#include "rule/value.h"

#include <errno.h>

// One character of UTF-8 at the tokens' start. Returns its bytes, 0 when it is not well-formed.
static size_t utf8_decode(const uint16_t *t, size_t n, uint32_t *ret)
{
    if (t[0] < 0x80) {
        *ret = t[0];
        return 1;
    }
    size_t bytes = t[0] >= 0xf0 && t[0] <= 0xf4   ? 4
                   : t[0] >= 0xe0 && t[0] <= 0xef ? 3
                   : t[0] >= 0xc2 && t[0] <= 0xdf ? 2
                                                  : 0;
    if (bytes == 0 || bytes > n)
        return 0;
    uint32_t c = t[0] & (0x7fu >> bytes);
    for (size_t i = 1; i < bytes; i++) {
        if (t[i] < 0x80 || t[i] > 0xbf)
            return 0;
        c = c << 6 | (t[i] & 0x3fu);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (c < least[bytes] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *ret = c;
    return bytes;
}

static size_t put_unit(uint16_t *tokens, uint32_t unit, bool big)
{
    tokens[big ? 0 : 1] = (uint16_t)(unit >> 8);
    tokens[big ? 1 : 0] = (uint16_t)(unit & 0xff);
    return 2;
}

int rule_pattern_utf16(struct arena *arena, struct rule_pattern *p, enum rule_utf16 kind)
{
    bool big = kind == RULE_UTF16_BE;
    if (p->n * 2 + 2 > RULE_PATTERN_MAX)
        return -E2BIG;
    uint16_t *tokens = arena_array(arena, uint16_t, p->n * 2 + 2);
    if (!tokens)
        return -ENOMEM;
    size_t n = 0;
    if (kind == RULE_UTF16_BOM)
        n += put_unit(tokens, 0xfeff, false);
    for (size_t i = 0; i < p->n;) {
        if (p->tokens[i] > 255) {
            tokens[n++] = p->tokens[i++];
            continue;
        }
        uint32_t c;
        size_t bytes = utf8_decode(p->tokens + i, p->n - i, &c);
        if (bytes == 0)
            return -EINVAL;
        i += bytes;
        if (c >= 0x10000) {
            n += put_unit(tokens + n, 0xd800 + ((c - 0x10000) >> 10), big);
            c = 0xdc00 + ((c - 0x10000) & 0x3ff);
        }
        n += put_unit(tokens + n, c, big);
    }
    *p = (struct rule_pattern){tokens, n};
    return 0;
}

// `before` zero bytes, then the pattern's bytes.
static size_t base64(const struct rule_pattern *p, unsigned before, uint16_t *ret)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t length = p->n + before, n = 0;
    for (size_t i = 0; i < length; i += 3) {
        uint32_t bits = 0;
        for (size_t j = i; j < i + 3; j++) {
            uint32_t byte = j < before || j >= length ? 0u : p->tokens[j - before];
            bits = bits << 8 | byte;
        }
        ret[n++] = (unsigned char)letters[bits >> 18];
        ret[n++] = (unsigned char)letters[bits >> 12 & 63];
        ret[n++] = i + 1 < length ? (unsigned char)letters[bits >> 6 & 63] : '=';
        ret[n++] = i + 2 < length ? (unsigned char)letters[bits & 63] : '=';
    }
    return n;
}

static int base64_room(struct arena *arena, const struct rule_pattern *p, uint16_t **ret)
{
    if (rule_pattern_has_wildcards(p))
        return -EINVAL;
    size_t n = (p->n + 2 + 2) / 3 * 4;
    if (n > RULE_PATTERN_MAX)
        return -E2BIG;
    *ret = arena_array(arena, uint16_t, n);
    return *ret ? 0 : -ENOMEM;
}

int rule_pattern_base64(struct arena *arena, struct rule_pattern *p)
{
    uint16_t *tokens;
    int r = base64_room(arena, p, &tokens);
    if (r < 0)
        return r;
    *p = (struct rule_pattern){tokens, base64(p, 0, tokens)};
    return 0;
}

int rule_pattern_base64_offset(struct arena *arena, const struct rule_pattern *p, unsigned before,
                               struct rule_pattern *ret)
{
    uint16_t *tokens;
    int r = base64_room(arena, p, &tokens);
    if (r < 0)
        return r;
    size_t n = base64(p, before, tokens);
    // Characters that also hold bits of a foreign byte are left out: at the start 8 * before bits in pieces of six; at
    // the end the padding and the character before it.
    size_t start = before == 0 ? 0 : before + 1;
    size_t open = (p->n + before) % 3;
    size_t end = open == 0 ? 0 : open == 1 ? 3 : 2;
    if (n < start + end + 1)
        return -EINVAL;
    *ret = (struct rule_pattern){tokens + start, n - start - end};
    return 0;
}

static bool is_word(uint16_t t)
{
    return (t >= '0' && t <= '9') || (t >= 'a' && t <= 'z') || (t >= 'A' && t <= 'Z') || t == '_' ||
           (t >= 0x80 && t <= 0xff);
}

// Length in bytes of a dash at the start of a word, 0 when there is none.
static size_t dash_at(const struct rule_pattern *p, size_t i)
{
    const uint16_t *t = p->tokens + i;
    size_t n = 0;
    if (t[0] == '-' || t[0] == '/')
        n = 1;
    else if (i + 2 < p->n && t[0] == 0xe2 && t[1] == 0x80 && t[2] >= 0x93 && t[2] <= 0x95)
        n = 3;
    if (n == 0 || (i > 0 && is_word(p->tokens[i - 1])))
        return 0;
    return i + n < p->n && is_word(t[n]) ? n : 0;
}

static size_t put_dash(uint16_t *t, size_t which)
{
    if (which < 2) {
        t[0] = which == 0 ? '-' : '/';
        return 1;
    }
    t[0] = 0xe2;
    t[1] = 0x80;
    t[2] = (uint16_t)(0x93 + which - 2); // en dash, em dash, horizontal bar
    return 3;
}

int rule_pattern_windash(struct arena *arena, const struct rule_pattern *p,
                         struct rule_pattern **ret, size_t *ret_n)
{
    size_t count = 1, dashes = 0;
    for (size_t i = 0; i < p->n; i++) {
        if (dash_at(p, i) == 0)
            continue;
        dashes++;
        count *= 5;
        if (count > RULE_VARIANTS_MAX)
            return -E2BIG;
    }
    if (p->n + 2 * dashes > RULE_PATTERN_MAX)
        return -E2BIG;
    struct rule_pattern *list = arena_array(arena, struct rule_pattern, count);
    if (!list)
        return -ENOMEM;
    for (size_t v = 0; v < count; v++) {
        uint16_t *tokens = arena_array(arena, uint16_t, p->n + 2 * dashes);
        if (!tokens)
            return -ENOMEM;
        size_t n = 0, choice = v;
        for (size_t i = 0; i < p->n;) {
            size_t dash = dash_at(p, i);
            if (dash) {
                n += put_dash(tokens + n, choice % 5);
                choice /= 5;
                i += dash;
            } else {
                tokens[n++] = p->tokens[i++];
            }
        }
        list[v] = (struct rule_pattern){tokens, n};
    }
    *ret = list;
    *ret_n = count;
    return 0;
}
