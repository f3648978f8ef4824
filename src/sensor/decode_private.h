// SPDX-License-Identifier: Apache-2.0
// Inside of the decoder: what each family of records needs. One file a family; kinds meet in decode.c's table.
#pragma once
#include "sensor/decode.h"

#define DECODE_FIXED_MAX 256 // bytes of the largest fixed part
#define DECODE_NANOSECONDS 1000000000ull

struct decoder {
    struct arena *arena;
    const struct decode_clock *clock;
    const struct record *record; // the fixed part, of its kind's size
    struct decoded *out;
    bool refused; // the arena said no
    bool bad;     // no record of this build
};

// A message of the schema in the arena. On refusal the event is given up.
#define MESSAGE(d, variable, type)                                                                 \
    do {                                                                                           \
        (variable) = arena_alloc((d)->arena, sizeof *(variable));                                  \
        if (!(variable)) {                                                                         \
            (d)->refused = true;                                                                   \
            return;                                                                                \
        }                                                                                          \
        type##__init(variable);                                                                    \
    } while (0)

#define SET(message, field, value) ((message)->has_##field = true, (message)->field = (value))

ProtobufCBinaryData decode_bytes(struct decoder *d, struct str s);
Tiercel__ProcessId *decode_process_id(struct decoder *d, uint32_t pid, uint64_t start);
// Strings that are each ended by a NUL; what follows the last NUL is one more (a cut part has no last NUL).
ProtobufCBinaryData *decode_strings(struct decoder *d, struct str s, size_t *ret_n);
// Names from the leaf upwards, each with its NUL, become "/root/.../leaf".
ProtobufCBinaryData decode_path(struct decoder *d, struct str names, bool absolute);
void decode_file_facts(const struct record_file *r, Tiercel__File *f);

// One kind each: `set` makes the event's message of the fixed part, `part` (may be NULL: no parts) takes one part.
void decode_connect(struct decoder *d, Tiercel__Event *event);
void decode_file(struct decoder *d, Tiercel__Event *event);
void decode_file_part(struct decoder *d, unsigned number, unsigned part_flags, struct str s);
void decode_file_end(struct decoder *d);
void decode_dns(struct decoder *d, Tiercel__Event *event);
void decode_dns_part(struct decoder *d, unsigned number, unsigned part_flags, struct str s);
void decode_socket(struct decoder *d, Tiercel__Event *event);
void decode_flow(struct decoder *d, Tiercel__Event *event);
void decode_flow_part(struct decoder *d, unsigned number, unsigned part_flags, struct str s);
// NULL where neither address nor port is known.
Tiercel__Address *decode_address(struct decoder *d, const uint8_t ip[16], uint16_t port,
                                 bool inet6);
void decode_credentials(struct decoder *d, Tiercel__Event *event);
void decode_access(struct decoder *d, Tiercel__Event *event);
void decode_signal(struct decoder *d, Tiercel__Event *event);
void decode_module(struct decoder *d, Tiercel__Event *event);
void decode_module_part(struct decoder *d, unsigned number, unsigned part_flags, struct str s);
void decode_bpf(struct decoder *d, Tiercel__Event *event);
void decode_mount(struct decoder *d, Tiercel__Event *event);
void decode_mount_part(struct decoder *d, unsigned number, unsigned part_flags, struct str s);
void decode_namespaces(struct decoder *d, Tiercel__Event *event);
