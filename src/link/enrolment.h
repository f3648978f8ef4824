// SPDX-License-Identifier: Apache-2.0
// What a host is at its hub: one file, hub.pem in the agent's state folder (0600), with the host's key (EC P-256, made
// here, never sent), its certificate, the hub's authority, and above them where the hub is. Replaced as a whole, so an
// agent never sees half of it.
#pragma once
#include "base/buf.h"
#include "base/error.h"
#include <stdint.h>

#define ENROLMENT_FILE "hub.pem"
#define ENROLMENT_BYTES_MAX 16384u

struct enrolment {
    char url[256];               // of the agents' listener, https://HOST:PORT
    char client[64], proxy[256]; // proxy may be empty
    char key[1024], certificate[4096], authority[4096]; // PEM
};

// A new key and a request for a certificate (PKCS#10, DER) made with it.
int enrolment_make(struct enrolment *ret, struct buf *ret_request, struct error *e);
// What the hub answered, both DER: they must belong to our key and to each other. -EBADMSG with the reason.
int enrolment_take(struct enrolment *enrolment, struct str certificate, struct str authority,
                   struct error *e);
// Is this its SHA-256?
bool enrolment_pinned(struct str pem, const uint8_t fingerprint[32], uint8_t ret_seen[32]);
// "https://HOST[:PORT]" and nothing behind. -EINVAL with a reason.
int enrolment_url(struct str text, char *ret, size_t size, struct error *e);

void enrolment_print(const struct enrolment *enrolment, struct buf *out);
int enrolment_parse(struct str text, struct enrolment *ret, struct error *e);
// The 16 bytes of /etc/machine-id, as in the header of each record. `text` is the file.
int enrolment_host(struct str text, uint8_t ret[16]);
