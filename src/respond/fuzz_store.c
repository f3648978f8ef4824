// SPDX-License-Identifier: Apache-2.0
// The response journal: whatever stands in the file, what comes out is within its bounds and its text ends. The bytes are
// spread over a slot, and one checksum is put right, so that the fuzzer comes past it.
#include "respond/store.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store s;
    char *text = calloc(2, STORE_SLOT);
    if (!text)
        return 0;
    memcpy(text, data, size < STORE_SLOT ? size : STORE_SLOT);
    memcpy(text + STORE_SLOT, data, size < STORE_SLOT ? size : STORE_SLOT);
    struct response *r = (struct response *)(void *)(text + STORE_SLOT);
    r->check = XXH3_64bits((const char *)r + sizeof(r->check), sizeof(*r) - sizeof(r->check));
    if (store_parse(text, 2 * STORE_SLOT, &s) == 0) {
        for (size_t i = 0; i < s.n; i++) {
            char target[2600];
            response_target(&s.list[i].order, target, sizeof(target));
            assert(strlen(target) < sizeof(target));
            assert(s.list[i].n_members <= STORE_MEMBERS && s.list[i].state < RESPONSE_STATES);
            (void)store_active(&s.list[i]);
        }
        store_done(&s);
    }
    free(text);
    return 0;
}
