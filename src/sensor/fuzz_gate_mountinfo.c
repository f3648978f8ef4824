// SPDX-License-Identifier: Apache-2.0
#include "sensor/gate_mountinfo.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str rest = str_bytes(data, n), line, layer;
    while (str_split(&rest, '\n', &line)) {
        struct mountinfo_line m;
        if (mountinfo_parse(line, &m) < 0)
            continue;
        char *path = malloc(m.point.n + 1);
        if (path && mountinfo_unescape(m.point, path) > (ssize_t)m.point.n)
            abort();
        free(path);
        mountinfo_kind(m.type);
        for (size_t at = 0, last = 0; mountinfo_next_layer(m.options, &at, &layer); last = at)
            if (at <= last || layer.p < m.options.p ||
                layer.p + layer.n > m.options.p + m.options.n)
                abort();
    }
    return 0;
}
