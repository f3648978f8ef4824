// SPDX-License-Identifier: Apache-2.0
// Inside of detect/: the state of detections.
#pragma once
#include "base/buf.h"
#include "detect/detect.h"
#include "detect/exception.h"
#include "detect/flood.h"
#include "detect/record.h"

struct detect {
    struct rule_set *set;
    struct rule_correlator *correlator;
    struct record_fields fields[RECORD_CATEGORIES];
    struct arena exception_arena;
    struct exception *exceptions;
    size_t n_exceptions;
    struct flood flood;
    uint64_t now;        // newest event
    uint64_t suppressed; // detections kept back
    bool ready;
};

struct detect_worker {
    struct rule_scratch *scratch;
};

// Reads a file of at most 1 MiB; `shown` is its name in errors.
int detect_read_file(int folder, const char *name, const char *shown, struct buf *out,
                     struct error *e);
