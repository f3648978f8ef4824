// SPDX-License-Identifier: Apache-2.0
#include "cli/report.h"

static const struct command *const subcommands[] = {&report_check_command, &report_draft_command,
                                                    &report_verify_command, NULL};

const struct command cmd_report = {
    .name = "report",
    .group = "publish",
    .summary = "Write a report that holds, or check a text before it is published",
    .subcommands = subcommands,
};
