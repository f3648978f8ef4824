// SPDX-License-Identifier: Apache-2.0
// A condition, a time and a glob as a person may type them; and what is shown of any bytes.
#include "cli/filter.h"
#include "cli/when.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s = str_bytes(data, size), head = str_bytes(data, size / 2);
    struct filter_field f;
    struct error e = {0};
    struct buf shown = {0}, cut = {0};
    uint64_t ns;
    const struct term t = {.utf8 = size % 2};
    unsigned columns = 1 + (unsigned)(size % 37);
    if (filter_parse_field(s, &f, &e) == 0 && (f.name.n == 0 || f.name.n + f.value.n >= size))
        abort();
    when_duration(s, &ns);
    when_time(s, (uint64_t)1795449600 * 1000000000u, &ns);
    if (!glob_match(STR("*"), s))
        abort();
    if (size < 256)
        glob_match(head, str_bytes(data + size / 2, size - size / 2));
    text_escape(s, &shown);
    for (size_t i = 0; i < shown.n; i++)
        if ((unsigned char)shown.p[i] < 0x20 || shown.p[i] == 0x7f)
            abort();
    if (text_cut(&t, s, columns, &cut) > columns)
        abort();
    buf_done(&shown);
    buf_done(&cut);
    return 0;
}
