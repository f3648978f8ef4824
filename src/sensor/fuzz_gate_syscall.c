// SPDX-License-Identifier: Apache-2.0
#include "sensor/gate_syscall.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct gate_call c = {0};
    if (gate_syscall_parse(str_bytes(data, n), &c) == 0 && c.pointer != 8 &&
        (c.pointer != 4 || c.argv > UINT32_MAX || c.envp > UINT32_MAX))
        abort();
    return 0;
}
