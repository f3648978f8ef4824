// SPDX-License-Identifier: Apache-2.0
// Rule files of a folder, and a set of rules that knows our fields.
#pragma once
#include "base/error.h"
#include "rule/rule.h"
#include <stddef.h>

#define RULEFILES_MAX 65536

struct rulefiles {
    char **paths; // sorted
    size_t n, cap;
};

// A file, or a folder read recursively: *.yml and *.yaml without *.test.yml. Symbolic links to folders are not followed.
int rulefiles_collect(const char *path, struct rulefiles *files, struct error *e);
void rulefiles_done(struct rulefiles *files);
#define _cleanup_rulefiles_ __attribute__((cleanup(rulefiles_done)))

// The text of one file, at most 1 MiB; free() *ret. e has the file.
int rulefile_read(const char *path, char **ret, size_t *ret_n, struct error *e);

// Reads the file and adds its rules to the set. Negative errno with e, which has the file.
int rulefile_add(struct rule_set *set, const char *path, struct error *e);

// Options of a set whose rules are checked against the fields of events that we know; log sources that nothing here
// collects accept any field.
struct rule_options rulefiles_options(void);
