// SPDX-License-Identifier: Apache-2.0
// Segments: append-only files of compressed batches, each with the hash of the one before. The agent's journal, the
// hub's archive and replay files are all this. A clear header before each batch says what is in it, so that most are
// never decompressed. A torn last batch (power cut, kill -9) is recognised by its CRC, reported and cut off; everything
// before it stands.
#pragma once
#include "base/arena.h"
#include "base/env.h"
#include "base/error.h"
#include "tiercel.pb-c.h"

#define SEGMENT_BATCH_LIMIT ((size_t)16 << 20) // bytes of one unpacked batch

struct segment_info { // the clear header
    uint64_t sequence;
    uint64_t from_ns, to_ns;
    uint32_t n_events, n_detections, n_verdicts, n_losses;
    uint32_t packed, compressed; // bytes
    uint8_t previous[32];        // SHA-256 over the batch before (header and body); zero in the first ever
    uint8_t hash[32];            // of this one, computed
};

struct segment_writer {
    int fd;            // opened by somebody else, append-only; owned
    uint64_t size;     // bytes so far
    uint8_t last[32];  // hash of the last batch written
    uint64_t sequence; // of the next batch
    void *zstd;
};

// Continue a chain: `last` and `sequence` come from the segment before (zero and 0 for the first ever).
int segment_writer_init(struct segment_writer *w, int fd, const uint8_t last[32], uint64_t sequence);
void segment_writer_done(struct segment_writer *w);
// Sets batch->sequence. Written with one call; durable after segment_sync(). 0, -ENOSPC and others from write(2):
// then the file is cut back to where it was.
int segment_append(struct segment_writer *w, Tiercel__Batch *batch);
int segment_sync(struct segment_writer *w);

struct segment_reader; // over a file descriptor, which stays the caller's
int segment_reader_new(int fd, struct segment_reader **ret);
struct segment_reader *segment_reader_free(struct segment_reader *r);
// 1: a batch; 0: the end (try again later for a file that grows); -EBADMSG: torn or damaged here, e says where and
// what is lost; other negative errno. *ret lives until the next call. `skip` may refuse a batch by its header alone.
int segment_next(struct segment_reader *r, bool (*skip)(void *context, const struct segment_info *), void *context,
                 struct segment_info *ret_info, Tiercel__Batch **ret, struct error *e);
uint64_t segment_offset(const struct segment_reader *r); // end of the last good batch

// Journal folder: files "%012llu.seg", numbered without gaps.
int journal_name(uint64_t number, char ret[32]);
int journal_list(int folder_fd, uint64_t **ret_numbers, size_t *ret_n); // ascending; free() it
// Walks a whole folder and proves the chain; names the first broken place in e.
int journal_verify(int folder_fd, uint64_t *ret_batches, struct error *e);
// Where a restarted agent goes on: reads the last segment, cuts a torn tail from it (ret_cut bytes), gives chain state.
int journal_recover(int folder_fd, uint64_t *ret_number, uint8_t ret_last[32], uint64_t *ret_sequence,
                    uint64_t *ret_cut, struct error *e);
