// SPDX-License-Identifier: Apache-2.0
// The hub's state folder: hub.db (store/registry.h), pki/{ca,server}.{pem,key}, clients/NAME/ (store/store.h),
// counters.json (written by core once a second when something changed), lock (held while the hub runs).
// As root every command becomes the folder's owner before it touches anything in it.
#pragma once
#include "hub/wire.h"

#define HUB_STATE "/var/lib/tiercel-hub"
#define HUB_RESULTS 5 // enum store_result

struct hub_counters { // since core was started
    uint64_t requests, refused, enrolled, commits, failed, bytes;
    uint64_t records[HUB_RESULTS]; // by enum store_result
};
void hub_counters_write(const char *state, const struct hub_counters *c);

int hub_file_read(const char *state, const char *name, struct buf *to, struct error *e);
int hub_file_write(const char *state, const char *name, struct str text,
                   struct error *e);                                      // 0600, new
int hub_certificate_read(const char *state, X509 **ret, struct error *e); // the authority's
int hub_authority_read(const char *state, struct pki_authority *ret, struct error *e);
// For a command: checks that the folder is one of ours and becomes its owner. ret_full: its full path.
int hub_state_enter(const char *state, char ret_full[HUB_PATH_MAX], struct error *e);
// The lock of a running hub: its descriptor; -EBUSY when another holds it.
int hub_state_lock(const char *state, struct error *e);
