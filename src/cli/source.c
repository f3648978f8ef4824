// SPDX-License-Identifier: Apache-2.0
#include "cli/source.h"

static const struct source sources[] = {
    {"process_creation", "programs as they start: the gate and a BPF program", SOURCE_COLLECTED},
    {"network_connection", "outgoing connections: cgroup BPF programs", SOURCE_COLLECTED},
    {"file_event", "", SOURCE_KNOWN},
    {"dns_query", "", SOURCE_KNOWN},
};
static const struct source foreign = {"", "", SOURCE_FOREIGN};

const struct source *source_of(struct str product, struct str category, struct str service)
{
    if (product.n && !str_eq(product, STR("linux")))
        return &foreign;
    if (service.n)
        return &foreign;
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        if (str_eq(category, str_from(sources[i].category)))
            return &sources[i];
    return &foreign;
}
