// SPDX-License-Identifier: Apache-2.0
// Requests as strangers may write them: pure functions, fuzzed (fuzz_request.c). To add a path: a line of the table in
// request.c, a value of enum hub_what, a case in core.c.
#pragma once
#include "base/error.h"
#include "hub/wire.h"

struct request_route {
    const char *path;
    bool post, agents; // agents: only there, else only on the people's listener
    enum hub_what what;
    uint32_t body_max; // bytes
};
// The route, or NULL with *ret_status 404 or 405.
const struct request_route *request_route(struct str path, bool post, bool agents, int *ret_status);
// A Content-Length; -EINVAL when it is none.
int request_length(struct str text, uint64_t *ret);

struct request_enrol {
    uint8_t key_id[4], key_hash[32]; // hash of the whole key
    uint8_t host[PKI_HOST_BYTES];
    char host_name[65]; // printable ASCII, the rest replaced by '?'
    uint8_t csr[PKI_REQUEST_MAX];
    size_t csr_size;
};
// -EBADMSG with what is wrong.
int request_enrol(struct str body, struct request_enrol *ret, struct error *e);

// Enrolment keys: "tk-" 8 hexadecimal digits that name it "-" 32 that are secret.
#define REQUEST_KEY_SIZE 44 // characters
void request_key_text(const uint8_t id[4], const uint8_t secret[16],
                      char ret[REQUEST_KEY_SIZE + 1]);
int request_key_read(struct str text, uint8_t ret_id[4], uint8_t ret_hash[32]);
