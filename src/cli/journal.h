// SPDX-License-Identifier: Apache-2.0
// The journal folder as a stream of batches, oldest first, or one recorded segment file. Damage is told and passed over:
// what stands is shown.
#pragma once
#include "base/error.h"
#include "event/segment.h"

#define JOURNAL_FOLDER "/var/lib/tiercel/journal"

struct journal;

// -ENOENT with a way out when there is none, -EACCES when not permitted.
int journal_open(const char *path, struct journal **ret, struct error *e); // folder or file
struct journal *journal_close(struct journal *j);

size_t journal_segments(const struct journal *j);
// Start over at segment `index` (0 is the oldest); journal_next() then ends behind it unless `onwards`.
int journal_seek(struct journal *j, size_t index, bool onwards, struct error *e);

// 1 a batch, living until the next call; 0 nothing more now (call again later: new batches and segments are found);
// -EBADMSG damage here, told in e: call again to go on with the next segment; other negative errno.
int journal_next(struct journal *j, bool (*skip)(void *context, const struct segment_info *info),
                 void *context, const Tiercel__Batch **ret, struct error *e);
// Waits until something was written, at most so long. 1 something may be there, 0 not, -EINTR a signal came.
int journal_wait(struct journal *j, int timeout_ms);
