// SPDX-License-Identifier: Apache-2.0
// The text of /proc/PID/stat: a process gives itself any name.
#include "base/cleanup.h"
#include "os/process.h"
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_free_ char *text = malloc(size + 1);
    struct os_process p = {.parent = -7};
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    int r = os_process_parse(text, &p);
    if (r != 0 && (r != -EBADMSG || p.parent != -7))
        abort();
    return 0;
}
