// SPDX-License-Identifier: Apache-2.0
// One record of a segment (header and compressed body) in memory, as it travels and as the hub keeps it: measured by its
// header, proven by its checks, and only then decompressed and unpacked. No size in it is believed beyond the bytes
// that are there and SEGMENT_BATCH_LIMIT. The chain of a host's records is the caller's to check.
#pragma once
#include "base/str.h"
#include "event/segment.h"

#define SEGMENT_HEADER_BYTES ((size_t)136)
// Bytes of the longest record there can be.
#define SEGMENT_RECORD_LIMIT                                                                       \
    (SEGMENT_HEADER_BYTES + SEGMENT_BATCH_LIMIT + (SEGMENT_BATCH_LIMIT >> 8) + 64)

// Bytes of the record that begins at p; 0: not even its header is there; -EBADMSG: no record begins here; -ENOTSUP: of a
// newer version. The body may be missing: compare with n. ret_info (hash zero) may be NULL.
ssize_t segment_record_measure(const void *p, size_t n, struct segment_info *ret_info,
                               struct error *e);

struct segment_opener; // buffers, one per thread
int segment_opener_new(struct segment_opener **ret);
struct segment_opener *segment_opener_free(struct segment_opener *o);
// Header, body's check, hash. 0, -EBADMSG (torn ones too), -ENOTSUP, -EIO.
int segment_record_prove(struct segment_opener *o, struct str record, struct segment_info *ret_info,
                         struct error *e);
// Only that the body is as it was written, of a record whose header is good: what reading needs without a proof.
bool segment_record_whole(struct str record);
// The packed batch of a record whose header is good; lives until the next call. 0, -EBADMSG, -ENOMEM.
int segment_record_plain(struct segment_opener *o, struct str record, struct str *ret,
                         struct error *e);
// What segment_record_plain() gave last, unpacked: lives until the next call of either. -EFBIG: needs too much memory.
int segment_record_unpack(struct segment_opener *o, const struct segment_info *info,
                          struct str plain, Tiercel__Batch **ret, struct error *e);
// Only its programs that were started, of which each says all by itself, and nothing else of the batch: for looking
// through many. A batch that is none past its events is not noticed.
int segment_record_unpack_exec(struct segment_opener *o, struct str plain, Tiercel__Batch **ret,
                               struct error *e);
