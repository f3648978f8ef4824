// SPDX-License-Identifier: Apache-2.0
// The configuration file. Only root can write it; it is fuzzed because the parent, which is root, reads it.
#include "agent/config.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config c;
    struct error e = {0};
    config_default(&c);
    int r = config_parse(str_bytes(data, size), "fuzz", &c, &e);
    if ((r < 0) != (e.code < 0) || c.n_deny > ROLE_DENY_MAX)
        abort();
    return 0;
}
