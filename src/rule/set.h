// SPDX-License-Identifier: Apache-2.0
// What the parts of the rule compiler share: the set, its rules as expressions, its fields with their strings.
// rule_set_add(): yaml.c -> document.c -> detection.c (modifier.c, value.c, encode.c) and condition.c -> expressions.
// rule_set_compile(): matcher.c (strings of a field; factor.c, literal.c), index.c (which rules can be true at all).
// Everything of one file lives in that file's arena, so that a refused file leaves nothing.
#pragma once
#include "base/map.h"
#include "rule/rule.h"
#include "rule/value.h"
#include "rule/yaml.h"

#define RULE_VALUES_MAX 10000   // values of one file, after every expansion
#define RULE_REGEX_MAX 4096     // bytes of a regular expression
#define RULE_FIELDS_MAX 4096    // distinct field names of a set
#define RULE_NO_SLOT UINT32_MAX // not one of a field's strings

enum rule_leaf_kind {
    RULE_LEAF_TEXT,   // pattern or regular expression: a slot of its field
    RULE_LEAF_NULL,   // the field is absent
    RULE_LEAF_EXISTS, // the field is there
    RULE_LEAF_COMPARE,
    RULE_LEAF_CIDR,
    RULE_LEAF_FIELD, // another field's value
    RULE_LEAF_TIME,
};
enum rule_compare { RULE_LT, RULE_LTE, RULE_GT, RULE_GTE };
enum rule_time { RULE_MINUTE, RULE_HOUR, RULE_DAY, RULE_WEEK, RULE_MONTH, RULE_YEAR };

// How an expression is to be matched.
#define RULE_FLAG_NOCASE 1u
#define RULE_FLAG_MULTILINE 2u
#define RULE_FLAG_DOTALL 4u
#define RULE_FLAG_REGEX 8u // written by the rule's author, not made from a value

struct rule_cidr {
    uint8_t address[16]; // IPv4 as ::ffff:a.b.c.d
    unsigned bits;       // of these 128
};

// One test of one field. Shown in hits as `source`.
struct rule_leaf {
    enum rule_leaf_kind kind;
    uint8_t op; // rule_compare or rule_time
    bool cased; // RULE_LEAF_FIELD
    bool open_start,
        open_end;          // RULE_LEAF_FIELD: the other field's value is an end, a start, a part
    unsigned flags;        // RULE_LEAF_TEXT
    unsigned field, other; // RULE_LEAF_FIELD: two
    unsigned line;
    uint32_t slot;         // in its field, set by compile
    uint32_t weight;       // RULE_LEAF_TEXT: longest literal run, how telling it is
    struct str expression; // RULE_LEAF_TEXT
    struct str source;
    int64_t number;
    struct rule_cidr cidr;
};

enum rule_op { RULE_OP_LEAF, RULE_OP_AND, RULE_OP_OR, RULE_OP_NOT, RULE_OP_NAME };

// A graph: a selection that the condition names twice is there once. AND of nothing is true, OR of nothing false.
struct rule_expr {
    enum rule_op op;
    uint32_t n;
    struct rule_expr **child; // RULE_OP_NOT and RULE_OP_NAME have one
    struct rule_leaf *leaf;   // RULE_OP_LEAF; RULE_OP_NOT of a neq: what to show
    struct str name;          // RULE_OP_NAME: the selection
};

enum rule_correlation_type {
    RULE_EVENT_COUNT,
    RULE_VALUE_COUNT,
    RULE_TEMPORAL,
    RULE_TEMPORAL_ORDERED
};

#define RULE_CORRELATED_MAX 32 // rules that one correlation joins
#define RULE_GROUP_BY_MAX 8
#define RULE_COUNT_MAX 10000

struct rule_correlation {
    enum rule_correlation_type type;
    size_t n_rules, n_group_by, n_values;
    struct str *names;  // as written: id or name
    unsigned *lines;    // of each name
    unsigned *rules;    // index of each, set by compile
    unsigned *group_by; // n_rules rows of n_group_by fields
    unsigned *values;   // value_count: fields
    uint64_t timespan_ns;
    uint64_t least, most; // fires when the count is within
    uint64_t but;         // and is not this (neq); UINT64_MAX: none
    bool generate;
};

// A rule and what only this folder sees of it.
struct rule_entry {
    struct rule rule;
    struct rule_expr *root; // NULL for a correlation
    struct rule_correlation *correlation;
    unsigned line;
};

struct rule_file {
    struct rule_file *next;
    struct arena arena;
};

struct rule_matcher; // matcher.h: the strings of one field
struct rule_index;   // index.h

struct rule_route {
    struct str product, category, service;
    uint64_t *rules;  // bit set: rules of this log source
    uint64_t *always; // those of them that no string decides
    unsigned *eager;  // fields whose strings decide about a rule of this route
    size_t n_eager;
    bool any; // rules at all
};

#define RULE_FIELD_KEYWORDS 0 // the record as a whole

struct rule_set {
    struct rule_options options;
    struct rule_file *files;
    struct rule_entry *entries;
    size_t n, cap;
    struct map by_id, by_name; // to index + 1
    struct str *fields;        // names; [0] stands for the whole record
    size_t n_fields, cap_fields;
    struct map field_index;
    uint8_t (*digests)[32];
    size_t n_digests, cap_digests;
    struct rule_matcher **matchers; // per field, NULL where it has no strings
    struct rule_index *index;
    struct rule_route *routes;
    size_t n_routes;
    bool compiled;
};

// What one rule_set_add() carries around.
struct rule_parse {
    struct rule_set *set;
    struct arena *arena;   // lives as long as the rules
    struct arena *scratch; // dies with the call
    const char *file;
    struct error *e;
    size_t values;
    struct str category, service; // of the rule being read
};

// Fill p->e with the place of a node and return code.
int rule_fail(struct rule_parse *p, const struct rule_yaml *at, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int rule_fail_at(struct rule_parse *p, unsigned line, unsigned column, int code, const char *format,
                 ...) __attribute__((format(printf, 5, 6)));
int rule_fail_memory(struct rule_parse *p);

// The nearest of n words, or NULL when none is near.
const char *rule_nearest(struct str word, const char *const *words, size_t n);

// The index of a field name, adding it when it is new. `at` for the error when options.field_known refuses it.
int rule_field(struct rule_parse *p, struct str name, const struct rule_yaml *at, unsigned column,
               unsigned *ret);

// New nodes of an expression; NULL when memory ends.
struct rule_expr *rule_expr_new(struct rule_parse *p, enum rule_op op, size_t n);
struct rule_expr *rule_expr_leaf(struct rule_parse *p, struct rule_leaf *leaf);

// detection.c: one selection.
int rule_detection_parse(struct rule_parse *p, const struct rule_yaml *node,
                         struct rule_expr **ret);

// condition.c: text of a condition over named selections.
struct rule_names {
    size_t n;
    const struct rule_yaml **keys;
    struct rule_expr **exprs; // RULE_OP_NAME each
};
int rule_condition_parse(struct rule_parse *p, const struct rule_yaml *node,
                         const struct rule_names *names, struct rule_expr **ret);

// document.c: one YAML document becomes one entry.
int rule_document_parse(struct rule_parse *p, const struct rule_yaml *document,
                        struct rule_entry *ret);
int rule_document_text(struct rule_parse *p, const struct rule_yaml *map, const char *key,
                       size_t max, bool needed, struct str *ret);
// document_correlation.c
int rule_correlation_parse(struct rule_parse *p, const struct rule_yaml *document,
                           struct rule_correlation **ret);
