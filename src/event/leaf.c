// SPDX-License-Identifier: Apache-2.0
#include "event/leaf.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>

#define NS_PER_S 1000000000u
#define SECONDS_PER_DAY 86400u

static bool named(const ProtobufCFieldDescriptor *field, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(field->name, *names) == 0)
            return true;
    return false;
}

enum leaf_kind leaf_kind(const ProtobufCFieldDescriptor *field)
{
    static const char *const times[] = {"time", "from", "to", "started", "changed", NULL};
    static const char *const hashes[] = {"sha256", "rules_version", "host", "boot", NULL};
    if (field->type == PROTOBUF_C_TYPE_FIXED64 && named(field, times))
        return LEAF_TIME;
    if (field->type != PROTOBUF_C_TYPE_BYTES)
        return LEAF_PLAIN;
    if (strcmp(field->name, "ip") == 0)
        return LEAF_IP;
    return named(field, hashes) ? LEAF_HEX : LEAF_PLAIN;
}

size_t leaf_element_size(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_ENUM:
        return sizeof(int);
    default:
        return sizeof(void *);
    }
}

// RFC 3629: no surrogates, no overlong forms, at most U+10FFFF.
size_t leaf_utf8(struct str s, uint32_t *ret)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *p = (const uint8_t *)s.p;
    size_t length = p[0] < 0x80   ? 1
                    : p[0] < 0xc2 ? 0
                    : p[0] < 0xe0 ? 2
                    : p[0] < 0xf0 ? 3
                    : p[0] < 0xf5 ? 4
                                  : 0;
    if (length == 0 || length > s.n)
        return 0;
    uint32_t c = length == 1 ? p[0] : p[0] & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < least[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *ret = c;
    return length;
}

size_t leaf_print_u64(uint64_t value, char ret[LEAF_TEXT_MAX])
{
    char reversed[20];
    size_t n = 0;
    do {
        reversed[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    for (size_t i = 0; i < n; i++)
        ret[i] = reversed[n - 1 - i];
    return n;
}

static void put_digits(char *p, unsigned n, uint32_t value)
{
    while (n--) {
        p[n] = (char)('0' + value % 10);
        value /= 10;
    }
}

// Days since 1970-01-01 and back, in the proleptic Gregorian calendar: the era method of H. Hinnant,
// "chrono-compatible low-level date algorithms". The year begins in March so that the leap day is its last.
static void civil_from_days(uint32_t days, uint32_t *ret_y, uint32_t *ret_m, uint32_t *ret_d)
{
    uint32_t z = days + 719468, era = z / 146097, doe = z % 146097;
    uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    *ret_d = doy - (153 * mp + 2) / 5 + 1;
    *ret_m = mp < 10 ? mp + 3 : mp - 9;
    *ret_y = yoe + era * 400 + (*ret_m <= 2);
}

static uint32_t days_from_civil(uint32_t y, uint32_t m, uint32_t d)
{
    y -= m <= 2;
    uint32_t era = y / 400, yoe = y % 400, mp = m > 2 ? m - 3 : m + 9;
    uint32_t doy = (153 * mp + 2) / 5 + d - 1, doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

size_t leaf_print_time(uint64_t ns, char ret[LEAF_TEXT_MAX])
{
    static const char shape[] = "0000-00-00T00:00:00.000000000Z";
    uint64_t s = ns / NS_PER_S;
    uint32_t y, m, d, rest = (uint32_t)(s % SECONDS_PER_DAY);
    civil_from_days((uint32_t)(s / SECONDS_PER_DAY), &y, &m, &d);
    memcpy(ret, shape, sizeof shape - 1);
    put_digits(ret, 4, y);
    put_digits(ret + 5, 2, m);
    put_digits(ret + 8, 2, d);
    put_digits(ret + 11, 2, rest / 3600);
    put_digits(ret + 14, 2, rest / 60 % 60);
    put_digits(ret + 17, 2, rest % 60);
    put_digits(ret + 20, 9, (uint32_t)(ns % NS_PER_S));
    return sizeof shape - 1;
}

static int digits(const char *p, size_t n, uint32_t most, uint32_t *ret)
{
    uint32_t value = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return -EINVAL;
        value = value * 10 + (uint32_t)(p[i] - '0');
    }
    if (value > most)
        return -EINVAL;
    *ret = value;
    return 0;
}

// "2024-02-29T12:00:00Z" with 0 to 9 digits of a second's fraction. Other zones than Z are not taken.
int leaf_parse_time(struct str text, uint64_t *ret)
{
    static const uint8_t in_month[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    uint32_t y, m, d, hour, minute, second, fraction = 0;
    const char *p = text.p;
    if (text.n < 20 || p[4] != '-' || p[7] != '-' || p[10] != 'T' || p[13] != ':' || p[16] != ':' ||
        p[text.n - 1] != 'Z')
        return -EINVAL;
    if (digits(p, 4, 2554, &y) || digits(p + 5, 2, 12, &m) || digits(p + 8, 2, 31, &d) ||
        digits(p + 11, 2, 23, &hour) || digits(p + 14, 2, 59, &minute) ||
        digits(p + 17, 2, 59, &second))
        return -EINVAL;
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    if (y < 1970 || m < 1 || d < 1 || d > in_month[m - 1] + (uint32_t)(m == 2 && leap))
        return -EINVAL;
    if (text.n > 20) {
        size_t n = text.n - 21;
        if (p[19] != '.' || n < 1 || n > 9 || digits(p + 20, n, NS_PER_S - 1, &fraction))
            return -EINVAL;
        for (; n < 9; n++)
            fraction *= 10;
    }
    uint64_t s =
        (uint64_t)days_from_civil(y, m, d) * SECONDS_PER_DAY + hour * 3600u + minute * 60u + second;
    if (__builtin_mul_overflow(s, (uint64_t)NS_PER_S, ret) ||
        __builtin_add_overflow(*ret, (uint64_t)fraction, ret))
        return -EINVAL;
    return 0;
}

size_t leaf_print_ip(struct str ip, char ret[LEAF_TEXT_MAX])
{
    if (ip.n != 4 && ip.n != 16)
        return 0;
    return inet_ntop(ip.n == 4 ? AF_INET : AF_INET6, ip.p, ret, LEAF_TEXT_MAX) ? strlen(ret) : 0;
}

int leaf_parse_ip(struct str text, uint8_t ret[16], size_t *ret_n)
{
    char copy[LEAF_TEXT_MAX];
    if (text.n == 0 || text.n >= sizeof copy || memchr(text.p, 0, text.n))
        return -EINVAL;
    memcpy(copy, text.p, text.n);
    copy[text.n] = 0;
    bool six = strchr(copy, ':');
    if (inet_pton(six ? AF_INET6 : AF_INET, copy, ret) != 1)
        return -EINVAL;
    *ret_n = six ? 16 : 4;
    return 0;
}

// Length of the "ACTION_" that all values of the enum begin with, or 0. The first and the last tell; a test looks at
// those between.
static size_t shared_prefix(const ProtobufCEnumDescriptor *type)
{
    const char *first = type->values[0].name, *end = strchr(first, '_');
    size_t n = end ? (size_t)(end - first) + 1 : 0;
    return strncmp(type->values[type->n_values - 1].name, first, n) == 0 ? n : 0;
}

size_t leaf_print_enum(const ProtobufCEnumDescriptor *type, int value, char ret[LEAF_TEXT_MAX])
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(type, value);
    if (!v) {
        ret[0] = '-';
        uint64_t magnitude = value < 0 ? (uint64_t)(-(int64_t)value) : (uint64_t)value;
        return leaf_print_u64(magnitude, ret + (value < 0)) + (value < 0);
    }
    size_t n = 0;
    for (const char *p = v->name + shared_prefix(type); *p && n < LEAF_TEXT_MAX; p++)
        ret[n++] = (char)tolower((unsigned char)*p);
    return n;
}

int leaf_parse_enum(const ProtobufCEnumDescriptor *type, struct str text, int *ret)
{
    int64_t number;
    if (str_to_i64(text, &number) == 0) {
        if (number < INT32_MIN || number > INT32_MAX)
            return -ERANGE;
        *ret = (int)number;
        return 0;
    }
    char word[LEAF_TEXT_MAX];
    for (unsigned i = 0; i < type->n_values; i++) {
        size_t n = leaf_print_enum(type, type->values[i].value, word);
        if (str_eq(text, str_bytes(word, n))) {
            *ret = type->values[i].value;
            return 0;
        }
    }
    return -EINVAL;
}

void leaf_print_hex(struct str bytes, char *ret)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.n; i++) {
        uint8_t c = (uint8_t)bytes.p[i];
        *ret++ = hex[c >> 4];
        *ret++ = hex[c & 15];
    }
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int leaf_parse_hex(struct str text, uint8_t *ret)
{
    if (text.n % 2)
        return -EINVAL;
    for (size_t i = 0; i < text.n; i += 2) {
        int high = nibble(text.p[i]), low = nibble(text.p[i + 1]);
        if (high < 0 || low < 0)
            return -EINVAL;
        ret[i / 2] = (uint8_t)(high << 4 | low);
    }
    return 0;
}
