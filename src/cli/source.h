// SPDX-License-Identifier: Apache-2.0
// Sigma's log sources and what this product collects of them.
// To add one: a line in source.c's table.
#pragma once
#include "base/str.h"

enum source_state {
    SOURCE_COLLECTED,
    SOURCE_KNOWN,   // its fields are known, nothing collects it yet
    SOURCE_FOREIGN, // of another system, or of software that nothing here reads
};

struct source {
    const char *category, *by; // what collects it
    enum source_state state;
};

// By the three parts of a rule's logsource, any of which may be empty. Never NULL.
const struct source *source_of(struct str product, struct str category, struct str service);
