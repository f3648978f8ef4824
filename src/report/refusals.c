// SPDX-License-Identifier: Apache-2.0
#include "report/check.h"

static const struct report_refusal refusals[] = {
    {"R1", "a state violated an agreement, or kept it"},
    {"R2", "a client named, or singled out by cell, date and sector"},
    {"R3", "intent as fact"},
    {"R4", "\"no theft\" beyond coverage"},
    {"R5", "a sponsor by score"},
    {"R6", "more, fewer or the same since an event, without baseline and exposure"},
    {"R7", "all, every, first ever"},
    {"R8", "a confidence and a likelihood in one sentence"},
    {"R9", "a single name while an unknown adversary is not told of"},
    {"R10", "a number without unit, window, counting rule and denominator"},
    {NULL, NULL},
};

const struct report_refusal *report_refusals(void)
{
    return refusals;
}
