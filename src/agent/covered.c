// SPDX-License-Identifier: Apache-2.0
// Which mechanisms work now, for whoever asks and for the journal: the rows that the sensor told, the gate as it stands.
#include "agent/parent.h"
#include "sensor/coverage.h"

uint64_t covered_works(const struct parent *p)
{
    const struct control_status *s = p->status;
    uint64_t gate = coverage_bit(STR("gate")), works = 0;
    for (uint32_t i = 0; i < s->n_mechanisms; i++) {
        const struct control_mechanism *m = &s->mechanisms[i];
        if (m->works == CONTROL_WORKS)
            works |= coverage_bit(str_bytes(m->name, strnlen(m->name, sizeof m->name)));
    }
    // Its row says that it could be armed; this is whether it is.
    works = p->arming.armed ? works | gate : works & ~gate;
    return p->arming.wanted && !p->arming.refused ? works | COVERAGE_PREVENT : works;
}

void covered_tell(struct parent *p)
{
    struct order_coverage order = {.works = covered_works(p)};
    if (order.works == p->covered_told || !child_begun(&p->children[ROLE_ENGINE]))
        return;
    if (child_send(p, ROLE_ENGINE, ORDER_COVERAGE, &order, sizeof order) == 0)
        p->covered_told = order.works;
}
