// SPDX-License-Identifier: Apache-2.0
// Sigma rules, compiled once and matched against any record that can say the value of a field by its name.
// One vectorscan pass per field finds which literals of all rules' strings occur in it; only rules that can still be
// true have their condition evaluated; an expression that is more than its literals is asked then.
//
// A rule's own part (documented in doc/rules.md):   tiercel: {action: detect|prevent, kill: process|lineage}
// To add a modifier: one line in modifier.c's table.
#pragma once
#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

struct rule_set;
struct rule_scratch; // one per thread

enum rule_action { RULE_DETECT, RULE_PREVENT };
enum rule_level { RULE_INFORMATIONAL, RULE_LOW, RULE_MEDIUM, RULE_HIGH, RULE_CRITICAL };

struct rule {
    struct str id, title, name, file, level_name, description; // id and name may be empty
    enum rule_level level;                                     // medium where the rule says none
    enum rule_action action;
    bool kill_lineage;
    const struct str *tags;
    size_t n_tags;
    struct str product, category, service;
    const struct str *falsepositives;
    size_t n_falsepositives;
    unsigned index;   // in the set
    bool correlation; // fired by rule_correlate(), not by one record
    bool
        support; // only feeds correlations (they say no `generate: true`): its match is no detection by itself
};

// Which field names are known. NULL accepts all. Return the nearest known name in *ret_nearest (may be NULL).
struct rule_options {
    bool (*field_known)(void *context, struct str category, struct str service, struct str field,
                        const char **ret_nearest);
    void *context;
    // Fields that cost more to look up than others to search: a rule is found by them only where nothing else tells it.
    // NULL: none.
    bool (*field_late)(void *context, struct str field);
};

int rule_set_new(const struct rule_options *options, struct rule_set **ret);
struct rule_set *rule_set_free(struct rule_set *set);
// One file's text (one or more YAML documents). All or nothing: on an error no rule of the file is in the set, and e
// has file:line:column. -EINVAL malformed or unknown, -ENOTSUP a construct we do not support (named), -E2BIG over a
// limit (file 1 MiB, depth 32, 10,000 values, regular expression 4 KiB, ...).
int rule_set_add(struct rule_set *set, struct str text, const char *file, struct error *e);
// Builds the matchers. After this the set is immutable and may be shared by threads.
int rule_set_compile(struct rule_set *set, struct error *e);

size_t rule_set_count(const struct rule_set *set);
const struct rule *rule_set_get(const struct rule_set *set, size_t index);
void rule_set_hash(const struct rule_set *set, uint8_t ret[32]); // version of the rules
// Names of all fields that any rule asks for: the caller resolves them once and answers by index. [0] is empty and is
// never asked for: it stands for keywords.
size_t rule_set_fields(const struct rule_set *set);
struct str rule_set_field(const struct rule_set *set, size_t index);

// Which rules concern a log source: a handle (0 and up) for rule_match(). Absent parts are STR_NONE. A rule concerns it
// when every part that the rule names is equal; a rule that names a category is taken whatever its service. Changes the
// set: ask for all routes after rule_set_compile() and before threads share it. -ENOMEM, -ENOSPC (256 routes).
int rule_set_route(struct rule_set *set, struct str product, struct str category,
                   struct str service);

// What a record holds. A number's text may be its printed form; where p is NULL it is printed in decimal. A list is
// true where any of its texts is.
enum rule_value_type { RULE_ABSENT, RULE_TEXT, RULE_NUMBER, RULE_LIST };
struct rule_value {
    enum rule_value_type type;
    struct str text;
    int64_t number;
    const struct str *list;
    size_t n;
};

struct rule_record {
    struct rule_value (*get)(void *context,
                             size_t field_index); // asked once per rule_match() and field at most
    // For keyword rules: all texts of the record, one after another; false at the end.
    bool (*each)(void *context, size_t *position, struct str *ret);
    void *context;
};

struct rule_hit {                     // one field condition that was true
    struct str field, value, pattern; // pattern with modifiers: "CommandLine|contains: whoami"
    unsigned line;
};
struct rule_match {
    const struct rule *rule;
    const struct rule_hit *hits;
    size_t n_hits;
    const struct str *identifiers; // selections that were true
    size_t n_identifiers;
};

int rule_scratch_new(const struct rule_set *set, struct rule_scratch **ret);
struct rule_scratch *rule_scratch_free(struct rule_scratch *scratch);

// All rules of the route that match, in the set's order. Results live in the arena. A regular expression that hits its
// match limit counts as no match and is counted in *ret_limits (may be NULL). 0, -ENOMEM, -EIO (the scanner failed, or a
// value of 4 GiB: what matches is not known), -EINVAL (no such route).
int rule_match(const struct rule_set *set, struct rule_scratch *scratch, int route,
               const struct rule_record *record, struct arena *arena, const struct rule_match **ret,
               size_t *ret_n, unsigned *ret_limits);

// Correlation rules (event_count, value_count, temporal, temporal_ordered of Sigma 2.1) over time. One state per
// engine, bounded (65,536 groups; reaching it is counted). `key` is the group-by values joined by the caller through
// the record; the lineage is the usual group: field LineageId.
struct rule_correlator;
int rule_correlator_new(const struct rule_set *set, struct rule_correlator **ret);
struct rule_correlator *rule_correlator_free(struct rule_correlator *c);
struct rule_fired {
    const struct rule *rule;   // the correlation
    const uint64_t *event_ids; // events counted, oldest first
    size_t n;
};
// Feed one match. *ret are the correlations that are now satisfied (also those over correlations), usually none. Each
// fires once per timespan and group. An event without one of the group-by fields is not counted. 0, -ENOMEM.
int rule_correlate(struct rule_correlator *c, const struct rule_match *match,
                   const struct rule_record *record, uint64_t time_ns, uint64_t event_id,
                   struct arena *arena, const struct rule_fired **ret, size_t *ret_n);
// Events that were not counted because the state was at its limit.
uint64_t rule_correlator_refused(const struct rule_correlator *c);
