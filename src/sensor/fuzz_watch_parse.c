// SPDX-License-Identifier: Apache-2.0
#include "sensor/watch_parse.h"
#include <stdlib.h>

static void inside(struct str all, struct str part)
{
    if (part.n && !str_eq(part, STR(".")) && (part.p < all.p || part.p + part.n > all.p + all.n))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str all = str_bytes(data, n), rest = all;
    struct watch_record r;
    size_t left = n;
    while (watch_parse(&rest, &r) == 1) {
        if (rest.n >= left && left)
            abort();
        left = rest.n;
        inside(all, r.at.folder);
        inside(all, r.at.name);
        inside(all, r.to.folder);
        inside(all, r.to.name);
        if (memchr(r.at.name.p ? r.at.name.p : "", '/', r.at.name.n) || r.at.name.n > 255)
            abort();
    }
    return 0;
}
