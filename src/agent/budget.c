// SPDX-License-Identifier: Apache-2.0
#include "agent/budget.h"

#define CALM_LOOKS 5u // before it is given more again

bool budget_look(struct budget *b, uint64_t cpu_ns, uint64_t passed_ns, uint64_t resident)
{
    if (passed_ns == 0)
        return false;
    uint64_t now = cpu_ns * 1000 / passed_ns, limit = (uint64_t)b->cpu_percent * 10;
    b->average = (b->average * 3 + now) / 4; // a burst of a second is none of anybody's business
    bool over = (limit && b->average > limit) || (b->memory && resident > b->memory);
    bool room = (!limit || b->average < limit / 2) && (!b->memory || resident < b->memory);
    uint32_t before = b->share ? b->share : 1, share = before;
    b->calm = room ? b->calm + 1 : 0;
    if (over && share < BUDGET_SHARE_MAX)
        share *= 2;
    if (b->calm >= CALM_LOOKS && share > 1) {
        share /= 2;
        b->calm = 0;
    }
    b->share = share;
    return share != before;
}
