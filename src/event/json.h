// SPDX-License-Identifier: Apache-2.0
// Any message of the schema as JSON and back, by its descriptor. Bytes that are not UTF-8 are kept: JSON text holds
// U+FFFD-free escapes "\uDC80".."\uDCFF" (one lone surrogate per bad byte), read back as that byte.
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "tiercel.pb-c.h"

// One line without a newline. Addresses are printed as text, times as RFC 3339 with nanoseconds, hashes as hex.
void json_print(const ProtobufCMessage *message, struct buf *out);
void json_string(struct str s, struct buf *out); // quoted and escaped

// Strict: unknown names, wrong types, trailing text and depth over 32 are errors with line and column.
// The message lives in the arena (do not free it with protobuf-c).
int json_parse(struct str text, const ProtobufCMessageDescriptor *type, struct arena *arena,
               ProtobufCMessage **ret, struct error *e);
