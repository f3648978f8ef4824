// SPDX-License-Identifier: Apache-2.0
// Deep copies of messages, and protobuf-c's allocator over an arena.
#pragma once
#include "base/arena.h"
#include "tiercel.pb-c.h"

// What is unpacked with this lives in the arena; do not free it with protobuf-c. Valid as long as the arena is.
ProtobufCAllocator event_allocator(struct arena *arena);
// NULL at the arena's limit.
ProtobufCMessage *event_copy(const ProtobufCMessage *message, struct arena *arena);
