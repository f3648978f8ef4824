// SPDX-License-Identifier: Apache-2.0
// Campaigns across clients, made of the means that each client's attempts.db holds; read when asked for, kept nowhere.
// Who the clients are is for the hub's operator. A view of one client gets hub_campaigns_elsewhere() only.
#pragma once
#include "attempt/campaign.h"
#include "base/error.h"

struct hub_campaigns;
struct registry;
// `state`: the hub's folder. Clients without attempts are passed over.
int hub_campaigns_read(const char *state, struct registry *registry, struct hub_campaigns **ret,
                       struct error *e);
struct hub_campaigns *hub_campaigns_free(struct hub_campaigns *c);
const struct campaigns *hub_campaigns(const struct hub_campaigns *c);
const char *hub_campaigns_client(const struct hub_campaigns *c, size_t client); // its name
// The sentence that this client may read beside its attempt; "" mostly.
void hub_campaigns_elsewhere(const struct hub_campaigns *c, const char *client, uint64_t attempt,
                             struct buf *out);
