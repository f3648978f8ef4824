// SPDX-License-Identifier: Apache-2.0
// Batches as hosts send them, and the file of merges and splits: none may do more than be refused. The first byte says
// which; of batches each has two bytes of length before it.
#include "attempt/attempt.h"
#include "event/brief.h"
#include "event/copy.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take_all(struct attempts *a, const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    ProtobufCAllocator allocator = event_allocator(&arena);
    while (size > 2) {
        size_t n = (size_t)(data[0] << 8 | data[1]);
        n = n < size - 2 ? n : size - 2;
        arena_reset(&arena);
        Tiercel__Batch *b = tiercel__batch__unpack(&allocator, n, data + 2);
        if (b) {
            brief_fill(b, &arena);
            attempts_take(a, b);
        }
        data += n + 2;
        size -= n + 2;
    }
    arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct attempts *a = NULL;
    struct error e = {0};
    struct buf out = {0};
    if (size == 0 || attempts_new(0, &a) < 0)
        return 0;
    if (data[0] & 1)
        attempts_changes(a, str_bytes(data + 1, size - 1), &e);
    for (int more = 1; more > 0; more = attempts_next(a))
        if (!(data[0] & 1))
            take_all(a, data + 1, size - 1);
    for (size_t i = 0; i < attempts_count(a); i++)
        attempt_print_json(a, attempts_get(a, i), &out);
    if (out.failed)
        abort();
    buf_done(&out);
    attempts_free(a);
    return 0;
}
