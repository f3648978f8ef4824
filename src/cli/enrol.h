// SPDX-License-Identifier: Apache-2.0
// `tiercel enrol` without its command line: make a key, ask the hub for a certificate, keep both.
#pragma once
#include "base/error.h"
#include <stdint.h>

struct enrol {
    const char *hub;         // https://HOST:PORT of the people's listener
    const char *key;         // one-time
    const char *authority;   // PEM file, or NULL
    const char *fingerprint; // 64 hexadecimal digits, colons allowed, or NULL
    const char *proxy;       // or NULL
    const char *state;       // folder of the agent
    const uint8_t *host;     // its 16 bytes; NULL: this machine's
    const char *host_name;   // NULL: this machine's
};
struct enrolled {
    char client[64], url[256];
};
// -EACCES: the other end is not the hub that was meant, or the key was refused.
int enrol(const struct enrol *order, struct enrolled *ret, struct error *e);
int enrol_remove(const char *state, struct error *e); // -ENOENT: this host is not enrolled
int enrol_fingerprint(const char *text, uint8_t ret[32]);
