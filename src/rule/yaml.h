// SPDX-License-Identifier: Apache-2.0
// YAML text to a tree whose every node knows its line and column. Refuses duplicate keys, merge keys, too many aliases,
// depth, nodes and bytes. The tree and its texts live in the caller's arena. An alias is the anchored node itself.
#pragma once
#include "base/arena.h"
#include "base/error.h"

enum rule_yaml_kind { RULE_YAML_SCALAR, RULE_YAML_LIST, RULE_YAML_MAP };

struct rule_yaml {
    enum rule_yaml_kind kind;
    bool plain; // a scalar without quotes: may be null, a number or a bool
    bool
        one_line; // the scalar's text stands in one line of the file, so that columns inside it are known
    unsigned line, column; // 1-based
    struct str text;
    size_t n;                 // items of a list, pairs of a map
    struct rule_yaml **items; // a map has 2 * n: key, value, key, value
};

#define RULE_YAML_BYTES_MAX ((size_t)1 << 20)
#define RULE_YAML_DEPTH_MAX 32
#define RULE_YAML_NODES_MAX 100000
#define RULE_YAML_ALIASES_MAX 64
#define RULE_YAML_DOCUMENTS_MAX 256

// All documents of a text; empty ones are left out.
int rule_yaml_parse(struct arena *arena, struct str text, const char *file, struct rule_yaml ***ret,
                    size_t *ret_n, struct error *e);

// The value of a key, or NULL; ret_key (may be NULL) is the key's node.
struct rule_yaml *rule_yaml_get(const struct rule_yaml *map, const char *key);

bool rule_yaml_is_null(const struct rule_yaml *node);
// A plain `true` or `false`.
bool rule_yaml_is_bool(const struct rule_yaml *node, bool *ret);
// A plain whole number: decimal without leading zeros, or 0x. -EINVAL when it is none, -ERANGE when it does not fit.
int rule_yaml_number(const struct rule_yaml *node, int64_t *ret);
