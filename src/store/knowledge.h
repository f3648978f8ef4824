// SPDX-License-Identifier: Apache-2.0
// What is known of adversaries, kept over years: one SQLite file. Rows are only ever added: a changed object is a further
// row of the same id and source, so a view of any version or date can be read again. The version is the number of the
// last row. Two sources that say the same thing stay two; nobody's object replaces somebody else's. One object is written
// whole or not at all. To add a kind: enum knowledge_kind, its name in knowledge_kind_name(), its STIX types in
// intel/import.c.
#pragma once
#include "base/error.h"
#include "base/str.h"

#define KNOWLEDGE_ALIASES_MAX 256  // of one object
#define KNOWLEDGE_ORIGINS_MAX 512  // of one object
#define KNOWLEDGE_VERSIONS_MAX 999 // of one object of one source
#define KNOWLEDGE_NAME_MAX 512     // bytes
#define KNOWLEDGE_TEXT_MAX 65536   // bytes of a description

enum knowledge_kind {
    KNOWLEDGE_GROUP,   // a named group
    KNOWLEDGE_CLUSTER, // activity that belongs together, not yet a group
    KNOWLEDGE_SPONSOR, // said by a person, never imported
    KNOWLEDGE_SOFTWARE,
    KNOWLEDGE_TECHNIQUE,
    KNOWLEDGE_INFRASTRUCTURE,
    KNOWLEDGE_INDICATOR,
    KNOWLEDGE_REPORT,
    KNOWLEDGE_LINK, // from, verb, to
    KNOWLEDGE_KINDS
};
const char *knowledge_kind_name(enum knowledge_kind kind);

struct knowledge;
struct knowledge_object {
    enum knowledge_kind kind;
    struct str id, code, name; // code: what people use, such as G0009; may be empty
    struct str text;           // description, or a pattern
    struct str from, verb, to; // of a link
    struct str modified;       // as the source wrote it; empty: it keeps no versions
    struct str tenure;         // of infrastructure: owned, dedicated, shared, cdn; empty: not said
    uint32_t created, changed; // 20151019; 0: not said
    uint32_t valid_from, valid_until;    // 20151019; 0: open
    int grade;                           // 0-100 as the source says; -1: not said
    bool gone;                           // revoked or deprecated
    uint64_t hash;                       // of the whole object
    const struct str *aliases, *origins; // origins: reports that it rests on
    size_t n_aliases, n_origins;
};

enum knowledge_put {
    KNOWLEDGE_NEW,
    KNOWLEDGE_CHANGED,
    KNOWLEDGE_SAME,
    KNOWLEDGE_OLDER, // than what is held
    KNOWLEDGE_PUTS
};

// What was known: rows up to `version` (0: all) whose source dates them up to `at` (0: all).
struct knowledge_view {
    uint64_t version;
    uint32_t at;
};

struct knowledge_row { // views that die with the call
    enum knowledge_kind kind;
    struct str id, code, name, text, verb, tenure, source, reliability;
    uint32_t dated, valid_from, valid_until;
    uint64_t origins; // different reports; the same one through ten sources is one
    int grade;
};
typedef int (*knowledge_each)(void *context, const struct knowledge_row *row); // 0: go on

int knowledge_open(const char *file, bool create, struct knowledge **ret, struct error *e);
struct knowledge *knowledge_close(struct knowledge *k); // what was not committed is gone
int64_t knowledge_version(struct knowledge *k, struct error *e);
// reliability: A to F of the Admiralty scale, or empty. The last one given is in force.
int knowledge_source(struct knowledge *k, struct str name, struct str reliability, uint64_t now,
                     int64_t *ret, struct error *e);
// enum knowledge_put, or negative errno: -ENOSPC over a limit. Commits by itself every so many objects.
int knowledge_put(struct knowledge *k, int64_t source, uint64_t now,
                  const struct knowledge_object *o, struct error *e);
int knowledge_commit(struct knowledge *k, struct error *e);

// Objects with this name, alias, code, id or value; of one kind, or of all with KNOWLEDGE_KINDS.
int knowledge_find(struct knowledge *k, struct str name, enum knowledge_kind kind,
                   const struct knowledge_view *view, knowledge_each each, void *context,
                   struct error *e);
// By name, at most `limit`; part: only those whose name has it, NULL bytes for all.
int knowledge_list(struct knowledge *k, enum knowledge_kind kind, struct str part, unsigned limit,
                   const struct knowledge_view *view, knowledge_each each, void *context,
                   struct error *e);
// What the object points to (or, backwards, what points to it): row->verb is the link's, dates are the link's.
int knowledge_links(struct knowledge *k, struct str id, bool backwards,
                    const struct knowledge_view *view, knowledge_each each, void *context,
                    struct error *e);
// Names that sources claim for the object: name, source, reliability, grade.
int knowledge_aliases(struct knowledge *k, struct str id, const struct knowledge_view *view,
                      knowledge_each each, void *context, struct error *e);
// Other adversaries for whom some source uses one of its names: text is that name.
int knowledge_namesakes(struct knowledge *k, struct str id, const struct knowledge_view *view,
                        knowledge_each each, void *context, struct error *e);
