// SPDX-License-Identifier: Apache-2.0
// Any message of the schema as JSON and back, by its descriptor. Nothing is lost: bytes that are not UTF-8 are written
// as "\udc80".."\udcff" (one lone surrogate per bad byte) and read back as that byte. Times are RFC 3339 with
// nanoseconds, addresses text, hashes hexadecimal, enums lower-case words (event/leaf.h); unset fields are left out.
// Control characters and marks that turn the writing direction are escaped, so that a line is safe on a terminal.
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "tiercel.pb-c.h"

#define JSON_TEXT_LIMIT ((size_t)16 << 20) // bytes that json_parse() takes
#define JSON_DEPTH_LIMIT 32

// One line without a newline. Look at out->failed afterwards.
void json_print(const ProtobufCMessage *message, struct buf *out);
void json_quoted(struct str s, struct buf *out); // quoted and escaped

// Strict: unknown, repeated and missing names, wrong types, numbers that do not fit, trailing text, depth and size over
// the limits are errors (-EINVAL, -E2BIG, -ENOMEM) with line and column. The message lives in the arena (do not free it
// with protobuf-c).
int json_parse(struct str text, const ProtobufCMessageDescriptor *type, struct arena *arena,
               ProtobufCMessage **ret, struct error *e);
