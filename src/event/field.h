// SPDX-License-Identifier: Apache-2.0
// Fields of an event by name. The names come from fields.def (Sigma per log source, OCSF) and from the protobuf
// descriptor ("process.image.path"); nothing else spells a field by hand.
// To add a field: one line in schema/tiercel.proto, one in fields.def.
#pragma once
#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "tiercel.pb-c.h"

struct field; // one line of fields.def, or one path of the descriptor; static, never freed

enum field_type { FIELD_ABSENT, FIELD_TEXT, FIELD_NUMBER, FIELD_BOOL, FIELD_ADDRESS, FIELD_LIST };

struct field_value {
    enum field_type type; // FIELD_ABSENT: not observed
    struct str text;      // FIELD_TEXT; also the printed form of numbers, bools and addresses
    int64_t number;       // FIELD_NUMBER, FIELD_BOOL
    const struct str *list; // FIELD_LIST: n texts
    size_t n;
};

// Log source of an event in Sigma's words ("process_creation", "network_connection", ...); NULL where it has none.
const char *event_category(const Tiercel__Event *event);

// A field by its Sigma name within a category, by its OCSF path, or by its descriptor path; NULL when unknown.
// `category` may be NULL: any. Sigma names are case-sensitive, as in the specification.
const struct field *field_find(const char *category, struct str name);
// The nearest known name, for an error's way out; NULL when nothing is near.
const char *field_nearest(const char *category, struct str name);

// The value in this event. Text borrows from the event or is computed into the arena (CommandLine is argv joined).
struct field_value field_get(const struct field *field, const Tiercel__Event *event, struct arena *arena);
// The reverse, for rule tests and replay of name/value records: makes what is missing on the way, in the arena.
// 0, -EINVAL when the text does not fit the field's type, -ENOTSUP for a computed field that cannot be set.
int field_set(const struct field *field, Tiercel__Event *event, struct str text, struct arena *arena,
              struct error *e);

const char *field_sigma_name(const struct field *field); // or NULL
const char *field_path(const struct field *field);       // "process.image.path"
const char *field_ocsf(const struct field *field);       // or NULL

// Walk all lines of fields.def, for the reference page and `tiercel rules fields`.
const struct field *field_next(const struct field *previous);
