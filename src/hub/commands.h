// SPDX-License-Identifier: Apache-2.0
// The commands of tiercel-hub. To add one: a function, a line of the table in main.c; its words and options come from
// there. Exit status: 0 done, 1 failed, 2 wrong usage.
#pragma once
#include "base/error.h"
#include "hub/wire.h"
#include <jansson.h>

struct hub_options {
    const char *state, *sector, *uses, *lasts, *agents, *people, *url, *names, *why, *limit;
    const char *host, *within, *allow, *kind, *to, *client, *level, *ca;
    bool json, all, dry_run;
    const char *words[32]; // after the command's own
    int n_words;
};

int command_init(const struct hub_options *o, struct error *e);
int command_client_add(const struct hub_options *o, struct error *e);
int command_client_list(const struct hub_options *o, struct error *e);
int command_key_new(const struct hub_options *o, struct error *e);
int command_host_list(const struct hub_options *o, struct error *e);
int command_host_revoke(const struct hub_options *o, struct error *e);
int command_serve(const struct hub_options *o, struct error *e);
int command_status(const struct hub_options *o, struct error *e);
int command_attempts(const struct hub_options *o, struct error *e);
int command_campaigns(const struct hub_options *o, struct error *e);
int command_attempt(const struct hub_options *o, struct error *e);
int command_attempt_merge(const struct hub_options *o, struct error *e);
int command_attempt_split(const struct hub_options *o, struct error *e);
int command_order(const struct hub_options *o, struct error *e);
int command_orders(const struct hub_options *o, struct error *e);
int command_output_add(const struct hub_options *o, struct error *e);
int command_output_list(const struct hub_options *o, struct error *e);
int command_output_remove(const struct hub_options *o, struct error *e);
int command_output_test(const struct hub_options *o, struct error *e);
int command_metrics(const struct hub_options *o, struct error *e);
int command_verify(const struct hub_options *o, struct error *e);

// "90s", "30m", "24h", "7d"; seconds.
int commands_duration(struct str text, uint64_t *ret);
// "127.0.0.1:8443", "[::1]:8443"
int commands_listen(struct str text, struct hub_listen *ret);
