// SPDX-License-Identifier: Apache-2.0
#include "cli/report.h"

static const struct command *const subcommands[] = {&report_check_command, NULL};

const struct command cmd_report = {
    .name = "report",
    .group = "publish",
    .summary = "What a report may say: check a text before it is published",
    .subcommands = subcommands,
};
