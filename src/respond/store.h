// SPDX-License-Identifier: Apache-2.0
// The response journal, STATE/responses/journal: fixed records with a checksum each, room for 1,024 allocated ahead (a
// full disk must not forbid a response). A record is on disk before what it announces is done, and again when it is
// through; the last record of an id counts. A torn last record is none. Finished ones beyond 256 go when it is rewritten.
// Respond is the only writer; the command line reads it.
#pragma once
#include "base/error.h"
#include "link/response.h"
#include <stddef.h>

#define STORE_SLOTS 1024u
#define STORE_ACTIVE_MAX 512u // unfinished or in force
#define STORE_FINISHED_KEPT 256u
#define STORE_MEMBERS 32

struct response {
    uint64_t check; // over all that follows
    uint32_t magic, version;
    uint64_t id, time_ns, expires_ns; // wall clock; expires 0: does not
    uint32_t state;                   // enum response_state
    int32_t code;
    uint32_t ends_as; // while UNDOING: UNDONE or EXPIRED
    uint32_t killed, gone, refused;
    uint32_t n_members, unused;
    struct {
        uint32_t pid, unused;
        uint64_t start_ns;
    } members[STORE_MEMBERS]; // of a contained lineage, so that it is found again after a restart
    struct response_order order;
    char what[400];
    char boot[40]; // the kernel's boot_id: a pid means nothing in another
    uint8_t room[88];
};
_Static_assert(sizeof(struct response) <= 4096, "one slot");
#define STORE_SLOT 4096

struct store {
    int folder, fd; // STATE/responses
    struct response *list;
    size_t n, cap;
    size_t slots; // used in the file
    uint64_t last_id;
    uint64_t damaged; // records that could not be used
};

// Text of a journal: the last record of each id, oldest first. For respond, the command line and the fuzzer.
int store_parse(const void *bytes, size_t n, struct store *ret);
int store_read(const char *state, struct store *ret,
               struct error *e); // read only; -ENOENT: none yet
// Makes folder and file where they are missing.
int store_load(const char *state, struct store *ret, struct error *e);
void store_done(struct store *s);

struct response *store_find(struct store *s, uint64_t id);
bool store_active(const struct response *r); // planned, in force, or being undone
size_t store_n_active(const struct store *s);
// A new one, PLANNED, with the next id; not on disk yet. NULL: too many are in force.
struct response *store_new(struct store *s);
int store_write(struct store *s, struct response *r); // on disk when it returns 0
