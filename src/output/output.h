// SPDX-License-Identifier: Apache-2.0
// What other programs take: OCSF 1.3 objects, CEF lines, RFC 5424 messages, of events and detections. Pure: bytes in,
// bytes out. Names of OCSF come from event/fields.def; what a class needs beside them is in ocsf.c. Host data is bytes:
// what is not UTF-8 becomes U+FFFD here (the hub's store keeps the bytes), and one value is cut at OUTPUT_VALUE_MAX.
// To add a format: a function here, a kind in hub/outputs.c and, for one host, a word in cli/cmd_events.c.
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "tiercel.pb-c.h"

#define OUTPUT_VALUE_MAX 2048 // bytes of one text of a host

struct output_source {
    struct str client;    // empty without a hub
    const uint8_t *host;  // 16 bytes, or NULL
    struct str host_name; // may be empty
    struct str rules;     // rules_version, may be empty
};

// One line without a newline each, into `to` (look at to->failed). Memory of `arena` is used meanwhile. verdict may be
// NULL. 0, -ENOMEM.
int output_ocsf_event(const struct output_source *source, const Tiercel__Event *event,
                      struct arena *arena, struct buf *to);
int output_ocsf_detection(const struct output_source *source, const Tiercel__Detection *detection,
                          const Tiercel__Verdict *verdict, struct arena *arena, struct buf *to);
int output_cef_event(const struct output_source *source, const Tiercel__Event *event,
                     struct arena *arena, struct buf *to);
int output_cef_detection(const struct output_source *source, const Tiercel__Detection *detection,
                         const Tiercel__Verdict *verdict, struct arena *arena, struct buf *to);

// 0 unknown, 1 informational, 2 low, 3 medium, 4 high, 5 critical: as OCSF's severity_id.
unsigned output_severity(struct str level);
// RFC 5424: header, no structured data, the message. Facility 10 (security). `name`: printable ASCII or "-" is written.
void output_syslog(unsigned severity, uint64_t time_ns, struct str name, struct str id,
                   struct str message, struct buf *to);
// A copy that is UTF-8 without NUL, cut at OUTPUT_VALUE_MAX.
struct str output_text(struct str bytes, struct arena *arena);
