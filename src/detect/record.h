// SPDX-License-Identifier: Apache-2.0
// An event as the rule engine asks for it: fields by index, resolved once per log source.
#pragma once
#include "event/field.h"
#include "rule/rule.h"

#define RECORD_CATEGORIES 17 // all that event_category_at() knows; asserted when they are resolved

struct record_fields { // of one log source
    const char *category;
    const struct field **fields; // by the rule set's index; NULL: this source has no such field
    bool *late;                  // of each: in the event only once it was looked for
    int route;
};
// All log sources; `set` is compiled. 0, -ENOMEM, or rule_set_route()'s error.
int record_fields_init(struct record_fields table[RECORD_CATEGORIES], struct rule_set *set);
bool record_is_late(const struct field *field); // a question's directory and descriptors
void record_fields_done(struct record_fields table[RECORD_CATEGORIES]);
const struct record_fields *record_fields_of(const struct record_fields table[RECORD_CATEGORIES],
                                             const Tiercel__Event *event);

struct record {
    const struct record_fields *source;
    const Tiercel__Event *event;
    struct arena *arena;
    void (*look)(void *context); // fills what is late; NULL: it is there, or was looked for
    void *look_context;
    struct rule_record asked; // for rule_match(); its context is this
    const struct field *walk; // of the keyword walk
    size_t walked;            // texts given so far
    const struct str *list;   // rest of a list
    size_t n_list;
};
void record_init(struct record *r, const struct record_fields *source, const Tiercel__Event *event,
                 struct arena *arena);
