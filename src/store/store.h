// SPDX-License-Identifier: Apache-2.0
// The hub's store of one client: FOLDER/events/%012llu.seg hold the agents' records byte for byte, interleaved by host;
// FOLDER/state.db (SQLite) is the catalogue over them. The files are the truth: the catalogue never runs ahead of what
// is durable in them, and store_open() catches it up from their tail. No SQL and no file layout outside this folder, so
// that a second backend can take its place. One writer per folder (a lock says so), any number of readers; no threads.
// Order of work: store_append() some groups, store_commit(), and only then acknowledge. A failed commit acknowledges
// nothing: what is sent again is recognised (STORE_KNOWN).
#pragma once
#include "base/error.h"
#include "base/str.h"
#include "event/segment.h"

#define STORE_FILE_BYTES ((uint64_t)64 << 20) // a file is closed after the append that reaches it
#define STORE_HOSTS_MAX 65536                 // of one client; records of more are refused

struct store;

struct store_options {
    uint64_t file_bytes; // 0: STORE_FILE_BYTES
};

struct store_opened { // what recovery found
    uint64_t records; // read again, because the catalogue did not have them
    uint64_t cut;     // bytes of a torn record at the end, cut off; they were never acknowledged
    bool rebuilt;     // the catalogue was gone or ahead of the files: made anew from all of them
    uint64_t damaged_file,
        damaged_at; // file number (0: none) and byte from which a file is not read
};

// Makes what is missing of the folder (which must exist). 0; -EBUSY: another process writes here; -EBADMSG: the
// catalogue is damaged (e: the way out); errors of the file system. ret_opened may be NULL.
int store_open(const char *folder, const struct store_options *options, struct store **ret,
               struct store_opened *ret_opened, struct error *e);
struct store *store_close(struct store *s); // does not commit

// ---- ingest

enum store_result {
    STORE_NEW, // taken; follows the host's record before
    STORE_GAP, // taken; records before it never came: a row of the gaps
    STORE_RESTARTED, // taken; the host's journal is another one now (made anew, or cut back by a power loss): a row too
    STORE_KNOWN,   // not taken: it is there already
    STORE_DAMAGED, // not taken: `why` says what is wrong with it
};

struct store_record {
    struct str bytes;            // header and body, borrowed during store_append()
    const uint8_t *host;         // 16 bytes that it must be of (the certificate's), or NULL
    const Tiercel__Batch *batch; // unpacked already by the caller, or NULL: then the store does it
    enum store_result result;    // these three are the answer
    struct segment_info info;    // its hash included; not of damaged ones
    char why[96];
};

// Cuts a body of records one after another into at most `max`. How many; -EBADMSG: bytes at the end or between them
// are no record (those before are in ret, their number in *ret_good); -E2BIG: more than max.
ssize_t store_split(struct str body, struct store_record *ret, size_t max, size_t *ret_good,
                    struct error *e);

// Appends a group of records, of any number of hosts, with one write; each host's in their order. 0: every record has
// its result. Negative (-ENOSPC, -EIO, -ENOMEM ...): nothing of the group was taken, results say nothing. now_ns is the
// hub's clock: what retention goes by. After -EIO the store takes nothing any more: close and open it again.
int store_append(struct store *s, struct store_record *records, size_t n, uint64_t now_ns,
                 struct error *e);
// Makes durable what was appended (fdatasync), then the catalogue and the notes in one transaction.
int store_commit(struct store *s, struct error *e);

struct store_chain {       // where a host's chain ends
    uint64_t next;         // sequence of the record that is wanted; 0 of a host that never sent
    uint8_t last[32];      // hash of the last one; zero without one
    uint64_t to_ns, at_ns; // newest time in it, and when it came by the hub's clock
};
void store_next(const struct store *s, const uint8_t host[16], struct store_chain *ret);
// Each host that ever sent; from *position 0. False at the end.
bool store_host_each(const struct store *s, size_t *position, uint8_t ret_host[16],
                     struct store_chain *ret);

struct store_gap {
    uint8_t host[16];
    uint64_t from,
        to; // sequences that never came; of a restarted chain: the one that it restarted with, twice
    bool restarted;
    uint64_t from_ns,
        to_ns; // the time that is not covered: end of what came before, begin of what came after
    uint64_t found_ns; // hub's clock
};
// Gaps of a host (NULL: of all) that touch the time range (0: no limit), oldest found first. each() returns 0 to go on.
int store_gaps(struct store *s, const uint8_t *host, uint64_t from_ns, uint64_t to_ns,
               int (*each)(void *context, const struct store_gap *gap), void *context,
               struct error *e);

// ---- values by which whole files are passed over

enum store_key_type { STORE_HASH, STORE_ADDRESS, STORE_DOMAIN, STORE_PATH };
// STORE_HASH: 32 bytes of a SHA-256. STORE_ADDRESS: 4 or 16 bytes. STORE_DOMAIN: a whole name, case and a dot at its end
// do not matter. STORE_PATH: of an executable.
uint64_t store_key(enum store_key_type type, struct str value);
// Is one of them a value of this event? By 64 bits of hash.
bool store_event_has(const Tiercel__Event *event, const uint64_t *keys, size_t n);

// ---- reading

struct store_filter {
    uint64_t from_ns, to_ns; // 0: no limit
    const uint8_t (*hosts)[16];
    size_t n_hosts;       // 0: all
    uint64_t kinds;       // bits as in struct segment_info; a batch with one of them; 0: all
    const uint64_t *keys; // a file that may have one of them; for batches nothing is known
    size_t n_keys;        // 0: all
    bool detections;      // only batches with detections
    bool (*skip)(void *context, const struct segment_info *info); // a batch, by its header; NULL
    void *skip_context;
};

struct store_walk_counts {
    uint64_t files, files_skipped; // skipped: by the catalogue, without being opened
    uint64_t batches, batches_skipped, events_skipped;
    uint64_t bytes;      // of all files together
    uint64_t bytes_done; // of them: read or passed over
    uint64_t damaged;    // files with a part that cannot be read
};

struct store_walk;
// Over a client's folder, a folder of segments (an agent's journal) or one segment file: the catalogue is used where
// there is one. Nothing is changed. -ENOENT: no segments there.
int store_walk_new(const char *path, const struct store_filter *filter, struct store_walk **ret,
                   struct error *e);
struct store_walk *store_walk_free(struct store_walk *w);
// The next record that passes, in the order of writing; its body's check has been made. 1; 0: the end; negative errno.
// A damaged place ends its file: counted, and e says where, once, with the return 2 (go on calling).
int store_walk_next(struct store_walk *w, struct segment_info *ret_info, struct str *ret_record,
                    struct error *e);
const struct store_walk_counts *store_walk_counts(const struct store_walk *w);

// ---- keeping and proving

struct store_totals {
    uint64_t files, bytes, batches, events, hosts, gaps;
    uint64_t oldest_ns, newest_ns; // in the events
};
void store_totals(const struct store *s, struct store_totals *ret);

// Retention never deletes a file that has this host's data of this time: evidence of an attempt. In the next commit.
int store_keep(struct store *s, const uint8_t host[16], uint64_t from_ns, uint64_t to_ns,
               struct error *e);
// Deletes closed files, oldest first: those written before `before_ns` (hub's clock; 0: none) and those over max_bytes
// in total (0: no limit). Kept ones stay, and the newest closed one. Commits.
int store_retain(struct store *s, uint64_t before_ns, uint64_t max_bytes, uint64_t *ret_files,
                 struct error *e);

struct store_verified {
    uint64_t files, batches, hosts, gaps;
};
// Proves every record, every host's chain (up to the gaps that are recorded), every closed file's SHA-256 and the chain
// of files. 0; -EBADMSG with the first broken place in e (file, byte, host). Reads all; writes nothing.
int store_verify(const char *folder, struct store_verified *ret, struct error *e);

// ---- what else the hub keeps about a client: small values by kind and key

// Durable with the next commit; 1 MiB at most. An empty value deletes.
int store_note_put(struct store *s, const char *kind, struct str key, struct str value,
                   struct error *e);
// In the order of keys, those not yet committed included. each() returns 0 to go on; its views die with the call.
int store_note_each(struct store *s, const char *kind,
                    int (*each)(void *context, struct str key, struct str value), void *context,
                    struct error *e);
