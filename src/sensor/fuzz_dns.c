// SPDX-License-Identifier: Apache-2.0
// Messages of name servers: the first byte says whether it is an answer, the rest is the message.
#include "sensor/decode.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct decode_clock clock = {1700000000000000000u};
    _cleanup_arena_ struct arena arena = {.limit = 1 << 20};
    struct {
        struct record_dns r;
        struct record_part part;
        uint8_t bytes[DNS_MESSAGE_BYTES];
    } m = {0};
    struct decoded d;

    if (!size || size - 1 > sizeof m.bytes)
        return 0;
    m.r.r.kind = RECORD_DNS;
    m.r.r.parts = 1;
    m.r.r.bytes = (uint32_t)(sizeof m.r + sizeof m.part + ((size - 1 + 7) & ~(size_t)7));
    m.r.r.pid = m.r.r.tid = 1;
    m.r.flags = data[0] & 1 ? DNS_ANSWER : 0;
    m.part.number = PART_MESSAGE;
    m.part.bytes = (uint32_t)(size - 1);
    memcpy(m.bytes, data + 1, size - 1);
    if (decode(&m, m.r.r.bytes, &clock, &arena, &d) != 0)
        abort();
    for (size_t i = 0; i < d.event->dns->n_answers; i++)
        if (!d.event->dns->answers[i].len || d.event->dns->answers[i].len > 1024)
            abort();
    return 0;
}
