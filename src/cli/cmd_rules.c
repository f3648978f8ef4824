// SPDX-License-Identifier: Apache-2.0
// One file per subcommand: rules_<name>.c.
#include "cli/rules.h"

static const struct command *const subcommands[] = {
    &rules_list, &rules_check, &rules_test, &rules_explain, &rules_fields, NULL,
};

const struct command cmd_rules = {
    .name = "rules",
    .group = "rules",
    .summary = "Sigma rules: list, check, test, explain",
    .description =
        "Rules are written in Sigma; doc/rules.md says what is supported and what we add.",
    .subcommands = subcommands,
};
