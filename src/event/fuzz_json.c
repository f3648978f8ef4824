// SPDX-License-Identifier: Apache-2.0
// Any text: it is refused with a place, or what was read prints, reads and prints the same again. The first byte
// chooses the type.
#include "event/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const ProtobufCMessageDescriptor *const types[] = {
        &tiercel__event__descriptor, &tiercel__batch__descriptor, &tiercel__detection__descriptor};
    if (size == 0)
        return 0;
    const ProtobufCMessageDescriptor *type = types[data[0] % (sizeof types / sizeof *types)];
    struct arena arena = {.limit = 16 << 20};
    struct buf first = {0}, second = {0};
    struct error e = {0};
    ProtobufCMessage *m, *again;
    int r = json_parse(str_bytes(data + 1, size - 1), type, &arena, &m, &e);
    if (r < 0 && (e.what[0] == 0 || e.line == 0 || e.column == 0))
        abort();
    if (r == 0) {
        json_print(m, &first);
        if (json_parse(buf_str(&first), type, &arena, &again, NULL) == 0) {
            json_print(again, &second);
            if (!str_eq(buf_str(&first), buf_str(&second)))
                abort();
        } else if (!arena.failed) {
            abort();
        }
    }
    buf_done(&first);
    buf_done(&second);
    arena_done(&arena);
    return 0;
}
