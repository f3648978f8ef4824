// SPDX-License-Identifier: Apache-2.0
#include "intel/pattern.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

// What was parsed and printed parses again and prints the same.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena arena = {0};
    struct buf one = {0}, two = {0};
    struct pattern *p;
    if (pattern_parse(&arena, str_bytes(data, n), &p, NULL) == 0) {
        pattern_print(p, &one);
        if (one.n <= PATTERN_TEXT_MAX) {
            if (pattern_parse(&arena, buf_str(&one), &p, NULL))
                abort();
            pattern_print(p, &two);
            if (!str_eq(buf_str(&one), buf_str(&two)))
                abort();
        }
    }
    buf_done(&one);
    buf_done(&two);
    arena_done(&arena);
    return 0;
}
