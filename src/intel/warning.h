// SPDX-License-Identifier: Apache-2.0
// Warninglists in MISP's form: values that many legitimate parties use (public resolvers, content networks, private
// ranges), so that no feed can have them blocked. Types cidr, string, hostname and substring; a list of another type is
// counted in `unused`. A look costs a few hash lookups, however many entries there are, and one search a substring.
#pragma once
#include "base/arena.h"
#include "base/error.h"
#include "base/map.h"

#define WARNING_FILE_MAX (64u << 20)
#define WARNING_ENTRIES_MAX (1u << 21)
#define WARNING_SUBSTRINGS_MAX 1024

struct warning {
    struct arena arena;
    struct map entries;   // to the name of the list
    bool lengths[2][129]; // prefix lengths that occur, of IPv4 and IPv6
    struct {
        struct str text, list;
    } substrings[WARNING_SUBSTRINGS_MAX];
    unsigned n_substrings;
    uint64_t lists, unused, refused; // refused: entries that are wrong or over a limit
};

int warning_init(struct warning *w);
void warning_done(struct warning *w);
int warning_load(struct warning *w, const char *text, size_t n, struct error *e); // one list
// A file, or every *.json of a folder.
int warning_load_path(struct warning *w, const char *path, struct error *e);
// The name of a list that has the address, domain name, URL or other text; STR_NONE when none has.
struct str warning_find(const struct warning *w, struct str value);
