// SPDX-License-Identifier: Apache-2.0
// A rule's examples: X.test.yml beside X.yml. Run by `tiercel rules test` and by the unit test of our own rules.
//
//   defaults: {Lineage: web, User: www-data}     optional: fields of every event that does not say otherwise
//   match:                                       at least one; the rule must fire on each
//     - name: php system()                       optional
//       Image: /bin/sh                           fields by the names that rules use; a list for Argv and the like;
//       CommandLine: sh -c whoami                null takes a default away; `category` when it is not the rule's
//   no_match: [...]                              at least one
//   benign: [...]                                look-alikes of daily work; a prevent rule needs five that have a name
//   sequence:                                    for a correlation, instead of match
//     - name: four tools in a minute
//       fires: 1                                 how often
//       events: [{at: 0, Image: ...}, {at: 5, ...}]      seconds
#pragma once
#include "base/error.h"
#include "base/str.h"

#define RULE_TEST_BENIGN_MIN 5

struct detect_case {
    const char *kind; // "rule", "match", "no_match", "benign", "sequence"
    const char *name; // or "number 3"
    unsigned line;
    bool passed;
    char why[256]; // when not passed
};

struct detect_test_counts {
    unsigned cases, failed, events;
    bool prevent; // the rule asks for prevention
};

// `file` is X.yml or X.test.yml. `each` is told every case, passed or not. 0 when the files could be read and run
// (ret->failed says how it went); negative errno with e otherwise. A rule must have an ATT&CK technique in its tags.
int detect_test_file(const char *file, void (*each)(void *context, const struct detect_case *c),
                     void *context, struct detect_test_counts *ret, struct error *e);
// The same over texts, for the fuzzer. rule_file is the rule's name in messages.
int detect_test_text(struct str rule, const char *rule_file, struct str test, const char *test_file,
                     void (*each)(void *context, const struct detect_case *c), void *context,
                     struct detect_test_counts *ret, struct error *e);
