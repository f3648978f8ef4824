// SPDX-License-Identifier: Apache-2.0
#include "respond/act.h"
#include <errno.h>
#include <string.h>

const struct act *act_find(uint32_t action)
{
    static const struct act *const table[RESPONSE_ACTIONS] = {
        [RESPONSE_KILL] = &response_kill,
        [RESPONSE_KILL_LINEAGE] = &response_kill_lineage,
        [RESPONSE_CONTAIN_LINEAGE] = &response_contain_lineage,
        [RESPONSE_CONTAIN_HOST] = &response_contain_host,
        [RESPONSE_QUARANTINE] = &response_quarantine,
        [RESPONSE_BLOCK_HASH] = &response_block_hash,
        [RESPONSE_BLOCK_ADDRESS] = &response_block_address,
        [RESPONSE_BLOCK_DOMAIN] = &response_block_domain,
    };
    return action < RESPONSE_ACTIONS ? table[action] : NULL;
}

static bool same_thing(const struct response_order *a, const struct response_order *b)
{
    switch ((enum response_action)a->action) {
    case RESPONSE_CONTAIN_HOST:
        return true;
    case RESPONSE_CONTAIN_LINEAGE:
        return a->pid == b->pid && a->start_ns == b->start_ns;
    case RESPONSE_BLOCK_HASH:
        return memcmp(a->sha256, b->sha256, sizeof(a->sha256)) == 0;
    case RESPONSE_BLOCK_ADDRESS:
        return memcmp(&a->addresses[0], &b->addresses[0], sizeof(a->addresses[0])) == 0;
    case RESPONSE_BLOCK_DOMAIN:
    case RESPONSE_QUARANTINE:
        return strcmp(a->text, b->text) == 0;
    default:
        return false;
    }
}

const struct response *act_same(const struct act_context *c, const struct response *r)
{
    for (size_t i = 0; i < c->store->n; i++) {
        const struct response *other = &c->store->list[i];
        if (other->id != r->id && other->order.action == r->order.action && store_active(other) &&
            same_thing(&other->order, &r->order))
            return other;
    }
    return NULL;
}

int act_refuse_same(const struct act_context *c, const struct response *r, struct error *e)
{
    const struct response *other = act_same(c, r);
    if (!other)
        return 0;
    error_set(e, -EEXIST, "this is in force already, as response %llu",
              (unsigned long long)other->id);
    error_way_out(e, "`tiercel undo %llu` ends it; then order it anew",
                  (unsigned long long)other->id);
    return -EEXIST;
}
