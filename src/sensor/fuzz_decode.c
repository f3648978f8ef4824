// SPDX-License-Identifier: Apache-2.0
#include "sensor/decode.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct decode_clock clock = {1700000000000000000u};
    _cleanup_arena_ struct arena arena = {.limit = 1 << 20};
    struct decoded d;

    if (decode(data, size, &clock, &arena, &d) == 0) {
        size_t packed = tiercel__event__get_packed_size(d.event);
        uint8_t *out = malloc(packed ? packed : 1);
        if (out)
            tiercel__event__pack(d.event, out);
        free(out);
    }
    return 0;
}
