// SPDX-License-Identifier: Apache-2.0
// Borrowed byte strings. A str does not own its bytes, may hold any byte including NUL, and dies with the memory it
// points into. Host data (paths, argv) is bytes, not UTF-8.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

struct str {
    const char *p; // may be NULL when n is 0
    size_t n;      // bytes
};

#define STR(literal) ((struct str){("" literal), sizeof(literal) - 1})
#define STR_NONE ((struct str){NULL, 0})
#define STR_FMT "%.*s" // for printf: STR_FMT with STR_ARG(s); bytes are printed as they are
#define STR_ARG(s) (int)(s).n, ((s).p ? (s).p : "")

static inline struct str str_from(const char *cstring)
{
    return (struct str){cstring, cstring ? strlen(cstring) : 0};
}

static inline struct str str_bytes(const void *p, size_t n)
{
    return (struct str){p, n};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

// ASCII case only.
bool str_eq_nocase(struct str a, struct str b);

// Position of the first needle in s, or -1.
ssize_t str_find(struct str s, struct str needle);

// The last component of a path: "/usr/bin/id" gives "id".
struct str str_basename(struct str path);

// Cuts the next piece off *rest at the separator; false when nothing is left. An empty piece is returned as such.
bool str_split(struct str *rest, char separator, struct str *ret_piece);

struct str str_trim(struct str s); // without ASCII white space at both ends

// Decimal, whole string. 0, -EINVAL or -ERANGE.
int str_to_u64(struct str s, uint64_t *ret);
int str_to_i64(struct str s, int64_t *ret);
