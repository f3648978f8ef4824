// SPDX-License-Identifier: Apache-2.0
// Which events and detections a person wants to see. All given conditions must hold; of one that is given several times,
// one. Made from the options of FILTER_OPTIONS.
#pragma once
#include "cli/command.h"
#include "event/field.h"
#include "tiercel.pb-c.h"

#define FILTER_OPTIONS                                                                             \
    {"image", 'i', OPTION_TEXT, "GLOB", "program's path, * and ? allowed: '*/bash'", NULL, true},  \
        {"lineage",                                                                                \
         'l',                                                                                      \
         OPTION_TEXT,                                                                              \
         "ROLE",                                                                                   \
         "kind of service it runs below: web, database, ssh, cron ...",                            \
         NULL,                                                                                     \
         true},                                                                                    \
        {"since", 's',  OPTION_TIME, "TIME", "not older: 10m, 15:30, 2026-11-23, today",           \
         NULL,    false},                                                                          \
        {"until", 'u', OPTION_TIME, "TIME", "not younger", NULL, false},                           \
    {                                                                                              \
        "field", 'F', OPTION_TEXT, "NAME=VALUE",                                                   \
            "a field by its Sigma or schema name; also !=, <, > and * in VALUE", NULL, true        \
    }

#define FILTER_MAX 16 // of each condition

enum filter_compare { FILTER_IS, FILTER_IS_NOT, FILTER_LESS, FILTER_MORE };

struct filter_field {
    struct str name, value;
    enum filter_compare compare;
    int64_t number; // of value, for < and >
};

struct filter {
    uint64_t since_ns, until_ns; // 0: no limit
    struct str images[FILTER_MAX], lineages[FILTER_MAX], kinds[FILTER_MAX], levels[FILTER_MAX],
        rules[FILTER_MAX];
    size_t n_images, n_lineages, n_kinds, n_levels, n_rules;
    struct filter_field fields[FILTER_MAX];
    size_t n_fields;
};

// "NAME=VALUE" and its kin; views into text. -EINVAL with e: no comparison, unknown field (the nearest is offered), a
// value that is no number after < or >.
int filter_parse_field(struct str text, struct filter_field *ret, struct error *e);
// From parsed options; those of the table that are absent from the command's are not asked for. Views into args.
int filter_parse(const struct args *args, struct filter *ret, struct error *e);

bool filter_event(const struct filter *f, const Tiercel__Event *event, struct arena *arena);
// By its rule, its level and any of its events.
bool filter_detection(const struct filter *f, const Tiercel__Detection *d, struct arena *arena);
// Whole string, without ASCII case; * is any number of bytes, ? one byte.
bool glob_match(struct str pattern, struct str text);
