// SPDX-License-Identifier: Apache-2.0
// Segments: append-only files of compressed batches, each with the hash of the one before. The agent's journal, the
// hub's archive and replay files are all this. A clear header before each batch says what is in it, so that most are
// never decompressed. A torn last batch (power cut, kill -9) is recognised by its checksum, reported and cut off;
// everything before it stands. The layout is in segment_format.h, the folder of files in journal.c.
// The chain shows changes to whoever kept a later hash elsewhere (the hub does); alone it stops no one who may rewrite
// the whole folder.
#pragma once
#include "base/arena.h"
#include "base/env.h"
#include "base/error.h"
#include "tiercel.pb-c.h"

#define SEGMENT_BATCH_LIMIT ((size_t)16 << 20) // bytes of one unpacked batch

struct segment_info { // the clear header
    uint64_t sequence;
    uint64_t from_ns, to_ns; // of all that is in it; 0 and 0 when nothing has a time
    uint64_t kinds; // bit k: it has events of kind number k of schema/tiercel.proto (k below 64)
    uint8_t host[16];
    uint32_t n_events, n_detections, n_verdicts, n_losses;
    uint32_t packed, compressed; // bytes
    uint8_t previous[32];        // hash of the batch before; zero in the first ever
    uint8_t hash
        [32]; // SHA-256 over header and body of this one; zero in `skip`, which comes before the body is read
};

struct segment_work; // buffers and zstd's state

struct segment_writer {
    int fd;            // opened by somebody else, append-only; owned
    uint64_t size;     // bytes so far
    uint8_t last[32];  // hash of the last batch written
    uint64_t sequence; // of the next batch
    bool broken;       // a failed write could not be cut off: take a new file
    struct segment_work *work;
};

// Continue a chain: `last` and `sequence` come from the segment before (zero and 0 for the first ever). Needs the system
// calls fstat, write, ftruncate and fdatasync, and memory. On failure the descriptor stays the caller's.
int segment_writer_init(struct segment_writer *w, int fd, const uint8_t last[32],
                        uint64_t sequence);
void segment_writer_done(struct segment_writer *w);
// Sets batch->sequence, and widens its time range to all that is in it. Written with one call; durable after segment_sync().
// 0; -E2BIG over SEGMENT_BATCH_LIMIT; -EINVAL when something required is missing (a process without id); -ENOSPC and others from write(2): then the file is cut back to where it was;
// -EIO when even that fails, and from then on.
int segment_append(struct segment_writer *w, Tiercel__Batch *batch);
int segment_sync(struct segment_writer *w);

struct segment_reader; // over a file descriptor, which stays the caller's
int segment_reader_new(int fd, struct segment_reader **ret);
struct segment_reader *segment_reader_free(struct segment_reader *r);
// 1: a batch; 0: the end, or a batch that is not all there yet (try again later for a file that grows; compare
// segment_offset() with the file's size to tell); -EBADMSG: damaged here, e says where and how many bytes are lost, and
// every later call says the same; -ENOTSUP: written by a newer version; -ENOMEM, -EFBIG and what pread(2) gives.
// *ret lives until the next call, do not free it. `skip` may refuse a batch by its header alone (true: skip it).
// Batches that are read one after another are also checked to be one chain.
int segment_next(struct segment_reader *r,
                 bool (*skip)(void *context, const struct segment_info *info), void *context,
                 struct segment_info *ret_info, Tiercel__Batch **ret, struct error *e);
uint64_t segment_offset(const struct segment_reader *r); // end of the last good batch

// ---- Journal folder: files "%012llu.seg", numbered without gaps from 1. The oldest may have been deleted.

size_t journal_name(uint64_t number, char ret[32]);                     // its length
int journal_list(int folder_fd, uint64_t **ret_numbers, size_t *ret_n); // ascending; free() it
// Walks a whole folder and proves the chain; names the first broken place in e. 0 proven; then e->what (with code 0) is
// set when older files are gone, so that the first batch's previous hash had to be taken as given. -EBADMSG damaged,
// torn, out of order; -ENOENT a file is missing in the middle.
int journal_verify(int folder_fd, uint64_t *ret_batches, struct error *e);
// Where a restarted agent goes on. Changes nothing: the engine may not open for writing, the parent cuts for it.
struct journal_end {
    uint64_t number;   // the file to append to; 1 where there is none yet
    uint64_t size;     // of that file up to the end of its last good batch: cut it here
    uint64_t torn;     // bytes behind that, of a batch that was being written when the writer died
    uint64_t sequence; // of the next batch
    uint64_t to_ns;    // of the last good batch
    uint8_t last[32];  // its hash
};
// 0; 1: there is damage with good batches behind it, which is left as it is for whoever looks into it: number is then a
// new file and e says where the damage is.
int journal_end(int folder_fd, struct journal_end *ret, struct error *e);
