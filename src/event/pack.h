// SPDX-License-Identifier: Apache-2.0
// A message to its packed form in one walk, from its end to its begin, where lengths are known when they are needed:
// protobuf-c walks it three times (check, size, pack), and half of the journal's time went there. The bytes are the
// same. A type that the schema does not use yet is one line in put_value().
#pragma once
#include "tiercel.pb-c.h"

// Into the end of room[0..n): bytes used. -EINVAL: something required is missing, or a type is not known; -ENOSPC: the
// room is too small.
long event_pack(const ProtobufCMessage *message, uint8_t *room, size_t n);
