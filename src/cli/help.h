// SPDX-License-Identifier: Apache-2.0
// Help, manual page, completion and reference page, all from the commands' tables.
#pragma once
#include "cli/command.h"

void help_overview(const struct term *t);
void help_command(const struct term *t, const struct command *parent, const struct command *c);
void help_exit_codes(struct buf *out);
void help_markdown(struct buf *out);        // doc/cli.md
void help_man(struct buf *out);             // tiercel.1
void help_bash_completion(struct buf *out); // sourced by bash
