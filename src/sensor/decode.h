// SPDX-License-Identifier: Apache-2.0
// Ring records into events. A parser: trusts no length, though the kernel wrote them.
// To add a part: its number in bpf/record.h, one case in decode.c.
#pragma once
#include "base/arena.h"
#include "base/str.h"
#include "bpf/record.h"
#include "tiercel.pb-c.h"

struct decode_clock {
    uint64_t boot_to_wall; // nanoseconds to add to CLOCK_BOOTTIME for the time since 1970 UTC
};

struct decoded {
    Tiercel__Event *event;  // in the arena
    uint32_t kind;          // enum record_kind
    uint32_t flags;         // EXEC_*, CONNECT_* or FILE_*: what the kernel did
    uint32_t lineage_flags; // FLAG_* of exec and fork
    uint32_t rule;          // of the denying prefix (connect)
    bool denied;            // the kernel refused it
    bool idle;              // of no interest: a file in a home whose name says nothing
    struct str filename;    // exec: as the caller named it
    struct str interpreter; // exec: named by `#!` or binfmt_misc
    bool environment_cut;
};

// 0; -EBADMSG when the bytes are no record of this build; -ENOMEM at the arena's limit. *ret is untouched on failure.
int decode(const void *record, size_t bytes, const struct decode_clock *clock, struct arena *arena,
           struct decoded *ret);
struct decode_clock
decode_clock_now(void); // of this machine; ask again when the wall clock may have been set
