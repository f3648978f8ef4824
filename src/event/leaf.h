// SPDX-License-Identifier: Apache-2.0
// The printed form of one value of the schema and its way back, the same in JSON, in fields and in rule tests: enums
// are lower-case words, addresses, times and hashes are text. Nothing here allocates or asks the C library for a time zone.
#pragma once
#include "base/str.h"
#include "tiercel.pb-c.h"

#define LEAF_TEXT_MAX 48 // bytes of any printed number, time, address or enum word

enum leaf_kind {
    LEAF_PLAIN,
    LEAF_TIME, // fixed64: RFC 3339 with nanoseconds, UTC
    LEAF_IP,   // bytes: 4 or 16 of them; any other length is printed as "hex:..."
    LEAF_HEX,  // bytes: hashes and machine ids
};

enum leaf_kind leaf_kind(const ProtobufCFieldDescriptor *field);

// Bytes that one element of a repeated field takes in memory. The schema repeats bytes, enums, strings and messages.
size_t leaf_element_size(const ProtobufCFieldDescriptor *field);
// Bytes of the UTF-8 sequence that s (not empty) begins with, or 0 where it begins with none; its code point.
size_t leaf_utf8(struct str s, uint32_t *ret);

// Each returns the bytes written; none writes a NUL.
size_t leaf_print_u64(uint64_t value, char ret[LEAF_TEXT_MAX]);
size_t leaf_print_time(uint64_t ns, char ret[LEAF_TEXT_MAX]);
// 0 when `ip` has neither 4 nor 16 bytes.
size_t leaf_print_ip(struct str ip, char ret[LEAF_TEXT_MAX]);
// The value's name without the prefix that all values of the enum share, in lower case; a number that has no name
// (written by a newer version) is printed as such.
size_t leaf_print_enum(const ProtobufCEnumDescriptor *type, int value, char ret[LEAF_TEXT_MAX]);
void leaf_print_hex(struct str bytes, char *ret); // 2 * bytes.n

// 0 or -EINVAL (-ERANGE for a number that does not fit).
int leaf_parse_time(struct str text, uint64_t *ret);
int leaf_parse_ip(struct str text, uint8_t ret[16], size_t *ret_n);
int leaf_parse_enum(const ProtobufCEnumDescriptor *type, struct str text, int *ret);
int leaf_parse_hex(struct str text, uint8_t *ret); // text.n / 2 bytes
