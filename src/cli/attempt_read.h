// SPDX-License-Identifier: Apache-2.0
// A journal read three times into attempts, with what was merged and split by hand: a file of lines beside the journal
// that is only ever added to.
#pragma once
#include "attempt/attempt.h"
#include "cli/command.h"
#include "cli/journal.h"

#define OPTION_CHANGES                                                                             \
    {                                                                                              \
        "changes", 0, OPTION_FILE, "FILE",                                                         \
            "merges and splits (attempts.jsonl beside the journal)", NULL, false                   \
    }

// Of options --journal and --changes. Damage in the journal is told and passed over.
int attempt_read(struct cli *cli, const struct args *args, struct journal **ret_journal,
                 struct attempts **ret, struct error *e);
// Appends one line, durably.
int attempt_write(const struct args *args, const struct attempt_change *c, struct error *e);
