// SPDX-License-Identifier: Apache-2.0
#include "event/copy.h"

static void *allocate(void *context, size_t n)
{
    return arena_alloc(context, n);
}

static void release(void *context, void *p)
{
    (void)context;
    (void)p;
}

ProtobufCAllocator event_allocator(struct arena *arena)
{
    return (ProtobufCAllocator){allocate, release, arena};
}

ProtobufCMessage *event_copy(const ProtobufCMessage *message, struct arena *arena)
{
    size_t n = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = arena_alloc(arena, n ? n : 1);
    if (!bytes)
        return NULL;
    protobuf_c_message_pack(message, bytes);
    ProtobufCAllocator allocator = event_allocator(arena);
    return protobuf_c_message_unpack(message->descriptor, &allocator, n, bytes);
}
