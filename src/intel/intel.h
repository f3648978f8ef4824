// SPDX-License-Identifier: Apache-2.0
// What is known of adversaries: names, the values (techniques, software, hosts, domains, networks) that a source ties to
// them, since when, and the source of each fact. Held in memory; everything belongs to the struct intel until intel_done.
// Loaded from STIX 2.0/2.1 bundles and from case files (JSON lines), plain or gzip. Input is hostile: files, objects and
// tables have limits, an object that is not understood is counted and skipped.
// To add a kind of value: a name in enum intel_kind, its key in intel_value_add, its weight in attribute/score.c.
#pragma once
#include "base/arena.h"
#include "base/error.h"
#include "base/map.h"

#define INTEL_FILE_MAX (256u << 20)  // bytes, unpacked
#define INTEL_OBJECT_MAX (1u << 20)  // bytes of one STIX object or one case
#define INTEL_FACTS_MAX 4000000u     // facts in all
#define INTEL_ADVERSARIES_MAX 20000u // named groups and clusters
#define INTEL_NONE UINT32_MAX

enum intel_kind {
    INTEL_TECHNIQUE,
    INTEL_PARENT, // of a technique; derived
    INTEL_SOFTWARE,
    INTEL_HOST,    // an address or a full name
    INTEL_DOMAIN,  // the name that was registered; derived
    INTEL_NETWORK, // an IPv4 /24; derived
    INTEL_KINDS
};

struct intel_fact {
    uint32_t adversary;
    uint32_t since;  // 20231130; 0: not dated
    uint32_t source; // the case it came from, counted from 1; 0: a bundle
};

struct intel_value {
    enum intel_kind kind;
    struct str key;
    uint32_t number; // place in intel.values
    struct intel_fact *facts;
    uint32_t n, cap;
};

struct intel_adversary {
    struct str id, name;
    uint32_t number;
};

struct intel_case {
    struct str id;
    uint32_t published; // 20231130; 0: not dated
    uint32_t source;    // from 1
    uint32_t *answers;  // adversaries that are right; several where the source does not decide
    uint32_t n_answers;
    struct str *references;
    uint32_t n_references;
    struct intel_value **values;
    uint32_t n_values;
};

struct intel {
    struct arena arena;
    struct map names;    // folded name or id to struct intel_adversary
    struct map software; // folded name or id to its key (struct str)
    struct map by_key;   // kind and key to struct intel_value
    struct intel_adversary **adversaries;
    struct intel_value **values;
    struct intel_case **cases;
    uint32_t n_adversaries, n_values, n_cases;
    uint64_t n_facts;
    uint64_t skipped; // objects and cases that were not understood or went over a limit
    uint64_t version; // of all that was loaded, in order
};

int intel_init(struct intel *k); // 0 or -ENOMEM
void intel_done(struct intel *k);
// One STIX bundle. 0, or -EINVAL when it is no bundle, -EFBIG over a limit; what was read until then stays.
int intel_load_bundle(struct intel *k, struct str text, struct error *e);
// Case lines. Their actors become known; their values become facts only when `learn`.
int intel_load_cases(struct intel *k, struct str text, bool learn, struct error *e);
// A file of either kind, plain or gzip.
int intel_load_file(struct intel *k, const char *path, bool learn, struct error *e);
struct intel_adversary *intel_adversary(struct intel *k, struct str name); // NULL when unknown
// The value, made when new; NULL at a limit or when the text can't be such a value.
struct intel_value *intel_value(struct intel *k, enum intel_kind kind, struct str text);
// What follows from a value and is looked up with it: parent, domain or network. NULL when nothing does.
struct intel_value *intel_derived(struct intel *k, const struct intel_value *v);
struct intel_adversary *intel_adversary_add(struct intel *k, struct str id, struct str name);
int intel_alias_add(struct intel *k, struct map *table, struct str name, void *value);
int intel_fact_add(struct intel *k, uint32_t adversary, struct intel_value *v, uint32_t since,
                   uint32_t source);
uint32_t intel_date(const char *text); // "2023-11-30..." to 20231130; 0 when it is no date
