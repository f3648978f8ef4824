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
    enum field_type type;   // FIELD_ABSENT: not observed
    struct str text;        // FIELD_TEXT; also the printed form of numbers, bools and addresses
    int64_t number;         // FIELD_NUMBER, FIELD_BOOL
    const struct str *list; // FIELD_LIST: n texts
    size_t n;
};

enum field_privacy {
    FIELD_TECHNICAL, // neither of the others
    FIELD_PERSONAL,  // names people or their machines
    FIELD_CONTENT,   // what people typed; may hold secrets
};

// Log source of an event in Sigma's words ("process_creation", "network_connection", ...); NULL where it has none.
// What puts something under a name (create, write, rename) is a file_event, for a rule about a path must see a rename.
const char *event_category(const Tiercel__Event *event);
const char *event_category_at(size_t i); // every category there is, from 0; NULL after the last
// An empty event of that category, in the arena; NULL when there is no such category, or no memory.
Tiercel__Event *event_new(const char *category, struct arena *arena);

// A field by its Sigma name within a category, by its OCSF path, or by its descriptor path; NULL when unknown.
// `category` may be NULL: any. Sigma names are case-sensitive, as in the specification.
const struct field *field_find(const char *category, struct str name);
// The nearest known name, for an error's way out; NULL when nothing is near.
const char *field_nearest(const char *category, struct str name);

// The value in this event. Text borrows from the event or is computed into the arena (CommandLine is argv joined, and
// the text of numbers); no other memory, no searching by name. Where the arena refuses, the value is absent and
// arena->failed has counted it: a caller that judges must look at that and not take absent for harmless.
struct field_value field_get(const struct field *field, const Tiercel__Event *event,
                             struct arena *arena);
// The reverse, for rule tests and replay of name/value records: makes what is missing on the way, in the arena.
// A list takes one more element each time. CommandLine is split at every single blank, so that joining gives it back.
// 0, -EINVAL when the text does not fit the field's type or the event is of another kind, -ENOMEM. Every field can be
// set, the computed ones too.
int field_set(const struct field *field, Tiercel__Event *event, struct str text,
              struct arena *arena, struct error *e);

const char *field_sigma_name(const struct field *field); // or NULL
const char *field_path(const struct field *field);       // "process.image.path"
const char *field_ocsf(const struct field *field);       // or NULL
const char *field_column(const struct field *field);     // in ClickHouse, or NULL
const char *field_about(const struct field *field);      // one line for people, or NULL
const char *
field_categories(const struct field *field); // "process_creation, dns_query", "any", or NULL
enum field_privacy field_privacy(const struct field *field);

// Walk all lines of fields.def, for the reference page and `tiercel rules fields`.
const struct field *field_next(const struct field *previous);
// Walk everything that has a descriptor path: what a table of all values of an event needs.
const struct field *field_next_leaf(const struct field *previous);
