// SPDX-License-Identifier: Apache-2.0
// Sending an order of response to the agent, and showing what came of it and what is in force.
#pragma once
#include "cli/command.h"
#include "cli/status.h"
#include "respond/store.h"

#define RESPOND_STATE_FOLDER "/var/lib/tiercel"
#define OPTION_DRY_RUN                                                                             \
    {                                                                                              \
        "dry-run", 'n', OPTION_FLAG, NULL, "check and say what would be done, do nothing", NULL,   \
            false                                                                                  \
    }

// Sends it and prints the answer; the exit code.
int respond_send(struct cli *cli, const struct args *args, struct response_order *order);
int respond_undo(struct cli *cli, const struct args *args, uint64_t id);
void respond_print(const struct term *t, const struct response *list, size_t n, uint64_t now_ns,
                   struct buf *out);
void respond_json(const struct response *r, struct buf *out); // one line
extern const struct command respond_block;
