// SPDX-License-Identifier: Apache-2.0
// STIX 2.0 and 2.1 bundles into the knowledge store, read as a stream: one object is in memory at a time, each is judged
// by itself, what is wrong with one is reported and the next is read. The same feed twice changes nothing; what was cut
// short goes on where it stopped. To take a further type of object: a line in types[] of import.c.
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "store/knowledge.h"

#define IMPORT_OBJECT_MAX (1u << 20)         // bytes of one object
#define IMPORT_DEPTH_MAX 64                  // of one object
#define IMPORT_BYTES_MAX (UINT64_C(4) << 30) // unpacked, of one feed
#define IMPORT_DOMAIN_MAX 253                // bytes of a domain name

struct import {
    struct knowledge *knowledge;
    int64_t source;
    uint64_t now; // seconds since 1970
    uint64_t counts[KNOWLEDGE_PUTS];
    uint64_t unused, refused, objects, bytes; // of a type that is not kept; wrong
    void (*problem)(void *context, uint64_t number, struct str id, const char *why);
    void *context;
    struct arena arena; // of one object
    // The stream.
    enum { IMPORT_HEAD, IMPORT_COLON, IMPORT_LIST, IMPORT_OBJECT, IMPORT_END } state;
    struct buf object;
    uint64_t depth;
    bool quoted, escaped, too_big, too_deep;
    struct buf word; // last string of the bundle's own level
};

void import_begin(struct import *i);
void import_done(struct import *i);
// A next piece of the bundle. 0, -EFBIG over IMPORT_BYTES_MAX, or the store's error.
int import_feed(struct import *i, struct str piece, struct error *e);
int import_end(struct import *i, struct error *e); // commits; -EINVAL: no bundle, or cut short
int import_file(struct import *i, const char *path, struct error *e); // plain or gzip
