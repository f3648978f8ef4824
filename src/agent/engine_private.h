// SPDX-License-Identifier: Apache-2.0
// The engine role in parts: engine.c (start, loop), engine_batch.c (what is collected and written), engine_observe.c
// (kernel records), engine_judge.c (questions of the gate), engine_act.c (orders to other roles).
// One lock guards tree, detect and the open batch. It is never held over a write, a poll or an fsync, so a question of
// the gate waits at most for one slice of records (OBSERVE_SLICE).
#pragma once
#include "agent/order.h"
#include "agent/role.h"
#include "base/arena.h"
#include "base/env.h"
#include "detect/detect.h"
#include "enrich/tree.h"
#include "event/segment.h"
#include "sensor/gate.h"
#include "tiercel.pb-c.h"

#include <pthread.h>

#define OBSERVE_SLICE 256        // records a drain takes before the lock is let go
#define BATCH_EVENTS 1024        // an open batch is closed at this many events
#define BATCH_BYTES ((size_t)4 << 20) // or at this much arena
#define ENGINE_WORKERS 4         // of the gate's pool

struct engine_batch { // collected under the lock, written without it
    struct arena arena;
    Tiercel__Event *events[BATCH_EVENTS + 64];
    Tiercel__Detection *detections[256];
    Tiercel__Verdict *verdicts[256];
    Tiercel__Loss *losses[32];
    size_t n_events, n_detections, n_verdicts, n_losses;
    uint64_t dropped; // what did not fit: becomes a loss of the next batch
    bool urgent;      // has a detection: write at once
};
