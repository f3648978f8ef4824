// SPDX-License-Identifier: Apache-2.0
// STIX patterns (2.1, and 2.0's spelling): the whole grammar into a tree and back into text. Precedence as in the standard's
// grammar: AND binds most, then OR, then FOLLOWEDBY; within one observation AND before OR. Nodes live in the arena and are
// views of the text, which must live as long. Input is hostile: text, depth and nodes have limits.
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

#define PATTERN_TEXT_MAX 65536 // bytes
#define PATTERN_DEPTH_MAX 64   // brackets within brackets
#define PATTERN_NODES_MAX 4096 // nodes, path steps, constants

enum pattern_type {
    PATTERN_FOLLOWED_BY,
    PATTERN_OR,
    PATTERN_AND,
    PATTERN_OBSERVATION, // [...]; its one child is the comparison expression
    PATTERN_COMPARISON,  // path, operator, constants
};

enum pattern_operator {
    PATTERN_EQUAL,
    PATTERN_NOT_EQUAL,
    PATTERN_LESS,
    PATTERN_LESS_EQUAL,
    PATTERN_GREATER,
    PATTERN_GREATER_EQUAL,
    PATTERN_IN,
    PATTERN_LIKE,
    PATTERN_MATCHES,
    PATTERN_IS_SUBSET,
    PATTERN_IS_SUPERSET,
    PATTERN_EXISTS,
};

enum pattern_constant_type {
    PATTERN_NUMBER,
    PATTERN_STRING,
    PATTERN_BOOLEAN,
    PATTERN_HEX,
    PATTERN_BINARY,
    PATTERN_TIME,
};

struct pattern_constant {
    enum pattern_constant_type type;
    struct str text; // as written, with its quotes
    struct pattern_constant *next;
};

struct pattern_step {
    enum { PATTERN_MEMBER, PATTERN_INDEX } type; // .name, .'quoted'; [3], [*]
    struct str text;                             // as written, without the brackets of an index
    struct pattern_step *next;
};

// What stands behind a node, in order; a closing bracket among them, so that their nesting is kept.
struct pattern_suffix {
    enum { PATTERN_BRACKET, PATTERN_WITHIN, PATTERN_REPEATS, PATTERN_START_STOP } type;
    struct str text, stop; // the number; of START and STOP the two times
    struct pattern_suffix *next;
};

struct pattern {
    enum pattern_type type;
    struct pattern *first, *next; // children; the next child of the same parent
    struct pattern_suffix *suffixes;
    struct str object; // of a comparison: its type, and the rest of it
    struct pattern_step *path;
    bool negated;
    enum pattern_operator op;
    struct str symbol; // the operator as it is printed
    struct pattern_constant *constants;
};

// 0; -EINVAL with the column; -EFBIG over a limit.
int pattern_parse(struct arena *arena, struct str text, struct pattern **ret, struct error *e);
void pattern_print(const struct pattern *p, struct buf *out);
// The bytes that a quoted constant stands for, in the arena. STR_NONE when there is no memory.
struct str pattern_constant_text(struct arena *arena, const struct pattern_constant *constant);
// Calls each() for every string that some comparison asks to be equal to; not 0 from it stops and is returned.
int pattern_equals(const struct pattern *p,
                   int (*each)(void *context, const struct pattern *comparison,
                               const struct pattern_constant *constant),
                   void *context);
