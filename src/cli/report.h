// SPDX-License-Identifier: Apache-2.0
// The subcommands of `tiercel report`, one file each.
#pragma once
#include "cli/command.h"

extern const struct command report_check_command;
extern const struct command report_draft_command, report_verify_command;
