// SPDX-License-Identifier: Apache-2.0
#include "store/private.h"

#include <errno.h>
#include <stdlib.h>

static const uint8_t none[32];

void chain_remember(struct chain *c, const struct segment_info *info)
{
    if (c->n_recent && info->sequence != c->recent_next)
        c->n_recent = 0;
    memcpy(c->recent[info->sequence % CHAIN_RECENT], info->hash, 32);
    c->recent_next = info->sequence + 1;
    if (c->n_recent < CHAIN_RECENT)
        c->n_recent++;
}

// Not a new one by its number: the same record as was taken, or another in its place? What is too long ago to be
// remembered is taken for known, but for the first of all: a journal made anew begins with another one.
static bool is_known(const struct chain *c, const struct segment_info *info)
{
    if (c->next - info->sequence <= c->n_recent)
        return memcmp(c->recent[info->sequence % CHAIN_RECENT], info->hash, 32) == 0;
    if (info->sequence + 1 == c->next)
        return memcmp(c->last, info->hash, 32) == 0;
    if (info->sequence == c->first_sequence)
        return memcmp(c->first, info->hash, 32) == 0;
    return memcmp(info->previous, none, 32) != 0;
}

static enum store_result classify(const struct chain *c, const struct segment_info *info)
{
    if (!c->any)
        return memcmp(info->previous, none, 32) == 0 ? STORE_NEW : STORE_GAP;
    if (info->sequence > c->next)
        return STORE_GAP;
    if (info->sequence == c->next)
        return memcmp(info->previous, c->last, 32) == 0 ? STORE_NEW : STORE_RESTARTED;
    return is_known(c, info) ? STORE_KNOWN : STORE_RESTARTED;
}

enum store_result chain_step(struct chain *c, const struct segment_info *info,
                             struct gap_row *ret_gap)
{
    enum store_result result = classify(c, info);
    if (result == STORE_KNOWN)
        return result;
    if (result != STORE_NEW) {
        bool restarted = result == STORE_RESTARTED;
        *ret_gap = (struct gap_row){.gap = {
                                        .from = restarted ? info->sequence : c->next,
                                        .to = restarted ? info->sequence : info->sequence - 1,
                                        .restarted = restarted,
                                        .from_ns = c->to_ns,
                                        .to_ns = info->from_ns,
                                    }};
        if (info->sequence == 0)
            ret_gap->gap.to = 0;
        memcpy(ret_gap->gap.host, info->host, 16);
        memcpy(ret_gap->resumed, info->hash, 32);
    }
    if (!c->any || result == STORE_RESTARTED) {
        c->first_sequence = info->sequence;
        memcpy(c->first, info->hash, 32);
    }
    c->any = true;
    c->next = info->sequence + 1;
    if (info->to_ns)
        c->to_ns = info->to_ns;
    memcpy(c->last, info->hash, 32);
    chain_remember(c, info);
    return result;
}

struct host *host_get(struct map *hosts, const uint8_t id[16])
{
    struct host *host = map_get(hosts, str_bytes(id, 16));
    if (host)
        return host;
    host = calloc(1, sizeof *host);
    if (!host) {
        errno = ENOMEM;
        return NULL;
    }
    memcpy(host->id, id, 16);
    hosts->quota = STORE_HOSTS_MAX;
    int r = map_put(hosts, str_bytes(host->id, 16), host);
    if (r < 0) {
        free(host);
        errno = -r;
        return NULL;
    }
    return host;
}

void hosts_done(struct map *hosts)
{
    struct map_entry *entry;
    for (size_t i = 0; (entry = map_next(hosts, &i));)
        free(entry->value);
    map_done(hosts);
    *hosts = (struct map){0};
}
