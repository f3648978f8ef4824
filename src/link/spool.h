// SPDX-License-Identifier: Apache-2.0
// The spool is the journal itself, read for the hub: records byte for byte in the order of their chain, from any place on,
// while the engine appends, begins new files and the parent deletes old ones. What cannot be had any more (deleted,
// damaged, too large to be sent) is left out and counted. Nothing is handed out that a power cut could take back: the
// hub must never know more of a chain than its host, so files are synced before.
// Memory: one record. Owner: the caller; one thread.
#pragma once
#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPOOL_RECORD_MAX ((size_t)4 << 20) // what a hub takes in one request
#define SPOOL_RECORDS_MAX 2048u            // of one part; a hub takes 4,096

struct spool_source { // where files come from: a folder, or a parent that opens them for us
    void *context;
    // The journal's first file whose number is `from` or higher, for reading: descriptor, owned by the spool. -ENOENT:
    // there is none (yet).
    int (*open)(void *context, uint64_t from, uint64_t *ret_number);
};
// For a folder that we may read: `context` points to its descriptor.
int spool_folder_open(void *context, uint64_t from, uint64_t *ret_number);

struct spool_counts { // since spool_new()
    uint64_t missing; // records that the sequence has and we have not; the following are among them
    uint64_t damaged; // places where a file could not be read on
    uint64_t too_large;
};
struct spool;
int spool_new(const struct spool_source *source, size_t record_max, struct spool **ret);
struct spool *spool_free(struct spool *s);
const struct spool_counts *spool_counts(const struct spool *s);
uint64_t spool_file(const struct spool *s); // number of the file that is being read; 0 none yet

enum spool_place {
    SPOOL_SAME,    // our record next - 1 is the one that the hub has (or the hub has none)
    SPOOL_UNKNOWN, // we do not have it any more: the hub was away for long
    SPOOL_OTHER, // we have another record of this number: the hub knows another journal of this host
    SPOOL_SHORT, // our journal ends before it: likewise, or the newest records were lost
};
// Goes on with record `next`; `last` is the hash of the one before (NULL when next is 0). Returns enum spool_place or
// negative errno. Reads headers only, of one file and the first of each.
int spool_seek(struct spool *s, uint64_t next, const uint8_t last[32], struct error *e);

struct spool_part {
    size_t bytes;
    uint64_t first, next; // sequence of the first record and of the one after the last
    uint64_t missing;     // records that should have come before or between these
    uint64_t events;      // with detections, verdicts and losses
    uint64_t to_ns;       // newest time in it
    uint32_t records;
    bool more;        // there was another that did not fit any more
    uint8_t last[32]; // hash of the last record
};
// Whole records into p, which has room for record_max bytes at least: until the next would go over `bytes` or `events`
// (the first is always taken). 1 some; 0 nothing yet; negative errno: nothing was taken, call spool_seek() first.
int spool_read(struct spool *s, void *p, size_t bytes, uint64_t events, struct spool_part *ret,
               struct error *e);
