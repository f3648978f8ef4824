// SPDX-License-Identifier: Apache-2.0
// Reader of a BPF ring whose descriptor was inherited: needs no capability. One reader per ring. The kernel wakes it
// only for what must be judged at once or while the ring fills beyond its half: wait for the descriptor with a timeout of
// 10 to 20 ms. poll(2) returns at once where something is in the ring already, so drain it before waiting.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct ring;

int ring_open(int fd, size_t bytes,
              struct ring **ret); // bytes: RING_STRUCTURAL_BYTES or RING_BULK_BYTES; borrows fd
struct ring *ring_close(struct ring *ring);

// Hands at most `max` records to take(), in order. A negative return of take() ends the drain after that record and is
// returned; else the number of records. The record's bytes are gone when take() returns.
typedef int ring_take(void *context, const void *record, size_t bytes);
int ring_drain(struct ring *ring, unsigned max, ring_take *take, void *context);

size_t ring_waiting(const struct ring *ring); // bytes not read yet
