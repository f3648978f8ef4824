// SPDX-License-Identifier: Apache-2.0
// Inside core: where detections go besides the store. STATE/outputs/NAME/ has output.json (written by the commands),
// queue (hub/queue.h) or ocsf.jsonl with its rotated files, state.json for `output list`. Core makes the lines, keeps
// them until they are delivered and signs; the role `egress` only carries. A line is durable before its batch is
// acknowledged, and may come twice after a crash, never not at all, unless the queue was full: then it is counted.
// To add a kind: a line of `kinds` in outputs_config.c, what it writes in line_of(), how it travels in egress.c.
#pragma once
#include "hub/queue.h"
#include "hub/wire.h"
#include "tiercel.pb-c.h"

#define OUTPUTS_MAX 16
#define OUTPUT_NAME_MAX 32
#define OUTPUT_QUEUE_BYTES (64ull << 20)
#define OUTPUT_FILE_BYTES (64ull << 20) // then it is rotated
#define OUTPUT_FILES 4                  // older ones that are kept

enum output_kind { OUTPUT_SYSLOG, OUTPUT_CEF, OUTPUT_OCSF_FILE, OUTPUT_OCSF_HTTP, OUTPUT_WEBHOOK };
struct output_config {
    char name[OUTPUT_NAME_MAX + 1], to[HUB_URL_MAX], client[PKI_CLIENT_MAX + 1], secret[65];
    uint32_t kind;
    unsigned level;       // least severity (output_severity())
    char authority[8192]; // PEM, "": the system's
};
int output_kind_read(const char *word); // enum output_kind or -EINVAL
const char *output_kind_word(uint32_t kind);
// What a person gave: 0 or -EINVAL with the way out.
int output_config_check(const struct output_config *c, struct error *e);
int output_config_read(const char *state, const char *name, struct output_config *ret,
                       struct error *e);
int output_config_write(const char *state, const struct output_config *c, struct error *e);

// Core only. Its one user; the state folder must outlive it.
void outputs_init(const char *state);
void outputs_reload(void); // when the folder changed, and what tests were asked for; once a second
bool outputs_any(void);
struct output_source;
void outputs_take(const struct output_source *source, const Tiercel__Batch *batch);
int outputs_sync(void);           // before the store's commit
void outputs_egress(int channel); // a new one, or -1
int outputs_channel(void);        // to poll, or -1
void outputs_serve(void);         // answers of egress, and what is to be sent now
