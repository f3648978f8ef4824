// SPDX-License-Identifier: Apache-2.0
#include "rule/leaf.h"

#include <arpa/inet.h>
#include <time.h>

static bool parse_address(struct str text, uint8_t ret[16], bool *ret_v4)
{
    char copy[INET6_ADDRSTRLEN + 1];
    if (text.n == 0 || text.n >= sizeof copy || memchr(text.p, 0, text.n))
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = 0;
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    memcpy(ret, mapped, sizeof mapped);
    *ret_v4 = inet_pton(AF_INET, copy, ret + 12) == 1;
    if (*ret_v4)
        return true;
    if (inet_pton(AF_INET6, copy, ret) != 1)
        return false;
    return true;
}

const char *rule_cidr_parse(struct str text, struct rule_cidr *ret)
{
    struct rule_cidr cidr;
    struct str rest = text, address, bits_text = STR_NONE;
    uint64_t bits;
    bool v4;
    if (!str_split(&rest, '/', &address) || !parse_address(address, cidr.address, &v4))
        return "not an address block";
    unsigned most = v4 ? 32 : 128;
    bits = most;
    if (rest.p) {
        bits_text = rest;
        if (str_to_u64(bits_text, &bits) < 0 || bits > most)
            return v4 ? "the prefix must be 0 to 32" : "the prefix must be 0 to 128";
    }
    cidr.bits = (unsigned)bits + (v4 ? 96 : 0);
    for (unsigned i = cidr.bits; i < 128; i++)
        if (cidr.address[i / 8] & (0x80u >> i % 8))
            return "has bits set behind its prefix";
    *ret = cidr;
    return NULL;
}

bool rule_leaf_cidr(const struct rule_leaf *leaf, struct str text)
{
    uint8_t address[16];
    bool v4;
    if (!parse_address(text, address, &v4))
        return false;
    const struct rule_cidr *c = &leaf->cidr;
    unsigned bytes = c->bits / 8, rest = c->bits % 8;
    if (memcmp(address, c->address, bytes) != 0)
        return false;
    return rest == 0 || ((address[bytes] ^ c->address[bytes]) & (0xff00u >> rest) & 0xff) == 0;
}

bool rule_leaf_compare(const struct rule_leaf *leaf, int64_t number)
{
    switch ((enum rule_compare)leaf->op) {
    case RULE_LT:
        return number < leaf->number;
    case RULE_LTE:
        return number <= leaf->number;
    case RULE_GT:
        return number > leaf->number;
    case RULE_GTE:
        return number >= leaf->number;
    }
    return false;
}

static bool compare_time(const struct rule_leaf *leaf, const struct tm *tm)
{
    char week[8] = "";
    switch ((enum rule_time)leaf->op) {
    case RULE_MINUTE:
        return tm->tm_min == leaf->number;
    case RULE_HOUR:
        return tm->tm_hour == leaf->number;
    case RULE_DAY:
        return tm->tm_mday == leaf->number;
    case RULE_WEEK:
        strftime(week, sizeof week, "%V", tm);
        return (week[0] - '0') * 10 + week[1] - '0' == leaf->number;
    case RULE_MONTH:
        return tm->tm_mon + 1 == leaf->number;
    case RULE_YEAR:
        return tm->tm_year + 1900 == leaf->number;
    }
    return false;
}

static bool digits(struct str *text, size_t n, int *ret)
{
    if (text->n < n)
        return false;
    int value = 0;
    for (size_t i = 0; i < n; i++) {
        if (text->p[i] < '0' || text->p[i] > '9')
            return false;
        value = value * 10 + text->p[i] - '0';
    }
    *text = (struct str){text->p + n, text->n - n};
    *ret = value;
    return true;
}

static bool one_of(struct str *text, const char *characters)
{
    if (text->n == 0 || text->p[0] == 0 || !strchr(characters, text->p[0]))
        return false;
    *text = (struct str){text->p + 1, text->n - 1};
    return true;
}

bool rule_leaf_time_text(const struct rule_leaf *leaf, struct str text)
{
    struct tm tm = {0};
    if (!digits(&text, 4, &tm.tm_year) || !one_of(&text, "-") || !digits(&text, 2, &tm.tm_mon) ||
        !one_of(&text, "-") || !digits(&text, 2, &tm.tm_mday))
        return false;
    bool has_time = one_of(&text, "Tt ") && digits(&text, 2, &tm.tm_hour) && one_of(&text, ":") &&
                    digits(&text, 2, &tm.tm_min);
    if (!has_time && (leaf->op == RULE_HOUR || leaf->op == RULE_MINUTE))
        return false;
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    struct tm whole = tm; // timegm also finds the day of the week and of the year
    timegm(&whole);
    return compare_time(leaf, &whole);
}

bool rule_leaf_time_number(const struct rule_leaf *leaf, int64_t number)
{
    static const int64_t unit[][2] = {
        {100000000000000000, 1000000000}, {100000000000000, 1000000}, {100000000000, 1000}};
    for (size_t i = 0; i < 3; i++) {
        if (number >= unit[i][0]) {
            number /= unit[i][1];
            break;
        }
    }
    time_t seconds = number;
    struct tm tm;
    return gmtime_r(&seconds, &tm) && compare_time(leaf, &tm);
}

static bool equal(struct str a, struct str b, bool cased)
{
    return cased ? str_eq(a, b) : str_eq_nocase(a, b);
}

static uint64_t fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (uint64_t)c + 32 : (unsigned char)c;
}

#define PRIME (((uint64_t)1 << 61) - 1)
#define FACTOR 0x1b873593cc9e2d51u

static uint64_t times(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    uint64_t sum = (uint64_t)(product & PRIME) + (uint64_t)(product >> 61);
    return sum >= PRIME ? sum - PRIME : sum;
}

// Rabin-Karp: both texts come from the attacker and may be megabytes, so the search must be linear.
static bool contains_nocase(struct str text, struct str part)
{
    uint64_t wanted = 0, hash = 0, power = 1;
    if (part.n > text.n)
        return false;
    for (size_t i = 0; i < part.n; i++) {
        wanted = (times(wanted, FACTOR) + fold(part.p[i])) % PRIME;
        hash = (times(hash, FACTOR) + fold(text.p[i])) % PRIME;
        power = i ? times(power, FACTOR) : 1;
    }
    for (size_t i = 0;; i++) {
        if (hash == wanted && str_eq_nocase((struct str){text.p + i, part.n}, part))
            return true;
        if (i + part.n >= text.n)
            return false;
        hash = (hash + PRIME - times(fold(text.p[i]), power)) % PRIME;
        hash = (times(hash, FACTOR) + fold(text.p[i + part.n])) % PRIME;
    }
}

static bool contains(struct str text, struct str part, bool cased)
{
    return part.n == 0 || (cased ? str_find(text, part) >= 0 : contains_nocase(text, part));
}

bool rule_leaf_field(const struct rule_leaf *leaf, struct str text, struct str other)
{
    if (leaf->open_start && leaf->open_end)
        return contains(text, other, leaf->cased);
    if (text.n < other.n)
        return false;
    if (leaf->open_end)
        return equal((struct str){text.p, other.n}, other, leaf->cased);
    if (leaf->open_start)
        return equal((struct str){text.p + text.n - other.n, other.n}, other, leaf->cased);
    return equal(text, other, leaf->cased);
}
