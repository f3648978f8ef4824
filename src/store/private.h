// SPDX-License-Identifier: Apache-2.0
// Inside store/: chain.c (one host's chain), keys.c (values and bloom filters), scan.c (records of a file, nothing of
// which is believed), catalogue.c (all SQL), recover.c (open), append.c (ingest), walk.c, verify.c, retain.c.
#pragma once
#include "base/buf.h"
#include "base/map.h"
#include "event/segment_record.h"
#include "store/store.h"

#include <openssl/evp.h>

// ---- chain.c

#define CHAIN_RECENT                                                                               \
    16 // hashes remembered, to tell a record that is known from one that took its number

struct chain {
    bool any;
    uint64_t next, first_sequence, to_ns, at_ns;
    uint8_t last[32], first[32];
    uint8_t recent[CHAIN_RECENT][32]; // by sequence; not in the catalogue
    unsigned n_recent;                // those right before recent_next
    uint64_t recent_next;             // `next`, once what the catalogue had has been read again
};

struct gap_row {
    struct store_gap gap;
    uint8_t resumed[32]; // hash of the record after it
    uint64_t file;       // that has that record
};

// The next record of a host. Taken ones move the chain on; GAP and RESTARTED fill *ret_gap but its found_ns.
enum store_result chain_step(struct chain *c, const struct segment_info *info,
                             struct gap_row *ret_gap);
// A record that the chain is past already, read again: remembers its hash.
void chain_remember(struct chain *c, const struct segment_info *info);

struct host {
    uint8_t id[16];
    uint64_t in_file; // number of the last file that has it
    bool dirty;       // the catalogue does not have its chain
    struct chain chain;
};
// NULL with errno ENOSPC or ENOMEM.
struct host *host_get(struct map *hosts, const uint8_t id[16]);
void hosts_done(struct map *hosts);

// ---- keys.c: distinct values of a file, then a bloom filter sized by their number

#define KEYS_MAX ((size_t)1 << 20) // of a file; one with more has no filter and is always read

struct keys {
    uint64_t *slots; // open addressing; 0 is free
    size_t n, cap;
    bool over; // more than KEYS_MAX, or no memory: nothing can be said
    const uint64_t
        *wanted; // not NULL: nothing is kept, only looked whether one of these n is there
    bool found;
};
void keys_done(struct keys *k);
void keys_reset(struct keys *k);
void keys_add(struct keys *k, uint64_t key);
void keys_add_batch(struct keys *k, const Tiercel__Batch *batch);
// 0 with an empty *ret when nothing can be said.
int keys_bloom(const struct keys *k, struct buf *ret);
bool bloom_may_have(struct str bloom, uint64_t key); // true of an empty one

// ---- scan.c

struct scan {
    int fd;          // borrowed
    uint64_t offset; // of the next record; after damage, where it is
    uint64_t end;    // not read beyond
    bool torn;       // the damage is that bytes are missing
    uint64_t at;     // what of the file is in window
    struct buf window;
};
void scan_init(struct scan *s, int fd, uint64_t end);
void scan_done(struct scan *s);
// 1: a record by its header, the body not yet looked at; 0: the end; -EBADMSG: damaged or torn at s->offset; others.
// Take it with scan_take() or pass over it with scan_pass().
int scan_head(struct scan *s, struct segment_info *ret, struct error *e);
int scan_take(struct scan *s, const struct segment_info *info, struct str *ret, struct error *e);
void scan_pass(struct scan *s, const struct segment_info *info);
// Is a whole good record anywhere behind the damage?
bool scan_good_behind(struct scan *s, struct segment_opener *opener);

// ---- catalogue.c

struct file {
    uint64_t number, size, batches, events, from_ns, to_ns, kinds, written_ns;
    uint64_t damaged_at; // 0: whole; not read from there
    bool closed, kept;
    bool dropped; // by retention, still on the disk
    uint8_t sha256[32],
        chain[32]; // of `size` bytes; SHA-256 over the chain of the file before and sha256
};

struct files {
    struct file *items;
    size_t n, cap;
};
int files_add(struct files *files, const struct file *file); // 0 or -ENOMEM

struct catalogue;
int catalogue_open(const char *folder, bool read_only, struct catalogue **ret, struct error *e);
struct catalogue *catalogue_close(struct catalogue *c); // what was not committed is gone
// Changes begin a transaction by themselves.
int catalogue_commit(struct catalogue *c, struct error *e);
int catalogue_snapshot(struct catalogue *c,
                       struct error *e); // what is read from now on is of one moment
int catalogue_load_files(struct catalogue *c, struct files *ret, struct error *e);
int catalogue_load_hosts(struct catalogue *c, struct map *hosts, struct error *e);
int catalogue_put_file(struct catalogue *c, const struct file *file, struct error *e);
int catalogue_put_closed(struct catalogue *c, uint64_t number, struct str hosts, struct str bloom,
                         struct error *e);
int catalogue_drop_file(struct catalogue *c, uint64_t number, struct error *e);
int catalogue_put_host(struct catalogue *c, const struct host *host, struct error *e);
int catalogue_clear_hosts(struct catalogue *c, struct error *e);
int catalogue_put_gap(struct catalogue *c, const struct gap_row *row, struct error *e);
int catalogue_drop_gaps(struct catalogue *c, uint64_t first_file, struct error *e); // those before
int catalogue_has_gap(struct catalogue *c, const uint8_t host[16], const uint8_t resumed[32],
                      struct error *e); // 1, 0
int catalogue_count_gaps(struct catalogue *c, uint64_t *ret);
// May a closed file have what the filter asks for, by its hosts and its bloom filter? 1, 0.
int catalogue_may_have(struct catalogue *c, uint64_t number, const struct store_filter *filter,
                       struct error *e);

#define CATALOGUE_CELLS 8
struct catalogue_cell {
    struct str bytes; // p NULL: a number
    uint64_t number;
};
// Other statements of this folder. row() returns 0 to go on; what else it returns is returned.
int catalogue_ask(struct catalogue *c, const char *sql, const struct catalogue_cell *values, int n,
                  int (*row)(void *context, const struct catalogue_cell *cells), void *context,
                  struct error *e);
int catalogue_change(struct catalogue *c, const char *sql, const struct catalogue_cell *values,
                     int n, struct error *e);

// ---- the open store

struct tail { // the file that is written to
    int fd;   // -1: none yet
    struct file file;
    EVP_MD_CTX *sha;
    struct keys keys;
    struct buf hosts; // 16 bytes each
    bool dirty;       // written since the last fdatasync
};

struct store {
    char *folder;
    int events_fd; // locked
    uint64_t file_bytes;
    bool broken;   // a failed write, or one whose outcome is not known
    bool unlisted; // durable, but not in the catalogue
    struct catalogue *catalogue;
    struct files files; // closed ones, ascending
    struct tail tail;
    struct map hosts;
    struct buf gaps; // struct gap_row, not yet in the catalogue
    uint64_t n_gaps;
    struct segment_opener *opener;
    EVP_MD *md;
    struct buf iov, touched, found, taken; // of one append
};

// attempts_keep.c: marks what attempts.db says is evidence; seals what rests on data that go. Nothing without that file.
int keep_attempts(struct store *s, struct error *e);
int seal_attempts(struct store *s, uint64_t before_ns, struct error *e);

int tail_begin(struct store *s, uint64_t number, bool fresh, struct error *e);
// A record that is in the tail now: counts, hash and filter.
int tail_count(struct store *s, const struct segment_info *info, struct host *host,
               struct str bytes, const Tiercel__Batch *batch);
// Closes it: into s->files and the catalogue's transaction.
int tail_close(struct store *s, struct error *e);
int recover(struct store *s, struct store_opened *ret, struct error *e);
int store_flush(struct store *s,
                struct error *e); // what store_commit() does, without a look at `broken`

int sha256_of(EVP_MD *md, const void *a, size_t n, const void *b, size_t m, uint8_t ret[32]);
int open_file(int events_fd, uint64_t number, int flags); // descriptor or negative errno
