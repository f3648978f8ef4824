// SPDX-License-Identifier: Apache-2.0
#include "intel/intel.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct intel k;
    if (intel_init(&k))
        return 0;
    intel_load_bundle(&k, str_bytes(data, n), NULL);
    intel_load_cases(&k, str_bytes(data, n), true, NULL);
    for (uint32_t i = 0; i < k.n_values; i++)
        for (uint32_t f = 0; f < k.values[i]->n; f++)
            if (k.values[i]->facts[f].adversary >= k.n_adversaries)
                abort();
    intel_done(&k);
    return 0;
}
