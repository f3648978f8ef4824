// SPDX-License-Identifier: Apache-2.0
#include "hub/campaigns.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "hub/attempts_show.h"
#include "hub/commands.h"
#include "hub/state.h"
#include "store/attempts.h"
#include "store/registry.h"

#include <errno.h>
#include <string.h>

struct hub_campaigns {
    const char *state;
    struct arena arena;
    char (*names)[REGISTRY_NAME_MAX + 1], (*sector_names)[REGISTRY_NAME_MAX + 1];
    const char **sectors;
    size_t n_clients;
    struct campaign_sighting *all;
    size_t n, cap;
    struct campaigns *campaigns;
    struct error *e;
};

struct hub_campaigns *hub_campaigns_free(struct hub_campaigns *c)
{
    if (c) {
        campaigns_free(c->campaigns);
        free(c->all);
        free(c->names);
        free(c->sector_names);
        free(c->sectors);
        arena_done(&c->arena);
        free(c);
    }
    return NULL;
}

static int add_sighting(void *context, const struct store_attempt *of, const struct store_means *m)
{
    struct hub_campaigns *c = context;
    if (c->n == CAMPAIGN_SIGHTINGS_MAX)
        return error_set(c->e, -E2BIG, "more than %zu means in attempts", CAMPAIGN_SIGHTINGS_MAX);
    if (c->n == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 256;
        void *more = reallocarray(c->all, cap, sizeof *c->all);
        if (!more)
            return error_set(c->e, -ENOMEM, "no memory for campaigns");
        c->all = more;
        c->cap = cap;
    }
    struct campaign_sighting *s = &c->all[c->n];
    *s = (struct campaign_sighting){.client = c->n_clients,
                                    .attempt = of->id,
                                    .begin = of->begin_ns,
                                    .end = of->end_ns,
                                    .kind = m->kind,
                                    .others = m->others,
                                    .text = arena_cstr(&c->arena, str_from(m->text))};
    memcpy(s->value, m->value, sizeof s->value);
    c->n++;
    return s->text ? 0 : error_set(c->e, -ENOMEM, "no memory for campaigns");
}

static int add_client(void *context, const struct registry_client *client)
{
    struct hub_campaigns *c = context;
    struct store_attempts *s = NULL;
    struct error why = {0};
    char folder[HUB_PATH_MAX + 64];
    if (c->n_clients == REGISTRY_CLIENTS_MAX)
        return 0;
    memcpy(c->names[c->n_clients], client->name, sizeof *c->names);
    memcpy(c->sector_names[c->n_clients], client->sector, sizeof *c->sector_names);
    c->sectors[c->n_clients] = c->sector_names[c->n_clients];
    snprintf(folder, sizeof folder, "%s/clients/%s", c->state, client->name);
    int r = store_attempts_open(folder, false, &s, &why);
    if (r == 0)
        r = store_attempts_means(s, add_sighting, c, c->e);
    else if (r != -ENOENT)
        *c->e = why;
    store_attempts_close(s);
    c->n_clients++;
    return r == -ENOENT ? 0 : r;
}

int hub_campaigns_read(const char *state, struct registry *registry, struct hub_campaigns **ret,
                       struct error *e)
{
    struct hub_campaigns *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(e, -ENOMEM, "no memory for campaigns");
    c->state = state;
    c->e = e;
    c->names = calloc(REGISTRY_CLIENTS_MAX, sizeof *c->names);
    c->sector_names = calloc(REGISTRY_CLIENTS_MAX, sizeof *c->sector_names);
    c->sectors = calloc(REGISTRY_CLIENTS_MAX, sizeof *c->sectors);
    int r = c->names && c->sector_names && c->sectors
                ? registry_client_each(registry, add_client, c, e)
                : error_set(e, -ENOMEM, "no memory for campaigns");
    if (r == 0 && (r = campaigns_join(c->all, c->n, &c->campaigns)) < 0)
        error_set(e, r, "no memory for campaigns");
    if (r < 0) {
        hub_campaigns_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

const struct campaigns *hub_campaigns(const struct hub_campaigns *c)
{
    return c->campaigns;
}

const char *hub_campaigns_client(const struct hub_campaigns *c, size_t client)
{
    return client < c->n_clients ? c->names[client] : "";
}

void hub_campaigns_elsewhere(const struct hub_campaigns *c, const char *client, uint64_t attempt,
                             struct buf *out)
{
    for (size_t i = 0; i < c->n_clients; i++) {
        const struct campaign *one =
            strcmp(c->names[i], client) ? NULL : campaigns_of(c->campaigns, i, attempt);
        if (one)
            campaign_elsewhere(one, i, c->sectors, out);
    }
}

// ---- the operator's command

static const char *kind_words(uint32_t kind)
{
    return kind == 0 ? "address" : "content";
}

static void show(const struct hub_campaigns *c, const struct campaign *one, struct buf *out)
{
    buf_addf(out, "Campaign %012llx: at least %zu attempts at %zu clients\n",
             (unsigned long long)(one->id >> 16), one->n_members, one->n_clients);
    for (size_t i = 0; i < one->n_members; i++)
        buf_addf(out, "  %-32s  attempt %012llx\n", hub_campaigns_client(c, one->members[i].client),
                 (unsigned long long)(one->members[i].attempt >> 16));
    for (size_t i = 0; i < one->n_reasons; i++) {
        const struct campaign_reason *r = &one->reasons[i];
        buf_addf(out, "  same %s ", kind_words(r->kind));
        attempts_show_text(r->text, 40, out);
        buf_addf(out, " in %zu attempts of %zu clients, ", r->attempts, r->clients);
        if (r->others)
            buf_addf(out, "and %u processes without detection\n", r->others);
        else
            buf_add_str(out, STR("and in nothing else\n"));
    }
}

static void show_json(const struct hub_campaigns *c, const struct campaign *one, struct buf *out)
{
    json_t *attempts = json_array(), *reasons = json_array();
    char id[17];
    for (size_t i = 0; i < one->n_members; i++) {
        snprintf(id, sizeof id, "%012llx", (unsigned long long)(one->members[i].attempt >> 16));
        json_array_append_new(attempts, json_pack("{ss ss}", "client",
                                                  hub_campaigns_client(c, one->members[i].client),
                                                  "attempt", id));
    }
    for (size_t i = 0; i < one->n_reasons; i++) {
        const struct campaign_reason *r = &one->reasons[i];
        json_array_append_new(reasons,
                              json_pack("{ss ss* sI sI sI}", "kind", kind_words(r->kind), "what",
                                        r->text, "attempts", (json_int_t)r->attempts, "clients",
                                        (json_int_t)r->clients, "others", (json_int_t)r->others));
    }
    snprintf(id, sizeof id, "%012llx", (unsigned long long)(one->id >> 16));
    json_t *all = json_pack("{ss so so}", "campaign", id, "attempts", attempts, "reasons", reasons);
    char *text = all ? json_dumps(all, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    buf_addf(out, "%s\n", text ? text : "");
    out->failed = text ? out->failed : -ENOMEM;
    free(text);
    json_decref(all);
}

int command_campaigns(const struct hub_options *o, struct error *e)
{
    char state[HUB_PATH_MAX], file[HUB_PATH_MAX + 32];
    struct registry *registry = NULL;
    struct hub_campaigns *c = NULL;
    _cleanup_buf_ struct buf out = {0};
    int r = hub_state_enter(o->state, state, e);
    snprintf(file, sizeof file, "%s/hub.db", state);
    if (r == 0)
        r = registry_open(file, false, &registry, e);
    if (r == 0)
        r = hub_campaigns_read(state, registry, &c, e);
    for (size_t i = 0; r == 0 && i < campaigns_count(c->campaigns); i++)
        (o->json ? show_json : show)(c, campaigns_get(c->campaigns, i), &out);
    if (r == 0 && !out.n && !o->json)
        buf_add_str(&out, STR("no means were seen in attempts of more than one client\n"));
    if (r == 0 && (out.failed || fwrite(out.p, 1, out.n, stdout) != out.n))
        r = error_set(e, -EIO, "cannot write");
    hub_campaigns_free(c);
    registry_close(registry);
    return r;
}
