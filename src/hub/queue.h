// SPDX-License-Identifier: Apache-2.0
// A bounded queue of lines in one file, for what an output has not delivered yet: 64 bytes of header (where the head
// is, its number, what was dropped), then items. Survives kill -9; a torn last item is cut off. What was taken out may
// come again after a power loss (at least once), never the reverse. A full queue refuses and counts.
#pragma once
#include "base/buf.h"
#include "base/error.h"

struct queue {
    int fd;
    uint64_t limit;         // bytes of the file
    uint64_t head, size;    // offsets
    uint64_t number, items; // number of the head since ever; items waiting
    uint64_t dropped;       // since ever
    bool touched;
};
int queue_open(const char *path, uint64_t limit, struct queue *ret, struct error *e);
void queue_close(struct queue *q);
int queue_put(struct queue *q,
              struct str item); // 0; -ENOSPC: dropped and counted; errors of the file
int queue_sync(struct queue *q);
// Up to max_items, each followed by a newline, as long as they have max_bytes together (one at least). How many.
ssize_t queue_peek(struct queue *q, size_t max_items, size_t max_bytes, struct buf *to);
int queue_pop(struct queue *q, size_t n, bool drop); // drop: counted as such
